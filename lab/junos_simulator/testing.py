# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""For tests: a Junos simulator in a process of its own, and the orders that it takes besides NETCONF."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE_PARENT = Path(__file__).resolve().parents[1]
START_TIMEOUT = 60.0


class SimulatorError(Exception):
    """The simulator did not start, or refused an order."""


class Simulator:
    """A running simulator: where it listens, who may log in, and its orders."""

    def __init__(self, settings: dict[str, Any], ready: dict[str, Any]) -> None:
        self.settings = settings
        self.address: str = settings.get("address", "127.0.0.1")
        self.port: int = ready["port"]
        self.pid: int = ready["pid"]

    @property
    def host_key_line(self) -> str:
        """The line of a known_hosts file that names this simulator."""
        return f"[{self.address}]:{self.port} {Path(self.settings['host_key'] + '.pub').read_text()}"

    def order(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give an order (device.py has them) and return the answer."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(30)
            link.connect(self.settings["control"])
            link.sendall((json.dumps({"do": do, **arguments}) + "\n").encode())
            answer: dict[str, Any] = json.loads(link.makefile().readline())
        if "error" in answer:
            raise SimulatorError(answer["error"])
        return answer

    def status(self) -> dict[str, Any]:
        """Commits (newest first), pending, dirty, holder of the lock, patch of the candidate, number of sessions."""
        return self.order("status")


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Simulator]:
    """A simulator without a backend on a free port of the loopback, with user `automation` unless told otherwise.

    Its settings, keys and log are in the folder. `settings` are those of device.Settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "users": {"automation": {"password": secrets.token_hex(8)}},
        "host_key": str(folder / "host_key"),
        "control": str(folder / "control"),
        "ready": str(folder / "ready"),
        **settings,
    }
    file = folder / "settings.json"
    file.write_text(json.dumps(told))
    file.chmod(0o600)
    Path(told["ready"]).unlink(missing_ok=True)
    with open(folder / "log", "a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "junos_simulator", "--debug", "--settings", str(file)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)})
    try:
        yield Simulator(told, wait_until_ready(process, Path(told["ready"]), folder / "log"))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, Any]:
    """What the simulator says when it listens; a SimulatorError with its log when it doesn't come to that."""
    deadline = time.monotonic() + START_TIMEOUT
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SimulatorError(f"the Junos simulator did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)
    found: dict[str, Any] = json.loads(ready.read_text())
    return found
