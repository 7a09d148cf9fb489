# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a host's interfaces, and which NIC is proposed as the main one."""

import json

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.host_interfaces import (
    Hardware,
    describe_interfaces,
    find_nics,
    parse_neighbours,
    propose_nics,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import Connection
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import (
    Kernel,
    KernelRoute,
    Link,
    parse_link,
    parse_route,
)

ETH0 = Link("eth0", mac="02:00:00:00:00:00", up=True, physical=True, pci="0000:01:00.0", master="br0")
ETH1 = Link("eth1", mac="02:00:00:00:00:01", up=True, carrier=True, physical=True)
BR0 = Link("br0", "bridge", up=True, carrier=True, addresses=("192.0.2.11/24", "fe80::1/64"))
LO = Link("lo")


def kernel(*links, default=""):
    routes = (KernelRoute("0.0.0.0/0", "192.0.2.1", default),) if default else ()
    return Kernel({link.name: link for link in links}, routes)


@pytest.mark.parametrize(("host", "connection", "main", "why"), [
    (kernel(ETH0, ETH1, BR0, default="br0"), None, ["eth0"], "the default route goes by br0"),
    (kernel(ETH0, ETH1, BR0), Connection("192.0.2.9", "192.0.2.11"), ["eth0"], "Ansible's connection comes by br0"),
    (kernel(ETH0, ETH1, BR0), None, ["eth1"], "no other has carrier"),
    (kernel(ETH0._replace(carrier=True), ETH1), None, [], "it cannot be told"),
])
def test_the_main_nic_is_the_one_that_leads_out(host, connection, main, why):
    proposal = propose_nics(host, connection)
    assert proposal["main"] == main
    assert proposal["why"].startswith(why)
    assert sorted(proposal["main"] + proposal["additional"]) == ["eth0", "eth1"]


def test_nics_are_found_below_bridges_vlans_and_bonds():
    host = kernel(ETH0._replace(master="bond0"), ETH1._replace(master="bond0"), Link("bond0", "bond"),
                  Link("bond0.7", "vlan", link="bond0", master="br0"), BR0)
    assert find_nics(host, "br0") == ["eth0", "eth1"]


def test_an_interface_is_told_with_all_that_hangs_together():
    told = describe_interfaces(kernel(LO, BR0, ETH0, default="br0"), {"eth0": Hardware("ixgbe", 10000)},
                               {"eth0": {"system": "sw1", "port": "Gi0/1", "description": ""}})
    assert [each["name"] for each in told] == ["eth0", "br0"]
    nic, bridge = told
    assert (nic["driver"], nic["speed"], nic["pci"], nic["master"]) == ("ixgbe", 10000, "0000:01:00.0", "br0")
    assert nic["lldp"]["system"] == "sw1"
    assert (bridge["ports"], bridge["gateways"], bridge["lldp"]) == (["eth0"], ["192.0.2.1"], None)


def test_lldp_neighbours_are_read():
    shown = {"lldp": [{"interface": [{
        "name": "eth0", "chassis": [{"id": [{"type": "mac", "value": "02:00:00:00:00:99"}],
                                     "name": [{"value": "sw1"}]}],
        "port": [{"id": [{"type": "ifname", "value": "Gi0/1"}], "descr": [{"value": "rack 7"}]}]}]}]}
    assert parse_neighbours(json.dumps(shown)) == {
        "eth0": {"system": "sw1", "port": "Gi0/1", "description": "rack 7"}}


@pytest.mark.parametrize("shown", ["", "{}", '{"lldp": [{}]}', "lldpcli: no such file"])
def test_without_lldpd_there_are_no_neighbours(shown):
    assert parse_neighbours(shown) == {}


def test_a_nic_in_a_bond_is_known_by_the_address_it_was_built_with():
    entry = {"ifname": "eth1", "address": "02:00:00:00:00:00", "permaddr": "02:00:00:00:00:01", "flags": ["UP"]}
    assert (parse_link(entry).mac, parse_link(entry).current_mac) == ("02:00:00:00:00:01", "02:00:00:00:00:00")


def test_the_end_of_a_pair_is_a_nic_in_a_container_and_nowhere_else():
    entry = {"ifname": "eth0", "linkinfo": {"info_kind": "veth"}, "link_netnsid": 0}
    assert parse_link(entry, contained=True).physical and not parse_link(entry).physical


def test_routes_have_prefixes():
    assert parse_route({"dst": "default", "gateway": "fe80::1", "dev": "eth0", "metric": 1024}, "ipv6") == KernelRoute(
        "::/0", "fe80::1", "eth0", 1024)
    assert parse_route({"dst": "192.0.2.7", "dev": "eth0"}, "ipv4").to == "192.0.2.7/32"
