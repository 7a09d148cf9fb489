# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM of a node goes to which other node: of one that is drained, and of one that is dead. Pure.

Where to: the node that carries the fewest VMs. docs/design.md, "Nodes out of service", has the playbooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .cluster import IPFABRIC

Entry = dict[str, Any]
Answers = Mapping[str, Mapping[str, Any]]
"""By node, what fabric_vm_iface_info returned; a node that gave no answer is absent."""


class Refused(ValueError):
    """What is asked for cannot be; each argument is a reason, by its name."""


def refuse(name: str, text: str) -> Refused:
    """Return a refusal, by its name."""
    return Refused(f"DrainRefused: {name}: {text}")


def plan_drain(
    plan: Mapping[str, Any],
    node: str,
    leases: Iterable[Mapping[str, Any]],
    found: Answers,
    to: Sequence[str] = (),
    *,
    withdraw: bool = False,
) -> tuple[list[Entry], list[str]]:
    """Return the moves that empty a node, `{cluster, name, node}`, and a line on each VM that stays.

    plan: of cluster_plan; leases: of all registers; to: the only nodes that VMs may go to. A VM whose guest does not
    run is announced by nobody, so it stays, and so do all with withdraw. Raises Refused.
    """
    cluster = _cluster_of(plan, node)
    if node not in found:
        raise refuse("NodeUnreachable", f"{node} does not answer: if it is dead, evacuate_node is for that")
    if withdraw:
        return [], [f"{name}: withdrawn" for name in _vms_at(found[node])]
    goals = _goals(plan, cluster, node, leases := list(leases), found, to)
    going, under_way = _going(node, found), _under_way(node, found)
    moves = [
        {"cluster": cluster, "name": name, "node": under_way.get(name) or _fewest(goals)} for name in going
    ]
    return moves, [f"{name}: {why}" for name, why in _staying(found[node]).items()]


def plan_evacuation(
    plan: Mapping[str, Any],
    node: str,
    leases: Iterable[Mapping[str, Any]],
    found: Answers,
    to: Sequence[str] = (),
    told: Iterable[Mapping[str, Any]] = (),
) -> list[Entry]:
    """Return the VMs of a dead node, each NIC `{cluster, name, nic, node, asked}`: its new node, attach_vm's entry.

    The register alone says what was there. told: of VMs that are not declared, what was told when they were attached
    (`name`, `nic`, `mac`, `kind`, `prefixes` and such). Raises Refused.
    """
    cluster = _cluster_of(plan, node)
    leases = list(leases)
    goals = _goals(plan, cluster, node, leases, found, to)
    more = {(vm["name"], vm.get("nic", 0)): vm for vm in told}
    declared = {(vm["name"], vm["nic"]) for vm in plan["clusters"][cluster]["vms"]}
    homes: dict[str, str] = {}
    vms = []
    for (name, nic), pools in _leased(cluster, node, leases).items():
        home = homes.get(name) or homes.setdefault(name, _fewest(goals))
        vm = {"cluster": cluster, "name": name, "nic": nic}
        # A declaration says all but the node, which the register says; what is asked for must not differ from it.
        told_of = {"pools": pools, **more.get((name, nic), {}), "node": home}
        asked = {} if (name, nic) in declared else told_of
        vms.append({**vm, "node": home, "asked": {**asked, **vm}})
    return vms


def check_empty(plan: Mapping[str, Any], node: str, leases: Iterable[Mapping[str, Any]], found: Answers) -> None:
    """Refuse when a node is not empty, by the registers or, where it answers, by itself."""
    cluster = _cluster_of(plan, node)
    leased = {f"{name} (in the register)" for name, _nic in _leased(cluster, node, leases)}
    carried = {f"{name} (on the node)" for name in _vms_at(found.get(node, {"interfaces": []}))}
    if names := sorted(leased | carried):
        raise refuse("NotEmpty", f"{node} has {', '.join(names)}: drain_node first, and detach_vm what does not run")


def batched(moves: Sequence[Entry], size: int) -> list[list[Entry]]:
    """Return moves in rounds of at most so many."""
    if size < 1:
        raise refuse("NoneAtATime", f"drain_parallel is {size}: at least one VM moves at a time")
    return [list(moves[at : at + size]) for at in range(0, len(moves), size)]


def _cluster_of(plan: Mapping[str, Any], node: str) -> str:
    for name, cluster in plan["clusters"].items():
        if node in cluster["nodes"]:
            if cluster["type"] != IPFABRIC:
                raise refuse("NotBuilt", f"{node} is in {name}, of type {cluster['type']}: this is for IP fabrics")
            return str(name)
    raise refuse("UnknownNode", f"{node} is not a node of any cluster")


def _goals(
    plan: Mapping[str, Any],
    cluster: str,
    node: str,
    leases: Sequence[Mapping[str, Any]],
    found: Answers,
    to: Sequence[str],
) -> dict[str, int]:
    """Return, by each node that VMs may go to, how many VMs it has."""
    others = [each for each in plan["clusters"][cluster]["nodes"] if each != node]
    if unknown := sorted(set(to) - set(others)):
        raise refuse("UnknownTarget", f"{', '.join(unknown)}: not another node of {cluster}")
    fit = [each for each in others if each in found and not found[each].get("maintenance") and each in (to or others)]
    if not fit:
        asked = ", ".join(to or others) or "none"
        raise refuse("NoTarget", f"no other node of {cluster} answers and is in service (asked for: {asked})")
    carried = {(lease["holder"], lease["owner"].partition("#")[0]) for lease in leases if lease.get("holder") in fit}
    return {each: sum(holder == each for holder, _owner in carried) for each in fit}


def _fewest(goals: dict[str, int]) -> str:
    """Return the node with the fewest VMs, and count one more there."""
    goal = min(goals, key=lambda each: goals[each])
    goals[goal] += 1
    return goal


def _vms_at(answer: Mapping[str, Any]) -> list[str]:
    return sorted({each["vm"] for each in answer["interfaces"]})


def _staying(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return why a VM need not move: none of its interfaces is announced and has a guest."""
    live = {each["vm"] for each in answer["interfaces"] if _is_live(each)}
    moving = {each["vm"] for each in answer["migrations"]}
    return {
        each["vm"]: "its guest does not run" if each["announcement"] == "announced" else each["announcement"]
        for each in answer["interfaces"]
        if each["vm"] not in live | moving
    }


def _is_live(interface: Mapping[str, Any]) -> bool:
    return interface["announcement"] == "announced" and bool(interface["carrier"])


def _going(node: str, found: Answers) -> list[str]:
    """Return the VMs that are to move. Containers cannot do that live; what comes just now is not the node's yet."""
    answer = found[node]
    if comes := sorted({each["vm"] for each in answer["migrations"] if each["role"] == "target"}):
        raise refuse("MigrationUnderWay", f"{', '.join(comes)} migrates to {node}: finish that with migrate_vm first")
    staying = _staying(answer)
    going = [name for name in _vms_at(answer) if name not in staying]
    if fixed := sorted({each["vm"] for each in answer["interfaces"] if each["vm"] in going and each["kind"] == "veth"}):
        raise refuse(
            "Container",
            f"{', '.join(fixed)}: a container does not migrate live. Stop it, or detach it and attach it elsewhere; "
            f"with drain: withdraw all VMs stay on {node}, withdrawn")
    return going


def _under_way(node: str, found: Answers) -> dict[str, str]:
    """Return where VMs go that an interrupted run has sent off already."""
    return {each["vm"]: each["other"] for each in found[node]["migrations"] if each["role"] == "source"}


def _leased(cluster: str, node: str, leases: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], list[str]]:
    """Return, by VM and NIC, the pools of its leases on a node."""
    pools: dict[tuple[str, int], list[str]] = {}
    for lease in leases:
        home, _slash, rest = lease["owner"].partition("/")
        if (home, lease.get("holder")) == (cluster, node):
            name, _mark, nic = rest.partition("#")
            pools.setdefault((name, int(nic or 0)), []).append(lease["pool"])
    return dict(sorted(pools.items()))
