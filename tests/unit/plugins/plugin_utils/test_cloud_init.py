# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""network-config for guests: golden texts, and what cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.plugin_utils.cloud_init import network_config

GOLDEN = Path(__file__).parents[2] / "cloud_init"
BOTH = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:56:4d:12:34:56"}

CASES: dict[str, dict[str, Any]] = {
    "both_families": {
        "nics": [{"nic": 0, "mac": "02:00:00:00:00:10", "addresses": ["203.0.113.10", "2001:db8:1::10"]}],
        "gateway": BOTH, "nameservers": ["192.0.2.53", "2001:db8::53"], "search": ["example.net"]},
    "ipv4_only": {
        "nics": [{"nic": 0, "mac": "02:00:00:00:00:10", "addresses": ["203.0.113.10"]}],
        "gateway": {"ipv4": "10.255.255.1", "ipv6": None}, "mtu": 1400},
    "ipv6_only": {
        "nics": [{"nic": 0, "mac": "02:00:00:00:00:10", "addresses": ["2001:db8:1::10"]}],
        "gateway": {"ipv4": None, "ipv6": "2001:db8:ffff::1"}},
    "two_cards": {
        "nics": [{"nic": 1, "mac": "02:00:00:00:00:11", "addresses": ["203.0.113.11", "2001:db8:1::11"], "mtu": 9000},
                 {"nic": 0, "mac": "02:00:00:00:00:10", "addresses": ["203.0.113.10"]}],
        "gateway": BOTH},
}


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_as_it_was_read_and_found_good(name: str) -> None:
    assert network_config(**CASES[name]) == (GOLDEN / f"{name}.yml").read_text()


def test_a_mac_that_yaml_takes_for_a_number_stays_text() -> None:
    nic = {"nic": 0, "mac": "12:34:56:12:34:56", "addresses": ["203.0.113.10"]}
    told = yaml.safe_load(network_config([nic], BOTH))
    assert told["ethernets"]["nic0"]["match"]["macaddress"] == "12:34:56:12:34:56"


def test_a_family_has_one_default_route_that_of_its_first_card() -> None:
    told = yaml.safe_load(network_config(**CASES["two_cards"]))["ethernets"]
    assert [route["to"] for route in told["nic0"]["routes"]] == ["0.0.0.0/0"]
    assert "routes" not in told["nic1"] and told["nic1"]["gateway6"] == "fe80::1"
    assert "gateway6" not in told["nic0"]


def test_a_gateway_that_is_not_link_local_is_told_by_a_route_on_link() -> None:
    told = yaml.safe_load(network_config(**CASES["ipv6_only"]))["ethernets"]["nic0"]
    assert told["routes"] == [{"to": "::/0", "via": "2001:db8:ffff::1", "on-link": True}] and "gateway6" not in told


def test_an_address_without_a_gateway_of_its_family_is_refused() -> None:
    nic = {"nic": 0, "mac": "02:00:00:00:00:10", "addresses": ["2001:db8:1::10"]}
    with pytest.raises(ValueError, match="nic 0 has an IPv6 address"):
        network_config([nic], {"ipv4": "10.255.255.1", "ipv6": None})
