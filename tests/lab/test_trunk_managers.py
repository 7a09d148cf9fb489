# SPDX-License-Identifier: GPL-3.0-or-later
"""A host moves into a VLAN, on a bond of two ports, by each manager of a host's network, over its only connection.

The kernel that the lab's hosts share may have neither VLANs nor bonds, so each host is an emulated machine with
Debian's kernel. The same with ifupdown, by site.yml, and what the wire carries: test_switching_trunk.py.
VMCLUSTER_LOCKOUTS says how often each is sent into a wrong VLAN (1).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from vmlab.stories import unique_lab_name, wait_until
from vmlab.trunk_machines import ADDRESSES, GATEWAY, TrunkMachines

pytestmark = pytest.mark.lab

MANAGERS = ("networkd", "netplan", "nm")
ROUNDS = range(int(os.environ.get("VMCLUSTER_LOCKOUTS", "1")))
BOUND = 60  # seconds in which a wrong change is taken back; the timer goes off 20 earlier
PATIENT = 600  # seconds in which a right one is not taken back, on whatever machine


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrunkMachines]:
    with TrunkMachines(unique_lab_name("mgr"), tmp_path_factory.mktemp("machines"), MANAGERS) as machines:
        yield machines


@pytest.fixture(scope="module")
def operators(machines: TrunkMachines) -> dict[str, tuple[Any, str]]:
    """The operators' state and files, before anything was done."""
    return read_all(machines)


def read_all(machines: TrunkMachines) -> dict[str, tuple[Any, str]]:
    return {manager: (machines.read_state(manager), machines.read_configuration(manager)) for manager in MANAGERS}


def check_links(machines: TrunkMachines, manager: str) -> None:
    """Bond, VLANs and bridges are those of the plan, and nothing but the host's own bridge has an address."""
    links = machines.read_links(manager)
    kinds = {name: link["linkinfo"]["info_kind"] for name, link in links.items()
             if "info_kind" in link.get("linkinfo", {})}
    assert kinds == {"bond0": "bond", "vlan10": "vlan", "vlan100": "vlan", "br0": "bridge", "br100": "bridge"}
    masters = {name: link["master"] for name, link in links.items() if "master" in link}
    assert masters == {"eth0": "bond0", "eth1": "bond0", "vlan10": "br0", "vlan100": "br100"}
    tags = {name: (links[name]["link"], links[name]["linkinfo"]["info_data"]["id"]) for name in ("vlan10", "vlan100")}
    assert tags == {"vlan10": ("bond0", 10), "vlan100": ("bond0", 100)}
    bond, nic = links["bond0"]["linkinfo"]["info_data"], links["eth0"]
    assert (bond["mode"], bond["miimon"]) == ("active-backup", 100)
    for bridge in ("br0", "br100"):
        assert links[bridge]["linkinfo"]["info_data"]["stp_state"] == 0
        assert links[bridge]["address"] == links["bond0"]["address"] == nic.get("permaddr", nic["address"])
    found = {(name, each["local"]) for name, link in links.items() for each in link["addr_info"]
             if name not in ("lo", "br0")}
    assert found == set(), f"{manager}: addresses where none belong"
    state = machines.read_state(manager)
    assert {(name, address) for name, address, _length in state["addresses"] if name == "br0"} == {
        ("br0", ADDRESSES[manager])}
    assert state["default"] == {("br0", GATEWAY)}


def test_connection_that_ansible_uses_moves_into_its_vlan_on_a_bond(
    machines: TrunkMachines, operators: dict[str, tuple[Any, str]]
) -> None:
    for manager, (state, _configuration) in operators.items():
        assert state["addresses"] == {("eth0", ADDRESSES[manager], 24)}
    run = machines.play(machines.plans(), host_network_timeout=PATIENT)
    assert {manager: counts["changed"] for manager, counts in run.recap.items()} == dict.fromkeys(MANAGERS, 1)
    for manager in MANAGERS:
        check_links(machines, manager)
        assert machines.is_reached(manager)


@pytest.mark.parametrize("_round", ROUNDS)
def test_wrong_vlan_cuts_the_host_off_and_its_timer_brings_it_back(machines: TrunkMachines, _round: int) -> None:
    before = read_all(machines)
    run = machines.play(machines.plans(11), check=False, host_network_timeout=BOUND)
    told = {manager: (counts["failed"], counts["unreachable"]) for manager, counts in run.recap.items()}
    assert told == dict.fromkeys(MANAGERS, (1, 0)), run.output
    for words in ("Wrong: no connection", "The host has gone back to its old state (by its timer)."):
        assert run.output.count(words) >= len(MANAGERS), run.output
    assert "Still missing" not in run.output, run.output
    assert read_all(machines) == before
    for manager in MANAGERS:
        assert machines.is_reached(manager)


def test_all_is_there_after_a_reboot_and_a_second_run_changes_nothing(machines: TrunkMachines) -> None:
    machines.reboot()
    for manager in MANAGERS:
        wait_until(functools.partial(machines.is_reached, manager), 120, f"{manager} answers in its VLAN")
        check_links(machines, manager)
    run = machines.play(machines.plans())
    assert run.changed == 0, run.output


def test_empty_plan_gives_everything_back_to_the_operator(
    machines: TrunkMachines, operators: dict[str, tuple[Any, str]]
) -> None:
    run = machines.play(dict.fromkeys(MANAGERS, []), host_network_timeout=PATIENT)
    assert {manager: counts["changed"] for manager, counts in run.recap.items()} == dict.fromkeys(MANAGERS, 1)
    for manager, (state, configuration) in operators.items():
        assert machines.read_configuration(manager) == configuration
        assert machines.read_state(manager) == state
