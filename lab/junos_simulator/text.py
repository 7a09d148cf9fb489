# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configurations in curly braces: reading them with their tags, and writing them as `show configuration` does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .tree import ConfigurationError, Node

TOKENS = re.compile(r'\s+|/\*(?P<note>.*?)\*/|#[^\n]*|(?P<mark>[{};\[\]])|"(?P<quoted>(?:[^"\\]|\\.)*)"'
                    r'|(?P<word>[^\s{};"\[\]]+)', re.DOTALL)
TAGS = ("replace:", "delete:", "inactive:", "active:", "protect:", "unprotect:")
PLAIN = re.compile(r"[A-Za-z0-9_.:/@%+-]+")


@dataclass
class Written:
    """A statement as it is written: its tags and words, what stands in its braces, the comment before it."""

    words: list[str]
    tags: list[str] = field(default_factory=list)
    block: list[Written] | None = None
    comment: str = ""


def read_text(text: str) -> list[Written]:
    """The statements of a text; a ConfigurationError when braces or quotes don't fit."""
    tokens = read_tokens(text)
    found, closed = read_block(tokens)
    if closed:
        raise ConfigurationError("syntax error", "}")
    return found


def read_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Words, marks and comments, each with its kind."""
    position = 0
    while position < len(text):
        found = TOKENS.match(text, position)
        if found is None:
            raise ConfigurationError("syntax error", text[position:].split("\n")[0][:40])
        position = found.end()
        for kind in ("note", "mark", "quoted", "word"):
            if found.group(kind) is not None:
                yield kind, re.sub(r"\\(.)", r"\1", found.group(kind)) if kind == "quoted" else found.group(kind)


def read_block(tokens: Iterator[tuple[str, str]]) -> tuple[list[Written], bool]:
    """The statements up to the closing brace or the end, and whether it was a brace."""
    found: list[Written] = []
    statement = Written([])
    for kind, token in tokens:
        if kind == "note":
            statement.comment = token.strip()
        elif kind == "word" and not statement.words and token in TAGS:
            statement.tags.append(token[:-1])
        elif kind in ("word", "quoted") or token in "[]":
            statement.words.append(token)
        elif token == "}":
            if statement.words:
                raise ConfigurationError("syntax error", statement.words[-1])
            return found, True
        else:
            if not statement.words:
                raise ConfigurationError("syntax error", token)
            if token == "{":
                statement.block, closed = read_block(tokens)
                if not closed:
                    raise ConfigurationError("missing closing brace", statement.words[0])
            found.append(statement)
            statement = Written([])
    if statement.words:
        raise ConfigurationError("syntax error", statement.words[-1])
    return found, False


def quote(word: str) -> str:
    """A word as it is written: in quotes when it has what could be taken for something else."""
    if PLAIN.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_text(node: Node, indent: int = 0) -> list[str]:
    """The lines of what is below a node."""
    lines: list[str] = []
    for same in group_values(node.sorted_children()):
        lines += write_statement(same, indent)
    return lines


def group_values(nodes: list[Node]) -> Iterator[list[Node]]:
    """Nodes one by one, but those of one list of values together."""
    together: list[Node] = []
    for node in nodes:
        if together and (node.statement.kind != "values" or node.name != together[0].name
                         or node.is_inactive != together[0].is_inactive):
            yield together
            together = []
        if node.statement.kind == "values":
            together.append(node)
        else:
            yield [node]
    if together:
        yield together


def write_statement(same: list[Node], indent: int = 0) -> list[str]:
    """The lines of a statement: a node, or the nodes of one list of values."""
    node, space = same[0], " " * indent
    lines = [f"{space}/* {node.comment} */"] if node.comment else []
    space += "inactive: " if node.is_inactive else ""
    if node.statement.kind == "values":
        return [*lines, f"{space}{write_values(same)};"]
    if node.statement.kind == "leaf" and node.statement.is_secret:
        return [*lines, f'{space}{node.name} "{node.value}"; ## SECRET-DATA']
    short = write_short(node)
    if short is not None:
        return [*lines, f"{space}{short};"]
    header = " ".join(quote(word) for word in node.words)
    return [*lines, f"{space}{header} {{", *write_text(node, indent + 4), f"{' ' * indent}}}"]


def write_values(same: list[Node]) -> str:
    """A list of values, in brackets when it has more than one."""
    written = " ".join(quote(node.key) for node in same)
    return f"{same[0].name} {written}" if len(same) == 1 else f"{same[0].name} [ {written} ]"


def write_short(node: Node) -> str | None:
    """A statement that fits one line, without its semicolon; None for one that needs braces."""
    header = " ".join(quote(word) for word in node.words)
    if node.statement.kind == "leaf":
        return f"{header} {quote(node.value)}"
    if not node.children:
        return header
    groups = list(group_values(node.sorted_children()))
    if node.statement.is_line:
        return " ".join([header, *(write_in_line(node, same) for same in groups)])
    only = groups[0]
    if (node.statement.is_inline and len(groups) == 1 and only[0].statement.kind != "list"
            and not only[0].is_inactive and not only[0].comment):
        inner = write_values(only) if only[0].statement.kind == "values" else write_short(only[0])
        return None if inner is None else f"{header} {inner}"
    return None


def write_in_line(parent: Node, same: list[Node]) -> str:
    """A child on its parent's line; the positional one without its name."""
    if same[0].name == parent.statement.positional:
        return quote(same[0].value)
    return write_short(same[0]) or ""
