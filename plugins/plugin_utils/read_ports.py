# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading how nodes of switching and routing clusters are on the wire: ports, own addresses, gateways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from .cluster import Pool, Port
from .findings import Place
from .read_pools import read_pools
from .values import Address, is_host_address, is_readable, read_address, read_list, read_text, shown

UPLINK, ADDITIONAL_PORT = "uplink", "additional"
MANAGEMENT_PORT, NAMESERVERS, POOLS = "management_port", "uplink_nameservers", "routing_pools"
PORT_KEYS = tuple(f"{port}_{what}" for port in (UPLINK, ADDITIONAL_PORT) for what in ("port", "addresses", "gateways"))
NODE_KEYS = (*PORT_KEYS, NAMESERVERS, MANAGEMENT_PORT, POOLS)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", re.ASCII)
_PCI = re.compile(r"([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.ASCII)


def read_port(place: Place, name: str, variables: Mapping[str, object]) -> Port | None:
    """Return a port of a node by what its variables begin with; None when nothing is said of it."""
    keys = {what: f"{name}_{what}" for what in ("port", "addresses", "gateways")}
    given = {what: variables[key] for what, key in keys.items() if variables.get(key) is not None}
    if not given:
        return None
    if "port" not in given:
        place.at(keys["port"]).mistake("is missing", "name the NIC: by name, MAC address or PCI path")
    addresses = _read_own_addresses(place.at(keys["addresses"]), given.get("addresses", []))
    return Port(
        nics=_read_nics(place.at(keys["port"]), given["port"]) if "port" in given else (),
        addresses=tuple(address for address in addresses if address is not None),
        gateways=read_addresses(place.at(keys["gateways"]), given.get("gateways", [])),
        complete=None not in addresses,
    )


def read_nic(place: Place, value: object) -> str:
    """Return a NIC's name, MAC address or PCI path, the last two in lower case; empty when it is none of these."""
    text = read_text(place, value)
    if text is None:
        return ""
    if _MAC.fullmatch(text.lower()) or _PCI.fullmatch(text.lower()):
        return text.lower()
    if ":" in text or not _NAME.fullmatch(text) or text in ("all", "default", "lo"):
        place.mistake(f"{shown(text)} is not a NIC", "give its name, MAC address, or PCI path as in 0000:03:00.0")
        return ""
    return text


def _read_nics(place: Place, value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        nic = read_nic(place, value) if is_readable(place, value) else ""
        return (nic,) if nic else ()
    if not value:
        place.mistake("is empty", "name a NIC, or several for a bond")
    nics = (read_nic(place.item(index), element) for index, element in enumerate(value))
    return tuple(nic for nic in nics if nic)


def _read_own_addresses(place: Place, value: object) -> list[IPv4Interface | IPv6Interface | None]:
    """Return the addresses of a list, None for each that is none, and for a list that is none."""
    elements = read_list(place, value)
    if elements is None:
        return [None]
    return [_read_own_address(place.item(index), element) for index, element in enumerate(elements)]


def _read_own_address(place: Place, value: object) -> IPv4Interface | IPv6Interface | None:
    text = read_text(place, value)
    if text is None:
        return None
    bare, slash, _length = text.partition("/")
    if not slash:
        place.mistake(f"{shown(text)} has no length", "write address/length, such as 203.0.113.2/24")
        return None
    if read_address(place, bare) is None:
        return None
    try:
        address = ip_interface(text)
    except ValueError:
        place.mistake(f"{shown(text)} has no length that is possible", "write address/length, such as 203.0.113.2/24")
        return None
    if not is_host_address(address.ip) or address.ip.is_link_local:
        place.mistake(f"{address.ip} is not an address of a host", "give the address that the node is reached by")
        return None
    return address


def read_addresses(place: Place, value: object) -> tuple[Address, ...]:
    """Return the addresses of a list, without length."""
    found = (read_address(place.item(index), element) for index, element in enumerate(read_list(place, value) or []))
    return tuple(address for address in found if address is not None)


def read_node_pools(place: Place, name: str, variables: Mapping[str, object]) -> tuple[tuple[Pool, ...], bool]:
    """Return the addresses that belong to a node, and whether these are all of them."""
    value = variables.get(POOLS)
    return read_pools(place.at(POOLS), value, node=name) if value is not None else ((), True)
