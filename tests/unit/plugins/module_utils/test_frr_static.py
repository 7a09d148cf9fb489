# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static routes of FRR, owned by tag."""

import time

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.frr_static import parse_static_route, plan_static_routes

TAGS = (770, 771, 772)


@pytest.mark.parametrize("one, other", [
    ("ip route 203.0.115.0/24 reject 250 tag 773", "ip route 203.0.115.0/24 reject tag 773 250"),
    ("ip route 203.0.116.2/32 192.0.2.1 lo tag 770 onlink 5", "ip route 203.0.116.2/32 192.0.2.1 lo tag 770 5 onlink"),
    ("ipv6 route 2001:DB8:1:0::5/128 web1_net0 tag 770", "ipv6 route 2001:db8:1::5/128 web1_net0 tag 770"),
    ("ip route 203.0.113.7/24 blackhole tag 773", "ip route 203.0.113.0/24 blackhole tag 773"),
    ("ip route 10.0.0.0/8 eth0", "ip route 10.0.0.0/8 eth0 1"),
])
def test_a_route_means_the_same_however_it_is_spelt(one, other):
    assert parse_static_route(one).meaning == parse_static_route(other).meaning


def test_all_parts_of_a_route_are_read():
    route = parse_static_route("ipv6 route 2001:db8::/48 fe80::1 eth0 tag 770 20 vrf red")
    assert route[:6] == ("2001:db8::/48", "fe80::1", "eth0", None, 770, 20)
    assert route.options == {("vrf", "red")}


@pytest.mark.parametrize(
    "line", ["router bgp 65010", "ip router-id 1.2.3.4", "ip nht resolve-via-default", "route-map X permit 10"]
)
def test_other_statements_are_no_routes(line):
    assert parse_static_route(line) is None


@pytest.mark.parametrize(
    "line", ["ip route 10.0.0.300/32 eth0", "ipv6 route 2001:db8::/129 eth0", "ip route x/32 eth0 tag 1"]
)
def test_a_broken_prefix_is_refused(line):
    with pytest.raises(ValueError):
        parse_static_route(line)


def test_routes_with_foreign_tags_are_never_touched():
    found = [
        "ip route 0.0.0.0/0 192.0.2.1",
        "ip route 10.0.0.0/8 eth0 tag 7700",
        "ip route 203.0.113.1/32 a_net0 tag 770",
    ]
    plan = plan_static_routes(found, [], TAGS)
    assert plan == ((), ("no ip route 203.0.113.1/32 a_net0 tag 770",), ())


def test_a_changed_tag_is_written_over_the_old_one():
    """Removing the old line would take the new one away: FRR tells statics apart without their tag."""
    plan = plan_static_routes(
        ["ip route 203.0.113.1/32 a_net0 tag 770"], ["ip route 203.0.113.1/32 a_net0 tag 772"], TAGS
    )
    assert plan == (("ip route 203.0.113.1/32 a_net0 tag 772",), (), ())


def test_a_route_moves_by_adding_before_removing():
    plan = plan_static_routes(
        ["ip route 203.0.113.1/32 a_net0 tag 770"], ["ip route 203.0.113.1/32 b_net0 tag 770"], TAGS
    )
    assert plan.add == ("ip route 203.0.113.1/32 b_net0 tag 770",)
    assert plan.remove == ("no ip route 203.0.113.1/32 a_net0 tag 770",)


def test_a_route_that_somebody_else_made_is_told_and_left():
    plan = plan_static_routes(["ip route 203.0.113.1/32 a_net0"], ["ip route 203.0.113.1/32 a_net0 tag 770"], TAGS)
    assert plan == ((), (), ("ip route 203.0.113.1/32 a_net0",))


@pytest.mark.parametrize(
    "line", ["ip route 203.0.113.1/32 a_net0", "ip route 203.0.113.1/32 a_net0 tag 77", "router bgp 1"]
)
def test_a_wanted_line_must_be_a_route_of_ours(line):
    with pytest.raises(ValueError):
        plan_static_routes([], [line], TAGS)


@pytest.mark.alone
@pytest.mark.parametrize(
    "line", ["ip route 10.{0}.{1}.1/32 v{2}_net0 tag 770", "ipv6 route 2001:db8:{0:x}::{1:x}/128 v{2}_net0 tag 770"]
)
def test_ten_thousand_routes_are_compared_in_well_under_a_second(line):
    routes = [line.format(number >> 8, number & 255, number) for number in range(10000)]
    begin = time.process_time()
    assert plan_static_routes(routes, routes, TAGS) == ((), (), ())
    assert time.process_time() - begin < 0.9
