# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BGP neighbour or peer-group as the statements that FRR has for it: from options, and from a configuration."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_statements import Path, canonical_line
from ansible_collections.vmcluster.network.plugins.module_utils.frr_text import check_asn, read_config

SESSION = "session"
IPV4 = "ipv4 unicast"

# The kinds of statement this module has options for, as the words after `neighbor X`; the longer before the shorter.
SESSION_KINDS = (
    "peer-group",
    "remote-as",
    "description",
    "shutdown",
    "bfd check-control-plane-failure",
    "bfd profile",
    "bfd",
    "password",
    "ttl-security hops",
    "ebgp-multihop",
    "update-source",
    "timers connect",
    "timers",
    "passive",
    "capability extended-nexthop",
)
FAMILY_KINDS = (
    "activate",
    "route-reflector-client",
    "next-hop-self",
    "soft-reconfiguration inbound",
    "maximum-prefix",
    "route-map",
    "prefix-list",
    "send-community",
    "addpath-tx-all-paths",
)
# `no neighbor X …` takes these whole, the others by their kind alone.
REMOVED_WHOLE = ("route-map", "prefix-list", "ttl-security hops", "next-hop-self", "peer-group", "remote-as")
FENCE = "message vmcluster fenced"
"""What stands behind `neighbor X shutdown` of a neighbour that is fenced."""
DEFAULT_THRESHOLD = (
    75  # percent of maximum-prefix at which FRR warns; not shown (bgpd/bgpd.h MAXIMUM_PREFIX_THRESHOLD_DEFAULT)
)

Statements = Dict[
    str, Dict[str, str]
]  # SESSION or family -> kind -> words after `neighbor X`, `no ` in front of a negation


class Peer(NamedTuple):
    """A neighbour or a peer-group. group: the peer-group a neighbour is in. foreign: statements of kinds that are not
    ours, by SESSION or family."""

    name: str
    is_group: bool
    group: Optional[str]
    statements: Statements
    foreign: Dict[str, List[str]]

    @property
    def thing(self) -> str:
        """What a step calls it."""
        return f"peer-group {self.name}" if self.is_group else f"neighbor {self.name}"


class Instance(NamedTuple):
    """What one `router bgp` has. ranges: listen range -> peer-group."""

    exists: bool
    peers: Dict[str, Peer]
    ranges: Dict[str, str]
    listen_limit: Optional[int]
    activates_ipv4: bool
    names: Dict[str, "frozenset[str]"]


def heading_of(asn: int, vrf: Optional[str]) -> str:
    """Return the heading of the BGP instance."""
    return f"router bgp {asn}" + (f" vrf {vrf}" if vrf else "")


def read_instance(text: str, heading: str) -> Instance:
    """Return neighbours, peer-groups and listen ranges of one BGP instance of a configuration.

    Raises frr_config.ConfigError when another AS runs in its place.
    """
    config = read_config(text)
    check_asn(config, [heading])
    peers: Dict[str, Peer] = {}
    ranges: Dict[str, str] = {}
    limit = None
    activates = True
    for statement in config.statements:
        if not statement.path or statement.path[0] != heading:
            continue
        line = canonical_line(statement.path, statement.line)
        words = line.split()
        if words[0] == "neighbor" or words[:2] == ["no", "neighbor"]:
            family = statement.path[1].split(" ", 1)[1] if len(statement.path) > 1 else SESSION
            _add_statement(peers, family, statement.line)
        elif words[:3] == ["bgp", "listen", "range"]:
            ranges[words[3]] = words[5]
        elif words[:3] == ["bgp", "listen", "limit"]:
            limit = int(words[3])
        elif line == "no bgp default ipv4-unicast":
            activates = False
    names = {
        "route-map": frozenset(line.split()[1] for line in config.contexts[()] if line.startswith("route-map ")),
        "bfd profile": frozenset(path[1].split()[1] for path in map(_profile_path, config.statements) if path)}
    return Instance(
        (heading,) in config.contexts or heading in config.contexts[()], peers, ranges, limit, activates, names
    )


def wanted_statements(peer: Mapping[str, Any], is_group: bool, activates_ipv4: bool) -> Statements:
    """Return the statements that a peer-group's or neighbour's options stand for."""
    session: Dict[str, str] = {}
    if is_group:
        session["peer-group"] = "peer-group"
    elif peer.get("peer_group"):
        session["peer-group"] = f"peer-group {peer['peer_group']}"
    for option, kind in (("remote_as", "remote-as"), ("description", "description"), ("password", "password"),
                         ("ttl_security", "ttl-security hops"), ("ebgp_multihop", "ebgp-multihop"),
                         ("update_source", "update-source")):
        if peer.get(option) is not None:
            session[kind] = f"{kind} {peer[option]}"
    for option, kind in (("shutdown", "shutdown"), ("passive", "passive"),
                         ("extended_nexthop", "capability extended-nexthop"),
                         ("bfd_check_control_plane", "bfd check-control-plane-failure")):
        if peer.get(option):
            session[kind] = kind
    if peer.get("bfd") or peer.get("bfd_profile") or peer.get("bfd_check_control_plane"):
        session["bfd"] = "bfd"
    if peer.get("bfd_profile"):
        session["bfd profile"] = f"bfd profile {peer['bfd_profile']}"
    session.update(_timers(peer.get("timers") or {}))
    statements = {SESSION: session}
    for family in peer.get("families") or []:
        statements[family["name"]] = _family_statements(family)
    if is_group or not peer.get("peer_group") or peer.get("families"):
        _spell_activation(statements, activates_ipv4)
    return statements


def _timers(timers: Mapping[str, Any]) -> Dict[str, str]:
    statements = {}
    if timers.get("hold") is not None:
        # FRR keeps a keepalive of at most a third of the hold time, and shows that (bgpd.c, peer_timers_set).
        keepalive = min(timers.get("keepalive") or timers["hold"] // 3, timers["hold"] // 3)
        statements["timers"] = f"timers {keepalive} {timers['hold']}"
    if timers.get("connect") is not None:
        statements["timers connect"] = f"timers connect {timers['connect']}"
    return statements


def _family_statements(family: Mapping[str, Any]) -> Dict[str, str]:
    statements = {}
    for option, kind in (("activate", "activate"), ("route_reflector_client", "route-reflector-client"),
                         ("soft_reconfiguration", "soft-reconfiguration inbound"),
                         ("addpath_tx_all_paths", "addpath-tx-all-paths")):
        if family.get(option):
            statements[kind] = kind
    for option, kind in (("route_map", "route-map"), ("prefix_list", "prefix-list")):
        for direction in ("in", "out"):
            name = family.get(f"{option}_{direction}")
            if name:
                statements[f"{kind} {direction}"] = f"{kind} {name} {direction}"
    if family.get("next_hop_self") not in (None, "no"):
        statements["next-hop-self"] = "next-hop-self force" if family["next_hop_self"] == "force" else "next-hop-self"
    if family.get("send_community") == "none":
        statements["send-community"] = "no send-community all"
    if family.get("maximum_prefix"):
        threshold = family.get("maximum_prefix_threshold") or DEFAULT_THRESHOLD
        words = [f"maximum-prefix {family['maximum_prefix']}"]
        words += [str(threshold)] if threshold != DEFAULT_THRESHOLD else []
        words += [f"restart {family['maximum_prefix_restart']}"] if family.get("maximum_prefix_restart") else []
        words += ["warning-only"] if family.get("maximum_prefix_warning_only") else []
        statements["maximum-prefix"] = " ".join(words)
    return statements


def _spell_activation(statements: Statements, activates_ipv4: bool) -> None:
    """`activate` of IPv4 unicast is the default unless `no bgp default ipv4-unicast` stands in the instance; FRR
    shows the exception only."""
    if not activates_ipv4:
        return
    ipv4 = statements.setdefault(IPV4, {})
    if ipv4.pop("activate", None) is None:
        ipv4["activate"] = "no activate"


# --- reading ----------------------------------------------------------------------------------------------------------

def kind_of_tail(family: str, tail: str) -> Optional[str]:
    """Return which kind of statement the words after `neighbor X` are; None when this module has no option for it."""
    words = tail.split()
    if words[:1] == ["no"]:
        words = words[1:]
    for kind in SESSION_KINDS if family == SESSION else FAMILY_KINDS:
        names = kind.split()
        if words[:len(names)] != names:
            continue
        rest = words[len(names):]
        if (kind == "timers" and not rest[0].isdigit()) or (kind == "shutdown" and _is_foreign_shutdown(rest)):
            return None
        return f"{kind} {rest[-1]}" if kind in ("route-map", "prefix-list") else kind
    return None


def _is_foreign_shutdown(rest: List[str]) -> bool:
    """Tell whether the words after `shutdown` are no answer to the option: a limit of RTT, or the fence around a node
    whose VMs were evacuated, which stands until it is taken away by name."""
    return rest[:1] == ["rtt"] or " ".join(rest) == FENCE


def _add_statement(peers: Dict[str, Peer], family: str, line: str) -> None:
    negated = line.startswith("no ")
    words = (line[3:] if negated else line).split(" ", 2)
    if len(words) < 3:
        return
    name, tail = canonical_name(words[1]), ("no " if negated else "") + words[2]
    if name not in peers:
        peers[name] = Peer(name, False, None, {SESSION: {}}, {})
    kind = kind_of_tail(family, tail)
    if kind is None:
        peers[name].foreign.setdefault(family, []).append(line)
        return
    peers[name].statements.setdefault(family, {})[kind] = tail
    if tail == "peer-group":
        peers[name] = peers[name]._replace(is_group=True)
    elif kind == "peer-group" and not negated:
        peers[name] = peers[name]._replace(group=tail.split()[1])


def canonical_name(word: str) -> str:
    """Return an address or a peer-group's name as FRR shows it."""
    return canonical_line((), f"neighbor {word}").split()[1]


def _profile_path(statement: Any) -> Optional[Path]:
    path: Path = (*statement.path, statement.line)
    return path if len(path) == 2 and path[0] == "bfd" and path[1].startswith("profile ") else None


# --- writing

def ordered(tails: Mapping[str, str]) -> "List[Tuple[str, str]]":
    """A neighbour is made by its remote-as or its peer-group: these come first. remote-as before peer-group, since a
    group without one wants it so."""
    first = [kind for kind in ("remote-as", "peer-group") if kind in tails]
    if tails.get("peer-group") == "peer-group":
        first.reverse()
    return [(kind, tails[kind]) for kind in first] + [item for item in tails.items() if item[0] not in first]


def positive(name: str, tail: str) -> str:
    """Return the statement that the words after `neighbor X` stand for."""
    return f"no neighbor {name} {tail[3:]}" if tail.startswith("no ") else f"neighbor {name} {tail}"


def removed(name: str, kind: str, tail: str) -> str:
    """Return the statement that takes one of a kind away; it never holds a password."""
    if tail.startswith("no "):
        return f"neighbor {name} {tail[3:]}"
    whole = kind.startswith(REMOVED_WHOLE)
    return f"no neighbor {name} {tail if whole else kind}"
