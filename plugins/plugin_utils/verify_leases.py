# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the register of leases with what nodes carry: who is where, with which addresses. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from .verify_model import Cluster, Difference, Evidence, Vm, host_prefix


def lease_differences(
    vms: Iterable[Vm], clusters: Iterable[Cluster], evidence: Evidence, silent: Collection[str]
) -> Iterator[Difference]:
    """Tell where register and nodes do not agree. silent: nodes that have not told what they carry."""
    for cluster in clusters:
        found = evidence.get(cluster.register_host, {}).get("leases")
        if found is None:
            continue
        mine = [lease for lease in found if lease["owner"].startswith(f"{cluster.name}/")]
        leased = {(lease["owner"].split("/", 1)[1], host_prefix(lease["address"])): lease for lease in mine}
        carried = {vm.name: vm for vm in vms if vm.cluster == cluster.name and vm.announcement != "standby"}
        yield from _leases_without_vm(cluster, leased, carried, silent)
        yield from _vms_without_lease(cluster, leased, carried.values())


def _leases_without_vm(
    cluster: Cluster,
    leased: Mapping[tuple[str, str], Mapping[str, Any]],
    carried: Mapping[str, Vm],
    silent: Collection[str],
) -> Iterator[Difference]:
    for (name, address), lease in leased.items():
        vm = carried.get(name)
        if vm is None and lease.get("holder") in silent:
            continue
        if vm is None:
            where = lease.get("holder") or "a node not named"
            yield Difference(
                cluster.register_host,
                f"lease {address} of VM {name} says it is on {where}, which does not carry it",
                "run attach_vm again to finish, or detach_vm to give the address back",
                (cluster.name, name),
            )
        elif lease.get("holder") not in (None, vm.node):
            yield Difference(
                cluster.register_host,
                f"lease {address} says VM {name} is on {lease['holder']}; {vm.node} carries it",
                "detach the VM where its hypervisor does not run it",
                (cluster.name, name),
            )
        elif vm.addresses and address not in vm.addresses:
            yield Difference(
                vm.node,
                f"carries VM {name} without {address}, which the register has leased to it",
                "run attach_vm for it again",
                (cluster.name, name),
            )


def _vms_without_lease(
    cluster: Cluster, leased: Mapping[tuple[str, str], Mapping[str, Any]], vms: Iterable[Vm]
) -> Iterator[Difference]:
    owners = {name for name, _address in leased}
    owner_of = {address: name for name, address in leased}
    for vm in vms:
        for address in vm.addresses if vm.name in owners else ():
            if (vm.name, address) not in leased:
                owner = owner_of.get(address, "nobody")
                yield Difference(
                    vm.node,
                    f"carries VM {vm.name} with {address}, which the register has leased to {owner}",
                    "run attach_vm for it again, with the addresses that it is to have",
                    (cluster.name, vm.name),
                )
        if vm.name not in owners:
            yield Difference(
                vm.node,
                f"carries VM {vm.name}, of which the register of {cluster.name} knows nothing",
                "attach_vm to lease its addresses, or site.yml -e purge_vms=true to remove it",
                (vm.cluster, vm.name),
            )
