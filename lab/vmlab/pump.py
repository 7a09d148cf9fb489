# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copying frames between a guest's tap and its tap on the node: what qemu's network back end does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from .taps import build_announcement

LARGEST_FRAME = 65550
BATCH = 64  # frames copied one way before the other way has its turn
# When qemu sends its announcements after a migration, in seconds from the moment that the guest runs on.
ANNOUNCE_AT = (0.0, 0.05, 0.2, 0.45, 0.8)

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Pump:
    """Copies frames until told to stop. A descriptor of -1 stands for one that isn't open."""

    def __init__(self, node: int) -> None:
        self.guest = -1
        self.node = node
        self.standby = -1  # the tap on the node that the guest will move to; its frames wait in its queue
        self.left = -1  # the tap on the node that the guest moved away from
        self.is_paused = False
        self.announcements: list[tuple[float, bytes]] = []
        self.poll = select.epoll()

    def run(self, listener: socket.socket, answer: Answer) -> None:
        """Copy frames and answer requests until SIGTERM."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
        for control in (woken, listener):
            self.poll.register(control, select.EPOLLIN)
        self.watch(self.guest, self.node)
        while True:
            for descriptor, _ in self.poll.poll(self.wait_for_announcement()):
                if descriptor == woken.fileno():
                    return
                if descriptor == listener.fileno():
                    serve(listener, answer)
                elif descriptor == self.node:
                    self.copy(self.node, self.guest)
                elif descriptor == self.guest:
                    self.copy(self.guest, self.node)
            self.announce()

    def watch(self, *descriptors: int) -> None:
        """Take frames from these taps."""
        for descriptor in descriptors:
            if descriptor >= 0:
                self.poll.register(descriptor, select.EPOLLIN)

    def ignore(self, descriptor: int) -> None:
        """Leave what comes to this tap in its queue."""
        with contextlib.suppress(OSError, ValueError):
            self.poll.unregister(descriptor)

    def copy(self, source: int, target: int) -> None:
        """Copy what waits at one tap to the other."""
        try:
            for _ in range(BATCH):
                frame = os.read(source, LARGEST_FRAME)
                # A tap that is down, or whose queue is full, loses frames as a cable that isn't plugged in does.
                with contextlib.suppress(OSError):
                    os.write(target, frame)
        except BlockingIOError:
            pass
        except OSError:
            self.ignore(source)  # the interface was deleted: the guest lives on, unconnected

    def pause(self) -> None:
        """Stop the guest: frames wait, in both directions."""
        self.is_paused = True
        self.ignore(self.node)
        self.ignore(self.guest)

    def resume(self, mac: str) -> bool:
        """Let the guest run on, at the standby tap if there is one, which it announces; whether it moved there."""
        moved = self.standby >= 0
        if not self.is_paused:
            self.pause()
        if moved:
            self.close_left()
            self.left, self.node, self.standby = self.node, self.standby, -1
            now = time.monotonic()
            self.announcements = [(now + delay, build_announcement(mac)) for delay in ANNOUNCE_AT]
            self.announce()
        self.is_paused = False
        self.watch(self.guest, self.node)
        return moved

    def wait_for_announcement(self) -> float | None:
        """Seconds until the next announcement is due, None when there is none."""
        return max(0.0, self.announcements[0][0] - time.monotonic()) if self.announcements else None

    def announce(self) -> None:
        """Send the announcements that are due."""
        while self.announcements and self.announcements[0][0] <= time.monotonic():
            _, frame = self.announcements.pop(0)
            with contextlib.suppress(OSError):
                os.write(self.node, frame)

    def close_left(self) -> None:
        """Detach from the tap that the guest moved away from, as the source's qemu does when it ends."""
        self.left = close(self.left)

    def close_standby(self) -> None:
        """Detach from the tap that the guest was to move to."""
        self.standby = close(self.standby)


def close(descriptor: int) -> int:
    """Close a descriptor if it's open; what stands for a closed one."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def serve(listener: socket.socket, answer: Answer) -> None:
    """Answer one request."""
    link, _ = listener.accept()
    with link, contextlib.suppress(OSError):
        link.settimeout(1.0)
        link.send(json.dumps(answer(json.loads(link.recv(65536)))).encode())
