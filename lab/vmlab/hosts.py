# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Switching hosts on and off, and waiting for what comes of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from . import cgroups, wiring
from .commands import run_command
from .enter import host_prefix
from .errors import LabError
from .guests import kill_guests_of
from .helpers import start_helper
from .state import HostRecord, LabState, read_json
from .topology import Topology

UP_TIMEOUT = 120.0
OFF_TIMEOUT = 60.0
RUNNING = ("booting", "up", "stopping")
Supervisor = subprocess.Popen[bytes] | None
Tell = Callable[[str, str], None]
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 4096
POWER_OFF = signal.SIGRTMIN + 4  # what systemd takes for `systemctl poweroff`


def raise_inotify_limit(limit: Path = INOTIFY_LIMIT, enough: int = INOTIFY_INSTANCES) -> None:
    """Let the machine's root have inotify instances for many hosts; a limit that is high enough stays.

    A systemd takes five. Linux gives a user 128, all hosts of all labs count as one user, and a systemd that gets none
    ends with 255 without a word.
    """
    with contextlib.suppress(OSError):  # read-only in some containers; then it may be high enough
        if int(limit.read_text()) < enough:
            limit.write_text(f"{enough}\n")


def switch_on(state: LabState, host: str) -> subprocess.Popen[bytes] | None:
    """Start a host's supervisor, which boots it; None for a host that is on already, which stays as it is."""
    record = state.read_host(host)
    if record.actual_phase in RUNNING:
        return None
    kill_guests_of(state, host)  # what a supervisor that was killed has left
    cgroups.kill_group(state.name, f"host.{host}")
    state.write_host(host, HostRecord(boots=record.boots))
    roots = (read_json(state.folder / "roots.json") or {})[host]
    return start_helper(
        state, "tools", state.host_folder(host) / "supervisor.log", "supervisor", state.name, host, *roots
    )


def wait_until_up(state: LabState, started: Mapping[str, Supervisor], tell: Tell) -> None:
    """Wait until hosts are up, telling each change; one that fails is a LabError with the end of its console.

    `started` has the supervisor of each host when it was started just now.
    """
    waiting = dict.fromkeys(started, "")
    deadline = time.monotonic() + UP_TIMEOUT
    while waiting:
        for host in list(waiting):
            phase = read_phase(state, host, started[host])
            if phase != waiting[host]:
                tell(host, phase)
                waiting[host] = phase
            if phase == "up":
                del waiting[host]
            elif phase not in ("starting", *RUNNING):
                logs = [tail(state.host_folder(host) / log) for log in ("console.log", "supervisor.log")]
                raise LabError(
                    "\n".join((f"host {host} did not boot: {state.read_host(host).message or phase}", *logs))
                )
        if time.monotonic() > deadline:
            raise LabError(f"not up after {UP_TIMEOUT:.0f} s: {', '.join(waiting)}")
        time.sleep(0.02)


def read_phase(state: LabState, host: str, supervisor: Supervisor) -> str:
    """A host's phase, `starting` while its supervisor has not written anything yet."""
    ended = supervisor is None or supervisor.poll() is not None  # first: what it wrote at last is to be seen
    phase = state.read_host(host).actual_phase
    return "starting" if phase == "off" and not ended else phase


def switch_off(state: LabState, host: str) -> None:
    """Shut a host down as its power button would, and wait until it is off."""
    record = state.read_host(host)
    if record.actual_phase not in RUNNING:
        return
    if record.leader is None:
        raise LabError(f"host {host} is only starting; wait, or: lab/lab host kill {host}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(record.leader.pid, POWER_OFF)
    wait_until_off(state, host)


def wait_until_off(state: LabState, host: str) -> None:
    """Wait until a host's supervisor has ended."""
    record = state.read_host(host)
    wait_for(
        lambda: record.supervisor is None or not record.supervisor.is_alive(),
        OFF_TIMEOUT,
        f"host {host} is not off after {OFF_TIMEOUT:.0f} s",
    )


def cut_power(state: LabState, topology: Topology, host: str) -> None:
    """Take a host's power away: wires dark at once, nothing is shut down."""
    wiring.unplug_host(state, topology, topology.host(host))
    kill_guests_of(state, host)
    cgroups.kill_group(state.name, f"host.{host}")
    wait_until_off(state, host)
    record = state.read_host(host)
    if record.actual_phase == "crashed":  # nobody is left to write it down
        state.write_host(host, HostRecord(boots=record.boots))


def reboot(state: LabState, host: str, *, wait: bool) -> None:
    """Ask a host to reboot, and wait until it is up again."""
    boots = state.read_host(host).boots
    run_command([*host_prefix(state, host), "systemctl", "--no-block", "reboot"])
    if not wait:
        return
    wait_for(lambda: state.read_host(host).boots > boots, OFF_TIMEOUT, f"host {host} does not reboot")
    wait_until_up(state, {host: None}, lambda _host, _phase: None)


def wait_for(is_so: Callable[[], bool], timeout: float, complaint: str) -> None:
    """Wait until it is so, at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > deadline:
            raise LabError(complaint)
        time.sleep(0.02)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, as much as there is."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
