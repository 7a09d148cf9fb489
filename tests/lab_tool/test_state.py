# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from vmlab import guests
from vmlab.cli import parse_duration
from vmlab.enter import command_prefix
from vmlab.errors import LabError
from vmlab.hosts import raise_inotify_limit
from vmlab.qemu import listens
from vmlab.roots import provide_folder
from vmlab.state import (
    GuestRecord,
    HostRecord,
    LabState,
    Process,
    default_lab_name,
    find_process,
    locked_file,
    write_json,
)


@pytest.fixture
def state(tmp_path: Path) -> LabState:
    return LabState("test", base=tmp_path)


def own_process() -> Process:
    found = find_process(os.getpid())
    assert found
    return found


def test_two_checkouts_have_labs_of_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VMCLUSTER_LAB", raising=False)
    assert default_lab_name(Path("/a")) != default_lab_name(Path("/b"))
    monkeypatch.setenv("VMCLUSTER_LAB", "mine")
    assert default_lab_name(Path("/a")) == "mine"


@pytest.mark.parametrize("name", ["", "a.b", "A", "../x", "a" * 25, "-a"])
def test_a_name_that_would_break_namespaces_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="lab name"):
        LabState(name)


def test_records_are_read_as_they_were_written(state: LabState) -> None:
    host = HostRecord("up", own_process(), own_process(), 2)
    guest = GuestRecord("web1", "node1", "web1_net0", ("203.0.113.1/32",), agent=own_process())
    state.write_host("node1", host)
    state.write_guest(guest)
    assert state.read_host("node1") == host
    assert state.read_guests() == [guest]


def test_a_host_that_was_never_started_is_off(state: LabState) -> None:
    assert state.read_host("node1").actual_phase == "off"


def test_a_pid_that_was_used_again_is_another_process() -> None:
    own = own_process()
    assert own.is_alive()
    assert not Process(own.pid, own.start + 1).is_alive()


def test_a_process_that_ended_is_dead_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert find_process(child.pid) is None
    child.wait()


def test_a_host_whose_supervisor_is_gone_has_crashed() -> None:
    gone = Process(own_process().pid, 0)
    assert HostRecord("up", own_process(), gone).actual_phase == "crashed"
    assert HostRecord("up", gone, own_process()).actual_phase == "stopping"
    assert HostRecord("up", own_process(), own_process()).actual_phase == "up"


def test_a_damaged_record_names_the_remedy(state: LabState) -> None:
    write_json(state.guest_file("web1"), [])
    with pytest.raises(LabError, match="lab/lab down"):
        state.read_guest("web1")


def test_a_host_that_can_not_be_entered_names_the_command_to_run(state: LabState) -> None:
    with pytest.raises(LabError, match="run: lab/lab up"):
        command_prefix(state, "node1")
    write_json(state.topology_file, {})
    with pytest.raises(LabError, match="no host 'node1'"):
        command_prefix(state, "node1")
    state.write_host("node1", HostRecord())
    with pytest.raises(LabError, match="run: lab/lab host start node1"):
        command_prefix(state, "node1")
    state.write_guest(GuestRecord("web1", "node1", "web1_net0"))
    with pytest.raises(LabError, match="run: lab/lab guest start web1"):
        command_prefix(state, "web1")


def test_a_held_lock_is_waited_for_with_a_bound_and_leaves_no_file(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locked_file(lock, 1, "busy"), pytest.raises(LabError, match="busy"), locked_file(lock, 0.1, "busy"):
        pass
    assert not lock.exists()


def test_the_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []

    def work() -> None:
        for _ in range(20):
            with locked_file(tmp_path / "lock", 20, "busy"):
                inside.append(1)
                assert len(inside) == 1
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside


def test_a_builder_that_fails_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        (draft / "root").mkdir(parents=True)
        raise LabError("no")

    def build(draft: Path) -> None:
        (draft / "root").mkdir(parents=True)

    final = tmp_path / "roots" / "bookworm-1"
    (tmp_path / "roots" / "bookworm-1.draft" / "root" / "half").mkdir(parents=True)  # of one that was killed
    with pytest.raises(LabError):
        provide_folder(final, fail, lambda _what: None)
    assert list((tmp_path / "roots").iterdir()) == []
    said: list[str] = []
    provide_folder(final, build, said.append)
    provide_folder(final, fail, said.append)  # it's there: nothing is built
    assert list((tmp_path / "roots").iterdir()) == [final]
    assert len(said) == 2


def test_a_guest_gets_host_routes_of_its_addresses_unless_told_otherwise() -> None:
    wanted = GuestRecord("web1", "node1", "web1_net0", ("203.0.113.1", "2001:db8::1", "10.0.0.1/24"))
    assert guests.check_guest(wanted).addresses == ("203.0.113.1/32", "2001:db8::1/128", "10.0.0.1/24")


@pytest.mark.parametrize(
    "wrong",
    [
        {"addresses": ("203.0.113.999",)},
        {"gateway4": "fe80::1"},
        {"gateway6": "10.0.0.1"},
        {"vm": "Web_1"},
    ],
)
def test_a_guest_with_a_mistake_is_refused(wrong: dict[str, object]) -> None:
    record = GuestRecord(**{"vm": "web1", "node": "node1", "interface": "web1_net0", **wrong})  # type: ignore[arg-type]
    with pytest.raises(LabError, match="guest"):
        guests.check_guest(record)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("2m", 120), ("3", 3)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_the_limit_of_inotify_instances_is_raised_and_never_lowered(tmp_path: Path) -> None:
    limit = tmp_path / "max_user_instances"
    for found, wanted in (("128\n", 4096), ("4096\n", 4096), ("65536\n", 65536)):
        limit.write_text(found)
        raise_inotify_limit(limit)
        assert int(limit.read_text()) == wanted
    raise_inotify_limit(tmp_path / "absent")


def test_a_control_socket_that_is_there_and_not_listened_to_yet_is_not_taken_for_a_qemu(tmp_path: Path) -> None:
    path = tmp_path / "qmp"
    assert not listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert path.exists() and not listens(path)
        server.listen()
        assert listens(path)
