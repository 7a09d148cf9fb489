# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Entering network namespaces from Python."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from .commands import run_command
from .errors import LabError

NAMED = Path("/run/netns")
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
MS_REC = 0x4000
MS_SLAVE = 0x80000

_libc = ctypes.CDLL(None, use_errno=True)


def named_netns(name: str) -> Path:
    """The file by which `ip netns` knows a namespace."""
    return NAMED / name


def make_netns(name: str) -> None:
    """Make a named network namespace with its loopback up."""
    run_command(["ip", "netns", "add", name])
    run_command(["ip", "-n", name, "link", "set", "lo", "up"])


def remove_netns(name: str) -> None:
    """Remove a named network namespace where there is one."""
    if named_netns(name).exists():
        run_command(["ip", "netns", "del", name])


def release_named_netns() -> None:
    """Unmount the folder of named namespaces once it is empty: `ip netns add` mounts it, and nothing else undoes it."""
    if NAMED.is_dir() and not any(NAMED.iterdir()):
        run_command(["umount", NAMED], check=False)


def set_netns(descriptor: int) -> None:
    """Move the calling thread into the network namespace of an open file."""
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise LabError(f"can't enter the network namespace: {os.strerror(ctypes.get_errno())}")


def leave_namespaces() -> None:
    """Move the calling process into fresh network and mount namespaces, which last as long as its processes.

    The machine's mounts stay in step there, so that namespaces which are removed outside are not held.
    """
    unshare(CLONE_NEWNET | CLONE_NEWNS)


def leave_mounts() -> None:
    """Move the calling process into a fresh mount namespace, as above, with the network it is in."""
    unshare(CLONE_NEWNS)


def unshare(namespaces: int) -> None:
    """Move the calling process into fresh namespaces, of mounts among others, which follow the machine's."""
    if _libc.unshare(namespaces) != 0 or _libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None) != 0:
        raise LabError(f"can't make namespaces: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def inside_netns(path: Path) -> Iterator[None]:
    """Run the block in the network namespace of the file; FileNotFoundError when there is none. Single thread only."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        other = os.open(path, os.O_RDONLY)
        try:
            set_netns(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            set_netns(own)
    finally:
        os.close(own)
