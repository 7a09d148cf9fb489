# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a host's network as a netplan file (netplan.readthedocs.io, YAML configuration). Pure.

Netplan merges all its files, lists included, so an interface of the plan is set aside in the operator's files, line by
line.
"""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import host_networkd
from ansible_collections.vmcluster.network.plugins.module_utils.host_files import (
    HEADER,
    Commands,
    File,
    bring_back,
    join,
    set_aside,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan, Interface, Route

try:
    import yaml
except ImportError:  # netplan itself needs it, so where it is missing there is no file to read
    yaml = None  # type: ignore[assignment]

PATH = "/etc/netplan/90-vmcluster.yaml"
KEPT = frozenset(("match", "set-name"))
"""What gives a NIC its name stays the operator's: set aside, the next boot would not know the NIC by it."""
SECTIONS = {"port": "ethernets", "bridge": "bridges", "bond": "bonds", "vlan": "vlans"}

_KEY = re.compile(r"""( *)(?:"([^"]+)"|'([^']+)'|([^\s"'#:]+)):(?:\s|$)""")


def render(plan: HostPlan) -> Dict[str, File]:
    """Return the file, if there is anything to say."""
    lines = [HEADER, "network:", "  version: 2"]
    for kind, section in SECTIONS.items():
        chosen = [each for each in plan.interfaces if each.kind == kind]
        if chosen:
            lines.append(f"  {section}:")
        for interface in chosen:
            lines += [f"    {_word(interface.name)}:", *(f"      {line}" for line in _definition(interface))]
    return {PATH: File(join(lines), 0o600)} if plan.interfaces else {}


def commands(renderer: str, touched: Sequence[str]) -> Commands:
    """Return how the files are taken over; renderer: who carries them out, networkd or NetworkManager."""
    if renderer == "NetworkManager":
        return Commands(enter=(("netplan", "apply"),))
    return Commands(enter=(("netplan", "generate"), *host_networkd.commands(touched).enter))


def read_renderer(texts: Sequence[str]) -> str:
    """Return who carries netplan's files out, as their `network: renderer:` says."""
    found = [match.group(1) for text in texts for match in re.finditer(r"^ {1,4}renderer:\s*(\w+)", text, re.MULTILINE)]
    return found[-1] if found else "networkd"


def take_over(text: str, names: Sequence[str]) -> Tuple[str, str]:
    """Return an operator's file with the definitions of these interfaces set aside, and why that fails, or nothing."""
    lines = bring_back(text)
    after = join(set_aside(lines, _find_lines(lines, set(names))))
    before = join(lines)
    wrong = _compare(before, after, names)
    return after, wrong


def sections(files: Mapping[str, File]) -> Dict[str, str]:
    """Return what our file says of each interface."""
    text = files[PATH].text if PATH in files else ""
    parts = re.split(r"^    (\S+):$", re.sub(r"^  \w+:$", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    return {name.strip('"'): body for name, body in zip(parts[1::2], parts[2::2])}


def _compare(before: str, after: str, names: Sequence[str]) -> str:
    if yaml is None:
        return "" if before == after else "PyYAML is missing on the host, so it cannot be made sure what the file says"
    try:
        expected, found = (_without(yaml.safe_load(text), names) for text in (before, after))
        left = {name for name, keys in _keys(yaml.safe_load(after)).items() if name in names and keys - KEPT}
        lost = {name for name, keys in _keys(yaml.safe_load(before)).items()
                if name in names and "set-name" in keys - _keys(yaml.safe_load(after)).get(name, set())}
    except yaml.YAMLError as error:
        return f"is no YAML: {error}"
    if left or lost or expected != found:
        return f"{', '.join(sorted(left | lost or names))} cannot be set aside there: write one key a line"
    return ""


def find_others(text: str, macs: Mapping[str, str]) -> Iterator[str]:
    """Yield why an operator's file has a say in an interface by a definition of another name; macs: MAC address by
    interface. Of networkd's files, which netplan names after definitions, the first that matches counts."""
    try:
        content = yaml.safe_load(text) if yaml is not None else None
    except yaml.YAMLError:
        return  # take_over has told it
    for called, definition in _sections(content).get("ethernets", {}).items():
        match = definition.get("match") if isinstance(definition, dict) else None
        if not isinstance(match, dict) or str(called) in macs:
            continue
        for name, mac in macs.items():
            chosen = definition["set-name"] == name if "set-name" in definition else (
                fnmatch.fnmatch(name, str(match.get("name", ""))) or str(match.get("macaddress", "")).lower() == mac)
            if chosen and str(called) < name:
                yield f"{called} matches {name} and comes before what this collection writes: call it {name} there"


def _sections(content: Any) -> Dict[str, Dict[str, Any]]:
    network = content.get("network") if isinstance(content, dict) else None
    return {key: value for key, value in (network or {}).items() if isinstance(value, dict)}


def _keys(content: Any) -> Dict[str, Set[str]]:
    """The keys of each definition; one that is no mapping has itself as its only one."""
    return {str(name): {*map(str, each)} if isinstance(each, dict) else {str(each)}
            for section in _sections(content).values() for name, each in section.items()}


def _without(content: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """What a file says but for these interfaces; sections that are empty say nothing."""
    network = dict((content or {}).get("network") or {})
    for key, section in _sections(content).items():
        network[key] = {name: value for name, value in section.items() if str(name) not in names}
    return {key: value for key, value in network.items() if value not in ({}, None)}


def _find_lines(lines: Sequence[str], names: Set[str]) -> Iterator[int]:
    """Yield the numbers of the lines of these interfaces' definitions, and of sections that have no others."""
    keys: List[Tuple[int, int, str]] = []  # line, indent, key
    for number, line in enumerate(lines):
        match = _KEY.match(line)
        if match:
            keys.append((number, len(match.group(1)), match.group(2) or match.group(3) or match.group(4)))
    levels = sorted({indent for _number, indent, _key in keys})
    section: Optional[Tuple[int, int]] = None
    child_indent = -1
    taken: Dict[int, List[bool]] = {}
    for number, indent, key in keys:
        if indent == 0 or (section and indent <= section[1]):
            section, child_indent = None, -1
        if section is None and len(levels) > 1 and indent == levels[1] and key not in ("version", "renderer"):
            section, child_indent = (number, indent), -1
            taken[number] = []
        elif section is not None and child_indent in (-1, indent):
            child_indent = indent
            chosen = list(_lines_of(lines, number, indent)) if key in names else []
            taken[section[0]].append(number in chosen)
            yield from chosen
    yield from (number for number, each in taken.items() if each and all(each))


def _lines_of(lines: Sequence[str], start: int, indent: int) -> Iterator[int]:
    """Yield the numbers of a definition's lines but those of KEPT, in front of which its name stays."""
    end = _end_of(lines, start, indent)
    keys = {number: match for number, match in ((each, _KEY.match(lines[each])) for each in range(start + 1, end))
            if match}
    inner = min((len(match.group(1)) for match in keys.values()), default=0)
    kept = {number: match.group(4) for number, match in keys.items()
            if match.group(4) in KEPT and len(match.group(1)) == inner}
    if "set-name" not in kept.values():
        yield from range(start, end)
        return
    stay = {line for number in kept for line in range(number, _end_of(lines, number, inner))}
    yield from (line for line in range(start + 1, end) if line not in stay)


def _end_of(lines: Sequence[str], start: int, indent: int) -> int:
    end = start + 1
    for number in range(start + 1, len(lines)):
        stripped = lines[number].strip()
        if stripped and not stripped.startswith("#"):
            if len(lines[number]) - len(lines[number].lstrip(" ")) <= indent:
                break
            end = number + 1
    return end


_YAML_WORDS = ("on", "off", "yes", "no", "y", "n", "true", "false", "null")


def _word(said: str) -> str:
    """A scalar as YAML; JSON's strings are YAML's."""
    plain = re.fullmatch(r"[a-z][a-z0-9_-]*", said) and said not in _YAML_WORDS
    return said if plain else json.dumps(said)


def _list(key: str, values: Sequence[str]) -> List[str]:
    return [f"{key}: [{', '.join(_word(value) for value in values)}]"]


def _definition(interface: Interface) -> Iterator[str]:
    if interface.ports:
        yield from _list("interfaces", interface.ports)
    elif interface.kind == "bridge":
        yield "interfaces: []"
    if interface.kind == "vlan":
        yield from (f"id: {interface.id}", f"link: {_word(interface.link)}")
    if interface.mac:
        yield f"macaddress: {json.dumps(interface.mac)}"
    if interface.mtu:
        yield f"mtu: {interface.mtu}"
    if interface.kind == "bridge":
        yield from ("parameters:", "  stp: false", "  forward-delay: 0")
    elif interface.kind == "bond":
        yield from ("parameters:", f"  mode: {_word(interface.mode)}", "  mii-monitor-interval: 100")
        if interface.mode == "802.3ad":
            yield "  lacp-rate: fast"
    if interface.addresses:
        yield from _list("addresses", interface.addresses)
    yield f"dhcp4: {'true' if interface.dhcp4 else 'false'}"
    yield f"accept-ra: {'true' if interface.accept_ra else 'false'}"
    yield f"link-local: [{'ipv6' if interface.link_local and not interface.master else ''}]"
    if not interface.addresses and not interface.dhcp4:
        yield "optional: true"  # or booting waits for an address that never comes
    if interface.nameservers:
        yield "nameservers:"
        yield from (f"  {line}" for line in _list("addresses", interface.nameservers))
    if interface.routes:
        yield "routes:"
    for route in interface.routes:
        yield from _route(route)


def _route(route: Route) -> Iterator[str]:
    yield f"  - to: {json.dumps(route.to)}"
    if route.unreachable:
        yield "    type: unreachable"
    elif route.via:
        yield f"    via: {json.dumps(route.via)}"
    else:
        yield "    scope: link"
    if route.on_link:
        yield "    on-link: true"
    if route.metric is not None:
        yield f"    metric: {route.metric}"
    if route.source:
        yield f"    from: {json.dumps(route.source)}"
