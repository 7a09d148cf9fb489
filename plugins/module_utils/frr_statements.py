# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FRR's configuration as statements in their contexts: parse it, compare spellings, know what replaces what, know
defaults.

Nothing here compares by substring. Measured with FRR 8.4.4 and 10.3, source: FRR's bgpd/bgp_vty.c, lib/routemap_cli.c,
lib/filter_cli.c, bfdd/bfdd_cli.c.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_static import parse_static_route

Path = Tuple[str, ...]

IPV4_PREFIX = re.compile(r"^\d+\.\d+\.\d+\.\d+/\d+$")
ENDS = ("exit", "end")
BANNERS = ("Building configuration...", "Current configuration:")


class Statement(NamedTuple):
    """One statement: path is the headings of the contexts it stands in, outermost first; line is its words,
    single-spaced."""

    path: Path
    line: str


class Flavour(NamedTuple):
    """What decides FRR's defaults: its `frr defaults` profile, and the first number of its version (0: not known)."""

    profile: str = "traditional"
    major: int = 0


class Named(NamedTuple):
    """A named thing of the top level (or a BFD profile) that statements refer to."""

    kind: str
    name: str


def parse_config(text: str) -> "List[Statement]":
    """Return the statements of a configuration laid out as `show running-config` does: a context's content is
    indented."""
    statements: List[Statement] = []
    stack: List[Tuple[int, Path]] = [(-1, ())]
    for raw in text.splitlines():
        line = " ".join(raw.split())
        if not line or line[0] in "!#" or line in BANNERS:
            continue
        indent = len(raw) - len(raw.lstrip())
        while stack[-1][0] >= indent:
            stack.pop()
        if line in ENDS or line.startswith("exit-"):
            continue
        path = stack[-1][1]
        statements.append(Statement(path, line))
        stack.append((indent, (*path, line)))
    return statements


def kind_of(path: Path) -> str:
    """Return which sort of context a path is: `top`, `router bgp`, `address-family`, `route-map`, `bfd`, `profile`,
    …"""
    if not path:
        return "top"
    words = path[-1].split()
    return " ".join(words[:2]) if words[0] == "router" else words[0]


def named_of(statement: Statement) -> Optional[Named]:
    """Return the named thing that a statement defines a part of; None when it defines none."""
    words = statement.line.split()
    if words[0] == "no":
        words = words[1:]
    if statement.path == ("bfd",) and words[0] == "profile" and len(words) > 1:
        return Named("bfd profile", words[1])
    if statement.path:
        return named_of(Statement(statement.path[:-1], statement.path[-1]))
    if words[0] == "route-map" and len(words) > 1:
        return Named("route-map", words[1])
    if len(words) > 2 and words[:2] in (["ip", "prefix-list"], ["ipv6", "prefix-list"]):
        return Named(" ".join(words[:2]), words[2])
    if (
        len(words) > 3
        and words[0] == "bgp"
        and words[1] in ("community-list", "large-community-list", "extcommunity-list")
    ):
        numbered_or_typeless = words[2] not in ("standard", "expanded")
        return Named(f"bgp {words[1]}", words[2] if numbered_or_typeless else words[3])
    if len(words) > 3 and words[:3] == ["bgp", "as-path", "access-list"]:
        return Named("bgp as-path access-list", words[3])
    return None


# --- spelling ---------------------------------------------------------------------------------------------------------

def canonical_path(path: Path) -> Path:
    """Return a path as it is compared: `address-family ipv4` means unicast; a route-map entry is known by name and
    number, its action can change in place."""
    return tuple(_canonical_heading(heading) for heading in path)


def canonical_line(path: Path, line: str) -> str:
    """Return a statement as it is compared, whatever order, case or length FRR shows it in."""
    if line.startswith("no "):
        return "no " + canonical_line(path, line[3:])
    words = line.split()
    if words[1:2] == ["route"] and words[0] in ("ip", "ipv6"):
        return _canonical_static(line)
    if kind_of(path) != "interface":
        words = [_canonical_word(word) for word in words]
    else:
        words = [_canonical_word(word) if ":" in word else word for word in words]
    if words[0] == "address-family":
        return _canonical_heading(line)
    if words[0] == "redistribute":
        return " ".join(words[:2] + [f"{word} {value}" for word, value in sorted(zip(words[2::2], words[3::2]))])
    if words[:2] in (["set", "community"], ["set", "large-community"]):
        return " ".join(words[:2] + _sorted_communities(words[2:]))
    if words[:2] in (["ip", "prefix-list"], ["ipv6", "prefix-list"]):
        return _canonical_prefix_list(words)
    if (
        words[0] == "bgp"
        and len(words) > 5
        and words[1] in ("community-list", "large-community-list", "extcommunity-list")
    ):
        head, entry = _split_sequence(words, 4)
        if "expanded" not in head:
            entry = entry[:1] + _sorted_communities(entry[1:])
        return " ".join(head + entry)
    if words[:3] == ["bgp", "as-path", "access-list"]:
        head, entry = _split_sequence(words, 4)
        return " ".join(head + entry)
    return " ".join(words)


def sequence_of(line: str) -> Optional[int]:
    """Return the `seq` of a list's entry; None when it has none."""
    words = line.split()
    at = words.index("seq") if "seq" in words[:6] else -1
    return int(words[at + 1]) if at > 0 and words[at + 1].isdigit() else None


def _canonical_heading(heading: str) -> str:
    words = heading.split()
    if words[0] == "route-map" and len(words) == 4:
        return f"route-map {words[1]} {words[3]}"
    if words[0] == "address-family" and len(words) == 2:
        return f"{heading} unicast"
    return heading


def _canonical_word(word: str) -> str:
    """FRR shows IPv6 compressed (RFC 5952) and prefixes without host bits."""
    try:
        if word.count(":") >= 2:
            return str(ipaddress.IPv6Network(word, strict=False)) if "/" in word else str(ipaddress.IPv6Address(word))
        if IPV4_PREFIX.match(word):
            return str(ipaddress.IPv4Network(word, strict=False))
    except ValueError:
        pass
    return word


def _canonical_prefix_list(words: "List[str]") -> str:
    """`any`, `ge`/`le` in either order; the sequence number is an attribute of the entry, not its meaning."""
    head, entry = _split_sequence(words, 3)
    if not entry or entry[0] == "description":
        return " ".join(words)
    everything = "0.0.0.0/0 le 32" if words[0] == "ip" else "::/0 le 128"
    bounds = " ".join(f"{word} {value}" for word, value in sorted(zip(entry[2::2], entry[3::2])))
    prefix = everything if entry[1:2] == ["any"] else " ".join(entry[1:2])
    return " ".join(filter(None, [*head, entry[0], prefix, bounds]))


def _canonical_static(line: str) -> str:
    try:
        route = parse_static_route(line)
    except ValueError:
        route = None
    if route is None:
        return line
    target = [word for word in (route.gateway, route.interface, route.discard) if word]
    options = [" ".join(pair).strip() for pair in sorted(route.options)]
    return " ".join(
        [line.split()[0], "route", route.prefix, *target, f"tag {route.tag}", str(route.distance), *options]
    )


def _split_sequence(words: "List[str]", at: int) -> "Tuple[List[str], List[str]]":
    return words[:at], words[at + 2:] if words[at:at + 1] == ["seq"] else words[at:]


def _sorted_communities(words: "List[str]") -> "List[str]":
    """FRR sorts communities and drops doubles; `additive` and such stay at the end."""
    numbered = {word for word in words if word.replace(":", "").isdigit()}
    others = [word for word in dict.fromkeys(words) if word not in numbered and word != "additive"]
    tail = ["additive"] if "additive" in words else []
    return sorted(numbered, key=lambda word: [int(part) for part in word.split(":")]) + sorted(others) + tail


# --- what replaces what -----------------------------------------------------------------------------------------------

# Statements of which a context has one: how many words name it, the rest is its value.
SINGLE: Dict[str, Tuple[str, ...]] = {
    "top": ("bgp route-map delay-timer", "bgp update-delay", "hostname", "zebra work-queue", "bgp session-dscp"),
    "router bgp": (
        "bgp router-id",
        "bgp cluster-id",
        "bgp graceful-restart restart-time",
        "bgp graceful-restart stalepath-time",
        "bgp graceful-restart select-defer-time",
        "bgp graceful-restart rib-stale-time",
        "bgp default local-preference",
        "bgp default subgroup-pkt-queue-max",
        "bgp listen limit",
        "bgp max-med on-startup",
        "bgp max-med administrative",
        "bgp update-delay",
        "bgp minimum-holdtime",
        "bgp confederation identifier",
        "bgp bestpath med",
        "bgp conditional-advertisement timer",
        "timers bgp",
        "coalesce-time",
        "read-quanta",
        "write-quanta",
    ),
    "address-family": (
        "redistribute *",
        "table-map",
        "maximum-paths ibgp",
        "maximum-paths",
        "network *",
        "aggregate-address *",
        "distance bgp",
        "bgp dampening",
        "import vrf route-map",
        "rd vpn export",
        "label vpn export",
        "route-map vpn import",
        "route-map vpn export",
    ),
    "route-map": (
        "description",
        "call",
        "on-match",
        "match ip address prefix-list",
        "match ip address prefix-len",
        "match ip address",
        "match ip next-hop *",
        "match ip route-source *",
        "match ipv6 address prefix-list",
        "match ipv6 address prefix-len",
        "match ipv6 address",
        "match ipv6 next-hop *",
        "match evpn *",
        "match *",
        "set as-path *",
        "set extcommunity *",
        "set ip next-hop",
        "set ipv6 next-hop *",
        "set comm-list",
        "set large-comm-list",
        "set *",
    ),
    "profile": (
        "transmit-interval",
        "receive-interval",
        "detect-multiplier",
        "minimum-ttl",
        "echo transmit-interval",
        "echo receive-interval",
        "echo-interval",
    ),
}


def key_of(path: Path, line: str) -> str:
    """Return what a statement is known by in its context: two statements of one key replace one another."""
    words = (line[3:] if line.startswith("no ") else line).split()
    if words[0] == "route-map" and len(words) == 4 and not path:
        return _canonical_heading(" ".join(words))
    for pattern in SINGLE.get(kind_of(path), ()):
        names = pattern.split()
        if len(words) >= len(names) and all(name in ("*", word) for name, word in zip(names, words)):
            return " ".join(words[:len(names)])
    return " ".join(words)


# --- what FRR does not show -------------------------------------------------------------------------------------------

# Values equal to FRR's defaults are not in its running configuration. Source: FRR_CFG_DEFAULT_* and bgp_config_write in
# bgpd/bgp_vty.c, `default` statements of yang/frr-bfdd.yang; each was written to 8.4.4 and 10.3 and looked for.
DEFAULTS: Dict[str, FrozenSet[str]] = {
    "top": frozenset(("bgp route-map delay-timer 5", "zebra work-queue 10")),
    "router bgp": frozenset((
        "bgp graceful-restart restart-time 120", "bgp graceful-restart stalepath-time 360",
        "bgp graceful-restart select-defer-time 360", "bgp graceful-restart rib-stale-time 500",
        "bgp default local-preference 100", "bgp default ipv4-unicast", "bgp network import-check",
        "bgp fast-external-failover", "bgp client-to-client reflection", "bgp suppress-duplicates",
        "bgp graceful-restart notification", "bgp hard-administrative-reset", "bgp listen limit 100",
        "bgp default subgroup-pkt-queue-max 40")),
    "profile": frozenset((
        "transmit-interval 300", "receive-interval 300", "detect-multiplier 3", "minimum-ttl 254",
        "echo transmit-interval 50", "echo receive-interval 50")),
}
# FRR_CFG_DEFAULT_* in bgpd/bgp_vty.c, by `frr defaults`.
BGP_DEFAULTS_OF = {
    "traditional": frozenset(("bgp ebgp-requires-policy", "timers bgp 60 180")),
    "datacenter": frozenset(("bgp log-neighbor-changes", "bgp deterministic-med", "timers bgp 3 9")),
}
# On in FRR 10 with `frr defaults traditional` (zebra/zebra_vrf.h), off in FRR 8 (measured), and shown where it is not
# the default.
RESOLVE_VIA_DEFAULT = frozenset(("ip nht resolve-via-default", "ipv6 nht resolve-via-default"))


def is_default(path: Path, canonical: str, flavour: Flavour = Flavour()) -> bool:  # noqa: B008
    """Tell whether FRR leaves a statement out of its running configuration because it says what holds anyway."""
    kind = kind_of(path)
    known = DEFAULTS.get(kind, frozenset())
    if kind == "router bgp":
        known |= BGP_DEFAULTS_OF.get(flavour.profile, frozenset())
    if kind == "top" and flavour == ("traditional", max(flavour.major, 10)):
        known |= RESOLVE_VIA_DEFAULT
    if canonical.startswith("no "):
        return canonical[3:] not in known  # a switch is off unless it is known to be on
    return canonical in known


def flavour_of(statements: "List[Statement]") -> Flavour:
    """Return what a configuration's first lines say of the FRR that wrote it."""
    profile, major = Flavour()
    for statement in statements:
        if statement.path:
            break
        if statement.line.startswith("frr defaults "):
            profile = statement.line.split()[2]
        elif statement.line.startswith("frr version "):
            number = statement.line.split()[2].split(".")[0]
            major = int(number) if number.isdigit() else 0
    return Flavour(profile, major)


# --- writing ----------------------------------------------------------------------------------------------------------

# `no` takes these statements without their value only.
BARE_NO = ("description", "on-match goto", "set as-path prepend", "set table")
OPENERS = ("router ", "profile ", "route-map ")  # contexts that can stand empty
CLOSERS = {"address-family": "exit-address-family", "vrf": "exit-vrf", "vni": "exit-vni"}


def render(path: Path, lines: Sequence[str]) -> List[str]:
    """Return statements as FRR's shell reads them: under the headings of their contexts, each closed again."""
    opened = [" " * depth + heading for depth, heading in enumerate(path)]
    closed = [" " * depth + CLOSERS.get(heading.split()[0], "exit") for depth, heading in enumerate(path)]
    content: List[str] = []
    for line in lines:
        content.append(" " * len(path) + line)
        if line.startswith(OPENERS):
            content.append(" " * len(path) + "exit")
    return opened + content + closed[::-1]


def removal_of(path: Path, line: str) -> str:
    """Return the statement that takes a statement away."""
    if line.startswith("no "):
        return line[3:]
    words = line.split()
    kind = kind_of(path)
    if kind == "route-map":
        for start in BARE_NO:
            if line.startswith(start + " "):
                return f"no {start}"
    if words[1:2] == ["prefix-list"] and words[3:4] == ["description"]:
        return "no " + " ".join(words[:4])
    if kind == "profile":  # FRR 8.4 has no `no transmit-interval` in a profile: write the default
        for default in DEFAULTS["profile"]:
            if key_of(path, default) == key_of(path, line):
                return default
    return f"no {line}"
