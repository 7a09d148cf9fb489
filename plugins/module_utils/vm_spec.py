# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for a VM's interface: the module's options, checked whole, as values that planners work on."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import (
    NIC_MAXIMUM,
    check_vm_name,
    interface_name,
)

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

MTU_MINIMUM = {4: 68, 6: 1280}
"""Smallest MTU per family: RFC 791, RFC 8200."""

MTU_MAXIMUM = {"tap": 65521, "veth": 65535}
"""Kinds of VM interfaces, and the kernel's max_mtu of each."""

THING_OF = {"name": "interface", "addresses": "address", "prefixes": "prefix"}
"""What an option's value means to the operator."""

FRR, KERNEL = "frr", "kernel"
"""Who has the routes to VMs: FRR, which announces them, or the kernel alone."""

_BRIDGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)
_SYSCTL = re.compile(r"ipv[46]\.[a-z0-9_]+", re.ASCII)


class Gateway(NamedTuple):
    """The cluster's gateway: the same addresses and MAC on every VM interface. An absent family is None."""

    ipv4: Optional[str]
    ipv6: Optional[str]
    mac: str


class Vm(NamedTuple):
    """One VM interface that is wanted. Addresses, prefixes and MACs are in canonical form; owner is a user id.

    bridge: the bridge that it is a port of, or empty; its gateway has the MAC of the node's side then, no addresses.
    routes: FRR or KERNEL. proxy_ndp: the interface that answers for the VM's IPv6 addresses, or empty.
    driver: what runs the guest where that is ours to run, or empty.
    """

    name: str
    nic: int
    interface: str
    altname: Optional[str]
    kind: str
    owner: int
    multi_queue: bool
    addresses: Tuple[str, ...]
    prefixes: Tuple[str, ...]
    mac: str
    mtu: int
    sysctls: Tuple[Tuple[str, str], ...]
    announcement: str
    gateway: Gateway
    bridge: str = ""
    routes: str = FRR
    proxy_ndp: str = ""
    driver: str = ""


class Wanted(NamedTuple):
    """What one call asks for: interfaces that shall be there, and those (VM, NIC) that shall not."""

    present: Tuple[Vm, ...]
    absent: Tuple[Tuple[str, int], ...]


def family_of(text: str) -> int:
    """Return 4 or 6 of an address or prefix in canonical form."""
    return 6 if ":" in text else 4


def peer_name(interface: str) -> str:
    """Return the name of a veth interface's other end: `_net` becomes `_vm`, which always fits and no other interface
    has."""
    head, _net, nic = interface.rpartition("_net")
    return f"{head}_vm{nic}"


def check_wanted(params: Mapping[str, Any], owners: Mapping[str, Optional[int]]) -> Tuple[Wanted, List[str]]:
    """Return (what is wanted, all mistakes). With mistakes, what is wanted must not be used.

    params: the options of fabric_vm_iface. owners: user id of every owner named there, None for a user that the node
    lacks.
    """
    mistakes: List[str] = []
    gateway = _check_gateway(params.get("gateway"), mistakes)
    present: List[Tuple[str, Vm]] = []
    absent: List[Tuple[str, int]] = []
    for index, entry in enumerate(params["vms"]):
        where = f"vms[{index}]"
        if not _check_identity(entry, where, mistakes):
            continue
        if entry["state"] == "absent":
            absent.append((entry["name"], entry["nic"]))
            continue
        if not params.get("gateway") and not entry.get("bridge"):
            mistakes.append(f"{where}: gateway is missing: give gateway.mac, and gateway.ipv4 or gateway.ipv6")
        vm = _check_vm(entry, where, params, gateway, owners, mistakes)
        if vm is not None:
            present.append((where, vm))
    mistakes += _check_duplicates(params["vms"]) + _check_together(present, absent)
    return Wanted(tuple(vm for _where, vm in present), tuple(absent)), mistakes


def _check_gateway(options: Optional[Mapping[str, Any]], mistakes: List[str]) -> Optional[Gateway]:
    if not options:
        return None
    told = len(mistakes)
    ipv4 = _check_address(options.get("ipv4"), "gateway.ipv4", mistakes, 4)
    ipv6 = _check_address(options.get("ipv6"), "gateway.ipv6", mistakes, 6)
    mac = _check_mac(options["mac"], "gateway.mac", mistakes)
    if not options.get("ipv4") and not options.get("ipv6"):
        mistakes.append("gateway: has no address: give ipv4, ipv6 or both")
    if len(mistakes) > told or mac is None:
        return None
    return Gateway(ipv4, ipv6, mac)


def _check_identity(entry: Mapping[str, Any], where: str, mistakes: List[str]) -> bool:
    told = len(mistakes)
    wrong = check_vm_name(entry["name"])
    if wrong:
        mistakes.append(f"{where}.name: {entry['name']!r} {wrong}")
    if not 0 <= entry["nic"] <= NIC_MAXIMUM:
        mistakes.append(f"{where}.nic: {entry['nic']} is out of range: give 0 to {NIC_MAXIMUM}")
    return len(mistakes) == told


def bridged_mac(mac: str) -> str:
    """Return the MAC of the node's side of a bridged interface: the guest's, with a first byte of its own. A bridge
    takes frames to a port's own MAC for the node's, so it must not be the guest's."""
    first = "fe" if mac[:2] != "fe" else "fa"
    return first + mac[2:]


def _check_vm(
    entry: Mapping[str, Any], where: str, params: Mapping[str, Any], gateway: Optional[Gateway],
    owners: Mapping[str, Optional[int]], mistakes: List[str],
) -> Optional[Vm]:
    told = len(mistakes)
    bridge, routes = entry.get("bridge") or "", params.get("routes") or FRR
    if bridge:
        gateway = None
    mistakes += [f"{where}.{wrong}" for wrong in _check_way(entry, bridge, routes, params.get("proxy_ndp") or "")]
    addresses = _check_addresses(entry["addresses"] or [], f"{where}.addresses", gateway, bridge, mistakes)
    prefixes = _check_prefixes(entry["prefixes"] or [], f"{where}.prefixes", addresses, gateway, mistakes)
    if not entry.get("mac"):
        mistakes.append(f"{where}.mac: is missing: give the MAC of the guest's network card")
    mac = _check_mac(entry["mac"], f"{where}.mac", mistakes) if entry.get("mac") else None
    if gateway and mac == gateway.mac:
        mistakes.append(f"{where}.mac: {mac} is the gateway's MAC: give the guest another")
    mtu = params["mtu"] if entry.get("mtu") is None else entry["mtu"]
    _check_mtu(mtu, entry["kind"], gateway, f"{where}.mtu", mistakes)
    owner = entry.get("owner") or params["owner"]
    owner_id = owners.get(owner)
    if owner_id is None:
        mistakes.append(f"{where}.owner: the node has no user {owner!r}: create it, or name another")
    sysctls = {**(params.get("sysctls") or {}), **(entry.get("sysctls") or {})}
    for key in sysctls:
        if not _SYSCTL.fullmatch(str(key)):
            mistakes.append(f"{where}.sysctls: {key!r} is no sysctl of an interface: write it like ipv4.proxy_arp")
    if bridge and mac is not None:
        gateway = Gateway(None, None, bridged_mac(mac))
    if len(mistakes) > told or gateway is None or mac is None or owner_id is None:
        return None
    interface, altname = interface_name(entry["name"], entry["nic"])
    return Vm(
        entry["name"], entry["nic"], interface, altname, entry["kind"], owner_id, bool(entry["multi_queue"]), addresses,
        prefixes, mac, mtu, tuple(sorted((key, str(value)) for key, value in sysctls.items())), entry["announcement"],
        gateway, bridge, routes, "" if bridge else params.get("proxy_ndp") or "", entry.get("driver") or "")


def _check_way(entry: Mapping[str, Any], bridge: str, routes: str, proxy_ndp: str) -> List[str]:
    """Return what contradicts the way to a VM that is no route of FRR."""
    mistakes = []
    if bridge and not _BRIDGE.fullmatch(bridge):
        mistakes.append(f"bridge: {bridge!r} is no interface's name")
    if bridge and entry["prefixes"]:
        mistakes.append("prefixes: nothing is routed through a VM on a bridge: leave them out")
    if (bridge or routes == KERNEL) and entry["announcement"] not in ("announced", "standby" if bridge else ""):
        mistakes.append(f"announcement: {entry['announcement']} is for routes of FRR: leave it out")
    if proxy_ndp and routes != KERNEL and not bridge:
        mistakes.append("addresses: proxy_ndp is for routes of the kernel: set routes to kernel, or leave it out")
    if proxy_ndp and not bridge and any(":" in str(prefix) for prefix in entry["prefixes"] or ()):
        mistakes.append("prefixes: proxy_ndp answers for single addresses, not for IPv6 prefixes: leave these out")
    return mistakes


def _check_addresses(
    texts: Sequence[str], where: str, gateway: Optional[Gateway], bridge: str, mistakes: List[str],
) -> Tuple[str, ...]:
    if not texts and not bridge:
        mistakes.append(f"{where}: is empty: give the VM at least one address")
    good = []
    for text in texts:
        address = _check_address(text, where, mistakes)
        if address is None:
            continue
        if gateway and address in gateway:
            mistakes.append(f"{where}: {address} is the gateway's address: give the VM another")
        elif gateway and gateway[0 if family_of(address) == 4 else 1] is None:
            mistakes.append(f"{where}: {address} has no gateway of its family: give gateway.ipv{family_of(address)}")
        elif ipaddress.ip_address(address).is_link_local:
            mistakes.append(f"{where}: {address} is link-local and cannot be announced: give an address of a pool")
        else:
            good.append(address)
    return tuple(good)


def _check_prefixes(
    texts: Sequence[str], where: str, addresses: Sequence[str], gateway: Optional[Gateway], mistakes: List[str],
) -> Tuple[str, ...]:
    families = {family_of(address) for address in addresses}
    good = []
    for text in texts:
        try:
            network = ipaddress.ip_network(str(text))
        except ValueError as error:
            mistakes.append(f"{where}: {error}: write it like 203.0.113.16/28, without host bits")
            continue
        inside = [each for each in (gateway or ())[:2] if each and family_of(each) == network.version
                  and ipaddress.ip_address(each) in network]
        if network.prefixlen == 0:
            mistakes.append(f"{where}: {network} is the default route: a VM cannot have it")
        elif network.version not in families:
            mistakes.append(f"{where}: {network} needs an IPv{network.version} address of the VM to be routed through")
        elif inside:
            mistakes.append(f"{where}: {network} holds the gateway {inside[0]}: give the VM another prefix")
        else:
            good.append(str(network))
    return tuple(good)


def _check_address(text: Optional[str], where: str, mistakes: List[str], family: Optional[int] = None) -> Optional[str]:
    if not text:
        return None
    try:
        address: Address = ipaddress.ip_address(str(text))
    except ValueError:
        mistakes.append(f"{where}: {text!r} is no address: write it like 203.0.113.10 or 2001:db8::10, without length")
        return None
    if family not in (None, address.version):
        mistakes.append(f"{where}: {text!r} is no IPv{family} address")
        return None
    # is_reserved would refuse 240.0.0.0/4, which some operators route; only what cannot be an interface's address is
    # refused
    if address.is_multicast or address.is_unspecified or address.is_loopback or getattr(address, "ipv4_mapped", None) \
            or str(address) == "255.255.255.255" or getattr(address, "scope_id", None):
        mistakes.append(f"{where}: {text!r} cannot be an interface's address")
        return None
    return str(address)


def _check_mac(text: str, where: str, mistakes: List[str]) -> Optional[str]:
    mac = str(text).lower()
    if not _MAC.fullmatch(mac):
        mistakes.append(f"{where}: {text!r} is no MAC address: write it like 02:56:4d:12:34:56")
        return None
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        mistakes.append(f"{where}: {text!r} is a group or zero address: the first byte must be even, e.g. 02")
        return None
    return mac


def _check_mtu(mtu: int, kind: str, gateway: Optional[Gateway], where: str, mistakes: List[str]) -> None:
    least = MTU_MINIMUM[6 if gateway and gateway.ipv6 else 4]
    if not least <= mtu <= MTU_MAXIMUM[kind]:
        mistakes.append(f"{where}: {mtu} is out of range: give {least} to {MTU_MAXIMUM[kind]}")


def _check_duplicates(entries: Sequence[Mapping[str, Any]]) -> List[str]:
    mistakes = []
    seen: Dict[Tuple[str, int], int] = {}
    for index, entry in enumerate(entries):
        first = seen.setdefault((entry["name"], entry["nic"]), index)
        if first != index:
            mistakes.append(f"vms[{index}].name: {entry['name']!r} with nic {entry['nic']} is vms[{first}] already")
    return mistakes


def _check_together(present: Sequence[Tuple[str, Vm]], absent: Sequence[Tuple[str, int]]) -> List[str]:
    """Return what several VM interfaces may not share: a name, an address, a prefix."""
    mistakes = []
    seen: Dict[Tuple[str, str], str] = {}
    for where, vm in present:
        things = [("name", vm.interface), *(("addresses", each) for each in vm.addresses)]
        things += [("prefixes", each) for each in vm.prefixes]
        for key, value in things:
            if (key, value) in seen:
                mistakes.append(f"{where}.{key}: {vm.name!r} has the same "
                                f"{THING_OF[key]} {value} as {seen[key, value]}: only one can have it")
            seen.setdefault((key, value), where)
    for name, nic in absent:
        where_there = seen.get(("name", interface_name(name, nic)[0]))
        if where_there:
            mistakes.append(f"{where_there}.name: its interface is named like that of {name!r} (nic {nic}, absent)")
    return mistakes
