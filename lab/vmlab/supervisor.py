# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The process that stands for a host's hardware: it wires the host, boots it, and boots it again when it reboots.

Started as `python3 -m vmlab.supervisor LAB HOST ROOT...`. Standard library only, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from . import cgroups, junos, wiring
from .errors import LabError
from .guests import kill_guests_of, start_guests_of
from .netns import named_netns
from .state import HostRecord, LabState, Process, find_process, read_json
from .topology import build_topology

REBOOT = 133  # systemd-nspawn's exit code when a container with --keep-unit reboots
BOOT_TIMEOUT = 90.0
BYTECODE = "var/cache/vmlab-bytecode"  # what bytecode.py keeps, in a layer that has the folder


class Supervisor:
    """One host: its wires, its container, its record in the lab's state."""

    def __init__(self, lab: str, host: str, roots: list[Path]) -> None:
        self.state = LabState(lab)
        self.topology = build_topology(read_json(self.state.topology_file) or {}, "of the lab")
        self.host = self.topology.host(host)
        self.folder = self.state.host_folder(host)
        self.roots = roots
        self.record = HostRecord(supervisor=find_process(os.getpid()))

    def note(self, phase: str, leader: Process | None = None, message: str = "") -> None:
        """Write down what has become of the host."""
        boots = self.record.boots + (phase == "booting")
        self.record = dataclasses.replace(self.record, phase=phase, leader=leader, message=message, boots=boots)
        self.state.write_host(self.host.name, self.record)

    def run(self) -> None:
        """Keep the host running until it is switched off."""
        try:
            while self.run_once() == REBOOT:
                pass
            self.note("off")
        except (LabError, OSError) as error:
            self.note("failed", message=str(error))

    def run_once(self) -> int:
        """One life of the host, from power-on to the end of its init; systemd-nspawn's exit code."""
        self.note("booting")
        try:
            cgroups.make_group(self.state.name, f"host.{self.host.name}")
            wiring.connect_host(self.state, self.topology, self.host)
            notify = self.folder / "notify"
            notify.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messages:
                messages.bind(str(notify))
                container = self.start_container(notify)
                start_guests_of(self.state, self.host.name)
                self.watch(container, messages)
            return container.returncode
        finally:
            self.clean_up()

    def start_container(self, notify: Path) -> subprocess.Popen[bytes]:
        """Start systemd-nspawn in the host's cgroup, with the disk mounted in a mount namespace of its own."""
        lower = ":".join(str(root) for root in self.roots)
        root = self.folder / "root"
        options = f"lowerdir={lower},upperdir={self.folder}/disk,workdir={self.folder}/work"
        groups = [f"{path}/cgroup.procs" for path in cgroups.group_folders(self.state.name, f"host.{self.host.name}")]
        # The overlay is seen by nobody else and vanishes with its last process, however that ends. The machine's other
        # mounts are slaves there, so that network namespaces removed outside are not held in place by it.
        script = (
            'for f in $LAB_GROUPS; do echo $$ > "$f"; done; mount -t overlay overlay -o "$0" "$1"; shift; exec "$@"'
        )
        argv = ["unshare", "--mount", "--propagation", "slave", "sh", "-euc", script, options, str(root)]
        argv += [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            f"--directory={root}",
            f"--machine=vmlab-{self.state.name}-{self.host.name}",
            f"--hostname={self.host.name}",
            f"--network-namespace-path={named_netns(self.state.host_netns(self.host.name))}",
            "--capability=all",
            "--console=pipe",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--notify-ready=yes",
            *(f"--bind={root / BYTECODE}:/{BYTECODE}" for root in self.roots if (root / BYTECODE).is_dir()),
        ]
        environment = {
            "PATH": os.environ["PATH"],
            "LAB_GROUPS": " ".join(groups),
            "NOTIFY_SOCKET": str(notify),
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        }
        with open(self.folder / "console.log", "ab") as console:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment, start_new_session=True
            )

    def watch(self, container: subprocess.Popen[bytes], messages: socket.socket) -> None:
        """Follow the host from its start to its end; one that isn't up in time is killed."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        leader: Process | None = None
        ended = os.pidfd_open(container.pid)
        try:
            while container.poll() is None:
                wait = None if self.record.phase == "up" else max(0.0, deadline - time.monotonic())
                readable, _, _ = select.select([messages.fileno(), ended], [], [], wait)
                if not readable:
                    raise LabError(
                        f"{self.host.name} was not up after {BOOT_TIMEOUT:.0f} s: see {self.folder}/console.log"
                    )
                if messages.fileno() in readable:
                    told = messages.recv(4096).decode().split("\n")
                    for line in told:
                        if line.startswith("X_NSPAWN_LEADER_PID="):
                            leader = find_process(int(line.partition("=")[2]))
                            self.keep_leader(leader)
                    if "READY=1" in told:
                        if self.host.junos and leader:
                            junos.start(self.state, self.host, leader)
                        self.note("up", leader)
        finally:
            os.close(ended)
        if self.record.phase != "up" and container.returncode not in (0, REBOOT):
            raise LabError(f"systemd-nspawn ended with {container.returncode}: see {self.folder}/console.log")

    def keep_leader(self, leader: Process | None) -> None:
        """Note the host's init while it boots."""
        self.record = dataclasses.replace(self.record, leader=leader)
        self.state.write_host(self.host.name, self.record)

    def clean_up(self) -> None:
        """What a power supply does that goes off: end everything of the host and pull its wires."""
        self.note("stopping")
        kill_guests_of(self.state, self.host.name)
        wiring.disconnect_host(self.state, self.topology, self.host)
        cgroups.kill_group(self.state.name, f"host.{self.host.name}")
        cgroups.remove_group(self.state.name, f"host.{self.host.name}")
        with contextlib.suppress(OSError):
            os.rmdir(f"/run/systemd/nspawn/propagate/vmlab-{self.state.name}-{self.host.name}")


def main() -> None:
    """Run the host named on the command line."""
    lab, host, *roots = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = Supervisor(lab, host, [Path(root) for root in roots])
    supervisor.run()


if __name__ == "__main__":
    main()
