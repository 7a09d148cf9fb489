# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Junos refuses to commit, in Junos's words: references to nothing, BGP without what it needs."""

from __future__ import annotations

from collections.abc import Iterator

from . import load
from .tree import ConfigurationError, Node, new_tree


def read_whole(written: str) -> Node:
    """A configuration from its text; a ConfigurationError when something is wrong with it."""
    tree = new_tree()
    complaints = load.load_text(tree, written, replace=False)
    if complaints:
        raise complaints[0]
    return tree


def find_complaints(root: Node) -> list[ConfigurationError]:
    """What is wrong with a configuration that is to be committed."""
    found = list(check_system(root, ()))
    for system in (entry for block in root.active("logical-systems") for entry in block.active("")):
        found += check_system(system, ("logical-systems", system.key))
    return found


def check_system(system: Node, path: tuple[str, ...]) -> Iterator[ConfigurationError]:
    """What is wrong with a device, or with one of its logical systems."""
    options = system.find("policy-options")
    yield from check_policies(options, (*path, "policy-options"))
    number = system.read("routing-options", "autonomous-system", "as-number")
    yield from check_bgp(system.find("protocols", "bgp"), options, number, (*path, "protocols", "bgp"))
    instances = system.find("routing-instances")
    for instance in instances.active("") if instances else ():
        own = instance.read("routing-options", "autonomous-system", "as-number") or number
        place = (*path, "routing-instances", instance.key)
        if not instance.read("instance-type"):
            yield complain(place, "Instance type must be specified", "instance-type")
        yield from check_bgp(instance.find("protocols", "bgp"), options, own, (*place, "protocols", "bgp"))


def check_policies(options: Node | None, path: tuple[str, ...]) -> Iterator[ConfigurationError]:
    """References from policies to communities and prefix lists that aren't there."""
    if options is None:
        return
    for policy in options.active("policy-statement"):
        place = (*path, "policy-statement", policy.key)
        for part, where in [(policy, place), *((term, (*place, "term", term.key)) for term in policy.active("term"))]:
            yield from check_term(options, policy, part, where)
    for community in options.active("community"):
        if not community.active("members"):
            yield complain((*path, "community", community.key), "community must have members", "community")


def check_term(options: Node, policy: Node, term: Node, path: tuple[str, ...]) -> Iterator[ConfigurationError]:
    """References of one term."""
    source = term.find("from")
    named = [(name, "community") for name in (source.read_values("community") if source else ())]
    actions = term.find("then")
    named += [(entry.identity[2], "community") for entry in (actions.active("community") if actions else ())]
    if source:
        named += [(entry.key, "prefix-list") for kind in ("prefix-list", "prefix-list-filter")
                  for entry in source.active(kind)]
    for name, kind in named:
        if (kind, name) not in options.children or options.children[(kind, name)].is_inactive:
            what = "Community" if kind == "community" else "Prefix-list"
            yield complain(path, f"Policy error: {what} {name} referenced but not defined in policy {policy.key}", kind)


def check_bgp(
    bgp: Node | None, options: Node | None, number: str, path: tuple[str, ...]
) -> Iterator[ConfigurationError]:
    """What is wrong with BGP."""
    if bgp is None:
        return
    if bgp.active("group") and not number:
        yield complain(path, "must define local autonomous system when enabling BGP", "bgp")
    yield from check_references(bgp, options, path)
    groups: dict[str, str] = {}
    for group in bgp.active("group"):
        place = (*path, "group", group.key)
        yield from check_references(group, options, place)
        for neighbor in group.active("neighbor"):
            inner = (*place, "neighbor", neighbor.key)
            yield from check_references(neighbor, options, inner)
            yield from check_neighbor(bgp, group, neighbor, number, inner)
            other = groups.setdefault(neighbor.key, group.key)
            if other != group.key:
                yield complain(inner, f"Error in neighbor {neighbor.key} of group {group.key}:\n"
                                      f"it is in group {other} too", "neighbor")


def check_references(level: Node, options: Node | None, path: tuple[str, ...]) -> Iterator[ConfigurationError]:
    """Policies that a level of BGP names and that aren't there."""
    for kind in ("import", "export"):
        for name in level.read_values(kind):
            found = options.children.get(("policy-statement", name)) if options else None
            if found is None or found.is_inactive:
                yield complain(path, f"Policy error: Policy {name} referenced but not defined", kind)


def check_neighbor(
    bgp: Node, group: Node, neighbor: Node, number: str, path: tuple[str, ...]
) -> Iterator[ConfigurationError]:
    """What is wrong with one neighbour: its AS against the type of its group, its address family."""
    peer = read_inherited("peer-as", neighbor, group, bgp)
    kind = read_inherited("type", neighbor, group, bgp)
    if kind == "internal" and peer and peer != number:
        yield complain(path, f"Error in neighbor {neighbor.key} of group {group.key}:\n"
                             "peer AS number must be the same as the local AS for an internal peer", "peer-as")
    if kind != "internal" and not peer:
        yield complain(path, f"Error in neighbor {neighbor.key} of group {group.key}:\n"
                             "peer AS number must be configured for an external peer", "neighbor")
    if kind == "external" and peer == number:
        yield complain(path, f"Error in neighbor {neighbor.key} of group {group.key}:\n"
                             "peer AS number must not be the same as the local AS for an external peer", "peer-as")
    if read_inherited("ttl", neighbor, group, bgp) and (kind == "internal" or peer == number):
        yield complain(path, f"Error in neighbor {neighbor.key} of group {group.key}:\n"
                             "This option is valid only for single-hop EBGP neighbor", "ttl")
    local = read_inherited("local-address", neighbor, group, bgp)
    if local and (":" in local) != (":" in neighbor.key):
        yield complain(path, f"Error in neighbor {neighbor.key} of group {group.key}:\n"
                             "local-address and neighbor address must be of the same family", "local-address")


def read_inherited(name: str, *levels: Node) -> str:
    """A leaf's value at the innermost level that has it."""
    return next((level.read(name) for level in levels if level.has(name)), "")


def complain(path: tuple[str, ...], message: str, element: str) -> ConfigurationError:
    """A refusal with the level that it is about."""
    return ConfigurationError(message, element, f"[edit{''.join(' ' + word for word in path)}]")
