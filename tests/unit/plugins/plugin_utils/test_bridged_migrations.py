# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations between bridges: where they stand by what nodes say of interfaces, and each node's part."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.bridged_migrations import (
    describe_on_bridges,
    refuse_arrived,
    refuse_unreachable,
)
from ansible_collections.vmcluster.network.plugins.plugin_utils.migrations import (
    Refused,
    describe_migrations,
    plan_migrations,
)
from ansible_collections.vmcluster.network.plugins.plugin_utils.verify import verify_cluster
from ansible_collections.vmcluster.network.plugins.plugin_utils.verify_model import Cluster, Host
from ansible_collections.vmcluster.network.plugins.plugin_utils.vms import unknown_vms

PLAN = {
    "clusters": {
        "gamma": {
            "type": "switching", "nodes": ["node1", "node2", "node3"], "pools": [],
            "register": {"host": "node1", "path": "/var/lib/vmcluster/leases.sqlite"},
        },
    },
    "underlay": {node: {"ipv4": None, "ipv6": None} for node in ("node1", "node2", "node3")},
    "hosts": {
        "node2": {"switching": {"switching_interfaces": [
            {"name": "eth0"}, {"name": "br0", "addresses": ["203.0.113.12/24", "2001:db8:1::12/64"]}]}},
        "node3": {"switching": {"switching_interfaces": [{"name": "eth0"}, {"name": "br0", "link_local": False}]}},
    },
}


def interface(announcement="announced", carrier=True):
    return {
        "vm": "web1", "nic": 0, "addresses": ["203.0.113.100"], "prefixes": [], "mac": "02:00:00:00:00:10",
        "kind": "tap", "owner": 0, "multi_queue": False, "mtu": 1500, "announcement": announcement, "carrier": carrier,
        "bridge": "br0",
    }


RUNS, LEFT = interface(), interface(carrier=False)
EXPECTED, ARRIVED = interface("standby", carrier=False), interface("standby")


def answers(**nodes):
    return {node: {"interfaces": nodes.get(node, []), "migrations": []} for node in PLAN["underlay"]}


def plan(found, *, holder="node1", node="node2", abort=False):
    leases = [{"owner": "gamma/web1", "pool": "public4", "address": "203.0.113.100", "holder": holder}]
    return plan_migrations(PLAN, [{"name": "web1", "node": node}], leases, found, abort=abort)


def ends(migrations):
    return [(each.source, each.target, each.fresh) for each in migrations]


@pytest.mark.parametrize(
    ("found", "holder", "fresh"),
    [
        (answers(node1=[RUNS]), "node1", True),
        # the target has the interface; the guest is there; the lease has moved; the source is clean
        (answers(node1=[RUNS], node2=[EXPECTED]), "node1", True),
        (answers(node1=[LEFT], node2=[ARRIVED]), "node1", False),
        (answers(node1=[LEFT], node2=[ARRIVED]), "node2", False),
        (answers(node1=[LEFT], node2=[interface()]), "node2", False),
    ],
)
def test_a_migration_between_bridges_goes_on_where_it_stopped(found, holder, fresh):
    assert ends(plan(found, holder=holder)) == [("node1", "node2", fresh)]


def test_a_target_that_only_lacks_its_record_is_finished():
    assert ends(plan(answers(node2=[ARRIVED]), holder="node2")) == [("", "node2", False)]


@pytest.mark.parametrize(
    ("name", "found", "node"),
    [
        ("SameNode", answers(node1=[RUNS]), "node1"),
        ("MigrationUnderWay", answers(node1=[RUNS], node3=[EXPECTED]), "node2"),
        ("NotHere", answers(), "node2"),
    ],
)
def test_what_cannot_be_between_bridges_is_refused_by_name(name, found, node):
    with pytest.raises(Refused, match=f"^LiveMigrationRefused: {name}: "):
        plan(found, node=node)


def test_only_what_has_not_arrived_is_taken_back():
    waiting, arrived = answers(node1=[RUNS], node2=[EXPECTED]), answers(node1=[LEFT], node2=[ARRIVED])
    assert ends(plan(waiting, node=None, abort=True)) == [("node1", "node2", False)]
    assert refuse_arrived(plan(waiting, node=None, abort=True), waiting) == []
    (refused,) = refuse_arrived(plan(arrived, node=None, abort=True), arrived)
    assert refused.startswith("LiveMigrationRefused: HasMoved: ")


def test_each_node_has_its_part_on_its_bridge():
    migrations = plan(answers(node1=[RUNS]))
    nodes = describe_migrations(PLAN, migrations, ["secret"])
    describe_on_bridges(PLAN, nodes, migrations)
    end = {"name": "web1", "nic": 0, "addresses": ["203.0.113.100"], "mtu": 1500, "bridge": "br0",
           "mac": "02:00:00:00:00:10"}
    assert nodes["node1"]["sources"] == nodes["node1"]["fresh_sources"] == [{**end, "role": "source", "other": "node2"}]
    assert nodes["node2"]["targets"] == [{**end, "role": "target", "other": "node1"}]
    assert nodes["node1"]["absent"] == [{"name": "web1", "nic": 0, "state": "absent"}]
    (standby,), (announced,) = nodes["node2"]["standby"], nodes["node2"]["announced"]
    assert (standby["bridge"], standby["announcement"]) == ("br0", "standby")
    assert (announced["bridge"], announced["announcement"]) == ("br0", "announced")


def described(driver, address=None, node="node2"):
    known = {**PLAN, "underlay": {**PLAN["underlay"], node: {"ipv4": address, "ipv6": None}}}
    migrations = [replace(each, driver=driver) for each in plan(answers(node1=[RUNS]), node=node)]
    nodes = describe_migrations(known, migrations, ["secret"])
    describe_on_bridges(known, nodes, migrations)
    return nodes, refuse_unreachable(known, migrations)


def test_libvirt_moves_its_guests_while_the_target_hears_of_their_first_frame():
    nodes, refused = described("libvirt")
    domain = {"name": "web1", "nics": [0], "other": "node2", "address": "203.0.113.12"}
    assert (nodes["node1"]["domains"], nodes["node1"]["external"], refused) == ([domain], [], [])
    assert nodes["node2"]["heard"] == nodes["node2"]["targets"] and nodes["node1"]["heard"] == []
    assert [guest["name"] for guest in nodes["node2"]["guests"]] == ["web1"]
    nodes, _refused = described("external")
    assert (nodes["node1"]["domains"], len(nodes["node1"]["external"]), nodes["node2"]["heard"]) == ([], 1, [])


def test_libvirt_reaches_a_node_by_its_underlay_address_before_others_and_one_without_any_is_refused():
    nodes, refused = described("libvirt", "10.20.0.12")
    assert (nodes["node1"]["domains"][0]["address"], refused) == ("10.20.0.12", [])
    _nodes, (refused,) = described("libvirt", node="node3")
    assert refused.startswith("LiveMigrationRefused: NoUnderlayAddress: node3 has no address")
    assert described("external", node="node3")[1] == []


def test_a_guest_that_libvirt_is_moving_is_on_both_nodes_and_is_taken_back_all_the_same():
    under_way = answers(node1=[RUNS], node2=[ARRIVED])
    (moving,) = plan(under_way, node=None, abort=True)
    assert refuse_arrived([moving], under_way) != []
    assert refuse_arrived([replace(moving, driver="libvirt")], under_way) == []


def test_what_is_expected_on_a_bridge_is_not_purged():
    assert unknown_vms([EXPECTED], [], "gamma", "node2") == []
    assert [each["name"] for each in unknown_vms([RUNS], [], "gamma", "node2")] == ["web1"]


def test_a_migration_between_bridges_that_is_not_finished_is_the_one_difference_of_its_vm():
    hosts = [Host(node, frozenset({"nodes"}), frozenset({"gamma"})) for node in ("node1", "node2")]
    evidence = answers(node1=[RUNS], node2=[EXPECTED])
    (found,) = verify_cluster(hosts, [Cluster("gamma", frozenset(), ())], evidence).differences
    assert (found.host, found.what) == ("node2", "VM web1 migrates to node2, and that is not finished")
    assert "migrate_vm -e vm=web1 -e node=node2" in found.remedy
