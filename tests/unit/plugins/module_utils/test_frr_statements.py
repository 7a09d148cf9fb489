# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FRR's configuration as statements: what means the same, what replaces what, what FRR does not show."""

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.frr_statements import (
    Flavour,
    Statement,
    canonical_line,
    flavour_of,
    is_default,
    key_of,
    parse_config,
    removal_of,
    render,
)

BGP = ("router bgp 65010",)
ENTRY = ("route-map VMC-X permit 10",)
PROFILE = ("bfd", "profile VMC-BFD")


def test_statements_stand_in_their_contexts():
    text = """
!
router bgp 65010
 bgp router-id 10.0.0.1
 !
 address-family ipv4 unicast
  redistribute static
 exit-address-family
 bgp after-the-family
exit
!
bfd
 profile A
  transmit-interval 100
 exit
 !
 profile B
 exit
exit
line vty
end
"""
    assert parse_config(text) == [
        ((), "router bgp 65010"), (BGP, "bgp router-id 10.0.0.1"), (BGP, "address-family ipv4 unicast"),
        ((*BGP, "address-family ipv4 unicast"), "redistribute static"), (BGP, "bgp after-the-family"),
        ((), "bfd"), (("bfd",), "profile A"), (("bfd", "profile A"), "transmit-interval 100"), (("bfd",), "profile B"),
        ((), "line vty")]


def test_what_is_rendered_is_read_back():
    path = (*BGP, "address-family ipv4 unicast")
    lines = render(path, ["redistribute static"])
    assert lines[-2:] == [" exit-address-family", "exit"]
    assert parse_config("\n".join(lines))[-1] == Statement(path, "redistribute static")


@pytest.mark.parametrize(
    "path, one, other",
    [
        (
            (),
            "ip prefix-list X permit 203.0.113.9/24 le 32 ge 28",
            "ip prefix-list X seq 5 permit 203.0.113.0/24 ge 28 le 32",
        ),
        ((), "ip prefix-list X permit any", "ip prefix-list X seq 10 permit 0.0.0.0/0 le 32"),
        (
            (),
            "ipv6 prefix-list X permit 2001:DB8:0:0::/64 ge 128",
            "ipv6 prefix-list X seq 5 permit 2001:db8::/64 ge 128",
        ),
        (
            (),
            "bgp community-list standard X permit 65010:100 65010:50",
            "bgp community-list standard X seq 5 permit 65010:50 65010:100",
        ),
        (
            (),
            "bgp large-community-list standard X permit 4200000001:1:100",
            "bgp large-community-list standard X seq 5 permit 4200000001:1:100",
        ),
        ((), "bgp as-path access-list X permit ^$", "bgp as-path access-list X seq 5 permit ^$"),
        (
            ENTRY,
            "set community 65010:200 no-export 65010:100 additive",
            "set community 65010:100 65010:200 no-export additive",
        ),
        (ENTRY, "set ipv6 next-hop global 2001:DB8::0:1", "set ipv6 next-hop global 2001:db8::1"),
        (
            (*BGP, "address-family ipv4 unicast"),
            "redistribute static route-map X metric 5",
            "redistribute static metric 5 route-map X",
        ),
        (BGP, "address-family ipv4", "address-family ipv4 unicast"),
        ((), "ip route 10.0.0.0/8 blackhole 250 tag 773", "ip route 10.0.0.0/8 blackhole tag 773 250"),
    ],
)
def test_spelling_that_frr_changes_means_the_same(path, one, other):
    assert canonical_line(path, one) == canonical_line(path, other)


@pytest.mark.parametrize("path, one, other", [
    ((), "ip prefix-list X permit 203.0.113.0/24 ge 32", "ip prefix-list X permit 203.0.113.0/24"),
    ((), "ip prefix-list X permit 203.0.113.0/24", "ip prefix-list X deny 203.0.113.0/24"),
    ((), "router bgp 6500", "router bgp 65001"),
    (ENTRY, "set as-path prepend 65010 65011", "set as-path prepend 65011 65010"),
    (ENTRY, "set community 65010:100", "set community 65010:100 additive"),
    (("interface eth0",), "ip address 10.0.0.1/24", "ip address 10.0.0.0/24"),
])
def test_what_differs_in_meaning_stays_different(path, one, other):
    assert canonical_line(path, one) != canonical_line(path, other)


@pytest.mark.parametrize("path, one, other, same", [
    (BGP, "bgp router-id 10.0.0.1", "bgp router-id 10.0.0.2", True),
    (BGP, "bgp graceful-restart", "bgp graceful-restart restart-time 60", False),
    (BGP, "bgp graceful-restart restart-time 60", "bgp graceful-restart stalepath-time 60", False),
    (BGP, "bgp ebgp-requires-policy", "no bgp ebgp-requires-policy", True),
    ((*BGP, "address-family ipv4 unicast"), "redistribute static", "redistribute static route-map X", True),
    ((*BGP, "address-family ipv4 unicast"), "redistribute static", "redistribute connected", False),
    (ENTRY, "match ip address prefix-list A", "match ip address prefix-list B", True),
    (ENTRY, "match ip address prefix-list A", "match ip next-hop prefix-list A", False),
    (ENTRY, "set ipv6 next-hop global 2001:db8::1", "set ipv6 next-hop prefer-global", False),
    (ENTRY, "set local-preference 100", "set local-preference 200", True),
    (PROFILE, "transmit-interval 100", "transmit-interval 200", True),
    ((), "route-map X permit 10", "route-map X deny 10", True),
    ((), "route-map X permit 10", "route-map X permit 100", False),
])
def test_it_is_known_what_replaces_what(path, one, other, same):
    assert (key_of(path, one) == key_of(path, other)) is same


def test_defaults_depend_on_profile_and_version():
    nht = "ip nht resolve-via-default"
    assert not is_default((), nht, Flavour("traditional", 8))
    assert is_default((), nht, Flavour("traditional", 10))
    assert not is_default((), nht, Flavour("datacenter", 10))
    assert is_default((), "no " + nht, Flavour("traditional", 8))
    assert is_default(BGP, "timers bgp 60 180", Flavour("traditional", 8))
    assert is_default(BGP, "timers bgp 3 9", Flavour("datacenter", 10))
    assert is_default(PROFILE, "transmit-interval 300") and not is_default(PROFILE, "transmit-interval 301")


def test_a_switch_that_is_on_by_default_is_not_off_by_default():
    assert not is_default(BGP, "no bgp default ipv4-unicast")
    assert is_default(BGP, "no bgp always-compare-med")


def test_the_flavour_is_in_the_first_lines():
    assert flavour_of(parse_config("frr version 10.3\nfrr defaults datacenter\n")) == ("datacenter", 10)
    assert flavour_of(parse_config("router bgp 1\n")) == ("traditional", 0)


@pytest.mark.parametrize("path, line, removal", [
    (ENTRY, "description what for", "no description"),
    (ENTRY, "set as-path prepend 1 1", "no set as-path prepend"),
    (ENTRY, "match tag 770", "no match tag 770"),
    ((), "ip prefix-list X description hello there", "no ip prefix-list X description"),
    (PROFILE, "transmit-interval 100", "transmit-interval 300"),
    (BGP, "no bgp default ipv4-unicast", "bgp default ipv4-unicast"),
])
def test_each_statement_has_the_removal_that_every_version_takes(path, line, removal):
    assert removal_of(path, line) == removal
