# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which a change is begun, confirmed and forgotten: wherever that is cut short, there is a way back."""

from __future__ import annotations

import errno
import json
import os

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import apply, host_apply, host_change

RECORD = {"id": "it", "apply": {}, "rollback": {}}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A folder that stands for the host; `host.done` is what was done, in order. `host.dies_at` ends the process."""
    for name in ("CHANGE_PATH", "APPLIED_PATH", "OUTCOME_PATH"):
        path = getattr(host_change, name)
        monkeypatch.setattr(host_change, name, str(tmp_path / path.rpartition("/")[2]))
    monkeypatch.setattr(host_change, "FOLDER", str(tmp_path))
    monkeypatch.setattr(host_change, "LOCK_PATH", str(tmp_path / "lock"))
    host = Host(tmp_path)
    write_file, remove_file, fsync = apply.write_file, apply.remove_file, os.fsync
    monkeypatch.setattr(apply, "run_command", lambda argv, **_options: host.do(" ".join(map(host.shorten, argv))))
    monkeypatch.setattr(host_apply, "ask", lambda *argv: host.do(" ".join(map(host.shorten, argv))) or host.states)
    monkeypatch.setattr(apply, "write_file", lambda path, text, mode: (
        host.do(f"write {host.shorten(path)}"), write_file(path, text, mode)))
    monkeypatch.setattr(apply, "remove_file", lambda path: (
        host.do(f"remove {host.shorten(path)}"), remove_file(path)))
    monkeypatch.setattr(host_apply.os, "fsync", lambda handle: (
        host.do("sync") if os.path.isdir(f"/proc/self/fd/{handle}") else None, fsync(handle)))
    return host


class Host:
    def __init__(self, folder):
        self.folder, self.done, self.dies_at, self.states = folder, [], "", ""

    def shorten(self, word):
        return word.replace(f"{self.folder}/", "").replace(f"{host_change.UNIT}-", "")

    def do(self, what):
        if self.dies_at and self.dies_at in what:
            raise OSError(errno.ENOSPC, what)
        self.done.append(what)

    def at(self, words):
        """The place of the first that was done and has these words."""
        found = [number for number, what in enumerate(self.done) if words in what]
        assert found, (words, self.done)
        return found[0]

    @property
    def open(self):
        return (self.folder / "change.json").exists()


def test_a_change_is_on_record_only_when_its_timer_runs_and_begins_only_when_the_record_is_on_the_disk(host):
    host_apply.start_change(RECORD, (), 70)
    assert host.at("--unit=rollback-it") < host.at("write change.json") < host.at("sync") < host.at("--unit=apply-it")
    assert json.loads((host.folder / "change.json").read_text()) == RECORD


@pytest.mark.parametrize("where", ["write change.json", "--unit=apply-it"])
def test_a_change_that_cannot_be_begun_is_forgotten_with_its_timer(host, where):
    host.dies_at = where
    with pytest.raises(OSError, match="change.json|apply-it"):
        host_apply.start_change(RECORD, (), 70)
    assert not host.open
    assert host.done[-1] == "systemctl stop rollback-it.timer"


def test_a_change_without_a_timer_is_not_recorded(host):
    host.dies_at = "--unit=rollback-it"
    with pytest.raises(OSError, match="rollback-it"):
        host_apply.start_change(RECORD, (), 70)
    assert not host.open


def test_a_change_is_confirmed_by_forgetting_its_record_and_the_timer_goes_last(host):
    """Cut short before, the timer takes it back; the second try of the controller is not in the way."""
    (host.folder / "change.json").write_text(json.dumps(RECORD))
    assert host_apply.confirm_change("it")
    assert host.at("write outcome.json") < host.at("remove change.json") < host.at("sync") < host.at("systemctl stop")
    assert host_apply.read_outcome("it")["outcome"] == "confirmed"
    assert not host_apply.confirm_change("it")


def test_a_confirmation_that_was_cut_short_counts_for_nothing(host):
    (host.folder / "change.json").write_text(json.dumps(RECORD))
    host.dies_at = "remove change.json"
    with pytest.raises(OSError, match="change.json"):
        host_apply.confirm_change("it")
    assert host.open and host_apply.read_outcome("it") is None
    assert not [what for what in host.done if "systemctl stop" in what], "its timer runs"
    host.dies_at = ""
    assert host_apply.confirm_change("it") and host_apply.read_outcome("it")["outcome"] == "confirmed"


@pytest.mark.parametrize(("states", "sent"), [
    ("inactive\ninactive\ninactive\ninactive\n", True), ("inactive\nfailed\ninactive\ninactive\n", True),
    ("active\ninactive\ninactive\ninactive\n", False), ("inactive\nactivating\ninactive\ninactive\n", False)])
def test_an_open_change_is_sent_back_when_nothing_else_will_do_that(host, states, sent):
    host.states = states
    (host.folder / "change.json").write_text(json.dumps(RECORD))
    assert host_apply.see_return("it") == []
    assert any("--unit=return-it" in what for what in host.done) == sent


def test_a_change_that_could_not_be_taken_back_whole_is_told_and_not_tried_again_and_again(host):
    host.states = "inactive\n"
    (host.folder / "change.json").write_text(json.dumps(RECORD))
    told = {"id": "it", "outcome": "rolled back", "by": "timer", "failures": ["/etc/x: No space left"], "missing": []}
    (host.folder / "outcome.json").write_text(json.dumps(told))
    assert host_apply.see_return("it") == ["/etc/x: No space left"]
    assert not any("--unit=return-it" in what for what in host.done)
    (host.folder / "change.json").unlink()
    assert host_apply.see_return("it") == [], "it has ended in between"
