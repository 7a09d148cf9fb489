# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading where VMs' consoles are served, and where their VNC displays are."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from .cluster import Console
from .findings import Place
from .read_guests import EXTERNAL_DRIVER
from .values import Address, read_address, read_integer, read_mapping, read_text, shown

VNC_ADDRESS, VNC_PORT = "vnc_address", "vnc_port"

# RFC 1918, RFC 6598, RFC 4193: a VNC display has no encryption, and by default no password.
_INTERNAL = tuple(
    ip_network(prefix) for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*", re.ASCII)


def read_console(place: Place, value: object) -> Console | None:
    """Return where a cluster's consoles are served; None when it is not known by which host."""
    fields = read_mapping(place, value, ("host", "name", "port", "lifetime"))
    if fields is None:
        return None
    host = read_text(place.at("host"), fields["host"]) if "host" in fields else None
    if "host" not in fields:
        place.at("host").mistake("is missing", "name the host that serves the consoles")
    name = _read_name(place.at("name"), fields["name"]) if "name" in fields else host
    port = read_integer(place.at("port"), fields.get("port", Console.port), 1, 65535)
    # Half a minute is what it takes to open a link; a link that is good for more than a day is a password.
    lifetime = read_integer(place.at("lifetime"), fields.get("lifetime", Console.lifetime), 30, 86400, " seconds")
    if host is None or name is None:
        return None
    return Console(host, name, port or Console.port, lifetime or Console.lifetime)


def _read_name(place: Place, value: object) -> str | None:
    """Return what links have as their host: a name or an address."""
    text = read_text(place, value)
    if text is None:
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if len(text) > 253 or not _HOST_NAME.fullmatch(text):
        place.mistake(f"{shown(text)} is not a host's name", "give the name or address that browsers reach it by")
        return None
    return text


def read_vnc_address(place: Place, value: object) -> Address | None:
    """Return the address of a node that its VMs' VNC displays listen on: one of an internal network."""
    address = read_address(place, value)
    if address is not None and not any(address in network for network in _INTERNAL):
        place.mistake(
            f"{address} is not an internal address, and a VNC display must not be reached from outside",
            "give the node's address in the management network, of RFC 1918, RFC 6598 or RFC 4193",
        )
        return None
    return address


def read_vnc_port(place: Place, value: object, driver: str) -> int:
    """Return the TCP port of the VNC display of a VM that others run; 0 for none."""
    if driver != EXTERNAL_DRIVER:
        place.mistake(f"{driver} runs this VM, and is asked for it", "remove it")
        return 0
    return read_integer(place, value, 1024, 65535) or 0
