# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of LXD: what is planned, and what becomes of what an operator had there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import lxd_client, lxd_host
from ansible_collections.vmcluster.network.plugins.module_utils.lxd_container import (
    FoundInstance,
    check_wanted,
    device_of,
    interfaces_of,
    plan_container,
)

CARD = {"name": "eth0", "nictype": "physical", "parent": "ct2_vm0", "type": "nic"}
OPERATORS = {"name": "eth0", "network": "lxdbr0", "type": "nic"}
MADE = FoundInstance({"user.vmcluster": "made", "boot.autostart": "true"}, {"eth0": CARD}, True)


def plan(found: FoundInstance | None, former: FoundInstance | None = None, **entry: Any) -> tuple[list[str], list[str]]:
    (wanted,), mistakes = check_wanted([{"name": "ct2", "state": "running", **entry}])
    assert not mistakes
    steps, refused = plan_container(wanted, found, former)
    return [command for step in steps for command in step.commands], refused


def written(command: str, verb: str) -> dict[str, Any]:
    assert command.startswith(verb + " ")
    return dict(json.loads(command.partition(" ")[2]))


def test_a_new_container_is_made_of_its_image_with_the_other_end_of_its_interface() -> None:
    (create, start), refused = plan(None, image="debian", config={"limits.memory": "1GiB"}, network_config="version: 2",
                                    nics=[{"nic": 0}])
    assert written(create, "create") == {
        "image": "debian", "devices": {"eth0": CARD},
        "config": {"limits.memory": "1GiB", "cloud-init.network-config": "version: 2", "boot.autostart": "true",
                   "user.vmcluster": "made"}}
    assert (start, refused) == ("start", [])
    assert device_of("ct2", 0) == CARD and interfaces_of(MADE) == ("ct2_net0",)


def test_one_that_is_as_described_needs_nothing_and_one_that_is_stopped_is_started() -> None:
    assert plan(MADE, nics=[{"nic": 0}]) == ([], [])
    assert plan(MADE._replace(running=False), nics=[{"nic": 0}]) == (["start"], [])
    assert plan(MADE, state="present", adopt=True) == ([], [])


@pytest.mark.parametrize(("found", "entry", "reason"), [
    (None, {}, "name the image of a new one"),
    (FoundInstance({}, {}, False), {}, "others made: set adopt"),
])
def test_what_cannot_be_is_refused(found: FoundInstance | None, entry: dict[str, Any], reason: str) -> None:
    commands, (refused,) = plan(found, **entry)
    assert commands == [] and reason in refused


def test_a_card_of_an_adopted_container_comes_back_when_it_is_no_longer_ours() -> None:
    (update,), _refused = plan(FoundInstance({}, {"eth0": OPERATORS}, True), adopt=True, nics=[{"nic": 0}])
    taken = written(update, "update")
    assert taken["devices"] == {"eth0": CARD} and taken["config"]["user.vmcluster"] == "adopted"
    (stop, update), _refused = plan(FoundInstance(taken["config"], taken["devices"], True), state="absent", adopt=True)
    assert (stop, written(update, "update")) == (
        "stop", {"config": {"boot.autostart": "false"}, "devices": {"eth0": OPERATORS}})


def test_one_that_is_no_vm_any_more_stays_and_is_ours_again_when_it_is_attached() -> None:
    (stop, update), _refused = plan(MADE, state="absent", adopt=True)
    left = FoundInstance(written(update, "update")["config"], {}, False)
    assert stop == "stop" and not left.ours and interfaces_of(left) == ()
    assert plan(left, state="absent", adopt=True) == ([], [])
    update, start = plan(left, nics=[{"nic": 0}])[0]
    assert written(update, "update")["config"]["user.vmcluster"] == "made" and start == "start"


def test_one_that_does_not_run_is_renamed_with_its_card() -> None:
    former = FoundInstance(MADE.config, {"eth0": device_of("old", 0)}, False)
    rename, update, start = plan(None, former, was="old", nics=[{"nic": 0}])[0]
    assert (rename, start) == ("rename old", "start")
    assert written(update, "update")["devices"] == {"eth0": CARD}
    assert plan(None, former._replace(running=True), was="old")[1] == [
        "old: runs, and a container that runs keeps its name: stop it"]


def test_a_node_without_lxd_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lxd_client, "SOCKETS", ())
    with pytest.raises(lxd_client.LxdError, match="the node has no LXD"):
        lxd_client.ask("GET", "/1.0")


def test_an_lxd_that_nobody_has_started_is_not_started_by_a_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unused, used = (tmp_path / name / "unix.socket" for name in ("lxd", "incus"))
    monkeypatch.setattr(lxd_client, "SOCKETS", (str(unused), str(used)))
    unused.parent.mkdir()
    unused.touch()
    assert lxd_host.read_guests(required=False) == []
    with pytest.raises(lxd_client.LxdError, match=f"does not answer at {unused}"):
        lxd_host.read_guests(required=True)
    used.parent.joinpath("database").mkdir(parents=True)
    used.touch()
    with pytest.raises(lxd_client.LxdError, match=f"does not answer at {used}"):
        lxd_host.read_guests(required=False)
