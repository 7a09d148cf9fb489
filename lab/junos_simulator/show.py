# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A configuration as XML, as `set` commands, and what differs between two of them as `show | compare` shows it."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from .schema import XML_NAMES
from .text import group_values, quote, write_statement, write_text
from .tree import Identity, Node

Chunk = tuple[str, str, list[str]]  # a statement's name, the mark of its lines, the lines


def write_xml(node: Node, parent: etree._Element, selection: etree._Element | None = None) -> None:
    """Append what is below a node; with a selection only what its elements name."""
    for name, child in named_children(node):
        selected = select(child, name, selection)
        if selection is not None and len(selection) and selected is None:
            continue
        element = add_element(child, name, parent)
        if child.is_inactive:
            element.set("inactive", "inactive")
        if child.statement.kind == "leaf":
            element.text = child.value
        elif child.statement.kind == "values":
            element.text = child.key
        else:
            write_xml_keys(child, element)
            write_xml(child, element, selected)


def named_children(node: Node) -> Iterator[tuple[str, Node]]:
    """What is below a node, with the names of its elements. No element surrounds those of all logical systems."""
    for child in node.sorted_children():
        if child.name == "logical-systems":
            yield from ((child.name, system) for system in child.sorted_children())
        else:
            yield child.name or XML_NAMES.get(node.name, node.name), child


def add_element(node: Node, name: str, parent: etree._Element) -> etree._Element:
    """The new element of a node; `family inet` is an element inside one that all families share."""
    if not node.statement.is_keyed_by_element:
        return etree.SubElement(parent, name)
    shared = parent.find(name)
    return etree.SubElement(etree.SubElement(parent, name) if shared is None else shared, node.key)


def write_xml_keys(node: Node, element: etree._Element) -> None:
    """Append the keys of a list's entry, and how a route-filter matches."""
    keys = node.statement.keys
    if node.statement.is_keyed_by_element:
        return
    for name, key in zip(keys, node.identity[1:], strict=False):
        etree.SubElement(element, name).text = key
    rest = node.identity[1 + len(keys):]
    if rest:
        etree.SubElement(element, rest[0]).text = rest[1] if len(rest) > 1 else None


def select(node: Node, name: str, selection: etree._Element | None) -> etree._Element | None:
    """The element of a selection that means this node: its name, and its key where one is given."""
    if selection is None:
        return None
    for wanted in selection:
        if not isinstance(wanted.tag, str) or etree.QName(wanted).localname != name:
            continue
        key = wanted.findtext("{*}name")
        if node.statement.is_keyed_by_element:
            return select(Node(node.statement, (name,)), node.key, wanted) if len(wanted) else without_key(wanted)
        if node.statement.kind != "list" or key is None or key.strip() == node.key:
            return without_key(wanted)
    return None


def without_key(wanted: etree._Element) -> etree._Element:
    """The selection below an element, without the key that chose it."""
    rest = etree.Element("selection")
    rest.extend([child for child in wanted if isinstance(child.tag, str) and etree.QName(child).localname != "name"])
    return rest


def write_set(node: Node, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The commands that make what is below a node."""
    for child in node.sorted_children():
        is_positional = child.name == node.statement.positional != ""
        words = path if is_positional else (*path, *child.words)
        told = " ".join(quote(word) for word in words)
        if child.statement.kind == "leaf":
            yield f"set {told} {quote(child.value)}"
        elif child.children:
            yield from write_set(child, words)
        else:
            yield f"set {told}"
        if child.is_inactive:
            yield f"deactivate {told}"


def write_patch(old: Node, new: Node) -> str:
    """What differs, by level, as Junos shows it; empty when nothing does."""
    lines = list(compare(old, new, ()))
    return "\n".join(["", *lines, ""]) if lines else ""


def compare(old: Node, new: Node, path: tuple[str, ...]) -> Iterator[str]:
    """The lines of a level that differs, then those of the levels below it."""
    own = list(compare_level(old, new))
    if own:
        yield f"[edit{''.join(' ' + quote(word) for word in path)}]"
        indent = " " * max(1, len(path))
        yield from (f"{mark} {indent}{line}" for mark, line in own)
    for child in new.sorted_children():
        before = old.children.get(child.identity)
        if before is not None and is_compared_inside(before, child):
            yield from compare(before, child, (*path, *child.words))


def compare_level(old: Node, new: Node) -> list[tuple[str, str]]:
    """The lines of what was removed, added, changed or moved directly below a node, in the order of the schema."""
    rank = {name: index for index, name in enumerate(new.statement.children)}
    found = [*compare_removed(old, new), *compare_kept(old, new), *compare_order(old, new)]
    return [(mark, line) for name, mark, lines in sorted(found, key=lambda chunk: rank[chunk[0]]) for line in lines]


def compare_kept(old: Node, new: Node) -> Iterator[Chunk]:
    """What was added or changed."""
    for same in group_values(new.sorted_children()):
        child, found = same[0], old.children.get(same[0].identity)
        if child.statement.kind == "values":
            before = [other for other in old.sorted_children() if other.name == child.name]
            if before and write_statement(before) != write_statement(same):
                yield child.name, "-", write_statement(before)
            if not before or write_statement(before) != write_statement(same):
                yield child.name, "+", write_statement(same)
        elif found is None:
            yield child.name, "+", write_statement(same)
        elif is_compared_inside(found, child):
            if child.is_inactive != found.is_inactive:
                yield child.name, "!", [f"{'inactive' if child.is_inactive else 'active'}: {write_head(child)}"]
            if child.comment != found.comment:
                yield child.name, "!", [f"/* {child.comment} */ {write_head(child)}"]
        elif write_statement([found]) != write_statement(same):
            yield child.name, "-", write_statement([found])
            yield child.name, "+", write_statement(same)


def is_compared_inside(old: Node, new: Node) -> bool:
    """Whether two nodes are compared by what they hold, and not as whole lines."""
    return new.statement.kind in ("block", "list") and not new.statement.is_line and bool(
        new.statement.children) and old.statement is new.statement


def compare_removed(old: Node, new: Node) -> Iterator[Chunk]:
    """What is there no more; lists of values are compared as a whole."""
    for same in group_values(old.sorted_children()):
        if same[0].statement.kind == "values":
            if not any(child.name == same[0].name for child in new.children.values()):
                yield same[0].name, "-", write_statement(same)
        elif same[0].identity not in new.children:
            yield same[0].name, "-", write_statement(same)


def compare_order(old: Node, new: Node) -> Iterator[Chunk]:
    """A line for each entry of a list whose place among those that stay has changed."""
    before, after = old.orders(), new.orders()
    for name, order in after.items():
        if new.statement.children[name].kind == "list":
            kept = [identity for identity in order if identity in before.get(name, [])]
            was = [identity for identity in before.get(name, []) if identity in order]
            yield name, "!", [f"{write_head(new.children[moved])} {{ ... }}" for moved in find_moved(was, kept)]


def find_moved(was: list[Identity], now: list[Identity]) -> list[Identity]:
    """The entries that have to move for one order to become the other."""
    rest, moved = list(was), []
    for place, identity in enumerate(now):
        if rest[place] != identity:
            rest.remove(identity)
            rest.insert(place, identity)
            moved.append(identity)
    return moved


def write_head(node: Node) -> str:
    """What names a node."""
    return " ".join(quote(word) for word in node.words)


def write_configuration(root: Node, form: str) -> str:
    """The whole configuration as text or as commands."""
    lines = list(write_set(root)) if form == "set" else write_text(root)
    return "\n".join(["", *lines, ""])
