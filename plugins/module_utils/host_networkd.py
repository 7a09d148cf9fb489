# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a host's network as systemd-networkd's files (systemd.netdev(5), systemd.network(5)). Pure."""

from __future__ import annotations

import fnmatch
from typing import Dict, Iterator, List, Mapping, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils.host_files import HEADER, Commands, File, join
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan, Interface, Route

FOLDER = "/etc/systemd/network"
OURS = "05-vmcluster-"
"""Before what operators and distributions number 10 and above: of .network files the first that matches counts."""


def render(plan: HostPlan) -> Dict[str, File]:
    """Return the files by path."""
    files: Dict[str, File] = {}
    for interface in plan.interfaces:
        vlans = [each.name for each in plan.interfaces if each.kind == "vlan" and each.link == interface.name]
        kind = {each.name: each.kind for each in plan.interfaces}.get(interface.master, "")
        if interface.kind != "port":
            files[f"{FOLDER}/{OURS}{interface.name}.netdev"] = File(join([HEADER, *_netdev(interface)]))
        files[f"{FOLDER}/{OURS}{interface.name}.network"] = File(join([HEADER, *_network(interface, kind, vlans)]))
    return files


def commands(touched: Sequence[str]) -> Commands:
    """Return how networkd takes new files over: it makes what is new by itself, and does what it is told to touched
    interfaces that are there."""
    return Commands(enter=(("networkctl", "reload"), *(("networkctl", "reconfigure", name) for name in touched)))


def sections(files: Mapping[str, File]) -> Dict[str, str]:
    """Return what our files say of each interface."""
    found: Dict[str, str] = {}
    for path, file in sorted(files.items()):
        if path.startswith(f"{FOLDER}/{OURS}"):
            name = path[len(f"{FOLDER}/{OURS}"):].rpartition(".")[0]
            found[name] = found.get(name, "") + file.text
    return found


def find_earlier(files: Mapping[str, File], names: Sequence[str]) -> List[str]:
    """Return the paths of others' .network files that come before ours and match one of these interfaces."""
    found = []
    for path, file in files.items():
        base = path.rpartition("/")[2]
        patterns = [word for line in file.text.splitlines() if line.startswith("Name=") for word in line[5:].split()]
        if base < OURS and base.endswith(".network") and any(
                fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns):
            found.append(path)
    return found


def _netdev(interface: Interface) -> Iterator[str]:
    yield from ("[NetDev]", f"Name={interface.name}", f"Kind={interface.kind}")
    if interface.mac:
        yield f"MACAddress={interface.mac}"
    if interface.kind == "bridge":
        yield from ("", "[Bridge]", "STP=no", "ForwardDelaySec=0")
    elif interface.kind == "bond":
        yield from ("", "[Bond]", f"Mode={interface.mode}", "MIIMonitorSec=100ms")
        if interface.mode == "802.3ad":
            yield "LACPTransmitRate=fast"
    elif interface.kind == "vlan":
        yield from ("", "[VLAN]", f"Id={interface.id}")


def _network(interface: Interface, master_kind: str, vlans: Sequence[str]) -> Iterator[str]:
    yield from ("[Match]", f"Name={interface.name}")
    yield from _link(interface)
    yield from ("", "[Network]")
    if interface.master:
        yield f"{master_kind.capitalize()}={interface.master}"
    yield from (f"VLAN={name}" for name in vlans)
    yield from (f"Address={address}" for address in interface.addresses)
    yield from (f"DNS={server}" for server in interface.nameservers)
    if interface.dhcp4:
        yield "DHCP=ipv4"
    yield f"IPv6AcceptRA={'yes' if interface.accept_ra else 'no'}"
    yield f"LinkLocalAddressing={'ipv6' if interface.link_local and not interface.master else 'no'}"
    if interface.kind == "bridge":
        yield "ConfigureWithoutCarrier=yes"
    for route in interface.routes:
        yield from ("", *_route(route))


def _link(interface: Interface) -> List[str]:
    lines = [f"MTUBytes={interface.mtu}"] if interface.mtu else []
    if interface.mac and interface.kind == "port":
        lines.append(f"MACAddress={interface.mac}")
    if not interface.master and not interface.addresses and not interface.dhcp4:
        lines.append("RequiredForOnline=no")  # or booting waits two minutes for an address that never comes
    return ["", "[Link]", *lines] if lines else []


def _route(route: Route) -> Iterator[str]:
    yield from ("[Route]", f"Destination={route.to}")
    if route.unreachable:
        yield "Type=unreachable"
    elif route.via:
        yield f"Gateway={route.via}"
    else:
        yield "Scope=link"
    if route.on_link:
        yield "GatewayOnLink=yes"
    if route.metric is not None:
        yield f"Metric={route.metric}"
    if route.source:
        yield f"PreferredSource={route.source}"
