# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a host's network: what it means, and that all its mistakes are told together."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import Connection, Nic, read_plan

NICS = {
    "eth0": Nic("eth0", "02:00:00:00:00:00", "0000:01:00.0", True),
    "eth1": Nic("eth1", "02:00:00:00:00:01", "0000:01:00.1", True),
    "eth2": Nic("eth2", "02:00:00:00:00:02", "", True, master="br9"),
    "br9": Nic("br9", "02:00:00:00:00:02"),
}
BRIDGE = {"name": "br0", "kind": "bridge", "ports": ["eth0"], "addresses": ["192.0.2.11/24"],
          "routes": [{"to": "default", "via": "192.0.2.1"}]}


def read(*interfaces, sysctls=None, nics=None, connection=None, stays=None):
    return read_plan({"interfaces": interfaces, "sysctls": sysctls or {}}, nics or NICS, connection, stays)


def mistakes_of(*interfaces, **options):
    return read(*interfaces, **options)[1]


def test_a_port_that_only_a_bridge_names_is_added_and_the_bridge_has_its_mac_address():
    plan, mistakes = read(BRIDGE)
    assert mistakes == []
    assert [(each.name, each.kind, each.master, each.mac) for each in plan.interfaces] == [
        ("eth0", "port", "br0", ""), ("br0", "bridge", "", "02:00:00:00:00:00")]
    assert plan.made == ("br0",)


def test_a_port_that_only_a_bridge_names_has_the_bridges_mtu():
    """Otherwise the bridge would drop what is larger, without a word."""
    plan, mistakes = read({**BRIDGE, "mtu": 9000})
    assert mistakes == [] and [each.mtu for each in plan.interfaces] == [9000, 9000]


@pytest.mark.parametrize("key", [
    "net.ipv4.conf.eth1.arp_ignore", "net.ipv4.conf.02:00:00:00:00:01.arp_ignore",
    "net/ipv4/conf/0000:01:00.1/arp_ignore"])
def test_a_sysctl_of_a_nic_is_written_by_its_name_however_that_was_said(key):
    plan, mistakes = read({"name": "eth1"}, sysctls={key: 8})
    assert mistakes == []
    assert {name.replace("/", "."): value for name, value in plan.sysctls.items()} == {
        "net.ipv4.conf.eth1.arp_ignore": "8"}


@pytest.mark.parametrize("said", ["eth1", "02:00:00:00:00:01", "02:00:00:00:00:01".upper(), "0000:01:00.1", "01:00.1"])
def test_a_nic_may_be_named_by_name_mac_address_or_pci_path(said):
    plan, mistakes = read({"name": said}, {**BRIDGE, "ports": [said]})
    assert mistakes == []
    assert plan.names == ("eth1", "br0")


def test_interfaces_are_in_the_order_in_which_they_can_be_made():
    plan, _mistakes = read(
        {"name": "br0", "kind": "bridge", "ports": ["bond0.7"]}, {"name": "bond0.7", "kind": "vlan", "link": "bond0",
                                                                  "id": 7},
        {"name": "bond0", "kind": "bond", "ports": ["eth0", "eth1"]})
    assert plan.names == ("eth0", "eth1", "bond0", "bond0.7", "br0")


def test_the_mac_address_of_a_bridge_does_not_depend_on_whether_its_vlan_is_there_already():
    interfaces = ({"name": "br0", "kind": "bridge", "ports": ["eth0.7"]},
                  {"name": "eth0.7", "kind": "vlan", "link": "eth0", "id": 7})
    there = {**NICS, "eth0.7": Nic("eth0.7", "02:00:00:00:00:77", link="eth0")}
    assert read(*interfaces) == read(*interfaces, nics=there)


def test_a_bridge_on_a_vlan_of_a_bond_and_the_bond_have_the_mac_address_of_the_bonds_first_nic():
    plan, mistakes = read(
        {"name": "br0", "kind": "bridge", "ports": ["bond0.7"]}, {"name": "bond0.7", "kind": "vlan", "link": "bond0",
                                                                  "id": 7},
        {"name": "bond0", "kind": "bond", "ports": ["eth1", "eth0"]})
    assert mistakes == []
    assert {each.name: each.mac for each in plan.interfaces} == {
        "eth0": "", "eth1": "", "bond0": "02:00:00:00:00:01", "bond0.7": "", "br0": "02:00:00:00:00:01"}


@pytest.mark.parametrize(("interfaces", "told"), [
    ([{"name": "eth7"}], "the host has no such NIC; it has eth0, eth1, eth2"),
    ([{"name": "02:00:00:00:00:99"}], "no NIC, or more than one, has this MAC address"),
    ([BRIDGE, {**BRIDGE, "name": "br1", "addresses": [], "routes": []}], "eth0 is a port of br0 already"),
    ([BRIDGE, {"name": "br1", "kind": "bridge", "addresses": ["192.0.2.11/25"]}], "192.0.2.11 is on br1 too"),
    ([BRIDGE, {"name": "eth0", "addresses": ["192.0.2.12/24"]}], "is a port of br0, so addresses and routes belong"),
    ([BRIDGE, BRIDGE], "br0 is there twice"),
    ([{"name": "eth0", "ports": ["eth1"]}], "a port has no ports"),
    ([{"name": "eth0", "kind": "bridge"}], "is a NIC of the host, no bridge"),
    ([{"name": "bond0", "kind": "bond"}], "a bond has ports"),
    ([{"name": "v", "kind": "vlan", "link": "eth0", "id": 4095}], "an id from 1 to 4094"),
    ([{"name": "v", "kind": "vlan", "link": "eth9", "id": 4}], "there is no interface eth9"),
    ([{"name": "br0", "kind": "bridge", "ports": ["eth2"]}], "eth2 is a port of br9, which is not in the plan"),
    ([{"name": "a-very-long-name", "kind": "bridge"}], "at most 15"),
    ([{"name": "eth0", "addresses": ["192.0.2.11"]}], "has no prefix length"),
    ([{"name": "eth0", "addresses": ["192.0.2.300/24"]}], "192.0.2.300"),
    ([{"name": "eth0", "mtu": 90}], "mtu 90"),
    ([{"name": "eth0", "mtu": 1500}, {**BRIDGE, "mtu": 9000}], "br0: mtu 9000 is greater than 1500 of eth0"),
    ([{"name": "eth0", "mtu": 1500}, {"name": "v", "kind": "vlan", "link": "eth0", "id": 4, "mtu": 9000}],
     "v: mtu 9000 is greater than 1500 of eth0"),
    ([{**BRIDGE, "routes": [{"to": "198.51.100.0/24", "via": "192.0.2.1", "unreachable": True}]}],
     "neither via nor source"),
    ([{"name": "eth0", "mac": "02:00"}], "is no MAC address"),
    ([{**BRIDGE, "routes": [{"to": "default", "via": "198.51.100.1"}]}], "is in none of its subnets"),
    ([{**BRIDGE, "routes": [{"to": "default", "via": "192.0.2.11"}]}], "is the host's own address"),
    ([{**BRIDGE, "routes": [{"to": "default"}]}], "a default route needs a gateway"),
    ([{**BRIDGE, "routes": [{"to": "2001:db8::/64", "via": "192.0.2.1"}]}], "two families"),
    ([{**BRIDGE, "routes": [{"to": "198.51.100.1/24", "via": "192.0.2.1"}]}], "host bits"),
    ([{**BRIDGE, "routes": [{"to": "default", "via": "192.0.2.1", "source": "192.0.2.9"}]}], "no address of the plan"),
])
def test_a_mistake_is_told(interfaces, told):
    assert any(told in mistake for mistake in mistakes_of(*interfaces)), mistakes_of(*interfaces)


def test_all_mistakes_are_told_together():
    assert len(mistakes_of({"name": "eth7"}, {"name": "eth0", "mtu": 1}, sysctls={"kernel.panic": 1})) == 3


@pytest.mark.parametrize("route", [{"to": "default", "via": "198.51.100.1", "on_link": True},
                                   {"to": "default", "via": "fe80::1"}])
def test_a_gateway_outside_the_subnets_is_taken_when_it_is_on_the_link(route):
    assert mistakes_of({**BRIDGE, "routes": [route]}) == []


def test_what_stands_on_a_nic_of_the_plan_has_to_be_in_it_too():
    nics = {**NICS, "eth0.5": Nic("eth0.5", link="eth0")}
    assert "eth0.5 stands on it" in mistakes_of(BRIDGE, nics=nics)[0]
    listed = {"name": "eth0.5", "kind": "vlan", "link": "eth0", "id": 5}
    assert mistakes_of(BRIDGE, listed, nics=nics) == []


def test_an_address_that_another_interface_would_keep_is_refused():
    assert "list eth1 without it" in mistakes_of(BRIDGE, stays={"eth1": ("192.0.2.11/24",)})[0]


@pytest.mark.parametrize(("client", "server", "stays", "told"), [
    ("192.0.2.99", "192.0.2.11", {}, ""),
    ("198.51.100.9", "192.0.2.11", {}, ""),  # by the default route
    ("192.0.2.99", "192.0.2.12", {}, "leaves on no interface"),
    ("198.51.100.9", "203.0.113.1", {"eth1": ("203.0.113.1/24",)}, ""),  # by an interface that is not touched
    ("127.0.0.1", "127.0.0.1", {}, ""),
    ("2001:db8::9", "2001:db8::1", {}, "leaves on no interface"),
])
def test_a_plan_that_would_cut_ansibles_connection_is_refused(client, server, stays, told):
    mistakes = mistakes_of(BRIDGE, connection=Connection(client, server), stays=stays)
    assert (told in mistakes[0]) if told else mistakes == []


def test_a_plan_without_a_way_back_to_the_controller_is_refused():
    local = {**BRIDGE, "routes": []}
    assert mistakes_of(local, connection=Connection("192.0.2.99", "192.0.2.11")) == []
    assert "has no route" in mistakes_of(local, connection=Connection("198.51.100.9", "192.0.2.11"))[0]


def test_with_dhcp_the_connections_address_may_come_from_there():
    dynamic = {"name": "br0", "kind": "bridge", "ports": ["eth0"], "dhcp4": True}
    assert mistakes_of(dynamic, connection=Connection("198.51.100.9", "192.0.2.11")) == []
