# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification: an agreeing cluster has no difference, and each way of disagreeing is told apart."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.verify import verify_cluster
from ansible_collections.vmcluster.network.plugins.plugin_utils.verify_model import Cluster, Host, Peer

COMMUNITY = "65010:100"
ALPHA = Cluster("alpha", frozenset({COMMUNITY}), ("203.0.113.0/24", "2001:db8:1::/64"), frozenset({"web1"}), "rr1")


def host(name, role, peers=(), next_hops=None):
    return Host(name, frozenset({role}), frozenset({"alpha"}), tuple(Peer(*peer) for peer in peers), next_hops or {})


HOSTS = (
    host("node1", "nodes", [("rr1", "10.20.0.21")], {4: "10.20.0.11", 6: "fd20::11"}),
    host("node2", "nodes", [("rr1", "10.20.0.21")], {4: "10.20.0.12", 6: "fd20::12"}),
    host("rr1", "route_reflectors", [("node1", "10.20.0.11"), ("node2", "10.20.0.12"), ("core", "10.20.0.1")]),
    host("core", "core_gateways", [("rr1", "10.20.0.21")]),
)


def interface(vm, *addresses, announcement="announced", carrier=True):
    return {
        "vm": vm,
        "nic": 0,
        "addresses": list(addresses),
        "prefixes": [],
        "announcement": announcement,
        "carrier": carrier,
    }


def session(address, state="Established"):
    return {"address": address, "state": state, "last_reset": "Hold Timer Expired"}


def route(prefix, next_hop, communities=(COMMUNITY,), installed=True):
    return {
        "prefix": prefix,
        "next_hop": next_hop,
        "communities": list(communities),
        "large_communities": [],
        "installed": installed,
    }


def lease(vm, address, holder):
    return {"owner": f"alpha/{vm}", "pool": "public", "address": address, "holder": holder}


def agreeing():
    routes = [
        route("203.0.113.10/32", "10.20.0.11"),
        route("2001:db8:1::10/128", "fd20::11"),
        route("203.0.113.11/32", "10.20.0.12"),
    ]
    return {
        "node1": {
            "interfaces": [interface("web1", "203.0.113.10", "2001:db8:1::10")],
            "sessions": [session("10.20.0.21")],
        },
        "node2": {"interfaces": [interface("web10", "203.0.113.11")], "sessions": [session("10.20.0.21")]},
        "rr1": {
            "sessions": [session("10.20.0.11"), session("10.20.0.12"), session("10.20.0.1")],
            "routes": copy.deepcopy(routes),
            "leases": [
                lease("web1", "203.0.113.10", "node1"),
                lease("web1", "2001:db8:1::10", "node1"),
                lease("web10", "203.0.113.11", "node2"),
            ],
        },
        "core": {"sessions": [session("10.20.0.21")], "routes": copy.deepcopy(routes)},
    }


def differences(evidence):
    return [(found.host, found.what) for found in verify_cluster(HOSTS, [ALPHA], evidence).differences]


def test_an_agreeing_cluster_has_no_difference_and_a_row_for_each_host_and_vm():
    report = verify_cluster(HOSTS, [ALPHA], agreeing())
    assert report.differences == ()
    assert [(row["host"], row["sessions"], row["sessions_expected"]) for row in report.hosts] == [
        ("node1", 1, 1),
        ("node2", 1, 1),
        ("rr1", 3, 3),
        ("core", 1, 1),
    ]
    assert [(row["vm"], row["node"], row["state"], row["agrees"]) for row in report.vms] == [
        ("web1", "node1", "announced", True),
        ("web10", "node2", "announced", True),
    ]


def test_of_a_node_that_was_not_asked_or_gave_no_answer_nothing_is_concluded():
    evidence = agreeing()
    evidence["node1"] = {}
    assert [found.what for found in verify_cluster(HOSTS, [ALPHA], evidence).differences] == ["gave no answer"]
    report = verify_cluster(HOSTS, [ALPHA], evidence, asked={"node2", "rr1", "core"})
    assert report.differences == ()
    assert [row["host"] for row in report.hosts] == ["node2", "rr1", "core"]


def test_what_a_host_could_not_tell_is_a_difference():
    evidence = agreeing()
    del evidence["node1"]["sessions"]
    evidence["node1"]["problems"] = {"sessions": "FRR is installed and not running"}
    (found,) = verify_cluster(HOSTS, [ALPHA], evidence).differences
    assert (found.host, found.what) == ("node1", "could not tell its sessions: FRR is installed and not running")


def test_a_difference_of_one_vm_does_not_mark_another_whose_name_begins_alike():
    evidence = agreeing()
    evidence["core"]["routes"] = [
        found for found in evidence["core"]["routes"] if found["prefix"] != "203.0.113.11/32"
    ]
    rows = {row["vm"]: row["agrees"] for row in verify_cluster(HOSTS, [ALPHA], evidence).vms}
    assert rows == {"web1": True, "web10": False}


def change(evidence, path, value):
    *way, last = path
    for key in way:
        evidence = evidence[key]
    if value is None:
        del evidence[last]
    else:
        evidence[last] = value


@pytest.mark.parametrize(
    "path, value, expected",
    [
        (["node1"], {}, [("node1", "gave no answer")]),
        (
            ["rr1", "sessions", 2, "state"],
            "Active",
            [("rr1", "session to core (10.20.0.1) is Active: Hold Timer Expired")],
        ),
        (["core", "sessions", 0], None, [("core", "has no BGP session to rr1 (10.20.0.21)")]),
        (["core", "routes", 0], None, [("core", "has no route to 203.0.113.10/32 of VM web1 on node1")]),
        (
            ["core", "routes", 0, "next_hop"],
            "10.20.0.12",
            [("core", "routes 203.0.113.10/32 of VM web1 to 10.20.0.12, not to node1 (10.20.0.11)")],
        ),
        (
            ["rr1", "routes", 1, "communities"],
            ["65010:1000"],
            [("rr1", "route to 2001:db8:1::10/128 lacks community 65010:100")],
        ),
        (
            ["core", "routes", 0, "installed"],
            False,
            [("core", "has the route to 203.0.113.10/32, and does not forward by it")],
        ),
        (["rr1", "leases", 2], None, [("node2", "carries VM web10, of which the register of alpha knows nothing")]),
        (
            ["rr1", "leases", 2, "holder"],
            "node1",
            [("rr1", "lease 203.0.113.11/32 says VM web10 is on node1; node2 carries it")],
        ),
    ],
    ids=lambda value: None,
)
def test_each_way_of_disagreeing_is_told(path, value, expected):
    evidence = agreeing()
    change(evidence, path, value)
    found = differences(evidence)
    assert found[: len(expected)] == expected
    if path != ["node1"]:
        assert found == expected


def test_a_route_that_no_vm_has_is_a_difference_and_one_outside_the_pools_is_not():
    evidence = agreeing()
    evidence["core"]["routes"] += [route("203.0.113.99/32", "10.20.0.11"), route("0.0.0.0/0", "198.18.0.2")]
    assert differences(evidence) == [("core", "has a route to 203.0.113.99/32 by 10.20.0.11, which no VM has")]


@pytest.mark.parametrize("state", [{"carrier": False}, {"announcement": "withdrawn"}])
def test_a_vm_that_does_not_run_or_is_withdrawn_is_to_be_announced_nowhere(state):
    evidence = agreeing()
    evidence["node2"]["interfaces"][0].update(state)
    assert {what for _host, what in differences(evidence)} == {
        "has a route to 203.0.113.11/32 by 10.20.0.12, which no VM has"
    }
    for name in ("rr1", "core"):
        del evidence[name]["routes"][2]
    assert differences(evidence) == []


def test_a_vm_on_two_nodes_is_a_difference_unless_one_is_a_standby():
    evidence = agreeing()
    evidence["node2"]["interfaces"].append(
        interface("web1", "203.0.113.10", "2001:db8:1::10", announcement="standby")
    )
    assert differences(evidence) == []
    evidence["node2"]["interfaces"][1]["announcement"] = "announced"
    assert ("node2", "carries VM web1, which node1 carries too") in differences(evidence)


def test_a_lease_without_a_vm_and_a_declared_vm_without_a_node_are_differences():
    evidence = agreeing()
    evidence["node1"]["interfaces"] = []
    evidence["core"]["routes"] = evidence["rr1"]["routes"] = [route("203.0.113.11/32", "10.20.0.12")]
    assert differences(evidence) == [
        ("alpha", "declared VM web1 is on no node"),
        ("rr1", "lease 203.0.113.10/32 of VM web1 says it is on node1, which does not carry it"),
        ("rr1", "lease 2001:db8:1::10/128 of VM web1 says it is on node1, which does not carry it"),
    ]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"exists": False, "carrier": False}, "VM web10 has no interface web10_net0"),
        ({"recorded": False}, "interface web10_net0 of VM web10 has no record, so no reboot brings it back"),
    ],
)
def test_an_interface_that_is_not_there_or_not_recorded_is_a_difference(state, expected):
    evidence = agreeing()
    evidence["node2"]["interfaces"][0].update(state, interface="web10_net0")
    assert differences(evidence)[0] == ("node2", expected)


def test_of_a_vm_whose_migration_is_not_finished_only_that_is_told():
    evidence = agreeing()
    evidence["node1"]["interfaces"][0]["carrier"] = False
    arrived = interface("web1", "203.0.113.10", "2001:db8:1::10", announcement="standby")
    evidence["node2"]["interfaces"].append({**arrived, "announced_as": "elevated"})
    for name in ("rr1", "core"):
        evidence[name]["routes"][0]["next_hop"] = "10.20.0.12"
        evidence[name]["routes"][1]["next_hop"] = "fd20::12"
    assert len(differences(evidence)) > 1
    moving = {"vm": "web1", "nic": 0, "role": "target", "other": "node1", "state": "announced"}
    evidence["node2"]["migrations"] = [moving]
    evidence["node1"]["migrations"] = [{**moving, "role": "source", "other": "node2", "state": "left"}]
    assert differences(evidence) == [
        ("node1", "VM web1 migrates from node1 to node2, and that is not finished (left)")
    ]


def test_a_prefix_that_is_routed_through_a_vm_leads_to_its_node():
    evidence = agreeing()
    evidence["node1"]["interfaces"][0]["prefixes"] = ["203.0.113.64/28"]
    for name in ("rr1", "core"):
        evidence[name]["routes"].append(route("203.0.113.64/28", "10.20.0.11"))
    assert differences(evidence) == []
    evidence["core"]["routes"][-1]["next_hop"] = "203.0.113.10"
    assert differences(evidence) == [
        ("core", "routes 203.0.113.64/28 of VM web1 to 203.0.113.10, not to node1 (10.20.0.11)")
    ]


def test_addresses_that_register_and_node_do_not_agree_on_are_told_of_both_vms():
    evidence = agreeing()
    leases = evidence["rr1"]["leases"]
    leases[0]["address"], leases[2]["address"] = leases[2]["address"], leases[0]["address"]
    assert sorted(differences(evidence)) == [
        ("node1", "carries VM web1 with 203.0.113.10/32, which the register has leased to web10"),
        ("node1", "carries VM web1 without 203.0.113.11/32, which the register has leased to it"),
        ("node2", "carries VM web10 with 203.0.113.11/32, which the register has leased to web1"),
        ("node2", "carries VM web10 without 203.0.113.10/32, which the register has leased to it"),
    ]
    report = verify_cluster(HOSTS, [ALPHA], evidence)
    assert [row["agrees"] for row in report.vms] == [False, False]


def test_an_address_without_any_lease_is_told_and_a_routed_prefix_needs_none():
    evidence = agreeing()
    del evidence["rr1"]["leases"][1]
    evidence["node1"]["interfaces"][0]["prefixes"] = ["203.0.113.64/28"]
    for name in ("rr1", "core"):
        evidence[name]["routes"].append(route("203.0.113.64/28", "10.20.0.11"))
    what = "carries VM web1 with 2001:db8:1::10/128, which the register has leased to nobody"
    assert differences(evidence) == [("node1", what)]


def test_a_vm_with_an_address_of_a_family_that_its_node_has_no_more_is_told_and_is_no_crash():
    hosts = (host("node1", "nodes", [("rr1", "10.20.0.21")], {4: "10.20.0.11"}), *HOSTS[1:])
    told = [found.what for found in verify_cluster(hosts, [ALPHA], agreeing()).differences]
    assert told == ["routes 2001:db8:1::10/128 of VM web1 to fd20::11, not to node1 (no IPv6 underlay address)"] * 2
