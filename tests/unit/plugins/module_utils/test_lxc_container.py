# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of LXC: what is planned, and what becomes of a configuration that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.vmcluster.network.plugins.module_utils.lxc_container import (
    FoundContainer,
    Wanted,
    check_wanted,
    interfaces_of,
    plan_container,
    starts_with_node,
)
from ansible_collections.vmcluster.network.plugins.module_utils.lxc_host import run

FOLDER = "/var/lib/lxc"
GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1"}
NIC = {"nic": 0, "addresses": ["203.0.113.11", "2001:db8:1::11"], "gateway": GATEWAY}
NOTHING = FoundContainer(None, None, False)
OPERATORS = """lxc.uts.name = ct1
lxc.net.0.type = veth
lxc.net.0.link = lxcbr0
lxc.start.auto = 1
lxc.rootfs.path = dir:/srv/ct1
"""


def wish(**keys: Any) -> Wanted:
    entry = {"name": "ct1", "state": "running", "adopt": False, "nics": [NIC], **keys}
    wanted, mistakes = check_wanted([entry], FOLDER)
    assert not mistakes
    return wanted[0]


def carry_out(wanted: Wanted, found: FoundContainer) -> FoundContainer:
    """What a host has after the plan."""
    steps, mistakes = plan_container(wanted, found, FOLDER)
    assert not mistakes
    texts = {f"{FOLDER}/ct1/config": found.config, f"{FOLDER}/ct1/vmcluster.conf": found.network}
    running = found.running
    for step in steps:
        for command in step.commands:
            verb, _steps, rest = command.partition(" ")
            path, _steps, text = rest.partition(" ")
            if verb in ("write", "remove"):
                texts[path] = text if verb == "write" else None
            running = {"start": True, "stop": False}.get(verb, running)
    return FoundContainer(*texts.values(), running)


def test_a_new_container_is_given_the_other_end_of_its_interface() -> None:
    made = carry_out(wish(), NOTHING)
    assert made.running and made.network is not None and made.config is not None
    assert made.network.splitlines()[1:] == [
        "lxc.start.auto = 1", "lxc.net.0.type = phys", "lxc.net.0.link = ct1_vm0", "lxc.net.0.name = eth0",
        "lxc.net.0.flags = up", "lxc.net.0.ipv4.address = 203.0.113.11/32", "lxc.net.0.ipv4.gateway = 10.255.255.1",
        "lxc.net.0.ipv6.address = 2001:db8:1::11/128", "lxc.net.0.ipv6.gateway = fe80::1"]
    assert made.config.splitlines()[-1] == "lxc.include = /var/lib/lxc/ct1/vmcluster.conf"


def test_a_container_that_is_as_described_needs_nothing() -> None:
    assert plan_container(wish(), carry_out(wish(), NOTHING), FOLDER) == ((), [])


def test_a_family_has_one_gateway_that_of_its_first_card() -> None:
    second = {**NIC, "nic": 1, "addresses": ["203.0.113.12"]}
    made = carry_out(wish(nics=[second, NIC]), NOTHING)
    assert made.network is not None and made.network.count("gateway") == 2
    assert "lxc.net.1.ipv4.address = 203.0.113.12/32" in made.network


def test_a_container_of_others_is_refused_unless_it_is_to_be_adopted() -> None:
    for state in ("running", "stopped", "absent"):
        steps, mistakes = plan_container(wish(state=state), FoundContainer(OPERATORS, None, True), FOLDER)
        assert not steps and "adopt" in mistakes[0]


def test_an_adopted_container_keeps_its_lines_and_its_network_is_set_aside_and_given_back() -> None:
    found = FoundContainer(OPERATORS, None, True)
    adopted = carry_out(wish(adopt=True), found)
    assert adopted.config == (
        "lxc.uts.name = ct1\n#vmcluster: lxc.net.0.type = veth\n#vmcluster: lxc.net.0.link = lxcbr0\n"
        "#vmcluster: lxc.start.auto = 1\nlxc.rootfs.path = dir:/srv/ct1\n"
        "lxc.include = /var/lib/lxc/ct1/vmcluster.conf\n")
    assert plan_container(wish(adopt=True), adopted, FOLDER) == ((), [])
    left = carry_out(wish(adopt=True, state="absent"), adopted)
    assert left == FoundContainer(OPERATORS.replace("lxc.start", "#vmcluster: lxc.start"), None, False)


def test_removal_of_our_container_stops_it_and_leaves_no_file_and_then_nothing() -> None:
    assert carry_out(wish(state="absent"), carry_out(wish(), NOTHING)) == NOTHING
    assert plan_container(wish(state="absent"), NOTHING, FOLDER) == ((), [])


def test_a_change_while_it_runs_is_written_and_it_is_not_restarted() -> None:
    made = carry_out(wish(), NOTHING)
    steps, _mistakes = plan_container(wish(nics=[{**NIC, "addresses": ["203.0.113.99"]}]), made, FOLDER)
    assert [step.thing for step in steps] == ["/var/lib/lxc/ct1/vmcluster.conf"]


def test_mistakes_are_told_together() -> None:
    entry = {"name": "c/t", "state": "running", "adopt": False, "config": ["nonsense"],
             "nics": [{"nic": 0, "addresses": ["203.0.113.11/32"]}]}
    _wanted, mistakes = check_wanted([entry, entry], FOLDER)
    assert len(mistakes) == 7


def test_a_container_of_which_only_the_network_is_told_keeps_its_configuration() -> None:
    made = carry_out(wish(rootfs="/srv/ct1", config=["lxc.apparmor.profile = unconfined"]), NOTHING)
    after = carry_out(wish(state="present", adopt=True, nics=[NIC, {**NIC, "nic": 1}]), made)
    assert after.config == made.config and after.running
    assert interfaces_of(after.network or "") == ("ct1_net0", "ct1_net1") and starts_with_node(after.network or "")


def test_a_container_that_is_only_to_stop_or_to_start_keeps_its_configuration() -> None:
    made = carry_out(wish(rootfs="/srv/ct1"), NOTHING)
    stopped = carry_out(wish(state="stopped", adopt=True, nics=None), made)
    assert stopped == made._replace(running=False)
    assert carry_out(wish(adopt=True), stopped) == made


def test_a_container_gets_another_name_and_keeps_all_else() -> None:
    made = carry_out(wish(config=["lxc.apparmor.profile = unconfined"]), NOTHING)._replace(running=False)
    wanted = wish(name="cellar", was="ct1", state="present", adopt=True)
    steps, mistakes = plan_container(wanted, NOTHING, FOLDER, made)
    assert not mistakes
    commands = [command for step in steps for command in step.commands]
    assert [command.split()[0] for command in commands] == ["write", "move", "write"]
    assert commands[1] == "move /var/lib/lxc/ct1 /var/lib/lxc/cellar"
    assert "lxc.uts.name = cellar\n" in commands[0] and "lxc.apparmor.profile = unconfined\n" in commands[0]
    assert "lxc.include = /var/lib/lxc/cellar/vmcluster.conf\n" in commands[0] and "/ct1/" not in commands[0][40:]
    assert "lxc.net.0.link = cellar_vm0\n" in commands[2]
    assert plan_container(wanted, NOTHING, FOLDER, made._replace(running=True))[1]


def test_a_container_that_is_renamed_and_started_needs_no_root_file_system_of_the_new_name(tmp_path: Path) -> None:
    folder = str(tmp_path)
    (tmp_path / "ct1").mkdir()
    (tmp_path / "ct1" / "config").write_text(OPERATORS)
    entry = {"name": "cellar", "was": "ct1", "state": "running", "adopt": True, "nics": [NIC]}
    answer = run({"folder": folder, "stop_timeout": 1, "containers": [entry]}, check_mode=True)
    assert all("no directory" not in mistake for mistake in answer.get("mistakes", [])), answer
