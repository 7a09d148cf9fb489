# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be asked of fabric_vm_iface, and what is refused with which words."""

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import check_wanted, peer_name

GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:56:4D:12:34:56"}
OWNERS = {"root": 0, "qemu": 64055, "nobody-there": None}


def entry(name="web1", **options):
    return {
        "name": name, "nic": 0, "state": "present", "addresses": ["203.0.113.10"], "prefixes": [],
        "mac": "02:00:00:00:00:10", "kind": "tap", "owner": None, "multi_queue": False, "mtu": None, "sysctls": {},
        "announcement": "announced", **options}


def check(*vms, **options):
    return check_wanted(
        {"gateway": GATEWAY, "mtu": 1500, "owner": "root", "sysctls": {}, "vms": list(vms), **options}, OWNERS)


def mistakes(*vms, **options):
    return check(*vms, **options)[1]


def test_addresses_and_macs_come_out_in_canonical_form():
    wanted, none = check(entry(addresses=["2001:DB8::0010"], mac="02:AA:00:00:00:10", prefixes=["2001:db8:1:0::/64"]))
    vm = wanted.present[0]
    assert none == []
    assert (vm.addresses, vm.mac, vm.prefixes) == (("2001:db8::10",), "02:aa:00:00:00:10", ("2001:db8:1::/64",))
    assert vm.gateway.mac == "02:56:4d:12:34:56"


def test_a_vm_takes_mtu_owner_and_sysctls_of_the_call_unless_it_has_its_own():
    wanted, none = check(
        entry("a"), entry("b", addresses=["203.0.113.11"], mtu=9000, owner="qemu", sysctls={"ipv4.proxy_arp": 0}),
        sysctls={"ipv4.proxy_arp": 1})
    first, second = wanted.present
    assert none == []
    assert (first.mtu, first.owner, first.sysctls) == (1500, 0, (("ipv4.proxy_arp", "1"),))
    assert (second.mtu, second.owner, second.sysctls) == (9000, 64055, (("ipv4.proxy_arp", "0"),))


def test_an_absent_vm_needs_a_name_only():
    wanted, none = check(entry(state="absent", addresses=[], mac=None), gateway=None)
    assert (wanted.absent, none) == ((("web1", 0),), [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "web.1"}, "vms[0].name: 'web.1' has characters that are not allowed"),
        ({"name": "all"}, "vms[0].name: 'all' is a reserved name"),
        ({"nic": 100}, "vms[0].nic: 100 is out of range"),
        ({"addresses": []}, "vms[0].addresses: is empty"),
        ({"addresses": ["203.0.113.300"]}, "vms[0].addresses: '203.0.113.300' is no address"),
        ({"addresses": ["203.0.113.10/24"]}, "vms[0].addresses: '203.0.113.10/24' is no address"),
        ({"addresses": ["224.0.0.1"]}, "vms[0].addresses: '224.0.0.1' cannot be an interface's address"),
        ({"addresses": ["127.0.0.1"]}, "vms[0].addresses: '127.0.0.1' cannot be an interface's address"),
        ({"addresses": ["::ffff:10.0.0.1"]}, "cannot be an interface's address"),
        ({"addresses": ["fe80::10"]}, "vms[0].addresses: fe80::10 is link-local"),
        ({"addresses": ["10.255.255.1"]}, "vms[0].addresses: 10.255.255.1 is the gateway's address"),
        ({"addresses": ["203.0.113.10", "203.0.113.10"]}, "has the same address 203.0.113.10 as vms[0]"),
        ({"prefixes": ["203.0.113.65/28"]}, "vms[0].prefixes: 203.0.113.65/28 has host bits set"),
        ({"prefixes": ["0.0.0.0/0"]}, "vms[0].prefixes: 0.0.0.0/0 is the default route"),
        ({"prefixes": ["2001:db8:1::/64"]}, "vms[0].prefixes: 2001:db8:1::/64 needs an IPv6 address of the VM"),
        ({"prefixes": ["10.255.255.0/24"]}, "vms[0].prefixes: 10.255.255.0/24 holds the gateway 10.255.255.1"),
        ({"mac": None}, "vms[0].mac: is missing"),
        ({"mac": "02-00-00-00-00-10"}, "vms[0].mac: '02-00-00-00-00-10' is no MAC address"),
        ({"mac": "03:00:00:00:00:10"}, "vms[0].mac: '03:00:00:00:00:10' is a group or zero address"),
        ({"mac": "02:56:4d:12:34:56"}, "vms[0].mac: 02:56:4d:12:34:56 is the gateway's MAC"),
        ({"mtu": 1279}, "vms[0].mtu: 1279 is out of range: give 1280 to 65521"),
        ({"mtu": 65522}, "vms[0].mtu: 65522 is out of range"),
        ({"owner": "nobody-there"}, "vms[0].owner: the node has no user 'nobody-there'"),
        ({"sysctls": {"ipv4.conf/all": 1}}, "vms[0].sysctls: 'ipv4.conf/all' is no sysctl of an interface"),
    ],
)
def test_a_mistake_is_told_with_its_key(options, said):
    assert [each for each in mistakes(entry(**options)) if said in each], mistakes(entry(**options))


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        (None, "vms[0]: gateway is missing"),
        ({"ipv4": None, "ipv6": None, "mac": GATEWAY["mac"]}, "gateway: has no address"),
        ({**GATEWAY, "ipv4": "fe80::1"}, "gateway.ipv4: 'fe80::1' is no IPv4 address"),
        ({**GATEWAY, "mac": "nonsense"}, "gateway.mac: 'nonsense' is no MAC address"),
        ({**GATEWAY, "ipv4": None}, "vms[0].addresses: 203.0.113.10 has no gateway of its family"),
    ],
)
def test_a_gateway_must_be_there_and_right(gateway, said):
    assert [each for each in mistakes(entry(), gateway=gateway) if said in each]


def test_all_mistakes_are_told_together():
    told = mistakes(entry(mac="x", addresses=["x"], mtu=1), entry("b!"), gateway=GATEWAY)
    assert len(told) == 4
    assert {each.split(":")[0] for each in told} == {"vms[0].addresses", "vms[0].mac", "vms[0].mtu", "vms[1].name"}


def test_a_wrong_gateway_hides_no_mistake_of_a_vm():
    told = mistakes(entry(addresses=["x"]), gateway={**GATEWAY, "mac": "x"})
    assert [each.split(":")[0] for each in told] == ["gateway.mac", "vms[0].addresses"]


def test_two_vms_share_no_address_prefix_or_interface():
    told = mistakes(
        entry("a", prefixes=["203.0.113.64/28"]), entry("b", prefixes=["203.0.113.64/28"]), entry("a", mac=None))
    assert "vms[1].addresses: 'b' has the same address 203.0.113.10 as vms[0]: only one can have it" in told
    assert "vms[1].prefixes: 'b' has the same prefix 203.0.113.64/28 as vms[0]: only one can have it" in told
    assert "vms[2].name: 'a' with nic 0 is vms[0] already" in told


def test_one_vm_may_have_two_cards():
    assert mistakes(entry(), entry(nic=1, addresses=["203.0.113.11"])) == []


@pytest.mark.parametrize("interface", ["web1_net0", "aaaaaaaaaa_net0", "a-v-eflotf_net0", "my_net_net12", "_net0"])
def test_a_peer_has_a_name_that_fits_and_that_no_interface_has(interface):
    peer = peer_name(interface)
    assert len(peer) < len(interface)
    assert "_net" not in peer[-6:]
