# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Starting the lab's own long-lived processes: supervisors, guest agents, the ends of probes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from . import cgroups
from .state import LabState

PACKAGE_PARENT = Path(__file__).resolve().parents[1]
ENTER = 'for entry in $LAB_ENTRIES; do echo $$ > "$entry"; done; test -e "$0"; exec "$@"'


def helper_argv(module: str, *arguments: object) -> list[str]:
    """The command line of a helper; -S leaves site-packages out, which makes its start fast."""
    return [sys.executable, "-S", "-m", f"vmlab.{module}", *(str(argument) for argument in arguments)]


def helper_environment() -> dict[str, str]:
    """The environment of a helper: the same whoever started it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(PACKAGE_PARENT), "LANG": "C.UTF-8"}


def start_helper(state: LabState, group: str, log: Path, module: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start a helper of the lab in the background, in one of the lab's cgroups, with what it says in the log.

    It enters its cgroup by itself, before anything else, and then looks whether the lab is still meant to be: so it is
    found or ends by itself when the lab is taken down at any moment, also after its starter was killed.
    """
    cgroups.make_group(state.name, group)
    entries = [str(folder / "cgroup.procs") for folder in cgroups.group_folders(state.name, group)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        return subprocess.Popen(
            ["sh", "-euc", ENTER, str(state.topology_file), *helper_argv(module, *arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={**helper_environment(), "LAB_ENTRIES": " ".join(entries)},
            start_new_session=True,
        )
