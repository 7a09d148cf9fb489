# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a lab keeps what it knows: its name, its folders, its records, its lock.

Standard library only: Ansible's connection plugin reads the state with these functions too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import LabError

BASE = Path("/run/vmcluster-lab")
CHECKOUT = Path(__file__).resolve().parents[2]
LAB_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")


def default_lab_name(checkout: Path = CHECKOUT) -> str:
    """The lab's name: $VMCLUSTER_LAB, or a short hash of the checkout's path, so that two clones do not clash."""
    return os.environ.get("VMCLUSTER_LAB") or hashlib.sha256(str(checkout).encode()).hexdigest()[:6]


def check_lab_name(name: str) -> str:
    """Return the name when it can stand in the names of namespaces and cgroups."""
    if not LAB_NAME.fullmatch(name):
        raise LabError(f"lab name {name!r}: use at most 24 of a-z, 0-9 and -, a letter or digit first")
    return name


@dataclass(frozen=True)
class Process:
    """A process that can't be mistaken for a later one with the same pid."""

    pid: int
    start: int

    def is_alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return read_process_start(self.pid) == self.start


def read_process_start(pid: int) -> int | None:
    """When the process was started, in clock ticks since boot; None when there is none or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def find_process(pid: int) -> Process | None:
    """The process that has this pid now."""
    start = read_process_start(pid)
    return None if start is None else Process(pid, start)


@dataclass(frozen=True)
class HostRecord:
    """What a host's supervisor last knew. `phase` is off, booting, up, stopping or failed."""

    phase: str = "off"
    leader: Process | None = None
    supervisor: Process | None = None
    boots: int = 0
    message: str = ""

    @property
    def actual_phase(self) -> str:
        """The phase, or `crashed` when the processes that the record names are gone."""
        if self.phase in ("off", "failed"):
            return self.phase
        if self.supervisor is None or not self.supervisor.is_alive():
            return "crashed"
        if self.phase == "up" and (self.leader is None or not self.leader.is_alive()):
            return "stopping"
        return self.phase


@dataclass(frozen=True)
class GuestRecord:
    """How a guest is to be run, and the agent process that runs it.

    kind: `namespace`, or `qemu`, which boots the kernel and initramfs in `image` with the qemu in `roots`.
    """

    vm: str
    node: str
    interface: str
    addresses: tuple[str, ...] = ()
    gateway4: str = ""
    gateway6: str = ""
    mac: str = ""
    make: str = ""
    bridge: str = ""
    kind: str = "namespace"
    image: str = ""
    roots: str = ""
    agent: Process | None = None
    phase: str = "off"
    message: str = ""

    def is_running(self) -> bool:
        """Whether the guest's agent lives."""
        return self.agent is not None and self.agent.is_alive()


class LabState:
    """The folder of one lab under /run and the records in it."""

    def __init__(self, name: str, base: Path = BASE) -> None:
        self.name = check_lab_name(name)
        self.base = base
        self.folder = base / name
        self.key = self.folder / "ssh" / "id_ed25519"
        self.known_hosts = self.folder / "ssh" / "known_hosts"

    @property
    def topology_file(self) -> Path:
        return self.folder / "topology.json"

    def is_up(self) -> bool:
        """Whether a lab of this name has been made and not been taken down."""
        return self.topology_file.exists()

    def host_folder(self, host: str) -> Path:
        return self.folder / "hosts" / host

    def host_netns(self, host: str) -> str:
        return f"vmlab.{self.name}.{host}"

    @property
    def wires_netns(self) -> str:
        """The namespace of the lab's switches; a host can't have this name, as host names have no capitals."""
        return f"vmlab.{self.name}.WIRES"

    def read_host(self, host: str) -> HostRecord:
        """A host's record; one that was never started is `off`."""
        found = read_json(self.host_folder(host) / "record.json")
        if found is None:
            return HostRecord()
        found["leader"] = Process(**found["leader"]) if found["leader"] else None
        found["supervisor"] = Process(**found["supervisor"]) if found["supervisor"] else None
        return HostRecord(**found)

    def write_host(self, host: str, record: HostRecord) -> None:
        write_json(self.host_folder(host) / "record.json", asdict(record))

    def guest_file(self, vm: str) -> Path:
        return self.folder / "guests" / f"{vm}.json"

    def read_guest(self, vm: str) -> GuestRecord | None:
        """A guest's record, None when the lab has no such guest."""
        found = read_json(self.guest_file(vm))
        if found is None:
            return None
        found["agent"] = Process(**found["agent"]) if found["agent"] else None
        found["addresses"] = tuple(found["addresses"])
        return GuestRecord(**found)

    def write_guest(self, record: GuestRecord) -> None:
        write_json(self.guest_file(record.vm), asdict(record))

    def read_guests(self) -> list[GuestRecord]:
        """All guests of the lab, by name."""
        names = sorted(path.stem for path in (self.folder / "guests").glob("*.json"))
        return [record for record in map(self.read_guest, names) if record]

    @contextlib.contextmanager
    def locked(self, timeout: float = 120.0) -> Iterator[None]:
        """Hold the lab's lock: one change to the lab at a time. The lock ends with the process, however it ends."""
        self.base.mkdir(parents=True, exist_ok=True)
        with locked_file(self.base / f"{self.name}.lock", timeout, f"lab {self.name} is being changed by another"):
            yield


@contextlib.contextmanager
def locked_file(path: Path, timeout: float, complaint: str) -> Iterator[None]:
    """Hold an exclusive lock on the file, which is made and removed as needed; give up after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        handle = open(path, "a+")  # closed below; a with-block can't span the retries
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A former holder removes the file: a lock on a removed file locks nobody out.
            if path.exists() and os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                break
        except (BlockingIOError, FileNotFoundError):
            pass
        handle.close()
        if time.monotonic() > deadline:
            raise LabError(f"{complaint} (waited {timeout:.0f} s for {path})")
        time.sleep(0.05)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        handle.close()


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file, None when there is no file."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    if not isinstance(found, dict):
        raise LabError(f"{path} is damaged; run `lab/lab down` and start anew")
    return found


def write_json(path: Path, content: object) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.rename(path)
