# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""qemu guests: the command line of their qemu, its control socket (QMP), and moving them live by it."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import LabError
from .state import GuestRecord, LabState

# The oldest of the qemu versions in the lab's systems has this one, so a guest moves between all of them.
MACHINE = "pc-i440fx-7.2"
MEMORY = 128  # MiB
PORTS = 4  # serial ports for the ends of probes
ANSWER_TIMEOUT = 30.0
MOVE_TIMEOUT = 120.0
MIGRATION_PORT = 49152

# Where the guest's qemu finds things in the root that it runs in.
RUN, IMAGE = "/mnt", "/srv"


@dataclass(frozen=True)
class Move:
    """A live migration as qemu told of it: Unix times of the source's STOP and the target's RESUME, and its length."""

    stopped_at: float
    resumed_at: float
    total_ms: float

    @property
    def pause_ms(self) -> float:
        """How long the guest stood still."""
        return (self.resumed_at - self.stopped_at) * 1000


def place(state: LabState, vm: str, node: str, what: str) -> Path:
    """A file of the qemu that runs a guest on a node: `qmp`, `console`, `port0`."""
    return state.folder / "guests" / f"{vm}.{node}.{what}"


def guest_cmdline(record: GuestRecord, mtu: int) -> str:
    """The kernel command line by which the lab's guest configures its network."""
    gateways = ",".join(filter(None, (record.gateway4, record.gateway6)))
    told = f"vm.name={record.vm} vm.addresses={','.join(record.addresses)} vm.gateways={gateways} vm.mtu={mtu}"
    return f"console=ttyS0 quiet panic=-1 mitigations=off {told}"


def qemu_argv(record: GuestRecord, node: str, interface: str, mac: str, mtu: int, incoming: bool) -> list[str]:
    """The command line of a guest's qemu, on a node's interface; with incoming it waits to be moved to."""
    files = f"{RUN}/{record.vm}.{node}"
    argv = ["qemu-system-x86_64", "-name", record.vm, "-M", f"{MACHINE},accel=tcg", "-m", str(MEMORY), "-nodefaults"]
    argv += ["-display", "none", "-no-reboot", "-kernel", f"{IMAGE}/vmlinuz", "-initrd", f"{IMAGE}/initramfs"]
    argv += ["-append", guest_cmdline(record, mtu)]
    argv += ["-chardev", f"file,id=console,path={files}.console,append=on", "-serial", "chardev:console"]
    argv += ["-qmp", f"unix:{files}.qmp,server=on,wait=off"]
    argv += ["-netdev", f"tap,id=nic0,ifname={interface},script=no,downscript=no"]
    argv += ["-device", f"virtio-net-pci,netdev=nic0,mac={mac},romfile=", "-device", "virtio-serial-pci"]
    for number in range(PORTS):
        argv += ["-chardev", f"socket,id=port{number},path={files}.port{number},server=on,wait=off"]
        argv += ["-device", f"virtserialport,nr={number + 1},chardev=port{number},name=vmlab.{number}"]
    return [*argv, "-incoming", "defer"] if incoming else argv


def listens(path: Path) -> bool:
    """Whether a qemu takes connections at its control socket, which is there a moment before it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        return link.connect_ex(str(path)) == 0


class Qmp:
    """A connection to a qemu's control socket (QEMU Machine Protocol)."""

    def __init__(self, path: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.unread = b""
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.link.settimeout(ANSWER_TIMEOUT)
        try:
            self.link.connect(str(path))
        except OSError as error:
            self.link.close()
            raise LabError(f"no qemu answers at {path}: {error}") from error
        self.read_message()  # the greeting
        self.execute("qmp_capabilities")

    def __enter__(self) -> Qmp:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def fileno(self) -> int:
        return self.link.fileno()

    def execute(self, command: str, **arguments: Any) -> Any:
        """Have qemu do something and return its answer; a LabError when it refuses."""
        self.link.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            message = self.read_message()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise LabError(f"qemu refuses {command}: {message['error']['desc']}")
            else:
                return message.get("return")

    def read_message(self) -> dict[str, Any]:
        """The next message; a LabError when qemu has ended."""
        while b"\n" not in self.unread:
            try:
                data = self.link.recv(65536)
            except OSError as error:
                raise LabError(f"qemu does not answer: {error}") from error
            if not data:
                raise LabError("qemu has ended")
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def take_events(self) -> Iterator[tuple[str, float, dict[str, Any]]]:
        """The events that have come: name, Unix time, data."""
        while self.unread or select.select([self.link], [], [], 0)[0]:
            self.events.append(self.read_message())
        events, self.events = self.events, []
        for event in events:
            stamp = event["timestamp"]
            yield event["event"], stamp["seconds"] + stamp["microseconds"] / 1e6, event.get("data", {})


def move_by_qmp(
        source: Qmp, target: Qmp, address: str, calls: Mapping[str, Callable[[], object] | None], downtime: float
) -> Move:
    """Move a guest from one qemu to another over TCP; a LabError if it fails.

    calls: what to do at the source's STOP and the target's RESUME, as soon as they are told. downtime: the longest
    pause to aim at, in seconds.
    """
    host = f"[{address}]" if ":" in address else address
    target.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    target.execute("migrate-incoming", uri=f"tcp:{host}:{MIGRATION_PORT}")
    source.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    source.execute("migrate-set-parameters", **{"downtime-limit": round(downtime * 1000), "max-bandwidth": 1 << 30})
    source.execute("migrate", uri=f"tcp:{host}:{MIGRATION_PORT}")
    began, completed = time.monotonic(), False
    times: dict[str, float] = {}
    while not (completed and "RESUME" in times):
        left = began + MOVE_TIMEOUT - time.monotonic()
        if left <= 0:
            source.execute("migrate_cancel")
            raise LabError(f"the guest has not moved within {MOVE_TIMEOUT:.0f} s")
        for qmp in select.select([source, target], [], [], left)[0]:
            for name, at, data in qmp.take_events():
                if name in ("STOP", "RESUME") and (name == "STOP") is (qmp is source):
                    times.setdefault(name, at)
                    if call := calls.get(name):
                        call()
                elif name == "MIGRATION" and data["status"] in ("failed", "cancelled"):
                    raise LabError(f"the migration has {data['status']}")
                completed |= qmp is source and name == "MIGRATION" and data["status"] == "completed"
    return Move(times["STOP"], times["RESUME"], round((time.monotonic() - began) * 1000, 1))
