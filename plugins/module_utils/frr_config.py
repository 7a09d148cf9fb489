# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the delta between a running FRR configuration and the statements wanted, touching only what is ours.

Order, so that no route passes which neither the old nor the new configuration lets pass (fail closed):

1. lists, new entries before anything that refers to them: FRR takes a missing list for "matches nothing";
2. route-maps: a new entry of a route-map in use is made as `deny`, filled, and turned to `permit` last, since an entry
   without a match matches everything. Within an entry what comes is written before what goes;
3. BFD profiles, static routes, other statements of the top level, then the contexts that refer to all these;
4. only then what goes: referrers before what they refer to, and a list's old entries after its new ones.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, Iterable, List, NamedTuple, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_list import missing_entries, surplus_entries
from ansible_collections.vmcluster.network.plugins.module_utils.frr_statements import (
    Named,
    Path,
    Statement,
    canonical_path,
    is_default,
    key_of,
    kind_of,
    named_of,
    removal_of,
    render,
)
from ansible_collections.vmcluster.network.plugins.module_utils.frr_static import (
    StaticPlan,
    parse_static_route,
    plan_static_routes,
)
from ansible_collections.vmcluster.network.plugins.module_utils.frr_text import (
    Config,
    ConfigError,
    check_asn,
    indented,
    read_config,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step

LISTS = frozenset(("ip prefix-list", "ipv6 prefix-list", "bgp community-list", "bgp large-community-list",
                   "bgp extcommunity-list", "bgp as-path access-list"))
# FRR does not show these headings when nothing stands below them; so they are made by what stands below.
FILTER_TIMER = "bgp route-map delay-timer"
HIDDEN_WHEN_EMPTY = frozenset(("address-family", "interface", "vrf", "bfd"))


class ConfigPlan(NamedTuple):
    """steps: what to write, in order. kept: our names that nobody wants any more and that a statement which is not ours
    still refers to: they stay until that is gone."""

    steps: Tuple[Step, ...]
    kept: Tuple[str, ...]


def plan_config(found_text: str, wanted_text: str, prefix: str = "", tags: Iterable[int] = ()) -> ConfigPlan:
    """Compare `show running-config` with the statements wanted; pure.

    prefix: names that begin so are ours: they go when they are not wanted, and so do statements of `router bgp` that
    refer to them; empty: no name is ours. tags: static routes with one of these tags are ours.
    Raises ConfigError when a wanted statement belongs to somebody else, or another AS runs.
    """
    found, wanted = read_config(found_text), read_config(wanted_text)
    _check_wanted(found, wanted)
    ours = _owned_statics(wanted, frozenset(tags))
    statics = _plan_statics(found, ours, frozenset(tags))
    planner = _Planner(found, wanted, prefix)
    steps = [
        *planner.timer_additions(), *planner.list_additions(), *planner.route_map_additions(),
        *_static_steps(statics.add, "missing or different"),
        *planner.other_additions(frozenset(ours)), *_static_steps(statics.remove, "not wanted any more"),
        *planner.removals()]
    return ConfigPlan(tuple(steps), tuple(sorted(named.name for named in planner.kept)))


def _check_wanted(found: Config, wanted: Config) -> None:
    for statement in wanted.statements:
        words = statement.line.split()
        if kind_of(statement.path[:1]) == "router bgp" and (
            words[0] == "neighbor" or words[:3] == ["bgp", "listen", "range"]
        ):
            raise ConfigError(f"`{statement.line}`: neighbours belong to module frr_neighbor")
    check_asn(found, [statement.line for statement in wanted.statements if not statement.path])


def _owned_statics(wanted: Config, tags: FrozenSet[int]) -> List[str]:
    """Return the wanted static routes with our tags; one with another tag is an ordinary statement."""
    ours = []
    for statement in wanted.contexts[()].values() if tags else ():
        route = parse_static_route(statement.line)
        if route is not None and route.tag in tags:
            ours.append(statement.line)
    return ours


def _plan_statics(found: Config, ours: Sequence[str], tags: FrozenSet[int]) -> StaticPlan:
    statics = plan_static_routes((entry.line for entry in found.statements if not entry.path), ours, tags)
    if statics.foreign:
        raise ConfigError(
            f"`{statics.foreign[0]}` stands in FRR already and is not ours (tags {sorted(tags)}): remove it first")
    return statics


def _static_steps(lines: Sequence[str], why: str) -> List[Step]:
    if not lines:
        return []
    gone = tuple(line[3:] for line in lines if line.startswith("no "))
    come = tuple(line for line in lines if not line.startswith("no "))
    return [Step(f"{len(lines)} {why}", "static routes", gone, come, tuple(lines))]


class _Planner:
    """The comparison of one found with one wanted configuration; every method returns steps and changes nothing."""

    def __init__(self, found: Config, wanted: Config, prefix: str) -> None:
        self.found, self.wanted, self.prefix = found, wanted, prefix
        self.wanted_names = {
            named for named in map(named_of, wanted.statements) if named and not _is_negation(named, wanted)
        }
        self.found_names: Dict[Named, List[Statement]] = {}
        for statement in found.statements:
            named = named_of(statement)
            if named:
                self.found_names.setdefault(named, []).append(statement)
        self.referring = self._referring_statements()
        self.kept = self._kept_names()

    # --- what comes

    def timer_additions(self) -> List[Step]:
        """How long changed filters wait, first: it is for changes from then on, and bgpd opens no session before."""
        return self._context_step((), [line for line in self.wanted.contexts[()]
                                       if line.startswith(FILTER_TIMER) and not self._is_satisfied((), line)])

    def list_additions(self) -> List[Step]:
        """New entries of prefix-, community- and as-path lists."""
        steps = []
        for named in self._wanted_of(LISTS):
            missing = missing_entries(self._found_entries(named), self._wanted_entries(named))
            if missing:
                steps.append(self._step((), f"{named.kind} {named.name}", (), missing, _entries_missing(len(missing))))
        return steps

    def route_map_additions(self) -> List[Step]:
        """New and changed entries of route-maps."""
        steps = []
        for statement in self.wanted.contexts[()].values():
            words = statement.line.split()
            if words[0] == "route-map" and len(words) == 4:
                steps += self._route_map_entry(statement.line, Named("route-map", words[1]))
        return steps

    def other_additions(self, statics: FrozenSet[str]) -> List[Step]:
        """Statements of every other context: BFD profiles and the top level first, since the others refer to them."""
        first = [path for path in self.wanted.contexts if kind_of(path) in ("bfd", "profile", "top")]
        others = [path for path in self.wanted.contexts if path not in first and kind_of(path) != "route-map"]
        steps = []
        for path in [*first, *others]:
            steps += self._context_step(path, [
                line for line, statement in self.wanted.contexts[path].items() if statement.line not in statics
                and not self._handled_elsewhere(path, line) and not self._is_satisfied(path, line)])
        return steps

    def _context_step(self, path: Path, missing: Sequence[str]) -> List[Step]:
        if not missing:
            return []
        statements = [self.wanted.contexts[path][line] for line in missing]
        replaced = [old.line for statement in statements for old in self._replaced_by(path, statement.line)]
        raw, lines = statements[0].path, [statement.line for statement in statements]
        return [self._step(raw, _title(raw), replaced, lines, _statements_differ(len(lines)))]

    def _route_map_entry(self, heading: str, named: Named) -> List[Step]:
        path = canonical_path((heading,))
        there = self.found.contexts.get(path)
        missing = [statement.line for line, statement in self.wanted.contexts.get(path, {}).items()
                   if not self._is_satisfied(path, line)]
        found_heading = self._found_heading(heading)
        if found_heading is None:
            new_map = named not in self.found_names
            return [self._filled_entry(heading, missing, guarded=not new_map and " permit " in heading)]
        if not missing and found_heading == heading:
            return []
        replaced = [old.line for line in missing for old in self._replaced_by(path, line)] if there else []
        before = [found_heading, *[f" {line}" for line in replaced]]
        after = [heading, *[f" {line}" for line in missing]]
        # deny -> permit: filled first, opened last; permit -> deny: closed first.
        start = heading if " deny " in heading else found_heading
        commands = render((start,), missing) + (render((heading,), ()) if start != heading else [])
        return [Step("entry differs", f"route-map {named.name}", tuple(before), tuple(after), tuple(commands))]

    def _filled_entry(self, heading: str, lines: Sequence[str], guarded: bool) -> Step:
        name = heading.split()[1]
        start = heading.replace(" permit ", " deny ", 1) if guarded else heading
        commands = render((start,), lines) + (render((heading,), ()) if guarded else [])
        return Step(
            "entry is missing", f"route-map {name}", (), (heading, *[f" {line}" for line in lines]), tuple(commands)
        )

    # --- what goes

    def removals(self) -> List[Step]:
        """Statements of ours that are not wanted: referrers first, lists last."""
        steps = []
        for statements in self.referring.values():
            lines = [statement.line for statement in statements]
            steps.append(self._removal(statements[0].path, lines, "refers to what is not wanted any more"))
        gone = [
            named for named in self.found_names if self._is_ours(named) and named not in self.wanted_names | self.kept
        ]
        steps += self._surplus_in_entries()
        steps += [self._whole_removal(named) for named in gone if named.kind == "route-map"]
        steps += self._surplus_entries()
        steps += [self._whole_removal(named) for named in gone if named.kind != "route-map"]
        return steps

    def _surplus_in_entries(self) -> List[Step]:
        """Statements inside our route-map entries and profiles that are not wanted, and entries that are not."""
        steps = []
        for path, statements in self.found.contexts.items():
            named = named_of(Statement(path[:-1], path[-1])) if path else None
            if (
                not named
                or named not in self.wanted_names
                or not self._is_ours(named)
                or path not in self.wanted.contexts
                and not self._heading_wanted(path)
            ):
                continue
            keys = {key_of(path, line) for line in self.wanted.contexts.get(path, {})}
            missing_keys = {
                key_of(path, line) for line in self.wanted.contexts.get(path, {}) if not self._is_satisfied(path, line)
            }
            surplus = [statement for line, statement in statements.items()
                       if line not in self.wanted.contexts.get(path, {}) and key_of(path, line) not in missing_keys
                       and not (key_of(path, line) in keys and is_default(path, line, self.found.flavour))]
            if surplus:
                steps.append(
                    self._removal(surplus[0].path, [statement.line for statement in surplus], "not wanted any more")
                )
        return steps

    def _surplus_entries(self) -> List[Step]:
        """Entries of our lists and route-maps that are not wanted, where others of the same name are."""
        steps = []
        for named, statements in self.found_names.items():
            if named not in self.wanted_names or not self._is_ours(named) or named.kind == "bfd profile":
                continue
            lines = [statement.line for statement in statements if not statement.path]
            if named.kind == "route-map":
                surplus = [line for line in lines if not self._heading_wanted(canonical_path((line,)))]
            else:
                surplus = surplus_entries(lines, self._wanted_entries(named))
            if surplus:
                steps.append(self._removal((), surplus, "not wanted any more"))
        return steps

    def _whole_removal(self, named: Named) -> Step:
        statements = self.found_names[named]
        if named.kind == "bfd profile":
            return self._removal(("bfd",), [f"profile {named.name}"], "not wanted any more")
        before = tuple(" " * len(statement.path) + statement.line for statement in statements)
        if named.kind in ("route-map", "ip prefix-list", "ipv6 prefix-list"):
            return Step(
                "not wanted any more", f"{named.kind} {named.name}", before, (), (f"no {named.kind} {named.name}",)
            )
        return self._removal((), [statement.line for statement in statements], "not wanted any more")

    # --- questions

    def _wanted_of(self, kinds: FrozenSet[str]) -> List[Named]:
        names = (named_of(statement) for statement in self.wanted.statements)
        return [named for named in dict.fromkeys(names) if named and named.kind in kinds and named in self.wanted_names]

    def _found_entries(self, named: Named) -> List[str]:
        return [statement.line for statement in self.found_names.get(named, [])]

    def _wanted_entries(self, named: Named) -> List[str]:
        return [statement.line for statement in self.wanted.contexts[()].values() if named_of(statement) == named]

    def _is_ours(self, named: Named) -> bool:
        return bool(self.prefix) and named.name.startswith(self.prefix)

    def _heading_wanted(self, path: Path) -> bool:
        return any(canonical_path((line,)) == path for line in self.wanted.contexts[()]) if len(path) == 1 \
            else path[-1] in self.wanted.contexts.get(path[:-1], {})

    def _found_heading(self, heading: str) -> "str | None":
        path = canonical_path((heading,))
        for line in self.found.contexts[()]:
            if line.startswith("route-map ") and canonical_path((line,)) == path:
                return line
        return None

    def _handled_elsewhere(self, path: Path, line: str) -> bool:
        """Lists and route-map entries have steps of their own; a heading is made by what stands below it."""
        if line.startswith("no "):
            return False
        if path == () and line.startswith(("route-map ", FILTER_TIMER)):
            return True
        named = named_of(Statement(path, line)) if path == () else None
        if named is not None and named.kind in LISTS:
            return True
        return kind_of((line,)) in HIDDEN_WHEN_EMPTY or self._is_made_by_content((*path, line))

    def _is_made_by_content(self, context: Path) -> bool:
        """Tell whether a context comes to be because something in it, or deeper, is written."""
        return any(not self._is_satisfied(path, line) for path, lines in self.wanted.contexts.items()
                   if path[:len(context)] == context for line in lines)

    def _is_satisfied(self, path: Path, line: str) -> bool:
        there = self.found.contexts.get(path, {})
        if line in there:
            return True
        if (*path, line) in self.found.contexts:
            return True
        if line.startswith("no "):
            positive = line[3:]
            named = named_of(Statement(path, positive)) if not path else None
            if positive in there or (named and positive == f"{named.kind} {named.name}" and named in self.found_names):
                return False
            return is_default(path, line, self.found.flavour) and not any(
                key_of(path, other) == positive for other in there
            )
        return is_default(path, line, self.found.flavour) and not self._replaced_by(path, line)

    def _replaced_by(self, path: Path, line: str) -> List[Statement]:
        """Return the found statements that writing a line does away with."""
        key = key_of(path, line)
        return [statement for other, statement in self.found.contexts.get(path, {}).items()
                if key_of(path, other) == key and other != line]

    def _referring_statements(self) -> Dict[Path, List[Statement]]:
        """Statements of `router bgp` that refer to our names and are neither wanted nor replaced; neighbours are
        others'."""
        referring: Dict[Path, List[Statement]] = {}
        for path, statements in self.found.contexts.items():
            if not self.prefix or not path or kind_of(path[:1]) != "router bgp":
                continue
            wanted = self.wanted.contexts.get(path, {})
            keys = {key_of(path, line) for line in wanted}
            surplus = [statement for line, statement in statements.items()
                       if any(word.startswith(self.prefix) for word in line.split()[1:])
                       and not line.startswith(("neighbor ", "no neighbor ", "bgp listen range "))
                       and line not in wanted and key_of(path, line) not in keys]
            if surplus:
                referring[path] = surplus
        return referring

    def _kept_names(self) -> Set[Named]:
        """Our names that are not wanted, yet statements that stay refer to them. FRR denies everything where a
        route-map is missing, so such a name stays until the referrer is gone."""
        unwanted = {named for named in self.found_names if self._is_ours(named) and named not in self.wanted_names}
        kept: Set[Named] = set()
        going = {id(statement) for statements in self.referring.values() for statement in statements}
        while unwanted - kept:
            used = {word for statement in self.found.statements
                    if id(statement) not in going and " description " not in f" {statement.line} "
                    and named_of(statement) not in unwanted - kept
                    for word in statement.line.split()[1:]}
            more = {named for named in unwanted - kept if named.name in used}
            if not more:
                break
            kept |= more
        return kept

    # --- steps

    @staticmethod
    def _step(path: Path, thing: str, before: Sequence[str], after: Sequence[str], why: str) -> Step:
        return Step(why, thing, indented(path, before), indented(path, after), tuple(render(path, after)))

    def _removal(self, path: Path, lines: Sequence[str], why: str) -> Step:
        named = named_of(Statement(path, lines[0]))
        thing = f"{named.kind} {named.name}" if named else _title(path)
        commands = render(path, [removal_of(path, line) for line in lines])
        return Step(why, thing, indented(path, lines), indented(path, ()), tuple(commands))


def _is_negation(named: Named, wanted: Config) -> bool:
    return f"no {named.kind} {named.name}" in wanted.contexts[()]


def _title(path: Path) -> str:
    return ", ".join(path) or "top level"


def _entries_missing(count: int) -> str:
    return "1 entry is missing" if count == 1 else f"{count} entries are missing"


def _statements_differ(count: int) -> str:
    return "1 statement is missing or different" if count == 1 else f"{count} statements are missing or different"
