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
    stopped_guests,
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
        "rented": {**cluster("routing", "node4", "node5"), "gateway": {"ipv4": "10.255.255.1"}},
    },
}


def lease(name, holder, pool="public4", cluster="alpha"):
    return {"owner": f"{cluster}/{name}", "pool": pool, "address": "203.0.113.10", "holder": holder}


def interface(vm, announcement="announced", carrier=True, kind="tap", nic=0, **more):
    known = {"vm": vm, "nic": nic, "announcement": announcement, "carrier": carrier, "kind": kind}
    return {**known, "addresses": ["203.0.113.10"], "driver": None, **more}


def answer(*interfaces):
    return {"interfaces": list(interfaces), "migrations": [], "maintenance": ""}


def answers(*interfaces, migrations=(), **more):
    node1 = {"interfaces": list(interfaces), "migrations": list(migrations), "maintenance": ""}
    empty = {"interfaces": [], "migrations": [], "maintenance": ""}
    return {"node1": node1, "node2": empty, "node3": empty, **more}


def drain(found, node="node1", leases=(), to=(), state="drained"):
    moves, staying = plan_drain(PLAN, node, leases, found, to, state=state)
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
    assert drain(found, state="withdrawn") == ({}, ["box1: withdrawn", "web1: withdrawn"])


def test_vms_on_bridges_move_and_one_whose_interface_waits_elsewhere_goes_there():
    found = {"node8": answer(interface("web1", bridge="br0"), interface("web2", bridge="br0")), "node9": answer()}
    assert drain(found, node="node8")[0] == {"web1": "node9", "web2": "node9"}
    begun = answer(interface("web1", "standby", carrier=False, bridge="br0"))
    ended = answer(interface("web1", bridge="br0", carrier=False))
    assert drain({"node8": ended, "node9": begun}, node="node8")[0] == {"web1": "node9"}
    coming = {"node8": answer(interface("web1", bridge="br0")), "node9": begun}
    with pytest.raises(Refused, match="^DrainRefused: MigrationUnderWay: web1 migrates to node9"):
        drain(coming, node="node9")


def test_guests_that_drivers_run_are_stopped_and_stay_so_over_a_reboot():
    found = {"node4": answer(interface("box1", kind="veth", driver="lxc"), interface("off", carrier=False),
                             interface("web1", driver="libvirt"))}
    assert drain(found, node="node4", state="stopped") == (
        {}, ["box1: stopped", "web1: stopped", "off: its guest does not run"])
    stopped = {"state": "stopped", "autostart": False, "adopt": True}
    card = {"nic": 0, "addresses": ["203.0.113.10"], "gateway": {"ipv4": "10.255.255.1"}}
    assert stopped_guests(PLAN, "node4", found) == {
        "domains": [{"name": "web1", **stopped}], "lxd_containers": [], "seeds": [],
        "containers": [{"name": "box1", **stopped, "nics": [card]}]}


def test_a_routing_node_whose_guests_do_not_run_is_drained_and_nobody_moves():
    assert drain({"node4": answer(interface("web1", carrier=False))}, node="node4") == (
        {}, ["web1: its guest does not run"])


@pytest.mark.parametrize(
    ("name", "state"), [("RoutingCluster", "drained"), ("NotAnnounced", "withdrawn"), ("External", "stopped")])
def test_what_a_routing_cluster_cannot_do_is_refused_by_name(name, state):
    with pytest.raises(Refused, match=f"^DrainRefused: {name}: "):
        drain({"node4": answer(interface("web1")), "node5": answer()}, node="node4", state=state)


@pytest.mark.parametrize(
    ("name", "found", "node", "to"),
    [
        ("UnknownNode", answers(), "node7", []),
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


@pytest.mark.parametrize("told", ["web1", [{"mac": "02:00:00:00:00:01"}], [{"name": "web1", "nic": "first"}], 5])
def test_what_is_told_of_vms_of_a_dead_node_and_names_none_is_refused_and_not_a_crash(told):
    with pytest.raises(Refused, match=r"NotAVm: evacuate_vms\[0\]"):
        plan_evacuation(PLAN, "node1", [lease("web9", "node1")], answers(), (), told)


def test_what_is_told_of_a_vm_of_a_dead_node_counts_when_its_nic_is_text():
    told = [{"name": "web9", "nic": "1", "mac": "02:00:00:00:00:09"}]
    [vm] = plan_evacuation(PLAN, "node1", [lease("web9#1", "node1")], answers(), (), told)
    assert vm["asked"]["mac"] == "02:00:00:00:00:09" and vm["asked"]["nic"] == 1
