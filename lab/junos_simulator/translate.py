# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Junos configuration as what FRR has to run: a pure function, which refuses what it can't translate."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from . import secrets
from .policy import IP, MARKS, NEVER_HERE, REDISTRIBUTED, Chain, Lists, RouteMap, Untranslatable, digest
from .tree import ConfigurationError, Node, new_tree

DEFAULT_HOLD = 90  # seconds, Junos's
DEFAULT_TTL = 64  # of internal sessions on Junos; FRR sends 255
BGP_PREFERENCE = 170  # of both kinds of BGP on Junos; FRR has 20 and 200
FAMILIES = {"inet": 4, "inet6": 6}
GROUP_OPTIONS = {
    "type", "description", "local-address", "hold-time", "passive", "log-updown", "ttl", "multihop", "import",
    "family", "authentication-key", "export", "peer-as", "graceful-restart", "bfd-liveness-detection",
}
STATIC_OPTIONS = {"discard", "reject", "next-hop", "preference", "tag"}
BFD_OPTIONS = {"minimum-interval", "multiplier", "session-mode", "version"}


@dataclass(frozen=True)
class Neighbor:
    """A BGP neighbour: statements of the session and of each family by what they set, and what resets the session.

    ttl: what its packets leave with, None for what FRR does by itself.
    """

    address: str
    group: str
    remote_as: str
    session: dict[str, str]
    families: dict[int, dict[str, str]]
    reset_key: tuple[str, ...]
    ttl: int | None


@dataclass
class FrrPlan:
    """All that FRR has to run for a configuration."""

    lists: Lists = field(default_factory=Lists)
    route_maps: dict[str, RouteMap] = field(default_factory=dict)
    bfd_profiles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    static_routes: tuple[str, ...] = ()
    asn: str = ""
    instance: dict[str, str] = field(default_factory=dict)
    redistributions: dict[int, dict[str, str]] = field(default_factory=dict)
    neighbors: dict[str, Neighbor] = field(default_factory=dict)


def find_untranslatable(root: Node) -> list[ConfigurationError]:
    """What of a configuration can't be translated: the first of it, as the rest may follow from that."""
    try:
        translate(root)
    except ConfigurationError as error:
        return [error]
    return []


def translate(root: Node) -> FrrPlan:
    """The plan for a configuration; Untranslatable when there is none."""
    for name in ("logical-systems", "routing-instances"):
        if root.has(name):
            raise Untranslatable(f"`{name}`", name, ())
    plan = FrrPlan()
    options = root.find("routing-options")
    if options:
        plan.static_routes = tuple(sorted(translate_static_routes(options)))
    bgp = root.find("protocols", "bgp")
    number = root.read("routing-options", "autonomous-system", "as-number")
    if bgp is not None and bgp.active("group"):
        translate_bgp(plan, root, bgp, number)
    return plan


def translate_static_routes(options: Node) -> Iterator[str]:
    """FRR's lines for static routes of all tables."""
    places: list[tuple[Node | None, str, tuple[str, ...]]] = [
        (options.find("static"), "inet.0", ("routing-options", "static"))]
    places += [(rib.find("static"), rib.key, ("routing-options", "rib", rib.key, "static"))
               for rib in options.active("rib")]
    for static, table, path in places:
        for route in static.active("route") if static else ():
            yield from translate_static_route(route, table, (*path, "route", route.key))


def translate_static_route(route: Node, table: str, path: Sequence[str]) -> Iterator[str]:
    """FRR's lines for a static route."""
    version = ipaddress.ip_network(route.key).version
    if table != {4: "inet.0", 6: "inet6.0"}[version]:
        raise Untranslatable(f"{route.key} in table {table}", "route", path)
    refuse_others(route, STATIC_OPTIONS, path)
    tag = f" tag {route.read('tag')}" if route.has("tag") else ""
    preference = int(route.read("preference", default="5"))
    if preference == BGP_PREFERENCE:
        raise Untranslatable("a static route with the preference of BGP", "preference", path)
    distance = " 250" if preference > BGP_PREFERENCE else ""
    targets = ["blackhole"] if route.has("discard") else ["reject"] if route.has("reject") else []
    for target in targets or route.read_values("next-hop"):
        yield f"{IP[version]} route {route.key} {target}{tag}{distance}"
    if not targets and not route.read_values("next-hop"):
        raise Untranslatable("a static route without next hop", "route", path)


def translate_bgp(plan: FrrPlan, root: Node, bgp: Node, number: str) -> None:
    """Add BGP to the plan."""
    path = ("protocols", "bgp")
    options = root.find("policy-options") or new_tree()
    refuse_others(bgp, GROUP_OPTIONS | {"group"}, path)
    plan.asn = number
    plan.instance = {"policy": "no bgp ebgp-requires-policy", "families": "no bgp default ipv4-unicast"}
    if root.has("routing-options", "router-id"):
        plan.instance["router-id"] = f"bgp router-id {root.read('routing-options', 'router-id')}"
    local = find_redistributed(bgp, options)
    for group in bgp.active("group"):
        place = (*path, "group", group.key)
        refuse_others(group, GROUP_OPTIONS | {"neighbor"}, place)
        for neighbor in group.active("neighbor"):
            inner = (*place, "neighbor", neighbor.key)
            refuse_others(neighbor, GROUP_OPTIONS, inner)
            levels = Levels((neighbor, group, bgp), inner)
            plan.neighbors[neighbor.key] = translate_neighbor(plan, root, options, levels, number, local)
    for version in (4, 6) if local else ():
        plan.redistributions[version] = {
            name: f"redistribute {REDISTRIBUTED[name]} route-map {add_mark(plan, name, version)}" for name in local}


def refuse_others(node: Node, known: set[str], path: Sequence[str]) -> None:
    """Refuse statements below a node that aren't among the known ones."""
    for child in node.active():
        if child.name not in known:
            raise Untranslatable(f"`{child.name}`", child.name, path)


def add_mark(plan: FrrPlan, protocol: str, version: int) -> str:
    """The name of the route-map that marks routes of a protocol when they come into BGP.

    Static routes that are there for when BGP has none stay out: in FRR they would win against BGP's own.
    """
    start = f"{IP[version]} route "
    last = sorted(line.split()[2] for line in plan.static_routes if line.startswith(start) and line.endswith(" 250"))
    lines = [f" set large-community {MARKS[protocol]}", "exit"]
    if last and protocol == "static":
        content = [f"seq {5 * number} permit {prefix}" for number, prefix in enumerate(last, 1)]
        name = plan.lists.add(f"{IP[version]} prefix-list", f"V{version}", content)
        lines += ["route-map ROUTE-MAP deny 5", f" match {IP[version]} address prefix-list {name}", "exit"]
    name = f"JS-MARK-{protocol}-V{version}-{digest(lines)}"
    lines = [line.replace("ROUTE-MAP", name) for line in ["route-map ROUTE-MAP permit 10", *lines]]
    plan.route_maps[name] = RouteMap(name, tuple(lines))
    return name


@dataclass(frozen=True)
class Levels:
    """A neighbour, its group and BGP as a whole: the innermost one that has an option decides."""

    nodes: tuple[Node, ...]
    path: tuple[str, ...]

    def find(self, name: str) -> Node | None:
        """The innermost block or leaf of a name."""
        return next((found for found in (node.find(name) for node in self.nodes) if found), None)

    def read(self, name: str, default: str = "") -> str:
        """The innermost value of a leaf."""
        found = self.find(name)
        return found.value if found else default

    def read_values(self, name: str) -> list[str]:
        """The innermost list of values."""
        return next((values for values in (node.read_values(name) for node in self.nodes) if values), [])

    def read_families(self) -> dict[int, Node | None]:
        """The address families of the innermost level that names any; of a session without, that of its address."""
        for node in self.nodes:
            found = node.active("family")
            if found:
                return {FAMILIES[family.key]: family for family in found}
        return {6 if ":" in self.nodes[0].key else 4: None}


def find_redistributed(bgp: Node, options: Node) -> tuple[str, ...]:
    """Protocols whose routes of this device some export policy may let out."""
    found: set[str] = set()
    for level in [bgp, *bgp.active("group"), *(each for group in bgp.active("group")
                                              for each in group.active("neighbor"))]:
        for name in level.read_values("export"):
            policy = options.children[("policy-statement", name)]
            for term in [*policy.active("term"), policy]:
                found |= find_let_out(term)
    return tuple(name for name in REDISTRIBUTED if name in found)


def find_let_out(term: Node) -> set[str]:
    """Protocols whose routes a term may let out, or hand on to a later one."""
    actions = term.find("then")
    if actions is None or actions.has("reject") or not actions.active():
        return set()
    source = term.find("from")
    return set(source.read_values("protocol") if source else ()) - NEVER_HERE - {"bgp"} or (
        set() if source and source.read_values("protocol") else set(REDISTRIBUTED))


def translate_neighbor(
    plan: FrrPlan, root: Node, options: Node, levels: Levels, number: str, local: tuple[str, ...]
) -> Neighbor:
    """A neighbour with the options of all levels."""
    address = levels.nodes[0].key
    remote = levels.read("peer-as") or number
    internal = remote == number
    hold = int(levels.read("hold-time", str(DEFAULT_HOLD)))
    session = {"timers": f"timers {hold // 3} {hold}", "retry": "timers connect 5"}
    if levels.nodes[0].has("description"):
        session["description"] = f"description {levels.nodes[0].read('description')}"
    if levels.find("local-address"):
        session["source"] = f"update-source {levels.read('local-address')}"
    if levels.find("authentication-key"):
        session["key"] = f"password {secrets.unscramble(levels.read('authentication-key'))}"
    if levels.find("passive"):
        session["passive"] = "passive"
    multihop = levels.find("multihop")
    if multihop and not internal:
        session["multihop"] = f"ebgp-multihop {multihop.read('ttl', default=str(DEFAULT_TTL))}"
    restart = translate_restart(root, levels)
    session["restart"] = restart
    bfd = levels.find("bfd-liveness-detection")
    if bfd:
        session["bfd"] = f"bfd profile {add_bfd_profile(plan, bfd, levels.path, is_multihop=multihop is not None)}"
    chains = {way: levels.read_values(name) for way, name in (("in", "import"), ("out", "export"))}
    families = {}
    for version, family in levels.read_families().items():
        families[version] = {"active": "activate", "received": "soft-reconfiguration inbound",
                             **translate_limit(family, levels.path)}
        for way, names in chains.items():
            route_map = Chain(options, names, way, version, local if way == "out" else (), plan.lists).translate()
            plan.route_maps[route_map.name] = route_map
            families[version][way] = f"route-map {route_map.name} {way}"
    kept = (levels.nodes[1].key, str(hold), restart, levels.read("type"), ",".join(map(str, sorted(families))))
    return Neighbor(address, levels.nodes[1].key, remote, session, families, kept, find_ttl(levels, internal))


def find_ttl(levels: Levels, internal: bool) -> int | None:
    """What the packets of a session leave with. `multihop ttl` counts inside an AS too (CLI reference, multihop)."""
    multihop = levels.find("multihop")
    if internal or multihop:
        return int(multihop.read("ttl", default=str(DEFAULT_TTL))) if multihop else DEFAULT_TTL
    return int(levels.read("ttl")) if levels.find("ttl") else None


def translate_restart(root: Node, levels: Levels) -> str:
    """Graceful restart: on where the device has it on and the session has not put it off, else only as helper."""
    device = root.find("routing-options", "graceful-restart")
    own = levels.find("graceful-restart")
    if device is None or device.has("disable") or (own is not None and own.has("disable")):
        return "graceful-restart-helper"
    return "graceful-restart"


def add_bfd_profile(plan: FrrPlan, bfd: Node, path: Sequence[str], *, is_multihop: bool) -> str:
    """The name of the BFD profile for some options. By itself a multihop session has multihop BFD (RFC 5883)."""
    place = (*path, "bfd-liveness-detection")
    refuse_others(bfd, BFD_OPTIONS, place)
    mode = bfd.read("session-mode", default="automatic")
    if mode == "multihop" or (mode == "automatic" and is_multihop):
        raise Untranslatable("multihop BFD, which `session-mode single-hop` would not be", "session-mode", place)
    if not bfd.has("minimum-interval"):
        raise ConfigurationError("minimum-interval must be configured", "bfd-liveness-detection",
                                 f"[edit {' '.join(place)}]")
    interval = min(max(int(bfd.read("minimum-interval")), 10), 60000)
    multiplier = max(int(bfd.read("multiplier", default="3")), 2)
    name = f"JS-{interval}-{multiplier}"
    plan.bfd_profiles[name] = (f"detect-multiplier {multiplier}", f"receive-interval {interval}",
                               f"transmit-interval {interval}")
    return name


def translate_limit(family: Node | None, path: Sequence[str]) -> dict[str, str]:
    """The limit on prefixes of a family: what comes in is counted, or what is accepted of it."""
    unicast = family.find("unicast") if family else None
    limits = [limit for limit in (unicast.active() if unicast else ()) if limit.name.endswith("prefix-limit")]
    if not limits:
        return {}
    place = (*path, "family", family.key if family else "", "unicast", limits[0].name)
    if len(limits) > 1 or not limits[0].has("maximum"):
        raise Untranslatable("two limits on prefixes, or one without maximum", limits[0].name, place)
    limit, teardown = limits[0], limits[0].find("teardown")
    words = [f"maximum-prefix {limit.read('maximum')}"]
    words.append(teardown.read("limit-threshold", default="75") if teardown else "75")
    idle = teardown.find("idle-timeout") if teardown else None
    if teardown is None:
        words.append("warning-only")
    elif idle is None or not idle.has("forever"):
        words.append(f"restart {idle.read('timeout', default='1') if idle else '1'}")
    if limit.name == "prefix-limit":
        words.append("force")
    return {"limit": " ".join(words)}
