# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the kernel and the wire whether a change of the host's network has done what it should."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import struct
import time
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply
from ansible_collections.vmcluster.network.plugins.module_utils.host_network import plan_differences, sysctl_path
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import Kernel, ask, read_file, read_kernel
from ansible_collections.vmcluster.network.plugins.module_utils.waiting import ask_until

ALL_RP_FILTER = "/proc/sys/net/ipv4/conf/all/rp_filter"
ARP = 0x0806
PROBES = 3  # RFC 5227, 1.1: PROBE_NUM
PROBE_PAUSE, PROBE_WAIT = 0.4, 1.0  # seconds; RFC 5227 has 1-2 and 2 for hosts that come up all at once
DISCARD_PORT = 9  # RFC 863: what is sent there wants no answer
RESOLVED = {"REACHABLE", "PERMANENT", "NOARP"}


def verify_plan(plan: HostPlan, probes: Iterable[Tuple[str, str]], gateways: bool, seconds: float) -> List[str]:
    """Return what is wrong now; things may take `seconds` to come.

    probes: interface and address of what nobody else may have.
    """
    deadline = time.monotonic() + seconds
    wrong = ask_until(lambda: _compare(plan), lambda found: not found, seconds, 0.3)
    ways = [(each.name, route.via) for each in plan.interfaces for route in each.routes if route.via]
    if gateways and not wrong:
        silent = ask_until(lambda: find_silent(ways), lambda found: not found, deadline - time.monotonic(), 0.5)
        wrong += [f"gateway {gateway} does not answer on {name}" for name, gateway in silent]
    return wrong + find_duplicates(probes, read_kernel())


def find_unwritten(files: Mapping[str, Optional[Mapping[str, Any]]]) -> List[str]:
    """Return which files of a change are not as it says, one line each: the next boot would be another than now.

    A disk may be full, a file immutable, or somebody else may write to it.
    """
    found = []
    for path, wanted in files.items():
        there = read_file(path).text if os.path.isfile(path) else None
        if there != (wanted["text"] if wanted else None):
            found.append(f"file {path} is not as it was to be written")
    return found


def read_sysctls(plan: HostPlan) -> Dict[str, str]:
    """Return the values that the plan's sysctls have now, and those that managers set on its interfaces, by path."""
    values = {}
    paths = [sysctl_path(key) for key in plan.sysctls]
    paths += [f"net/ipv6/conf/{name}/{key}" for name in plan.names for key in ("disable_ipv6", "accept_ra")]
    for path in paths:
        with contextlib.suppress(OSError), open(f"/proc/sys/{path}", encoding="ascii", errors="replace") as stream:
            values[path] = stream.read().strip()
    return values


def find_overruled(plan: HostPlan) -> List[str]:
    """Return which of the plan's sysctls have no effect: of rp_filter the greater of `all` and the interface counts."""
    paths = {sysctl_path(key): (key, value) for key, value in plan.sysctls.items()}
    chosen = [said for path, said in paths.items() if re.fullmatch("net/ipv4/conf/(?!all/).+/rp_filter", path)]
    with contextlib.suppress(OSError, ValueError), open(ALL_RP_FILTER, encoding="ascii") as stream:
        of_all = int(stream.read())
        return [f"{key} {value} has no effect, as net.ipv4.conf.all.rp_filter is {of_all}: packets from addresses that "
                f"another interface leads to are taken" for key, value in chosen if of_all > int(value) > 0]
    return []


def _compare(plan: HostPlan) -> List[str]:
    return [f"{name} {what}" for name, what in plan_differences(plan, read_kernel(), read_sysctls(plan))]


def find_silent(ways: Sequence[Tuple[str, str]], seconds: float = 4.0) -> List[Tuple[str, str]]:
    """Return those of these gateways, each with its interface, that the kernel cannot resolve anew."""
    for name, gateway in ways:
        with contextlib.suppress(apply.ApplyError):
            apply.run_command(["ip", "neigh", "del", gateway, "dev", name])
        _send(name, gateway)
    return ask_until(lambda: [way for way in ways if not _is_resolved(*way)], lambda left: not left, seconds, 0.2)


def _send(name: str, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        scope = socket.if_nametoindex(name) if address.startswith("fe80:") else 0
        sender.sendto(b"", (address, DISCARD_PORT, 0, scope) if ":" in address else (address, DISCARD_PORT))


def _is_resolved(name: str, gateway: str) -> bool:
    entries = json.loads(ask("ip", "-j", "neigh", "show", "to", gateway, "dev", name) or "[]")
    return any(RESOLVED & set(entry.get("state", ())) for entry in entries)


def find_duplicates(probes: Iterable[Tuple[str, str]], kernel: Kernel) -> List[str]:
    """Return who else has an address, one line each. IPv4: ARP probes (RFC 5227); IPv6: what the kernel's DAD found."""
    failed = {address for link in kernel.links.values() for address in link.duplicates}
    own = {link.current_mac for link in kernel.links.values()}
    asked: Dict[str, Set[str]] = {}
    for name, address in probes:
        if ":" not in address:
            asked.setdefault(name, set()).add(address)
    found = [f"{address} is another host's too (IPv6 DAD)" for address in sorted(failed)]
    for name, addresses in asked.items():
        if name in kernel.links:
            answers = probe_addresses(name, kernel.links[name].current_mac, sorted(addresses))
            found += [f"{address} is another host's too: {mac} answers for it on {name}"
                      for address, mac in answers.items() if mac not in own]
    return found


def probe_addresses(name: str, mac: str, addresses: Sequence[str]) -> Mapping[str, str]:
    """Return the MAC address of each host that claims one of these IPv4 addresses on an interface's wire."""
    own = bytes.fromhex(mac.replace(":", ""))
    claimed: Dict[str, str] = {}
    with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP)) as wire:
        wire.bind((name, ARP))
        for number in range(PROBES):
            for address in addresses:
                wire.send(_arp_probe(own, address))
            wait = PROBE_WAIT if number == PROBES - 1 else PROBE_PAUSE
            _listen(wire, own, set(addresses), claimed, wait)
    return claimed


def _arp_probe(own: bytes, address: str) -> bytes:
    ethernet = b"\xff" * 6 + own + struct.pack("!H", ARP)
    return ethernet + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, own, b"\0" * 4, b"\0" * 6,
                                  socket.inet_aton(address))


def _listen(wire: socket.socket, own: bytes, addresses: Set[str], claimed: Dict[str, str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([wire], [], [], left)[0]:
            return
        frame = wire.recv(1514)
        sender, address = frame[22:28], frame[28:32]
        if len(frame) >= 42 and sender != own and socket.inet_ntoa(address) in addresses:
            claimed[socket.inet_ntoa(address)] = ":".join(f"{byte:02x}" for byte in sender)
