# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of Junos to RPCs, in the shape of Juniper's YANG modules and of published captures, read and judged."""

from xml.etree import ElementTree

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.junos_state import (
    Commit,
    best_routes,
    read_groups,
    read_pending,
    read_routes,
    read_sessions,
)
from ansible_collections.vmcluster.network.plugins.module_utils.junos_verify import judge

COMMIT = """<commit-information>
  <commit-history><sequence-number>0</sequence-number><user>netops</user><client>netconf</client>
    <date-time seconds="1791237823">2026-10-05 22:03:43 UTC</date-time>
    <comment>commit confirmed, rollback in 5mins</comment><log>change under test</log>
    {0}</commit-history>
  <commit-history><sequence-number>1</sequence-number><user>root</user><client>other</client>
    <date-time seconds="1791229512">2026-10-05 19:45:12 UTC</date-time></commit-history>
</commit-information>"""
NEIGHBORS = """<bgp-information>
  <bgp-peer style="detail"><peer-address>10.20.0.21+179</peer-address><peer-as>65010</peer-as>
    <local-address>10.20.0.1+50222</local-address><description>rr1</description><peer-group>VMC-RR-V4</peer-group>
    <peer-cfg-rti>master</peer-cfg-rti><peer-state>Established</peer-state><last-error>None</last-error>
    <flap-count>2</flap-count>
    <bgp-rib><name>inet.0</name><active-prefix-count>3</active-prefix-count>
      <received-prefix-count>5</received-prefix-count><accepted-prefix-count>4</accepted-prefix-count></bgp-rib></bgp-peer>
  <bgp-peer><peer-address>10.20.0.22</peer-address><peer-as>65010</peer-as><peer-group>VMC-RR-V4</peer-group>
    <peer-state>Connect</peer-state><last-error>Hold Timer Expired Error</last-error></bgp-peer>
</bgp-information>"""
ROUTES = """<route-information><route-table><table-name>inet.0</table-name>
  <rt style="detail"><rt-destination>203.0.113.10</rt-destination><rt-prefix-length>32</rt-prefix-length>
    <rt-entry><active-tag>*</active-tag><protocol-name>BGP</protocol-name><preference>170</preference>
      <nh-type>Indirect</nh-type><gateway>10.20.0.21</gateway><nh><selected-next-hop/><to>10.20.0.11</to></nh>
      <protocol-nh><to>10.20.0.11</to></protocol-nh><communities><community>65010:100</community>
      <community>large:4200000001:1:100</community><extended-community>target:1:2</extended-community></communities>
    </rt-entry></rt>
  <rt><rt-destination>203.0.113.10/32</rt-destination>
    <rt-entry><active-tag> </active-tag><protocol-name>BGP</protocol-name><nh><to>10.20.0.12</to></nh></rt-entry></rt>
  <rt><rt-destination>203.0.113.0/24</rt-destination>
    <rt-entry><active-tag>*</active-tag><protocol-name>Static</protocol-name></rt-entry></rt>
</route-table></route-information>"""
GROUP = {"name": "G", "family": "ipv4", "neighbors": [{"address": "10.20.0.21"}, {"address": "10.20.0.22"}], "accept": [
    {"name": "alpha", "communities": ["65010:100", "4200000001:1:100"], "prefixes": [
        {"prefix": "203.0.113.0/24", "length": 30}, {"prefix": "2001:db8::/64", "length": 128}]},
    {"name": "beta", "communities": [], "prefixes": [{"prefix": "198.51.100.0/24", "length": None}]}]}


def xml(text):
    return ElementTree.fromstring(text)


def test_a_commit_that_waits_is_known_by_its_own_element():
    pending = read_pending(xml(COMMIT.format("<commit-confirmed>rollback pending</commit-confirmed>")))
    assert (pending.user, pending.client, pending.log) == ("netops", "netconf", "change under test")
    assert "by netops via netconf at 2026-10-05 22:03:43 UTC" in pending.describe()


def test_a_commit_that_was_confirmed_still_has_the_comment_and_does_not_wait():
    assert read_pending(xml(COMMIT.format(""))) is None
    assert read_pending(True) is None


def test_sessions_are_read_without_the_port_of_the_connection():
    first, second = read_sessions(xml(NEIGHBORS))
    assert (first["address"], first["group"], first["state"], first["flaps"], first["description"]) == (
        "10.20.0.21", "VMC-RR-V4", "Established", 2, "rr1")
    assert first["tables"] == {"inet.0": {"received": 5, "accepted": 4, "active": 3}}
    assert (second["state"], second["last_reset"], second["instance"]) == (
        "Connect", "Hold Timer Expired Error", "master")


def test_routes_are_read_with_bgps_own_next_hop_and_communities_by_kind():
    first, second = read_routes(xml(ROUTES))
    assert first == {"prefix": "203.0.113.10/32", "active": True, "next_hop": "10.20.0.11",
                     "communities": ["65010:100"], "large_communities": ["4200000001:1:100"]}
    assert (second["active"], second["next_hop"]) == (False, "10.20.0.12")


def test_of_the_paths_to_a_prefix_the_one_in_use_comes_first():
    first, second = read_routes(xml(ROUTES))
    (route,) = best_routes([second, first])
    assert (route["next_hop"], route["active"]) == ("10.20.0.11", True)
    assert [path["best"] for path in route["paths"]] == [True, False]


@pytest.mark.parametrize("answer", [True, None, xml("<x/>")])
def test_an_empty_answer_tells_nothing(answer):
    assert read_sessions(answer) == read_groups(answer) == read_routes(answer) == []


def evidence(first="Established", second="Established", routes=()):
    return {"sessions": [{"address": "10.20.0.21", "state": first, "last_reset": ""},
                         {"address": "10.20.0.22", "state": second, "last_reset": "None"}],
            "routes": {"G": list(routes)}}


def route(prefix, *communities, active=True):
    return {"prefix": prefix, "active": active, "next_hop": "10.20.0.11",
            "communities": [text for text in communities if text.count(":") == 1],
            "large_communities": [text for text in communities if text.count(":") == 2]}


def wanted(established="all", prefixes=(), match="host", groups=(GROUP,)):
    return {"groups": list(groups), "match": match, "expect": {"established": established, "prefixes": list(prefixes)}}


def test_a_gateway_that_does_what_was_asked_has_no_faults():
    both = ("65010:100", "4200000001:1:100")
    routes = [route("203.0.113.10/32", *both), route("203.0.113.4/30", *both, "65010:7"), route("198.51.100.1/32")]
    assert judge(evidence(routes=routes), wanted(prefixes=["203.0.113.10/32", "198.51.100.1/32"])) == []


@pytest.mark.parametrize(("established", "faults"), [("all", 1), ("any", 0), ("none", 0)])
def test_sessions_are_asked_for_as_expected(established, faults):
    assert len(judge(evidence(second="Active"), wanted(established))) == faults


def test_any_asks_for_one_session_of_every_group():
    assert len(judge(evidence("Active", "Idle"), wanted("any"))) == 2
    assert judge(evidence("Active", "Idle"), wanted("none")) == []


def test_a_neighbour_that_bgp_does_not_know_is_down():
    assert "unknown to BGP" in judge({"sessions": [], "routes": {"G": []}}, wanted())[0]


def test_a_route_that_is_there_and_not_used_does_not_count():
    routes = [route("198.51.100.1/32", active=False)]
    assert "no active BGP route" in judge(evidence(routes=routes), wanted(prefixes=["198.51.100.1/32"]))[0]


@pytest.mark.parametrize("surplus", [
    route("203.0.113.0/24", "65010:100", "4200000001:1:100"),  # the pool itself
    route("203.0.113.8/29", "65010:100", "4200000001:1:100"),  # too short
    route("203.0.113.10/32", "65010:100"),                     # a community is missing
    route("198.51.100.0/31"),                                  # host routes only
    route("192.0.2.1/32", "65010:100", "4200000001:1:100"),    # in no pool
])
def test_what_no_cluster_may_announce_is_a_fault_even_unused(surplus):
    for active in (True, False):
        assert len(judge(evidence(routes=[dict(surplus, active=active)]), wanted())) == 1


def test_parity_takes_whole_pools_without_communities_and_nothing_else():
    assert judge(evidence(routes=[route("203.0.113.0/24"), route("203.0.113.8/29")]), wanted(match="orlonger")) == []
    assert len(judge(evidence(routes=[route("203.0.112.0/23")]), wanted(match="orlonger"))) == 1


def test_many_faults_are_cut_short():
    routes = [route(f"192.0.2.{number}/32") for number in range(200)]
    told = judge(evidence(routes=routes), wanted())
    assert len(told) == 21 and told[-1] == "and 180 more"


@pytest.mark.parametrize(("log", "is_ours"), [
    ("vmcluster.network: junos_bgp_group of vm", True),
    ("vmcluster.network: junos_bgp_group of vm: taken back, the verification failed", True),
    ("vmcluster.network: junos_bgp_group of vm2", False),
    ("vmcluster.network: junos_bgp_group of lab/vm", False),
    ("", False),
])
def test_a_commit_of_another_routing_instance_is_not_ours_though_its_name_begins_alike(log, is_ours):
    commit = Commit("netops", "netconf", "2026-10-05 22:03:43 UTC", log, "commit confirmed, rollback in 5mins")
    assert commit.is_of("vmcluster.network: junos_bgp_group of vm") is is_ours
