# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading VMs: those that a cluster declares, and those that a playbook is asked to attach."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import NIC_MAXIMUM, check_vm_name

from .cluster import IPFABRIC, MAIN, ROUTING, SWITCHING, Cluster, Pool, Vm
from .findings import Place
from .names import guest_mac
from .read_console import VNC_PORT, read_vnc_port
from .read_guests import check_guest_name, read_guest, read_kind
from .read_switching import read_vlan
from .values import (
    Address,
    Network,
    read_address,
    read_choice,
    read_integer,
    read_list,
    read_mac,
    read_mapping,
    read_prefix,
    read_text,
    read_texts,
    shown,
)

VM_KEYS = ("name", "node", "nic", "pools", "addresses", "prefixes", "mac", "kind", "owner", "announcement", "driver",
           "guest", VNC_PORT)
SWITCHING_KEYS = ("network", "vlan")
KINDS = ("tap", "veth")
ANNOUNCEMENTS = ("announced", "standby", "withdrawn")

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}", re.ASCII)


def read_vms(place: Place, value: object, cluster: Cluster) -> tuple[Vm, ...]:
    """Return the VMs of a list, all of one cluster; those whose mistakes leave them without meaning are left out."""
    found = (
        read_vm(place.item(index), element, cluster)
        for index, element in enumerate(read_list(place, value) or [])
    )
    return tuple(vm for vm in found if vm is not None)


def read_vm(place: Place, value: object, cluster: Cluster, more_keys: Sequence[str] = ()) -> Vm | None:
    """Return one NIC of a VM with defaults filled in, or None without name or node. more_keys: others it may have."""
    name = read_vm_name(place.at("name"), value.get("name")) if isinstance(value, Mapping) else None
    if name is not None:
        place = Place(place.findings, f"{cluster.where}, VM {name}", place.key)
    switched = cluster.type == SWITCHING
    keys = (*VM_KEYS, *(SWITCHING_KEYS if switched else ()), *more_keys)
    fields = read_mapping(place, value, keys, refused=("bridge",) if switched else ("bridge", *SWITCHING_KEYS))
    if fields is None:
        return None
    _refuse_others(place, fields, cluster)
    nic = read_integer(place.at("nic"), fields.get("nic", 0), 0, NIC_MAXIMUM)
    node = read_node(place.at("node"), fields.get("node"), cluster)
    prefixes = _read_prefixes(place.at("prefixes"), fields.get("prefixes", []))
    addresses = _read_addresses(place.at("addresses"), fields.get("addresses", []))
    network, vlan = _read_network(place, fields, cluster) if switched else ("", 0)
    pools = _read_pools(place.at("pools"), fields.get("pools"), cluster, addresses, (node or "", network))
    mac = read_mac(place.at("mac"), fields["mac"]) if "mac" in fields else None
    driver, guest = read_guest(place, fields, cluster.vm_driver)
    _check_name_of_guest(place.at("name"), name, driver)
    vnc_port = read_vnc_port(place.at(VNC_PORT), fields[VNC_PORT], driver) if VNC_PORT in fields else 0
    kind = read_kind(place.at("kind"), fields, driver, KINDS)
    owner = _read_owner(place.at("owner"), fields.get("owner", "root"))
    announcement = read_choice(place.at("announcement"), fields.get("announcement", "announced"), ANNOUNCEMENTS)
    if name is None or nic is None or node is None:
        return None
    return Vm(
        cluster=cluster.name,
        name=name,
        nic=nic,
        node=node,
        pools=pools,
        addresses=addresses,
        prefixes=prefixes,
        mac=mac or guest_mac(cluster.name, name, nic),
        kind=kind,
        owner=owner or "root",
        announcement=announcement or "announced",
        where=place.where,
        key=place.key,
        network=network,
        vlan=vlan,
        driver=driver,
        guest=guest,
        vnc_port=vnc_port,
    )


def read_vm_name(place: Place, value: object) -> str | None:
    """Return a VM's name that kernel and FRR can take."""
    if value is None:
        place.mistake("is missing", "name the VM")
        return None
    name = read_text(place, value)
    wrong = check_vm_name(name) if name is not None else None
    if wrong is not None:
        problem, _colon, remedy = wrong.partition(": ")
        place.mistake(f"{shown(name)} {problem}", remedy)
        return None
    return name


def _check_name_of_guest(place: Place, name: str | None, driver: str) -> None:
    """Refuse what a driver would, when the interface is there already."""
    if name is not None and (wrong := check_guest_name(name, driver)):
        problem, _colon, remedy = wrong.partition(": ")
        place.mistake(f"{shown(name)} {problem}", remedy)


def _refuse_others(place: Place, fields: Mapping[str, object], cluster: Cluster) -> None:
    """Record what VMs of clusters of other types have."""
    if "bridge" in fields and cluster.type == SWITCHING:
        place.at("bridge").mistake("is not known", "say which network the NIC is in: network: main, or additional")
    elif "bridge" in fields:
        place.at("bridge").mistake(
            f"bridges are not supported on the nodes of {_a(cluster.type)} cluster",
            "remove it: each VM has an interface of its own, without a bridge",
        )
    for key in SWITCHING_KEYS:
        if key in fields and cluster.type != SWITCHING:
            place.at(key).mistake(f"{_a(cluster.type)} cluster has no networks to choose from", "remove it")
    if fields.get("announcement", "announced") != "announced" and cluster.type != IPFABRIC:
        place.at("announcement").mistake(f"nothing is announced in {_a(cluster.type)} cluster", "remove it")
    if fields.get("prefixes") and cluster.type == SWITCHING:
        place.at("prefixes").mistake("nothing is routed through VMs in a switching cluster", "remove it")


def _a(kind: str) -> str:
    return f"{'an' if kind == IPFABRIC else 'a'} {kind}"


def _read_network(place: Place, fields: Mapping[str, object], cluster: Cluster) -> tuple[str, int]:
    """Return the network that a NIC is in, and its VLAN there, 0 for that of the network."""
    names = tuple(network.name for network in cluster.networks) or (MAIN,)
    name = read_choice(place.at("network"), fields.get("network", MAIN), names) or MAIN
    network = cluster.network(name)
    vlan = read_vlan(place.at("vlan"), fields["vlan"]) if "vlan" in fields else 0
    if vlan and network is not None and vlan not in network.vlans:
        place.at("vlan").mistake(
            f"{vlan} is not a VLAN of network {name}", f"add it to networks.{name}.vlans, so that every node has it"
        )
    return name, vlan


def read_node(place: Place, value: object, cluster: Cluster) -> str | None:
    """Return the name of a node of the cluster."""
    if value is None:
        place.mistake("is missing", "name the node that the VM is on")
        return None
    node = read_text(place, value)
    if node is None or node in cluster.nodes:
        return node
    place.mistake(f"{shown(node)} is not a node of {cluster.where}", f"use one of {_some(cluster.nodes)}")
    return None


def _some(names: Sequence[str]) -> str:
    """Return names for a message: all of a few, the first of many."""
    return ", ".join(names) if len(names) <= 6 else ", ".join(names[:5]) + f", ... ({len(names)} in all)"


def _read_owner(place: Place, value: object) -> str | None:
    owner = read_text(place, value)
    if owner is not None and not _USER.fullmatch(owner):
        place.mistake(f"{shown(owner)} is not a user's name", "name the user of the node that the tap belongs to")
        return None
    return owner


def _read_prefixes(place: Place, value: object) -> tuple[Network, ...]:
    elements = read_list(place, value) or []
    found = (read_prefix(place.item(index), element) for index, element in enumerate(elements))
    return tuple(prefix for prefix in found if prefix is not None)


def _read_addresses(place: Place, value: object) -> tuple[Address, ...]:
    elements = read_list(place, value) or []
    found = (read_address(place.item(index), element) for index, element in enumerate(elements))
    return tuple(address for address in found if address is not None)


def _read_pools(
    place: Place, value: object, cluster: Cluster, addresses: Sequence[Address], place_of_vm: tuple[str, str]
) -> tuple[str, ...]:
    """Return the names of the VM's pools; by default those of asked-for addresses, and the first of other families.

    place_of_vm: its node and its network, which pools may be bound to.
    """
    usable = cluster.pools_for(*place_of_vm)
    if value is None:
        return _default_pools(cluster, addresses, usable)
    names = {pool.name for pool in usable}
    bound = {pool.name: pool.node or pool.network for pool in cluster.pools if pool not in usable}
    found: list[str] = []
    texts = read_texts(place, value)
    if not texts and isinstance(value, (list, tuple)) and not value:
        place.mistake("is empty", "name a pool, or leave the key out for the first of each family")
    for index, name in enumerate(texts):
        if name in found:
            place.item(index).mistake(f"{shown(name)} is there twice", "leave one: a NIC has one address of a pool")
        elif name in names or (name not in bound and not cluster.pools_complete):
            found.append(name)
        elif name in bound:
            what = "addresses belong to nodes here" if cluster.type == ROUTING else "a NIC is in one network"
            place.item(index).mistake(
                f"{shown(name)} is of {bound[name]}: {what}", f"use {' or '.join(sorted(names)) or 'another'}"
            )
        else:
            place.item(index).mistake(
                f"{shown(name)} is not a pool of {cluster.where}",
                f"use {' or '.join(sorted(names)) or 'one of its pools'}",
            )
    return tuple(found)


def _default_pools(cluster: Cluster, addresses: Sequence[Address], usable: Sequence[Pool]) -> tuple[str, ...]:
    asked = [pool for pool in (cluster.find_pool(address) for address in addresses) if pool is not None]
    chosen: list[Pool] = list(dict.fromkeys(asked))
    for version in sorted({pool.version for pool in usable}):
        if all(pool.version != version for pool in chosen):
            chosen.append(next(pool for pool in usable if pool.version == version))
    return tuple(pool.name for pool in sorted(chosen, key=lambda pool: pool.index))
