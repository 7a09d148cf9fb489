# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a VM's name to where its console is, and to the link."""

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.consoles import console_link, vm_console
from ansible_collections.vmcluster.network.plugins.plugin_utils.inventory import check_inventory
from ansible_collections.vmcluster.network.plugins.plugin_utils.plans import plan_clusters

CONSOLE = {"host": "master", "name": "console.example.net", "port": 443, "lifetime": 600}
DECLARED = [{"name": "web1", "nic": 0, "vnc_port": 5901}, {"name": "web1", "nic": 1}, {"name": "db1", "nic": 0}]
CLUSTERS = {"alpha": {"console": CONSOLE, "vms": DECLARED}, "beta": {"vms": []}}
LEASES = [{"owner": owner, "holder": holder} for owner, holder in (
    ("alpha/web1", "node1"), ("alpha/web1", "node1"), ("alpha/db1", "node2"), ("alpha/cache1", "node2"),
    ("alpha/twin", "node1"), ("beta/twin", "node9"), ("beta/web9", "node9"), ("alpha/gone", None))]


@pytest.mark.parametrize("vm, node, port", [("web1", "node1", 5901), ("db1", "node2", 0), ("cache1", "node2", 0)])
def test_a_console_is_on_the_node_that_holds_the_lease(vm, node, port):
    assert vm_console(CLUSTERS, LEASES, vm) == {"cluster": "alpha", "node": node, "vnc_port": port, "console": CONSOLE}


def test_of_two_vms_of_one_name_the_cluster_is_asked_for():
    with pytest.raises(ValueError, match="twin is in the clusters alpha and beta: name one"):
        vm_console(CLUSTERS, LEASES, "twin")
    assert vm_console(CLUSTERS, LEASES, "twin", "alpha")["node"] == "node1"


@pytest.mark.parametrize("vm, said", [
    ("nobody", "nobody is on no node, by the register: attach it first"),
    ("gone", "gone is on no node"),
    ("web9", "cluster beta has no console"),
])
def test_a_vm_without_console_is_told_with_what_to_do(vm, said):
    with pytest.raises(ValueError, match=said):
        vm_console(CLUSTERS, LEASES, vm)


@pytest.mark.parametrize("changes, begin", [
    ({}, "https://console.example.net/#"),
    ({"port": 8443}, "https://console.example.net:8443/#"),
    ({"name": "fd20::1", "port": 8443}, "https://[fd20::1]:8443/#"),
])
def test_a_link_has_the_token_behind_what_is_sent(changes, begin):
    assert console_link({**CONSOLE, **changes}, "0f1e") == f"{begin}0f1e"


def test_domains_of_a_cluster_with_a_console_have_a_vnc_display_and_adopted_ones_keep_what_they_have():
    guest = {"memory": 512, "disks": ["/srv/web1.qcow2"]}
    described = {"name": "edge", "type": "switching", "pools": [{"name": "public4", "prefix": "203.0.113.0/24"}],
                 "networks": {"main": {"isolated": True}}, "register": {"host": "master"},
                 "console": {"host": "master"}, "vm_driver": "libvirt"}
    vms = [{"name": "web1", "node": "node1", "guest": guest}, {"name": "old1", "node": "node1"},
           {"name": "blind", "node": "node1", "guest": {**guest, "vnc": False}},
           {"name": "kept", "node": "node1", "guest": {"adopt": True}}]
    node = {"uplink_port": "eth0", "management_port": "eth1", "vnc_address": "10.20.0.11"}
    groups = {"nodes": ["node1"], "all": ["node1", "master"]}
    checked = check_inventory(groups, {"node1": {**node, "cluster": {**described, "vms": vms}}})
    assert checked.mistakes == ()
    plan = plan_clusters(checked.model)
    guests = {vm["name"]: vm["guest"] for vm in plan["clusters"]["edge"]["vms"]}
    assert [(guests[name] or {}).get("vnc") for name in ("web1", "old1", "blind", "kept")] == [True, None, False, None]
    assert plan["clusters"]["edge"]["console"] == {**CONSOLE, "name": "master"}
    assert plan["underlay"]["node1"]["vnc_address"] == "10.20.0.11"
