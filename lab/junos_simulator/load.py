# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Loads into a configuration: text, `set` commands and XML. What is wrong in one statement doesn't stop the others.

Junos does the same: after a load with an error the candidate holds the rest, until somebody rolls back.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from lxml import etree

from . import tree
from .schema import ROOT, XML_NAMES, Statement
from .text import Written, read_text
from .tree import ConfigurationError, Node, StatementNotFound

Complaints = list[ConfigurationError]
XML_TAGS = ("replace", "delete", "inactive", "active")


def load_text(root: Node, text: str, *, replace: bool) -> Complaints:
    """Load curly-brace text; `replace:` counts with `replace` only."""
    complaints: Complaints = []
    try:
        statements = read_text(text)
    except ConfigurationError as error:
        return [error]
    apply_statements(root, statements, (), replace, complaints)
    root.prune()
    return complaints


def load_xml(root: Node, configuration: etree._Element, *, replace: bool) -> Complaints:
    """Load a <configuration> element."""
    complaints: Complaints = []
    statements = [statement for element in elements(configuration)
                  for statement in convert_element(element, ROOT, complaints)]
    apply_statements(root, statements, (), replace, complaints)
    root.prune()
    return complaints


def apply_statements(
    node: Node, statements: Sequence[Written], path: tuple[str, ...], replace: bool, complaints: Complaints
) -> None:
    """Carry out statements below a node, noting those that can't be."""
    for statement in statements:
        try:
            apply_statement(node, statement, path, replace, complaints)
        except ConfigurationError as error:
            error.path = f"[edit{''.join(' ' + word for word in path)}]"
            complaints.append(error)


def apply_statement(
    node: Node, statement: Written, path: tuple[str, ...], replace: bool, complaints: Complaints
) -> None:
    """Carry out one statement and those in its braces."""
    if "protect" in statement.tags or "unprotect" in statement.tags:
        raise ConfigurationError("Junos simulator does not know protected statements", statement.words[0])
    if "delete" in statement.tags:
        tree.delete_words(node, statement.words)
        return
    # What a tag or comment stands before is the first that the words name: of `route X discard` the route.
    steps, used = tree.read_step(node.statement, statement.words)
    if "replace" in statement.tags and replace:
        empty_target(node, statement.words[:used])
    ends = tree.set_words(node, statement.words)
    for target in (node.children[step.identity] for step in steps):
        target.comment = statement.comment or target.comment
        if "inactive" in statement.tags or "active" in statement.tags:
            target.is_inactive = "inactive" in statement.tags
    if statement.block is not None:
        if ends[0].statement.kind not in ("block", "list"):
            raise ConfigurationError("syntax error", statement.words[-1])
        apply_statements(ends[0], statement.block, (*path, *statement.words), replace, complaints)


def empty_target(node: Node, words: Sequence[str]) -> None:
    """Empty what is to be replaced; it keeps its place. Of a list of values all values go."""
    named = node.statement.children.get(words[0])
    if named is not None and named.kind == "values":
        words = words[:1]
    try:
        parent, identities = tree.find_words(node, words)
    except StatementNotFound:
        return
    for identity in identities:
        target = parent.children[identity]
        if target.statement.kind == "values":
            del parent.children[identity]
        target.children.clear()
        target.comment, target.is_inactive = "", False


def load_set(root: Node, commands: str) -> Complaints:
    """Carry out configuration-mode commands, one a line."""
    complaints: Complaints = []
    path: list[str] = []
    for command in commands.splitlines():
        if not command.strip() or command.lstrip().startswith("#"):
            continue
        try:
            path = run_command(root, read_command(command), path)
        except ConfigurationError as error:
            error.path = error.path or f"[edit{''.join(' ' + word for word in path)}]"
            complaints.append(error)
    root.prune()
    return complaints


def read_command(command: str) -> list[str]:
    """The words of a command; brackets are words of their own."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="[]")
    lexer.whitespace_split, lexer.commenters, lexer.quotes = True, "", '"'
    try:
        return list(lexer)
    except ValueError as error:
        raise ConfigurationError(f"syntax error: {error}", command.split()[0]) from error


def run_command(root: Node, words: list[str], path: list[str]) -> list[str]:
    """Carry out one command from the level `path`; the level after it."""
    verb, words = words[0], words[1:]
    if verb in ("edit", "top", "up", "exit"):
        return change_level(root, verb, words, path)
    if not words and verb != "delete":
        raise ConfigurationError("syntax error", verb)
    full = [*path, *words]
    if verb == "set":
        tree.set_words(root, full)
    elif verb == "delete":
        tree.delete_words(root, full)
    elif verb in ("deactivate", "activate"):
        tree.mark_words(root, full, inactive=verb == "deactivate")
    elif verb in ("insert", "rename"):
        reorder_or_rename(root, verb, path, words)
    else:
        raise ConfigurationError("unknown command", verb)
    return path


def change_level(root: Node, verb: str, words: list[str], path: list[str]) -> list[str]:
    """The level that `edit`, `top` and `up` lead to."""
    if verb == "edit":
        tree.set_words(root, [*path, *words])
        return [*path, *words]
    if verb == "up" and (words or len(path) > 1):
        raise ConfigurationError("Junos simulator knows only `top` back from a level", verb)
    return []


def reorder_or_rename(root: Node, verb: str, path: list[str], words: list[str]) -> None:
    """`insert X before|after Y`, `rename X to Y`, where Y is the rest of the identity: `term b`."""
    middle = [index for index, word in enumerate(words) if word in ("before", "after", "to")]
    if not middle:
        raise ConfigurationError("syntax error", verb)
    at = middle[0]
    parent, identities = tree.find_words(root, [*path, *words[:at]])
    steps, _used = tree.read_step(parent.statement, words[at + 1:])
    if verb == "rename":
        tree.rename_entry(parent, identities[0], steps[0].identity)
    else:
        tree.move_entry(parent, identities[0], words[at], steps[0].identity)


def elements(parent: etree._Element) -> list[etree._Element]:
    """The child elements without comments, and without Junos's own annotations."""
    return [child for child in parent if isinstance(child.tag, str) and etree.QName(child).localname != "comment"]


def convert_element(element: etree._Element, parent: Statement, complaints: Complaints) -> list[Written]:
    """What an element says, as text would say it."""
    try:
        return convert(element, parent, complaints)
    except ConfigurationError as error:
        complaints.append(error)
        return []


def convert(element: etree._Element, parent: Statement, complaints: Complaints) -> list[Written]:
    """The statements of an element: one, or those inside a block without a word of its own."""
    name = etree.QName(element).localname
    tags = read_tags(element)
    statement = parent.children.get(name)
    words = [name]
    if statement is None and "" in parent.children:
        statement, words = parent.children[""], []
        if name not in XML_NAMES.values():
            raise ConfigurationError("syntax error", name)
    if statement is None:
        raise ConfigurationError("syntax error", name)
    inner = {etree.QName(child).localname: child for child in elements(element)}
    if name == "logical-systems" and "name" in inner:
        statement, words = statement.children[""], [name]
    if statement.kind in ("leaf", "values"):
        text = (element.text or "").strip()
        return [Written([*words, text] if text else words, tags)]
    if statement.kind == "flag":
        return [Written(words, tags)]
    if statement.is_keyed_by_element:
        return [Written([name, etree.QName(child).localname], tags + read_tags(child),
                        convert_all(child, statement, complaints)) for child in elements(element)] or [
                            Written(words, tags)]
    used: list[etree._Element] = []
    if statement.kind == "list":
        words += read_xml_keys(statement, inner, used, name)
    return [Written(words, tags, convert_all(element, statement, complaints, used))]


def convert_all(
    element: etree._Element, statement: Statement, complaints: Complaints, but: Sequence[etree._Element] = ()
) -> list[Written] | None:
    """What the elements inside an element say, but for those that were its keys."""
    return [found for child in elements(element) if child not in but
            for found in convert_element(child, statement, complaints)] or None


def read_tags(element: etree._Element) -> list[str]:
    """What is to be done with an element, from its attributes."""
    return [tag for tag in XML_TAGS if element.get(tag) == tag or element.get("operation") == tag]


def read_xml_keys(
    statement: Statement, inner: dict[str, etree._Element], used: list[etree._Element], name: str
) -> list[str]:
    """The words of a list's keys; the elements that they came from are noted in `used`."""
    words = []
    for key in statement.keys:
        child = inner.get(key, inner.get("name"))
        if child is None or not (child.text or "").strip():
            raise ConfigurationError("syntax error", name)
        used.append(child)
        words.append((child.text or "").strip())
    for match, takes_value in statement.matches.items():
        if match in inner:
            used.append(inner[match])
            words += [match, (inner[match].text or "").strip()] if takes_value else [match]
    return words
