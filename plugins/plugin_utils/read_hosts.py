# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the variables of hosts: underlay addresses, router id, platform."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, ip_network

from .cluster import CORE_GATEWAYS, DEFAULT_MTU, EXTERNAL, FRR, JUNOS, NODES, ROUTE_REFLECTORS, Host
from .findings import Place
from .read_console import VNC_ADDRESS, read_vnc_address
from .read_junos import JUNOS_PREFIX, MATCH_KEY, read_junos
from .read_ports import (
    ADDITIONAL_PORT,
    MANAGEMENT_PORT,
    NAMESERVERS,
    NODE_KEYS,
    UPLINK,
    read_addresses,
    read_nic,
    read_node_pools,
    read_port,
)
from .values import Address, is_host_address, read_address, read_choice, read_integer, read_text, shown

HOST_KEYS = (
    "underlay_ipv4",
    "underlay_ipv6",
    "underlay_interface",
    "underlay_mtu",
    "router_id",
    "route_reflector_platform",
    "core_gateway_platform",
    MATCH_KEY,
    VNC_ADDRESS,
    *NODE_KEYS,
)
CLUSTER_KEY = "cluster"
_PREFIXES = ("underlay_", f"{UPLINK}_", f"{ADDITIONAL_PORT}_", "management_", "routing_", "vnc_")

_PLATFORMS = {
    NODES: ("", (FRR,)),
    ROUTE_REFLECTORS: ("route_reflector_platform", (FRR, EXTERNAL)),
    CORE_GATEWAYS: ("core_gateway_platform", (FRR, JUNOS, EXTERNAL)),
}
_LINK_LOCAL = {4: ip_network("169.254.0.0/16"), 6: ip_network("fe80::/10")}


def read_host(place: Place, group: str, variables: Mapping[str, object]) -> Host:
    """Return a host of a group; what is wrong is recorded and left out."""
    ipv4 = _read_underlay(place.at("underlay_ipv4"), variables.get("underlay_ipv4"), 4)
    ipv6 = _read_underlay(place.at("underlay_ipv6"), variables.get("underlay_ipv6"), 6)
    router_id = _read_router_id(place.at("router_id"), variables.get("router_id"))
    read = {"underlay_ipv4": ipv4, "underlay_ipv6": ipv6, "router_id": router_id}
    mistaken = {key for key, value in read.items() if not value and variables.get(key) is not None}
    if variables.get("router_id") is None and ipv4 is not None:
        router_id = str(ipv4)
    interface = variables.get("underlay_interface")
    mtu = variables.get("underlay_mtu")
    platform = _read_platform(place, group, variables)
    for name in variables:
        _check_name(place, name)
        if group == CORE_GATEWAYS and platform != JUNOS:
            _check_effect(place, name)
    management, servers = variables.get(MANAGEMENT_PORT), variables.get(NAMESERVERS)
    pools, complete = read_node_pools(place, place.where, variables)
    vnc = variables.get(VNC_ADDRESS)
    vnc_address = read_vnc_address(place.at(VNC_ADDRESS), vnc) if vnc is not None else None
    mistaken |= {VNC_ADDRESS} if vnc is not None and vnc_address is None else set()
    return Host(
        name=place.where,
        group=group,
        ipv4=ipv4,
        ipv6=ipv6,
        router_id=router_id,
        interface=_read_interface(place.at("underlay_interface"), interface) if interface is not None else "",
        mtu=_read_mtu(place.at("underlay_mtu"), mtu) if mtu is not None else DEFAULT_MTU,
        platform=platform,
        junos=read_junos(place, variables) if platform == JUNOS else None,
        uplink=read_port(place, UPLINK, variables),
        additional=read_port(place, ADDITIONAL_PORT, variables),
        management_port=read_nic(place.at(MANAGEMENT_PORT), management) if management is not None else "",
        nameservers=read_addresses(place.at(NAMESERVERS), servers) if servers is not None else (),
        pools=pools,
        pools_complete=complete,
        vnc_address=vnc_address,
        mistaken=frozenset(mistaken),
    )


def _check_name(place: Place, name: object) -> None:
    """Warn of a variable that looks like one of ours; it may be the operator's own, so it is no mistake."""
    if not isinstance(name, str) or name in HOST_KEYS or not name.startswith(_PREFIXES):
        return
    near = difflib.get_close_matches(name, HOST_KEYS, n=1, cutoff=0.6 if name.startswith("underlay_") else 0.8)
    if near or name.startswith("underlay_"):
        place.at(shown(name).strip("'")).warning(
            "is not a variable of this collection", f"did you mean {near[0]}?" if near else "nothing reads it"
        )


def _check_effect(place: Place, name: object) -> None:
    """Warn of a Junos gateway's variable at a host that is none."""
    if isinstance(name, str) and (name == MATCH_KEY or name.startswith(JUNOS_PREFIX)):
        place.at(shown(name).strip("'")).warning("has no effect", "it is for hosts with core_gateway_platform: junos")


def _read_underlay(place: Place, value: object, version: int) -> Address | None:
    if value is None:
        return None
    address = read_address(place, value, version)
    if address is None:
        return None
    if address in _LINK_LOCAL[version]:
        place.mistake(f"{address} is link-local", "give an address that all hosts of the underlay can reach")
    elif not is_host_address(address):
        place.mistake(f"{address} is not an address of a host", "give the address that BGP sessions run on")
    else:
        return address
    return None


def _read_router_id(place: Place, value: object) -> str:
    """Return a router id: four numbers like an IPv4 address, not zero (RFC 6286)."""
    text = read_text(place, value) if value is not None else None
    if text is None:
        return ""
    try:
        router_id = IPv4Address(text)
    except AddressValueError:
        place.mistake(f"{shown(text)} is not a router id", "write it like an IPv4 address, such as 10.20.0.11")
        return ""
    if not int(router_id):
        place.mistake("0.0.0.0 is not a router id (RFC 6286)", "leave it out to use underlay_ipv4")
        return ""
    return str(router_id)


def _read_interface(place: Place, value: object) -> str:
    text = read_text(place, value)
    if text is None:
        return ""
    if len(text) > 15 or not text.isascii() or not text.isprintable() or set(text) & set(" /:"):
        place.mistake(f"{shown(text)} is not an interface's name", "give the name that `ip link` shows")
        return ""
    return text


def _read_mtu(place: Place, value: object) -> int:
    return read_integer(place, value, 1280, 65535, " bytes") or DEFAULT_MTU


def _read_platform(place: Place, group: str, variables: Mapping[str, object]) -> str:
    key, choices = _PLATFORMS[group]
    value = variables.get(key) if key else None
    if value is None:
        return FRR
    return read_choice(place.at(key), value, choices) or FRR
