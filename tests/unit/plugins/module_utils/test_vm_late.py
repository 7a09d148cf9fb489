# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces of VMs on a bridge, and those that the kernel alone has routes to. Dumps are as `ip -N -j` prints them."""

import json

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import vm_boot, vm_recipe
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import (
    Found,
    check_bridges,
    check_found,
    plan_interfaces,
    plan_records,
    plan_routes,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface_read import (
    parse_kernel_routes,
    parse_links,
    parse_neighbours,
    parse_proxies,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import bridged_mac, check_wanted

GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:56:4d:12:34:56"}
ENTRY = {"name": "web1", "nic": 0, "state": "present", "addresses": ["203.0.113.10", "2001:db8:1::10"], "prefixes": [],
         "mac": "02:00:00:00:00:10", "kind": "tap", "owner": None, "multi_queue": False, "mtu": None, "sysctls": {},
         "announcement": "announced"}
BRIDGE = {"ifname": "br0", "flags": ["UP", "LOWER_UP"], "mtu": 1500, "group": "0", "address": "52:54:00:00:00:09",
          "linkinfo": {"info_kind": "bridge"}}
TAP = {"ifname": "web1_net0", "flags": ["UP", "LOWER_UP"], "mtu": 1500, "group": "770", "ifalias": "vmcluster:web1/0",
       "linkinfo": {"info_kind": "tun", "info_data": {"type": "tap", "persist": True, "user": "root"}}}


def wanted(options=(), **entry):
    given = {"gateway": GATEWAY, "mtu": 1500, "owner": "root", "sysctls": {}, **dict(options)}
    return check_wanted({**given, "vms": [{**ENTRY, **entry}]}, {"root": 0})


def bridged(**entry):
    return wanted({"gateway": None}, bridge="br0", **entry)[0]


def routed(options=(), **entry):
    return wanted({"routes": "kernel", **dict(options)}, **entry)[0]


def bridged_node(**tap):
    links = [BRIDGE, {**TAP, "address": "fe:00:00:00:00:10", "master": "br0", **tap}]
    (vm,) = bridged().present
    return Found(parse_links(links), {}, {}, vm_recipe.sysctls_of(vm), {vm.interface: vm_recipe.record_text(vm)},
                 users={"0": "root"})


def routed_node(vm, routes=None, proxies=()):
    """What the node has after the VM was attached."""
    there = [{"dst": "203.0.113.10", "dev": "web1_net0"}, {"dst": "2001:db8:1::10", "dev": "web1_net0"}]
    return Found(
        parse_links([{**TAP, "address": GATEWAY["mac"], "inet6_addr_gen_mode": "none"}]),
        {"web1_net0": frozenset({"10.255.255.1/32", "fe80::1/64"})},
        parse_neighbours([{"dst": each, "dev": "web1_net0", "lladdr": vm.mac} for each in vm.addresses]),
        vm_recipe.sysctls_of(vm), {vm.interface: vm_recipe.record_text(vm)}, users={"0": "root"},
        kernel_routes=parse_kernel_routes(there if routes is None else routes), proxies=parse_proxies(proxies))


def commands(found, asked, purge=False):
    return [command for step in plan_interfaces(found, asked, purge) for command in step.commands]


def test_a_bridged_interface_is_a_port_with_no_address_no_neighbour_and_no_ipv6():
    assert commands(Found(parse_links([BRIDGE]), {}, {}, {}, {}), bridged()) == [
        "create tuntap add dev web1_net0 mode tap user 0",
        "create link set dev web1_net0 address fe:00:00:00:00:10",
        "sysctl net/ipv6/conf/web1_net0/disable_ipv6 1",
        "configure link set dev web1_net0 address fe:00:00:00:00:10 mtu 1500 group 770 alias vmcluster:web1/0",
        "configure link set dev web1_net0 up",
        "configure link set dev web1_net0 master br0",
    ]


def test_a_bridged_or_kernel_routed_vm_has_no_route_of_frr():
    nothing = Found({}, {}, {}, {}, {})
    assert plan_routes(nothing, bridged()) == ((), ())
    assert plan_routes(nothing, routed()) == ((), ())


def test_an_interface_that_is_as_wanted_is_left_alone():
    assert commands(bridged_node(), bridged()) == []
    asked = routed()
    assert commands(routed_node(asked.present[0]), asked) == []


@pytest.mark.parametrize("master", [None, "br9"])
def test_an_interface_that_has_left_its_bridge_is_put_back(master):
    assert commands(bridged_node(master=master), bridged()) == ["configure link set dev web1_net0 master br0"]


def test_what_needs_the_bridge_is_in_the_record_apart_from_what_the_boot_unit_does_before_the_network():
    (step,) = plan_records(Found({}, {}, {}, {}, {}), bridged())
    record = json.loads(step.commands[0].partition(" ")[2])
    assert record["late"] == {"br0": ["link set dev web1_net0 master br0"]}
    assert record["addresses"] == ["203.0.113.10", "2001:db8:1::10"]
    assert not [line for line in record["create"] + record["configure"] if "br0" in line]


def test_a_record_of_an_ip_fabric_has_nothing_of_bridges_and_kernel_routes():
    (vm,) = wanted()[0].present
    assert {"bridge", "routes", "late"}.isdisjoint(json.loads(vm_recipe.record_text(vm)))


def test_a_missing_bridge_is_named():
    assert check_bridges(bridged_node(), bridged()) == []
    (said,) = check_bridges(Found({}, {}, {}, {}, {}), bridged())
    assert "there is no bridge br0" in said
    bond = {**BRIDGE, "linkinfo": {"info_kind": "bond"}}
    (said,) = check_bridges(Found(parse_links([bond]), {}, {}, {}, {}), bridged())
    assert "there is no bridge br0" in said


def test_a_port_of_a_bridge_is_refused_where_no_bridge_is_asked_for():
    (said,) = check_found(bridged_node(), wanted()[0], False)
    assert "is a port of br0" in said


def test_no_guest_has_the_mac_of_the_node_side():
    assert bridged_mac("02:00:00:00:00:10") == "fe:00:00:00:00:10"
    assert bridged_mac("fe:00:00:00:00:10") == "fa:00:00:00:00:10"


def test_kernel_routes_come_after_the_interface_is_up():
    lines = commands(Found({}, {}, {}, {}, {}), routed(prefixes=["203.0.113.64/28"]))
    assert lines[-4:] == [
        "configure link set dev web1_net0 up",
        "configure route replace 203.0.113.10/32 dev web1_net0 proto 77",
        "configure route replace 2001:db8:1::10/128 dev web1_net0 proto 77",
        "configure route replace 203.0.113.64/28 via 203.0.113.10 onlink dev web1_net0 proto 77",
    ]


def test_a_kernel_route_that_is_missing_comes_and_one_that_is_not_the_vms_goes():
    asked = routed()
    routes = [{"dst": "203.0.113.10", "dev": "web1_net0"}, {"dst": "203.0.113.99", "dev": "web1_net0"}]
    assert commands(routed_node(asked.present[0], routes), asked) == [
        "configure route replace 2001:db8:1::10/128 dev web1_net0 proto 77",
        "configure route del 203.0.113.99/32 dev web1_net0",
    ]


def test_proxy_ndp_is_for_ipv6_addresses_alone_and_ends_with_the_vm():
    asked = routed({"proxy_ndp": "eth0"})
    (vm,) = asked.present
    assert vm_recipe.late_lines(vm) == {"eth0": ["neigh replace proxy 2001:db8:1::10 dev eth0"]}
    assert commands(routed_node(vm), asked) == ["configure neigh replace proxy 2001:db8:1::10 dev eth0"]
    proxies = [{"dst": "2001:db8:1::10", "dev": "eth0", "proxy": None}, {"dst": "2001:db8::99", "dev": "eth0"}]
    assert commands(routed_node(vm, proxies=proxies), asked) == []
    gone = asked._replace(present=(), absent=(("web1", 0),))
    assert commands(routed_node(vm, proxies=proxies), gone) == [
        "delete web1_net0", "configure neigh del proxy 2001:db8:1::10 dev eth0"]


def test_a_vm_with_another_address_is_not_answered_for_any_more():
    (before,) = routed({"proxy_ndp": "eth0"}).present
    proxies = [{"dst": "2001:db8:1::10", "dev": "eth0", "proxy": None}]
    lines = commands(routed_node(before, proxies=proxies), routed({"proxy_ndp": "eth0"}, addresses=["2001:db8:1::11"]))
    assert "configure neigh replace proxy 2001:db8:1::11 dev eth0" in lines
    assert "configure neigh del proxy 2001:db8:1::10 dev eth0" in lines


@pytest.mark.parametrize(("options", "entry", "said"), [
    ({"gateway": None}, {"bridge": "a/b"}, "vms[0].bridge: 'a/b' is no interface's name"),
    ({}, {"bridge": "br0", "prefixes": ["203.0.113.64/28"]}, "vms[0].prefixes: nothing is routed through a VM"),
    ({}, {"bridge": "br0", "announcement": "withdrawn"}, "vms[0].announcement: withdrawn is for routes of FRR"),
    ({"routes": "kernel"}, {"announcement": "withdrawn"}, "vms[0].announcement: withdrawn is for routes of FRR"),
    ({"proxy_ndp": "eth0"}, {}, "vms[0].addresses: proxy_ndp is for routes of the kernel"),
    ({"routes": "kernel", "proxy_ndp": "eth0"}, {"prefixes": ["2001:db8:2::/64"]}, "vms[0].prefixes: proxy_ndp"),
    ({"gateway": None, "routes": "kernel"}, {}, "vms[0]: gateway is missing"),
])
def test_what_contradicts_itself_is_refused(options, entry, said):
    assert any(each.startswith(said) for each in wanted(options, **entry)[1])


def test_a_bridged_vm_needs_no_address():
    assert wanted({"gateway": None}, bridge="br0", addresses=[])[1] == []


def test_the_unit_behind_the_network_is_installed_only_where_something_needs_it():
    found = vm_boot.FoundBoot(systemd=True, python="/usr/bin/python3")
    assert vm_boot.LATE_UNIT_PATH not in str(vm_boot.plan_boot(found))
    things = [step.thing for step in vm_boot.plan_boot(found, late=True)]
    units = [f"unit {vm_boot.UNIT_NAME}", f"unit {vm_boot.LATE_UNIT_NAME}"]
    assert things[-3:] == [f"file {vm_boot.LATE_UNIT_PATH}", *units]
    there = found._replace(script=vm_boot.script_text(found.python), unit=vm_boot.UNIT, enabled=True,
                           late_unit=vm_boot.LATE_UNIT, late_enabled=True)
    assert vm_boot.plan_boot(there, late=True) == ()
