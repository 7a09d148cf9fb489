# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done with qemu guests that run: pausing, moving live, and being an end of a probe."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from . import cgroups
from .errors import LabError
from .guests import qemu_group, read_guest, spawn_qemu
from .qemu import PORTS, Move, Qmp, move_by_qmp, place
from .state import GuestRecord, LabState, Process, find_process
from .topology import Topology

START_TIMEOUT = 60.0
PORT_TIMEOUT = 30.0
DOWNTIME = 0.3  # seconds; what qemu itself aims at


def connect_qmp(state: LabState, vm: str, node: str = "") -> Qmp:
    """The control socket of a guest's qemu: that of the node it runs on, or of another."""
    return Qmp(place(state, vm, node or read_guest(state, vm).node, "qmp"))


def prepare_move(state: LabState, vm: str, node: str, interface: str) -> Process:
    """Start a qemu on the node that a guest will move to; its agent."""
    record = read_guest(state, vm)
    if not record.is_running() or record.node == node:
        raise LabError(f"guest {vm} does not run, or runs on {node} already")
    release(state, vm)
    path = place(state, vm, node, "qmp")
    path.unlink(missing_ok=True)
    process = spawn_qemu(state, record, node, node, interface)
    deadline = time.monotonic() + START_TIMEOUT
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            cgroups.kill_group(state.name, qemu_group(vm, node))
            log = place(state, vm, node, "log").read_text(errors="replace").strip().splitlines()
            raise LabError(f"no qemu for {vm} starts on {node}: {log[-1] if log else 'no interface there'}")
        time.sleep(0.01)
    agent = find_process(process.pid)
    if agent is None:
        raise LabError(f"the qemu for {vm} on {node} has ended")
    return agent


def move(
    state: LabState, topology: Topology, vm: str, node: str, interface: str, *, downtime: float,
    at_stop: Callable[[], object] | None, at_resume: Callable[[], object] | None,
) -> Move:
    """Move a running guest live; a LabError when it stays, or is lost, and what the target had is ended then."""
    agent = prepare_move(state, vm, node, interface)
    address = topology.host(node).interfaces[0].addresses[0].partition("/")[0]
    try:
        with connect_qmp(state, vm) as source, connect_qmp(state, vm, node) as target:
            done = move_by_qmp(
                source, target, address, {"STOP": at_stop, "RESUME": at_resume}, downtime or DOWNTIME)
            told = target.execute("query-status")["status"]
            if told != "running":
                raise LabError(f"guest {vm} was lost on its way to {node}: it is {told} there")
    except LabError:
        cgroups.kill_group(state.name, qemu_group(vm, node))
        raise
    record = read_guest(state, vm)
    state.write_guest(dataclasses.replace(record, node=node, interface=interface, agent=agent))
    return done


def release(state: LabState, vm: str) -> None:
    """End the qemus of a guest on all nodes but the one that it runs on."""
    node = read_guest(state, vm).node
    for path in (state.folder / "guests").glob(f"{vm}.*.qmp"):
        other = path.name.removeprefix(f"{vm}.").removesuffix(".qmp")
        if other != node:
            cgroups.kill_group(state.name, qemu_group(vm, other))
            path.unlink(missing_ok=True)


class GuestEnd:
    """A sender or receiver of a probe inside a qemu guest, told what to do over a serial port of the guest."""

    def __init__(self, state: LabState, record: GuestRecord, *arguments: object) -> None:
        self.state, self.vm, self.node, self.name = state, record.vm, record.node, record.vm
        self.number, self.lock = self.take_port()
        self.unread = b""
        self.link = self.connect()
        self.send(f"{time.time_ns()} {' '.join(map(str, arguments))}\n")

    def take_port(self) -> tuple[int, TextIO]:
        """A port that no other probe has, and the lock that keeps it."""
        for number in range(PORTS):
            handle = open(self.state.folder / "guests" / f"{self.vm}.port{number}.lock", "w")  # closed by kill()
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return number, handle
            handle.close()
        raise LabError(f"guest {self.vm} takes part in {PORTS} streams already")

    def connect(self) -> socket.socket:
        """The port's other side, on the node that the guest runs on now."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(PORT_TIMEOUT)
        self.node = read_guest(self.state, self.vm).node
        try:
            link.connect(str(place(self.state, self.vm, self.node, f"port{self.number}")))
        except OSError as error:
            raise LabError(f"the probe cannot reach guest {self.vm}: {error}") from error
        return link

    def send(self, text: str) -> None:
        try:
            self.link.sendall(text.encode())
        except OSError as error:
            raise LabError(f"the probe's end in {self.vm}: {error}") from error

    def read(self, wanted: Callable[[bytes], bool]) -> None:
        """Read until what is unread is enough."""
        deadline = time.monotonic() + PORT_TIMEOUT
        while not wanted(self.unread):
            if not select.select([self.link], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise LabError(f"the probe's end in {self.vm} does not answer: {self.unread[:200]!r}")
            data = self.link.recv(65536)
            if not data:
                raise LabError(f"the probe's end in {self.vm} has ended")
            self.unread += data

    def read_line(self) -> str:
        """The line it says when it's ready, or in front of its result."""
        self.read(lambda unread: b"\n" in unread)
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode()

    def finish(self) -> bytes:
        """Tell it to end, and return what it saw."""
        if read_guest(self.state, self.vm).node != self.node:
            self.link.close()
            self.link = self.connect()
        self.send("stop\n")
        length = int(self.read_line())
        self.read(lambda unread: len(unread) >= length)
        result = self.unread[:length]
        if result.startswith(b"failed:"):
            raise LabError(f"the probe's end in {self.vm} {result.decode().strip()}")
        self.kill()
        return result

    def kill(self) -> None:
        """Let go of the port; the guest is told to end what it does there, if it can be."""
        with contextlib.suppress(OSError):
            self.link.sendall(b"stop\n")
        self.link.close()
        self.lock.close()


def console_of(state: LabState, vm: str) -> Path:
    """What the guest printed on its serial console, on the node that it runs on."""
    return place(state, vm, read_guest(state, vm).node, "console")
