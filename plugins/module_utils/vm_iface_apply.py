# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the steps of vm_iface.py and vm_boot.py on the node: all VMs in one `ip -batch` per phase.

The order is such that a run that is killed anywhere is finished by the next one: the record comes first and goes
last, so what is half made or half gone is known as ours.
"""

from __future__ import annotations

import os
import re
from typing import ContextManager, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply, vm_boot
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import RECORD_FOLDER

LOCK_PATH = "/run/vmcluster-interfaces.lock"
LOCK_WAIT = 120.0  # seconds; a call for 1000 VMs takes some
KERNEL_TIMEOUT = 600.0

_FAILED_LINE = re.compile(r"Command failed -:(\d+)")


class Failure(NamedTuple):
    """One line that the kernel refused, and the interface it was for."""

    interface: str
    said: str


def node_lock() -> ContextManager[None]:
    """Keep other calls on this node out, from reading to saving. Raises ApplyError when they take too long."""
    return apply.host_lock(LOCK_PATH, LOCK_WAIT, "changes this node's VM interfaces")


def apply_boot(steps: Iterable[Step]) -> None:
    """Install the boot unit."""
    words = [command for step in steps for command in step.commands]
    for command in words:
        if command.startswith("write "):
            _write, path, text = command.split(" ", 2)
            apply.write_file(path, text, 0o755 if path == vm_boot.SCRIPT_PATH else 0o644)
    enabled = [command.partition(" ")[2] for command in words if command.startswith("enable ")]
    if "reload" in words or enabled:
        apply.run_command(["systemctl", "daemon-reload"])
    if enabled:
        apply.run_command(["systemctl", "enable", *enabled])


def write_records(steps: Iterable[Step], folder: str = RECORD_FOLDER) -> None:
    """Write the records of the steps, each whole or not at all, also after a crash of the node."""
    apply.write_files(folder, {
        f"{step.thing.partition(' ')[2]}.json": command[7:]
        for step in steps for command in step.commands if command.startswith("record ")})


def forget_records(steps: Iterable[Step], folder: str = RECORD_FOLDER) -> None:
    """Remove the records of interfaces that are gone."""
    for command in (command for step in steps for command in step.commands):
        if command.startswith("forget "):
            apply.remove_file(f"{folder}/{command[7:]}.json")


def apply_interfaces(steps: Sequence[Step], groups_in_use: Set[str]) -> List[Failure]:
    """Delete, create and configure interfaces; return what the kernel refused. All else is done."""
    phases: Dict[str, List[Tuple[str, str]]] = {"delete": [], "create": [], "sysctl": [], "configure": []}
    for step in steps:
        interface = step.thing.partition(" ")[2]
        for command in step.commands:
            word, _space, rest = command.partition(" ")
            phases[word].append((interface, rest))
    failures = _run_ip(_delete_lines([name for name, _rest in phases["delete"]], groups_in_use))
    failures += _run_ip(phases["create"])
    failures += _write_sysctls(phases["sysctl"])
    return failures + _run_ip(phases["configure"])


def _delete_lines(interfaces: Sequence[str], groups_in_use: Set[str]) -> List[Tuple[str, str]]:
    """Delete many interfaces in one go, by a group of their own: one by one, the kernel waits some 37 ms for each
    (measured: 37 s for 1000, 0.35 s so)."""
    if len(interfaces) < 2:
        return [(name, f"link del dev {name}") for name in interfaces]
    group = next(str(number) for number in range(0x564D0000 + os.getpid(), 2**32) if str(number) not in groups_in_use)
    lines = [(name, f"link set dev {name} group {group}") for name in interfaces]
    return [*lines, (interfaces[0], f"link del group {group}")]


def _run_ip(lines: Sequence[Tuple[str, str]]) -> List[Failure]:
    """Feed (interface, line) pairs to one `ip -batch`; a line that fails does not hold up the others."""
    if not lines:
        return []
    try:
        text = "".join(f"{line}\n" for _name, line in lines)
        apply.run_command(["ip", "-force", "-batch", "-"], text, KERNEL_TIMEOUT)
    except apply.ApplyError as error:
        failures = list(_read_failures(lines, str(error)))
        if not failures:
            raise
        return failures
    return []


def _read_failures(lines: Sequence[Tuple[str, str]], said: str) -> Iterator[Failure]:
    reason: List[str] = []
    for text in said.splitlines():
        failed = _FAILED_LINE.search(text)
        if failed:
            interface, line = lines[int(failed.group(1)) - 1]
            yield Failure(interface, f"ip {line}: {' '.join(reason) or 'failed'}")
            reason = []
        else:
            reason.append(text.rpartition("exit code 1: ")[2].strip())


def _write_sysctls(settings: Sequence[Tuple[str, str]]) -> List[Failure]:
    failures = []
    ipv6 = os.path.isdir("/proc/sys/net/ipv6")
    for interface, setting in settings:
        path, _space, value = setting.partition(" ")
        if not ipv6 and path.startswith("net/ipv6/"):
            continue
        try:
            apply.write_sysctl(path, value)
        except apply.ApplyError as error:
            failures.append(Failure(interface, str(error)))
    return failures
