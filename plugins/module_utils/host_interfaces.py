# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe a host's NICs and what stands on them, and propose which is the main one. Pure but for `read_*`."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import DEFAULTS, Connection
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import Kernel, KernelRoute, Link, ask

NO_NAMES = ("lo",)


class Hardware(NamedTuple):
    """What sysfs tells of an interface. speed: Mbit/s, None when the driver does not say."""

    driver: str = ""
    speed: Optional[int] = None


def describe_interfaces(
        kernel: Kernel, hardware: Mapping[str, Hardware], neighbours: Mapping[str, Mapping[str, str]]
) -> List[Dict[str, Any]]:
    """Return one dictionary per interface but the loopback, NICs first."""
    links = sorted((link for link in kernel.links.values() if link.name not in NO_NAMES),
                   key=lambda link: (not link.physical, link.name))
    return [_describe(link, kernel, hardware.get(link.name, Hardware()), neighbours.get(link.name)) for link in links]


def propose_nics(kernel: Kernel, connection: Optional[Connection]) -> Dict[str, Any]:
    """Return which NIC is best the main one, which are left, and why.

    The main one leads to the default gateway, else Ansible's connection comes by it, else it alone has carrier.
    """
    nics = sorted(name for name, link in kernel.links.items() if link.physical)
    main, why = _find_main(kernel, connection, nics)
    rest = [name for name in nics if name not in main]
    rest.sort(key=lambda name: not kernel.links[name].carrier)
    return {"main": main, "additional": rest, "why": why}


def read_hardware(kernel: Kernel) -> Dict[str, Hardware]:
    """Return what sysfs tells of the host's interfaces."""
    return {name: Hardware(_read_driver(link), _read_speed(name)) for name, link in kernel.links.items()}


def read_neighbours() -> Dict[str, Dict[str, str]]:
    """Return by interface the LLDP neighbour that lldpd has heard; nothing where it does not run."""
    return parse_neighbours(ask("lldpcli", "-f", "json0", "show", "neighbors"))


def parse_neighbours(shown: str) -> Dict[str, Dict[str, str]]:
    """Read what `lldpcli -f json0 show neighbors` prints; of several neighbours of an interface the first counts."""
    try:
        told = json.loads(shown)
    except ValueError:
        return {}
    found: Dict[str, Dict[str, str]] = {}
    for entry in (each for part in told.get("lldp", ()) for each in part.get("interface", ())):
        chassis, port = ((entry.get(key) or [{}])[0] for key in ("chassis", "port"))
        found.setdefault(entry.get("name", ""), {
            "system": _value(chassis, "name") or _value(chassis, "id"), "port": _value(port, "id"),
            "description": _value(port, "descr")})
    return found


def _value(part: Mapping[str, Any], key: str) -> str:
    return str((part.get(key) or [{}])[0].get("value", ""))


def _describe(
        link: Link, kernel: Kernel, hardware: Hardware, neighbour: Optional[Mapping[str, str]]) -> Dict[str, Any]:
    gateways = [route.via for route in _default_routes(kernel) if route.dev == link.name]
    return {
        "name": link.name, "physical": link.physical, "kind": link.kind or ("nic" if link.physical else "other"),
        "driver": hardware.driver, "speed": hardware.speed, "up": link.up, "carrier": link.carrier, "mtu": link.mtu,
        "mac": link.mac, "pci": link.pci or None, "addresses": list(link.addresses), "master": link.master or None,
        "ports": sorted(name for name, other in kernel.links.items() if other.master == link.name),
        "link": link.link or None, "gateways": gateways,
        "lldp": dict(neighbour) if neighbour else None,
    }


def _default_routes(kernel: Kernel) -> List[KernelRoute]:
    routes = [route for route in kernel.routes if route.to in DEFAULTS.values()]
    return sorted(routes, key=lambda route: (route.metric, route.to != DEFAULTS["ipv4"]))


def _find_main(kernel: Kernel, connection: Optional[Connection], nics: List[str]) -> Tuple[List[str], str]:
    for route in _default_routes(kernel):
        below = find_nics(kernel, route.dev)
        if below:
            return below, f"the default route goes by {route.dev}"
    if connection is not None:
        holders = [name for name, link in kernel.links.items()
                   if connection.server in (address.partition("/")[0] for address in link.addresses)]
        below = [nic for name in holders for nic in find_nics(kernel, name)]
        if below:
            return below, f"Ansible's connection comes by {holders[0]}"
    lit = [name for name in nics if kernel.links[name].carrier]
    if len(lit) == 1:
        return lit, "no other has carrier"
    return [], "it cannot be told: no default route, and not exactly one NIC with carrier"


def find_nics(kernel: Kernel, name: str) -> List[str]:
    """Return the NICs below an interface: itself, ports of a bridge or bond, what a VLAN stands on."""
    left, found = [name], []
    while left:
        link = kernel.links.get(left.pop(0))
        if link is not None and link.physical:
            found.append(link.name)
        elif link is not None:
            left += [link.link] if link.link else []
            left += sorted(_ports(kernel.links.values(), link.name))
    return found


def _ports(links: Iterable[Link], master: str) -> List[str]:
    return [link.name for link in links if link.master == master]


def _read_driver(link: Link) -> str:
    driver = os.path.realpath(f"/sys/class/net/{link.name}/device/driver")
    return os.path.basename(driver) if os.path.isdir(driver) else link.kind


def _read_speed(name: str) -> Optional[int]:
    with contextlib.suppress(OSError, ValueError), open(f"/sys/class/net/{name}/speed", encoding="ascii") as stream:
        speed = int(stream.read())
        return speed if speed > 0 else None
    return None
