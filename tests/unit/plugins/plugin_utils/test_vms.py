# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From VMs to leases and interfaces."""

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.names import gateway_mac, guest_mac, lease_owner
from ansible_collections.vmcluster.network.plugins.plugin_utils.vms import lease_requests, vm_interfaces


def vm_of(name, node="node1", *, cluster="alpha", nic=0, pools=("public4", "public6"), asked=(), **more):
    described = {
        "cluster": cluster,
        "name": name,
        "nic": nic,
        "node": node,
        "pools": list(pools),
        "asked": dict(asked),
        "prefixes": [],
        "mac": guest_mac(cluster, name, nic),
        "kind": "tap",
        "owner": "root",
        "announcement": "announced",
    }
    return {**described, **more}


def cluster_of(name, vms=(), *, host="rr1", path="/leases.sqlite", pools=("public4", "public6")):
    described = [{"name": pool, "prefix": f"prefix of {pool}", "ranges": [], "exclude": []} for pool in pools]
    return {name: {"register": {"host": host, "path": path}, "pools": described, "vms": list(vms)}}


def lease_of(owner, pool, address, holder=None):
    return {"owner": owner, "pool": pool, "address": address, "holder": holder, "new": True, "state": "present"}


def test_a_vm_has_a_lease_in_each_of_its_pools_held_by_its_node():
    (request,) = lease_requests(cluster_of("alpha", [vm_of("web1")]))
    assert (request["host"], request["path"]) == ("rr1", "/leases.sqlite")
    assert [pool["name"] for pool in request["pools"]] == ["public4", "public6"]
    assert request["leases"] == [
        {"owner": "alpha/web1", "pool": "public4", "address": None, "holder": "node1", "state": "present"},
        {"owner": "alpha/web1", "pool": "public6", "address": None, "holder": "node1", "state": "present"},
    ]


def test_an_address_that_is_asked_for_is_in_the_lease_of_its_pool():
    (request,) = lease_requests(cluster_of("alpha", [vm_of("web1", asked={"public6": "2001:db8::7"})]))
    assert [lease["address"] for lease in request["leases"]] == [None, "2001:db8::7"]


def test_a_second_nic_has_leases_of_its_own():
    assert (lease_owner("alpha", "web1", 0), lease_owner("alpha", "web1", 1)) == ("alpha/web1", "alpha/web1#1")
    (request,) = lease_requests(cluster_of("alpha", [vm_of("web1"), vm_of("web1", nic=1, pools=["public4"])]))
    assert [lease["owner"] for lease in request["leases"]] == ["alpha/web1", "alpha/web1", "alpha/web1#1"]


def test_clusters_with_one_register_share_a_request_and_others_have_their_own():
    clusters = {
        **cluster_of("alpha", [vm_of("web1")]),
        **cluster_of("beta", [vm_of("web1", "node3", cluster="beta", pools=["beta4"])], pools=["beta4"]),
        **cluster_of("gamma", host="rr2"),
    }
    first, second = lease_requests(clusters)
    assert [pool["name"] for pool in first["pools"]] == ["public4", "public6", "beta4"]
    assert {lease["owner"] for lease in first["leases"]} == {"alpha/web1", "beta/web1"}
    assert (second["host"], second["leases"]) == ("rr2", [])


def test_vms_asked_for_come_beside_the_declared_ones_or_alone():
    clusters = cluster_of("alpha", [vm_of("web1")])
    both = lease_requests(clusters, [vm_of("web2")])
    alone = lease_requests(clusters, [vm_of("web2")], declared=False)
    assert {lease["owner"] for lease in both[0]["leases"]} == {"alpha/web1", "alpha/web2"}
    assert {lease["owner"] for lease in alone[0]["leases"]} == {"alpha/web2"}


def test_a_declared_vm_that_is_asked_for_is_there_once():
    (request,) = lease_requests(cluster_of("alpha", [vm_of("web1")]), [vm_of("web1")])
    assert len(request["leases"]) == 2


def test_all_leases_of_a_vm_that_leaves_are_given_back():
    (request,) = lease_requests(cluster_of("alpha"), [vm_of("web1", "", pools=())], declared=False, state="absent")
    assert request["leases"] == [
        {"owner": "alpha/web1", "pool": None, "address": None, "holder": None, "state": "absent"}
    ]


def test_interfaces_have_the_leased_addresses_in_the_order_of_pools_by_node():
    leases = [
        lease_of("alpha/web1", "public6", "2001:db8::1"),
        lease_of("alpha/web2", "public4", "203.0.113.2"),
        lease_of("alpha/web1", "public4", "203.0.113.1"),
    ]
    vms = [vm_of("web1", prefixes=["2001:db8:ff::/64"]), vm_of("web2", "node2", pools=["public4"], kind="veth")]
    nodes = vm_interfaces(vms, leases)
    assert sorted(nodes) == ["node1", "node2"]
    assert nodes["node1"] == [
        {
            "name": "web1",
            "nic": 0,
            "addresses": ["203.0.113.1", "2001:db8::1"],
            "prefixes": ["2001:db8:ff::/64"],
            "mac": guest_mac("alpha", "web1", 0),
            "kind": "tap",
            "owner": "root",
            "announcement": "announced",
            "keep_mac": True,
            "state": "present",
        }
    ]
    assert nodes["node2"][0]["addresses"] == ["203.0.113.2"]


def test_a_mac_that_is_asked_for_is_not_kept_and_what_runs_a_vm_is_recorded():
    leases = [lease_of("alpha/web1", "public4", "203.0.113.1")]
    vm = vm_of("web1", pools=["public4"], mac="02:00:00:00:00:99", driver="libvirt")
    (interface,) = vm_interfaces([vm], leases)["node1"]
    assert "keep_mac" not in interface and interface["driver"] == "libvirt"


def test_clusters_stand_for_their_declared_vms():
    leases = [lease_of("alpha/web1", "public4", "203.0.113.1")]
    nodes = vm_interfaces(cluster_of("alpha", [vm_of("web1", pools=["public4"])]), leases)
    assert [vm["name"] for vm in nodes["node1"]] == ["web1"]


def test_a_vm_that_has_moved_is_on_the_node_that_holds_its_lease():
    leases = [lease_of("alpha/web1", "public4", "203.0.113.1", holder="node2")]
    assert list(vm_interfaces([vm_of("web1", "node1", pools=["public4"])], leases)) == ["node2"]


def test_a_vm_without_a_lease_is_named():
    with pytest.raises(ValueError, match="no address is leased to alpha/web1 in pool public6"):
        vm_interfaces([vm_of("web1")], [lease_of("alpha/web1", "public4", "203.0.113.1")])


def test_a_vm_that_leaves_needs_no_lease():
    assert vm_interfaces([vm_of("web1")], [], state="absent") == {
        "node1": [{"name": "web1", "nic": 0, "state": "absent"}]
    }


def test_derived_macs_are_the_same_everywhere_unicast_and_locally_administered():
    macs = [gateway_mac("alpha"), gateway_mac("beta"), guest_mac("alpha", "web1", 0), guest_mac("alpha", "web1", 1)]
    assert len(set(macs)) == 4
    assert all(mac.startswith("02:") and len(mac) == 17 for mac in macs)
    assert gateway_mac("alpha") == "02:8e:d3:f6:ad:68"
    assert guest_mac("alpha", "web1", 0) == "02:d5:4c:ec:2d:0a"


def test_of_one_node_alone_no_other_node_s_leases_are_missed():
    vms = [vm_of("web1"), vm_of("web2", "node2")]
    leases = [lease_of("alpha/web1", "public4", "203.0.113.1"), lease_of("alpha/web1", "public6", "2001:db8::1")]
    assert [vm["name"] for vm in vm_interfaces(vms, leases, node="node1")["node1"]] == ["web1"]
    with pytest.raises(ValueError, match="alpha/web2"):
        vm_interfaces(vms, leases, node="node2")
