# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM of a node goes to which other node: of one that is drained, and of one that is dead. Pure.

Where to: the node that carries the fewest VMs. docs/design.md, "Nodes out of service", has the playbooks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .bridged_migrations import STANDBY
from .cluster import IPFABRIC, ROUTING
from .guests import container_nics, lxd_nics
from .read_guests import LIBVIRT, LXC
from .values import integer_of, shown

MIGRATE, WITHDRAW, STOP = "drained", "withdrawn", "stopped"
"""What becomes of the VMs of a node that goes out of service."""

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
    state: str = MIGRATE,
) -> tuple[list[Entry], list[str]]:
    """Return the moves that empty a node, `{cluster, name, node}`, and a line on each VM that stays.

    plan: of cluster_plan; leases: of all registers; to: the only nodes that VMs may go to. A VM whose guest does not
    run is reached by nobody, so it stays; all do when they are withdrawn or stopped. Raises Refused.
    """
    cluster = _cluster_of(plan, node)
    kind = plan["clusters"][cluster]["type"]
    if node not in found:
        raise refuse("NodeUnreachable", f"{node} does not answer: if it is dead, evacuate_node is for that")
    if state == WITHDRAW:
        if kind != IPFABRIC:
            raise refuse("NotAnnounced", f"{cluster} is of type {kind}, where nothing is announced that could be "
                                         "withdrawn: drain: stop stops the guests")
        return [], [f"{name}: withdrawn" for name in _vms_at(found[node])]
    if state == STOP:
        return [], [*_stopping(node, found), *_describe_staying(node, found)]
    going = _going(node, found, kind)
    # Nobody has to go anywhere where nothing runs.
    goals = _goals(plan, cluster, node, leases := list(leases), found, to) if going or to else {}
    under_way = _under_way(node, found)
    moves = [
        {"cluster": cluster, "name": name, "node": under_way.get(name) or _fewest(goals)} for name in going
    ]
    return moves, _describe_staying(node, found)


def stopped_guests(plan: Mapping[str, Any], node: str, found: Answers) -> dict[str, list[Entry]]:
    """Return the guests of a node that drivers are to stop, as the filter vm_guests returns guests. They stay so when
    the node reboots."""
    gateway = plan["clusters"][_cluster_of(plan, node)]["gateway"]
    cards: dict[str, list[Mapping[str, Any]]] = {}
    for each in found[node]["interfaces"]:
        cards.setdefault(each["vm"], []).append(each)
    guests: dict[str, list[Entry]] = {"domains": [], "containers": [], "lxd_containers": [], "seeds": []}
    for name in sorted(name for name in cards if any(each["carrier"] for each in cards[name])):
        entry = {"name": name, "state": "stopped", "autostart": False, "adopt": True}
        driver = cards[name][0]["driver"]
        if driver == LIBVIRT:
            guests["domains"].append(entry)
        elif driver == LXC:
            guests["containers"].append({**entry, "nics": container_nics(cards[name], gateway)})
        else:
            guests["lxd_containers"].append({**entry, "nics": lxd_nics(cards[name])})
    return guests


def plan_evacuation(
    plan: Mapping[str, Any],
    node: str,
    leases: Iterable[Mapping[str, Any]],
    found: Answers,
    to: Sequence[str] = (),
    told: object = (),
) -> list[Entry]:
    """Return the VMs of a dead node, each NIC `{cluster, name, nic, node, asked}`: its new node, attach_vm's entry.

    The register alone says what was there. told: of VMs that are not declared, what was told when they were attached
    (`name`, `nic`, `mac`, `kind`, `prefixes` and such). Raises Refused.
    """
    cluster = _cluster_of(plan, node)
    leases = list(leases)
    goals = _goals(plan, cluster, node, leases, found, to)
    more = _read_told(told)
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


def _read_told(told: object) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Return, by VM and NIC, what was told of VMs that are not declared. Nobody has checked it yet."""
    found = {}
    for index, vm in enumerate(told if isinstance(told, (list, tuple)) else [told]):
        name, nic = (vm.get("name"), integer_of(vm.get("nic") or 0)) if isinstance(vm, Mapping) else (None, None)
        if not isinstance(vm, Mapping) or not isinstance(name, str) or nic is None:
            text = "give a list of VMs, each with its name and what was told of it"
            raise refuse("NotAVm", f"evacuate_vms[{index}] is {shown(vm)}: {text}")
        found[name, nic] = vm
    return found


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
    counts = Counter(holder for holder, _owner in carried)
    return {each: counts[each] for each in fit}


def _fewest(goals: dict[str, int]) -> str:
    """Return the node with the fewest VMs, and count one more there."""
    goal = min(goals, key=lambda each: goals[each])
    goals[goal] += 1
    return goal


def _vms_at(answer: Mapping[str, Any]) -> list[str]:
    return sorted({each["vm"] for each in answer["interfaces"]})


def _staying(node: str, found: Answers) -> dict[str, str]:
    """Return why a VM need not move: none of its interfaces is announced and has a guest."""
    answer = found[node]
    live = {each["vm"] for each in answer["interfaces"] if _is_live(each)}
    moving = {each["vm"] for each in _migrations(node, found)}
    return {
        each["vm"]: "its guest does not run" if each["announcement"] == "announced" else each["announcement"]
        for each in answer["interfaces"]
        if each["vm"] not in live | moving
    }


def _describe_staying(node: str, found: Answers) -> list[str]:
    return [f"{name}: {why}" for name, why in _staying(node, found).items()]


def _stopping(node: str, found: Answers) -> list[str]:
    """Return a line on each VM that is stopped. Guests of others are theirs to stop."""
    running = {each["vm"]: each.get("driver") for each in found[node]["interfaces"] if each["carrier"]}
    if others := sorted(name for name, driver in running.items() if not driver):
        raise refuse("External", f"{', '.join(others)}: run by others, who stop that first; then run this again")
    return [f"{name}: stopped" for name in sorted(running)]


def _is_live(interface: Mapping[str, Any]) -> bool:
    return interface["announcement"] == "announced" and bool(interface["carrier"])


def _going(node: str, found: Answers, kind: str) -> list[str]:
    """Return the VMs that are to move. Containers cannot do that live; what comes just now is not the node's yet."""
    answer = found[node]
    if comes := sorted({each["vm"] for each in _migrations(node, found) if each["role"] == "target"}):
        raise refuse("MigrationUnderWay", f"{', '.join(comes)} migrates to {node}: finish that with migrate_vm first")
    staying = _staying(node, found)
    going = [name for name in _vms_at(answer) if name not in staying]
    if going and kind == ROUTING:
        raise refuse(
            "RoutingCluster",
            f"{', '.join(going)}: no VM leaves {node}, to which its addresses belong. Stop them, or drain: stop stops "
            "those that drivers run")
    if fixed := sorted({each["vm"] for each in answer["interfaces"] if each["vm"] in going and each["kind"] == "veth"}):
        raise refuse(
            "Container",
            f"{', '.join(fixed)}: a container does not migrate live. Stop it, or detach it and attach it elsewhere; "
            f"with drain: {'withdraw' if kind == IPFABRIC else 'stop'} all VMs stay on {node}")
    return going


def _migrations(node: str, found: Answers) -> list[Mapping[str, Any]]:
    """Return a node's migrations, `{vm, role, other}`: those of its agents, and on bridges, where there are none, those
    that interfaces in standby tell of (docs/design.md, "Migration between bridges")."""
    here = {(each["vm"], each["nic"]) for each in found[node]["interfaces"]}
    waiting = [
        (each, name)
        for name, answer in found.items()
        for each in answer.get("interfaces", ())
        if each.get("bridge") and each["announcement"] == STANDBY and (each["vm"], each["nic"]) in here
    ]
    bridged = [
        {"vm": each["vm"], "role": "target" if name == node else "source", "other": "" if name == node else name}
        for each, name in waiting
    ]
    return [*found[node]["migrations"], *bridged]


def _under_way(node: str, found: Answers) -> dict[str, str]:
    """Return where VMs go that an interrupted run has sent off already."""
    return {each["vm"]: each["other"] for each in _migrations(node, found) if each["role"] == "source"}


def _leased(cluster: str, node: str, leases: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], list[str]]:
    """Return, by VM and NIC, the pools of its leases on a node."""
    pools: dict[tuple[str, int], list[str]] = {}
    for lease in leases:
        home, _slash, rest = lease["owner"].partition("/")
        if (home, lease.get("holder")) == (cluster, node):
            name, _mark, nic = rest.partition("#")
            pools.setdefault((name, int(nic or 0)), []).append(lease["pool"])
    return dict(sorted(pools.items()))
