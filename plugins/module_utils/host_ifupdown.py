# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a host's network as stanzas of ifupdown (interfaces(5)). Pure.

Made by iproute2 alone, so that no hook of bridge-utils, ifenslave or vlan need be there. All stanzas of an interface
count together, so those of the operator are set aside, line by line. A bridge that stays is changed in place, for VMs.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.host_files import (
    HEADER,
    Commands,
    File,
    bring_back,
    join,
    set_aside,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan, Interface, Route

MAIN = "/etc/network/interfaces"
FOLDER = "/etc/network/interfaces.d"
PATH = f"{FOLDER}/vmcluster"
SOURCE_LINE = f"source {PATH}"

_KEYWORD = re.compile(
    r"\s*(auto|allow-\S+|iface|mapping|source|source-directory|no-auto-down|no-scripts|rename|template)\b")
_IFACE = re.compile(r"\s*iface\s+(\S+)")
_UNREACHABLE = re.compile(r"down ip (-\d) route del (unreachable) (\S+)")
_IPV6 = "/proc/sys/net/ipv6/conf/$IFACE"


def render(plan: HostPlan) -> Dict[str, File]:
    """Return the file, if there is anything to say."""
    lines = [HEADER]
    for interface in plan.interfaces:
        lines += ["", f"auto {interface.name}", *_stanzas(interface)]
    return {PATH: File(join(lines))} if plan.interfaces else {}


def commands(down: Sequence[str], in_place: Sequence[str], up: Sequence[str]) -> Commands:
    """Return how the files are taken over: down by the old ones, up by the new ones, each in the order to do it.

    in_place: those of `up` that both configurations have, which are emptied instead of being taken down.
    """
    flush = [("ip", "addr", "flush", "dev", name, "scope", "global") for name in in_place]
    enter = [("ifup", "--force", name) if name in in_place else ("ifup", name) for name in up]
    return Commands(leave=(*(("ifdown", "--force", name) for name in down), *flush), enter=tuple(enter))


def sections(files: Mapping[str, File]) -> Dict[str, str]:
    """Return what our file says of each interface."""
    text = files[PATH].text if PATH in files else ""
    parts = re.split(r"^auto (\S+)$", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2])}


def end_routes(said: Mapping[str, str], names: Iterable[str]) -> List[Tuple[str, ...]]:
    """Return the commands that end what routes of these interfaces do not end with the interface."""
    return [("ip", words[0], "route", "del", *words[1:]) for name in names
            for words in _UNREACHABLE.findall(said.get(name, ""))]


def take_over(text: str, names: Sequence[str], path: str) -> str:
    """Return an operator's file with the stanzas of these interfaces set aside; MAIN reads our file in any case."""
    lines = [line for line in bring_back(text) if line != SOURCE_LINE]
    lines = set_aside(lines, _find_lines(lines, names))
    if path == MAIN and names and not any(_reads_ours(line) for line in lines):
        lines.append(SOURCE_LINE)
    return join(lines)


def defined_names(text: str) -> List[str]:
    """Return the interfaces that a file has stanzas of, `eth0:1` among them."""
    return [match.group(1) for match in (_IFACE.match(line) for line in text.splitlines()) if match]


def interface_of(name: str) -> str:
    """Return the interface that a stanza is of: `eth0:1` is of `eth0`."""
    return name.partition(":")[0]


def sourced_paths(text: str) -> List[str]:
    """Return the patterns of the files that a file reads."""
    found = []
    for words in (line.split() for line in text.splitlines()):
        if words[:1] in (["source"], ["source-directory"]):
            paths = [word if word.startswith("/") else f"/etc/network/{word}" for word in words[1:]]
            found += paths if words[0] == "source" else [f"{path.rstrip('/')}/*" for path in paths]
    return found


def find_volatile(path: str, text: str, names: Sequence[str]) -> List[str]:
    """Return why stanzas of these interfaces cannot be set aside in a file: it is made anew at each boot."""
    there = sorted({name for name in defined_names(text) if interface_of(name) in names})
    if not there or not path.startswith("/run/"):
        return []
    return [f"{path} has {', '.join(there)} and is made anew at each boot: take the line that reads it out of {MAIN}"]


def _reads_ours(line: str) -> bool:
    return any(fnmatch.fnmatch(PATH, pattern) for pattern in sourced_paths(line))


def _find_lines(lines: Sequence[str], names: Sequence[str]) -> Iterator[int]:
    """Yield the numbers of the lines of these interfaces' stanzas, without what stands between stanzas."""
    between: List[int] = []
    inside = continued = False
    for number, line in enumerate(lines):
        if _KEYWORD.match(line) and not continued:
            match = _IFACE.match(line)
            inside, between = bool(match and interface_of(match.group(1)) in names), []
        continued = line.endswith("\\")
        if not inside:
            continue
        if line.strip() and not line.lstrip().startswith("#"):
            yield from between
            between = []
            yield number
        else:
            between.append(number)


def _stanzas(interface: Interface) -> Iterator[str]:
    """The first stanza makes the interface; each address has one of its own."""
    ipv4, ipv6 = interface.addresses_of(4), interface.addresses_of(6)
    first = [*_make(interface), *_settings(interface)]
    if interface.dhcp4:
        yield from _stanza(interface, "inet dhcp", first)
    elif ipv4:
        yield from _stanza(interface, "inet static", [*first, f"address {ipv4[0]}"])
    else:
        yield from _stanza(interface, "inet manual", [*first, "up ip link set dev $IFACE up"])
    for address in ipv4 if interface.dhcp4 else ipv4[1:]:
        yield from _stanza(interface, "inet static", [f"address {address}"])
    for number, address in enumerate(ipv6):
        accept = [f"accept_ra {2 if interface.accept_ra else 0}"] if number == 0 else []
        yield from _stanza(interface, "inet6 static", [f"address {address}", *accept])
    last = [line for route in interface.routes for line in _route(route)]
    if interface.nameservers:
        last.append(f"dns-nameservers {' '.join(interface.nameservers)}")
    if last:
        yield from _stanza(interface, "inet manual", last)


def _stanza(interface: Interface, method: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"iface {interface.name} {method}"
    yield from (f"    {line}" for line in lines)
    if interface.kind != "port" and lines and lines[0].startswith("pre-up test -e"):
        yield "    post-down ip link del dev $IFACE"


def _make(interface: Interface) -> Iterator[str]:
    """Lines that make an interface which may be there already."""
    kind = ""
    if interface.kind == "bridge":
        kind = "type bridge stp_state 0 forward_delay 0"
    elif interface.kind == "bond":
        lacp = " lacp_rate fast" if interface.mode == "802.3ad" else ""
        kind = f"type bond mode {interface.mode} miimon 100{lacp}"
    elif interface.kind == "vlan":
        kind = f"link {interface.link} type vlan id {interface.id}"
    elif not interface.master:
        yield "pre-up ip link set dev $IFACE nomaster"
    if kind:
        yield f"pre-up test -e /sys/class/net/$IFACE || ip link add name $IFACE {kind}"
    if interface.mac:
        yield f"pre-up ip link set dev $IFACE address {interface.mac}"
    for port in interface.ports:
        # The bonding driver takes no port that is up.
        down = f"ip link set dev {port} down && " if interface.kind == "bond" else ""
        yield (f"pre-up test -e /sys/class/net/$IFACE/lower_{port} || "
               f"{{ {down}ip link set dev {port} master $IFACE; }}")
        yield f"pre-up ip link set dev {port} up"


def _settings(interface: Interface) -> Iterator[str]:
    if interface.mtu:
        yield f"pre-up ip link set dev $IFACE mtu {interface.mtu}"
    if not interface.has_ipv6:
        yield f"pre-up echo 1 > {_IPV6}/disable_ipv6"
        yield f"post-down echo 0 > {_IPV6}/disable_ipv6"
        return
    yield f"pre-up echo 0 > {_IPV6}/disable_ipv6"
    yield f"pre-up echo {2 if interface.accept_ra else 0} > {_IPV6}/accept_ra"
    if not interface.link_local:
        yield "pre-up ip link set dev $IFACE addrgenmode none"
        yield "post-down ip link set dev $IFACE addrgenmode eui64"


def _route(route: Route) -> Iterator[str]:
    words = ["up", "ip", f"-{route.family}", "route", "replace"]
    words += ["unreachable", route.to] if route.unreachable else [route.to]
    words += ["via", route.via] if route.via else []
    words += [] if route.unreachable else ["dev", "$IFACE"] + (["onlink"] if route.on_link else [])
    words += ["metric", str(route.metric)] if route.metric is not None else []
    words += ["src", route.source] if route.source else []
    yield " ".join(words)
    if route.unreachable:  # it has no interface to go with
        yield f"down ip -{route.family} route del unreachable {route.to} || true"
