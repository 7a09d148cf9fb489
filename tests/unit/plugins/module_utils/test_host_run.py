# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers at one host: what one of them has read and planned, the other does not change."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import host_apply, host_run

PARAMS = {"step": "change", "timeout": 90}


@pytest.fixture
def host(monkeypatch):
    """A host whose open change is host["open"]; host["done"] is what was done, in order."""
    host = {"open": {}, "meanwhile": {}, "done": []}

    @contextlib.contextmanager
    def hold_network():
        host["done"].append("hold")
        host["open"] = host["open"] or host["meanwhile"]
        yield
        host["done"].append("release")

    monkeypatch.setattr(host_apply, "hold_network", hold_network)
    monkeypatch.setattr(host_apply, "read_pending", lambda: host["open"])
    monkeypatch.setattr(host_apply, "see_return", lambda name: (
        host["done"].append(f"return {name}") or host.get("hindrances", [])))
    monkeypatch.setattr(host_run, "_read", lambda params: host["done"].append("read"))
    monkeypatch.setattr(host_run, "_tell_change", lambda reading: {"changed": False})
    return host


def test_the_host_is_read_while_nobody_else_can_begin(host):
    assert host_run.run(PARAMS, False) == {"changed": False}
    assert host["done"] == ["hold", "read", "release"]


def test_of_two_controllers_the_second_waits_for_what_the_first_has_begun(host):
    host["meanwhile"] = {"id": "theirs"}
    assert host_run.run(PARAMS, False)["waiting_for"] == "theirs"
    assert "read" not in host["done"]


def test_an_open_change_is_made_sure_to_go_back_and_waited_for(host):
    host["open"] = {"id": "theirs"}
    assert host_run.run(PARAMS, False) == {"changed": False, "waiting_for": "theirs", "seconds": 90}
    assert host["done"] == ["return theirs"]


def test_a_change_that_is_stuck_is_told_with_its_remedy(host):
    host.update(open={"id": "theirs"}, hindrances=["/etc/x: No space left"])
    told = host_run.run(PARAMS, False)
    assert told["failed"] and "/etc/x: No space left" in told["msg"], told
    assert "vmcluster-host-network rollback me" in told["msg"]


def test_check_mode_waits_for_nobody(host):
    host["open"] = {"id": "theirs"}
    assert host_run.run(PARAMS, True) == {"changed": False}
    assert host["done"] == ["read"]
