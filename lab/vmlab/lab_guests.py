# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be done with the guests of a lab."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

from . import guests, qemu_guests
from .errors import LabError
from .guest_image import provide_guest_image, provide_qemu_root
from .hosts import Tell
from .qemu import Move, Qmp
from .state import GuestRecord, LabState
from .topology import Topology


def be_silent(_subject: str, _what: str) -> None:
    """The report of what's going on that goes nowhere."""


class GuestOperations:
    """The part of a lab that starts guests, moves them and forgets them."""

    state: LabState
    topology: Topology

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

    def forget_guest(self, vm: str) -> None:
        for left in (self.state.folder / "guests").glob(f"{vm}.*"):
            left.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (self.state.folder / "guests" / vm).rmdir()

    def guests(self) -> Iterator[GuestRecord]:
        """The guests the lab knows, running or not."""
        yield from self.state.read_guests()
