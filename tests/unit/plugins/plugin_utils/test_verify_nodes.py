# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of nodes without FRR: their own network, bridges, the kernel's routes."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.evidence import read_clusters, read_evidence, read_hosts
from ansible_collections.vmcluster.network.plugins.plugin_utils.verify import verify_cluster

PLAN = {
    "clusters": {"alpha": {
        "communities": [], "pools": [{"prefix": "203.0.113.0/24"}], "vms": [], "register": {"host": "node1"},
        "nodes": ["node1"], "route_reflectors": [], "core_gateways": []}},
    "underlay": {"node1": {"ipv4": None, "ipv6": None}},
}
LEASES = [{"item": {"host": "node1"},
           "leases": [{"owner": "alpha/web1", "address": "203.0.113.10", "holder": "node1"}]}]
INTERFACE = {"vm": "web1", "nic": 0, "interface": "web1_net0", "addresses": ["203.0.113.10"], "prefixes": [],
             "announcement": "announced", "carrier": True, "exists": True, "recorded": True, "bridge": "br0",
             "master": "br0", "on_bridge": True, "kernel_routes": None}
ROUTED = {**INTERFACE, "bridge": None, "master": None, "on_bridge": None, "kernel_routes": ["203.0.113.10/32"]}


def differences(role="switching", network=None, **interface):
    found = {"found_node": {"interfaces": [{**(INTERFACE if role == "switching" else ROUTED), **interface}]},
             "found_network": {"changed": False, "actions": []} if network is None else network}
    hosts = read_hosts({**PLAN, "hosts": {"node1": {role: {}}}})
    report = verify_cluster(hosts, read_clusters(PLAN), read_evidence({"node1": found}, LEASES))
    assert [row["agrees"] for row in report.vms] == [not any(each.vm for each in report.differences)]
    return [each.what for each in report.differences]


@pytest.mark.parametrize("role", ["switching", "routing"])
def test_a_node_that_is_as_planned_has_no_difference(role):
    assert differences(role) == []


def test_a_vm_off_its_bridge_is_a_difference():
    assert differences(on_bridge=False, master=None) == ["interface web1_net0 of VM web1 is on no bridge, not on br0"]
    assert differences(on_bridge=False, master="br9") == ["interface web1_net0 of VM web1 is on br9, not on br0"]


def test_a_vm_without_the_kernels_route_is_a_difference():
    assert differences("routing", kernel_routes=[]) == ["has no route to 203.0.113.10/32 of VM web1"]


def test_what_host_network_would_change_is_a_difference():
    told = {"changed": True, "actions": ["route 0.0.0.0/0 via 192.0.2.1: is missing"]}
    assert differences(network=told) == ["its network is not as planned: route 0.0.0.0/0 via 192.0.2.1: is missing"]


def test_a_network_that_could_not_be_compared_is_a_difference():
    assert differences(network={"failed": True, "msg": "no"}) == ["could not tell whether its network is as planned"]


def test_a_missing_interface_is_told_once():
    (said,) = differences(exists=False, on_bridge=None)
    assert said == "VM web1 has no interface web1_net0"
