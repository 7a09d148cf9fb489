# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's cgroups: what every process of a lab is found by, even after its parents were killed.

Layout, in cgroup v2 and, where systemd's own v1 hierarchy is mounted beside it, there too:
vmlab.LAB/host.NAME for the processes of a host, vmlab.LAB/tools for supervisors, guest agents and probes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from .errors import LabError

CGROUPS = Path("/sys/fs/cgroup")


def find_hierarchies() -> list[Path]:
    """The mount points of cgroup v2 and of systemd's v1 hierarchy, those that this machine has."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    found = [CGROUPS / part for part in ("unified", "systemd") if (CGROUPS / part / "cgroup.procs").exists()]
    if not found:
        raise LabError(f"no cgroup v2 under {CGROUPS}; the lab's hosts need one")
    return found


def group_folders(lab: str, part: str = "") -> list[Path]:
    """The folders of a lab's cgroup, or of a part of it, one per hierarchy."""
    return [top / f"vmlab.{lab}" / part for top in find_hierarchies()]


def make_group(lab: str, part: str) -> None:
    """Make the cgroup where it's missing."""
    for folder in group_folders(lab, part):
        folder.mkdir(parents=True, exist_ok=True)


def join_group(lab: str, part: str, pid: int) -> None:
    """Move a process into the cgroup; one that has ended already needs it no more."""
    make_group(lab, part)
    for folder in group_folders(lab, part):
        with contextlib.suppress(ProcessLookupError):
            (folder / "cgroup.procs").write_text(str(pid))


def read_group_pids(lab: str, part: str = "") -> set[int]:
    """The processes in the cgroup and below, but for the caller."""
    pids: set[int] = set()
    for top in group_folders(lab, part):
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                pids |= {int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split()}
    return pids - {os.getpid(), 0}


def kill_group(lab: str, part: str = "", timeout: float = 10.0) -> None:
    """End every process in the cgroup at once and wait until they are gone."""
    deadline = time.monotonic() + timeout
    while pids := read_group_pids(lab, part):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise LabError(f"lab {lab}: processes {sorted(pids)} don't end within {timeout:.0f} s of SIGKILL")
        time.sleep(0.01)


def remove_group(lab: str, part: str = "", timeout: float = 5.0) -> None:
    """Remove the cgroup, which has no processes any more, with all below it."""
    deadline = time.monotonic() + timeout
    for top in group_folders(lab, part):
        while top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # a dying process may hold it for a moment
                    os.rmdir(folder)
            if time.monotonic() > deadline:
                raise LabError(f"can't remove cgroup {top}")
            if top.exists():
                time.sleep(0.01)
