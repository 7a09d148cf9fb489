# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab as a whole: what the command line does, and what tests and benchmarks stand on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from junos_simulator.testing import Simulator

from . import cgroups, hosts, junos, wiring
from .commands import run_command
from .disks import make_disk, make_keys, renew_disk
from .enter import command_prefix
from .errors import LabError
from .hosts import Tell
from .kept_modules import bytecode_layer
from .lab_guests import GuestOperations, be_silent
from .netns import NAMED, release_named_netns, remove_netns
from .probe import Probe
from .roots import provide_roots
from .state import CHECKOUT, HostRecord, LabState, default_lab_name, read_json, write_json
from .topology import Topology, build_topology, read_topology

STANDARD = CHECKOUT / "lab" / "topologies" / "standard.yml"


class Lab(GuestOperations):
    """A lab that is up. `Lab.up()` makes one, `Lab.find()` takes the one there is."""

    def __init__(self, state: LabState, topology: Topology) -> None:
        self.state = state
        self.topology = topology

    @property
    def name(self) -> str:
        return self.state.name

    @classmethod
    def find(cls, name: str | None = None) -> Lab:
        """The lab of this name (else of $VMCLUSTER_LAB, else of this checkout); a LabError when it's not up."""
        state = LabState(name or default_lab_name())
        source = read_json(state.topology_file)
        if source is None:
            raise LabError(f"lab {state.name} is not up; run: lab/lab up")
        return cls(state, build_topology(source, f"of lab {state.name}"))

    @classmethod
    def up(
        cls,
        topology: Path | str = STANDARD,
        name: str | None = None,
        *,
        mirror: str = "",
        saved: Path | None = None,
        tell: Tell = be_silent,
    ) -> Lab:
        """Make a lab and boot its hosts; what was made is taken down again when that fails.

        A lab that is up with the same topology stays; those of its hosts that are off are started. With `saved`, the
        folder of a `save()`, hosts begin with the disks that they had then.
        """
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and mounts: run it as root")
        wanted = read_topology(Path(topology))
        state = LabState(name or default_lab_name())
        roots = {
            host.name: [
                *([str(saved / host.name)] if saved else []),
                *map(str, bytecode_layer()),
                *map(
                    str,
                    provide_roots(
                        host.system,
                        host.packages,
                        mirror or os.environ.get("VMCLUSTER_LAB_MIRROR", ""),
                        lambda what: tell("roots", what),
                    ),
                ),
            ]
            for host in wanted.hosts.values()
        }
        with state.locked():
            found = read_json(state.topology_file)
            if found is not None and found != json.loads(json.dumps(wanted.source)):
                raise LabError(f"lab {state.name} is up with another topology; run first: lab/lab down")
            lab = cls(state, wanted)
            try:
                if found is None:
                    lab.remove()  # what a crash may have left
                    lab.make(roots)
                lab.start_hosts([host.name for host in wanted.hosts.values() if host.autostart], tell)
            except BaseException:
                if found is None:
                    lab.remove()
                raise
        return lab

    def make(self, roots: dict[str, list[str]]) -> None:
        """Make what the hosts stand on: state, keys, disks, switches."""
        self.state.folder.mkdir(parents=True)
        make_keys(self.state, self.topology)
        write_json(self.state.folder / "roots.json", roots)
        for host in self.topology.hosts.values():
            make_disk(self.state, self.topology, host, [Path(root) for root in roots[host.name]])
        wiring.make_switches(self.state, self.topology)
        write_json(self.state.topology_file, self.topology.source)

    def start_hosts(self, names: Sequence[str], tell: Tell = be_silent) -> None:
        """Switch hosts on and wait until they are up."""
        hosts.raise_inotify_limit()
        hosts.wait_until_up(self.state, {name: hosts.switch_on(self.state, name) for name in names}, tell)

    def save(self, folder: Path) -> None:
        """Copy what hosts have written to their disks, for `Lab.up(saved=folder)`. They may run, and should rest."""
        for name in self.topology.hosts:
            run_command(["cp", "-a", "--reflink=auto", self.state.host_folder(name) / "disk", folder / name])

    def down(self) -> None:
        """Take the lab down, whatever state it is in."""
        take_down(self.name)

    def remove(self) -> None:
        """End every process of the lab and remove all it made. The caller holds the lock."""
        name = self.name
        self.state.topology_file.unlink(missing_ok=True)  # first: helpers that are just starting look for it
        cgroups.kill_group(name)
        for netns in sorted(NAMED.glob(f"vmlab.{name}.*")) if NAMED.is_dir() else ():
            remove_netns(netns.name)
        cgroups.remove_group(name)
        for left in Path("/run/systemd/nspawn/propagate").glob(f"vmlab-{name}-*"):
            with contextlib.suppress(OSError):
                left.rmdir()
        if self.state.folder.exists():
            shutil.rmtree(self.state.folder)
        release_named_netns()

    def exec(
        self,
        host: str,
        argv: Sequence[str],
        input: str | None = None,  # as subprocess.run calls it
        check: bool = True,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a host or guest; with `check`, an exit code other than 0 is a LabError with what it said."""
        try:
            done = subprocess.run(
                [*command_prefix(self.state, host), *argv],
                input=input if input is not None else "",
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as late:
            raise LabError(f"{host}: {' '.join(argv)} did not end within {timeout:.0f} s") from late
        if check and done.returncode != 0:
            raise LabError(f"{host}: {' '.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}".strip())
        return done

    def host_record(self, name: str) -> HostRecord:
        """What is known of a host: phase, pid of its init, number of boots."""
        self.topology.host(name)
        return self.state.read_host(name)

    def host_start(self, name: str) -> None:
        """Switch a host on, also one that the topology holds back (`autostart: false`), and wait until it's up."""
        self.topology.host(name)
        with self.state.locked():
            self.start_hosts([name])

    def host_stop(self, name: str) -> None:
        """Shut a host down and wait until it's off; its disk stays."""
        self.topology.host(name)
        with self.state.locked():
            hosts.switch_off(self.state, name)

    def host_kill(self, name: str) -> None:
        """Cut a host's power: its wires go dark at once, its processes end, its disk stays."""
        with self.state.locked():
            hosts.cut_power(self.state, self.topology, name)

    def host_replace(self, name: str) -> None:
        """Put a new machine in a host's place: its power is cut, and it boots from a disk as at the beginning."""
        self.host_kill(name)
        with self.state.locked():
            renew_disk(self.state, self.topology, self.topology.host(name))
        self.host_start(name)

    def reboot(self, name: str, wait: bool = True) -> None:
        """Reboot a host from inside, and wait until it's up again."""
        self.topology.host(name)
        hosts.reboot(self.state, name, wait=wait)

    def probe(
        self,
        source: str,
        target: str,
        *,
        rate: float = 1000,
        family: int = 4,
        direction: str = "both",
        size: int = 64,
    ) -> Probe:
        """A traffic probe between two hosts or guests (or addresses); `with` starts and stops it."""
        return Probe(
            self.state, self.topology, source, target, rate=rate, family=family, direction=direction, size=size
        )

    def junos(self, host: str) -> Simulator:
        """The Junos simulator that a host runs: its commits, and orders that no session could give."""
        self.topology.host(host)
        return Simulator(*junos.read_simulator(self.state, host))


def take_down(name: str | None = None) -> bool:
    """Take down the lab of this name, whole or not; whether there was anything of it."""
    state = LabState(name or default_lab_name())
    with state.locked():
        there = state.folder.exists() or any(folder.exists() for folder in cgroups.group_folders(state.name))
        Lab(state, Topology({}, {}, {})).remove()
    return there
