# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node needs of its kernel, and which hosts cannot be nodes."""

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.forwarding import (
    FORMER_FILE,
    SYSCTL_FILE,
    Link,
    check_host,
    plan_forwarding,
    read_links,
    read_routers_heard,
    sysctl_paths,
)

BARE = dict.fromkeys(sysctl_paths("eth0", ()), "0")
LINKS = {"eth0": Link("eth0", 1500)}


def bridged(port, kind):
    return {**LINKS, port: Link(port, 1500, kind, "vmbr0")}


def saved_after(steps):
    return next(step.commands[0] for step in steps if step.thing == SYSCTL_FILE)


def kernel_after(steps):
    return dict(line.split(" ") for step in steps if step.thing == "kernel" for line in step.commands)


def test_a_bare_host_forwards_now_and_after_a_boot():
    steps = plan_forwarding(BARE, None)
    assert kernel_after(steps)["net/ipv4/ip_forward"] == kernel_after(steps)["net/ipv6/conf/all/forwarding"] == "1"
    assert "\nnet.ipv4.ip_forward = 1\n" in saved_after(steps)
    assert "\nnet.ipv4.conf.eth0.rp_filter = 2\n" in saved_after(steps)


def test_the_second_time_there_is_nothing_to_do():
    steps = plan_forwarding(BARE, None)
    assert plan_forwarding(kernel_after(steps), saved_after(steps)) == ()


@pytest.mark.parametrize(("found", "wanted"), [("2", "0"), ("1", "1"), ("0", "0")])
def test_a_loose_rp_filter_of_all_interfaces_does_not_let_vms_send_from_any_address(found, wanted):
    """Of `all` and an interface the kernel takes the greater; VM interfaces have 1."""
    steps = plan_forwarding({**BARE, "net/ipv4/conf/all/rp_filter": found}, None)
    assert kernel_after(steps)["net/ipv4/conf/all/rp_filter"] == wanted
    assert f"\nnet.ipv4.conf.all.rp_filter = {wanted}\n" in saved_after(steps)
    assert plan_forwarding(kernel_after(steps), saved_after(steps)) == ()


def test_a_file_of_the_former_name_goes_when_the_new_one_is_there():
    done = plan_forwarding(BARE, None)
    steps = plan_forwarding(kernel_after(done), None, "net.ipv4.ip_forward = 1\n")
    assert [step.thing for step in steps] == [SYSCTL_FILE, FORMER_FILE]
    assert FORMER_FILE > SYSCTL_FILE, "it would have the last word at boot"
    assert steps[1].after == ()


def test_an_interface_that_listens_to_routers_listens_before_the_kernel_forwards():
    steps = plan_forwarding({**BARE, "net/ipv6/conf/eth0/accept_ra": "1"}, None)
    kernel = list(kernel_after(steps).items())
    assert kernel[0] == ("net/ipv6/conf/eth0/accept_ra", "2")


def test_an_interface_where_nobody_listens_stays_so():
    assert kernel_after(plan_forwarding(BARE, None))["net/ipv6/conf/eth0/accept_ra"] == "0"


def test_larger_neighbour_tables_stay():
    steps = plan_forwarding({**BARE, "net/ipv4/neigh/default/gc_thresh3": "99999"}, None)
    assert kernel_after(steps)["net/ipv4/neigh/default/gc_thresh3"] == "99999"
    assert kernel_after(steps)["net/ipv6/neigh/default/gc_thresh3"] == "32768"


def test_sysctls_that_the_kernel_lacks_are_not_asked_for():
    steps = plan_forwarding({path: value for path, value in BARE.items() if "ipv6" not in path}, None)
    assert "ipv6" not in saved_after(steps).partition("\nnet.")[2]


def test_a_dot_in_an_interfaces_name_is_a_slash_in_the_file():
    paths = sysctl_paths("eth0.100", ("wan.7", "eth0.100"))
    assert paths[:2] == ("net/ipv6/conf/eth0.100/accept_ra", "net/ipv6/conf/wan.7/accept_ra")
    assert "\nnet.ipv4.conf.eth0/100.rp_filter = 2\n" in saved_after(plan_forwarding(dict.fromkeys(paths, "0"), None))


def test_a_bridge_with_a_vms_port_is_refused_and_one_with_a_network_card_is_not():
    for kind in ("tun", "veth", "macvtap"):
        (mistake,) = check_host(bridged("vnet0", kind), "eth0", 1500)
        assert mistake.startswith("bridge vmbr0 has the VM port vnet0. ")
    assert check_host(bridged("eth1", ""), "eth0", 1500) == []


def test_an_uplink_that_is_missing_or_too_narrow_is_refused():
    assert check_host(LINKS, "eth7", 1500)[0].startswith("there is no interface eth7")
    assert "1500, that of VM interfaces 9000" in check_host(LINKS, "eth0", 9000)[0]
    assert check_host(LINKS, "eth0", 1500) == []


def test_what_ip_prints_is_read():
    links = read_links([
        {"ifname": "eth0", "mtu": 1500, "linkinfo": {}},
        {"ifname": "vmbr0", "mtu": 1500, "linkinfo": {"info_kind": "bridge"}},
        {"ifname": "vnet0", "mtu": 1500, "master": "vmbr0",
         "linkinfo": {"info_kind": "tun", "info_slave_kind": "bridge"}},
        {"ifname": "eth1", "mtu": 9000, "master": "bond0", "linkinfo": {"info_slave_kind": "bond"}}])
    assert links["vnet0"] == Link("vnet0", 1500, "tun", "vmbr0")
    assert links["eth1"] == Link("eth1", 9000)
    heard = [{"dst": "default", "dev": "eth0"}, {"dst": "fd20::/64", "dev": "eth2"},
             {"dst": "default", "nexthops": [{"dev": "eth1"}, {"dev": "eth0"}]}]
    assert read_routers_heard(heard) == ("eth0", "eth1")
