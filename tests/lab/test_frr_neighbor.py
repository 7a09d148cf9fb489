# SPDX-License-Identifier: GPL-3.0-or-later
"""frr_neighbor, and what is told of sessions and routes, on real FRR: 8.4 (host `old`) and 10 (host `new`)."""

from __future__ import annotations

import subprocess
import time
from typing import Any

from frr_site import ALONE, FILTERS, FRR, HOSTS, PASSWORD, Site, as_set_up, changed, lab, sessions, site
from vmlab.enter import command_prefix
from vmlab.stories import wait_until

__all__ = ["as_set_up", "lab", "site"]


def test_changed_filters_and_one_more_neighbour_reset_no_session(site: Site) -> None:
    before = site.infos()
    site.config(FILTERS.replace("203.0.113.0/24", "198.51.100.0/24").replace("match tag 770", "match tag 771"))
    more = sessions(wait=0)
    more["neighbors"].append({"address": "10.20.0.99", "peer_group": "VMC-RR-V4", "description": "to come"})
    results = site.call("frr_neighbor", more)
    for result in results.values():
        assert [action for action in result["actions"] if "frr.conf" not in action] == [
            "neighbor 10.20.0.99: is missing"
        ]
    for host, after in site.infos().items():
        assert after["10.20.0.99"]["state"] != "Established"
        for address, session in before[host].items():
            assert after[address]["connections_established"] == session["connections_established"], (host, address)
            assert after[address]["uptime"] >= session["uptime"]
            assert after[address]["state"] == session["state"]


def test_a_changed_password_resets_only_its_session_and_a_wrong_one_is_explained(site: Site) -> None:
    before = site.infos()
    other = sessions(wait=0)
    other["peer_groups"][0]["password"] = "Battery-staple2"
    results = site.call("frr_neighbor", other, "--diff")
    for result in results.values():
        assert result["actions"][0] == "peer-group VMC-RR-V4: password differs"
        assert "password ******** (new)" in result["diff"]["after"]
    site.call("frr_neighbor", {**other, "wait": 30})
    for host, after in site.infos().items():
        v6 = f"fd20::{HOSTS[host]['peer']}"
        assert after[v6]["connections_established"] == before[host][v6]["connections_established"]
        v4 = v6.replace("fd20::", "10.20.0.")
        assert after[v4]["connections_established"] > before[host][v4]["connections_established"]
    wrong = sessions(wait=6)
    result = site.call("frr_neighbor", wrong, hosts="old", failed=True)["old"]
    assert "10.20.0.12 (other) is " in result["msg"] and "another password than the one set here" in result["msg"]
    assert "Battery" not in str(result) and PASSWORD not in str(result)


def test_every_option_of_a_neighbour_is_there_after_one_call_and_the_second_changes_nothing(site: Site) -> None:
    everything = sessions()
    everything["neighbors"].append(ALONE)
    assert changed(site.call("frr_neighbor", everything)) == {True}
    results = site.call("frr_neighbor", everything)
    assert changed(results) == {False}, results
    plain = {"address": ALONE["address"], "remote_as": "65020"}
    everything["neighbors"][-1] = plain
    everything["wait"] = 0
    assert changed(site.call("frr_neighbor", everything)) == {True}
    assert changed(site.call("frr_neighbor", everything)) == {False}
    for host in FRR:
        left = [line.strip() for line in site.running(host).splitlines() if "192.0.2.200" in line]
        assert [line for line in left if "graceful-restart" not in line] == ["neighbor 192.0.2.200 remote-as 65020"]
    everything["neighbors"][-1] = {"address": ALONE["address"], "state": "absent"}
    site.call("frr_neighbor", everything)
    assert all("192.0.2.200" not in site.running(host) + site.saved(host) for host in FRR)


def test_purge_takes_our_groups_with_their_neighbours_and_leaves_the_operators(site: Site) -> None:
    fewer = sessions(wait=0)
    fewer["peer_groups"].pop()
    fewer["neighbors"].pop()
    for result in site.call("frr_neighbor", fewer).values():
        assert "peer-group VMC-RR-V6: is not listed" in result["actions"]
    for host in FRR:
        assert "VMC-RR-V6" not in site.running(host) + site.saved(host) and "fd20:9::" not in site.running(host)
    assert changed(site.call("frr_neighbor", fewer)) == {False}


def test_a_peer_groups_as_changes_and_its_neighbours_come_along(site: Site) -> None:
    other = sessions()
    other["peer_groups"][1]["remote_as"] = "65010"
    for result in site.call("frr_neighbor", other).values():
        assert result["actions"][0] == "peer-group VMC-RR-V6: is made again, since its remote-as changes"
    assert changed(site.call("frr_neighbor", other)) == {False}
    for host in FRR:
        assert " neighbor VMC-RR-V6 remote-as 65010\n" in site.running(host)


def test_filters_that_neighbours_use_stay_until_these_are_gone(site: Site) -> None:
    for result in site.config("", prefix="VMC-NODE-").values():
        assert result["kept"] == ["VMC-NODE-IN", "VMC-NODE-OUT"]
    assert all(session["state"] == "Established" for told in site.infos().values()
               for session in told.values() if session["peer_group"])
    site.call("frr_neighbor", {"asn": 65010, "purge": True})
    for result in site.config("", prefix="VMC-NODE-").values():
        assert result["kept"] == [] and result["changed"]
    assert all("VMC-NODE" not in site.running(host) + site.saved(host) for host in FRR)


def test_mistakes_are_told_together_and_frr_is_not_touched(site: Site) -> None:
    before = [site.running(host) for host in FRR]
    wrong = sessions(asn=0)
    wrong["neighbors"][0]["address"] = "10.20.0.300"
    wrong["peer_groups"][0]["name"] = "all"
    missing = sessions()
    missing["peer_groups"][0]["families"][0]["route_map_in"] = "VMC-NODE-NOPE"
    for result in site.call("frr_neighbor", wrong, failed=True).values():
        for words in ("asn: AS 0 is reserved", "neighbors[0].address: '10.20.0.300'", "peer_groups[0].name: 'all'"):
            assert words in result["msg"]
    for result in site.call("frr_neighbor", missing, failed=True).values():
        assert "peer_groups[0].families[0].route_map_in: FRR has no route-map VMC-NODE-NOPE" in result["msg"]
    assert [site.running(host) for host in FRR] == before


WATCH = """
import glob, sys, time
seen, end = set(), time.time() + 25
while time.time() < end:
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            seen.add(open(path, "rb").read())
        except OSError:
            pass
    if any(b"write memory" in line for line in seen):
        break
secret = sys.stdin.read().strip().encode()
print(any(secret in line for line in seen), any(b"--dryrun" in line for line in seen))
"""


def test_a_password_stands_in_no_command_line_and_no_output(site: Site) -> None:
    secret = "Watch-for-this3"
    other = sessions(wait=0)
    other["peer_groups"][0]["password"] = secret
    watcher = subprocess.Popen(
        [*command_prefix(site.lab.state, "old"), "python3", "-c", WATCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True)
    time.sleep(0.5)
    output, errors = site.start(
        "old", "frr_neighbor", other, "--diff", "-vvv", ANSIBLE_STDOUT_CALLBACK="default"
    ).communicate()
    assert "password ********" in output and secret not in output + errors
    found, watched = watcher.communicate(input=secret, timeout=40)[0].split()
    assert (found, watched) == ("False", "True")
    assert site.lab.exec("old", ["sh", "-c", f"! grep -rs {secret} /tmp /var/log /root /run/log"]).stdout == ""
    assert f" neighbor VMC-RR-V4 password {secret}\n" in site.running("old")


def test_routes_are_told_with_next_hop_community_and_kernel_state(site: Site) -> None:
    for family, address in (("ip", "203.0.113.77/32"), ("ip", "203.0.113.78/32")):
        site.lab.exec("old", ["vtysh", "-c", "configure terminal", "-c", f"{family} route {address} lo tag 770"])

    def told(host: str) -> dict[str, Any]:
        return site.call("frr_route_info", {"within": ["203.0.113.0/24"]}, hosts=host)[host]

    wait_until(lambda: len(told("new")["kernel"]) == 2, 20, "both routes are in the other's kernel")
    result = told("new")
    assert [route["prefix"] for route in result["routes"]] == ["203.0.113.77/32", "203.0.113.78/32"]
    path = result["routes"][0]["paths"][0]
    assert (path["next_hop"], path["from"], path["communities"]) == ("10.20.0.11", "10.20.0.11", ["65010:100"])
    assert path["large_communities"] == ["4200000001:1:100"] and path["local_preference"] == 100
    assert result["kernel"]["203.0.113.77/32"][0]["installed"]
    assert result["kernel"]["203.0.113.77/32"][0]["next_hops"][0]["interface"] == "eth0"
    own = site.call("frr_route_info", {"prefixes": ["203.0.113.77/32"]}, hosts="old")["old"]
    assert own["routes"][0]["next_hop"] == "0.0.0.0" and own["routes"][0]["paths"][0]["tag"] == 770
    assert own["kernel"]["203.0.113.77/32"][0]["protocol"] == "static"
    for address in ("203.0.113.77/32", "203.0.113.78/32"):
        site.lab.exec("old", ["vtysh", "-c", "configure terminal", "-c", f"no ip route {address} lo tag 770"])
