# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab as a whole: what the command line does, and what tests and benchmarks stand on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from junos_simulator.testing import Simulator

from . import cgroups, guests, hosts, junos, qemu_guests, wiring
from .disks import make_disk, make_keys, renew_disk
from .enter import command_prefix
from .errors import LabError
from .guest_image import provide_guest_image, provide_qemu_root
from .hosts import Tell
from .netns import NAMED, release_named_netns, remove_netns
from .probe import Probe
from .qemu import Move, Qmp
from .roots import provide_roots
from .state import CHECKOUT, GuestRecord, HostRecord, LabState, default_lab_name, read_json, write_json
from .topology import Topology, build_topology, read_topology

STANDARD = CHECKOUT / "lab" / "topologies" / "standard.yml"


def be_silent(_subject: str, _what: str) -> None:
    """The report of what's going on that goes nowhere."""


class Lab:
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
        cls, topology: Path | str = STANDARD, name: str | None = None, *, mirror: str = "", tell: Tell = be_silent
    ) -> Lab:
        """Make a lab and boot its hosts; what was made is taken down again when that fails.

        A lab that is up with the same topology stays; those of its hosts that are off are started.
        """
        if os.geteuid() != 0:
            raise LabError("the lab makes namespaces and mounts: run it as root")
        wanted = read_topology(Path(topology))
        state = LabState(name or default_lab_name())
        roots = {
            host.name: [
                str(root)
                for root in provide_roots(
                    host.system,
                    host.packages,
                    mirror or os.environ.get("VMCLUSTER_LAB_MIRROR", ""),
                    lambda what: tell("roots", what),
                )
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

    def guest_add(
        self,
        node: str,
        vm: str,
        *,
        addresses: Sequence[str] = (),
        gateway4: str = "",
        gateway6: str = "",
        mac: str = "",
        nic: int = 0,
        interface: str = "",
        make: str = "",
        bridge: str = "",
        kind: str = "namespace",
        timeout: float | None = None,
    ) -> GuestRecord:
        """Start a new guest behind the node's interface `<vm>_net<nic>`, or the one named by `interface`.

        `make` (tap or veth) makes the interface first, as a hypervisor would, and `bridge` plugs it in there. A guest
        of kind `qemu` has a kernel of its own; this returns when it has booted.
        """
        self.topology.host(node)
        if vm in self.topology.hosts:
            raise LabError(f"{vm} is a host of this lab")
        record = GuestRecord(
            vm=vm,
            node=node,
            interface=interface or f"{vm}_net{nic}",
            addresses=tuple(addresses),
            gateway4=gateway4,
            gateway6=gateway6,
            mac=mac,
            make=make,
            bridge=bridge,
            kind=kind,
        )
        if kind == "qemu":
            record = self.with_image(record)
        with self.state.locked():
            if self.state.read_guest(vm) is not None:
                raise LabError(
                    f"there is a guest {vm}; `lab/lab guest start {vm}` starts it, `guest del {vm}` forgets it"
                )
            self.state.write_guest(guests.check_guest(record))
            try:
                return guests.start_guest(self.state, vm, timeout)
            except LabError:
                self.forget_guest(vm)
                raise

    def with_image(self, record: GuestRecord, tell: Tell = be_silent) -> GuestRecord:
        """The record with what a qemu guest boots and runs in, which is made when it isn't in the cache."""
        image = provide_guest_image(lambda what: tell("guest", what))
        roots = provide_qemu_root(lambda what: tell("roots", what))
        return dataclasses.replace(record, image=str(image), roots=":".join(map(str, roots)))

    def guest_start(self, vm: str, timeout: float | None = None) -> GuestRecord:
        """Start a guest that was stopped or killed."""
        with self.state.locked():
            return guests.start_guest(self.state, vm, timeout)

    def guest_stop(self, vm: str) -> None:
        """Shut a guest down; it is remembered, and starts again with its node."""
        with self.state.locked():
            guests.stop_guest(self.state, vm)

    def guest_del(self, vm: str) -> None:
        """Shut a guest down and forget it."""
        with self.state.locked():
            guests.stop_guest(self.state, vm)
            self.forget_guest(vm)

    def guest_kill(self, vm: str) -> None:
        """Crash a guest; it is remembered."""
        with self.state.locked():
            guests.kill_guest(self.state, vm)

    def guest_prepare(self, vm: str, node: str, interface: str = "") -> None:
        """Attach a running guest to its tap on the node that it will move to, as the target's qemu does at its start.

        The tap there gets carrier; frames that come to it wait until the guest runs there.
        """
        record = guests.read_guest(self.state, vm)
        self.topology.host(node)
        if record.kind == "qemu":
            qemu_guests.prepare_move(self.state, vm, node, interface or record.interface)
        else:
            guests.ask_agent(self.state, vm, do="prepare", node=node, interface=interface or record.interface)

    def guest_pause(self, vm: str) -> None:
        """Stop a guest's traffic, as at the end of a migration (qemu's STOP event)."""
        self.tell_guest(vm, "pause", "stop")

    def guest_resume(self, vm: str) -> None:
        """Let a guest run on, where it was prepared to move to if it was (of kind namespace)."""
        self.tell_guest(vm, "resume", "cont")

    def tell_guest(self, vm: str, verb: str, command: str) -> None:
        """Have a guest's agent, or its qemu, do something."""
        if guests.read_guest(self.state, vm).kind == "qemu":
            with self.guest_qmp(vm) as qmp:
                qmp.execute(command)
        else:
            guests.ask_agent(self.state, vm, do=verb)

    def guest_qmp(self, vm: str) -> Qmp:
        """A connection to the control socket of a guest's qemu; only one at a time gets answers."""
        return qemu_guests.connect_qmp(self.state, vm)

    def guest_console(self, vm: str) -> str:
        """What a qemu guest has printed on its serial console, on the node that it runs on."""
        return qemu_guests.console_of(self.state, vm).read_text(errors="replace")

    def guest_release(self, vm: str) -> None:
        """Detach a guest from the tap that it moved away from, as the source's qemu does when it ends."""
        if guests.read_guest(self.state, vm).kind == "qemu":
            qemu_guests.release(self.state, vm)
        else:
            guests.ask_agent(self.state, vm, do="release")

    def guest_cancel(self, vm: str) -> None:
        """Give up a move that was prepared."""
        if guests.read_guest(self.state, vm).kind == "qemu":
            qemu_guests.release(self.state, vm)
        else:
            guests.ask_agent(self.state, vm, do="cancel")

    def guest_move(
        self,
        vm: str,
        node: str,
        *,
        interface: str = "",
        downtime: float = 0.0,
        at_stop: Callable[[], object] | None = None,
        at_resume: Callable[[], object] | None = None,
        release: bool = True,
    ) -> Move:
        """Move a running guest live: prepare, pause, `at_stop()`, resume, `at_resume()`, release.

        downtime, in seconds: how long a guest in a namespace stands still; at most, about, that one in qemu does (0:
        qemu's own 0.3). What was called runs at the hypervisor's event.
        """
        record = guests.read_guest(self.state, vm)
        self.topology.host(node)
        if record.kind == "qemu":
            done = qemu_guests.move(
                self.state, self.topology, vm, node, interface or record.interface, downtime=downtime,
                at_stop=at_stop, at_resume=at_resume)
        else:
            done = self.move_namespace(vm, node, interface, downtime, at_stop)
            if at_resume is not None:
                at_resume()
        if release:
            self.guest_release(vm)
        return done

    def move_namespace(
        self, vm: str, node: str, interface: str, downtime: float, at_stop: Callable[[], object] | None
    ) -> Move:
        """Move a guest that is in a namespace; it runs on whatever happens."""
        began = time.time()
        self.guest_prepare(vm, node, interface)
        self.guest_pause(vm)
        stopped = time.time()
        try:
            if at_stop is not None:
                at_stop()
            time.sleep(downtime)
        finally:
            self.guest_resume(vm)
        return Move(stopped, time.time(), round((time.time() - began) * 1000, 1))

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

    def forget_guest(self, vm: str) -> None:
        for left in (self.state.folder / "guests").glob(f"{vm}.*"):
            left.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.state.folder / "guests" / vm).rmdir()

    def guests(self) -> Iterator[GuestRecord]:
        """The guests the lab knows, running or not."""
        yield from self.state.read_guests()


def take_down(name: str | None = None) -> bool:
    """Take down the lab of this name, whole or not; whether there was anything of it."""
    state = LabState(name or default_lab_name())
    with state.locked():
        there = state.folder.exists() or any(folder.exists() for folder in cgroups.group_folders(state.name))
        Lab(state, Topology({}, {}, {})).remove()
    return there
