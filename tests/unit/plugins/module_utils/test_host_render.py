# SPDX-License-Identifier: GPL-3.0-or-later
"""One plan, four renderers: what is written for each manager is in tests/unit/host_network, file by file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.module_utils import (
    host_ifupdown,
    host_netplan,
    host_networkd,
    host_nm,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_files import render_sysctls
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import Nic, read_plan

GOLDEN = Path(__file__).parents[3] / "unit" / "host_network"
RENDERERS = {"networkd": host_networkd, "netplan": host_netplan, "nm": host_nm, "ifupdown": host_ifupdown}
NICS = {name: Nic(name, f"02:00:00:00:00:0{number}", f"0000:01:00.{number}", True)
        for number, name in enumerate(("eth0", "eth1", "eth2", "eth3"))}


def read_case(name):
    options = yaml.safe_load((GOLDEN / f"{name}.yml").read_text(encoding="utf-8"))
    plan, mistakes = read_plan(options, NICS)
    assert mistakes == []
    return plan


def as_text(files):
    """All files of a manager in one, as they are kept."""
    return "".join(f"==> {path} {file.mode:o}\n{file.text}" for path, file in files.items())


@pytest.mark.parametrize("manager", RENDERERS)
@pytest.mark.parametrize("case", ["bridge", "everything", "isolated", "rented"])
def test_a_plan_is_written_as_kept(case, manager):
    plan = read_case(case)
    text = as_text({**RENDERERS[manager].render(plan), **render_sysctls(plan)})
    kept = GOLDEN / f"{case}.{manager}"
    if os.environ.get("VMCLUSTER_WRITE_GOLDEN"):
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("manager", RENDERERS)
def test_what_was_written_is_read_back_by_interface(manager):
    plan = read_case("everything")
    sections = RENDERERS[manager].sections(RENDERERS[manager].render(plan))
    assert sorted(sections) == sorted(plan.names)
    assert RENDERERS[manager].sections({}) == {}


@pytest.mark.parametrize("case", ["bridge", "everything", "isolated", "rented"])
def test_netplans_file_is_yaml_that_says_what_the_plan_says(case):
    plan = read_case(case)
    network = yaml.safe_load(host_netplan.render(plan)[host_netplan.PATH].text)["network"]
    said = {name: each for section in ("ethernets", "bridges", "bonds", "vlans")
            for name, each in network.get(section, {}).items()}
    assert {name: each.get("addresses", []) for name, each in said.items()} == {
        each.name: list(each.addresses) for each in plan.interfaces}
    assert {name: [route["to"] for route in each.get("routes", ())] for name, each in said.items()} == {
        each.name: [route.to for route in each.routes] for each in plan.interfaces}


OPERATORS_NETPLAN = """\
# mine
network:
  version: 2
  renderer: networkd
  ethernets:
    eth0:
      # the uplink
      addresses:
        - 192.0.2.1/24

      routes: [{to: default, via: 192.0.2.254}]
    eth0x: {dhcp4: true}
    "eth1":
      dhcp4: true
  bridges:
    br9: {interfaces: []}
"""


def test_netplan_lines_of_an_interface_are_set_aside_and_come_back_to_the_letter():
    taken, wrong = host_netplan.take_over(OPERATORS_NETPLAN, ["eth0", "br0"])
    assert wrong == ""
    network = yaml.safe_load(taken)["network"]
    assert set(network["ethernets"]) == {"eth0x", "eth1"} and set(network["bridges"]) == {"br9"}
    assert "#vmcluster:         - 192.0.2.1/24\n" in taken
    assert host_netplan.take_over(taken, ["eth0", "br0"]) == (taken, "")
    assert host_netplan.take_over(taken, []) == (OPERATORS_NETPLAN, "")


def test_netplan_section_without_others_is_set_aside_with_its_interface():
    taken, wrong = host_netplan.take_over(OPERATORS_NETPLAN, ["eth0", "eth0x", "eth1", "br9"])
    assert wrong == ""
    assert yaml.safe_load(taken) == {"network": {"version": 2, "renderer": "networkd"}}


@pytest.mark.parametrize("text", [
    "network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n",
    "network:\n  version: 2\n  ethernets: {eth0: {dhcp4: true}}\n",
])
def test_netplan_file_that_cannot_be_taken_apart_line_by_line_is_refused(text):
    _taken, wrong = host_netplan.take_over(text, ["eth0"])
    assert "write one key a line" in wrong
    assert host_netplan.take_over(text, ["eth1"])[1] == ""


CLOUD_NETPLAN = """\
network:
    ethernets:
        eth0:
            addresses:
            - 192.0.2.1/24
            match:
                macaddress: 02:00:00:00:00:00
            nameservers:
                addresses: [192.0.2.53]
            set-name: eth0
    version: 2
"""


def test_netplan_definition_keeps_what_gives_the_nic_its_name():
    """Set aside with the rest, the NIC would have another name at the next boot, and the host no network."""
    taken, wrong = host_netplan.take_over(CLOUD_NETPLAN, ["eth0", "br0"])
    assert wrong == ""
    assert yaml.safe_load(taken) == {"network": {"version": 2, "ethernets": {
        "eth0": {"match": {"macaddress": "02:00:00:00:00:00"}, "set-name": "eth0"}}}}
    assert host_netplan.take_over(taken, ["eth0", "br0"]) == (taken, "")
    assert host_netplan.take_over(taken, []) == (CLOUD_NETPLAN, "")


@pytest.mark.parametrize("definition", [
    "{match: {macaddress: '02:00:00:00:00:00'}, set-name: eth0, dhcp4: true}",
    "\n      match: {macaddress: '02:00:00:00:00:00'}\n      'set-name': eth0"])
def test_netplan_definition_whose_set_name_cannot_stay_is_refused(definition):
    _taken, wrong = host_netplan.take_over(f"network:\n  ethernets:\n    eth0: {definition}\n", ["eth0"])
    assert "eth0 cannot be set aside there: write one key a line" in wrong


@pytest.mark.parametrize("match", [
    "match: {macaddress: '02:00:00:00:00:0A'}", "match: {name: eth*}",
    "match: {macaddress: '02:ff:00:00:00:00'}\n      set-name: eth0"])
def test_netplan_definition_by_another_name_that_would_win_is_found(match):
    text = f"network:\n  ethernets:\n    all:\n      {match}\n      dhcp4: true\n"
    macs = {"eth0": "02:00:00:00:00:0a", "eth5": "02:00:00:00:00:05"}
    found = list(host_netplan.find_others(text, macs))
    assert "all matches eth0 and comes before what this collection writes: call it eth0 there" in found
    assert not list(host_netplan.find_others(text.replace("all:", "later:"), macs)), "ours is the first that matches"
    assert not list(host_netplan.find_others(text, {"lan0": "02:00:00:00:00:99"}))
    assert not list(host_netplan.find_others(text.replace("all:", "eth0:"), macs))


OPERATORS_IFUPDOWN = """\
source /etc/network/interfaces.d/*.cfg

auto lo eth0
iface lo inet loopback

# the uplink
iface eth0 inet static
    address 192.0.2.1/24
    up ip route add 198.51.100.0/24 \\
        via 192.0.2.9
    # iface in a comment

    gateway 192.0.2.254
iface eth00 inet manual
"""


def test_ifupdown_stanzas_of_an_interface_are_set_aside_and_come_back_to_the_letter():
    taken = host_ifupdown.take_over(OPERATORS_IFUPDOWN, ["eth0"], host_ifupdown.MAIN)
    assert host_ifupdown.defined_names(taken) == ["lo", "eth00"]
    assert "#vmcluster:         via 192.0.2.9\n" in taken
    assert "#vmcluster:     gateway 192.0.2.254\n" in taken
    assert taken.endswith(f"{host_ifupdown.SOURCE_LINE}\n"), "*.cfg would not read our file"
    assert host_ifupdown.take_over(taken, ["eth0"], host_ifupdown.MAIN) == taken
    assert host_ifupdown.take_over(taken, [], host_ifupdown.MAIN) == OPERATORS_IFUPDOWN


@pytest.mark.parametrize("line", ["source /etc/network/interfaces.d/*", "source-directory /etc/network/interfaces.d",
                                  "source interfaces.d/*"])
def test_ifupdown_that_reads_our_file_anyway_gets_no_other_line(line):
    assert host_ifupdown.take_over(f"{line}\n", ["eth0"], host_ifupdown.MAIN) == f"{line}\n"


def test_ifupdown_stanzas_of_more_addresses_of_an_interface_are_set_aside_with_it():
    text = "iface eth0 inet dhcp\nauto eth0:1\niface eth0:1 inet static\n    address 192.0.2.2/24\n"
    assert host_ifupdown.defined_names(text) == ["eth0", "eth0:1"]
    taken = host_ifupdown.take_over(text, ["eth0"], f"{host_ifupdown.FOLDER}/lan")
    assert host_ifupdown.defined_names(taken) == []
    assert host_ifupdown.take_over(taken, [], f"{host_ifupdown.FOLDER}/lan") == text


def test_ifupdown_stanzas_that_each_boot_makes_anew_are_refused():
    text = "auto eth0\niface eth0 inet dhcp\n"
    (told,) = host_ifupdown.find_volatile("/run/network/interfaces.d/eth0", text, ["eth0", "br0"])
    assert "take the line that reads it out of /etc/network/interfaces" in told
    assert host_ifupdown.find_volatile("/run/network/interfaces.d/eth0", text, ["eth1"]) == []
    assert host_ifupdown.find_volatile("/etc/network/lan.d/eth0", text, ["eth0"]) == []


def test_networkd_file_that_comes_before_ours_is_found_when_it_matches():
    files = {"/etc/systemd/network/00-all.network": host_networkd.File("[Match]\nName=en* eth*\n"),
             "/etc/systemd/network/01-wlan.network": host_networkd.File("[Match]\nName=wlan0\n"),
             "/etc/systemd/network/20-eth.network": host_networkd.File("[Match]\nName=eth0\n")}
    assert host_networkd.find_earlier(files, ["eth0", "br0"]) == ["/etc/systemd/network/00-all.network"]
