# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guests: VMs behind the interfaces of their node, as a hypervisor would attach them.

A guest is a process, the guest agent, with a network namespace of its own. Kill it and the guest is gone, as with qemu.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import time
from typing import Any

from . import cgroups
from .errors import LabError
from .helpers import start_helper
from .state import GuestRecord, LabState

VM_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
KINDS = ("namespace", "qemu")
START_TIMEOUT = 15.0
BOOT_TIMEOUT = 120.0  # a guest with a kernel of its own, on an emulated processor; 5 s on an idle machine
STOP_TIMEOUT = {"namespace": 10.0, "qemu": 60.0}


def guest_group(vm: str) -> str:
    """The cgroup of a guest's agent."""
    return f"guest.{vm}"


def qemu_group(vm: str, node: str) -> str:
    """The cgroup of a guest's qemu on one node."""
    return f"{guest_group(vm)}/{node}"


def guest_mac(vm: str) -> str:
    """The MAC address of a guest for which none is named."""
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *hashlib.sha256(vm.encode()).digest()[:3]))


def check_guest(record: GuestRecord) -> GuestRecord:
    """The record with its addresses in full, or a LabError that says what is wrong with it."""
    if not VM_NAME.fullmatch(record.vm):
        raise LabError(f"guest {record.vm!r}: a VM's name has a-z, 0-9 and - here")
    if record.kind not in KINDS or (record.kind, record.make) == ("qemu", "veth"):
        raise LabError(f"guest {record.vm}: a guest is of kind {' or '.join(KINDS)}; qemu takes no veth")
    try:
        # A cloud image gets its address as a host route of one address unless told otherwise.
        addresses = tuple(str(ipaddress.ip_interface(address)) for address in record.addresses)
        for gateway, version in ((record.gateway4, 4), (record.gateway6, 6)):
            if gateway and ipaddress.ip_address(gateway).version != version:
                raise ValueError(f"{gateway} is no IPv{version} address")
    except ValueError as error:
        raise LabError(f"guest {record.vm}: {error}") from error
    return dataclasses.replace(record, addresses=addresses)


def start_guest(state: LabState, vm: str, timeout: float | None = None) -> GuestRecord:
    """Start a guest and wait until it is attached to its interface (of kind qemu: until it has booted).

    A LabError when that does not come to be.
    """
    record = read_guest(state, vm)
    if timeout is None:
        timeout = BOOT_TIMEOUT if record.kind == "qemu" else START_TIMEOUT
    if record.is_running():
        raise LabError(f"guest {vm} is running on {record.node}")
    state.write_guest(dataclasses.replace(record, agent=None, phase="off", message=""))
    process = spawn_agent(state, vm)
    deadline = time.monotonic() + timeout
    while True:
        record = read_guest(state, vm)
        if record.phase == "running":
            return record
        if record.phase == "failed" or process.poll() is not None:
            raise LabError(f"guest {vm} does not start: {record.message or f'see {state.folder}/guests/{vm}.log'}")
        if time.monotonic() > deadline:
            kill_guest(state, vm)
            there = record.kind == "qemu" and (state.folder / "guests" / f"{vm}.{record.node}.console").exists()
            why = "it has not booted" if there else f"{record.node} has no interface {record.interface}"
            raise LabError(f"guest {vm} does not start: {why}")
        time.sleep(0.01)


def spawn_agent(state: LabState, vm: str) -> subprocess.Popen[bytes]:
    """Start a guest's agent, which waits for the guest's interface."""
    log = state.folder / "guests" / f"{vm}.log"
    record = read_guest(state, vm)
    if record.kind == "qemu":
        return spawn_qemu(state, record, record.node)
    return start_helper(state, guest_group(vm), log, "guest_agent", state.name, vm)


def spawn_qemu(state: LabState, record: GuestRecord, node: str, *more: str) -> subprocess.Popen[bytes]:
    """Start the agent of a qemu guest on a node; in a group of its own, as a guest on the move is on two nodes."""
    log = state.folder / "guests" / f"{record.vm}.{node}.log"
    arguments = (state.name, record.vm, record.image, record.roots, *more)
    return start_helper(state, qemu_group(record.vm, node), log, "qemu_agent", *arguments)


def read_guest(state: LabState, vm: str) -> GuestRecord:
    """A guest's record; a LabError when there is no such guest."""
    record = state.read_guest(vm)
    if record is None:
        raise LabError(f"no guest {vm!r} in lab {state.name}; `lab/lab status` shows those there are")
    return record


def start_guests_of(state: LabState, node: str) -> None:
    """Start the guests of a node that boots, as an autostarting hypervisor: each waits for its interface."""
    for record in state.read_guests():
        if record.node == node and not record.is_running():
            spawn_agent(state, record.vm)


def kill_guest(state: LabState, vm: str) -> None:
    """End a guest without a word, as when qemu crashes."""
    cgroups.kill_group(state.name, guest_group(vm))
    record = read_guest(state, vm)
    state.write_guest(dataclasses.replace(record, agent=None, phase="off"))
    cgroups.remove_group(state.name, guest_group(vm))


def kill_guests_of(state: LabState, node: str) -> None:
    """End the guests of a node that went off."""
    for record in state.read_guests():
        if record.node == node:
            kill_guest(state, record.vm)
        else:
            cgroups.kill_group(state.name, qemu_group(record.vm, node))


def stop_guest(state: LabState, vm: str, timeout: float | None = None) -> None:
    """Shut a guest down: its agent gives the interface back and ends."""
    record = read_guest(state, vm)
    timeout = STOP_TIMEOUT[record.kind] if timeout is None else timeout
    if record.agent is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.agent.pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while record.agent.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
    kill_guest(state, vm)


def ask_agent(state: LabState, vm: str, **request: Any) -> dict[str, Any]:
    """Have a running guest's agent do something, and return its answer; a LabError when it can't."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(10.0)
        try:
            link.connect(str(state.folder / "guests" / f"{vm}.sock"))
            link.send(json.dumps(request).encode())
            answer: dict[str, Any] = json.loads(link.recv(65536))
        except OSError as error:
            raise LabError(f"guest {vm} does not answer: {error}") from error
    if "error" in answer:
        raise LabError(f"guest {vm}: {answer['error']}")
    return answer
