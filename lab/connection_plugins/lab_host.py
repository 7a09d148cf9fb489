# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible's way into a host of the lab."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lab_host
author: vmcluster.network contributors
short_description: Run tasks in a host of the emulated data centre
description:
  - Enters the namespaces of the init of a host that C(lab/lab up) has booted on this machine. No network is involved,
    so a task that cuts the host off from its network can still be watched.
  - The pid of the host's init is read anew for every command, as a reboot changes it.
options:
  host:
    description: Name of the host in the lab; by default that of the inventory, or the one a task is delegated to.
    default: ""
    vars:
      - name: lab_host
  lab:
    description: Name of the lab. By default the one that C(lab/lab) without C(--name) works on.
    default: ""
    env:
      - name: VMCLUSTER_LAB
    vars:
      - name: lab_name
  command_timeout:
    description: Seconds that one command may take. Ansible's own C(timeout) means the time to connect.
    default: 600
    type: int
    vars:
      - name: lab_timeout
"""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase, ensure_connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from vmlab.enter import host_prefix
from vmlab.errors import LabError
from vmlab.state import LabState, default_lab_name


class Connection(ConnectionBase):
    """A connection to a lab host."""

    transport = "lab_host"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._prefix()
        self._connected = True
        return self

    def _host(self) -> str:
        # Not the variable inventory_hostname: in a delegated task that is still the host which delegates.
        return str(self.get_option("host") or self._play_context.remote_addr)

    def _prefix(self) -> list[str]:
        """The words that put a command into the host as it is now; says which command to run when it isn't there."""
        try:
            return host_prefix(LabState(self.get_option("lab") or default_lab_name()), self._host())
        except LabError as error:
            raise AnsibleConnectionFailure(str(error)) from error

    def _run(self, argv: list[str], **streams: Any) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [*self._prefix(), *argv],
                stderr=subprocess.PIPE,
                timeout=self.get_option("command_timeout"),
                check=False,
                **streams,
            )
        except subprocess.TimeoutExpired as late:
            limit = self.get_option("command_timeout")
            raise AnsibleConnectionFailure(
                f"{self._host()}: the command did not end within {limit} s (lab_timeout)"
            ) from late

    @ensure_connect
    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a shell command in the host."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        done = self._run(["/bin/sh", "-c", cmd], input=in_data or b"", stdout=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr

    @ensure_connect
    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of this machine into the host."""
        super().put_file(in_path, out_path)
        if not Path(in_path).is_file():
            raise AnsibleFileNotFound(f"no file {in_path}")
        with open(in_path, "rb") as source:
            self._copy(f"cat > {shlex.quote(out_path)}", stdin=source, stdout=subprocess.DEVNULL)

    @ensure_connect
    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the host to this machine."""
        super().fetch_file(in_path, out_path)
        with open(out_path, "wb") as target:
            self._copy(f"cat {shlex.quote(in_path)}", stdin=subprocess.DEVNULL, stdout=target)

    def _copy(self, command: str, stdin: IO[bytes] | int, stdout: IO[bytes] | int) -> None:
        done = self._run(["/bin/sh", "-c", command], stdin=stdin, stdout=stdout)
        if done.returncode != 0:
            raise AnsibleError(f"{self.get_option('host')}: {command}: {done.stderr.decode(errors='replace')}")

    def reset(self) -> None:
        """Connect anew; nothing is held open."""
        self.close()
        self._connect()

    def close(self) -> None:
        """End the connection."""
        self._connected = False
