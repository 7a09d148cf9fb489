# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a host's network by a record, a timer and a script on the host itself; confirm the change, or send it back."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, ContextManager, Dict, List, Mapping, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply, host_change
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import ask, read_records
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_boot import PYTHONS

LOCK_WAIT = 30.0  # seconds


def read_help() -> host_change.FoundHelp:
    """Return what the host has of script and boot unit."""
    pythons = [path for path in PYTHONS if os.access(path, os.X_OK)]
    return host_change.FoundHelp(
        (pythons or [sys.executable])[0], _read_text(host_change.SCRIPT_PATH), _read_text(host_change.BOOT_UNIT_PATH),
        os.path.lexists(host_change.BOOT_ENABLED_PATH))


def plan_help(found: host_change.FoundHelp) -> Tuple[Step, ...]:
    """Return the steps that install script and boot unit."""
    wanted = ((host_change.SCRIPT_PATH, found.script, host_change.script_text(found.python)),
              (host_change.BOOT_UNIT_PATH, found.unit, host_change.BOOT_UNIT))
    steps = [Step("is missing" if there is None else "is of another version", f"file {path}", after=(path,),
                  commands=(text,)) for path, there, text in wanted if there != text]
    if not found.enabled:
        steps.append(Step("is not enabled", f"unit {host_change.BOOT_UNIT_NAME}", ("disabled",), ("enabled",)))
    return tuple(steps)


def start_change(record: Mapping[str, Any], help_steps: Tuple[Step, ...], seconds: int) -> None:
    """Arm the way back, `seconds` from now, and let the host begin with the change in a second.

    The answer of the module shall be at the controller before the connection goes.
    """
    for step in help_steps:
        if step.commands:
            path = step.after[0]
            apply.write_file(path, step.commands[0], 0o755 if path == host_change.SCRIPT_PATH else 0o644)
    if help_steps:
        apply.run_command(["systemctl", "daemon-reload"])
        apply.run_command(["systemctl", "enable", host_change.BOOT_UNIT_NAME])
    os.makedirs(host_change.FOLDER, mode=0o700, exist_ok=True)
    apply.remove_file(host_change.APPLIED_PATH)
    # The way back is armed first: a record whose writer has died is never without it.
    _start_later("rollback", record["id"], f"{seconds}s", "rollback", "timer", record["id"])
    try:
        apply.write_file(host_change.CHANGE_PATH, json.dumps(record), 0o600)
        _sync_records()
        _start_later("apply", record["id"], "1s", "apply", record["id"])
    except (apply.ApplyError, OSError):
        _forget(record["id"])
        raise


def send_back(name: str) -> None:
    """Let the host begin with the way back of a change in a second."""
    _start_later("return", name, "1s", "rollback", "test", name)


def confirm_change(name: str) -> bool:
    """Let a change stay; return whether it was still there to be confirmed."""
    told = {"id": name, "outcome": "confirmed", "by": "test", "failures": [], "missing": []}
    with hold_network():
        if read_pending().get("id") != name:
            return False
        apply.write_file(host_change.OUTCOME_PATH, json.dumps(told), 0o600)
        _forget(name)
        return True


def hold_network() -> ContextManager[None]:
    """Keep others out that change the host's network: other controllers, the script."""
    return apply.host_lock(host_change.LOCK_PATH, LOCK_WAIT, "changes the host's network")


def see_return(name: str) -> List[str]:
    """Send an open change back whose timer is lost. Return what stood in the way where that was tried and is not whole:
    trying again and again would take the network down each time."""
    units = [f"{host_change.UNIT}-{what}-{name}.{kind}" for what in ("rollback", "return")
             for kind in ("timer", "service")]
    states = ask("systemctl", "is-active", *units).split()
    if {"active", "activating", "reloading", "deactivating"} & {*states} or read_pending().get("id") != name:
        return []
    told = read_outcome(name)
    if told is not None:
        return list(told["failures"])
    send_back(name)
    return []


def _forget(name: str) -> None:
    """Forget the record, which decides, and then stop the timer, which finds nothing to do if it comes before that."""
    apply.remove_file(host_change.CHANGE_PATH)
    _sync_records()
    apply.remove_file(host_change.APPLIED_PATH)
    ask("systemctl", "stop", f"{host_change.UNIT}-rollback-{name}.timer")


def _sync_records() -> None:
    """Let a power cut not change which records are there: configuration may be on another file system."""
    handle = os.open(host_change.FOLDER, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_pending() -> Dict[str, Any]:
    """Return the change that waits for its confirmation; empty when there is none."""
    return read_records(host_change.CHANGE_PATH) or {}


def read_outcome(name: str) -> Optional[Dict[str, Any]]:
    """Return what has become of a change; None while that is open."""
    told = read_records(host_change.OUTCOME_PATH)
    if told is None or told.get("id") != name:
        return None
    # Who confirmed may have died before the record was gone, and then the change goes back.
    return None if told["outcome"] == "confirmed" and read_pending().get("id") == name else told


def read_applied(name: str) -> Optional[Dict[str, Any]]:
    """Return what the script told when it had carried the change out; None when it has not yet."""
    told = read_records(host_change.APPLIED_PATH)
    return told if told is not None and told.get("id") == name else None


def _start_later(what: str, name: str, when: str, *words: str) -> None:
    # Each change has units of its own, so that what is late for one never meets another. KillMode: what ifup starts,
    # such as a DHCP client, lives on.
    apply.run_command(["systemd-run", "--collect", f"--unit={host_change.UNIT}-{what}-{name}", f"--on-active={when}",
                       "--timer-property=AccuracySec=100ms", "--property=KillMode=process",
                       host_change.SCRIPT_PATH, *words])


def _read_text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
