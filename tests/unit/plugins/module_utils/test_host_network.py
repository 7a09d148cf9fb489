# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between a host and its plan, who manages the host, and which commands lead there and back."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import host_change, host_ifupdown, host_networkd
from ansible_collections.vmcluster.network.plugins.module_utils.host_files import CLOUD_INIT_PATH, Commands, File
from ansible_collections.vmcluster.network.plugins.module_utils.host_network import (
    Found,
    choose_manager,
    make_change,
    new_addresses,
    plan_change,
    plan_differences,
    sysctl_path,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import read_plan
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import Evidence, Kernel, KernelRoute, Link

MAC = "02:00:00:00:00:00"
ETH0 = Link("eth0", mac=MAC, current_mac=MAC, mtu=1500, up=True, carrier=True, physical=True,
            addresses=("192.0.2.11/24", "fe80::1/64"))
BEFORE = Kernel({"eth0": ETH0}, (KernelRoute("0.0.0.0/0", "192.0.2.1", "eth0"),
                                 KernelRoute("192.0.2.0/24", "", "eth0", protocol="kernel")))
AFTER = Kernel(
    {"eth0": ETH0._replace(master="br0", addresses=()),
     "br0": Link("br0", "bridge", MAC, MAC, 1500, True, True, addresses=("192.0.2.11/24", "fe80::1/64"))},
    (KernelRoute("0.0.0.0/0", "192.0.2.1", "br0"),))
BRIDGE = {"name": "br0", "kind": "bridge", "ports": ["eth0"], "addresses": ["192.0.2.11/24"],
          "routes": [{"to": "default", "via": "192.0.2.1"}]}
MAIN = File("source /etc/network/interfaces.d/*\nauto eth0\niface eth0 inet dhcp\n")


def plan_of(*interfaces, sysctls=None):
    nics = {name: link.as_nic() for name, link in BEFORE.links.items()}
    plan, mistakes = read_plan({"interfaces": interfaces, "sysctls": sysctls or {}}, nics)
    assert mistakes == []
    return plan


PLAN = plan_of(BRIDGE)


def found(manager="networkd", kernel=BEFORE, files=None, **evidence):
    return Found(kernel, Evidence(**evidence), manager, files or {})


def changed(host, plan):
    change, mistakes = plan_change(host, plan)
    assert mistakes == []
    return change


@pytest.mark.parametrize(("evidence", "manager"), [
    ({"netplan": {"/etc/netplan/x.yaml": "network: {}"}, "networkd": {"eth0": "configured"}}, "netplan"),
    ({"nm": {"eth0": "connected"}, "networkd": {"eth0": "unmanaged"}}, "nm"),
    ({"nm": {"eth0": "unmanaged"}, "ifupdown": ("lo", "eth0")}, "ifupdown"),
    ({"nm": {"eth0": "connected (externally)"}, "networkd": {"eth0": "configured"}}, "networkd"),
    ({"networkd": {"eth1": "configured"}}, "networkd"),
    ({"ifupdown": ("lo",)}, "ifupdown"),
])
def test_the_manager_is_who_has_the_interfaces(evidence, manager):
    assert choose_manager(Evidence(**evidence), ["eth0", "br0"]) == (manager, "")


@pytest.mark.parametrize(("evidence", "told"), [
    ({"nm": {"eth0": "connected"}, "ifupdown": ("eth1",)}, "eth1 is ifupdown's and eth0 is NetworkManager's"),
    ({"nm": {"eth9": "connected"}, "networkd": {"eth9": "configured"}}, "say it by manager"),
    ({"networkd": {"eth0": "configured", "eth1": "configured"}, "ifupdown": ("lo", "eth0")},
     "eth0 is ifupdown's and eth0, eth1 is systemd-networkd's"),
    ({"netplan": {"/etc/netplan/x.yaml": ""}, "ifupdown": ("eth1",)}, "eth1 is ifupdown's and eth0, eth1 is netplan's"),
    ({}, "none of netplan, NetworkManager, systemd-networkd, ifupdown"),
])
def test_a_manager_that_cannot_be_told_is_asked_for(evidence, told):
    manager, said = choose_manager(Evidence(**evidence), ["eth0", "eth1"])
    assert manager == "" and told in said


def test_a_host_that_has_all_of_the_plan_is_left():
    change = changed(found(kernel=AFTER, files=host_networkd.render(PLAN)), PLAN)
    assert change == ((), {}, ())


def test_a_new_plan_writes_all_its_files_and_touches_all_its_interfaces():
    change = changed(found(), PLAN)
    assert set(change.files) == set(host_networkd.render(PLAN))
    assert change.touched == ("eth0", "br0")


def test_only_what_differs_is_touched():
    more = plan_of({**BRIDGE, "addresses": ["192.0.2.11/24", "192.0.2.12/24"]})
    change = changed(found(kernel=AFTER, files=host_networkd.render(PLAN)), more)
    assert change.touched == ("br0",)
    assert [step.thing for step in change.steps] == ["file /etc/systemd/network/05-vmcluster-br0.network"]


def test_files_that_are_right_do_not_hide_a_kernel_that_is_not():
    kernel = Kernel({**AFTER.links, "br0": AFTER.links["br0"]._replace(addresses=())}, AFTER.routes)
    change = changed(found(kernel=kernel, files=host_networkd.render(PLAN)), PLAN)
    assert (change.files, change.touched) == ({}, ("br0",))
    assert [step.why for step in change.steps] == ["has not 192.0.2.11/24"]


@pytest.mark.parametrize(("name", "changes", "told"), [
    ("eth0", {"master": ""}, "is a port of nothing, not of br0"),
    ("eth0", {"addresses": ("192.0.2.11/24",)}, "has 192.0.2.11/24"),
    ("eth0", {"up": False}, "is down"),
    ("br0", {"current_mac": "02:00:00:00:00:99"}, "MAC address is 02:00:00:00:00:99, not 02:00:00:00:00:00"),
])
def test_a_difference_of_the_kernel_is_told(name, changes, told):
    kernel = Kernel({**AFTER.links, name: AFTER.links[name]._replace(**changes)}, AFTER.routes)
    assert plan_differences(PLAN, kernel, {}) == [(name, told)]


@pytest.mark.parametrize(("interface", "link", "told"), [
    ({"kind": "vlan", "link": "eth0", "id": 7}, {"kind": "vlan", "id": 8, "link": "eth0"}, "is VLAN 8 of eth0, not 7"),
    ({"kind": "bond", "ports": ["eth0"], "mode": "802.3ad"}, {"kind": "bond", "mode": "balance-rr"}, "balance-rr"),
    ({"kind": "bridge"}, {"kind": "bond"}, "is a bond, not a bridge"),
    ({"kind": "bridge", "dhcp4": True}, {"kind": "bridge"}, "has no address by DHCP"),
])
def test_an_interface_that_is_something_else_is_told(interface, link, told):
    plan = plan_of({"name": "x0", **interface})
    kernel = Kernel({**AFTER.links, "x0": Link("x0", up=True, **link)}, AFTER.routes)
    assert told in next(what for name, what in plan_differences(plan, kernel, {}) if name == "x0")


def test_a_route_by_another_interface_is_none():
    kernel = Kernel(AFTER.links, BEFORE.routes)
    assert plan_differences(PLAN, kernel, {}) == [("br0", "has no route to 0.0.0.0/0 by 192.0.2.1")]


def test_a_prefix_that_ends_at_the_host_is_no_route_by_an_interface():
    plan = plan_of({"name": "eth0", "routes": [{"to": "203.0.113.8/29", "unreachable": True}]})
    there = KernelRoute("203.0.113.8/29", unreachable=True)
    assert plan_differences(plan, Kernel({"eth0": ETH0}, (there,)), {}) == []
    led = Kernel({"eth0": ETH0}, (there._replace(dev="eth0", unreachable=False),))
    assert plan_differences(plan, led, {}) == [("eth0", "has no route by which 203.0.113.8/29 is unreachable")]


def test_addresses_in_another_spelling_are_the_same():
    plan = plan_of({"name": "eth0", "addresses": ["2001:DB8:0::1/64"]})
    kernel = Kernel({"eth0": ETH0._replace(addresses=("2001:db8::1/64",))})
    assert plan_differences(plan, kernel, {}) == []


@pytest.mark.parametrize(("key", "path"), [
    ("net.ipv4.conf.br0.rp_filter", "net/ipv4/conf/br0/rp_filter"),
    ("net/ipv4/conf/bond0.100/rp_filter", "net/ipv4/conf/bond0.100/rp_filter"),
    ("net.ipv4.conf.bond0/100.rp_filter", "net/ipv4/conf/bond0.100/rp_filter"),
])
def test_a_sysctls_path_is_found_as_sysctl_d_says(key, path):
    assert sysctl_path(key) == path


def test_only_addresses_that_the_host_has_not_are_new():
    plan = plan_of({**BRIDGE, "addresses": ["192.0.2.11/24", "192.0.2.12/24"]})
    assert new_addresses(plan, BEFORE) == [("br0", "192.0.2.12")]


def test_an_operators_file_tells_only_lines_that_are_set_aside():
    secret = File("iface wlan0 inet dhcp\n    wpa-psk geheim\n" + MAIN.text)
    change = changed(found("ifupdown", files={host_ifupdown.MAIN: secret}, ifupdown=("eth0",)), PLAN)
    told = [line for step in change.steps for line in (*step.before, *step.after)]
    assert "#vmcluster: iface eth0 inet dhcp" in told
    assert not any("geheim" in line for line in told)


CLOUD_FILE = "/etc/network/interfaces.d/50-cloud-init"


def test_cloud_init_no_longer_writes_the_network_where_lines_of_its_own_are_set_aside():
    """It may write its file anew at each boot, and then both the port and the bridge would have the address."""
    files = {host_ifupdown.MAIN: File("source interfaces.d/*\n"), CLOUD_FILE: File("iface eth0 inet dhcp\n")}
    change = changed(found("ifupdown", files=files, ifupdown=("eth0",), cloud_init=True), PLAN)
    assert change.files[CLOUD_INIT_PATH].text.endswith("\nnetwork: {config: disabled}\n")
    assert CLOUD_INIT_PATH not in changed(found("ifupdown", files=files, ifupdown=("eth0",)), PLAN).files
    mine = found("ifupdown", files={host_ifupdown.MAIN: MAIN, CLOUD_FILE: File("iface eth7 inet dhcp\n")},
                 ifupdown=("eth0",), cloud_init=True)
    assert CLOUD_INIT_PATH not in changed(mine, PLAN).files, "nothing of its file is set aside"
    after = {path: file for path, file in {**files, **change.files}.items() if file is not None}
    back = changed(found("ifupdown", kernel=AFTER, files=after, ifupdown=("eth0", "br0"), cloud_init=True), plan_of())
    assert back.files[CLOUD_INIT_PATH] is None and back.files[CLOUD_FILE] == files[CLOUD_FILE]
    again = found("ifupdown", kernel=AFTER, files=after, ifupdown=("eth0", "br0"), cloud_init=True)
    assert changed(again, PLAN).files == {}


def test_the_record_holds_both_ways_and_what_must_be_back():
    host = found(files={"/etc/systemd/network/20-lan.network": File("[Match]\nName=eth0\n")})
    record = make_change("it", host, PLAN, changed(host, PLAN))
    assert record["rollback"]["files"] == dict.fromkeys(record["apply"]["files"])
    assert record["rollback"]["delete"] == ["br0"] and record["apply"]["delete"] == []
    assert record["apply"]["enter"] == [["networkctl", "reload"], ["networkctl", "reconfigure", "eth0"]]
    assert record["state"]["expect"] == ["eth0 there", "eth0 up", "eth0 192.0.2.11/24", "eth0 default 192.0.2.1"]
    assert record["state"]["make"] == []
    assert "route replace 0.0.0.0/0 via 192.0.2.1 onlink dev eth0" in record["state"]["ip"]
    assert record["probe"] == []


def test_the_record_holds_how_interfaces_are_made_again_what_others_stand_on_first():
    links = {"vlan10": Link("vlan10", "vlan", link="bond0", id=10, master="br0", up=True),
             "bond0": Link("bond0", "bond", current_mac="02:00:00:00:00:01", mode="active-backup"),
             "br0": Link("br0", "bridge", current_mac="02:00:00:00:00:01")}
    side = host_change.Side({}, Commands())
    state = host_change.make_record("it", side, side, Commands(), Kernel(links), {*links})["state"]
    assert state["make"] == [
        ["br0", "link add name br0 address 02:00:00:00:00:01 type bridge"],
        ["bond0", "link add name bond0 address 02:00:00:00:00:01 type bond mode active-backup miimon 100"],
        ["vlan10", "link add link bond0 name vlan10 type vlan id 10"]]
    assert state["expect"] == ["vlan10 in br0", "vlan10 up", "bond0 there", "br0 there"]
    assert state["ip"][:2] == ["link set dev vlan10 master br0", "link set dev vlan10 up"]


def test_interfaces_that_leave_the_plan_are_deleted_or_go_back_to_the_operator():
    host = found(kernel=AFTER, files=host_networkd.render(PLAN))
    change = changed(host, plan_of())
    record = make_change("it", host, plan_of(), change)
    assert set(change.files.values()) == {None}
    assert record["apply"]["delete"] == ["br0"]
    assert ["networkctl", "reconfigure", "eth0"] in record["apply"]["enter"]
    assert ["networkctl", "reconfigure", "br0"] not in record["apply"]["enter"]


def test_a_bridge_that_a_vm_hangs_on_is_not_taken_away():
    tap = Link("web1_net0", "tun", master="br0")
    host = found(kernel=Kernel({**AFTER.links, "web1_net0": tap}, AFTER.routes), files=host_networkd.render(PLAN))
    assert "br0 has port web1_net0" in plan_change(host, plan_of())[1][0]
    assert plan_change(host, PLAN)[1] == []


def test_ifupdown_leaves_by_the_old_files_and_enters_by_the_new_ones():
    host = found("ifupdown", files={host_ifupdown.MAIN: MAIN}, ifupdown=("eth0",))
    record = make_change("it", host, PLAN, changed(host, PLAN))
    assert record["apply"]["leave"] == [["ifdown", "--force", "eth0"]]
    assert record["apply"]["enter"] == [["ifup", "eth0"], ["ifup", "br0"]]
    assert record["rollback"]["leave"] == [["ifdown", "--force", "br0"], ["ifdown", "--force", "eth0"]]
    assert record["rollback"]["enter"] == [["ifup", "eth0"]]


def test_ifupdown_takes_down_and_brings_back_more_addresses_of_an_interface_with_it():
    lan = File(MAIN.text + "iface eth0:1 inet static\n    address 192.0.2.2/24\n")
    host = found("ifupdown", files={host_ifupdown.MAIN: lan}, ifupdown=("eth0", "eth0:1"))
    record = make_change("it", host, PLAN, changed(host, PLAN))
    assert record["apply"]["leave"] == [["ifdown", "--force", "eth0:1"], ["ifdown", "--force", "eth0"]]
    assert record["apply"]["enter"] == [["ifup", "eth0"], ["ifup", "br0"]]
    assert record["rollback"]["enter"] == [["ifup", "eth0"], ["ifup", "eth0:1"]]
    there = {host_ifupdown.MAIN: File(host_ifupdown.take_over(lan.text, PLAN.names, host_ifupdown.MAIN)),
             **host_ifupdown.render(PLAN)}
    host = found("ifupdown", kernel=AFTER, files=there, ifupdown=("eth0", "br0"))
    assert make_change("it", host, plan_of(), changed(host, plan_of()))["apply"]["enter"] == [
        ["ifup", "eth0"], ["ifup", "eth0:1"]]


def test_ifupdown_ends_routes_that_no_interface_takes_with_it():
    ending = plan_of({**BRIDGE, "routes": [*BRIDGE["routes"], {"to": "203.0.113.8/29", "unreachable": True}]})
    there = {host_ifupdown.MAIN: File(host_ifupdown.take_over(MAIN.text, PLAN.names, host_ifupdown.MAIN)),
             **host_ifupdown.render(ending)}
    host = found("ifupdown", kernel=AFTER, files=there, ifupdown=("eth0", "br0"))
    record = make_change("it", host, PLAN, changed(host, PLAN))
    assert ["ip", "-4", "route", "del", "unreachable", "203.0.113.8/29"] in record["apply"]["leave"]
    assert ["ifup", "--force", "br0"] in record["rollback"]["enter"], "which sets it again"


def test_ifupdown_changes_a_bridge_in_place_for_vms_hang_on_it():
    there = {host_ifupdown.MAIN: File(host_ifupdown.take_over(MAIN.text, PLAN.names, host_ifupdown.MAIN)),
             **host_ifupdown.render(PLAN)}
    more = plan_of({**BRIDGE, "addresses": ["192.0.2.11/24", "192.0.2.12/24"]})
    host = found("ifupdown", kernel=AFTER, files=there, ifupdown=("eth0", "br0"))
    record = make_change("it", host, more, changed(host, more))
    flush = ["ip", "addr", "flush", "dev", "br0", "scope", "global"]
    for side in ("apply", "rollback"):
        assert record[side]["leave"] == [flush]
        assert record[side]["enter"] == [["ifup", "--force", "br0"]]
