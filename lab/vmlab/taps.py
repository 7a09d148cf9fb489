# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Interfaces that a hypervisor finds on a node: telling their kind, and attaching to a tap as qemu does."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from .commands import run_command
from .errors import LabError
from .netns import inside_netns

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_MULTI_QUEUE = 0x0100
RARP = 0x8035
LONGEST_NAME = 15  # longer ones are alternative names
BROADCAST = b"\xff" * 6


@dataclass(frozen=True)
class VmInterface:
    """A VM's interface on its node: a persistent tap, or a veth whose peer is for the guest."""

    name: str
    kind: str
    mtu: int
    peer: str = ""


def find_vm_interface(netns: Path, name: str) -> VmInterface | None:
    """Look at an interface, by its name or an alternative one; None while it (or the node) isn't there.

    A LabError when no guest can be put behind it.
    """
    try:
        with inside_netns(netns):
            if len(name) <= LONGEST_NAME:
                socket.if_nametoindex(name)  # cheap, for those who look often
            told = run_command(["ip", "-j", "-d", "link", "show", "dev", name], check=False)
    except OSError:
        return None
    if told.returncode != 0 or not told.stdout.strip():
        return None
    link = json.loads(told.stdout)[0]
    kind = link.get("linkinfo", {}).get("info_kind", "plain")
    if kind == "tun" and link["linkinfo"]["info_data"]["type"] == "tap":
        return VmInterface(link["ifname"], "tap", link["mtu"])
    if kind == "veth":
        if "link" not in link:
            raise LabError(f"the peer of {name} is in another namespace already")
        return VmInterface(link["ifname"], "veth", link["mtu"], link["link"])
    raise LabError(f"{name} is a {kind} interface; a guest is put behind a tap or a veth")


def open_tap(netns: Path, name: str) -> int:
    """Attach to the tap of this name as qemu does, which gives it carrier; one that isn't there is made for as long."""
    with inside_netns(netns):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            try:
                attach(descriptor, name, 0)
            except OSError as refused:
                if refused.errno != errno.EINVAL:
                    raise
                attach(descriptor, name, IFF_MULTI_QUEUE)  # how the tap was made, so how it wants to be attached to
        except OSError as refused:
            os.close(descriptor)
            busy = " (another guest runs on it)" if refused.errno == errno.EBUSY else ""
            raise LabError(f"can't attach to tap {name}: {refused.strerror}{busy}") from refused
    return descriptor


def attach(descriptor: int, name: str, flags: int) -> None:
    """Bind an open /dev/net/tun to an interface; OSError when the kernel refuses."""
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | flags))


def build_announcement(mac: str) -> bytes:
    """The RARP frame by which qemu tells switches where a migrated guest now is."""
    address = bytes.fromhex(mac.replace(":", ""))
    head = BROADCAST + address + struct.pack("!H", RARP)
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + address + bytes(4) + address + bytes(4)
    return (head + body).ljust(60, b"\0")
