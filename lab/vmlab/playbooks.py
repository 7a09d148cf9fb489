# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the project's playbooks against a lab, as a user would against servers, and read what the recap says."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .state import CHECKOUT, LabState

INVENTORY = CHECKOUT / "inventories" / "lab"

_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class PlaybookRun:
    """What a run left: exit code, output, seconds, and by host the recap's counts."""

    returncode: int
    output: str
    seconds: float
    recap: dict[str, dict[str, int]]

    @property
    def changed(self) -> int:
        """Changed tasks on all hosts together."""
        return sum(counts["changed"] for counts in self.recap.values())


def playbook_command(playbook: str, *arguments: str, inventory: Sequence[Path] = (INVENTORY,)) -> list[str]:
    """The ansible-playbook command line, of the Python that runs this."""
    inventories = [part for source in inventory for part in ("-i", str(source))]
    return [str(Path(sys.executable).parent / "ansible-playbook"), *inventories, *arguments, playbook]


def playbook_environment(lab: str) -> dict[str, str]:
    """The environment in which a playbook reaches this lab."""
    # Ansible names the sockets of SSH connections that stay open by hosts, and other labs have hosts of the same names.
    sockets = str(LabState(lab).folder / "ssh" / "cp")
    return {**os.environ, "VMCLUSTER_LAB": lab, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}


def run_playbook(
    lab: str,
    playbook: str,
    *arguments: str,
    inventory: Sequence[Path] = (INVENTORY,),
    check: bool = True,
    timeout: float = 300.0,
    kill_after: float | None = None,
    begun: Callable[[subprocess.Popen[str]], object] | None = None,
) -> PlaybookRun:
    """Run a playbook of the checkout against a lab.

    check: a failed run is a LabError with the output. kill_after: SIGKILL to the whole process group after so many
    seconds, as when the controller dies; what had been printed until then is the output. begun: told of the process.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        playbook_command(playbook, *arguments, inventory=inventory),
        cwd=CHECKOUT,
        env=playbook_environment(lab),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    if begun is not None:
        begun(process)
    try:
        output, _nothing = process.communicate(timeout=timeout if kill_after is None else kill_after)
    except subprocess.TimeoutExpired as late:
        kill_with_workers(process)
        output, _nothing = process.communicate()
        if kill_after is None:
            raise LabError(f"{playbook} did not end within {timeout:.0f} s:\n{output}") from late
    run = PlaybookRun(process.returncode, output, time.monotonic() - began, read_recap(output))
    if check and run.returncode != 0:
        raise LabError(f"{playbook} ended with {run.returncode}:\n{output}")
    return run


def kill_with_workers(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a run's process group, and to its workers: they have sessions of their own and would wait for ever."""
    workers: list[str] = []
    with contextlib.suppress(OSError):
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.killpg(process.pid, signal.SIGKILL)
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(worker), signal.SIGKILL)


def read_recap(output: str) -> dict[str, dict[str, int]]:
    """The counts of a PLAY RECAP by host."""
    names = ("ok", "changed", "unreachable", "failed")
    return {found[0]: dict(zip(names, map(int, found[1:]), strict=True)) for found in _RECAP.findall(output)}
