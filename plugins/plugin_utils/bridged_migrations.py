# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations between bridges: what marks them, and each node's part as its modules take it. Pure.

docs/design.md, "Migration between bridges". There is no agent, so no record of one: a migration is under way while a
node has the VM's interface in standby.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..module_utils.vm_migration_plan import refuse
from .read_guests import LIBVIRT

if TYPE_CHECKING:
    from .migrations import Migration  # which imports this file

Entry = dict[str, Any]

STANDBY = "standby"
_ENDS = ("sources", "targets", "fresh_sources", "fresh_targets", "external")
_END_KEYS = ("name", "nic", "role", "other", "addresses", "mtu")


def is_bridged(migration: Migration) -> bool:
    """Tell whether the VM's interface is a port of a bridge."""
    return bool(migration.interface.get("bridge"))


def under_way_on_bridges(at: Mapping[str, Mapping[str, Any]], holder: str) -> dict[str, Mapping[str, Any]]:
    """Return, by node, migrations under way as agents of an IP fabric tell of theirs.

    at: by node, its interface of the VM. holder: the node that has the VM's lease.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for node, interface in at.items():
        if interface.get("bridge") and interface["announcement"] == STANDBY:
            left = [other for other in at if other != node]
            source = holder if holder != node else (left or [""])[0]
            # With a guest on it nothing is to be made ready any more.
            state = "arrived" if interface["carrier"] else "armed"
            found[node] = {"role": "target", "other": source, "state": state}
    return found


def node_address(plan: Mapping[str, Any], node: str) -> str:
    """Return the address that other nodes reach a switching node by, empty where it has none that is known.

    Its underlay address, where one is given, else the first that it has on its bridges.
    """
    underlay = plan["underlay"].get(node) or {}
    own = (plan["hosts"].get(node) or {}).get("switching", {}).get("switching_interfaces", ())
    bridged = [address.partition("/")[0] for each in own for address in each.get("addresses", ())]
    return next(filter(None, [underlay.get("ipv4"), underlay.get("ipv6"), *bridged]), "")


def refuse_unreachable(plan: Mapping[str, Any], migrations: Iterable[Migration]) -> list[str]:
    """Return which VMs on bridges libvirt cannot move, as it would not know how to reach the other node's."""
    unknown = {
        each.target: each.name
        for each in migrations
        if is_bridged(each) and each.driver == LIBVIRT and not node_address(plan, each.target)
    }
    return [
        refuse("NoUnderlayAddress", f"{node} has no address on a bridge by which libvirt could bring {name} there: "
                                    "give it underlay_ipv4, its address in the management network")
        for node, name in unknown.items()
    ]


def refuse_arrived(migrations: Iterable[Migration], found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return why migrations between bridges cannot be taken back. found: by node, what fabric_vm_iface_info told.

    What libvirt moves is attached to both interfaces on its way: libvirt is told to stop that first.
    """
    attached = {
        (node, each["vm"], each["nic"])
        for node, answer in found.items()
        for each in answer["interfaces"]
        if each["carrier"]
    }
    return [
        refuse("HasMoved", f"{each.name} has a guest on {each.target}: finish with migrate_vm, or end it there")
        for each in migrations
        if is_bridged(each) and each.driver != LIBVIRT and (each.target, each.name, each.nic) in attached
    ]


def describe_on_bridges(
    plan: Mapping[str, Any], nodes: Mapping[str, Entry], migrations: Iterable[Migration]
) -> None:
    """Turn nodes' parts, as they are in an IP fabric, into those between bridges.

    Ends are as bridge_vm_migration takes them; what is made has its bridge. heard: targets' ends of guests that libvirt
    moves, whose first frame comes while it does.
    """
    migrations = list(migrations)
    moved = {(each.name, each.nic) for each in migrations if each.driver == LIBVIRT}
    known = {(each.name, each.nic): each.interface for each in migrations}
    for part in nodes.values():
        for key in _ENDS:
            part[key] = [_end_on_bridge(end, known[end["name"], end["nic"]]) for end in part.get(key, ())]
        for key in (STANDBY, "announced"):
            part[key] = [{**vm, "bridge": known[vm["name"], vm["nic"]]["bridge"]} for vm in part[key]]
        part["heard"] = [end for end in part["targets"] if (end["name"], end["nic"]) in moved]
        for domain in part["domains"]:
            domain["address"] = node_address(plan, domain["other"])


def _end_on_bridge(end: Mapping[str, Any], interface: Mapping[str, Any]) -> Entry:
    return {**{key: end[key] for key in _END_KEYS}, "bridge": interface["bridge"], "mac": interface["mac"]}
