# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM goes where when a node is drained or dead, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.drains import (
    Refused,
    batched,
    check_empty,
    plan_drain,
    plan_evacuation,
)


def cluster(kind, *nodes, vms=()):
    return {"type": kind, "nodes": list(nodes), "vms": list(vms)}


DECLARED = {
    "name": "web1", "nic": 0, "prefixes": [], "mac": "02:00:00:00:00:01", "kind": "tap", "owner": "root",
    "announcement": "announced", "pools": ["public6"],
}
PLAN = {
    "clusters": {
        "alpha": cluster("ipfabric", "node1", "node2", "node3", vms=[DECLARED]),
        "gamma": cluster("switching", "node8", "node9"),
    },
}


def lease(name, holder, pool="public4", cluster="alpha"):
    return {"owner": f"{cluster}/{name}", "pool": pool, "address": "203.0.113.10", "holder": holder}


def interface(vm, announcement="announced", carrier=True, kind="tap", nic=0):
    return {"vm": vm, "nic": nic, "announcement": announcement, "carrier": carrier, "kind": kind}


def answers(*interfaces, migrations=(), **more):
    node1 = {"interfaces": list(interfaces), "migrations": list(migrations), "maintenance": ""}
    empty = {"interfaces": [], "migrations": [], "maintenance": ""}
    return {"node1": node1, "node2": empty, "node3": empty, **more}


def drain(found, node="node1", leases=(), to=(), withdraw=False):
    moves, staying = plan_drain(PLAN, node, leases, found, to, withdraw=withdraw)
    return {move["name"]: move["node"] for move in moves}, staying


def test_vms_go_to_the_nodes_that_carry_fewest_and_those_that_are_off_stay():
    found = answers(interface("web1"), interface("web1", nic=1), interface("web2"), interface("web3"),
                    interface("off", carrier=False), interface("hid", announcement="withdrawn"))
    leases = [lease("old1", "node2"), lease("old2", "node2"), lease("old2#1", "node2"), lease("old3", "node3")]
    moves, staying = drain(found, leases=leases)
    assert moves == {"web1": "node3", "web2": "node2", "web3": "node3"}
    assert sorted(staying) == ["hid: withdrawn", "off: its guest does not run"]


def test_a_vm_that_is_under_way_goes_where_it_was_sent():
    under_way = {"vm": "web1", "nic": 0, "role": "source", "other": "node3", "state": "armed"}
    leases = [lease(f"old{number}", "node3") for number in range(5)]
    assert drain(answers(interface("web1"), migrations=[under_way]), leases=leases)[0] == {"web1": "node3"}
    left = answers(interface("web1", carrier=False), migrations=[under_way])
    assert drain(left, leases=leases)[0] == {"web1": "node3"}


def test_with_withdraw_all_stay():
    found = answers(interface("web1"), interface("box1", kind="veth"))
    assert drain(found, withdraw=True) == ({}, ["box1: withdrawn", "web1: withdrawn"])


@pytest.mark.parametrize(
    ("name", "found", "node", "to"),
    [
        ("UnknownNode", answers(), "node7", []),
        ("NotBuilt", answers(), "node8", []),
        ("NodeUnreachable", {"node2": answers()["node2"]}, "node1", []),
        ("UnknownTarget", answers(interface("web1")), "node1", ["node9"]),
        ("NoTarget", {"node1": answers(interface("web1"))["node1"]}, "node1", []),
        ("NoTarget", answers(interface("web1"), node2={"maintenance": "drained"}), "node1", ["node2"]),
        ("Container", answers(interface("box1", kind="veth")), "node1", []),
        ("MigrationUnderWay", answers(migrations=[{"vm": "web9", "role": "target", "other": "node2"}]), "node1", []),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, found, node, to):
    with pytest.raises(Refused, match=f"^DrainRefused: {name}: "):
        drain(found, node=node, to=to)


def test_the_vms_of_a_dead_node_are_those_that_the_register_knows_there():
    leases = [
        lease("web1", "node1"), lease("web1", "node1", "public6"), lease("day1", "node1"),
        lease("day1#1", "node1", "public6"), lease("other", "node2"), lease("web1", "node8", cluster="gamma"),
        lease("busy", "node3"), lease("busy2", "node3"),
    ]
    found = {node: answers()[node] for node in ("node2", "node3")}
    vms = plan_evacuation(PLAN, "node1", leases, found, told=[{"name": "day1", "mac": "02:00:00:00:00:99"}])
    assert [(vm["name"], vm["nic"], vm["node"]) for vm in vms] == [
        ("day1", 0, "node2"), ("day1", 1, "node2"), ("web1", 0, "node2")]
    names = {"cluster": "alpha", "name": "day1"}
    assert [vm["asked"] for vm in vms] == [
        {**names, "nic": 0, "node": "node2", "pools": ["public4"], "mac": "02:00:00:00:00:99"},
        {**names, "nic": 1, "node": "node2", "pools": ["public6"]},
        {"cluster": "alpha", "name": "web1", "nic": 0},
    ], "a declaration says all but the node"


def test_a_node_is_empty_when_neither_register_nor_node_knows_of_a_vm_there():
    check_empty(PLAN, "node1", [lease("web1", "node2")], answers())
    check_empty(PLAN, "node1", [lease("web1", "node2")], {})
    for leases, found in (([lease("web1", "node1")], {}), ([], answers(interface("web1", carrier=False)))):
        with pytest.raises(Refused, match="^DrainRefused: NotEmpty: node1 has web1 "):
            check_empty(PLAN, "node1", leases, found)


def test_rounds_are_as_long_as_asked_for():
    moves = [{"name": name} for name in "abcde"]
    assert [[move["name"] for move in each] for each in batched(moves, 2)] == [["a", "b"], ["c", "d"], ["e"]]
    with pytest.raises(Refused, match="NoneAtATime"):
        batched(moves, 0)
