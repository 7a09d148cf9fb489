# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration of Junos as statements: read from its XML, written as `set`, `delete` and `activate` lines.

A statement is where it stands and its value, both as the words of a `set` line: ("system", "host-name") and ("mx1",).
How XML elements become words (which have no word of their own, which take several values, which are written on one
line) is taken from Juniper's YANG modules, github.com/Juniper/yang, 23.1R1, `junos:cli-feature`.
"""

from __future__ import annotations

import re
from typing import Any, Dict, FrozenSet, Iterable, List, NamedTuple, Set, Tuple

Path = Tuple[str, ...]
Statements = Dict[Path, Path]

# Elements whose value stands in a `set` line without the element's name.
UNNAMED = frozenset(
    ("name", "address", "as-number", "metric-value", "limit-threshold", "timeout", "choice-ident", "choice-value",
     "list_name"))
# Lists whose entries stand in a `set` line by their name alone, by what they are in.
WORDLESS = frozenset((("routing-instances", "instance"), ("interfaces", "interface")))
# Statements that take several values, each of which is deleted by itself.
LISTS = frozenset(
    ("import", "export", "members", "protocol", "community", "neighbor", "allow", "vrf-import", "vrf-export",
     "instance-import", "import-policy", "apply-groups"))
# Statements on one line, changed as a whole: the words of the line, and whether they tell it from its like.
ONE_LINE = {"route-filter": True, "source-address-filter": True, "prefix-list-filter": True, "teardown": False}

_PLAIN = re.compile(r"^[A-Za-z0-9_./:*+-]+$")


class Config(NamedTuple):
    """A configuration. nodes: every place that can be deleted; inactive: those that are deactivated."""

    statements: Statements
    nodes: FrozenSet[Path]
    inactive: FrozenSet[Path]

    def holds(self, path: Path) -> bool:
        """Tell whether there is something at a place, or below it."""
        return path in self.nodes

    def below(self, path: Path) -> Statements:
        """Return the statements at a place and below it."""
        return {where: value for where, value in self.statements.items() if where[: len(path)] == path}

    def names(self, path: Path) -> List[str]:
        """Return the names of a list's entries: `("protocols", "bgp", "group")` tells those of the groups."""
        size = len(path)
        found = {where[size]: None for where in self.statements if where[:size] == path and len(where) > size}
        return list(found)


EMPTY = Config({}, frozenset(), frozenset())


def read_configuration(element: Any) -> Config:
    """Read a `<configuration>` element; None, or what holds nothing, is an empty configuration."""
    statements: Statements = {}
    nodes: Set[Path] = set()
    inactive: Set[Path] = set()

    def note(child: Any, where: Path) -> None:
        nodes.add(where)
        if child.get("inactive"):
            inactive.add(where)

    def read(parent: Any, path: Path) -> None:
        children = _children(parent)
        several = _several([_name(child) for child in children if not _children(child)])
        for child in children:
            name = _name(child)
            if name == "undocumented":
                read(child, path)
            elif name in ONE_LINE:
                words = _words(child)
                where = path + (name,) + (words if ONE_LINE[name] else ())
                note(child, where)
                statements[where] = () if ONE_LINE[name] else words
            elif _children(child):
                where = path + (() if (path[-1:] + (name,)) in WORDLESS else (name,)) + _keys(child)
                note(child, where)
                inner = len(statements)
                read(child, where)
                if len(statements) == inner:
                    statements[where] = ()
            elif name != "name":
                where, value = _leaf(path, name, (child.text or "").strip(), several)
                note(child, where)
                statements[where] = value

    if element is not None and len(element):
        read(element, ())
    return Config(statements, frozenset(nodes), frozenset(inactive))


def write_line(verb: str, *words: Iterable[str]) -> str:
    """Return a line of a configuration in set form, quoted where Junos needs it."""
    return " ".join([verb, *(quote(word) for part in words for word in part)])


def quote(word: str) -> str:
    """Return a word as it stands in a `set` line."""
    if _PLAIN.match(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _leaf(path: Path, name: str, text: str, several: Set[str]) -> Tuple[Path, Path]:
    if name in UNNAMED:
        return path, (text,)
    if not text:
        return path + (name,), ()
    if name in LISTS or name in several:
        return path + (name, text), ()
    return path + (name,), (text,)


def _keys(element: Any) -> Path:
    """Return the name of a list's entry, if it is one."""
    first = _children(element)[0]
    return ((first.text or "").strip(),) if _name(first) == "name" and not _children(first) else ()


def _words(element: Any) -> Path:
    found: List[str] = []
    for child in _children(element):
        text = (child.text or "").strip()
        if _name(child) not in UNNAMED:
            found.append(_name(child))
        if _children(child):
            found += _words(child)
        elif text:
            found.append(text)
    return tuple(found)


def _children(element: Any) -> List[Any]:
    return [child for child in element if isinstance(child.tag, str)]


def _name(element: Any) -> str:
    name: str = element.tag
    return name.rpartition("}")[2]


def _several(names: Iterable[str]) -> Set[str]:
    seen: Set[str] = set()
    twice: Set[str] = set()
    for name in names:
        (twice if name in seen else seen).add(name)
    return twice
