# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's records, kernel and FRR say of each VM interface, side by side."""

from __future__ import annotations

from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import vm_iface_read, vm_route
from ansible_collections.vmcluster.network.plugins.module_utils.frr_static import StaticRoute
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Found, Link, parse_route
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_state import (
    describe_under_way,
    read_under_way,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import (
    ALIAS_MARK,
    ANNOUNCEMENTS,
    ELEVATED_TAG,
    OUR_TAGS,
    parse_record,
)

ASKED = (
    "vm", "nic", "altname", "kind", "owner", "multi_queue", "addresses", "prefixes", "mac", "announcement", "driver",
)
"""What of a record is told as it stands there."""

Routes = Mapping[Tuple[object, ...], StaticRoute]
"""Static routes by their meaning."""

_NAME_OF_TAG = {**{tag: name for name, tag in ANNOUNCEMENTS.items() if tag}, ELEVATED_TAG: "elevated"}


def ask_interfaces(names: Optional[Collection[str]]) -> Dict[str, Any]:
    """Return what fabric_vm_iface_info tells: `interfaces`, `migrations`, whether the node is out of service, and why
    FRR is not read. names as below.

    Raises iproute.ReadError, vtysh.FrrError, OSError.
    """
    frr = vm_route.read_frr()
    found = vm_iface_read.read_found((), frr.running)
    migrations = [each for each in describe_under_way(read_under_way()) if names is None or each["vm"] in names]
    return {
        "interfaces": describe_interfaces(found, frr.saved, names), "migrations": migrations,
        "maintenance": frr.maintenance, "frr": frr.wrong,
    }


def describe_interfaces(found: Found, saved: Iterable[str], names: Optional[Collection[str]]) -> List[Dict[str, Any]]:
    """Return one dictionary per VM interface that is ours, by record or by alias.

    saved: FRR's static routes that are saved. names: of the VMs to tell of, None for all.
    """
    running, stored = _routes_by_interface(found.routes), _routes_by_interface(saved)
    marked = {name for name, link in found.links.items() if link.alias.startswith(ALIAS_MARK)}
    described = [_describe(name, found, running.get(name, {}), stored.get(name, {}))
                 for name in sorted(set(found.records) | marked)]
    return [each for each in described if names is None or each["vm"] in names]


def _describe(name: str, found: Found, running: Routes, saved: Routes) -> Dict[str, Any]:
    record = parse_record(found.records.get(name, "")) or {}
    link = found.links.get(name)
    told = {key: record.get(key, [] if key in ("addresses", "prefixes") else None) for key in ASKED}
    if not record:  # whose interface it is, its alias says; of one that is gone as well, its name
        vm, _mark, nic = link.alias[len(ALIAS_MARK):].rpartition("/") if link else name.rpartition("_net")
        told.update(vm=vm or name, nic=int(nic) if nic.isdigit() else 0, kind=link.kind if link else None)
    return {
        "interface": name, **told, "recorded": bool(record), "exists": link is not None, **_describe_link(link),
        "bridge": record.get("bridge"), "master": link.master if link else None,
        "on_bridge": link.master == record["bridge"] if record.get("bridge") and link else None,
        "kernel_routes": sorted(found.kernel_routes.get(name, ())) if record.get("routes") else None,
        "neighbors": dict(found.neighbours.get(name, {})),
        "gateway_addresses": sorted(found.addresses.get(name, ())),
        "routes": sorted(route.line for route in running.values()), "announced_as": _announced_as(running.values()),
        "saved": set(running) == set(saved),
    }


def _describe_link(link: Optional[Link]) -> Dict[str, Any]:
    if link is None:
        return {"up": False, "carrier": False, "mtu": None, "gateway_mac": None}
    return {"up": link.up, "carrier": link.carrier, "mtu": link.mtu, "gateway_mac": link.mac}


def _announced_as(routes: Iterable[StaticRoute]) -> str:
    states = {_NAME_OF_TAG[route.tag] for route in routes}
    if len(states) > 1:
        return "mixed"
    return states.pop() if states else "standby"


def _routes_by_interface(lines: Iterable[str]) -> Dict[str, Dict[Tuple[object, ...], StaticRoute]]:
    routes: Dict[str, Dict[Tuple[object, ...], StaticRoute]] = {}
    for line in lines:
        route = parse_route(line) if " tag 77" in line else None
        if route is not None and route.tag in OUR_TAGS and route.interface:
            routes.setdefault(route.interface, {})[route.meaning] = route
    return routes
