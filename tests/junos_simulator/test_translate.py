# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a configuration in FRR, and what is refused because nothing could become of it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from junos_simulator import checks, frr_delta, load, policy, translate
from junos_simulator.tree import Node
from vmlab.state import CHECKOUT

set_hypothesis_home_dir(CHECKOUT / ".cache" / "hypothesis")
OPERATOR = (CHECKOUT / "lab" / "topologies" / "files" / "core-junos.conf").read_text()
GROUP = """
set policy-options policy-statement IN term a from community A
set policy-options policy-statement IN term a from route-filter 203.0.113.0/24 orlonger
set policy-options policy-statement IN term a then accept
set policy-options policy-statement IN then reject
set policy-options policy-statement NONE then reject
set policy-options community A members 65010:100
set protocols bgp group RR type internal
set protocols bgp group RR local-address 10.20.0.1
set protocols bgp group RR import IN
set protocols bgp group RR export NONE
set protocols bgp group RR neighbor 10.20.0.21
"""


def configured(*commands: str, base: str = GROUP) -> Node:
    tree = checks.read_whole(OPERATOR)
    complaints = load.load_set(tree, base + "\n".join(commands))
    assert not complaints, [(each.message, each.element) for each in complaints]
    return tree


def refusals(tree: Node) -> list[str]:
    return [each.message for each in checks.find_complaints(tree) or translate.find_untranslatable(tree)]


def delta(*commands: str) -> list[str]:
    """The lines that a change makes, without their indentation."""
    before, after = (translate.translate(configured(*each)) for each in ((), commands))
    return [line.strip() for line in frr_delta.write_delta(before, after)]


@pytest.mark.parametrize(("how", "low", "high"), [
    (("exact",), 24, 24), (("orlonger",), 24, 32), (("longer",), 25, 32), (("upto", "/29"), 24, 29),
    (("prefix-length-range", "/32-/32"), 32, 32), (("prefix-length-range", "/26-/28"), 26, 28),
    (("prefix-length-range", "/30-/30"), 30, 30), (("prefix-length-range", "/24-/24"), 24, 24)])
def test_route_filters_let_the_same_lengths_pass(how: tuple[str, ...], low: int, high: int) -> None:
    """Read as FRR reads a prefix list: without ge the own length is the least, without le it is the most, or all."""
    (line,) = policy.write_range(ipaddress.ip_network("203.0.113.0/24"), how, ())
    words = line.split()
    told = dict(zip(words[1::2], map(int, words[2::2]), strict=True))
    assert (told.get("ge", 24), told.get("le", 32 if "ge" in told else 24)) == (low, high)


FILTERS = st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "10.128.0.0/9", "0.0.0.0/0"])
WAYS = st.sampled_from([("exact",), ("orlonger",), ("longer",), ("upto", "/20"), ("prefix-length-range", "/16-/24"),
                        ("prefix-length-range", "/32-/32")])
ROUTES = [ipaddress.ip_network(route) for route in (
    "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/9", "10.1.0.0/16", "10.1.0.0/17", "10.1.2.0/24", "10.1.2.0/25", "10.1.2.3/32",
    "10.1.2.4/32", "10.1.3.0/24", "10.200.0.0/16", "10.200.1.1/32", "192.0.2.0/24", "10.1.2.0/23", "10.1.16.0/20")]


def matches_on_junos(
    route: ipaddress.IPv4Network, filters: list[tuple[ipaddress.IPv4Network, tuple[str, ...]]]
) -> bool:
    """The longest prefix that covers the route decides alone (Juniper, route filter match types)."""
    covering = [each for each in filters if route.subnet_of(each[0])]
    longest = max((prefix.prefixlen for prefix, _ in covering), default=-1)
    for prefix, how in covering:
        low, high = {"exact": (prefix.prefixlen,) * 2, "orlonger": (prefix.prefixlen, 32),
                     "longer": (prefix.prefixlen + 1, 32)}.get(how[0], (0, 0))
        if how[0] == "upto":
            low, high = prefix.prefixlen, int(how[1][1:])
        elif how[0] == "prefix-length-range":
            low, high = (int(part[1:]) for part in how[1].split("-"))
        if prefix.prefixlen == longest and low <= route.prefixlen <= high:
            return True
    return False


def matches_in_frr(route: ipaddress.IPv4Network, lines: list[str]) -> bool:
    """The first entry that fits decides; none is a denial (FRR, IP Prefix List)."""
    for line in lines:
        _seq, _number, action, prefix, *bounds = line.split()
        network, told = ipaddress.IPv4Network(prefix), dict(zip(bounds[::2], map(int, bounds[1::2]), strict=True))
        low = told.get("ge", network.prefixlen)
        high = told.get("le", 32 if "ge" in told else network.prefixlen)
        if route.subnet_of(network) and low <= route.prefixlen <= high:
            return action == "permit"
    return False


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(FILTERS, WAYS), min_size=1, max_size=5, unique=True))
def test_prefix_lists_let_the_same_routes_pass_as_route_filters(told: list[tuple[str, tuple[str, ...]]]) -> None:
    filters = [(ipaddress.IPv4Network(prefix), how) for prefix, how in told]
    lines = policy.write_prefix_list([(prefix, *how) for prefix, how in filters], ())
    for route in ROUTES:
        assert isinstance(route, ipaddress.IPv4Network)
        assert matches_in_frr(route, lines) == matches_on_junos(route, filters), (route, lines)


def test_nothing_matches_a_route_filter_that_is_longer_than_an_address() -> None:
    assert policy.write_range(ipaddress.ip_network("203.0.113.1/32"), ("longer",), ()) == []


def test_the_operators_configuration_is_translated() -> None:
    assert refusals(checks.read_whole(OPERATOR)) == []
    assert refusals(configured()) == []


@pytest.mark.parametrize(("command", "message"), [
    ("set policy-options policy-statement IN term a from as-path X", "`from as-path`"),
    ("set policy-options policy-statement IN term a from next-hop 10.20.0.11", "`from next-hop`"),
    ("set policy-options policy-statement IN term a from policy NONE", "`from policy`"),
    ("set policy-options policy-statement IN term a from tag 7", "`from tag` in this direction"),
    ("set policy-options policy-statement IN term a to protocol bgp", "`to`"),
    ("set policy-options policy-statement IN term a then next-hop self", "`then next-hop`"),
    ("set policy-options policy-statement IN term a from route-filter 198.51.100.0/24 through 198.51.100.7/32",
     "route-filter through 198.51.100.7/32"),
    ("set policy-options community A members 65010:*", "community member 65010:*"),
    ("set policy-options community A members target:65010:1", "community member target:65010:1"),
    ("set policy-options community A invert-match", "`invert-match`"),
    ("set protocols bgp group RR cluster 10.20.0.1", "`cluster`"),
    ("set protocols bgp group RR local-as 65011", "`local-as`"),
    ("set protocols bgp group RR allow 10.20.0.0/24", "`allow`"),
    ("set protocols bgp group RR bfd-liveness-detection minimum-interval 300 session-mode multihop", "multihop BFD"),
    ("set protocols bgp group RR bfd-liveness-detection holddown-interval 5", "`holddown-interval`"),
    ("set routing-options static route 192.0.2.0/24 discard preference 170", "preference of BGP"),
    ("set routing-options static route 2001:db8::/32 discard", "in table inet.0"),
    ("set routing-options rib inet.3 static route 192.0.2.0/24 discard", "in table inet.3"),
    ("set routing-instances CUSTOMER instance-type virtual-router", "`routing-instances`"),
    ("set logical-systems LS1 protocols bgp hold-time 9", "`logical-systems`"),
])
def test_what_has_no_translation_is_refused(command: str, message: str) -> None:
    found = refusals(configured(command))
    assert len(found) == 1
    assert found[0].startswith("Junos simulator cannot translate: ") and message in found[0]


@pytest.mark.parametrize(("commands", "message"), [
    (["set protocols bgp group RR import MISSING"], "Policy error: Policy MISSING referenced but not defined"),
    (["set policy-options policy-statement IN term a from community MISSING"],
     "Policy error: Community MISSING referenced but not defined in policy IN"),
    (["delete routing-options autonomous-system"], "must define local autonomous system when enabling BGP"),
    (["set protocols bgp group RR peer-as 65011"],
     "peer AS number must be the same as the local AS for an internal peer"),
    (["delete protocols bgp group RR type"], "peer AS number must be configured for an external peer"),
    (["set protocols bgp group RR local-address fd20::1"], "must be of the same family"),
    (["set protocols bgp group RR ttl 255"], "This option is valid only for single-hop EBGP neighbor"),
    (["set protocols bgp group RR2 peer-as 65010 neighbor 10.20.0.21"], "it is in group RR too"),
    (["deactivate policy-options policy-statement IN"], "Policy error: Policy IN referenced but not defined"),
])
def test_what_junos_refuses_is_refused_in_its_words(commands: list[str], message: str) -> None:
    assert any(message in found for found in refusals(configured(*commands)))


def test_a_group_without_type_is_internal_by_its_as() -> None:
    """So says the recipe for an MX that VMmanager's guide has: peer-as and no type."""
    tree = configured("delete protocols bgp group RR type", "set protocols bgp group RR peer-as 65010")
    assert refusals(tree) == []
    assert translate.translate(tree).neighbors["10.20.0.21"].ttl == 64


def test_no_change_is_no_line() -> None:
    assert delta() == []
    assert delta("set system host-name other", "set interfaces ge-0/0/5 description x") == []


def test_a_changed_policy_is_another_route_map_that_takes_the_place_of_the_old_one() -> None:
    lines = delta("set policy-options policy-statement IN term a from route-filter 198.51.100.0/24 exact")
    new = next(line.split()[3] for line in lines if line.startswith("neighbor") and "route-map" in line)
    assert lines.index(f"route-map {new} permit 10") < lines.index(f"neighbor 10.20.0.21 route-map {new} in")
    gone = [line for line in lines if line.startswith("no ")]
    assert [line.split()[1] for line in gone] == ["route-map", "ip"]
    assert lines.index(f"neighbor 10.20.0.21 route-map {new} in") < lines.index(gone[0])
    assert not any("remote-as" in line or "activate" in line for line in lines)


def test_filters_stand_before_a_new_neighbour_is_activated() -> None:
    lines = [line for line in delta("set protocols bgp group RR neighbor 10.20.0.22") if " 10.20.0.22 " in line]
    assert lines[0] == "neighbor 10.20.0.22 remote-as 65010"
    assert lines[-1] == "neighbor 10.20.0.22 activate"


def test_another_as_of_a_neighbour_makes_it_anew() -> None:
    lines = delta("set protocols bgp group INTERNET peer-as 64998")
    assert lines[1:3] == ["no neighbor 198.18.0.2", "neighbor 198.18.0.2 remote-as 64998"]


def test_all_names_of_a_condition_are_ways_to_meet_it_and_all_members_of_a_community_are_asked_for() -> None:
    lines = delta("set policy-options policy-statement IN term a from community B",
                  "set policy-options community A members [ 65010:7 large:1:2:3 ]",
                  "set policy-options community B members 65010:101")
    assert sum(line.startswith("match community") for line in lines) == 2
    assert any(line.endswith("permit 65010:100 65010:7") for line in lines)
    assert sum(line.startswith("match large-community") for line in lines) == 1


def test_routes_of_other_protocols_never_meet_an_import() -> None:
    lines = delta("set policy-options policy-statement IN term a from protocol static")
    assert not any(" permit " in line and line.startswith("route-map") for line in lines)


def test_a_limit_counts_what_is_received_and_an_accepted_limit_what_is_accepted() -> None:
    unicast = "set protocols bgp group RR family inet unicast"
    lines = delta(f"{unicast} prefix-limit maximum 10", f"{unicast} prefix-limit teardown 80 idle-timeout forever")
    assert "neighbor 10.20.0.21 maximum-prefix 10 80 force" in lines
    lines = delta(f"{unicast} accepted-prefix-limit maximum 10")
    assert "neighbor 10.20.0.21 maximum-prefix 10 75 warning-only" in lines


def test_a_key_is_given_to_frr_as_it_was_told() -> None:
    assert "neighbor 10.20.0.21 password a key" in delta('set protocols bgp group RR authentication-key "a key"')


def test_sessions_inside_an_as_leave_with_the_ttl_of_junos() -> None:
    assert "ip daddr 10.20.0.21 tcp dport 179 ip ttl set 64" in frr_delta.write_nft(translate.translate(configured()))
    tree = configured("set protocols bgp group RR multihop ttl 255")
    assert "ip daddr 10.20.0.21 tcp sport 179 ip ttl set 255" in frr_delta.write_nft(translate.translate(tree))


@pytest.mark.parametrize(("command", "resets"), [
    ("rename protocols bgp group RR to group OTHER", True), ("set protocols bgp group RR hold-time 9", True),
    ("set protocols bgp group RR neighbor 10.20.0.21 description x", False),
    ("set policy-options community A members 65010:7", False)])
def test_only_what_resets_a_session_on_junos_resets_it(command: str, resets: bool) -> None:
    before, after = translate.translate(configured()), translate.translate(configured(command))
    assert frr_delta.find_resets(before, after) == (["10.20.0.21"] if resets else [])
