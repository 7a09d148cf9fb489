# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts for the FRR modules: `old` (FRR 8.4) and `new` (FRR 10), each the other's neighbour, and `bare`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.module_calls import ModuleCalls
from vmlab.stories import unique_lab_name, wait_until

FRR = ("old", "new")
HOSTS = {"old": {"id": 11, "peer": 12}, "new": {"id": 12, "peer": 11}, "bare": {"id": 13, "peer": 11}}
OPERATORS = (
    "ip prefix-list OPERATOR seq 5 permit any", "route-map OPERATOR permit 10", "ip route 192.0.2.0/24 blackhole",
    "neighbor 192.0.2.65 remote-as 6500", "neighbor 192.0.2.65 description of the operator",
    "neighbor 192.0.2.65 weight 7")
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


class Site(ModuleCalls):
    """The lab, and calls of modules against its hosts; those with FRR, if nothing else is said."""

    def call(self, module: str, options: dict[str, Any], *flags: str, hosts: str = "old,new",
             failed: bool = False) -> dict[str, dict[str, Any]]:
        return self.module(module, options, *flags, hosts=hosts, failed=failed)

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
    lab = Lab.up(Path(__file__).with_name("frr_modules.yml"), name=unique_lab_name("frrm"))
    try:
        site = Site(lab, tmp_path_factory.mktemp("frr_modules"), HOSTS)
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
