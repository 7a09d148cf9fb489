# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a configuration that was found and options to the lines that make the difference. Pure: asks no device."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from ansible_collections.vmcluster.network.plugins.module_utils.junos_secret import is_readable
from ansible_collections.vmcluster.network.plugins.module_utils.junos_text import (
    Config,
    Path,
    Statements,
    write_line,
)
from ansible_collections.vmcluster.network.plugins.module_utils.junos_wanted import (
    OWNED,
    TAG,
    Place,
    Policy,
    wanted_communities,
    wanted_discard,
    wanted_group,
    wanted_policy,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step

# Statements whose value is, or begins, the name of a policy.
_REFERENCE = re.compile(r"(import|export|policy)$")
_COMMUNITY_REFERENCE = ("community", "community-name", "add", "set", "delete")
_EXPRESSION = re.compile(r"[\s()!&|\"]+")


class Plan(NamedTuple):
    """What is to be done. problems: why it must not be done at all; kept: what is left, and why."""

    steps: Tuple[Step, ...] = ()
    problems: Tuple[str, ...] = ()
    kept: Tuple[str, ...] = ()

    @property
    def lines(self) -> List[str]:
        """The lines to load, in order."""
        return [line for step in self.steps for line in step.commands]


def plan_gateway(found: Config, options: Mapping[str, Any]) -> Plan:
    """Return the plan that makes found what the options (completed, checked) ask for."""
    place = Place(options["logical_system"], options["routing_instance"])
    wanted = wanted_objects(found, options, place)
    gone = unwanted_objects(found, options, place, wanted) if options["purge"] else {}
    problems = [*_place_problems(found, place), *asn_problems(found, options, place),
                *_group_problems(found, options, place, wanted, gone)]
    kept = [*_keep_referred(found, place, wanted, gone), *_unreadable_keys(found, options, place)]
    steps: List[Step] = []
    for scope, statements in {**wanted, **gone}.items():
        step = plan_object(found, scope, statements, place)
        referrers = _referrers(found, scope, place, {**wanted, **gone}) if step else ()
        if step and referrers:
            problems.append(
                f"{step.thing} {step.why}, and {', '.join(referrers)} refers to it too, so changing it would change "
                "more than this group: name another policy for the group")
        elif step:
            steps.append(step)
    return Plan(tuple(steps), tuple(problems), tuple(kept))


def wanted_objects(found: Config, options: Mapping[str, Any], place: Place) -> Dict[Path, Statements]:
    """Return every object that is asked for, by where it is, with its statements."""
    objects: Dict[Path, Statements] = {}
    prefix = options["purge_prefix"] or ""
    for name, members in wanted_communities(options).items():
        scope = place.communities + (prefix + name,)
        objects[scope] = {scope + ("members", member): () for member in members}
    for group in options["groups"]:
        exported = place.policies + (group["export_policy"],)
        imported = place.policies + (group["import_policy"],)
        policy = Policy(group["family"], tuple(group["accept"]), options["match"] == "host")
        objects[exported] = {exported + ("then", "reject"): ()}
        objects[imported] = wanted_policy(imported, policy, prefix)
    for item in options["discard"]:
        scope = place.routes(ipaddress.ip_network(item).version) + (item,)
        if not is_discarded(found, scope):
            objects[scope] = wanted_discard(scope)
    for group in options["groups"]:
        scope = place.groups + (group["name"],)
        objects[scope] = wanted_group(scope, group, options, found)
    return objects


def is_discarded(found: Config, scope: Path) -> bool:
    """Tell whether the operator discards a prefix already; such a route stays the operator's."""
    return found.holds(scope + ("discard",)) and found.statements.get(scope + ("tag",)) != (TAG,) \
        and scope not in found.inactive


def unwanted_objects(
        found: Config, options: Mapping[str, Any], place: Place, wanted: Mapping[Path, Statements]
) -> Dict[Path, Statements]:
    """Return the objects that carry our name or tag and are asked for no more, groups first."""
    prefix = options["purge_prefix"]
    objects: Dict[Path, Statements] = {}
    for parent in (place.groups, place.policies, place.communities):
        for name in found.names(parent):
            if name.startswith(prefix) and parent + (name,) not in wanted:
                objects[parent + (name,)] = {}
    listed = set(options["discard"])
    for version in (4, 6):
        parent = place.routes(version)
        for name in found.names(parent):
            if found.statements.get(parent + (name, "tag")) == (TAG,) and name not in listed:
                objects[parent + (name,)] = {}
    return objects


def plan_object(found: Config, scope: Path, wanted: Statements, place: Place) -> Optional[Step]:
    """Return the step that makes one object exact, or nothing when it is."""
    there = found.below(scope)
    is_group = scope[:-1] == place.groups
    ours = {where for where in there if not (is_group and wanted) or _is_owned(where[len(scope):])}
    surplus = [where for where in there if where in ours and where not in wanted and not _begins(where, wanted)]
    survivors = set(wanted) | (set(there) - set(surplus))
    lines = [write_line("delete", path) for path in _cuts(found, scope, surplus, survivors)]
    lines += [write_line("activate", node) for node in sorted(found.inactive, key=len)
              if node[: len(scope)] == scope and _begins(node, wanted)]
    for where, value in wanted.items():
        is_there = there.get(where) == value if value or where in there else (
            where in found.nodes and _begins(where, survivors - {where}))
        if not is_there:
            lines.append(write_line("set", where, value))
    if not lines:
        return None
    why = "is missing" if not found.holds(scope) else "differs" if wanted else "is not wanted any more"
    return Step(why=why, thing=_thing(scope, place), commands=tuple(lines))


def _place_problems(found: Config, place: Place) -> Iterator[str]:
    """Yield what is not on the device, and too much the operator's to be made here."""
    if place.system and not found.holds(place.system):
        yield f"there is no logical system {place.logical_system} on the device: make it first"
    elif place.routing_instance and not found.holds(place.instance):
        yield f"there is no routing instance {place.routing_instance} on the device: make it first, with its interfaces"


def asn_problems(found: Config, options: Mapping[str, Any], place: Place) -> Iterator[str]:
    """Yield what is wrong with the device's AS number. An instance without its own has that of its system."""
    asn = read_asn(found, place)
    where = " ".join([*place.instance, "routing-options", "autonomous-system"])
    if asn is None:
        yield (f"`{where}` is not set, and Junos starts no BGP without (\"must define local autonomous system when "
               f"enabling BGP\"). It is the whole router's, so set it yourself: set {where} {options['asn']}")
    elif asn != options["asn"]:
        yield f"`{where}` is {asn}, and the cluster's AS is {options['asn']}: internal sessions would not come up"


def read_asn(found: Config, place: Place) -> Optional[int]:
    """Return the AS number that sessions of the instance have, whether written as one number or as two."""
    for base in (place.instance, place.system):
        value = found.statements.get(base + ("routing-options", "autonomous-system"))
        if value:
            high, dot, low = value[0].partition(".")
            return int(high) * 65536 + int(low) if dot else int(high)
    return None


def _group_problems(
        found: Config, options: Mapping[str, Any], place: Place, wanted: Mapping[Path, Statements],
        gone: Mapping[Path, Statements]) -> Iterator[str]:
    for group in options["groups"]:
        scope = place.groups + (group["name"],)
        kind = found.statements.get(scope + ("type",), ("internal",))[0]
        if kind != "internal":
            yield f"BGP group {group['name']} is {kind} on the device, so it is somebody else's: name another group"
        peer_as = found.statements.get(scope + ("peer-as",), (str(options["asn"]),))[0]
        if kind == "internal" and peer_as != str(options["asn"]):
            yield (f"BGP group {group['name']} has peer-as {peer_as} on the device, not {options['asn']}: name another "
                   "group")
        for peer in group["neighbors"]:
            for other in _groups_with(found, place, peer["address"]):
                if place.groups + (other,) not in {**wanted, **gone}:
                    yield (f"neighbour {peer['address']} is in BGP group {other} on the device: name that group to "
                           f"take it over, or take the neighbour away from it (delete {' '.join(place.groups)} {other} "
                           f"neighbor {peer['address']})")
    for item in options["discard"]:
        scope = place.routes(ipaddress.ip_network(item).version) + (item,)
        if found.holds(scope) and scope in wanted and found.statements.get(scope + ("tag",)) != (TAG,):
            yield (f"static route {item} is on the device and is not ours (its tag is not {TAG}): leave it out of "
                   "discard, or remove it yourself")


def _groups_with(found: Config, place: Place, address: str) -> List[str]:
    return [name for name in found.names(place.groups) if found.holds(place.groups + (name, "neighbor", address))]


def _unreadable_keys(found: Config, options: Mapping[str, Any], place: Place) -> List[str]:
    """Return what is to be told of keys that cannot be compared."""
    told = []
    for group in options["groups"]:
        key = found.statements.get(place.groups + (group["name"], "authentication-key"))
        if group["password"] is not None and key and not is_readable(key[0]):
            told.append(f"the authentication key of BGP group {group['name']} is encrypted with the device's master "
                        "password and cannot be compared: it is set again by every run")
    return told


def _keep_referred(
        found: Config, place: Place, wanted: Mapping[Path, Statements], gone: Dict[Path, Statements]) -> Iterator[str]:
    """Take out of gone what others refer to, and yield what is to be told of it."""
    while True:
        referrers = {scope: _referrers(found, scope, place, {**wanted, **gone}) for scope in gone}
        held = {scope: told for scope, told in referrers.items() if told}
        if not held:
            return
        for scope, told in held.items():
            del gone[scope]
            yield f"{_thing(scope, place)} is not wanted any more, and kept: {', '.join(told)} refers to it"


def _referrers(
        found: Config, scope: Path, place: Place, ours: Mapping[Path, Statements]) -> Sequence[str]:
    """Return what outside our objects refers to a policy or community."""
    if scope[:-1] not in (place.policies, place.communities):
        return ()
    is_policy = scope[:-1] == place.policies
    told: Dict[str, None] = {}
    for where, value in found.statements.items():
        words = where + value
        if len(words) < 2 or words[: len(scope)] == scope or where[: len(place.system)] != place.system:
            continue
        if not place.system and words[0] == "logical-systems":
            continue
        refers = _REFERENCE.search(words[-2]) if is_policy else words[-2] in _COMMUNITY_REFERENCE
        if refers and scope[-1] in _EXPRESSION.split(words[-1]) and not any(words[: len(our)] == our for our in ours):
            told["`" + " ".join(words[:-1]) + "`"] = None
    return tuple(told)


def _cuts(found: Config, scope: Path, surplus: Sequence[Path], survivors: Set[Path]) -> List[Path]:
    """Return the places to delete at: as high as nothing that stays is below."""
    kept = {path[:length] for path in survivors for length in range(len(path) + 1)}
    cuts: Dict[Path, None] = {}
    for where in surplus:
        nodes = (where[:length] for length in range(len(scope), len(where) + 1))
        cuts[next(node for node in nodes if node in found.nodes and node not in kept)] = None
    return list(cuts)


def _begins(where: Path, paths: Union[Set[Path], Mapping[Path, Any]]) -> bool:
    """Tell whether one of the paths is at a place, or below it."""
    return any(path[: len(where)] == where for path in paths)


def _is_owned(words: Path) -> bool:
    if words[:1] == ("neighbor",):
        words = words[2:]
        if not words or words[0] == "description":
            return True
    return any(words[: len(kind)] == kind for kind in OWNED)


def _thing(scope: Path, place: Place) -> str:
    words = {place.groups: "BGP group", place.policies: "policy", place.communities: "community"}
    return f"{words.get(scope[:-1], 'discard route')} {scope[-1]}"
