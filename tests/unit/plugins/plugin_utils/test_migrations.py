# SPDX-License-Identifier: GPL-3.0-or-later
"""From where a migration stands to what is left to do: fresh, interrupted at each step, refused."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.migrations import (
    Refused,
    describe_migrations,
    lease_moves,
    plan_migrations,
    with_ports,
)

POOL = {"name": "public4", "prefix": "203.0.113.0/24", "ranges": ["203.0.113.1-203.0.113.254"], "exclude": []}
REGISTER = {"host": "rr1", "path": "/var/lib/vmcluster/leases.sqlite"}


def cluster(kind, *nodes):
    return {"type": kind, "nodes": list(nodes), "register": REGISTER, "pools": [POOL]}


PLAN = {
    "clusters": {
        "alpha": cluster("ipfabric", "node1", "node2", "node3"),
        "beta": cluster("ipfabric", "node7"),
        "gamma": cluster("switching", "node8", "node9"),
        "delta": cluster("routing", "node10", "node11"),
    },
    "underlay": {f"node{i}": {"ipv4": f"10.20.0.{10 + i}", "ipv6": f"fd20::{10 + i}"} for i in range(1, 12)},
}


def lease(owner, holder, address="203.0.113.10"):
    return {"owner": owner, "pool": "public4", "address": address, "holder": holder}


def interface(vm="web1", announcement="announced", carrier=True, nic=0):
    return {
        "vm": vm, "nic": nic, "addresses": ["203.0.113.10", "2001:db8:1::10"], "prefixes": ["203.0.113.64/28"],
        "mac": "02:00:00:00:00:10", "kind": "tap", "owner": 0, "multi_queue": False, "mtu": 1500,
        "announcement": announcement, "carrier": carrier,
    }


def under_way(role, other, state, nic=0):
    return {"vm": "web1", "nic": nic, "interface": f"web1_net{nic}", "role": role, "other": other, "state": state,
            "runs": True}


def answers(**nodes):
    found = {node: {"interfaces": [], "migrations": []} for node in ("node1", "node2", "node3")}
    found["node1"]["interfaces"] = [interface()]
    for node, (interfaces, migrations) in nodes.items():
        found[node] = {"interfaces": interfaces, "migrations": migrations}
    return found


def plan(found, *, holder="node1", node="node2", name="web1", abort=False, owner="alpha/web1"):
    return plan_migrations(PLAN, [{"name": name, "node": node}], [lease(owner, holder)], found, abort=abort)


def ends(migrations):
    return [(each.source, each.target, each.fresh) for each in migrations]


def test_a_vm_that_stands_still_migrates_from_where_its_lease_says():
    assert ends(plan(answers())) == [("node1", "node2", True)]


def test_all_nics_of_a_vm_move_together():
    found = answers(node1=([interface(), interface(nic=1)], []))
    leases = [lease("alpha/web1", "node1"), lease("alpha/web1#1", "node1", "203.0.113.11")]
    moved = plan_migrations(PLAN, [{"name": "web1", "node": "node2"}], leases, found)
    assert [(each.nic, each.source) for each in moved] == [(0, "node1"), (1, "node1")]


STANDBY = interface(announcement="standby", carrier=False)
ARRIVED = interface(announcement="standby")
LEFT = interface(carrier=False)


@pytest.mark.parametrize(
    ("found", "holder", "fresh"),
    [
        # only the interface on the target; only the source is armed; both are
        (answers(node2=([STANDBY], [])), "node1", True),
        (answers(node1=([interface()], [under_way("source", "node2", "armed")]), node2=([STANDBY], [])), "node1", True),
        (
            answers(
                node1=([interface()], [under_way("source", "node2", "armed")]),
                node2=([STANDBY], [under_way("target", "node1", "armed")]),
            ),
            "node1",
            False,
        ),
        # the source's agent gave up at the deadline, the target's did not
        (
            answers(
                node1=([interface()], [under_way("source", "node2", "expired")]),
                node2=([STANDBY], [under_way("target", "node1", "armed")]),
            ),
            "node1",
            True,
        ),
        # the guest has moved; the lease has; the source is clean
        (
            answers(
                node1=([LEFT], [under_way("source", "node2", "left")]),
                node2=([ARRIVED], [under_way("target", "node1", "announced")]),
            ),
            "node1",
            False,
        ),
        (answers(node1=([LEFT], []), node2=([ARRIVED], [under_way("target", "node1", "announced")])), "node2", False),
        (answers(node1=([], []), node2=([ARRIVED], [under_way("target", "node1", "announced")])), "node2", False),
        # the source alone has something left
        (answers(node1=([], [under_way("source", "node2", "left")]), node2=([interface()], [])), "node2", False),
        (answers(node1=([LEFT], []), node2=([interface()], [])), "node2", False),
    ],
)
def test_an_interrupted_migration_goes_on_where_it_stopped(found, holder, fresh):
    assert ends(plan(found, holder=holder)) == [("node1", "node2", fresh)]


def test_a_source_that_died_does_not_hold_up_the_end_of_a_migration():
    found = answers(node2=([ARRIVED], [under_way("target", "node1", "announced")]))
    del found["node1"]
    assert ends(plan(found)) == [("node1", "node2", False)]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("UnknownVm", {"name": "web2"}),
        ("MissingTarget", {"node": None}),
        ("MissingTarget", {"node": "node99"}),
        ("OtherCluster", {"node": "node7"}),
        ("UnlikeNetworkTypes", {"node": "node8"}),
        ("RoutingCluster", {"node": "node11", "owner": "delta/web1", "holder": "node10"}),
        ("SameNode", {"node": "node1"}),
        ("SourceUnreachable", {"holder": "node4"}),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, arguments):
    with pytest.raises(Refused, match=f"^LiveMigrationRefused: {name}: "):
        plan(answers(), **arguments)


@pytest.mark.parametrize(
    "found",
    [
        answers(node1=([interface()], [under_way("source", "node3", "armed")])),
        answers(node3=([STANDBY], [under_way("target", "node1", "armed")])),
        answers(node3=([], [under_way("source", "node1", "left")])),
    ],
)
def test_a_vm_that_migrates_already_or_has_not_finished_does_not_migrate_elsewhere(found):
    with pytest.raises(Refused, match="^LiveMigrationRefused: MigrationUnderWay: "):
        plan(found)


def test_a_target_that_gave_no_answer_is_missing():
    found = answers()
    del found["node2"]
    with pytest.raises(Refused, match="^LiveMigrationRefused: MissingTarget: web1: node2 does not answer"):
        plan(found)


def test_no_migration_goes_to_a_node_out_of_service_and_one_that_has_begun_is_finished():
    drained = {"maintenance": "drained"}
    with pytest.raises(Refused, match="^LiveMigrationRefused: NodeDrained: node2 is drained"):
        found = answers()
        plan({**found, "node2": {**found["node2"], **drained}})
    begun = answers(node2=([ARRIVED], [under_way("target", "node1", "announced")]))
    assert ends(plan({**begun, "node2": {**begun["node2"], **drained}})) == [("node1", "node2", False)]


def test_what_is_taken_back_is_found_without_naming_nodes():
    found = answers(node2=([STANDBY], [under_way("target", "node1", "armed")]))
    assert ends(plan(found, node=None, abort=True)) == [("node1", "node2", False)]
    assert plan(answers(), node=None, abort=True) == []


def test_each_node_has_its_part_and_the_register_is_told_where_the_vm_is():
    nodes = describe_migrations(PLAN, plan(answers()), ["secret"])
    source, target = nodes["node1"], nodes["node2"]
    assert source["absent"] == [{"name": "web1", "nic": 0, "state": "absent"}] and source["announced"] == []
    assert (source["sources"][0]["peer"], target["targets"][0]["own"]) == (PLAN["underlay"]["node2"],) * 2
    assert source["fresh_sources"][0]["key"] == target["fresh_targets"][0]["key"] == "secret"
    assert target["standby"][0]["announcement"] == "standby" and target["announced"][0]["mtu"] == 1500
    assert target["prefixes"] == ["203.0.113.10/32", "2001:db8:1::10/128", "203.0.113.64/28"]
    assert target["next_hops"] == ["10.20.0.12", "fd20::12"]
    leases = [lease("alpha/web1", "node1"), lease("alpha/web10", "node1", "203.0.113.11")]
    (register,) = lease_moves(PLAN, nodes, leases)
    assert register["host"] == "rr1"
    assert [(each["owner"], each["holder"]) for each in register["leases"]] == [("alpha/web1", "node2")]


def test_a_target_is_told_the_port_of_its_own_source():
    armed = {"migrations": [{"name": "web1", "nic": 0, "role": "source", "port": 7771}]}
    other = {"migrations": [{"name": "web1", "nic": 1, "role": "source", "port": 7772}]}
    results = [armed, other, {"skipped": True}, None]
    assert [end["port"] for end in with_ports([{"name": "web1", "nic": 0}, {"name": "web2", "nic": 0}], results)] == [
        7771, 0]


def drivers(entry=None, interface_driver=None, declared=None, of_cluster=None):
    alpha = {**PLAN["clusters"]["alpha"], "vms": declared or [], **({"vm_driver": of_cluster} if of_cluster else {})}
    there = {**interface(), "driver": interface_driver}
    asked = {"name": "web1", "node": "node2", **(entry or {})}
    planned = {**PLAN, "clusters": {**PLAN["clusters"], "alpha": alpha}}
    (moved,) = plan_migrations(planned, [asked], [lease("alpha/web1", "node1")], answers(node1=([there], [])))
    return moved


DECLARED = {"name": "web1", "nic": 0, "driver": "libvirt", "guest": {"memory": 512}}


def test_what_runs_a_vm_is_told_by_the_entry_then_by_its_record_then_by_its_declaration_then_by_the_cluster():
    assert drivers().driver == "external"
    assert drivers(of_cluster="libvirt").driver == "libvirt"
    assert drivers(of_cluster="libvirt", declared=[{"name": "web1", "nic": 0}]).driver == "external"
    assert (drivers(declared=[DECLARED]).driver, drivers(declared=[DECLARED]).guest) == ("libvirt", {"memory": 512})
    assert drivers(interface_driver="libvirt").driver == "libvirt"
    told = drivers({"driver": "libvirt", "guest": {"memory": 256, "disks": ["/web1"]}}, declared=[DECLARED])
    assert told.guest == {"memory": 256, "disks": [{"path": "/web1"}]}
    assert drivers({"driver": "external"}, interface_driver="libvirt", declared=[DECLARED]).guest is None


def test_containers_and_drivers_that_nobody_knows_are_refused():
    with pytest.raises(Refused, match="^LiveMigrationRefused: Container: web1 "):
        drivers(interface_driver="lxc")
    with pytest.raises(Refused, match="^web1: driver: 'vmware' is not known"):
        drivers({"driver": "vmware"})


def test_what_libvirt_moves_is_not_asked_of_others_and_all_its_nics_go_at_once():
    found = answers(node1=([interface(), interface(nic=1)], []))
    leases = [lease("alpha/web1", "node1"), lease("alpha/web1#1", "node1", "203.0.113.11")]
    entry = {"name": "web1", "node": "node2", "driver": "libvirt"}
    nodes = describe_migrations(PLAN, plan_migrations(PLAN, [entry], leases, found), ["secret", "secret"])
    assert nodes["node1"]["domains"] == [{"name": "web1", "nics": [0, 1], "other": "node2", "address": "10.20.0.12"}]
    assert nodes["node1"]["external"] == [] and nodes["node2"]["domains"] == []
    assert [each["nic"] for each in nodes["node2"]["guests"]] == [0, 1] == [
        each["nic"] for each in nodes["node1"]["absent_guests"]]
    others = describe_migrations(PLAN, plan(answers()), ["secret"])
    assert [each["name"] for each in others["node1"]["external"]] == ["web1"] and others["node1"]["domains"] == []


@pytest.mark.parametrize("asked", ["web1", {"name": "web1"}, ["web1"], [{"vm": "web1"}], [{"name": 100}]])
def test_what_names_no_vm_is_refused_and_not_a_crash(asked):
    with pytest.raises(Refused, match="LiveMigrationRefused: NotAVm: .*name"):
        plan_migrations(PLAN, asked, [lease("alpha/web1", "node1")], answers())


def test_a_node_that_is_empty_can_be_drained():
    assert plan_migrations(PLAN, [], [lease("alpha/web1", "node1")], answers()) == []


def test_a_drain_of_a_full_node_in_a_large_cluster_is_planned_without_reading_all_leases_for_each_vm():
    class Counted(dict):
        reads = 0

        def __getitem__(self, key):
            Counted.reads += 1
            return super().__getitem__(key)

    names = [f"vm{number}" for number in range(200)]
    leases = [Counted(lease(f"alpha/{name}", "node1")) for name in names]
    found = answers(node1=([interface(name) for name in names], []))
    planned = plan_migrations(PLAN, [{"name": name, "node": "node2"} for name in names], leases, found)
    assert len(planned) == len(names)
    assert Counted.reads <= 5 * len(names)
