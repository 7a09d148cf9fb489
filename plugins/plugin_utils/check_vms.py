# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with VMs together: names, addresses, prefixes, MACs, and how many routes they make."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import interface_name

from .cluster import SWITCHING, Cluster, Pool, Range, Vm, span_of
from .findings import Findings, Place


def check_vms(findings: Findings, clusters: Sequence[Cluster], asked: Sequence[Vm]) -> None:
    """Record what is wrong with the VMs of every cluster. asked: those that a playbook is to attach."""
    for cluster in clusters:
        vms = (*cluster.vms, *_not_declared(cluster, asked))
        _check_names(findings, vms)
        _check_addresses(findings, cluster, vms)
        _check_prefixes(findings, cluster, vms)
        _check_macs(findings, cluster, vms)
        _check_asked_once(findings, cluster, asked)
    _check_max_prefixes(findings, clusters)


def _not_declared(cluster: Cluster, asked: Iterable[Vm]) -> list[Vm]:
    """Return a cluster's VMs that are only asked for; what is declared too was compared with its declaration."""
    declared = {(vm.name, vm.nic) for vm in cluster.vms}
    return [vm for vm in asked if vm.cluster == cluster.name and (vm.name, vm.nic) not in declared]


def _check_asked_once(findings: Findings, cluster: Cluster, asked: Iterable[Vm]) -> None:
    """Record declared VMs that are asked for twice."""
    times = {(vm.name, vm.nic): 0 for vm in cluster.vms}
    for vm in asked:
        if vm.cluster == cluster.name and (vm.name, vm.nic) in times:
            times[vm.name, vm.nic] += 1
            if times[vm.name, vm.nic] == 2:
                _at(findings, vm, "name").mistake(f"{vm.name} is asked for twice", "leave one")


def _at(findings: Findings, vm: Vm, key: str) -> Place:
    return Place(findings, vm.where, f"{vm.key}.{key}")


def _check_names(findings: Findings, vms: Iterable[Vm]) -> None:
    """Record VMs that are there twice or on two nodes, and interfaces that would have the same name."""
    nics: dict[tuple[str, int], Vm] = {}
    nodes: dict[str, Vm] = {}
    interfaces: dict[str, Vm] = {}
    for vm in vms:
        if nics.setdefault((vm.name, vm.nic), vm) is not vm:
            _at(findings, vm, "name").mistake(
                f"{vm.name} is there twice with nic {vm.nic}, first in {nics[vm.name, vm.nic].key}",
                "leave one, or give it another nic",
            )
            continue
        if nodes.setdefault(vm.name, vm).node != vm.node:
            _at(findings, vm, "node").mistake(
                f"{vm.node} is not {nodes[vm.name].node}, where nic {nodes[vm.name].nic} of the VM is",
                "give all NICs of a VM the same node",
            )
        interface, _altname = interface_name(vm.name, vm.nic)
        other = interfaces.setdefault(interface, vm)
        if other is not vm:
            _at(findings, vm, "name").mistake(
                f"its interface {interface} has the name of that of {other.name} (nic {other.nic})",
                "rename one of the VMs",
            )


def _check_addresses(findings: Findings, cluster: Cluster, vms: Iterable[Vm]) -> None:
    gateways = {address for _key, address in cluster.gateway.addresses()}
    owners: dict[object, Vm] = {}
    for vm in vms:
        pools_used: Counter[str] = Counter()
        for index, address in enumerate(vm.addresses):
            place = _at(findings, vm, f"addresses[{index}]")
            pool = cluster.find_pool(address)
            first = owners.setdefault(address, vm)
            if address in gateways:
                place.mistake(f"{address} is the cluster's gateway", "ask for an address of a pool")
            elif pool is None:
                if cluster.pools_complete:
                    place.mistake(f"{address} is in no pool of {cluster.where}", "ask for an address of a pool")
            elif first is not vm or vm.addresses.index(address) != index:
                place.mistake(f"{address} is asked for by {first.name} too", "ask for another, or for none")
            elif pool not in cluster.pools_for(vm.node, vm.network):
                _refuse_bound(place, str(address), pool)
            else:
                pools_used[pool.name] += 1
                _check_address(place, span_of(address), str(address), pool, vm, pools_used[pool.name])


def _refuse_bound(place: Place, address: str, pool: Pool) -> None:
    if pool.node:
        problem = f"{address} belongs to {pool.node}: in a routing cluster no other node can have it"
        place.mistake(problem, "ask for an address of the VM's node")
    else:
        place.mistake(f"{address} is of network {pool.network}", "ask for an address of the NIC's network")


def _check_address(place: Place, wanted: Range, address: str, pool: Pool, vm: Vm, count: int) -> None:
    if any(hole.holds(wanted) for hole in pool.exclude):
        place.mistake(f"{address} is excluded from pool {pool.name}", "ask for another, or do not exclude it")
    elif not any(each.holds(wanted) for each in pool.ranges):
        place.mistake(f"{address} is outside the ranges of pool {pool.name}", "ask for another, or widen the ranges")
    elif pool.name not in vm.pools:
        place.mistake(f"{address} is of pool {pool.name}, which the VM does not name", f"add {pool.name} to its pools")
    elif count > 1:
        place.mistake(
            f"{address} is a second address of pool {pool.name}", "a NIC has one address of a pool: use another nic"
        )


def _check_prefixes(findings: Findings, cluster: Cluster, vms: Sequence[Vm]) -> None:
    """Prefixes that are routed through VMs lie in pools, where nothing is given out, and apart from each other."""
    spans: list[tuple[Range, Vm, int]] = []
    for vm in vms:
        for index, prefix in enumerate(vm.prefixes):
            place = _at(findings, vm, f"prefixes[{index}]")
            pool = cluster.find_pool(prefix)
            if pool is None:
                if cluster.pools_complete:
                    place.mistake(f"{prefix} is inside no pool of {cluster.where}", "give a prefix inside a pool")
                continue
            _check_prefix(place, span_of(prefix), str(prefix), prefix.prefixlen, pool)
            if not any(each.version == pool.version for each in cluster.pools if each.name in vm.pools):
                place.mistake(
                    f"{prefix} needs an IPv{pool.version} address to be routed through", f"add {pool.name} to pools"
                )
            spans.append((span_of(prefix), vm, index))
    before: tuple[Range, Vm, int] | None = None
    for entry in sorted(spans, key=lambda each: (each[0].version, each[0].first, -each[0].last)):
        span, vm, index = entry
        if before is not None and before[0].version == span.version and span.first <= before[0].last:
            _at(findings, vm, f"prefixes[{index}]").mistake(
                f"{vm.prefixes[index]} overlaps {before[1].prefixes[before[2]]} of {before[1].name}", "set them apart"
            )
            continue
        before = entry


def _check_prefix(place: Place, span: Range, prefix: str, length: int, pool: Pool) -> None:
    if length < pool.shortest_prefix:
        place.mistake(
            f"{prefix} is shorter than pool {pool.name} allows, which is /{pool.shortest_prefix}",
            f"set shortest_prefix: {length} in the pool",
        )
    if gives_out(pool, span):
        place.mistake(
            f"{prefix} has addresses that pool {pool.name} gives out", f"add {prefix} to exclude of the pool"
        )


def gives_out(pool: Pool, span: Range) -> bool:
    """Return whether a pool gives out any address of a span. Both lists of a pool are sorted."""
    for each in pool.ranges:
        at, last = max(each.first, span.first), min(each.last, span.last)
        index = max(0, bisect_right(pool.exclude, at, key=lambda hole: hole.first) - 1)
        for hole in pool.exclude[index:]:
            if hole.first > at:
                break
            at = max(at, hole.last + 1)
        if at <= last:
            return True
    return False


def _check_macs(findings: Findings, cluster: Cluster, vms: Iterable[Vm]) -> None:
    owners: dict[str, Vm] = {}
    for vm in vms:
        if vm.mac == cluster.gateway.mac:
            _at(findings, vm, "mac").mistake(f"{vm.mac} is the MAC of the cluster's gateway", "give the guest another")
        other = owners.setdefault(vm.mac, vm)
        if other is not vm and (other.name, other.nic) != (vm.name, vm.nic):
            said, remedy = f"{vm.mac} is that of {other.name} too", "give each guest its own"
            if cluster.type == SWITCHING:
                _at(findings, vm, "mac").mistake(f"{said}, and both are on the wire", remedy)
            else:
                _at(findings, vm, "mac").warning(said, remedy)


def _check_max_prefixes(findings: Findings, clusters: Sequence[Cluster]) -> None:
    """A session between a reflector and a core gateway brings the routes of all clusters that share the reflector."""
    routes: dict[tuple[str, int], int] = {}
    told = set()
    for cluster in clusters:
        counts = _count_routes(cluster)
        for reflector in cluster.route_reflectors:
            for version, count in counts.items():
                routes[reflector, version] = total = routes.get((reflector, version), 0) + count
                if total > cluster.bgp.max_prefixes and (cluster.where, version) not in told:
                    told.add((cluster.where, version))
                    Place(findings, cluster.where, "cluster.bgp.max_prefixes").mistake(
                        f"{cluster.bgp.max_prefixes} is less than the {total} IPv{version} routes of declared VMs",
                        "raise it, or sessions are shut down",
                    )


def _count_routes(cluster: Cluster) -> dict[int, int]:
    version_of = {pool.name: pool.version for pool in cluster.pools}
    counts: Counter[int] = Counter()
    for vm in cluster.vms:
        counts.update(version_of[name] for name in vm.pools if name in version_of)
        counts.update(prefix.version for prefix in vm.prefixes)
    return counts
