# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A configuration as a tree, and the changes that any load is made of: find, set, delete, order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from . import secrets
from .schema import ROOT, Statement

Identity = tuple[str, ...]
SECRET_MARK = "$9$"


class ConfigurationError(Exception):
    """What Junos says of a statement that it doesn't take; `element` is the word that it stumbled over."""

    def __init__(self, message: str, element: str = "", path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.element = element
        self.path = path


class StatementNotFound(ConfigurationError):
    """A statement that was to be deleted isn't there: a warning, no error."""


@dataclass
class Node:
    """A statement with what is below it. A list's entry has its keys after the name, one of `values` its value."""

    statement: Statement
    identity: Identity = ("",)
    value: str = ""
    children: dict[Identity, Node] = field(default_factory=dict)
    is_inactive: bool = False
    comment: str = ""

    @property
    def name(self) -> str:
        return self.identity[0]

    @property
    def key(self) -> str:
        """The first key of a list's entry, or the value of an entry of `values`."""
        return self.identity[1]

    @property
    def words(self) -> list[str]:
        """The words that name this node on its parent's level."""
        return [word for word in self.identity if word]

    def sorted_children(self) -> list[Node]:
        """The children in the order of the schema, entries of lists in their own order."""
        rank = {name: index for index, name in enumerate(self.statement.children)}
        return sorted(self.children.values(), key=lambda child: rank[child.name])

    def active(self, name: str | None = None) -> list[Node]:
        """The children that count: those that are not deactivated, all or those of a name."""
        return [child for child in self.sorted_children() if not child.is_inactive and name in (None, child.name)]

    def find(self, *path: str) -> Node | None:
        """The active node that is reached by names of blocks and leaves, None when there is none."""
        node: Node | None = self
        for name in path:
            node = node.children.get((name,)) if node else None
            if node is None or node.is_inactive:
                return None
        return node

    def read(self, *path: str, default: str = "") -> str:
        """The value of the active leaf that is reached by names."""
        found = self.find(*path)
        return found.value if found else default

    def read_values(self, name: str) -> list[str]:
        """The values of an active list of values."""
        return [child.key for child in self.active(name)]

    def has(self, *path: str) -> bool:
        """Whether there is such an active node."""
        return self.find(*path) is not None

    def copy(self) -> Node:
        """The node with all below it, independent."""
        return Node(self.statement, self.identity, self.value,
                    {identity: child.copy() for identity, child in self.children.items()},
                    self.is_inactive, self.comment)

    def equals(self, other: Node) -> bool:
        """Whether both say the same, in the same order where order matters."""
        return (
            (self.value, self.is_inactive, self.comment) == (other.value, other.is_inactive, other.comment)
            and self.children.keys() == other.children.keys()
            and self.orders() == other.orders()
            and all(child.equals(other.children[identity]) for identity, child in self.children.items())
        )

    def orders(self) -> dict[str, list[Identity]]:
        """The order of the entries of each list whose order the user decides."""
        found: dict[str, list[Identity]] = {}
        for identity, child in self.children.items():
            if child.statement.is_ordered:
                found.setdefault(child.name, []).append(identity)
        return found

    def prune(self) -> None:
        """Drop blocks that are empty and mean nothing so."""
        for identity, child in list(self.children.items()):
            child.prune()
            if child.statement.kind == "block" and not child.statement.is_kept and not child.children:
                del self.children[identity]


def new_tree() -> Node:
    """An empty configuration."""
    return Node(ROOT)


@dataclass
class Step:
    """How one word or more of a statement lead from a node to a child of it: the child's kind, identity and value."""

    statement: Statement
    identity: Identity
    value: str = ""


def read_step(parent: Statement, words: Sequence[str], *, partial: bool = False) -> tuple[list[Step], int]:
    """The steps that the next words make below a statement, and how many words they are.

    More than one step only for `[ a b ]`. With `partial` (of a deletion) value and keys may be left out.
    """
    word = words[0]
    statement, used = parent.children.get(word), 1
    if statement is None and "" in parent.children:
        word, statement, used = "", parent.children[""], 0
    elif statement is None and parent.positional and word.isdigit():
        word, statement, used = parent.positional, parent.children[parent.positional], 0
    if statement is None:
        raise ConfigurationError("syntax error", word)
    rest = words[used:]
    if statement.kind == "flag" or statement.kind == "block":
        return [Step(statement, (word,))], used
    if partial and not rest:
        return [Step(statement, (word,))], used
    if not rest:
        raise ConfigurationError("syntax error", word)
    if statement.kind == "leaf":
        value = check_value(statement, rest[0])
        return [Step(statement, (word,), keep_secret(value) if statement.is_secret else value)], used + 1
    if statement.kind == "values":
        return read_values_step(statement, word, rest, used)
    return read_list_step(statement, word, rest, used)


def read_values_step(statement: Statement, name: str, rest: Sequence[str], used: int) -> tuple[list[Step], int]:
    """The steps of one value or of several in brackets."""
    if rest[0] != "[":
        return [Step(statement, (name, check_value(statement, rest[0])))], used + 1
    if "]" not in rest:
        raise ConfigurationError("syntax error", "[")
    end = list(rest).index("]")
    return [Step(statement, (name, check_value(statement, value))) for value in rest[1:end]], used + end + 1


def read_list_step(statement: Statement, name: str, rest: Sequence[str], used: int) -> tuple[list[Step], int]:
    """The step to an entry of a list: its keys, and for a route-filter how it matches."""
    count = len(statement.keys)
    if len(rest) < count:
        raise ConfigurationError("syntax error", rest[-1])
    keys = [check_value(statement, key) for key in rest[:count]]
    if not statement.matches:
        return [Step(statement, (name, *keys))], used + count
    if len(rest) == count or rest[count] not in statement.matches:
        raise ConfigurationError("syntax error", rest[count] if len(rest) > count else keys[-1])
    match = rest[count]
    if not statement.matches[match]:
        return [Step(statement, (name, *keys, match))], used + count + 1
    if len(rest) < count + 2:
        raise ConfigurationError("syntax error", match)
    return [Step(statement, (name, *keys, match, rest[count + 1]))], used + count + 2


def check_value(statement: Statement, value: str) -> str:
    """The value, or Junos's complaint about it."""
    complaint = statement.check(value)
    if complaint:
        raise ConfigurationError(complaint, value)
    return value


def keep_secret(value: str) -> str:
    """A secret as Junos keeps it: scrambled, with a salt that is new each time a plain one comes."""
    if not value.startswith(SECRET_MARK):
        return secrets.scramble(value)
    try:
        secrets.unscramble(value)
    except ValueError as error:
        raise ConfigurationError(f"invalid encrypted value: {error}", value) from error
    return value


def set_words(node: Node, words: Sequence[str]) -> list[Node]:
    """Make what the words say below the node, or nothing when they are wrong; the nodes that the last of them name."""
    plan: list[list[Step]] = []
    statement, words = node.statement, list(words)
    while words:
        steps, used = read_step(statement, words)
        words = words[used:]
        plan.append(steps)
        statement = inner_statement(statement, steps)
    ends = [node]
    for steps in plan:
        ends = [take_step(node, step) for step in steps]
        if ends and ends[0].statement.kind in ("block", "list"):
            node = ends[0]
    return ends


def inner_statement(statement: Statement, steps: list[Step]) -> Statement:
    """Where words go on after some steps: inside a block, else on the same level."""
    return steps[0].statement if steps and steps[0].statement.kind in ("block", "list") else statement


def take_step(node: Node, step: Step) -> Node:
    """The child that the step leads to, made where it's missing, with the step's value."""
    child = node.children.get(step.identity)
    if child is None:
        child = node.children[step.identity] = Node(step.statement, step.identity)
    child.value = step.value
    return child


def find_words(node: Node, words: Sequence[str]) -> tuple[Node, list[Identity]]:
    """The parent and the identities of what the words name; StatementNotFound when it isn't there."""
    words = list(words)
    while True:
        steps, used = read_step(node.statement, words, partial=True)
        words = words[used:]
        found = [identity for step in steps for identity in match_step(node, step)]
        if not words:
            if not found:
                raise StatementNotFound("statement not found")
            return node, found
        if not found:
            raise StatementNotFound("statement not found")
        if steps[0].statement.kind in ("block", "list"):
            node = node.children[found[0]]


def match_step(node: Node, step: Step) -> list[Identity]:
    """The identities of the children that a step names: one, or all of the name when no key is given."""
    if step.statement.kind in ("values", "list") and len(step.identity) == 1:
        return [identity for identity in node.children if identity[0] == step.identity[0]]
    found = node.children.get(step.identity)
    if found is None or (step.value and not step.statement.is_secret and found.value != step.value):
        return []
    return [step.identity]


def delete_words(node: Node, words: Sequence[str]) -> None:
    """Delete what the words name; with no words all that the node holds."""
    if not words:
        node.children.clear()
        return
    parent, identities = find_words(node, words)
    for identity in identities:
        del parent.children[identity]


def mark_words(node: Node, words: Sequence[str], *, inactive: bool) -> None:
    """Deactivate or activate what the words name."""
    parent, identities = find_words(node, words)
    for identity in identities:
        parent.children[identity].is_inactive = inactive


def move_entry(parent: Node, identity: Identity, place: str, other: Identity) -> None:
    """Put an entry of a list before or after another one."""
    if other not in parent.children:
        raise StatementNotFound("statement not found")
    moved = parent.children.pop(identity)
    order = list(parent.children.items())
    parent.children.clear()
    for name, child in order:
        if name == other and place == "before":
            parent.children[identity] = moved
        parent.children[name] = child
        if name == other and place == "after":
            parent.children[identity] = moved


def rename_entry(parent: Node, identity: Identity, new: Identity) -> None:
    """Give an entry of a list another key; it keeps its place."""
    order = list(parent.children.items())
    parent.children.clear()
    for name, child in order:
        if name == identity:
            child = copy.copy(child)
            child.identity = name = new
        parent.children[name] = child


def walk(node: Node, path: tuple[str, ...] = (), *, seen: Callable[[Node], bool] = lambda _n: True) -> Iterator[
        tuple[tuple[str, ...], Node]]:
    """Each node below with the words that lead to it, as deep as `seen` says."""
    for child in node.sorted_children():
        words = (*path, *child.words)
        yield words, child
        if seen(child):
            yield from walk(child, words, seen=seen)
