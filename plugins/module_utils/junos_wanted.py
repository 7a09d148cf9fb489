# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to the statements of Junos that they ask for: policies, communities, discard routes, BGP groups.

Sources: Juniper's YANG modules (github.com/Juniper/yang, 23.1R1, conf-with-extensions) for what statements there are
and what excludes what, the Junos CLI reference for what they mean.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.junos_secret import is_same_secret
from ansible_collections.vmcluster.network.plugins.module_utils.junos_text import Config, Path, Statements

TAG = "773"  # of discard routes that are ours; as on FRR
TABLES = {4: "inet", 6: "inet6"}
HOLD_TIME = 90  # seconds; Junos's default
LIMIT_WARNING = "80"  # percent of a prefix limit from which Junos logs
LIMIT_PAUSE = "5"  # minutes until a session that was shut for its number of prefixes is tried again

# What of a group, and of a neighbour, is exactly as the options say. Other statements are the operator's.
OWNED = (
    ("type",), ("peer-as",), ("local-address",), ("hold-time",), ("import",), ("export",), ("family",), ("multihop",),
    ("ttl",), ("authentication-key",), ("bfd-liveness-detection",), ("graceful-restart", "disable"))


class Place(NamedTuple):
    """Where on a device the work is. Policies belong to the logical system, sessions and routes to the instance."""

    logical_system: Optional[str] = None
    routing_instance: Optional[str] = None

    @property
    def system(self) -> Path:
        """The hierarchy that holds policies."""
        return ("logical-systems", self.logical_system) if self.logical_system else ()

    @property
    def instance(self) -> Path:
        """The hierarchy that holds sessions and routes."""
        return self.system + (("routing-instances", self.routing_instance) if self.routing_instance else ())

    @property
    def groups(self) -> Path:
        """The list of BGP groups."""
        return self.instance + ("protocols", "bgp", "group")

    @property
    def policies(self) -> Path:
        """The list of policies."""
        return self.system + ("policy-options", "policy-statement")

    @property
    def communities(self) -> Path:
        """The list of communities."""
        return self.system + ("policy-options", "community")

    def table(self, version: int) -> str:
        """Return the name of the routing table of an IP version."""
        return f"{self.routing_instance}.{TABLES[version]}.0" if self.routing_instance else f"{TABLES[version]}.0"

    def routes(self, version: int) -> Path:
        """Return the list of static routes of an IP version; those of IPv4 have a short form."""
        table = () if version == 4 else ("rib", self.table(version))
        return self.instance + ("routing-options", *table, "static", "route")


class Policy(NamedTuple):
    """An import policy: what a group accepts. host: only prefixes of at least the given length, with the
    communities."""

    family: str
    entries: Tuple[Mapping[str, Any], ...]
    host: bool


def wanted_policy(scope: Path, policy: Policy, prefix: str) -> Statements:
    """Return the statements of an import policy: a term for each entry with prefixes of the family, then reject.

    With `orlonger` it is the policy of VMmanager's documented recipe, which asks for no community and accepts whole
    pools. Among the route-filters of a term Junos takes the longest that covers a route and looks no further, so pools
    that overlap are the caller's to avoid (Junos CLI reference, "How Route Lists Are Evaluated").
    """
    statements: Statements = {}
    for entry in policy.entries:
        filters = [route_filter(item, policy.host) for item in prefixes_of(entry, policy.family)]
        if not filters:
            continue
        term = scope + ("term", entry["name"])
        statements[term + ("from", "protocol", "bgp")] = ()
        if policy.host and entry["communities"]:
            statements[term + ("from", "community", prefix + entry["name"])] = ()
        for words in filters:
            statements[term + ("from", "route-filter") + words] = ()
        statements[term + ("then", "accept")] = ()
    statements[scope + ("then", "reject")] = ()
    return statements


def route_filter(item: Mapping[str, Any], host: bool) -> Path:
    """Return the words of a route-filter for one prefix."""
    if not host:
        return item["prefix"], "orlonger"
    network = ipaddress.ip_network(item["prefix"])
    shortest = network.max_prefixlen if item["length"] is None else item["length"]
    return item["prefix"], "prefix-length-range", f"/{shortest}-/{network.max_prefixlen}"


def prefixes_of(entry: Mapping[str, Any], family: str) -> List[Mapping[str, Any]]:
    """Return an entry's prefixes of a family."""
    return [item for item in entry["prefixes"] if (":" in item["prefix"]) == (family == "ipv6")]


def wanted_communities(options: Mapping[str, Any]) -> Dict[str, List[str]]:
    """Return by cluster the communities its routes have to carry, all of them.

    Junos: of a community with several members a route must have every one; of several communities in one `from` it
    must have any. So a cluster has one community with all its members. Large ones need Junos 17.3.
    """
    found: Dict[str, List[str]] = {}
    for group in options["groups"] if options["match"] == "host" else ():
        for entry in group["accept"]:
            if entry["communities"] and prefixes_of(entry, group["family"]):
                members = found.setdefault(entry["name"], [])
                members += [name for name in map(_member, entry["communities"]) if name not in members]
    return found


def wanted_discard(scope: Path) -> Statements:
    """Return the statements of a discard route."""
    return {scope + ("discard",): (), scope + ("tag",): (TAG,)}


def wanted_group(
        scope: Path, group: Mapping[str, Any], options: Mapping[str, Any], found: Config) -> Statements:
    """Return the owned statements of a BGP group.

    What was found matters where several statements mean the same: a session is not reset for another spelling.
    """
    statements: Statements = dict(_wanted_type(scope, group, options, found))
    statements.update(_wanted_values(scope, group, options, found))
    statements[scope + ("import", group["import_policy"])] = ()
    statements[scope + ("export", group["export_policy"])] = ()
    if group["password"] is not None:
        statements.update(_wanted_key(scope + ("authentication-key",), group["password"], found))
    statements.update(_wanted_family(scope, group, options, found))
    statements.update(_wanted_protection(scope, group))
    for peer in group["neighbors"]:
        statements.update(_wanted_neighbor(scope + ("neighbor", peer["address"]), peer, options, found))
    return statements


def _wanted_type(
        scope: Path, group: Mapping[str, Any], options: Mapping[str, Any], found: Config
) -> Iterable[Tuple[Path, Path]]:
    """Yield what makes sessions internal: `type internal`, or `peer-as` with the own AS, as the recipe has it."""
    same = {scope + ("type",): ("internal",), scope + ("peer-as",): (str(options["asn"]),)}
    there = [item for item in same.items() if found.statements.get(item[0]) == item[1]]
    peers = [scope + ("neighbor", peer["address"], "peer-as") for peer in group["neighbors"]]
    if there or all(where in found.statements for where in peers):
        return there
    new = ("peer-as",) if options["match"] == "orlonger" else ("type",)
    return [(scope + new, same[scope + new])]


def _wanted_values(
        scope: Path, group: Mapping[str, Any], options: Mapping[str, Any], found: Config
) -> Iterable[Tuple[Path, Path]]:
    """Yield own address and hold time. A group made by hand that lacks them is not reset for what it does anyway."""
    is_foreign = found.holds(scope) and not group["name"].startswith(options["purge_prefix"] or "VMC-")
    for key, word in (("local_address", "local-address"), ("hold_time", "hold-time")):
        where, value = scope + (word,), (str(group[key]),)
        is_same = is_foreign and where not in found.statements and (key == "local_address" or group[key] == HOLD_TIME)
        if group[key] is not None and not is_same:
            yield where, value


def _wanted_key(where: Path, key: str, found: Config) -> Iterable[Tuple[Path, Path]]:
    there = found.statements.get(where)
    return [(where, there if there and is_same_secret(there[0], key) else (key,))]


def _wanted_family(
        scope: Path, group: Mapping[str, Any], options: Mapping[str, Any], found: Config
) -> Iterable[Tuple[Path, Path]]:
    """Yield the family, and how many prefixes a session may bring before any policy sees them.

    IPv4 unicast is what a group without `family` has.
    """
    unicast = scope + ("family", "inet6" if group["family"] == "ipv6" else "inet", "unicast")
    if group["prefix_limit"] is not None:
        limit = unicast + ("prefix-limit",)
        return [(limit + ("maximum",), (str(group["prefix_limit"]),)),
                (limit + ("teardown",), (LIMIT_WARNING, "idle-timeout", LIMIT_PAUSE))]
    is_default = group["family"] == "ipv4" and not found.holds(scope + ("family",)) and (
        found.holds(scope) or options["match"] == "orlonger")
    return [] if is_default else [(unicast, ())]


def _wanted_protection(scope: Path, group: Mapping[str, Any]) -> Iterable[Tuple[Path, Path]]:
    """Yield BFD, TTL and graceful restart.

    `ttl 255` is refused in an internal group ("This option is valid only for single-hop EBGP neighbor"). Internal
    sessions go out with TTL 64, and `multihop ttl` changes that, though it is named after EBGP (CLI reference,
    multihop). With it `session-mode automatic` would take BFD as multihop, on another port than FRR does on one segment
    (RFC 5883). A restarting neighbour is helped by default.
    """
    if group["ttl_security"]:
        yield scope + ("multihop", "ttl"), ("255",)
    if group["bfd"] is not None:
        bfd = scope + ("bfd-liveness-detection",)
        yield bfd + ("minimum-interval",), (str(group["bfd"]["interval"]),)
        yield bfd + ("multiplier",), (str(group["bfd"]["multiplier"]),)
        yield bfd + ("session-mode",), ("single-hop",)
    if not group["graceful_restart"]:
        yield scope + ("graceful-restart", "disable"), ()


def _wanted_neighbor(
        scope: Path, peer: Mapping[str, Any], options: Mapping[str, Any], found: Config) -> Iterable[Tuple[Path, Path]]:
    peer_as = scope + ("peer-as",)
    own = (str(options["asn"]),)
    yield scope, ()
    if found.statements.get(peer_as) == own:
        yield peer_as, own
    if peer["description"] is not None:
        yield scope + ("description",), (peer["description"],)


def _member(community: str) -> str:
    return community if community.count(":") == 1 else f"large:{community}"
