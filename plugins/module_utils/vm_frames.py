# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames by which a network learns where a VM is: gratuitous ARP (RFC 5227, 3), unsolicited neighbour advertisements
(RFC 4861, 7.2.6), and questions that a guest answers. Bytes only; sending is `send_frames`."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Iterable, List

from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import family_of

BROADCAST = b"\xff" * 6
ARP, IPV6 = 0x0806, 0x86DD
ICMPV6, SOLICITATION, ADVERTISEMENT = 58, 135, 136
OVERRIDE = 0x20000000
SOURCE_LINK, TARGET_LINK = 1, 2  # options of RFC 4861, 4.6.1
ALL_NODES = ipaddress.IPv6Address("ff02::1")


def announcement(mac: str, address: str) -> bytes:
    """Return the frame, as if from the guest itself, that says to all that an address is at this MAC."""
    packed, link = ipaddress.ip_address(address).packed, _bytes_of(mac)
    if family_of(address) == 4:
        return _arp(link, packed, packed)
    body = struct.pack("!I", OVERRIDE) + packed + _link_option(TARGET_LINK, link)
    return _icmpv6(link, b"\x33\x33\x00\x00\x00\x01", packed, ALL_NODES.packed, ADVERTISEMENT, body)


def question(mac: str, address: str) -> bytes:
    """Return the frame that asks a guest for its own address, from a MAC of the node that has no address.

    An ARP probe (RFC 5227, 1.1) changes nobody's cache; a solicitation comes from that MAC's link-local address, as one
    from no address would be a question for a duplicate.
    """
    packed, link = ipaddress.ip_address(address).packed, _bytes_of(mac)
    if family_of(address) == 4:
        return _arp(link, bytes(4), packed)
    group = ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + packed[13:]
    source = bytes([0xFE, 0x80, *[0] * 6, link[0] ^ 2, *link[1:3], 0xFF, 0xFE, *link[3:]])
    body = bytes(4) + packed + _link_option(SOURCE_LINK, link)
    return _icmpv6(link, b"\x33\x33" + group[12:], source, group, SOLICITATION, body)


def send_frames(interface: str, frames: Iterable[bytes]) -> None:
    """Send frames out of an interface; OSError when it is not there or down."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((interface, 0))
        for frame in frames:
            link.send(frame)


def announcements(mac: str, addresses: Iterable[str]) -> List[bytes]:
    """Return an announcement of each address."""
    return [announcement(mac, address) for address in addresses]


def _bytes_of(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _arp(link: bytes, sender: bytes, target: bytes) -> bytes:
    head = BROADCAST + link + struct.pack("!H", ARP)
    return (head + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + link + sender + bytes(6) + target).ljust(60, b"\0")


def _link_option(kind: int, link: bytes) -> bytes:
    return bytes([kind, 1]) + link


def _icmpv6(link: bytes, receiver: bytes, source: bytes, destination: bytes, kind: int, body: bytes) -> bytes:
    """Return a frame with an ICMPv6 message, hop limit 255 as neighbour discovery wants it."""
    length = 4 + len(body)
    pseudo = source + destination + struct.pack("!IxxxB", length, ICMPV6)
    checksum = _checksum(pseudo + bytes([kind, 0, 0, 0]) + body)
    header = struct.pack("!IHBB", 6 << 28, length, ICMPV6, 255) + source + destination
    return receiver + link + struct.pack("!H", IPV6) + header + struct.pack("!BBH", kind, 0, checksum) + body


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data + bytes(len(data) % 2)) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
