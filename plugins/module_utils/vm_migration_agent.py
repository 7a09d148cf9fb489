# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent of one VM interface while its VM migrates: it cuts over on the node, by the hypervisor's own event or the
guest's first frame. docs/design.md, "Live migration", has its states.

A program of its own on the node, which knows no Ansible: `run IFACE` is the unit's, `disarm IFACE` undoes all,
`tell IFACE stopped|running` is for hypervisor drivers, as is a datagram with that word to the control socket.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_end import (
    RUN_FOLDER,
    End,
    Files,
    run_vtysh,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_kernel import (
    INBOUND_TABLE,
    TABLE,
    Kernel,
    open_frames,
    open_links,
    read_links,
)

ELEVATED_TAG = 771
PORTS = range(7770, 7870)
"""UDP ports of which a source takes the first free one, to hear from its target."""

ENDED = ("left", "announced", "expired")
STALE_FRAMES = 0.05  # seconds after the cut in which a frame may still be one from before it
RESEND_AFTER = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds after the guest's arrival
LINGER = 5.0  # seconds in which a source that is done acknowledges again
FRR_PAUSE = 0.3  # seconds before FRR is asked again
PRIORITY = 10
DISCARD_PORT = 9


class Agent(End):
    """What both ends have in common: waiting for events."""

    def __init__(self, files: Files, kernel: Kernel) -> None:
        super().__init__(files, kernel)
        self.poll = select.epoll()
        self.readers: Dict[int, Callable[[], None]] = {}
        self.frames: Optional[socket.socket] = None
        self.frames_of = 0  # the index of the interface whose frames are looked at
        self.finish_at: Optional[float] = None
        self.had_carrier = False

    def run(self) -> None:
        """Arm, wait for events, end."""
        if self.state.get("state") in ENDED:
            return
        hurry()
        self.put_rules()
        self.listen()
        self.arm()
        notify_systemd()
        self.look_at_clock()
        while self.finish_at is None or time.monotonic() < self.finish_at:
            for descriptor, _events in self.poll.poll(self.seconds_to_wait()):
                if descriptor in self.readers:
                    self.readers[descriptor]()
            self.look_at_clock()

    def watch(self, source: socket.socket, reader: Callable[[], None]) -> None:
        """Call the reader when there is something to read."""
        self.readers[source.fileno()] = reader
        self.poll.register(source.fileno(), select.EPOLLIN)

    def listen(self) -> None:
        """Open all that events come by, but the guest's frames."""
        self.links = open_links()
        self.watch(self.links, self.read_links)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.files.socket_path)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.control.bind(self.files.socket_path)
        self.watch(self.control, lambda: self.hear(self.control.recv(64).decode("ascii", "replace").strip()))
        self.woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.detach())
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)
        self.watch(self.woken, self.read_signals)

    def read_signals(self) -> None:
        """SIGUSR1 is the hypervisor's event; SIGTERM ends the agent and leaves all as it is."""
        for number in self.woken.recv(64):
            if number == signal.SIGTERM:
                self.finish_at = time.monotonic()
            elif number == signal.SIGUSR1:
                self.hear("stopped" if self.record["role"] == "source" else "running")

    def read_links(self) -> None:
        """An interface that was down has lost its routes; one without carrier has lost its guest."""
        indexes = {}
        for name in (self.interface, self.record["uplink"]):
            with contextlib.suppress(OSError):
                indexes[socket.if_nametoindex(name)] = name
        for index, up, carrier in read_links(self.links):
            if index in indexes and up:
                self.fill()
            if indexes.get(index) == self.interface:
                if self.frames is not None and index != self.frames_of:
                    self.forget_frames()
                    self.watch_frames()  # the interface was made anew
                lost, self.had_carrier = self.had_carrier and not carrier, carrier
                if lost:
                    self.hear("stopped")

    def watch_frames(self) -> None:
        """Look out for the guest's frames on the interface."""
        self.frames_of = socket.if_nametoindex(self.interface)
        self.frames = open_frames(self.interface, self.record["mac"])
        self.watch(self.frames, self.read_frames)

    def read_frames(self) -> None:
        """A frame from the guest says that it runs here."""
        if self.frames is None:
            return
        try:
            self.frames.recv(64)
        except OSError:
            return  # none, or the interface went down; it may come up again
        if self.believes_frames():
            self.hear("running")

    def forget_frames(self) -> None:
        """Look at no frames any more."""
        if self.frames is not None:
            self.readers.pop(self.frames.fileno(), None)
            self.frames.close()
            self.frames = None

    def open_peer(self, ports: List[int]) -> socket.socket:
        """Return a UDP socket of the node's underlay address, for the two agents to talk by."""
        own = self.record["own"]["ipv4"] or self.record["own"]["ipv6"]
        link = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
        link.setblocking(False)
        for port in ports:
            with contextlib.suppress(OSError):
                link.bind((own, port))
                return link
        raise OSError(f"no UDP port of {own} is free among {ports[0]} to {ports[-1]}")

    def sign(self, word: str) -> bytes:
        """Return a message to the other node, which only one who has the migration's key can make."""
        text = f"{word} {self.interface}".encode("ascii")
        signature = hmac.new(self.record["key"].encode("ascii"), text, hashlib.sha256).hexdigest()
        return text + b" " + signature.encode("ascii")

    def seconds_to_wait(self) -> float:
        """Return how long nothing has to be done."""
        return 60.0 if self.finish_at is None else max(0.0, self.finish_at - time.monotonic())

    def look_at_clock(self) -> None:
        """Do what is due by time."""

    def is_over(self) -> bool:
        """Tell whether the deadline is over."""
        return bool(time.monotonic() >= self.record["deadline"])

    def believes_frames(self) -> bool:
        """Tell whether a frame that is read now was sent in this state."""
        return True

    def arm(self) -> None:
        """Make ready for the cut-over."""
        raise NotImplementedError

    def fill(self) -> None:
        """Set the routes that the state asks for, again."""
        raise NotImplementedError

    def hear(self, event: str) -> None:
        """Do what the event asks for: `stopped` and `running` are the guest's, here; `arrived` the other agent's."""
        raise NotImplementedError


class Source(Agent):
    """The end that the VM leaves. At the deadline it gives up, unless the guest is known to have moved."""

    def seconds_to_wait(self) -> float:
        if self.finish_at is not None:
            return super().seconds_to_wait()
        return max(0.0, min(float(self.record["deadline"]) - time.monotonic(), 60.0))

    def look_at_clock(self) -> None:
        if self.finish_at is None and self.is_over():
            self.undo()
            self.enter("expired")
            self.finish_at = time.monotonic()

    def arm(self) -> None:
        if self.is_over():
            return
        self.heed_carrier(False)
        self.peer = self.open_peer([self.state["port"]] if self.state.get("port") else list(PORTS))
        self.state["port"] = self.peer.getsockname()[1]
        self.watch(self.peer, self.read_peer)
        self.warm_neighbours()
        self.had_carrier = True
        if self.state.get("state") == "cut":
            self.fill()
            with contextlib.suppress(OSError):
                self.watch_frames()
        else:
            self.enter("armed")

    def warm_neighbours(self) -> None:
        """Have the kernel learn the target's link-layer addresses, so that the first packet need not wait."""
        for address in filter(None, self.record["peer"].values()):
            with contextlib.suppress(OSError):
                kind = socket.AF_INET6 if ":" in address else socket.AF_INET
                with socket.socket(kind, socket.SOCK_DGRAM) as probe:
                    probe.sendto(b"", (address, DISCARD_PORT))

    def fill(self) -> None:
        if self.state["state"] in ("cut", "left"):
            self.send_to_peer()

    def hear(self, event: str) -> None:
        state = self.state["state"]
        if event == "stopped" and state == "armed":
            self.send_to_peer()
            self.enter("cut")
            with contextlib.suppress(OSError):  # the interface went with the guest
                self.watch_frames()
        elif event == "running" and state == "cut":
            self.deliver_here(TABLE)  # FRR's own route may be gone from the kernel: give_back_to_frr
            self.forget_frames()
            self.enter("armed")
        elif event == "arrived" and state in ("armed", "cut"):
            self.send_to_peer()
            self.forget_frames()
            self.enter("left")
            self.finish_at = time.monotonic() + LINGER

    def believes_frames(self) -> bool:
        return bool(time.monotonic() - self.state["since"]["cut"] > STALE_FRAMES)

    def read_peer(self) -> None:
        """The target says that the guest runs there."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            message, sender = self.peer.recvfrom(1024)
            if hmac.compare_digest(message, self.sign("arrived")):
                self.hear("arrived")
                self.peer.sendto(self.sign("acknowledged"), sender)


class Target(Agent):
    """The end that the VM comes to. It has no deadline: what it has set is in nobody's way, and a guest that comes late
    has to be announced all the more."""

    def arm(self) -> None:
        self.peer = self.open_peer([0])
        self.watch(self.peer, self.read_peer)
        self.resend_at: List[float] = []
        self.announced = threading.Event()
        if self.state.get("state") == "arrived":
            self.state["state"] = "armed"
            return self.hear("running")
        self.deliver_here(INBOUND_TABLE)
        self.filter_sources(strictly=False)
        self.watch_frames()
        self.enter("armed")

    def fill(self) -> None:
        with contextlib.suppress(OSError):  # an IPv6 route can be refused while the interface comes up
            self.deliver_here(INBOUND_TABLE)
            if self.state["state"] != "armed":
                self.deliver_here(TABLE)

    def hear(self, event: str) -> None:
        if event != "running" or self.state["state"] != "armed":
            return
        now = time.monotonic()
        self.resend_at = [now + delay for delay in RESEND_AFTER]
        self.resend()
        self.fill_arrived()
        self.forget_frames()
        self.enter("arrived")
        threading.Thread(target=self.announce, daemon=True).start()

    def fill_arrived(self) -> None:
        """Deliver here whatever comes, and look at the guest's source addresses strictly again."""
        self.deliver_here(INBOUND_TABLE)
        self.deliver_here(TABLE)
        self.filter_sources(strictly=True)

    def resend(self) -> None:
        """Tell the source, until it acknowledges."""
        while self.resend_at and self.resend_at[0] <= time.monotonic():
            self.resend_at.pop(0)
            with contextlib.suppress(OSError):
                address = self.record["peer"]["ipv6" if self.peer.family == socket.AF_INET6 else "ipv4"]
                self.peer.sendto(self.sign("arrived"), (address, self.record["port"]))

    def read_peer(self) -> None:
        """The source has heard."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if hmac.compare_digest(self.peer.recv(1024), self.sign("acknowledged")):
                self.resend_at = []
                self.state["since"].setdefault("acknowledged", time.monotonic())

    def announce(self) -> None:
        """Have FRR announce the VM with elevated preference, until zebra has all its routes."""
        lines = []
        for prefix, via in self.record["prefixes"].items():
            word = "ipv6" if ":" in prefix else "ip"
            hop, onlink = (f"{via} ", " onlink") if via else ("", "")
            lines.append(f"{word} route {prefix} {hop}{self.interface} tag {ELEVATED_TAG}{onlink}")
        while not self.announced.is_set():
            run_vtysh("configure terminal", *lines)
            if self.is_announced():
                self.announced.set()
            else:
                time.sleep(FRR_PAUSE)

    def is_announced(self) -> bool:
        """Tell whether zebra has installed the routes."""
        said = run_vtysh("show ip route static json") + run_vtysh("show ipv6 route static json")
        there: Dict[str, List[Dict[str, Any]]] = {}
        with contextlib.suppress(ValueError):
            while said.strip():
                table, at = json.JSONDecoder().raw_decode(said.lstrip())
                there.update(table)
                said = said.lstrip()[at:]
        return all(any(entry.get("tag") == ELEVATED_TAG and entry.get("installed") for entry in there.get(prefix, ()))
                   for prefix in self.record["prefixes"])

    def seconds_to_wait(self) -> float:
        if self.state.get("state") == "arrived":
            return 0.01 if self.resend_at else FRR_PAUSE
        return super().seconds_to_wait()

    def look_at_clock(self) -> None:
        if self.state["state"] == "arrived":
            self.resend()
            if self.announced.is_set():
                self.enter("announced")
        if self.state["state"] == "announced" and not self.resend_at and self.finish_at is None:
            self.finish_at = time.monotonic()


def hurry() -> None:
    """Go before ordinary processes: an agent sleeps all the time, but for a millisecond that counts."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except OSError:
        with contextlib.suppress(OSError):
            os.nice(-20)


def notify_systemd() -> None:
    """Say that the agent is armed (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def main(arguments: List[str]) -> None:
    """`run IFACE`, `disarm IFACE` or `tell IFACE EVENT`."""
    verb, interface = arguments[:2]
    files = Files(interface, os.environ.get("VMCLUSTER_MIGRATIONS", RUN_FOLDER))
    if verb == "tell":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(arguments[2].encode("ascii"), files.socket_path)
        return
    if verb == "disarm":
        return End(files, Kernel()).disarm()
    ends = {"source": Source, "target": Target}
    ends[files.read_record()["role"]](files, Kernel()).run()


if __name__ == "__main__":
    main(sys.argv[1:])
