# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One end of a one-way stream of numbered UDP packets; runs in the network namespace of a host or guest.

Started as `python3 -m vmlab.probe_end send ADDRESS TARGET PORT STREAM RATE SIZE` or `... receive ADDRESS STREAM`.
It works until its standard input is closed, so it ends with whoever started it, and then writes what it saw to standard
output.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import struct
import sys
import time
from array import array

PACKET = struct.Struct("!4sIQQ")  # mark, stream, number, when it was sent (ns since the epoch)
MARK = b"vmlp"
SO_TIMESTAMPNS = 35  # Linux: the kernel notes when a packet arrived, whenever it is read
TIMESPEC = struct.Struct("@qq")
PRIORITY = 10
LATE = 0.001  # a packet sent this many seconds after its time counts as late


def be_quick() -> None:
    """Go before ordinary processes where that's allowed, and have no pauses to collect garbage."""
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        pass


def open_socket(address: str) -> socket.socket:
    """A UDP socket bound to the address, on a port of the kernel's choice."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    link = socket.socket(family, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    link.bind((address, 0))
    return link


def send(address: str, target: str, port: int, stream: int, rate: float, size: int) -> None:
    """Send packets, each at its time counted from the start, so that being late once doesn't shift the rest."""
    link = open_socket(address)
    link.setblocking(False)
    padding = bytes(max(0, size - PACKET.size))
    where = (target, port)
    number = unsent = late = 0
    latest = 0.0
    first_ns = last_ns = time.time_ns()
    print("sending", flush=True)
    start = time.monotonic()
    while True:
        wait = start + number / rate - time.monotonic()
        # Also the check for the end, which a sender that lags behind makes less often.
        if (wait > 0 or number % 64 == 0) and select.select([0], [], [], max(0.0, wait))[0]:
            break
        behind = time.monotonic() - (start + number / rate)
        latest = max(latest, behind)
        late += behind > LATE
        last_ns = time.time_ns()
        try:
            link.sendto(PACKET.pack(MARK, stream, number, last_ns) + padding, where)
        except OSError:
            unsent += 1  # no route, no buffer: lost as seen from the application
        number += 1
    report = {"sent": number, "unsent": unsent, "late": late, "latest_ms": latest * 1000}
    print(json.dumps({**report, "first_ns": first_ns, "last_ns": last_ns}), flush=True)


def receive(address: str, stream: int) -> None:
    """Note the number, sending time and arrival of every packet of the stream."""
    link = open_socket(address)
    link.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    link.setblocking(False)
    print(link.getsockname()[1], flush=True)
    seen = array("Q")
    while True:
        readable = select.select([link.fileno(), 0], [], [])[0]
        if link.fileno() in readable:
            note_packets(link, stream, seen)
        elif 0 in readable:
            break
    sys.stdout.buffer.write(seen.tobytes())
    sys.stdout.buffer.flush()


def note_packets(link: socket.socket, stream: int, seen: array[int]) -> None:
    """Take what has arrived: three numbers per packet."""
    while True:
        try:
            packet, notes, _, _ = link.recvmsg(2048, 64)
        except BlockingIOError:
            return
        if len(packet) < PACKET.size:
            continue
        mark, of_stream, number, sent_ns = PACKET.unpack_from(packet)
        if mark == MARK and of_stream == stream:
            seen.extend((number, sent_ns, find_arrival(notes)))


def find_arrival(notes: list[tuple[int, int, bytes]]) -> int:
    """When the kernel got the packet, in ns since the epoch."""
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data[: TIMESPEC.size])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def main(arguments: list[str]) -> None:
    """Be the end that the command line asks for."""
    be_quick()
    if arguments[0] == "send":
        address, target, port, stream, rate, size = arguments[1:]
        send(address, target, int(port), int(stream), float(rate), int(size))
    else:
        address, stream = arguments[1:]
        receive(address, int(stream))


if __name__ == "__main__":
    main(sys.argv[1:])
