# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a playbook is asked for: VMs to attach, VMs to migrate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import NIC_MAXIMUM

from .cluster import ROUTING, Cluster, Vm
from .findings import Place
from .names import guest_mac
from .read_guests import read_driver
from .read_vms import SWITCHING_KEYS, VM_KEYS, read_node, read_vm, read_vm_name
from .values import integer_of, read_integer, read_list, read_mapping, read_text, shown


def read_asked_vms(place: Place, value: object, clusters: Sequence[Cluster]) -> tuple[Vm, ...]:
    """Return the VMs to attach. An entry that names a declared VM takes from the declaration what it leaves out."""
    declared = {(vm.cluster, vm.name, vm.nic): vm for cluster in clusters for vm in cluster.vms}
    found = []
    for index, element in enumerate(read_list(place, value) or []):
        vm = _read_asked_vm(place.item(index), element, clusters, declared)
        if vm is not None:
            found.append(vm)
    return tuple(found)


def _read_asked_vm(
    place: Place, value: object, clusters: Sequence[Cluster], declared: Mapping[tuple[str, str, int], Vm]
) -> Vm | None:
    if not isinstance(value, Mapping):
        read_mapping(place, value, VM_KEYS)
        return None
    cluster = _find_cluster(place, value, clusters)
    if cluster is None:
        return None
    known = _find_declared(value, cluster, declared)
    if known is None:
        return read_vm(place, value, cluster, more_keys=("cluster",))
    given = {key: element for key, element in value.items() if element is not None}
    vm = read_vm(place, {**_as_written(known), **given}, cluster, more_keys=("cluster",))
    if vm is not None:
        _check_agrees(place, vm, known, given)
    return vm


def _find_cluster(place: Place, value: Mapping[object, object], clusters: Sequence[Cluster]) -> Cluster | None:
    """Return the cluster that an entry names, or that its node or the only one is."""
    by_name = {cluster.name: cluster for cluster in clusters}
    if value.get("cluster") is not None:
        name = read_text(place.at("cluster"), value["cluster"])
        if name is not None and name not in by_name:
            place.at("cluster").mistake(f"{shown(name)} is not a cluster of this inventory", _clusters_remedy(by_name))
        return by_name.get(name) if name is not None else None
    node = value.get("node")
    owners = [cluster for cluster in clusters if isinstance(node, str) and node in cluster.nodes]
    if len(owners) == 1 or len(clusters) == 1:
        return (owners or list(clusters))[0]
    if clusters:
        place.at("cluster").mistake("is missing, and the node does not tell it", _clusters_remedy(by_name))
    return None


def _clusters_remedy(by_name: Mapping[str, Cluster]) -> str:
    return f"use {' or '.join(sorted(by_name))}"


def _find_declared(
    value: Mapping[object, object], cluster: Cluster, declared: Mapping[tuple[str, str, int], Vm]
) -> Vm | None:
    name, nic = value.get("name"), integer_of(0 if value.get("nic") is None else value["nic"])
    if not isinstance(name, str) or nic is None:
        return None
    return declared.get((cluster.name, name, nic))


def _as_written(vm: Vm) -> dict[str, object]:
    return {
        "node": vm.node,
        "pools": list(vm.pools),
        "addresses": [str(address) for address in vm.addresses],
        "prefixes": [str(prefix) for prefix in vm.prefixes],
        "mac": vm.mac,
        "kind": vm.kind,
        "owner": vm.owner,
        "announcement": vm.announcement,
        **({"network": vm.network} if vm.network else {}),
        **({"vlan": vm.vlan} if vm.vlan else {}),
        "driver": vm.driver,
        **({"guest": vm.guest} if vm.guest else {}),
        **({"vnc_port": vm.vnc_port} if vm.vnc_port else {}),
    }


def _check_agrees(place: Place, vm: Vm, declared: Vm, given: Mapping[object, object]) -> None:
    for key in (*VM_KEYS, *SWITCHING_KEYS):
        if key in given and getattr(vm, key) != getattr(declared, key):
            place.at(key).mistake(
                f"differs from the declaration of {vm.name}, which is on {declared.node}",
                f"change it in {declared.key} of {declared.where.partition(',')[0]}, or leave it out here",
            )


def read_leaving_vms(place: Place, value: object, clusters: Sequence[Cluster]) -> tuple[Vm, ...]:
    """Return the VMs to detach; node is empty where neither the entry nor a declaration names it."""
    declared = {(vm.cluster, vm.name, vm.nic): vm for cluster in clusters for vm in cluster.vms}
    found = []
    for index, element in enumerate(read_list(place, value) or []):
        here = place.item(index)
        fields = read_mapping(here, element, (*VM_KEYS, *SWITCHING_KEYS, "cluster"))
        if fields is None or not isinstance(element, Mapping):
            continue
        name = read_vm_name(here.at("name"), element.get("name"))
        nic = read_integer(here.at("nic"), 0 if element.get("nic") is None else element["nic"], 0, NIC_MAXIMUM)
        cluster = _find_cluster(here, element, clusters)
        if name is None or nic is None or cluster is None:
            continue
        known = declared.get((cluster.name, name, nic))
        node = element.get("node")
        node = (known.node if known else "") if node is None else read_node(here.at("node"), node, cluster)
        if node is not None:
            mac = guest_mac(cluster.name, name, nic)
            vm = Vm(cluster.name, name, nic, node, (), (), (), mac, "tap", "root", "withdrawn", here.where, here.key)
            default = known.driver if known else cluster.vm_driver
            found.append(replace(vm, driver=read_driver(here.at("driver"), fields.get("driver", default))))
    return tuple(found)


def read_migrations(place: Place, value: object, clusters: Sequence[Cluster]) -> None:
    """Check what VMs are to be migrated: a list of `{vm, node}`. Clusters whose addresses belong to nodes refuse it."""
    for index, element in enumerate(read_list(place, value) or []):
        here = place.item(index)
        fields = read_mapping(here, element, ("vm", "node", "cluster"))
        if fields is None:
            continue
        read_vm_name(here.at("vm"), fields.get("vm"))
        if "node" not in fields:
            here.at("node").mistake("is missing", "name the node that the VM goes to")
            continue
        node = read_text(here.at("node"), fields["node"])
        if node is not None:
            _check_migration(here, node, fields, clusters)


def _check_migration(place: Place, node: str, fields: Mapping[str, object], clusters: Sequence[Cluster]) -> None:
    owners = [cluster for cluster in clusters if node in cluster.nodes]
    if not owners:
        place.at("node").mistake(f"{shown(node)} is not a node of any cluster", "name a node of the VM's cluster")
        return
    if owners[0].type == ROUTING:
        place.mistake(
            f"LiveMigrationRefused: {owners[0].where} is of type routing, where addresses belong to nodes",
            "stop the VM and attach it anew, with an address of the other node",
        )
    elif fields.get("cluster") not in (None, owners[0].name):
        place.at("node").mistake(f"{node} is a node of {owners[0].where}", "a VM migrates within its own cluster")
