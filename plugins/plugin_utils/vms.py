# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From VMs to what modules are asked for: leases of addresses, and interfaces of nodes. All pure, on plain values."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .names import guest_mac, lease_owner

Entry = dict[str, Any]


def lease_requests(
    clusters: Mapping[str, Any], vms: Iterable[Mapping[str, Any]] = (), *, declared: bool = True, state: str = "present"
) -> list[Entry]:
    """Return what to ask each register for: a list of `{host, path, pools, leases}`, one per register.

    clusters: as `cluster_plan` returns them; vms: as it returns those asked for, beside the declared ones unless
    declared is false. Each VM has one lease per pool; one that asks for an address of a pool has it in that lease. With
    state absent, all leases of a VM's NIC are given back, whatever the pool. pools and leases fit ip_pool_alloc.
    """
    registers: dict[tuple[str, str], Entry] = {}
    for cluster in clusters.values():
        where = cluster["register"]
        register = registers.setdefault((where["host"], where["path"]), {**where, "pools": [], "leases": []})
        register["pools"] += [
            {key: pool[key] for key in ("name", "prefix", "ranges", "exclude")} for pool in cluster["pools"]
        ]
    for vm in merge_vms(clusters if declared else {}, vms):
        cluster = clusters[vm["cluster"]]
        register = registers[cluster["register"]["host"], cluster["register"]["path"]]
        register["leases"] += _leases_of(vm) if state == "present" else [_release_of(vm)]
    return [registers[key] for key in sorted(registers)]


def merge_vms(clusters: Mapping[str, Any], vms: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the clusters' declared VMs and others, each once; others go before declared ones of the same name."""
    found: dict[tuple[str, str, int], Mapping[str, Any]] = {}
    for group in (*(cluster["vms"] for cluster in clusters.values()), vms):
        for vm in group:
            found[vm["cluster"], vm["name"], vm["nic"]] = vm
    return list(found.values())


def _leases_of(vm: Mapping[str, Any]) -> list[Entry]:
    owner = lease_owner(vm["cluster"], vm["name"], vm["nic"])
    return [
        {"owner": owner, "pool": pool, "address": vm["asked"].get(pool), "holder": vm["node"], "state": "present"}
        for pool in vm["pools"]
    ]


def _release_of(vm: Mapping[str, Any]) -> Entry:
    owner = lease_owner(vm["cluster"], vm["name"], vm["nic"])
    return {"owner": owner, "pool": None, "address": None, "holder": vm["node"] or None, "state": "absent"}


def vm_interfaces(
    vms: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    leases: Iterable[Mapping[str, Any]],
    state: str = "present",
    node: str | None = None,
) -> dict[str, list[Entry]]:
    """Return, by node, VMs as fabric_vm_iface takes them, with the addresses that they have leased.

    vms: VMs as `cluster_plan` returns them, or its clusters, which stands for their declared VMs; leases: what
    ip_pool_alloc returned, of all registers in one list. A VM is on the node that holds its leases. node: of this one
    alone. Raises ValueError naming VMs that lack a lease in a pool.
    """
    leases = list(leases)
    entries = _follow_leases(merge_vms(vms, ()) if isinstance(vms, Mapping) else vms, leases, node)
    if state != "present":
        return _by_node(entries, lambda vm: {"name": vm["name"], "nic": vm["nic"], "state": "absent"})
    owners = {lease_owner(vm["cluster"], vm["name"], vm["nic"]) for vm in entries}
    addresses: dict[tuple[str, str], str] = {
        (lease["owner"], lease["pool"]): lease["address"] for lease in leases if lease["owner"] in owners
    }
    missing = []
    for vm in entries:
        owner = lease_owner(vm["cluster"], vm["name"], vm["nic"])
        missing += [f"{owner} in pool {pool}" for pool in vm["pools"] if not addresses.get((owner, pool))]
    if missing:
        raise ValueError(f"no address is leased to {', '.join(missing[:5])}" + (", ..." if len(missing) > 5 else ""))
    return _by_node(entries, lambda vm: _interface_of(vm, addresses))


def vms_of_node(
    vms: Iterable[Mapping[str, Any]], leases: Iterable[Mapping[str, Any]], node: str, only_new: bool = False
) -> list[Mapping[str, Any]]:
    """Return those VMs that are on a node: where the register says, else where they are asked for.

    leases: what ip_pool_alloc or ip_pool_info returned. only_new: of these, only VMs that had no lease before the call
    of ip_pool_alloc that returned the leases.
    """
    leases = list(leases)
    old = {lease["owner"] for lease in leases if not lease.get("new")} if only_new else ()
    return [
        vm
        for vm in _follow_leases(vms, leases, node)
        if lease_owner(vm["cluster"], vm["name"], vm["nic"]) not in old
    ]


def announced_prefixes(
    interfaces: Iterable[Mapping[str, Any]], vms: Iterable[Mapping[str, Any]] | None = None
) -> list[str]:
    """Return the prefixes that the fabric must have routes to, of interfaces as fabric_vm_iface_info returns them.

    These are the addresses and prefixes of VMs that are announced and have a guest: without carrier FRR announces none.
    vms: of these NICs alone.
    """
    meant = None if vms is None else {(vm["name"], vm["nic"]) for vm in vms}
    return [
        str(ipaddress.ip_network(address))
        for found in interfaces
        if found["announcement"] == "announced" and found["carrier"]
        and (meant is None or (found["vm"], found["nic"]) in meant)
        for address in (*found["addresses"], *found["prefixes"])
    ]


def unknown_vms(
    interfaces: Iterable[Mapping[str, Any]], leases: Iterable[Mapping[str, Any]], cluster: str, node: str
) -> list[Entry]:
    """Return, as fabric_vm_iface's VMs that are to go, what a node carries and no lease says that it does.

    interfaces: as fabric_vm_iface_info returns them; leases: all of the registers. A lease that names no node counts.
    What is in standby on a bridge is a migration's target, of which the register does not know yet.
    """
    known = {lease["owner"] for lease in leases if lease.get("holder") in (None, node)}
    return [
        {"name": found["vm"], "nic": found["nic"], "state": "absent"}
        for found in interfaces
        if lease_owner(cluster, found["vm"], found["nic"]) not in known
        and not (found.get("bridge") and found["announcement"] == "standby")
    ]


def _follow_leases(
    vms: Iterable[Mapping[str, Any]], leases: Iterable[Mapping[str, Any]], node: str | None = None
) -> list[Mapping[str, Any]]:
    """Return VMs on the nodes that hold their leases: one that has moved is where the register says it is.

    node: those of this one alone. Of the others as few values are read as may be: each node of a large cluster does
    this, and Ansible's own containers take their time for each value.
    """
    holders = {lease["owner"]: holder for lease in leases if (holder := lease.get("holder"))}
    homes = ((vm, holders.get(lease_owner(vm["cluster"], vm["name"], vm["nic"]), vm["node"])) for vm in vms)
    return [{**vm, "node": home} for vm, home in homes if node in (None, home)]


def _by_node(
    vms: Iterable[Mapping[str, Any]], describe: Callable[[Mapping[str, Any]], Entry]
) -> dict[str, list[Entry]]:
    nodes: dict[str, list[Entry]] = {}
    for vm in vms:
        nodes.setdefault(vm["node"], []).append(describe(vm))
    return nodes


def _interface_of(vm: Mapping[str, Any], addresses: Mapping[tuple[str, str], str]) -> Entry:
    owner = lease_owner(vm["cluster"], vm["name"], vm["nic"])
    return {
        "name": vm["name"],
        "nic": vm["nic"],
        "addresses": [addresses[owner, pool] for pool in vm["pools"]],
        "prefixes": list(vm["prefixes"]),
        "mac": vm["mac"],
        "kind": vm["kind"],
        "owner": vm["owner"],
        "announcement": vm["announcement"],
        **{key: vm[key] for key in ("bridge", "driver") if vm.get(key)},
        **({"keep_mac": True} if vm["mac"] == guest_mac(vm["cluster"], vm["name"], vm["nic"]) else {}),
        "state": "present",
    }
