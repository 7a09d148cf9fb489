# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator with FRR behind it: what policies let in and keep out, what commits do to sessions, what RPCs tell."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jnpr.junos import Device
from jnpr.junos.utils.config import Config
from junos_simulator.testing import Simulator
from vmlab import Lab, junos
from vmlab.state import find_process
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

REFLECTOR, REFLECTOR6 = "10.20.0.21", "fd20::21"
POLICIES = """
policy-options {
    policy-statement RR-IN {
        term alpha {
            from {
                protocol bgp;
                community ALPHA;
                route-filter 203.0.113.0/24 prefix-length-range /32-/32;
                route-filter 2001:db8:1::/64 prefix-length-range /128-/128;
            }
            then accept;
        }
        then reject;
    }
    policy-statement NOTHING {
        then reject;
    }
    community ALPHA members 65010:100;
}
"""
GROUPS = """
protocols {
    bgp {
        group RR {
            type internal;
            local-address 10.20.0.1;
            hold-time 9;
            multihop { ttl 255; }
            import RR-IN;
            family inet {
                unicast {
                    prefix-limit {
                        maximum 1000;
                        teardown 80;
                    }
                }
            }
            authentication-key a-key;
            export NOTHING;
            bfd-liveness-detection {
                minimum-interval 300;
                multiplier 3;
                session-mode single-hop;
            }
            neighbor 10.20.0.21 { description reflector; }
        }
        group RR-6 {
            type internal;
            local-address fd20::1;
            hold-time 9;
            import RR-IN;
            family inet6 { unicast; }
            export NOTHING;
            neighbor fd20::21;
        }
    }
}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab.up(Path(__file__).with_name("bgp.yml"), unique_lab_name("junos"))
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def simulator(lab: Lab) -> Simulator:
    return lab.junos("core")


@pytest.fixture(scope="module")
def device(lab: Lab, simulator: Simulator) -> Iterator[Device]:
    """PyEZ's way to the simulator: by the lab's ssh_config, the host key checked, with a key."""
    with Device(host="core", port=junos.PORT, user=junos.USER, ssh_config=str(lab.state.folder / "ssh" / "config"),
                ssh_private_key_file=str(lab.state.key), hostkey_verify=True, gather_facts=False) as device:
        yield device


@pytest.fixture
def config(device: Device, simulator: Simulator) -> Config:
    """The operator's configuration with a group for the reflector, which is up."""
    config = Config(device)
    config.rollback(0)
    config.load(simulator.settings["configuration"], format="text", overwrite=True)
    config.load(POLICIES + GROUPS, format="text")
    config.commit()
    wait_for_sessions(device)
    return config


def wait_for_sessions(device: Device, addresses: tuple[str, ...] = (REFLECTOR, REFLECTOR6)) -> None:
    wait_until(lambda: all(read_state(device, address) == "Established" for address in addresses), 30,
               f"sessions with {addresses}", 0.2)


def read_peer(device: Device, address: str) -> Any:
    return device.rpc.get_bgp_neighbor_information(neighbor_address=address).find("bgp-peer")


def read_state(device: Device, address: str) -> str:
    return str(read_peer(device, address).findtext("peer-state"))


def vtysh(lab: Lab, host: str, command: str) -> Any:
    return json.loads(lab.exec(host, ["vtysh", "-c", command]).stdout)


def read_bgp_routes(lab: Lab) -> set[str]:
    """The routes from the reflector in the core's kernel: what packets follow."""
    said = "".join(lab.exec("core", ["ip", family, "route", "show", "proto", "bgp"]).stdout for family in ("-4", "-6"))
    return {line.split()[0] for line in said.splitlines()} - {"default"}


def read_drops(lab: Lab) -> dict[str, int]:
    """How often each session of the core was lost."""
    return {address: seen["connectionsDropped"] for address, seen in vtysh(
        lab, "core", "show bgp neighbors json").items()}


def wait_for_routes(lab: Lab, wanted: set[str]) -> None:
    try:
        wait_until(lambda: read_bgp_routes(lab) == wanted, 15, "", 0.1)
    except Exception as error:
        raise AssertionError(f"{read_bgp_routes(lab)} instead of {wanted}") from error


GOOD = {"203.0.113.10", "203.0.113.12", "2001:db8:1::10"}


def test_only_routes_of_the_pool_with_the_community_and_the_length_come_in(lab: Lab, config: Config) -> None:
    wait_for_routes(lab, GOOD)


def test_rejected_routes_are_received_and_hidden(lab: Lab, device: Device, config: Config) -> None:
    wait_for_routes(lab, GOOD)
    rib = read_peer(device, REFLECTOR).find("bgp-rib")
    counts = {name: int(rib.findtext(f"{name}-prefix-count")) for name in ("received", "accepted", "active")}
    assert counts == {"received": 6, "accepted": 2, "active": 2}
    hidden = device.rpc.get_route_information(hidden=True, table="inet.0")
    assert {rt.findtext("rt-destination") for rt in hidden.iter("rt")} == {
        "203.0.113.11/32", "203.0.113.13/32", "203.0.113.0/25", "192.0.2.1/32"}


def test_all_members_of_a_community_are_asked_for(lab: Lab, config: Config) -> None:
    config.load("set policy-options community ALPHA members [ 65010:7 large:4200000001:1:100 ]", format="set")
    config.commit()
    wait_for_routes(lab, {"203.0.113.12"})


def test_one_of_several_communities_is_enough(lab: Lab, config: Config) -> None:
    config.load("set policy-options community OTHER members 65010:101\n"
                "set policy-options policy-statement RR-IN term alpha from community OTHER", format="set")
    config.commit()
    wait_for_routes(lab, GOOD | {"203.0.113.13"})


def test_orlonger_lets_in_what_is_inside(lab: Lab, config: Config) -> None:
    config.load("policy-options { policy-statement RR-IN { term alpha { replace: from {"
                " route-filter 203.0.113.0/24 orlonger; } } } }", format="text")
    config.commit()
    wait_for_routes(lab, {"203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13", "203.0.113.0/25"})


def test_the_longest_route_filter_that_covers_a_route_decides_alone(lab: Lab, config: Config) -> None:
    config.load("policy-options { policy-statement RR-IN { term alpha { replace: from {"
                " route-filter 203.0.113.0/24 orlonger; route-filter 203.0.113.12/31 exact; } } } }", format="text")
    config.commit()
    wait_for_routes(lab, {"203.0.113.10", "203.0.113.11", "203.0.113.0/25"})


def test_terms_are_gone_through_in_their_order(lab: Lab, config: Config) -> None:
    config.load("set policy-options policy-statement RR-IN term not-12 from route-filter 203.0.113.12/32 exact\n"
                "set policy-options policy-statement RR-IN term not-12 then reject", format="set")
    config.commit()
    wait_for_routes(lab, GOOD)
    config.load("insert policy-options policy-statement RR-IN term not-12 before term alpha", format="set")
    config.commit()
    wait_for_routes(lab, GOOD - {"203.0.113.12"})


def test_the_end_of_all_policies_accepts_what_bgp_brings(lab: Lab, config: Config) -> None:
    config.load("delete policy-options policy-statement RR-IN then", format="set")
    config.commit()
    wait_until(lambda: "192.0.2.1" in read_bgp_routes(lab), 15, "a route that no term rejects")


def test_a_change_of_a_policy_resets_no_session(lab: Lab, config: Config) -> None:
    before = read_drops(lab)
    config.load("set policy-options policy-statement RR-IN term alpha from route-filter 198.51.100.0/24 orlonger\n"
                "set protocols bgp group RR neighbor 10.20.0.21 description other\n"
                "set routing-options static route 203.0.113.0/24 discard", format="set")
    config.commit()
    assert read_drops(lab) == before


@pytest.mark.parametrize("change", ["set protocols bgp group RR hold-time 12",
                                    "rename protocols bgp group RR to group RENAMED"])
def test_what_resets_a_session_on_junos_resets_it_here(lab: Lab, device: Device, config: Config, change: str) -> None:
    before = read_drops(lab)
    config.load(change, format="set")
    config.commit()
    assert read_drops(lab) == {**before, REFLECTOR: before[REFLECTOR] + 1}
    wait_for_sessions(device)


def test_a_wrong_key_keeps_the_session_down_and_the_right_one_brings_it_back(
    lab: Lab, device: Device, config: Config
) -> None:
    config.load("set protocols bgp group RR authentication-key wrong", format="set")
    config.commit(confirm=1)
    wait_until(lambda: read_state(device, REFLECTOR) != "Established", 15, "no session with a wrong key")
    wait_for_routes(lab, {"2001:db8:1::10"})
    config.rollback(1)
    config.commit()
    wait_for_sessions(device)


def test_packets_leave_with_the_ttl_of_junos(lab: Lab, device: Device, config: Config) -> None:
    """The reflector asks for 255; without `multihop ttl 255` a session inside an AS has 64 on Junos."""
    config.load("delete protocols bgp group RR multihop\nset protocols bgp group RR hold-time 6", format="set")
    config.commit()
    wait_until(lambda: read_state(device, REFLECTOR) != "Established", 15, "no session with a TTL of 64")
    time_in_vain = time.monotonic() + 3
    while time.monotonic() < time_in_vain:
        assert read_state(device, REFLECTOR) != "Established"
    config.rollback(1)
    config.commit()
    wait_for_sessions(device)


def test_a_neighbour_that_is_removed_is_gone_with_its_routes(lab: Lab, device: Device, config: Config) -> None:
    config.load("delete protocols bgp group RR", format="set")
    config.commit()
    wait_for_routes(lab, {"2001:db8:1::10"})
    assert read_peer(device, REFLECTOR) is None
    assert REFLECTOR not in vtysh(lab, "core", "show bgp neighbors json")


def test_unconfirmed_commits_are_rolled_back_and_frr_follows(
    lab: Lab, simulator: Simulator, device: Device, config: Config
) -> None:
    simulator.order("minute", seconds=2)
    wait_for_routes(lab, GOOD)
    before = read_drops(lab)
    config.load("policy-options { policy-statement RR-IN { term alpha { replace: from {"
                " route-filter 192.0.2.0/24 orlonger; } } } }", format="text")
    config.commit(confirm=1)
    simulator.order("minute", seconds=60)
    wait_for_routes(lab, {"192.0.2.1"})
    wait_for_routes(lab, GOOD)
    assert read_drops(lab) == before
    assert [entry["user"] for entry in simulator.status()["commits"][:2]] == ["root", "automation"]


def test_pools_go_out_to_the_provider_and_nothing_else(lab: Lab, config: Config) -> None:
    config.load("set routing-options static route 203.0.113.0/24 discard tag 773\n"
                "set routing-options static route 192.0.2.0/24 discard", format="set")
    config.commit()
    table = "show bgp ipv4 unicast json"
    wait_until(lambda: "203.0.113.0/24" in vtysh(lab, "provider", table)["routes"], 20, "the pool at the provider")
    assert set(vtysh(lab, "provider", table)["routes"]) - {"0.0.0.0/0"} == {"203.0.113.0/24"}
    shown = vtysh(lab, "provider", "show bgp ipv4 unicast 203.0.113.0/24 json")
    assert "largeCommunity" not in shown["paths"][0], "a mark has left"


def test_an_export_of_one_protocol_lets_no_other_out(lab: Lab, config: Config) -> None:
    """BGP's routes and those of this device are told apart, though FRR has both in BGP."""
    config.load("set routing-options static route 203.0.113.0/24 discard\n"
                "set policy-options policy-statement FIRST term a from protocol bgp\n"
                "set policy-options policy-statement FIRST term a then accept\n"
                "set policy-options policy-statement FIRST term b from route-filter 192.0.2.0/24 exact\n"
                "set policy-options policy-statement FIRST term b then accept\n"
                "set routing-options static route 192.0.2.0/24 discard\n"
                "delete protocols bgp group RR export\n"
                "set protocols bgp group RR export [ FIRST NOTHING ]", format="set")
    config.commit()
    sent = f"show bgp ipv4 neighbors {REFLECTOR} advertised-routes json"
    wait_until(lambda: set(vtysh(lab, "core", sent)["advertisedRoutes"]) == {"0.0.0.0/0", "192.0.2.0/24"}, 20,
               "the provider's default route and the one of term b")


def test_a_term_that_changes_a_route_hands_it_on(lab: Lab, device: Device, config: Config) -> None:
    config.load("set policy-options policy-statement FIRST term a then local-preference 250\n"
                "set policy-options policy-statement FIRST term b from route-filter 203.0.113.10/32 exact\n"
                "set policy-options policy-statement FIRST term b then next policy\n"
                "set policy-options policy-statement FIRST term c then reject\n"
                "delete protocols bgp group RR import\n"
                "set protocols bgp group RR import [ FIRST RR-IN ]", format="set")
    config.commit()
    wait_for_routes(lab, {"203.0.113.10", "2001:db8:1::10"})
    shown = device.rpc.get_route_information(destination="203.0.113.10")
    assert shown.findtext(".//local-preference") == "250"


def test_the_default_route_of_the_provider_wins_against_the_one_for_emergencies(lab: Lab, config: Config) -> None:
    wait_until(lambda: "default" in lab.exec("core", ["ip", "route", "show", "proto", "bgp"]).stdout, 20,
               "the provider's default route")
    assert "default" not in lab.exec("core", ["ip", "route", "show", "proto", "static"]).stdout


def test_groups_tell_sessions_policies_and_prefixes(lab: Lab, device: Device, config: Config) -> None:
    wait_for_routes(lab, GOOD)
    shown = device.rpc.get_bgp_group_information(group_name="RR", detail=True)
    group = shown.find("bgp-group")
    told = {name: group.findtext(name) for name in ("name", "type", "peer-as", "peer-count", "established-count",
                                                    "bgp-option-information/import-policy",
                                                    "bgp-option-information/export-policy")}
    assert told == {"name": "RR", "type": "Internal", "peer-as": "65010", "peer-count": "1", "established-count": "1",
                    "bgp-option-information/import-policy": "RR-IN", "bgp-option-information/export-policy": "NOTHING"}
    assert group.findtext("peer-address").startswith(f"{REFLECTOR}+")
    assert group.findtext("bgp-rib/active-prefix-count") == "2"
    assert len(shown.findall("bgp-group")) == 1


def test_the_summary_counts_all_neighbours(device: Device, config: Config) -> None:
    wait_for_sessions(device, (REFLECTOR, REFLECTOR6, "198.18.0.2", "fd21::2"))
    shown = device.rpc.get_bgp_summary_information()
    assert (shown.findtext("peer-count"), shown.findtext("down-peer-count")) == ("4", "0")
    assert {peer.findtext("peer-address"): peer.findtext("peer-state") for peer in shown.findall("bgp-peer")} == (
        dict.fromkeys((REFLECTOR, REFLECTOR6, "198.18.0.2", "fd21::2"), "Established"))


def test_a_route_is_told_with_its_next_hop_its_source_and_its_communities(
    lab: Lab, device: Device, config: Config
) -> None:
    wait_for_routes(lab, GOOD)
    shown = device.rpc.get_route_information(destination="203.0.113.12/32", exact=True, detail=True)
    entry = shown.find("route-table[table-name='inet.0']/rt/rt-entry")
    assert entry.find("current-active") is not None
    assert (entry.findtext("protocol-name"), entry.findtext("learned-from"), entry.findtext("nh/to")) == (
        "BGP", REFLECTOR, REFLECTOR)
    assert {each.text for each in entry.iter("community")} == {"65010:7", "65010:100", "large:4200000001:1:100"}
    shown6 = device.rpc.get_route_information(table="inet6.0", protocol="bgp", active_path=True)
    hops = {rt.findtext("rt-destination"): rt.findtext("rt-entry/nh/to") for rt in shown6.iter("rt")}
    assert hops["2001:db8:1::10/128"] == REFLECTOR6


def test_bfd_sessions_are_told(device: Device, config: Config, lab: Lab) -> None:
    lab.exec("reflector", ["vtysh", "-c", "configure", "-c", "router bgp 65010", "-c", "neighbor 10.20.0.1 bfd"])
    try:
        wait_until(lambda: device.rpc.get_bfd_session_information().findtext("bfd-session/session-state") == "Up", 15,
                   "BFD is up", 0.2)
    finally:
        lab.exec("reflector", ["vtysh", "-c", "configure", "-c", "router bgp 65010", "-c", "no neighbor 10.20.0.1 bfd"])


def test_a_reboot_keeps_what_was_committed_and_starts_from_an_empty_frr(
    lab: Lab, simulator: Simulator, config: Config
) -> None:
    wait_for_routes(lab, GOOD)
    lab.exec("core", ["vtysh", "-c", "configure", "-c", "ip route 192.0.2.99/32 blackhole", "-c", "end",
                      "-c", "write memory"])
    config.dev.close()
    lab.reboot("core")
    again = lab.junos("core")
    assert again.pid != simulator.pid
    with Device(host="core", port=junos.PORT, user=junos.USER, ssh_config=str(lab.state.folder / "ssh" / "config"),
                ssh_private_key_file=str(lab.state.key), hostkey_verify=True, gather_facts=False) as device:
        wait_for_sessions(device)
    wait_for_routes(lab, GOOD)
    assert "192.0.2.99" not in lab.exec("core", ["ip", "route"]).stdout


def test_the_simulator_ends_with_its_lab() -> None:
    lab = Lab.up(Path(__file__).with_name("bgp.yml"), unique_lab_name("junosend"))
    try:
        pid = lab.junos("core").pid
        assert find_process(pid)
    finally:
        lab.down()
    assert find_process(pid) is None
