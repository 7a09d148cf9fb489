# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Routing policies of Junos as route-maps of FRR. A condition that has no translation is refused, never skipped."""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .tree import ConfigurationError, Node

BITS = {4: 32, 6: 128}
IP = {4: "ip", 6: "ipv6"}
STANDARD = re.compile(r"(\d{1,5}):(\d{1,5})")
LARGE = re.compile(r"large:(\d{1,10}:\d{1,10}:\d{1,10})")
WELL_KNOWN = {"no-export": "no-export", "no-advertise": "no-advertise", "no-export-subconfed": "local-AS"}
NAME = re.compile(r"[A-Za-z0-9_.-]+")
# Where a route of this device itself comes from, as a mark that no neighbour ever sees.
MARKS = {"static": "4294967295:4294967295:1", "direct": "4294967295:4294967295:2"}
REDISTRIBUTED = {"static": "static", "direct": "connected"}
NEVER_HERE = {"ospf", "isis", "rip"}  # protocols that the simulated device does not run: no route is theirs
CONDITIONS = {"family", "protocol", "community", "prefix-list", "prefix-list-filter", "route-filter", "neighbor", "tag",
              "metric", "local-preference"}
ACTIONS = {"accept", "reject", "next", "metric", "local-preference", "community"}


class Untranslatable(ConfigurationError):
    """What the simulator can't do with FRR."""

    def __init__(self, what: str, element: str, path: Sequence[str]) -> None:
        super().__init__(f"Junos simulator cannot translate: {what}", element,
                         f"[edit{''.join(' ' + word for word in path)}]")


@dataclass
class Entry:
    """An entry of a route-map, or with `label` only a place for others to go to: `goto` is where a match goes on."""

    action: str
    matches: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    goto: str = ""
    label: str = ""


@dataclass
class Lists:
    """FRR's lists by name, each with its lines. A name holds a hash of the content: what changes is another list."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    removals: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, name: str, content: Sequence[str]) -> str:
        """Note a list of a kind (`ip prefix-list`, …) and return its full name."""
        full = f"JS-{name}-{digest(content)}"
        self.lines[full] = [f"{kind} {full} {line}" for line in content]
        self.removals[full] = f"no {kind} {full}"
        return full


@dataclass(frozen=True)
class RouteMap:
    """A route-map: its name, which holds a hash, and its lines."""

    name: str
    lines: tuple[str, ...]


def digest(content: Sequence[str]) -> str:
    """A short hash of some lines."""
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:8]


@dataclass
class Chain:
    """The policies of one direction for one address family, which are evaluated one after the other.

    local: protocols whose routes of this device are in BGP too, each with its mark (export only).
    """

    options: Node
    names: list[str]
    direction: str
    family: int
    local: tuple[str, ...]
    lists: Lists
    path: tuple[str, ...] = ()

    def translate(self) -> RouteMap:
        """The chain as a route-map."""
        entries = [entry for name in self.names for entry in self.translate_policy(name)]
        if self.direction == "out" and self.local:
            entries.append(Entry("deny", [self.match_marks(self.local)]))
        entries.append(Entry("permit", sets=self.final_sets()))
        lines = write_entries(entries)
        label = f"{'+'.join(self.names) or 'default'}-{self.direction.upper()}-V{self.family}"
        if not NAME.fullmatch(label.replace("+", "")):
            raise Untranslatable("a policy's name with other than letters, digits, -, _ and .", label, self.path)
        name = f"JS-{label}-{digest(lines)}"
        return RouteMap(name, tuple(line.replace("ROUTE-MAP", name) for line in lines))

    def translate_policy(self, name: str) -> Iterator[Entry]:
        """The entries of a policy; an empty one at its end for others to go to."""
        policy = self.options.children[("policy-statement", name)]
        terms = [(term.key, term) for term in policy.active("term")] + [("", policy)]
        for key, term in terms:
            self.path = ("policy-options", "policy-statement", name, *(("term", key) if key else ()))
            yield from self.translate_term(term, f"{name}/{key}", f"{name}/")
        yield Entry("", label=f"{name}/")

    def translate_term(self, term: Node, label: str, policy_end: str) -> Iterator[Entry]:
        """The entries of a term, one for each way to meet its conditions."""
        self.refuse_unknown(term)
        actions = term.find("then")
        sets = self.translate_sets(actions) if actions else []
        names = {child.name for child in actions.active()} if actions else set()
        following = actions.read("next") if actions else ""
        conditions = list(self.meet_conditions(term.find("from")))
        end = f"{label}#end"
        for excluded, matches in conditions:
            if excluded:
                yield Entry("permit", [self.match_marks(excluded)], goto=end)
            if "reject" in names:
                yield Entry("deny", matches)
            elif "accept" in names:
                yield Entry("permit", matches, [*sets, *self.final_sets()])
            elif following == "policy":
                yield Entry("permit", matches, sets, goto=policy_end)
            elif sets:
                yield Entry("permit", matches, sets, goto=end)
        yield Entry("", label=end)

    def refuse_unknown(self, term: Node) -> None:
        """Refuse conditions and actions that have no translation."""
        if term.has("to"):
            raise Untranslatable("`to`", "to", self.path)
        for part, known in (("from", CONDITIONS), ("then", ACTIONS)):
            block = term.find(part)
            for child in block.active() if block else ():
                if child.name not in known:
                    raise Untranslatable(f"`{part} {child.name}`", child.name, self.path)

    def meet_conditions(self, source: Node | None) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        """Each way to meet the conditions: marks that must not be there, and match lines that must all hold.

        None when no route of this family and direction can meet them.
        """
        if source is None:
            yield (), []
            return
        if source.read("family", default="inet" if self.family == 4 else "inet6") != (
                "inet" if self.family == 4 else "inet6"):
            return
        protocols = self.meet_protocols(source)
        if protocols is None:
            return
        excluded, choices = protocols
        choices += self.meet_prefixes(source)
        choices += [[self.match_community(name) for name in source.read_values("community")]]
        choices += [[[f"match peer {address}"] for address in self.import_only(source, "neighbor")]]
        choices += [[[f"match tag {tag}"] for tag in self.export_only(source, "tag")]]
        choices += [[[f"match {name} {source.read(name)}"]] for name in ("metric", "local-preference")
                    if source.has(name)]
        for ways in itertools.product(*(choice for choice in choices if choice)):
            yield excluded, [line for way in ways for line in way]

    def import_only(self, source: Node, name: str) -> list[str]:
        """The values of a condition that has a translation for imports."""
        return self.only("in", source, name)

    def export_only(self, source: Node, name: str) -> list[str]:
        """The values of a condition that has a translation for exports."""
        return self.only("out", source, name)

    def only(self, direction: str, source: Node, name: str) -> list[str]:
        found = source.read_values(name)
        if found and self.direction != direction:
            raise Untranslatable(f"`from {name}` in this direction", name, self.path)
        return found

    def meet_protocols(self, source: Node) -> tuple[tuple[str, ...], list[list[list[str]]]] | None:
        """Which marks must be missing or there for the protocols asked for; None when there can be no such route."""
        asked = set(source.read_values("protocol")) - NEVER_HERE
        if not source.read_values("protocol"):
            return (), []
        if self.direction == "in":
            return ((), []) if "bgp" in asked else None
        for name in asked - {"bgp"} - set(MARKS):
            raise Untranslatable(f"`from protocol {name}`", "protocol", self.path)
        here = tuple(name for name in self.local if name in asked)
        if "bgp" in asked:
            return tuple(name for name in self.local if name not in asked), []
        return ((), [[[self.match_marks(here)]]]) if here else None

    def match_marks(self, names: Sequence[str]) -> str:
        """The line that matches routes of this device with one of some marks."""
        content = [f"seq {5 * number} permit {MARKS[name]}" for number, name in enumerate(sorted(names), 1)]
        return f"match large-community {self.lists.add('bgp large-community-list standard', 'LOCAL', content)}"

    def final_sets(self) -> list[str]:
        """What every accepted route gets: no mark leaves; a next hop of IPv6 is the one that was announced."""
        if self.direction == "in":
            return ["set ipv6 next-hop prefer-global"] if self.family == 6 else []
        if not self.local:
            return []
        content = [f"seq {5 * number} permit {mark}" for number, mark in enumerate(MARKS.values(), 1)]
        return [f"set large-comm-list {self.lists.add('bgp large-community-list standard', 'ALL', content)} delete"]

    def meet_prefixes(self, source: Node) -> list[list[list[str]]]:
        """The match line of route-filters or prefix lists."""
        filters = source.active("route-filter")
        named = source.active("prefix-list") + source.active("prefix-list-filter")
        if filters and named:
            raise Untranslatable("route-filter and prefix-list in one term", "route-filter", self.path)
        if not filters and not named:
            return []
        wanted = [(entry.key, entry.identity[2:]) for entry in filters]
        for entry in named:
            how = entry.identity[2:] or ("exact",)
            wanted += [(item.key, how) for item in self.options.children[("prefix-list", entry.key)].active("")]
        content = write_prefix_list([(ipaddress.ip_network(prefix), *how) for prefix, how in wanted
                                     if ipaddress.ip_network(prefix).version == self.family], self.path)
        if not content:
            return [[[f"match {IP[self.family]} address prefix-list {self.nothing()}"]]]
        name = self.lists.add(f"{IP[self.family]} prefix-list", f"V{self.family}", content)
        return [[[f"match {IP[self.family]} address prefix-list {name}"]]]

    def nothing(self) -> str:
        """The name of a prefix list that matches nothing."""
        return self.lists.add(f"{IP[self.family]} prefix-list", f"V{self.family}", ["seq 5 deny any"])

    def match_community(self, name: str) -> list[str]:
        """The lines that match a community of the policy options: all of its members must be there."""
        standard, large = self.read_members(name)
        lines = []
        if standard:
            content = [f"seq 5 permit {' '.join(standard)}"]
            lines.append(f"match community {self.lists.add('bgp community-list standard', 'C', content)}")
        if large:
            content = [f"seq 5 permit {' '.join(large)}"]
            lines.append(f"match large-community {self.lists.add('bgp large-community-list standard', 'L', content)}")
        return lines

    def read_members(self, name: str) -> tuple[list[str], list[str]]:
        """The standard and the large members of a community."""
        community = self.options.children[("community", name)]
        place = ("policy-options", "community", name)
        if community.has("invert-match"):
            raise Untranslatable("`invert-match`", "invert-match", place)
        standard, large = [], []
        for member in community.read_values("members"):
            found = LARGE.fullmatch(member)
            if found:
                large.append(found.group(1))
            elif member in WELL_KNOWN:
                standard.append(WELL_KNOWN[member])
            elif STANDARD.fullmatch(member) and all(int(part) < 65536 for part in member.split(":")):
                standard.append(member)
            else:
                raise Untranslatable(f"community member {member}", "members", place)
        return sorted(standard), sorted(large)

    def translate_sets(self, actions: Node) -> list[str]:
        """The set lines of actions that change a route."""
        sets = [f"set {name} {actions.read(name)}" for name in ("metric", "local-preference") if actions.has(name)]
        changes = actions.active("community")
        if len(changes) > 1:
            raise Untranslatable("several `then community` in one term", "community", self.path)
        for change in changes:
            operation, name = change.identity[1:]
            standard, large = self.read_members(name)
            if operation not in ("add", "set"):
                raise Untranslatable(f"`then community {operation}`", "community", self.path)
            added = " additive" if operation == "add" else ""
            sets += [f"set community {' '.join(standard)}{added}"] if standard else []
            sets += [f"set large-community {' '.join(large)}{added}"] if large else []
        return sets


def write_prefix_list(
    wanted: Sequence[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, *tuple[str, ...]]], path: Sequence[str]
) -> list[str]:
    """The entries for route-filters. The longest prefix that covers a route decides alone, as on Junos."""
    lines: list[str] = []
    by_prefix = sorted({each[0] for each in wanted}, key=lambda prefix: -prefix.prefixlen)
    for prefix in by_prefix:
        for each in wanted:
            if each[0] == prefix:
                lines += [f"permit {line}" for line in write_range(prefix, each[1:], path)]
        if any(other != prefix and prefix.subnet_of(other) for other in by_prefix):  # type: ignore[arg-type]
            lines.append(f"deny {prefix}" + ("" if prefix.prefixlen == prefix.max_prefixlen
                                             else f" le {prefix.max_prefixlen}"))
    return [f"seq {5 * number} {line}" for number, line in enumerate(lines, 1)]


def write_range(
    prefix: ipaddress.IPv4Network | ipaddress.IPv6Network, how: tuple[str, ...], path: Sequence[str]
) -> list[str]:
    """A prefix and the lengths that a route-filter lets pass, as FRR writes them; nothing when there are none."""
    own, longest = prefix.prefixlen, prefix.max_prefixlen
    ranges = {"exact": (own, own), "orlonger": (own, longest), "longer": (own + 1, longest)}
    if how[0] in ranges:
        low, high = ranges[how[0]]
    elif how[0] == "upto":
        low, high = own, read_length(how[1], path)
    elif how[0] == "prefix-length-range" and how[1].count("-") == 1:
        low, high = (read_length(part, path) for part in how[1].split("-"))
    else:
        raise Untranslatable(f"route-filter {' '.join(how)}", "route-filter", path)
    low = max(low, own)
    if low > high or high > longest:
        return []
    at_least = f" ge {low}" if low > own else ""
    at_most = f" le {high}" if high > own and low < longest else ""
    return [f"{prefix}{at_least}{at_most}"]


def read_length(written: str, path: Sequence[str]) -> int:
    """A prefix length from `/32`."""
    if not written.startswith("/") or not written[1:].isdigit():
        raise Untranslatable(f"route-filter with the length {written}", "route-filter", path)
    return int(written[1:])


def write_entries(entries: Sequence[Entry]) -> list[str]:
    """A route-map's lines. An entry that is a label only is left out: who goes there goes to the next one."""
    numbers: dict[str, int] = {}
    asked_for: set[str] = set()
    lines: list[str] = []
    number = 10
    for entry in entries:
        if entry.label:
            numbers[entry.label] = number
            continue
        asked_for |= {entry.goto} - {""}
        lines.append(f"route-map ROUTE-MAP {entry.action} {number}")
        lines += [f" {line}" for line in (*entry.matches, *entry.sets)]
        if entry.goto:
            lines.append(f" on-match goto LABEL {entry.goto}")
        lines.append("exit")
        number += 10
        if not entry.matches and not entry.goto and asked_for <= numbers.keys():
            break  # nothing comes past an entry that takes all, unless it goes round it
    head, mark = " on-match goto ", "LABEL "
    return [f"{head}{numbers[line.partition(mark)[2]]}" if line.startswith(head) else line for line in lines]
