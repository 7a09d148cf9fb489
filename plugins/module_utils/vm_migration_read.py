# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a node has of migrations: records and states of agents, ways to other nodes, FRR. Nothing changes."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, FrozenSet, Iterable, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import vm_iface_read, vm_migration_unit, vtysh
from ansible_collections.vmcluster.network.plugins.module_utils.frr_maintenance import read_maintenance
from ansible_collections.vmcluster.network.plugins.module_utils.frr_state import ESTABLISHED, read_sessions
from ansible_collections.vmcluster.network.plugins.module_utils.frr_static import parse_static_route
from ansible_collections.vmcluster.network.plugins.module_utils.iproute import ReadError, read_ip
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_end import read_text
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_plan import Found, Migration, Way
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_state import read_under_way
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import ANNOUNCEMENTS, parse_record


def read_files() -> Dict[str, Optional[str]]:
    """Return what the node has of the agent's files."""
    return {path: read_text(path) if os.path.exists(path) else None
            for path in vm_migration_unit.agent_files(sys.executable)}


def read_all(wanted: Sequence[Migration]) -> Found:
    """Return all that matters before a migration."""
    links = vm_iface_read.parse_links(read_ip("-d", "link", "show"))
    peers = {address for each in wanted for address in each.peer.values() if address}
    try:
        running = vtysh.read_running_config()
        announced, sessions, wrong = _read_announced(running), _read_sessions(), ""
    except vtysh.FrrError as error:
        running, announced, sessions, wrong = "", frozenset(), frozenset(), str(error)
    return Found(
        records=read_records(), links=links, under=read_under_way(), files=read_files(),
        ways=dict(way for address in sorted(peers) for way in _read_way(address, links)),
        announced=announced, sessions=sessions, frr=wrong, maintenance=read_maintenance(running))


def read_moving() -> Found:
    """Return what changes while guests move."""
    links = vm_iface_read.parse_links(read_ip("-d", "link", "show"))
    return Found(records={}, links=links, under=read_under_way(), ways={}, files={})


def read_settling(wanted: Sequence[Migration]) -> Found:
    """Return migrations under way, and the kernel's routes in FRR's table for their prefixes."""
    under = read_under_way()
    prefixes = [prefix for each in wanted if each.interface in under
                for prefix in under[each.interface].record["prefixes"]]
    return Found(records={}, links={}, under=under, ways={}, files={}, routes=dict(_read_routes(prefixes)))


def read_records() -> Dict[str, Mapping[str, Any]]:
    """Return the records of VM interfaces."""
    parsed = {name: parse_record(text) for name, text in vm_iface_read.read_records().items()}
    return {name: record for name, record in parsed.items() if record is not None}


def _read_announced(running: str) -> FrozenSet[str]:
    """Return the interfaces that FRR announces VMs on."""
    found: Set[str] = set()
    for line in running.splitlines():
        if line.startswith(("ip route ", "ipv6 route ")):
            route = parse_static_route(line)
            if route is not None and route.interface and route.tag == ANNOUNCEMENTS["announced"]:
                found.add(route.interface)
    return frozenset(found)


def _read_sessions() -> FrozenSet[str]:
    """Return the families of underlay addresses that an established session is between."""
    sessions = read_sessions(vtysh.show_json("show bgp neighbors json"))
    return frozenset("ipv6" if ":" in each["address"] else "ipv4" for each in sessions if each["state"] == ESTABLISHED)


def _read_way(address: str, links: Mapping[str, Any]) -> "Iterable[Tuple[str, Way]]":
    try:
        (entry,) = read_ip("route", "get", address)
    except (ReadError, ValueError):
        return  # there is none
    if entry.get("dev") in links:
        yield address, Way(entry["dev"], links[entry["dev"]].mtu, entry.get("gateway"))


def _read_routes(prefixes: Iterable[str]) -> "Iterable[Tuple[str, Tuple[str, Optional[str]]]]":
    for prefix in prefixes:
        family = "-6" if ":" in prefix else "-4"
        for entry in read_ip(family, "route", "show", "table", "main", "exact", prefix)[:1]:
            hop = (entry.get("nexthops") or [entry])[0]  # a list where two reflectors tell of the same next hop
            yield prefix, (hop.get("dev", ""), hop.get("gateway"))
