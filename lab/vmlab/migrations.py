# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guests that move live while migrate_vm.yml runs: the hypervisor's part of a migration, and its events."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cluster import Cluster
from .errors import LabError
from .lab import Lab
from .netns import inside_netns, named_netns
from .playbooks import PlaybookRun, kill_with_workers, playbook_command, playbook_environment
from .qemu import Move
from .state import CHECKOUT
from .stories import wait_until

AGENTS = "run/vmcluster/migrations"
TICK_PORT = 7770
TICK_TIMEOUT = 60.0  # seconds
ECHO_PORT, ECHO_EVERY = 7, 0.01


class Migration:
    """A run of migrate_vm.yml in the background; `with` waits for its end, and ends it after an error of its own."""

    def __init__(self, cluster: Cluster, moves: dict[str, str], **options: Any) -> None:
        self.cluster, self.moves, self.options = cluster, moves, options
        self.run: PlaybookRun | None = None
        self.error: BaseException | None = None
        self.processes: list[subprocess.Popen[str]] = []
        self.thread = threading.Thread(target=self._play)

    def __enter__(self) -> Migration:
        self.thread.start()
        return self

    def __exit__(self, error: object, *_more: object) -> None:
        if error is None:
            self.finish()
            return
        for process in self.processes:
            if process.poll() is None:
                kill_with_workers(process)
        self.thread.join()

    def _play(self) -> None:
        vms = [{"name": vm, "node": node} for vm, node in self.moves.items()]
        extra = {"vms": vms, **self.options.pop("extra", {})}
        try:
            self.run = self.cluster.play("migrate_vm.yml", extra=extra, begun=self.processes.append, **self.options)
        except BaseException as error:
            self.error = error

    def wait_until_armed(self, seconds: float = 90) -> None:
        """Wait until both agents of every VM are armed; a LabError when the playbook ends before."""
        for vm, target in self.moves.items():
            source = next(guest.node for guest in self.cluster.lab.guests() if guest.vm == vm)
            for node in (source, target):
                wait_until(lambda node=node, vm=vm: self._is_armed(node, vm),  # type: ignore[misc]
                           seconds, f"{vm} is armed on {node}", 0.02)

    def _is_armed(self, node: str, vm: str) -> bool:
        state = agent_state(self.cluster.lab, node, vm)
        if state is None and not self.thread.is_alive():
            raise LabError(f"migrate_vm.yml ended before {vm} was armed on {node}:\n{self.error or self.run}")
        return state is not None

    def finish(self) -> PlaybookRun:
        """Wait for the playbook's end; a LabError when it failed and was not to."""
        self.thread.join()
        if self.error is not None:
            raise self.error
        assert self.run is not None
        return self.run


def kill_controller_when(cluster: Cluster, vm: dict[str, Any], moment: Callable[[], bool], **extra: Any) -> None:
    """Run migrate_vm.yml for a VM, and SIGKILL it and its workers at a moment."""
    kill_playbook_when(cluster, "migrate_vm.yml", {"vms": [vm], **extra}, moment)


def kill_playbook_when(cluster: Cluster, playbook: str, extra: dict[str, Any], moment: Callable[[], bool]) -> None:
    """Run a playbook, and SIGKILL it and its workers at a moment."""
    process = subprocess.Popen(
        playbook_command(f"playbooks/{playbook}", "-e", json.dumps(extra), inventory=cluster.inventory),
        cwd=CHECKOUT, env=playbook_environment(cluster.lab.name), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        text=True, start_new_session=True)
    try:
        wait_until(moment, 120, "the moment has come", 0.01)
    finally:
        kill_with_workers(process)
        process.wait()


def agent_folder(lab: Lab, node: str) -> Path:
    """The folder of a node's migration agents, as the lab sees it."""
    leader = lab.host_record(node).leader
    if leader is None:
        raise LabError(f"{node} is off")
    return Path(f"/proc/{leader.pid}/root/{AGENTS}")


def agent_state(lab: Lab, node: str, vm: str, nic: int = 0) -> str | None:
    """What state the agent of a VM's interface says it is in; None where there is none."""
    try:
        told = json.loads((agent_folder(lab, node) / f"{vm}_net{nic}.state").read_text())
    except (OSError, ValueError):
        return None
    return str(told["state"]) if "state" in told else None


def tell_agent(lab: Lab, node: str, vm: str, event: str, nic: int = 0) -> None:
    """Tell an agent of a hypervisor's event, as a driver on the node does: `stopped` or `running`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(event.encode(), str(agent_folder(lab, node) / f"{vm}_net{nic}.sock"))


def move_guest(lab: Lab, vm: str, target: str, *, tell: bool = True, downtime: float = 0.0) -> Move:
    """Move a guest; with `tell`, as under a hypervisor that tells of its STOP, else the agents see frames alone."""
    source = next(guest.node for guest in lab.guests() if guest.vm == vm)
    at_stop = (lambda: tell_agent(lab, source, vm, "stopped")) if tell else None
    return lab.guest_move(vm, target, at_stop=at_stop, downtime=downtime)


class Ticks:
    """A TCP connection from a host to a qemu guest, which sends a number every 10 ms; it is read in the background."""

    def __init__(self, lab: Lab, host: str, address: str) -> None:
        with inside_netns(named_netns(lab.state.host_netns(host))):
            self.link = socket.create_connection((address, TICK_PORT), timeout=TICK_TIMEOUT)
        self.count, self.longest_gap, self.wrong = -1, 0.0, ""
        self.ends = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self) -> Ticks:
        return self

    def __exit__(self, *_error: object) -> None:
        self.ends = True
        with contextlib.suppress(OSError):
            self.link.shutdown(socket.SHUT_RDWR)
        self.reader.join(TICK_TIMEOUT)
        self.link.close()

    def _read(self) -> None:
        began = time.monotonic()
        try:
            with self.link.makefile("rb") as stream:
                for line in stream:
                    now = time.monotonic()
                    began, self.longest_gap = now, max(self.longest_gap, now - began)
                    if int(line) != self.count + 1:
                        self.wrong = f"{line!r} after {self.count}"
                        return
                    self.count += 1
            self.wrong = "" if self.ends else "the guest has closed it"
        except (OSError, ValueError) as error:
            self.wrong = "" if self.ends else str(error)

    def check(self) -> None:
        """Wait until more comes; a LabError when the connection is lost, or a number is."""
        count = self.count
        wait_until(lambda: self.wrong or self.count > count + 2, TICK_TIMEOUT, "the guest sends over the connection")
        if self.wrong:
            raise LabError(f"the connection to the guest: {self.wrong}")


class Echoes:
    """Numbered datagrams from a host to a qemu guest, one every 10 ms, while `with` lasts: what came back, and when.

    longest_gap: seconds between two that came back; lost: those that did not.
    """

    def __init__(self, lab: Lab, host: str, address: str) -> None:
        with inside_netns(named_netns(lab.state.host_netns(host))):
            self.link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.link.settimeout(ECHO_EVERY)
        self.address, self.ends, self.longest_gap = address, False, 0.0
        self.sent, self.answered = 0, set[int]()
        self.thread = threading.Thread(target=self._run, daemon=True)

    @property
    def lost(self) -> int:
        return self.sent - len(self.answered)

    def __enter__(self) -> Echoes:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ends = True
        self.thread.join(TICK_TIMEOUT)
        self.link.close()

    def _run(self) -> None:
        last = following = time.monotonic()
        while not self.ends or time.monotonic() - following < 1:  # what is on its way yet
            if not self.ends and time.monotonic() >= following:
                with contextlib.suppress(OSError):
                    self.link.sendto(str(self.sent).encode(), (self.address, ECHO_PORT))
                self.sent, following = self.sent + 1, following + ECHO_EVERY
            try:
                number = int(self.link.recv(64))
            except (OSError, ValueError):
                continue
            now = time.monotonic()
            last, self.longest_gap = now, max(self.longest_gap, now - last)
            self.answered.add(number)
