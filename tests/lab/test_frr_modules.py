# SPDX-License-Identifier: GPL-3.0-or-later
"""The FRR modules on real FRR: 8.4 (host `old`) and 10 (host `new`), each the other's neighbour, and a host without
FRR."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.enter import command_prefix
from vmlab.playbooks import playbook_environment
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

FRR = ("old", "new")
EVERYTHING = CHECKOUT / "tests" / "unit" / "frr" / "everything.conf"
TOPOLOGY = """
networks:
  underlay: {kind: switch}
hosts:
  old: &frr
    system: bookworm
    packages: [frr]
    interfaces:
      eth0: {network: underlay, addresses: [10.20.0.11/24, "fd20::11/64"]}
    files:
      /etc/frr/daemons:
        content: |
          zebra=yes
          staticd=yes
          bgpd=yes
          bfdd=yes
          vtysh_enable=yes
          zebra_options="-A 127.0.0.1 -s 90000000"
          mgmtd_options="-A 127.0.0.1"
          bgpd_options="-A 127.0.0.1"
          staticd_options="-A 127.0.0.1"
          bfdd_options="-A 127.0.0.1"
        owner: frr
        mode: "640"
      /etc/frr/frr.conf:
        content: |
          frr defaults traditional
          service integrated-vtysh-config
          ip prefix-list OPERATOR seq 5 permit any
          route-map OPERATOR permit 10
           match ip address prefix-list OPERATOR
          exit
          ip route 192.0.2.0/24 blackhole
          router bgp 65010
           neighbor 192.0.2.65 remote-as 6500
           neighbor 192.0.2.65 description of the operator
           neighbor 192.0.2.65 weight 7
          exit
        owner: frr
        mode: "640"
  new:
    <<: *frr
    system: trixie
    interfaces:
      eth0: {network: underlay, addresses: [10.20.0.12/24, "fd20::12/64"]}
  bare:
    system: bookworm
    interfaces:
      eth0: {network: underlay, addresses: [10.20.0.13/24]}
"""
OPERATORS = (
    "ip prefix-list OPERATOR seq 5 permit any", "route-map OPERATOR permit 10", "ip route 192.0.2.0/24 blackhole",
    "neighbor 192.0.2.65 remote-as 6500", "neighbor 192.0.2.65 description of the operator",
    "neighbor 192.0.2.65 weight 7")
INVENTORY = {"all": {
    "hosts": {"old": {"id": 11, "peer": 12}, "new": {"id": 12, "peer": 11}, "bare": {"id": 13, "peer": 11}},
    "vars": {"ansible_connection": "lab_host", "ansible_python_interpreter": "/usr/bin/python3"}}}
AS_JSON = {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
PASSWORD = "Correct-horse1"

FILTERS = """
ip prefix-list VMC-NODE-V4 permit 203.0.113.0/24 ge 32
ipv6 prefix-list VMC-NODE-V6 permit 2001:db8:1::/48 ge 128
route-map VMC-NODE-ANNOUNCE permit 10
 match tag 770
 match ip address prefix-list VMC-NODE-V4
 set community 65010:100
 set large-community 4200000001:1:100
exit
route-map VMC-NODE-IN permit 10
exit
route-map VMC-NODE-OUT permit 10
exit
bfd
 profile VMC-BFD
  transmit-interval 300
 exit
exit
router bgp 65010
 bgp router-id 10.20.0.{{ id }}
 no bgp default ipv4-unicast
 bgp graceful-restart
 address-family ipv4 unicast
  redistribute static route-map VMC-NODE-ANNOUNCE
 exit-address-family
exit
"""
MAPS = {"route_map_in": "VMC-NODE-IN", "route_map_out": "VMC-NODE-OUT", "maximum_prefix": 10000}
SESSIONS: dict[str, Any] = {
    "asn": 65010,
    "peer_groups": [
        {"name": "VMC-RR-V4", "remote_as": "65010", "password": PASSWORD, "bfd_profile": "VMC-BFD", "ttl_security": 1,
         "timers": {"keepalive": 1, "hold": 3, "connect": 1}, "description": "reflectors",
         "families": [{"name": "ipv4 unicast", "soft_reconfiguration": True, **MAPS}]},
        {"name": "VMC-RR-V6", "remote_as": "internal", "timers": {"keepalive": 1, "hold": 3, "connect": 1},
         "listen_ranges": ["fd20:9::/64"], "passive": False, "update_source": "eth0",
         "families": [{"name": "ipv6 unicast", "maximum_prefix_restart": 5, "next_hop_self": "yes",
                       "addpath_tx_all_paths": True, "route_reflector_client": True, **MAPS},
                      {"name": "l2vpn evpn"}]}],
    "neighbors": [{"address": "10.20.0.{{ peer }}", "peer_group": "VMC-RR-V4", "description": "other"},
                  {"address": "fd20:0::{{ peer }}", "peer_group": "VMC-RR-V6", "description": "other"}],
    "listen_limit": 200, "purge": True, "wait": 30}
# Every option that the sessions above leave out, on a neighbour that nobody answers for.
ALONE = {"address": "192.0.2.200", "remote_as": "65020", "ebgp_multihop": 3, "passive": True, "shutdown": True,
         "extended_nexthop": True, "bfd": True, "bfd_check_control_plane": True, "password": "another-one",
         "families": [{"name": "ipv4 unicast", "prefix_list_in": "VMC-NODE-V4", "prefix_list_out": "VMC-NODE-V4",
                       "maximum_prefix": 5, "maximum_prefix_threshold": 50, "maximum_prefix_warning_only": True,
                       "next_hop_self": "force", "send_community": "none"},
                      {"name": "ipv6 unicast", "activate": False}]}


def sessions(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SESSIONS), **changes}


class Site:
    """The lab, and calls of modules against its hosts."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.inventory = folder / "hosts.json"
        self.inventory.write_text(json.dumps(INVENTORY))

    def start(
        self, hosts: str, module: str, options: dict[str, Any], *flags: str, **environment: str
    ) -> subprocess.Popen[str]:
        variables = self.folder / f"asked{random.getrandbits(48)}.json"
        variables.write_text(json.dumps({"asked": options}))
        arguments = " ".join(f"{key}={{{{ asked.{key} }}}}" for key in options)
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible"), hosts, "-i", str(self.inventory), "-m",
             f"vmcluster.network.{module}", "-e", f"@{variables}", "-a", arguments, *flags],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env={**playbook_environment(self.lab.name), **AS_JSON, **environment})

    def call(self, module: str, options: dict[str, Any], *flags: str, hosts: str = "old,new",
             failed: bool = False) -> dict[str, dict[str, Any]]:
        """Call a module on hosts at once; return the result by host. Every host must fail if `failed`, else none."""
        output, errors = self.start(hosts, module, options, *flags).communicate(timeout=300)
        assert output.startswith("{"), output + errors
        results: dict[str, dict[str, Any]] = json.loads(output)["plays"][0]["tasks"][0]["hosts"]
        assert set(results) == set(hosts.split(",")), output + errors
        for result in results.values():
            assert bool(result.get("failed")) is failed, result.get("msg", result)
        return results

    def config(self, text: str, *flags: str, prefix: str = "VMC-", **more: Any) -> dict[str, dict[str, Any]]:
        hosts, failed = more.pop("hosts", "old,new"), more.pop("failed", False)
        return self.call("frr_config", {"text": text, "prefix": prefix, **more}, *flags, hosts=hosts, failed=failed)

    def running(self, host: str) -> str:
        return self.lab.exec(host, ["vtysh", "-c", "show running-config"]).stdout

    def saved(self, host: str) -> str:
        return self.lab.exec(host, ["cat", "/etc/frr/frr.conf"]).stdout

    def infos(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Sessions by host and address."""
        told = self.call("frr_neighbor_info", {})
        return {host: {each["address"]: each for each in result["sessions"]} for host, result in told.items()}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("frr_modules")
    topology = folder / "topology.yml"
    topology.write_text(TOPOLOGY)
    lab = Lab.up(topology, name=unique_lab_name("frrm"))
    try:
        site = Site(lab, folder)
        for host in FRR:
            wait_until(lambda host=host: "weight 7" in site.running(host), 30, f"FRR runs on {host}")
        yield site
    finally:
        lab.down()


@pytest.fixture(scope="module")
def as_set_up() -> dict[str, str]:
    """What each host ran after it was set up."""
    return {}


@pytest.fixture
def site(lab: Site, as_set_up: dict[str, str]) -> Iterator[Site]:
    """A lab whose hosts have filters and sessions; what the operator has is there after every test."""
    if not as_set_up or any(lab.running(host) != as_set_up[host] for host in FRR):
        lab.config(FILTERS)
        lab.call("frr_neighbor", sessions())
        as_set_up.update({host: lab.running(host) for host in FRR})
    yield lab
    for host in FRR:
        for text in (lab.running(host), lab.saved(host)):
            assert set(OPERATORS) <= {line.strip() for line in text.splitlines()}, host


def changed(results: dict[str, dict[str, Any]]) -> set[bool]:
    return {result["changed"] for result in results.values()}


# --- frr_config

def test_check_mode_predicts_the_same_on_a_bare_host_and_with_frr_and_changes_nothing(lab: Site) -> None:
    before = [lab.running(host) + lab.saved(host) for host in FRR]
    predicted = lab.config(FILTERS, "--check", "--diff", hosts="old,new,bare")
    assert changed(predicted) == {True}
    for result in predicted.values():
        assert "\n  redistribute static route-map VMC-NODE-ANNOUNCE\n" in result["diff"]["after"]
    neighbours = lab.call("frr_neighbor", sessions(), "--check", "--diff", hosts="old,new,bare")
    for result in neighbours.values():
        assert " neighbor VMC-RR-V4 timers 1 3\n" in result["diff"]["after"] and PASSWORD not in str(result)
    assert [lab.running(host) + lab.saved(host) for host in FRR] == before
    assert lab.lab.exec("bare", ["sh", "-c", "! ls -d /etc/frr /tmp/vmcluster-*"]).stdout == ""
    done = lab.config(FILTERS)
    assert {host: done[host]["actions"] for host in FRR} == {host: predicted[host]["actions"] for host in FRR}


def test_a_host_without_frr_is_told_so_with_the_remedy(lab: Site) -> None:
    for module, options in (("frr_config", {"text": FILTERS}), ("frr_neighbor", sessions()), ("frr_neighbor_info", {})):
        result = lab.call(module, options, hosts="bare", failed=True)["bare"]
        assert "FRR is not installed" in result["msg"] and "role vmcluster.network.frr" in result["msg"]


def test_every_kind_of_statement_is_there_after_one_call_and_the_second_changes_nothing(lab: Site) -> None:
    text = "\n".join(line for line in EVERYTHING.read_text().splitlines()
                     if "neighbor" not in line and "listen range" not in line) + "\n"
    assert changed(lab.config(text, owned_tags=[773])) == {True}
    assert changed(lab.config(text, owned_tags=[773])) == {False}
    gone = lab.config("no ip nht resolve-via-default\n", owned_tags=[773])
    assert changed(gone) == {True} and {tuple(result["kept"]) for result in gone.values()} == {()}
    for host in FRR:
        assert "VMC-" not in lab.running(host) and "VMC-" not in lab.saved(host) and "tag 773" not in lab.running(host)
    assert changed(lab.config("no ip nht resolve-via-default\n", owned_tags=[773])) == {False}


def test_a_line_that_frr_does_not_know_stops_everything(site: Site) -> None:
    before = [site.running(host) for host in FRR]
    results = site.config(
        FILTERS + "ip prefix-list VMC-NEW permit 10.0.0.0/8\nroute-map VMC-BAD permit 10\n match luck\n", failed=True
    )
    for result in results.values():
        assert "`match luck`: % Unknown command" in result["msg"] and "nothing was changed" in result["msg"]
    assert [site.running(host) for host in FRR] == before


def test_a_statement_that_frr_refuses_is_named_and_not_saved_and_a_better_text_mends_it(site: Site) -> None:
    bad = (
        FILTERS + "ip prefix-list VMC-NODE-BAD seq 5 permit 10.0.0.0/24 ge 8\nip prefix-list VMC-NODE-NEW permit any\n"
    )
    for host, result in site.config(bad, prefix="VMC-NODE-", failed=True).items():
        assert "Invalid prefix range for 10.0.0.0/24" in result["msg"] and "nothing was saved" in result["msg"]
        assert "VMC-NODE-NEW" not in site.saved(host)
    site.config(FILTERS, prefix="VMC-NODE-")
    for host in FRR:
        assert "VMC-NODE-BAD" not in site.running(host) and "VMC-NODE-NEW" not in site.running(host)
    assert changed(site.config(FILTERS, prefix="VMC-NODE-")) == {False}


def test_a_daemon_that_does_not_run_is_named_instead_of_dropping_its_lines(site: Site) -> None:
    for result in site.config(FILTERS + "router ospf\n ospf router-id 1.1.1.1\nexit\n", failed=True).values():
        assert "FRR runs without ospfd" in result["msg"] and "/etc/frr/daemons" in result["msg"]


def test_another_as_is_refused_and_6500_is_not_65010(site: Site) -> None:
    for asn in (6500, 650):
        for result in site.config(f"router bgp {asn}\n bgp router-id 1.1.1.1\nexit\n", failed=True).values():
            assert "with AS 65010" in result["msg"]
        for result in site.call("frr_neighbor", sessions(asn=asn), failed=True).values():
            assert "with AS 65010" in result["msg"]


def test_a_run_killed_before_it_saved_is_finished_by_the_next(site: Site) -> None:
    more = FILTERS + "ip prefix-list VMC-NODE-MORE permit any\n"
    assert changed(site.config(more, save=False)) == {True}
    assert all("VMC-NODE-MORE" not in site.saved(host) for host in FRR)
    for result in site.config(more).values():
        assert result["actions"] == ["/etc/frr/frr.conf: does not hold what is wanted"] and result["saved"]
    assert all("VMC-NODE-MORE" in site.saved(host) for host in FRR)
    assert changed(site.config(more)) == {False}


def test_runs_killed_at_any_moment_are_finished_by_the_next(site: Site) -> None:
    for number in range(3):
        text = FILTERS + "".join(f"ip prefix-list VMC-NODE-{number} permit 10.{part}.0.0/16\n" for part in range(200))
        process = site.start("old,new", "frr_config", {"text": text, "prefix": "VMC-NODE-"})
        time.sleep(random.uniform(0.7, 1.6))
        process.kill()
        process.communicate()
        for host in FRR:  # what was started on a host goes on without its controller
            wait_until(
                lambda host=host: not site.lab.exec(host, ["pgrep", "-f", "[A]nsiballZ"], check=False).stdout,
                20,
                f"the module ended on {host}",
                pause=0.2,
            )
        site.config(text, prefix="VMC-NODE-")
        assert changed(site.config(text, prefix="VMC-NODE-")) == {False}
        for host in FRR:
            assert site.saved(host).count(f"prefix-list VMC-NODE-{number} ") == 200
            assert f"VMC-NODE-{number - 1}" not in site.saved(host)


# --- sessions keep their up-time

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
        v6 = f"fd20::{INVENTORY['all']['hosts'][host]['peer']}"  # type: ignore[index]
        assert after[v6]["connections_established"] == before[host][v6]["connections_established"]
        v4 = v6.replace("fd20::", "10.20.0.")
        assert after[v4]["connections_established"] > before[host][v4]["connections_established"]
    wrong = sessions(wait=6)
    result = site.call("frr_neighbor", wrong, hosts="old", failed=True)["old"]
    assert "10.20.0.12 (other) is " in result["msg"] and "another password than the one set here" in result["msg"]
    assert "Battery" not in str(result) and PASSWORD not in str(result)


# --- frr_neighbor

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


# --- what is told

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
