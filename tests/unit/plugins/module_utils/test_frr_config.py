# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas of FRR's configuration, against what FRR 8.4.4 and 10.3 showed for tests/unit/frr/everything.conf."""

import time
from pathlib import Path

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.frr_config import plan_config
from ansible_collections.vmcluster.network.plugins.module_utils.frr_delta import lines_of
from ansible_collections.vmcluster.network.plugins.module_utils.frr_text import ConfigError
from ansible_collections.vmcluster.network.plugins.module_utils.plan import diff_of

DATA = Path(__file__).parents[2] / "frr"
VERSIONS = ("8.4.4", "10.3")
HEADER = "frr version 10.3\nfrr defaults traditional\n"


def written(found, wanted, prefix="VMC-", tags=()):
    """What a plan writes, without headings' indentation."""
    return [line.strip() for line in lines_of(plan_config(found, wanted, prefix, tags).steps)]


def everything():
    lines = (DATA / "everything.conf").read_text().splitlines()
    return "\n".join(line for line in lines if "neighbor" not in line and "listen range" not in line)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_frr_shows_of_a_configuration_is_that_configuration(version):
    assert plan_config((DATA / version / "everything.conf").read_text(), everything(), "VMC-", [773]) == ((), ())


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_wanted_leaves_neighbours_and_everything_of_others(version):
    plan = plan_config((DATA / version / "everything.conf").read_text(), "", "VMC-", [773])
    lines = [line.strip() for line in lines_of(plan.steps)]
    assert not any("neighbor" in line or "router-id" in line or "listen" in line for line in lines)
    assert "no redistribute static route-map VMC-O" in lines
    # neighbours refer to these by  and
    assert plan.kept == ("VMC-A", "VMC-AS", "VMC-BFD", "VMC-C", "VMC-CL", "VMC-O", "VMC-P")
    assert "no ip prefix-list VMC-B" in lines and not any(
        "VMC-O" in line and "route-map VMC-O" == line[3:] for line in lines
    )


def test_a_bare_host_gets_everything():
    plan = plan_config("", everything(), "VMC-", [773])
    assert "bgp router-id 10.20.0.21" in [line.strip() for line in lines_of(plan.steps)]
    assert "bgp router-id 10.20.0.21" in diff_of(plan.steps)["after"]
    assert plan_config("\n".join(lines_of(plan.steps)), everything(), "VMC-", [773]) == ((), ())


def test_names_of_others_are_never_touched():
    found = HEADER + """
ip prefix-list OPS seq 5 permit any
ip prefix-list OPS-VMC-X seq 5 permit any
route-map OPS permit 10
 match ip address prefix-list OPS
exit
router bgp 65010
 redistribute kernel route-map OPS
exit
"""
    assert written(found, "") == []


def test_a_substring_is_no_statement():
    found = HEADER + "router bgp 65010\n bgp confederation peers 65001\n bgp router-id 10.0.0.10\nexit\n"
    assert written(found, "router bgp 65010\n bgp confederation peers 6500\n bgp router-id 10.0.0.1\nexit") == [
        "router bgp 65010", "bgp confederation peers 6500", "bgp router-id 10.0.0.1", "exit"]


@pytest.mark.parametrize("running, wanted", [("65001", "6500"), ("6500", "65001"), ("65001 vrf red", "65002 vrf red")])
def test_another_as_is_refused(running, wanted):
    with pytest.raises(ConfigError, match="one AS per VRF"):
        plan_config(HEADER + f"router bgp {running}\nexit\n", f"router bgp {wanted}\n bgp router-id 1.1.1.1\nexit\n")


def test_the_same_as_in_another_vrf_is_another_instance():
    assert written(HEADER + "router bgp 1 vrf red\nexit\n", "router bgp 2\n bgp router-id 1.1.1.1\nexit\n") != []


@pytest.mark.parametrize("line", ["neighbor 10.0.0.1 remote-as 1", "bgp listen range 10.0.0.0/8 peer-group X"])
def test_neighbours_are_refused(line):
    with pytest.raises(ConfigError, match="frr_neighbor"):
        plan_config("", f"router bgp 1\n {line}\nexit\n")


# --- lists

def test_a_list_of_permits_is_a_set_and_new_entries_take_free_numbers():
    found = HEADER + "ip prefix-list VMC-A seq 5 permit 10.0.0.0/24\nip prefix-list VMC-A seq 10 permit 10.0.2.0/24\n"
    wanted = "\n".join(f"ip prefix-list VMC-A seq {number * 5} permit 10.0.{number}.0/24" for number in (1, 2))
    assert written(found, wanted) == [
        "ip prefix-list VMC-A seq 15 permit 10.0.1.0/24", "no ip prefix-list VMC-A seq 5 permit 10.0.0.0/24"]


def test_numbers_do_not_matter_among_permits():
    found = HEADER + "ip prefix-list VMC-A seq 5 permit 10.0.0.0/24\nip prefix-list VMC-A seq 7 permit 10.0.2.0/24\n"
    assert written(found, "ip prefix-list VMC-A permit 10.0.2.0/24\nip prefix-list VMC-A permit 10.0.0.0/24") == []


def test_numbers_matter_where_permits_and_denies_mix():
    found = HEADER + "ip prefix-list VMC-A seq 5 deny 10.0.0.0/24\nip prefix-list VMC-A seq 10 permit any\n"
    same = "ip prefix-list VMC-A deny 10.0.0.0/24\nip prefix-list VMC-A permit any"
    assert written(found, same) == []
    assert written(found, "\n".join(reversed(same.splitlines()))) == [
        "ip prefix-list VMC-A seq 5 permit any", "ip prefix-list VMC-A seq 10 deny 10.0.0.0/24"]


def test_a_list_comes_before_and_goes_after_what_refers_to_it():
    text = "route-map VMC-R permit 10\n match ip address prefix-list VMC-A\nexit\nip prefix-list VMC-A permit any\n"
    assert written("", text)[0] == "ip prefix-list VMC-A permit any"
    assert written(HEADER + text, "") == ["no route-map VMC-R", "no ip prefix-list VMC-A"]


# --- route-maps

def test_the_time_that_changed_filters_wait_is_set_before_they_change():
    text = "ip prefix-list VMC-A permit any\nroute-map VMC-R permit 10\nexit\nbgp route-map delay-timer 1\n"
    assert written(HEADER + "bgp route-map delay-timer 9\n", text)[0] == "bgp route-map delay-timer 1"
    assert written("", text).count("bgp route-map delay-timer 1") == 1
    assert written(HEADER + text, text) == []


def test_a_new_entry_of_a_route_map_in_use_opens_last():
    found = HEADER + "route-map VMC-R permit 20\n match tag 1\nexit\n"
    wanted = "route-map VMC-R permit 10\n match tag 2\nexit\nroute-map VMC-R permit 20\n match tag 1\nexit\n"
    assert written(found, wanted) == [
        "route-map VMC-R deny 10", "match tag 2", "exit", "route-map VMC-R permit 10", "exit"]


def test_a_new_route_map_needs_no_such_care():
    assert written(HEADER, "route-map VMC-R permit 10\n match tag 2\nexit\n") == [
        "route-map VMC-R permit 10", "match tag 2", "exit"]


def test_an_entry_that_turns_to_permit_opens_last_and_one_that_turns_to_deny_closes_first():
    permit, deny = "route-map VMC-R permit 10\n match tag 1\nexit\n", "route-map VMC-R deny 10\n match tag 2\nexit\n"
    assert written(HEADER + deny, permit) == [
        "route-map VMC-R deny 10", "match tag 1", "exit", "route-map VMC-R permit 10", "exit"]
    assert written(HEADER + permit, deny) == ["route-map VMC-R deny 10", "match tag 2", "exit"]


def test_a_changed_match_replaces_in_place_and_what_is_surplus_goes_afterwards():
    found = HEADER + "route-map VMC-R permit 10\n match tag 1\n set metric 5\nexit\n"
    assert written(found, "route-map VMC-R permit 10\n match tag 2\n set weight 7\nexit\n") == [
        "route-map VMC-R permit 10", "match tag 2", "set weight 7", "exit",
        "route-map VMC-R permit 10", "no set metric 5", "exit"]


def test_an_unwanted_entry_of_a_wanted_route_map_goes():
    found = HEADER + "route-map VMC-R permit 10\nexit\nroute-map VMC-R deny 20\nexit\n"
    assert written(found, "route-map VMC-R permit 10\nexit\n") == ["no route-map VMC-R deny 20"]


def test_a_route_map_that_a_neighbour_uses_is_kept_with_its_list_until_the_neighbour_is_gone():
    maps = (
        "ip prefix-list VMC-A seq 5 permit any\nroute-map VMC-R permit 10\n match ip address prefix-list VMC-A\nexit\n"
    )
    neighbour = ("router bgp 1\n neighbor 10.0.0.1 remote-as 1\n address-family ipv4 unicast\n"
                 "  neighbor 10.0.0.1 route-map VMC-R in\n exit-address-family\nexit\n")
    assert plan_config(HEADER + maps + neighbour, "", "VMC-") == ((), ("VMC-A", "VMC-R"))
    assert written(HEADER + maps, "") == ["no route-map VMC-R", "no ip prefix-list VMC-A"]


# --- router bgp

def test_a_statement_of_bgp_that_refers_to_our_name_is_replaced_or_goes():
    found = HEADER + ("route-map VMC-R permit 10\nexit\nrouter bgp 1\n address-family ipv4 unicast\n"
                      "  redistribute static route-map VMC-R\n  redistribute connected\n exit-address-family\nexit\n")
    family = "router bgp 1\n address-family ipv4 unicast\n{} exit-address-family\nexit\n"
    assert written(found, "route-map VMC-R permit 10\nexit\n" + family.format("  redistribute static\n")) == [
        "router bgp 1", "address-family ipv4 unicast", "redistribute static", "exit-address-family", "exit"]
    assert written(found, "")[2] == "no redistribute static route-map VMC-R"
    assert "no redistribute connected" not in written(found, "")


@pytest.mark.parametrize("there, wanted, line", [
    ("", "no bgp default ipv4-unicast", "no bgp default ipv4-unicast"),
    (" no bgp default ipv4-unicast\n", "no bgp default ipv4-unicast", None),
    (" no bgp default ipv4-unicast\n", "bgp default ipv4-unicast", "bgp default ipv4-unicast"),
    ("", "no bgp always-compare-med", None),
    (" bgp always-compare-med\n", "no bgp always-compare-med", "no bgp always-compare-med"),
    (" bgp cluster-id 1.1.1.1\n", "no bgp cluster-id", "no bgp cluster-id"),
    (" bgp graceful-restart restart-time 60\n", "no bgp graceful-restart", None),
    ("", "bgp graceful-restart restart-time 120", None),
    (" bgp graceful-restart restart-time 60\n", "bgp graceful-restart restart-time 120",
     "bgp graceful-restart restart-time 120"),
])
def test_no_means_absent_and_a_default_counts_as_there(there, wanted, line):
    expected = ["router bgp 1", line, "exit"] if line else []
    assert written(HEADER + f"router bgp 1\n{there}exit\n", f"router bgp 1\n {wanted}\nexit\n") == expected


def test_a_profile_with_default_values_is_there_when_its_name_is():
    wanted = "bfd\n profile VMC-BFD\n  transmit-interval 300\n exit\nexit\n"
    assert written(HEADER + "bfd\n profile VMC-BFD\n exit\nexit\n", wanted) == []
    assert written(HEADER + "bfd\n profile VMC-BFD\n  transmit-interval 100\n exit\nexit\n", wanted) == [
        "bfd", "profile VMC-BFD", "transmit-interval 300", "exit", "exit"]
    assert "profile VMC-BFD" in written(HEADER, wanted)


# --- static routes

def test_static_routes_with_our_tags_are_exact_and_others_stay():
    found = HEADER + "ip route 0.0.0.0/0 192.0.2.1\nip route 10.0.0.0/8 blackhole tag 773\n"
    assert written(found, "ip route 10.1.0.0/16 blackhole tag 773\n", tags=[773]) == [
        "ip route 10.1.0.0/16 blackhole tag 773", "no ip route 10.0.0.0/8 blackhole tag 773"]


def test_a_route_of_ours_that_the_operator_made_is_refused():
    with pytest.raises(ConfigError, match="not ours"):
        plan_config(HEADER + "ip route 10.0.0.0/8 blackhole\n", "ip route 10.0.0.0/8 blackhole tag 773", "", [773])


@pytest.mark.alone
def test_a_node_with_ten_thousand_statics_is_compared_in_a_second():
    statics = "\n".join(f"ip route 10.{n >> 8}.{n & 255}.1/32 v{n}_net0 tag 770" for n in range(10000))
    begin = time.process_time()
    assert written((DATA / "10.3" / "everything.conf").read_text() + statics, everything(), tags=[773]) == []
    assert time.process_time() - begin < 2
