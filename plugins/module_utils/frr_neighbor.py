# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan BGP neighbours and peer-groups of a running FRR, statement by statement, touching nobody else's.

What is ours: the peer-groups and neighbours that are asked for, and, to purge, peer-groups of our prefix with the
neighbours in them. Of a neighbour of ours, statements of a kind this module has an option for are exact; others are the
operator's.

Order: a peer-group is complete, families and filters included, before a neighbour joins it; what is new comes before
what goes, so a node never loses its last reflector to a change of reflectors.
"""

from __future__ import annotations

from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_peer import (
    FENCE,
    SESSION,
    Instance,
    Peer,
    Statements,
    canonical_name,
    heading_of,
    ordered,
    positive,
    read_instance,
    removed,
    wanted_statements,
)
from ansible_collections.vmcluster.network.plugins.module_utils.frr_statements import Path, canonical_line, render
from ansible_collections.vmcluster.network.plugins.module_utils.frr_text import indented
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vtysh import MASK


class NeighborError(ValueError):
    """What is asked for cannot be had on this FRR; the message says why and what to do."""


def plan_neighbors(text: str, wanted: Mapping[str, Any], check_names: bool = True) -> Tuple[Step, ...]:
    """Compare a configuration with the neighbours and peer-groups wanted; pure.

    wanted: the module's options, checked by frr_neighbor_input. check_names: refuse route-maps and BFD profiles that
    FRR does not have (FRR takes a missing route-map for deny-all or permit-all, depending on version and direction).
    Raises NeighborError, frr_config.ConfigError.
    """
    heading = heading_of(wanted["asn"], wanted["vrf"])
    found = read_instance(text, heading)
    if check_names:
        _check_found_names(found, wanted)
    planner = _Planner(heading, found, wanted)
    return tuple(planner.steps())


def check_names(text: str, wanted: Mapping[str, Any]) -> None:
    """Refuse what plan_neighbors refuses of names, in a configuration that others plan. Raises NeighborError."""
    _check_found_names(read_instance(text, heading_of(wanted["asn"], wanted["vrf"])), wanted)


def _check_found_names(found: Instance, wanted: Mapping[str, Any]) -> None:
    for place, peer in listed_peers(wanted):
        profile = peer.get("bfd_profile")
        if profile and profile not in found.names["bfd profile"]:
            raise NeighborError(
                f"{place}.bfd_profile: FRR has no BFD profile {profile} yet: make it first, module frr_config"
            )
        for index, family in enumerate(peer.get("families") or []):
            for option in ("route_map_in", "route_map_out"):
                name = family.get(option)
                if name and name not in found.names["route-map"]:
                    raise NeighborError(
                        f"{place}.families[{index}].{option}: FRR has no route-map {name} yet, and what it does with a "
                        "missing one is not to be relied on: make it first, module frr_config")


def listed_peers(wanted: Mapping[str, Any]) -> "List[Tuple[str, Mapping[str, Any]]]":
    """Return every present peer-group and neighbour asked for, with the place it was asked for at."""
    listed = [(f"peer_groups[{index}]", peer) for index, peer in enumerate(wanted["peer_groups"])]
    listed += [(f"neighbors[{index}]", peer) for index, peer in enumerate(wanted["neighbors"])]
    return [(place, peer) for place, peer in listed if peer["state"] == "present"]


class _Planner:
    def __init__(self, heading: str, found: Instance, wanted: Mapping[str, Any]) -> None:
        self.path: Path = (heading,)
        self.found, self.wanted = found, wanted
        self.groups = {peer["name"]: peer for peer in wanted["peer_groups"]}
        self.neighbors = {canonical_name(peer["address"]): peer for peer in wanted["neighbors"]}
        self.remade = self._remade_groups()
        self.there = {name: peer for name, peer in found.peers.items()
                      if name not in self.remade and peer.group not in self.remade}

    def steps(self) -> List[Step]:
        """Return all steps, in the order of the module's comment."""
        steps = [step for name in self.remade for step in self._remake_group(name)]
        present_groups = [name for name, peer in self.groups.items() if peer["state"] == "present"]
        present = [name for name, peer in self.neighbors.items() if peer["state"] == "present"]
        steps += [step for name in present_groups for step in self._settle(name, self.groups[name], is_group=True)]
        steps += [step for name in present for step in self._settle(name, self.neighbors[name], is_group=False)]
        steps += self._fences()
        steps += self._listening()
        steps += self._removals()
        if not steps and not self.found.exists and (present or present_groups):
            steps.append(Step("is missing", self.path[0], (), self.path, tuple(render(self.path, ()))))
        return steps

    def _remade_groups(self) -> List[str]:
        """Peer-groups whose remote-as changes. In place that crashes or half-applies (FRR issue 15574), so they are
        made again with their neighbours; which is refused when somebody else's neighbour is among these."""
        remade = []
        for name, peer in self.groups.items():
            there = self.found.peers.get(name)
            if peer["state"] != "present" or there is None or "remote-as" not in there.statements[SESSION]:
                continue
            if there.statements[SESSION]["remote-as"] == f"remote-as {peer.get('remote_as')}":
                continue
            others = ", ".join(member.name for member in self.found.peers.values()
                               if member.group == name and member.name not in self.neighbors)
            if others:
                raise NeighborError(
                    f"peer-group {name}: its remote-as can only change by making the group again, and {others} in it "
                    "is not listed here: list it under `neighbors`, or remove it first"
                )
            remade.append(name)
        return remade

    def _remake_group(self, name: str) -> List[Step]:
        members = [peer for peer in self.found.peers.values() if peer.group == name]
        before = [line for peer in [*members, self.found.peers[name]] for line in self._shown(peer)]
        lines = [
            f"no bgp listen range {prefix} peer-group {name}"
            for prefix, group in self.found.ranges.items()
            if group == name
        ]
        lines += [f"no neighbor {name} peer-group"]
        return [Step("is made again, since its remote-as changes", f"peer-group {name}", tuple(before), (),
                     tuple(render(self.path, lines)))]

    def _settle(self, name: str, peer: Mapping[str, Any], is_group: bool) -> List[Step]:
        """Make one peer-group or neighbour what is asked for."""
        wanted = wanted_statements(peer, is_group, self.found.activates_ipv4)
        there = self.there.get(name)
        moved = there is not None and not is_group and (
            there.group != peer.get("peer_group")
            # taking a remote-as away takes the neighbour away
            or "remote-as" in there.statements[SESSION] and "remote-as" not in wanted[SESSION])
        if there is None or moved:
            return self._make(name, wanted, is_group, self.found.peers.get(name), moved)
        inherited = self._inherited(peer)
        come: Statements = {}
        gone: Statements = {}
        for family in dict.fromkeys([*wanted, *there.statements]):
            have, want = there.statements.get(family, {}), wanted.get(family, {})
            come[family] = {kind: tail for kind, tail in want.items()
                            if have.get(kind) != tail and (kind in have or inherited.get(family, {}).get(kind) != tail)}
            gone[family] = {kind: tail for kind, tail in have.items()
                            if kind not in want and inherited.get(family, {}).get(kind) != tail}
        replaced = {
            family: {kind: there.statements[family][kind] for kind in kinds if kind in there.statements.get(family, {})}
            for family, kinds in come.items()
        }
        if not any(come.values()) and not any(gone.values()):
            return []
        lines = self._lines(name, come, gone)
        before = self._masked(name, [replaced, gone], "old")
        return [Step(_difference(come, gone), there.thing, before, self._masked(name, [come], "new"), tuple(lines))]

    def _make(self, name: str, wanted: Statements, is_group: bool, old: Optional[Peer], moved: bool) -> List[Step]:
        """Make a peer-group or neighbour. One outside a peer-group stays shut until its filters stand."""
        lines = render(self.path, [f"no neighbor {name}"]) if moved else []
        guarded = not is_group and "peer-group" not in wanted[SESSION] and "shutdown" not in wanted[SESSION]
        if guarded:
            opened = {SESSION: {"remote-as": wanted[SESSION]["remote-as"], "shutdown": "shutdown"}}
            lines += self._lines(name, opened, {})
        lines += self._lines(name, wanted, {})
        for family, statements in (old.foreign if old else {}).items():
            lines += render(self._context(family), statements)
        if guarded:
            lines += render(self.path, [f"no neighbor {name} shutdown"])
        before = self._shown(old) if old is not None and moved else []
        thing = f"peer-group {name}" if is_group else f"neighbor {name}"
        why = "is made again in another peer-group" if moved else "is missing"
        return [Step(why, thing, tuple(before), self._masked(name, [wanted], "new"), tuple(lines))]

    def _inherited(self, peer: Mapping[str, Any]) -> Statements:
        """What a neighbour has from its peer-group: saying it again changes nothing, and FRR may or may not show it."""
        group = peer.get("peer_group")
        listed = self.groups.get(group) if group else None
        if listed is not None:
            return wanted_statements(listed, True, self.found.activates_ipv4)
        return self.found.peers[group].statements if group in self.found.peers else {}

    def _fences(self) -> List[Step]:
        """Shut neighbours down, or let them in again, whatever else they have."""
        steps = []
        for name, peer in self.neighbors.items():
            line = f"neighbor {name} shutdown {FENCE}"
            there = name in self.there and line in self.there[name].foreign.get(SESSION, ())
            if peer["state"] == "fenced" and not there:
                if name not in self.there:
                    raise NeighborError(f"neighbor {name} is not there, so it cannot be fenced")
                steps.append(Step("is fenced", f"neighbor {name}", (), (line,), tuple(render(self.path, [line]))))
            elif peer["state"] == "readmitted" and there:
                lines = render(self.path, [f"no {line}"])
                steps.append(Step("is readmitted", f"neighbor {name}", (line,), (), tuple(lines)))
        return steps

    def _listening(self) -> List[Step]:
        steps = []
        limit = self.wanted.get("listen_limit")
        if limit is not None and limit != (self.found.listen_limit or 100):  # 100 is FRR's default, not shown
            before = [f"bgp listen limit {self.found.listen_limit}"] if self.found.listen_limit else []
            steps.append(self._instance_step("listen limit differs", before, [f"bgp listen limit {limit}"]))
        for name, peer in self.groups.items():
            if peer["state"] != "present" or peer.get("listen_ranges") is None:
                continue
            ranges = [canonical_line((), f"range {prefix}").split()[1] for prefix in peer["listen_ranges"]]
            there = {} if name in self.remade else self.found.ranges
            gone = [f"bgp listen range {prefix} peer-group {group}" for prefix, group in there.items()
                    if (group == name and prefix not in ranges) or (group != name and prefix in ranges)]
            come = [f"bgp listen range {prefix} peer-group {name}" for prefix in ranges if there.get(prefix) != name]
            if gone or come:
                steps.append(self._instance_step(f"listen ranges of peer-group {name} differ", gone, come))
        return steps

    def _instance_step(self, why: str, before: Sequence[str], after: Sequence[str]) -> Step:
        removed = [f"no {line}" for line in before if not line.startswith("bgp listen limit")]
        return Step(why, self.path[0], indented(self.path, before), indented(self.path, after),
                    tuple(render(self.path, [*removed, *after])))

    def _removals(self) -> List[Step]:
        neighbors = [name for name, peer in self.neighbors.items() if peer["state"] == "absent" and name in self.there]
        groups = [name for name, peer in self.groups.items() if peer["state"] == "absent" and name in self.there]
        if self.wanted["purge"]:
            prefix = self.wanted["purge_prefix"]
            used = {peer.get("peer_group") for peer in self.neighbors.values() if peer["state"] == "present"}
            neighbors += [peer.name for peer in self.there.values()
                          if (peer.group or "").startswith(prefix) and peer.name not in self.neighbors]
            groups += [peer.name for peer in self.there.values() if peer.is_group and peer.name.startswith(prefix)
                       and peer.name not in self.groups and peer.name not in used]
        steps = [self._removal(name, f"no neighbor {name}") for name in neighbors]
        return steps + [self._removal(name, f"no neighbor {name} peer-group") for name in groups]

    def _removal(self, name: str, line: str) -> Step:
        peer = self.there[name]
        why = "is not wanted" if name in self.groups or name in self.neighbors else "is not listed"
        lines = [f"no bgp listen range {prefix} peer-group {name}"
                 for prefix, group in self.found.ranges.items() if peer.is_group and group == name]
        return Step(why, peer.thing, tuple(self._shown(peer)), (), tuple(render(self.path, [*lines, line])))

    # --- lines

    def _context(self, family: str) -> Path:
        return self.path if family == SESSION else (*self.path, f"address-family {family}")

    def _lines(self, name: str, come: Statements, gone: Statements) -> List[str]:
        """Return the lines of one peer, its session first; what comes is written before what goes."""
        lines: List[str] = []
        for family in dict.fromkeys([SESSION, *come, *gone]):
            statements = [positive(name, tail) for _kind, tail in ordered(come.get(family, {}))]
            statements += [removed(name, kind, tail) for kind, tail in gone.get(family, {}).items()
                           if not (kind == "bfd profile" and "bfd" in gone[family])]
            if statements:
                lines += render(self._context(family), statements)
        return lines

    def _masked(self, name: str, parts: "Iterable[Statements]", word: str) -> Tuple[str, ...]:
        """Return statements as a diff shows them: in their contexts, the password masked."""
        lines: List[str] = []
        for statements in parts:
            for family, tails in statements.items():
                shown = [positive(name, f"password {MASK} ({word})" if kind == "password" else tail)
                         for kind, tail in ordered(tails)]
                lines += indented(self._context(family), shown) if shown else ()
        return tuple(lines)

    def _shown(self, peer: Peer) -> List[str]:
        lines = list(self._masked(peer.name, [peer.statements], "old"))
        for family, foreign in peer.foreign.items():
            lines += indented(self._context(family), foreign)
        return lines


def _difference(come: Statements, gone: Statements) -> str:
    kinds = [kind if family == SESSION else f"{kind} ({family})"
             for part in (come, gone) for family, tails in part.items() for kind in tails]
    names = list(dict.fromkeys(kinds))
    return f"{', '.join(names)} {'differs' if len(names) == 1 else 'differ'}"
