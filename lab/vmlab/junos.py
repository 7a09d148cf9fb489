# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Junos simulator of a host: a process of this machine in the host's network and cgroup, before the host's FRR.

Standard library only, as the supervisor starts it; the simulator itself runs with the project's .venv.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any

from . import cgroups
from .errors import LabError
from .netns import named_netns
from .state import CHECKOUT, LabState, Process, read_json
from .topology import Host

PORT = 830
USER = "automation"
PYTHON = CHECKOUT / ".venv" / "bin" / "python"
START_TIMEOUT = 30.0
ENTER = 'for entry in $LAB_GROUPS; do echo $$ > "$entry"; done; exec "$@"'


def start(state: LabState, host: Host, leader: Process) -> None:
    """Start the simulator of a host that has booted, and wait until it listens.

    It ends with the host's cgroup. What was committed it finds again in `saved.conf`.
    """
    if not PYTHON.exists():
        raise LabError(f"the Junos simulator of {host.name} needs {PYTHON}; run: make setup")
    folder = state.host_folder(host.name) / "junos"
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = write_settings(state, host, leader, folder)
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    groups = [f"{path}/cgroup.procs" for path in cgroups.group_folders(state.name, f"host.{host.name}")]
    argv = ["sh", "-euc", ENTER, "sh", "nsenter", f"--net={named_netns(state.host_netns(host.name))}", "--"]
    argv += [str(PYTHON), "-m", "junos_simulator", "--settings", str(settings)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT / "lab"), "LAB_GROUPS": " ".join(groups)}
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment,
                                   start_new_session=True)
    deadline = time.monotonic() + START_TIMEOUT
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"the Junos simulator of {host.name} did not start: see {folder}/log")
        time.sleep(0.02)


def write_settings(state: LabState, host: Host, leader: Process, folder: Path) -> Path:
    """Write what the simulator is started with; its user's password stays the same from boot to boot."""
    file = folder / "settings.json"
    users = (read_json(file) or {}).get("users") or {
        USER: {"password": secrets.token_hex(8), "keys": [state.key.with_suffix(".pub").read_text()]}}
    settings: dict[str, Any] = {
        "users": users,
        "host_key": str(state.folder / "ssh" / host.name),
        "address": "",
        "port": PORT,
        "configuration": host.junos,
        "saved": str(folder / "saved.conf"),
        "backend": "frr",
        "enter": ["nsenter", f"--target={leader.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                  "--root", "--wd", "--"],
        "control": str(folder / "control"),
        "ready": str(ready_file(state, host.name)),
    }
    draft = folder / ".settings"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(settings))
    draft.replace(file)
    return file


def ready_file(state: LabState, host: str) -> Path:
    """The file that a host's simulator writes when it listens."""
    return state.host_folder(host) / "junos" / "ready"


def read_simulator(state: LabState, host: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a host's simulator and what it said when it was ready: junos_simulator.testing.Simulator(*…)."""
    ready = read_json(ready_file(state, host))
    settings = read_json(state.host_folder(host) / "junos" / "settings.json")
    if ready is None or settings is None:
        raise LabError(f"{host} has no Junos simulator that is ready")
    return settings, ready
