# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A switch's port at a trunk, for the controller's seat: a tap whose frames travel in one VLAN of a wire.

The kernel that the lab's hosts share may have no 802.1Q, so tags are put on and taken off here.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from pathlib import Path
from typing import Any

from .commands import run_ip_batch
from .netns import inside_netns, named_netns
from .taps import open_tap

LARGEST_FRAME = 65550
SEAT, MAC = "seat", "02:00:00:00:03:01"
# SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID of linux/if_packet.h
PACKET, AUXDATA, VLAN_VALID = 263, 8, 0x10


def open_wire(netns: Path, interface: str = "wire") -> socket.socket:
    """A socket that sends frames to a wire, and hears with each the VLAN that it came in."""
    with inside_netns(netns):
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.bind((interface, 3))
    link.setsockopt(PACKET, AUXDATA, 1)
    return link


def hear_frame(link: socket.socket) -> tuple[bytes, int]:
    """The next frame that came by the wire, without its tag, and its VLAN (0: no tag)."""
    while True:
        frame, told, _flags, sender = link.recvmsg(LARGEST_FRAME, 256)
        if sender[2] != socket.PACKET_OUTGOING:
            auxdata = next(data for level, kind, data in told if (level, kind) == (PACKET, AUXDATA))
            status, vlan = struct.unpack_from("I", auxdata)[0], struct.unpack_from("H", auxdata, 16)[0]
            return frame, vlan & 0xFFF if status & VLAN_VALID else 0


def tag_frame(frame: bytes, vlan: int) -> bytes:
    """The frame with an 802.1Q tag; VLAN 0: as it is."""
    return frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:] if vlan else frame


class TrunkPort:
    """The controller's seat behind a switch's port: `seat`, with an address, in the namespace of the wire.

    The port is in one VLAN, and sends and takes its frames with and without a tag: a host is installed by frames that
    have none, and changes to those that have one. Use it with `with`.
    """

    def __init__(self, netns: str, address: str, vlan: int) -> None:
        self.netns, self.address, self.vlan = netns, address, vlan
        self.open = contextlib.ExitStack()

    def __enter__(self) -> TrunkPort:
        self.tap = open_tap(named_netns(self.netns), SEAT)
        self.open.callback(os.close, self.tap)
        self.wire = self.open.enter_context(open_wire(named_netns(self.netns)))
        self.wire.setblocking(False)
        run_ip_batch([f"link set {SEAT} address {MAC} up", f"addr add {self.address} dev {SEAT}"],
                     namespace=self.netns)
        stopped, self.stop = socket.socketpair()
        self.open.enter_context(stopped)
        self.worker = threading.Thread(target=self.carry, args=(stopped,), daemon=True)
        self.worker.start()
        return self

    def __exit__(self, *_error: Any) -> None:
        self.stop.close()
        self.worker.join()
        self.open.close()

    def carry(self, stopped: socket.socket) -> None:
        """Carry frames between seat and wire until told to stop."""
        while True:
            ready = select.select([self.tap, self.wire.fileno(), stopped.fileno()], [], [])[0]
            if stopped.fileno() in ready:
                return
            with contextlib.suppress(OSError):  # full queues lose frames, as cables do
                if self.tap in ready:
                    self.send(os.read(self.tap, LARGEST_FRAME))
            with contextlib.suppress(OSError):
                if self.wire.fileno() in ready:
                    self.take(*hear_frame(self.wire))

    def send(self, frame: bytes) -> None:
        """Send what comes from the seat."""
        for vlan in (0, self.vlan):
            self.wire.send(tag_frame(frame, vlan))

    def take(self, frame: bytes, vlan: int) -> None:
        """Hand the seat what is for it."""
        if vlan in (0, self.vlan):
            os.write(self.tap, frame)
