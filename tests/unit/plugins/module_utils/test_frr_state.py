# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions and routes, against the JSON that FRR 8.4.4 and 10.3 printed (tests/unit/frr)."""

import json
from pathlib import Path

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import frr_state

DATA = Path(__file__).parents[2] / "frr"
VERSIONS = ("8.4.4", "10.3")
ALL = frr_state.Wanted(None, None)


def load(version, name):
    return json.loads((DATA / version / name).read_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_told_alike_by_both_versions(version):
    sessions = frr_state.read_sessions(load(version, "neighbors.json"))
    assert [session["address"] for session in sessions] == (
        ["10.20.0.21", "fd20::21"] if version == "8.4.4" else ["10.20.0.11", "fd20::11"])
    session = sessions[0]
    assert (session["state"], session["peer_group"], session["remote_as"]) == ("Established", "VMC-RR-V4", 65010)
    assert session["families"]["ipv4 unicast"]["maximum"] == 10000 and session["bfd"] == "Up"
    assert session["families"]["ipv4 unicast"]["sent" if version == "8.4.4" else "accepted"] == 3
    assert 0 < session["uptime"] < 86400 and session["connections_established"] == 1 and session["description"] == "rr1"


@pytest.mark.parametrize("version", VERSIONS)
def test_routes_are_told_alike_by_both_versions(version):
    routes = frr_state.read_bgp_routes(load(version, "routes.json"), ALL)
    assert [route["prefix"] for route in routes] == [f"203.0.113.{number}/32" for number in (1, 2, 3)]
    path = routes[0]["paths"][0]
    assert len(routes[0]["paths"]) == 1 and path["best"] and path["valid"]
    assert routes[0]["next_hop"] == ("0.0.0.0" if version == "8.4.4" else "10.20.0.11")
    assert (path["communities"], path["large_communities"]) == (["65010:100"], ["65010:1:100"])
    assert path["as_path"] == "" and path["from"] == ("0.0.0.0" if version == "8.4.4" else "10.20.0.11")
    assert path["tag"] == (770 if version == "8.4.4" else None)


@pytest.mark.parametrize("version", VERSIONS)
def test_kernel_routes_are_told(version):
    kernel = frr_state.read_kernel_routes(
        load(version, "kernel_routes.json"), frr_state.Wanted(["203.0.113.1/32"], None)
    )
    assert list(kernel) == ["203.0.113.1/32"]
    route = kernel["203.0.113.1/32"][0]
    assert route["protocol"] == ("static" if version == "8.4.4" else "bgp") and route["selected"] and route["installed"]
    assert route["next_hops"][0]["interface"] == ("lo" if version == "8.4.4" else "eth0")


def test_one_prefix_has_an_answer_of_its_own_shape():
    routes = frr_state.read_bgp_routes({"prefix": "10.0.0.1/32", "paths": [{"origin": "IGP", "nexthops": []}]}, ALL)
    assert [(route["prefix"], route["next_hop"], len(route["paths"])) for route in routes] == [("10.0.0.1/32", None, 1)]
    assert frr_state.read_bgp_routes({}, ALL) == []


@pytest.mark.parametrize(
    "prefixes, within, prefix, has",
    [
        (None, None, "10.0.0.0/8", True),
        (["10.0.0.0/8"], None, "10.0.0.0/8", True),
        (["10.0.0.0/8"], None, "10.0.0.0/9", False),
        (None, ["10.0.0.0/8"], "10.1.0.0/16", True),
        (None, ["10.0.0.0/8"], "0.0.0.0/0", False),
        ([], None, "10.0.0.0/8", False),
        (None, ["2001:db8::/32"], "2001:db8:1::/48", True),
        (None, ["2001:db8::/32"], "10.0.0.0/8", False),
    ],
)
def test_only_wanted_prefixes_are_told(prefixes, within, prefix, has):
    assert frr_state.Wanted(prefixes, within).has(prefix) is has


def test_few_prefixes_are_asked_for_one_by_one_and_many_at_once():
    assert frr_state.bgp_commands(frr_state.Wanted(["10.0.0.1/32"], ["2001:db8::/32"]), " vrf red") == [
        "show bgp vrf red ipv4 unicast 10.0.0.1/32 json",
        "show bgp vrf red ipv6 unicast 2001:db8::/32 longer-prefixes json detail"]
    many = frr_state.Wanted([f"10.0.0.{number}/32" for number in range(100)], None)
    assert frr_state.bgp_commands(many, "") == ["show bgp ipv4 unicast json detail"]
    assert frr_state.kernel_commands(many, "") == ["show ip route json"]


def test_sessions_to_wait_for_leave_out_those_that_are_shut():
    peer = {"state": "present", "shutdown": False, "peer_group": "A", "address": "10.0.0.1"}
    wanted = {"peer_groups": [{"name": "OFF", "shutdown": True}], "neighbors": [
        peer, dict(peer, address="10.0.0.2"), dict(peer, address="2001:DB8::0", peer_group=None),
        dict(peer, address="10.0.0.3", shutdown=True), dict(peer, address="10.0.0.4", state="absent"),
        dict(peer, address="10.0.0.5", peer_group="OFF")]}
    assert frr_state.waited_for(wanted) == [["10.0.0.1", "10.0.0.2"], ["2001:db8::"]]


def test_it_is_said_why_a_session_is_not_up():
    session = {
        "description": "rr1",
        "peer_group": "A",
        "remote_as": 1,
        "state": "Active",
        "last_notification": "Bad Peer AS",
        "last_reset": "Waiting for NHT",
        "bfd": "Down",
        "connections_established": 0,
    }
    said = frr_state.describe_session("10.0.0.1", session, has_route=False)
    for words in (
        "10.0.0.1 (rr1) is Active",
        "no route to it",
        "Bad Peer AS",
        "Waiting for NHT",
        "BFD is down",
        "never established",
    ):
        assert words in said
    assert "does not know" in frr_state.describe_session("10.0.0.1", None, has_route=True)


def test_a_wrong_password_is_seen_in_the_kernels_counters():
    text = (
        "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure\nTcpExt: 0 {} {} {}\nIpExt: A\nIpExt: 1\n"
    )
    before, after = (frr_state.read_md5_failures(text.format(*values)) for values in ((1, 2, 3), (1, 2, 8)))
    assert frr_state.describe_md5(before, after) == ["5 TCP segments came with another password than the one set here"]
    assert frr_state.read_md5_failures("") == {}


def test_a_default_route_is_no_route_of_its_own():
    assert not frr_state.has_own_route({"0.0.0.0/0": [{}]}) and frr_state.has_own_route({"10.0.0.0/24": [{}]})
    assert not frr_state.has_own_route({})
