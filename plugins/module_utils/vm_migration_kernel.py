# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent of a migration asks of the kernel: routes and rules by netlink, a guest's frames by packet socket."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import socket
import struct
from typing import Iterable, Iterator, Optional, Tuple

TABLE, INBOUND_TABLE = 77, 78
RULE_PREFERENCE = {TABLE: 100, INBOUND_TABLE: 101}

NEW_LINK, DEL_LINK, NEW_ROUTE, DEL_ROUTE, NEW_RULE, DEL_RULE = 16, 17, 24, 25, 32, 33  # linux/rtnetlink.h
REQUEST, ACK, REPLACE, EXCLUSIVE, CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
LINK_GROUP = 1
UP, LOWER_UP = 0x1, 0x10000
ALL_FRAMES = 0x0003
ATTACH_FILTER = 26
LOAD_WORD, LOAD_HALF, EQUALS, RETURN = 0x20, 0x28, 0x15, 0x06  # linux/filter.h, linux/bpf_common.h


class Kernel:
    """Routes and rules of the node, by netlink: no process is started in a cut-over."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, 0))
        self.number = 0

    def ask(self, kind: int, flags: int, body: bytes, fine: Tuple[int, ...] = ()) -> bool:
        """Send one request; False when the kernel answers with an error that is fine, OSError for others."""
        self.number += 1
        head = struct.pack("IHHII", 16 + len(body), kind, REQUEST | ACK | flags, self.number, 0)
        self.socket.send(head + body)
        while True:
            answer = self.socket.recv(65536)
            _length, _kind, _flags, number = struct.unpack_from("IHHI", answer)
            if number == self.number:
                break
        code: int = -struct.unpack_from("i", answer, 16)[0]
        if code and code not in fine:
            raise OSError(code, os.strerror(code))
        return not code

    def put_route(self, table: int, prefix: str, via: Optional[str], interface: str, onlink: bool = False) -> None:
        """Set the one route to a prefix in a table."""
        parts = [(4, struct.pack("I", socket.if_nametoindex(interface)))]
        if via:
            parts.append((5, ipaddress.ip_address(via).packed))
        body = route_body(table, prefix, 0 if via or ":" in prefix else 253, 4 if onlink else 0, parts)
        self.ask(NEW_ROUTE, CREATE | REPLACE, body)

    def drop_route(self, table: int, prefix: str) -> None:
        """Remove a prefix from a table; its absence is fine."""
        while self.ask(DEL_ROUTE, 0, route_body(table, prefix, 255, 0, ()), (errno.ESRCH, errno.ENOENT)):
            pass

    def put_rule(self, family: int, table: int, incoming: str = "") -> None:
        """Have a table looked up, before FRR's, for all packets or those that come in by an interface."""
        self.ask(NEW_RULE, CREATE | EXCLUSIVE, rule_body(family, table, incoming), (errno.EEXIST,))

    def drop_rule(self, family: int, table: int, incoming: str = "") -> None:
        """Remove such a rule; its absence is fine."""
        absent = (errno.ENOENT, errno.ESRCH, errno.EAFNOSUPPORT)
        while self.ask(DEL_RULE, 0, rule_body(family, table, incoming), absent):
            pass


def route_body(table: int, prefix: str, scope: int, flags: int, parts: Iterable[Tuple[int, bytes]]) -> bytes:
    """Return struct rtmsg and its attributes; protocol static."""
    network = ipaddress.ip_network(prefix)
    head = struct.pack("BBBBBBBBI", family_of(prefix), network.prefixlen, 0, 0, table, 4 if parts else 0, scope,
                       1 if parts else 0, flags)
    return head + attributes([(1, network.network_address.packed), *parts])


def rule_body(family: int, table: int, incoming: str) -> bytes:
    """Return struct fib_rule_hdr and its attributes."""
    head = struct.pack("BBBBBBBBI", family, 0, 0, 0, table, 0, 0, 1, 0)
    parts = [(6, struct.pack("I", RULE_PREFERENCE[table]))]
    if incoming:
        parts.append((3, incoming.encode() + b"\0"))
    return head + attributes(parts)


def attributes(parts: Iterable[Tuple[int, bytes]]) -> bytes:
    """Return netlink attributes, each filled up to four bytes."""
    return b"".join(struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in parts)


def family_of(prefix: str) -> int:
    """Return the address family of an address or prefix."""
    return int(socket.AF_INET6 if ":" in prefix else socket.AF_INET)


def open_frames(interface: str, mac: str) -> socket.socket:
    """Return a packet socket that sees only frames from a guest's MAC."""
    high, low = struct.unpack("!IH", bytes.fromhex(mac.replace(":", "")))
    lines = ((LOAD_WORD, 0, 0, 6), (EQUALS, 0, 3, high), (LOAD_HALF, 0, 0, 10), (EQUALS, 0, 1, low),
             (RETURN, 0, 0, 0xFFFF), (RETURN, 0, 0, 0))
    program = b"".join(struct.pack("HBBI", *line) for line in lines)
    text = ctypes.create_string_buffer(program, len(program))
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    frames.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(text)))
    frames.setblocking(False)
    frames.bind((interface, ALL_FRAMES))
    return frames


def open_links() -> socket.socket:
    """Return a socket that tells what happens to interfaces."""
    links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    links.setblocking(False)
    links.bind((0, LINK_GROUP))
    return links


def read_links(links: socket.socket) -> Iterator[Tuple[int, bool, bool]]:
    """Return (index, up, carrier) of interfaces that something happened to; one that is gone is neither."""
    try:
        message = links.recv(65536)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOBUFS):
            return
        raise
    at = 0
    while at + 32 <= len(message):
        length, kind = struct.unpack_from("IH", message, at)
        index, flags = struct.unpack_from("iI", message, at + 20)
        if kind in (NEW_LINK, DEL_LINK):
            yield index, kind == NEW_LINK and bool(flags & UP), kind == NEW_LINK and bool(flags & LOWER_UP)
        at += max(length + 3 & ~3, 16)
