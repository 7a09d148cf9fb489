# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for VM interfaces. What a node has is data as `ip -N -j` prints it (iproute2 6.1)."""

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import vm_recipe
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import (
    Found,
    check_found,
    plan_interfaces,
    plan_records,
    plan_routes,
    unwanted_interfaces,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface_read import (
    kernel_has_altnames,
    parse_addresses,
    parse_links,
    parse_neighbours,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import Gateway, Vm, Wanted

GATEWAY = Gateway("10.255.255.1", "fe80::1", "02:56:4d:12:34:56")
WEB1 = Vm("web1", 0, "web1_net0", None, "tap", 0, False, ("203.0.113.10", "2001:db8:1::10"), (), "02:00:00:00:00:10",
          1500, (), "announced", GATEWAY)
LONG = Vm("a-very-long-name-of-vm", 0, "a-v-eflotf_net0", "a-very-long-name-of-vm_net0", "veth", 0, False,
          ("203.0.113.11", "2001:db8:1::11"), ("203.0.113.64/28", "2001:db8:2::/64"), "02:00:00:00:00:11", 1500, (),
          "announced", GATEWAY)
BOTH = Wanted((WEB1, LONG), ())

LINKS = [
    {"ifindex": 1, "ifname": "lo", "flags": ["LOOPBACK", "UP", "LOWER_UP"], "mtu": 65536, "group": "0",
     "address": "00:00:00:00:00:00", "inet6_addr_gen_mode": "eui64"},
    {"ifindex": 2, "link_index": 3, "ifname": "eth0", "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
     "mtu": 1500, "group": "0", "address": "52:54:00:00:00:02", "link_netnsid": 0, "linkinfo": {"info_kind": "veth"},
     "inet6_addr_gen_mode": "eui64"},
    {"ifindex": 3, "ifname": "web1_net0", "flags": ["NO-CARRIER", "BROADCAST", "MULTICAST", "UP"], "mtu": 1500,
     "group": "770", "address": "02:56:4d:12:34:56", "inet6_addr_gen_mode": "none", "ifalias": "vmcluster:web1/0",
     "linkinfo": {"info_kind": "tun", "info_data": {
         "type": "tap", "pi": False, "vnet_hdr": False, "multi_queue": False, "persist": True, "user": "root"}}},
    {"ifindex": 4, "link": "a-v-eflotf_net0", "ifname": "a-v-eflotf_vm0", "flags": ["BROADCAST", "MULTICAST"],
     "mtu": 1500, "group": "0", "address": "02:00:00:00:00:11", "linkinfo": {"info_kind": "veth"},
     "inet6_addr_gen_mode": "eui64"},
    {"ifindex": 5, "link": "a-v-eflotf_vm0", "ifname": "a-v-eflotf_net0",
     "flags": ["NO-CARRIER", "BROADCAST", "MULTICAST", "UP", "M-DOWN"], "mtu": 1500, "group": "770",
     "address": "02:56:4d:12:34:56", "linkinfo": {"info_kind": "veth"}, "inet6_addr_gen_mode": "none",
     "ifalias": "vmcluster:a-very-long-name-of-vm/0", "altnames": ["a-very-long-name-of-vm_net0"]},
    {"ifindex": 9, "ifname": "br0", "flags": ["BROADCAST", "MULTICAST", "UP"], "mtu": 1500, "group": "0",
     "address": "52:54:00:00:00:09", "linkinfo": {"info_kind": "bridge", "info_data": {"forward_delay": 1500}}},
]
GATEWAY_INFO = [{"family": "inet", "local": "10.255.255.1", "prefixlen": 32, "scope": "0", "noprefixroute": True},
                {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "253", "nodad": True}]
ADDRESSES = [
    {"ifname": "eth0", "addr_info": [{"family": "inet", "local": "10.20.0.11", "prefixlen": 24}]},
    {"ifname": "web1_net0", "addr_info": GATEWAY_INFO},
    {"ifname": "a-v-eflotf_net0", "addr_info": GATEWAY_INFO},
    {},
]
NEIGHBOURS = [{"dst": address, "dev": vm.interface, "lladdr": vm.mac, "state": ["PERMANENT"]}
              for vm in BOTH.present for address in vm.addresses]
ROUTES = (
    "ip route 192.0.2.0/24 blackhole",
    "ip route 203.0.113.10/32 web1_net0 tag 770",
    "ip route 203.0.113.11/32 a-v-eflotf_net0 tag 770",
    "ip route 203.0.113.64/28 203.0.113.11 a-v-eflotf_net0 tag 770 onlink",
    "ipv6 route 2001:db8:1::10/128 web1_net0 tag 770",
    "ipv6 route 2001:db8:1::11/128 a-v-eflotf_net0 tag 770",
    "ipv6 route 2001:db8:2::/64 2001:db8:1::11 a-v-eflotf_net0 tag 770 onlink",
)
BARE = Found({"lo": parse_links(LINKS)["lo"]}, {}, {}, {}, {})


def found(links=(), addresses=None, neighbours=None, routes=ROUTES, sysctls=(), **options):
    """What the node has after both VMs were attached; links: changed keys by interface."""
    changes = dict(links)
    dump = [{**link, **changes.get(link["ifname"], {})} for link in LINKS]
    values = {path: value for vm in BOTH.present for path, value in vm_recipe.sysctls_of(vm).items()}
    return Found(
        parse_links(dump), parse_addresses(ADDRESSES if addresses is None else addresses),
        parse_neighbours(NEIGHBOURS if neighbours is None else neighbours), {**values, **dict(sysctls)},
        options.pop("records", {vm.interface: vm_recipe.record_text(vm) for vm in BOTH.present}), routes,
        {"0": "root"}, **options)


def commands(steps):
    return [command for step in steps for command in step.commands]


def plan_all(node, wanted=BOTH, purge=False):
    routes, foreign = plan_routes(node, wanted, purge)
    assert foreign == ()
    return (*plan_records(node, wanted, purge), *plan_interfaces(node, wanted, purge), *routes)


def test_what_was_made_needs_nothing_more():
    assert plan_all(found()) == ()
    assert plan_all(found(), purge=True) == ()


def test_a_new_tap_is_made_by_one_recipe_that_its_record_holds_too():
    wanted = Wanted((WEB1,), ())
    record = vm_recipe.parse_record(vm_recipe.record_text(WEB1))
    (step,) = plan_interfaces(BARE, wanted)
    assert step.why == "web1 has no interface"
    assert [each[7:] for each in step.commands if each.startswith("create ")] == record["create"]
    assert [each[10:] for each in step.commands if each.startswith("configure ")] == record["configure"]
    assert {each[7:] for each in step.commands if each.startswith("sysctl ")} == {
        f"{path} {value}" for path, value in record["sysctls"].items()}
    assert record["create"] == ["tuntap add dev web1_net0 mode tap user 0",
                                "link set dev web1_net0 address 02:56:4d:12:34:56"]
    assert record["configure"][-1] == "link set dev web1_net0 up"


def test_a_veth_pair_has_the_gateways_mac_here_and_the_vms_there():
    assert vm_recipe.create_lines(LONG) == (
        "link add dev a-v-eflotf_net0 mtu 1500 address 02:56:4d:12:34:56 type veth"
        " peer name a-v-eflotf_vm0 mtu 1500 address 02:00:00:00:00:11",
        "link property add dev a-v-eflotf_net0 altname a-very-long-name-of-vm_net0")


def test_a_kernel_without_altnames_gets_none():
    node = BARE._replace(altnames_work=False)
    assert not [each for each in commands(plan_interfaces(node, Wanted((LONG,), ()))) if "altname" in each]
    plain = found({"a-v-eflotf_net0": {"altnames": []}}, altnames_work=False)
    assert plan_interfaces(plain, BOTH) == ()


@pytest.mark.parametrize(
    ("release", "has"),
    [("6.1.0-30-amd64", True), ("5.5.0", True), ("5.4.0-200-generic", False), ("4.18.0-553.el8_10.x86_64", True)])
def test_altnames_came_with_linux_5_5_and_to_el_8(release, has):
    assert kernel_has_altnames(release) is has


@pytest.mark.parametrize(
    ("links", "why", "command"),
    [
        ({"mtu": 1400}, "web1: MTU", "configure link set dev web1_net0 mtu 1500"),
        ({"group": "0"}, "web1: group", "configure link set dev web1_net0 group 770"),
        ({"ifalias": "x"}, "web1: alias", "configure link set dev web1_net0 alias vmcluster:web1/0"),
        ({"inet6_addr_gen_mode": "eui64"}, "web1: addrgenmode", "configure link set dev web1_net0 addrgenmode none"),
        ({"flags": ["BROADCAST"]}, "web1: is down", "configure link set dev web1_net0 up"),
    ])
def test_what_differs_is_repaired_and_nothing_else(links, why, command):
    (step,) = plan_interfaces(found({"web1_net0": links}), BOTH)
    assert (step.why, step.commands) == (why, (command,))


def test_a_wrong_mac_is_repaired_and_the_neighbours_which_that_drops():
    (step,) = plan_interfaces(found({"web1_net0": {"address": "52:54:00:aa:bb:cc"}}), BOTH)
    assert step.commands == (
        "configure link set dev web1_net0 address 02:56:4d:12:34:56",
        "configure neigh replace 203.0.113.10 lladdr 02:00:00:00:00:10 dev web1_net0 nud permanent",
        "configure neigh replace 2001:db8:1::10 lladdr 02:00:00:00:00:10 dev web1_net0 nud permanent")
    assert (step.before, step.after) == (("MAC 52:54:00:aa:bb:cc",), ("MAC 02:56:4d:12:34:56",))


def test_a_wrong_neighbour_is_repaired_and_a_stale_one_goes():
    wrong = [{**NEIGHBOURS[0], "lladdr": "02:00:00:00:00:99"}, *NEIGHBOURS[1:],
             {"dst": "203.0.113.99", "dev": "web1_net0", "lladdr": "02:00:00:00:00:10"}]
    (step,) = plan_interfaces(found(neighbours=wrong), BOTH)
    assert step.commands == (
        "configure neigh replace 203.0.113.10 lladdr 02:00:00:00:00:10 dev web1_net0 nud permanent",
        "configure neigh del 203.0.113.99 dev web1_net0")


def test_a_missing_altname_and_a_wrong_sysctl_are_repaired():
    path = "net/ipv4/conf/a-v-eflotf_net0/rp_filter"
    (step,) = plan_interfaces(found({"a-v-eflotf_net0": {"altnames": []}}, sysctls={path: "2"}), BOTH)
    assert step.why == "a-very-long-name-of-vm: altname, sysctl rp_filter"
    assert step.commands == (
        "configure link property add dev a-v-eflotf_net0 altname a-very-long-name-of-vm_net0", f"sysctl {path} 1")


def test_addresses_that_are_not_the_gateways_go():
    other = [{"ifname": "web1_net0", "addr_info": [GATEWAY_INFO[0], {"local": "10.0.0.1", "prefixlen": 24},
                                                   {"local": "10.0.0.5", "address": "10.0.0.6", "prefixlen": 32}]},
             *ADDRESSES[2:]]
    (step,) = plan_interfaces(found(addresses=other), BOTH)
    assert step.commands == (
        "configure address del 10.0.0.1/24 dev web1_net0",
        "configure address del 10.0.0.5 peer 10.0.0.6/32 dev web1_net0",
        "configure address replace fe80::1/64 dev web1_net0 nodad")


def test_without_an_ipv6_gateway_ipv6_is_off():
    vm = WEB1._replace(gateway=GATEWAY._replace(ipv6=None), addresses=("203.0.113.10",))
    (step,) = plan_interfaces(found(), Wanted((vm,), ()))
    assert step.commands == (
        "sysctl net/ipv6/conf/web1_net0/disable_ipv6 1", "configure neigh del 2001:db8:1::10 dev web1_net0")
    assert "address fe80::1/64" in step.before


def test_a_global_ipv6_gateway_is_a_host_address():
    vm = WEB1._replace(gateway=GATEWAY._replace(ipv6="2001:db8:ffff::1"))
    assert vm_recipe.gateway_addresses(vm)["2001:db8:ffff::1/128"] == "nodad noprefixroute"


def test_the_other_end_of_a_veth_pair_is_repaired_while_it_is_here():
    (step,) = plan_interfaces(found({"a-v-eflotf_vm0": {"mtu": 1400, "address": "52:54:00:00:00:11"}}), BOTH)
    assert step.commands == ("configure link set dev a-v-eflotf_vm0 mtu 1500",
                             "configure link set dev a-v-eflotf_vm0 address 02:00:00:00:00:11")


def test_a_tap_of_another_owner_is_made_anew_unless_a_guest_uses_it():
    wanted = Wanted((WEB1._replace(owner=64055),), ())
    steps = plan_interfaces(found(), wanted)
    assert steps[0].commands[:2] == ("delete web1_net0", "create tuntap add dev web1_net0 mode tap user 64055")
    in_use = found({"web1_net0": {"flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]}})
    assert "stop the guest" in check_found(in_use, wanted, False)[0]
    assert check_found(found(), wanted, False) == []


def test_our_interface_is_made_anew_as_another_kind():
    wanted = Wanted((WEB1._replace(kind="veth"),), ())
    assert check_found(found(), wanted, False) == []
    assert plan_interfaces(found(), wanted)[0].commands[1].startswith("create link add dev web1_net0 mtu 1500")
    assert "not a veth" in check_found(found({"web1_net0": {"ifalias": ""}}), wanted, False)[0]


def test_a_tap_that_goes_with_its_guest_is_adopted_with_the_owner_it_has():
    libvirts = {**LINKS[2]["linkinfo"]["info_data"], "persist": False, "user": "libvirt-qemu"}
    node = found({"web1_net0": {"flags": ["UP", "LOWER_UP"], "ifalias": "", "group": "0",
                                "linkinfo": {"info_kind": "tun", "info_data": libvirts}}}, records={})
    assert check_found(node, BOTH, False) == []
    (step,) = plan_interfaces(node, BOTH)
    assert step.why == "web1: group, alias"


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ({"master": "br0"}, "web1: interface web1_net0 is a port of br0"),
        ({"linkinfo": {"info_kind": "bridge"}}, "web1: interface web1_net0 is a bridge interface, not a tap"),
        ({"linkinfo": {"info_kind": "tun", "info_data": {"type": "tun"}}}, "is a tun interface, not a tap"),
        ({"linkinfo": {}}, "is a physical interface, not a tap"),
        ({"ifalias": "vmcluster:web2/0"}, "is that of web2/0, whose name shortens alike"),
    ])
def test_an_interface_that_cannot_be_the_vms_is_refused(links, said):
    assert [each for each in check_found(found({"web1_net0": links}), BOTH, False) if said in each]


def test_addresses_of_the_node_and_of_other_vms_here_are_refused():
    node = found()
    third = WEB1._replace(name="web3", interface="web3_net0", addresses=("203.0.113.10", "10.20.0.11"))
    told = check_found(node, Wanted((third,), ()), False)
    assert told == ["web3: 203.0.113.10 is that of web1 on this node: detach that first",
                    "web3: 10.20.0.11 is the node's own, on eth0: give the VM another"]
    renamed = Wanted((third._replace(addresses=("203.0.113.10",)),), (("web1", 0),))
    assert check_found(node, renamed, False) == []


def test_a_gateway_that_the_node_uses_elsewhere_is_refused():
    vm = WEB1._replace(gateway=GATEWAY._replace(ipv4="10.20.0.11"))
    assert "the node's own address on eth0" in check_found(found(), Wanted((vm,), ()), False)[0]


def test_a_sysctl_that_the_kernel_lacks_and_ipv6_where_there_is_none_are_refused():
    vm = WEB1._replace(sysctls=(("ipv4.nonsense", "1"),))
    node = found(unknown_sysctls=frozenset(["ipv4.nonsense"]), ipv6=False)
    told = check_found(node, Wanted((vm,), ()), False)
    assert "no sysctl ipv4.nonsense" in told[0]
    assert "without IPv6" in told[1]


def test_an_altname_that_another_interface_has_is_refused():
    node = found({"br0": {"altnames": ["a-very-long-name-of-vm_net0"]}, "a-v-eflotf_net0": {"altnames": []}})
    assert "which br0 has" in check_found(node, BOTH, False)[0]


def test_absent_withdraws_first_and_forgets_last():
    wanted = Wanted((), (("web1", 0),))
    assert commands(plan_routes(found(), wanted)[0]) == [
        "withdraw no ip route 203.0.113.10/32 web1_net0 tag 770",
        "withdraw no ipv6 route 2001:db8:1::10/128 web1_net0 tag 770"]
    assert commands(plan_interfaces(found(), wanted)) == ["delete web1_net0"]
    assert commands(plan_records(found(), wanted)) == ["forget web1_net0"]


def test_absent_leaves_an_interface_that_is_not_ours():
    foreign = found({"web1_net0": {"ifalias": "operator's"}}, records={}, routes=ROUTES[:1])
    assert plan_all(foreign, Wanted((), (("web1", 0),))) == ()


def test_purge_takes_ours_and_leaves_everything_else():
    node = found()
    assert unwanted_interfaces(node, Wanted((WEB1,), ()), True) == ("a-v-eflotf_net0",)
    told = commands(plan_all(node, Wanted((), ()), purge=True))
    assert [each for each in told if each.startswith("delete")] == ["delete a-v-eflotf_net0", "delete web1_net0"]
    assert not [each for each in told if "blackhole" in each or "eth0" in each or "br0" in each]


def test_purge_takes_a_torn_record_and_a_route_whose_interface_is_gone():
    node = Found({}, {}, {}, {}, {"web9_net0": "{\"vers"}, ("ip route 203.0.113.9/32 web9_net0 tag 772",))
    assert commands(plan_all(node, Wanted((), ()), purge=True)) == [
        "forget web9_net0", "withdraw no ip route 203.0.113.9/32 web9_net0 tag 772"]


def test_no_file_makes_an_interface_ours_that_is_not_named_like_one():
    node = found(records={"eth0": vm_recipe.record_text(WEB1), "br0": "{}"})
    assert "eth0" not in unwanted_interfaces(node, Wanted((), ()), True)
    assert "br0" not in unwanted_interfaces(node, Wanted((), ()), True)


def test_without_purge_others_stay():
    assert plan_all(found(), Wanted((WEB1,), ())) == ()


@pytest.mark.parametrize(("announcement", "tag"), [("announced", 770), ("withdrawn", 772)])
def test_an_announcement_is_a_tag(announcement, tag):
    steps, _foreign = plan_routes(found(routes=ROUTES[:1]), Wanted((WEB1._replace(announcement=announcement),), ()))
    assert commands(steps) == [f"route ip route 203.0.113.10/32 web1_net0 tag {tag}",
                               f"route ipv6 route 2001:db8:1::10/128 web1_net0 tag {tag}"]


def test_another_announcement_changes_the_tag_in_place():
    steps, _foreign = plan_routes(found(), Wanted((WEB1._replace(announcement="withdrawn"),), ()))
    assert commands(steps) == ["route ip route 203.0.113.10/32 web1_net0 tag 772",
                               "route ipv6 route 2001:db8:1::10/128 web1_net0 tag 772"]
    assert steps[0].before == ("ip route 203.0.113.10/32 web1_net0 tag 770",
                               "ipv6 route 2001:db8:1::10/128 web1_net0 tag 770")


def test_standby_has_no_route():
    steps, _foreign = plan_routes(found(), Wanted((WEB1._replace(announcement="standby"),), ()))
    assert all(command.startswith("route no ") for command in commands(steps))
    assert len(commands(steps)) == 2


def test_an_elevated_route_of_a_migration_comes_back_to_normal():
    node = found(routes=("ip route 203.0.113.10/32 web1_net0 tag 771", *ROUTES[2:]))
    steps, _foreign = plan_routes(node, BOTH)
    assert commands(steps) == ["route ip route 203.0.113.10/32 web1_net0 tag 770"]


def test_a_changed_address_comes_before_the_old_one_goes():
    vm = WEB1._replace(addresses=("203.0.113.20", "2001:db8:1::10"))
    steps, _foreign = plan_routes(found(), Wanted((vm,), ()))
    assert commands(steps) == ["route ip route 203.0.113.20/32 web1_net0 tag 770",
                               "route no ip route 203.0.113.10/32 web1_net0 tag 770"]


def test_a_route_of_the_operator_in_the_way_is_told_and_left():
    steps, foreign = plan_routes(found(routes=("ip route 203.0.113.10/32 web1_net0",)), Wanted((WEB1,), ()))
    assert foreign == ("ip route 203.0.113.10/32 web1_net0",)
    assert "route ip route 203.0.113.10/32 web1_net0 tag 770" not in commands(steps)


def test_a_record_tells_in_the_diff_what_was_asked_otherwise():
    (step,) = plan_records(found(), Wanted((WEB1._replace(mtu=9000),), ()))
    assert (step.before, step.after) == (("mtu: 1500",), ("mtu: 9000",))


def test_a_torn_record_is_written_again():
    torn = {"web1_net0": vm_recipe.record_text(WEB1)[:40]}
    (step,) = plan_records(found(records=torn), Wanted((WEB1,), ()))
    assert step.commands == ("record " + vm_recipe.record_text(WEB1),)
