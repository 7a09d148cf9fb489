# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module fabric_vm_migration: read, plan, apply, report."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import (
    apply,
    iproute,
    vm_iface_apply,
    vm_migration_read,
    vm_migration_unit,
    vtysh,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of
from ansible_collections.vmcluster.network.plugins.module_utils.vm_attach import Result
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_end import RUN_FOLDER, Files
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_plan import (
    Migration,
    check_aborting,
    check_preparing,
    not_arrived,
    not_settled,
    plan_arming,
    plan_disarming,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_state import Under, read_under_way
from ansible_collections.vmcluster.network.plugins.module_utils.waiting import ask_until

LATE = 5.0  # seconds after the agents' deadline

_UNDERLAY: Dict[str, Any] = {"type": "dict", "options": {"ipv4": {"type": "str"}, "ipv6": {"type": "str"}}}

ARGUMENT_SPEC: Dict[str, Any] = {
    "state": {"type": "str", "required": True,
              "choices": ["prepared", "armed", "arrived", "completed", "aborted"]},
    "migrations": {"type": "list", "elements": "dict", "required": True, "options": {
        "name": {"type": "str", "required": True},
        "nic": {"type": "int", "default": 0},
        "role": {"type": "str", "required": True, "choices": ["source", "target"]},
        "other": {"type": "str", "required": True},
        "own": {**_UNDERLAY, "required": True},
        "peer": {**_UNDERLAY, "required": True},
        "addresses": {"type": "list", "elements": "str", "required": True},
        "mtu": {"type": "int", "default": 1500},
        "key": {"type": "str", "no_log": True},
        "port": {"type": "int", "default": 0},
    }},
    "deadline": {"type": "float", "default": 600},
    "wait": {"type": "float", "default": 15},
}


def migrate_vms(params: Mapping[str, Any], check_mode: bool) -> Result:
    """Bring the node's part in migrations into the state asked for; in check mode, tell what that would take."""
    wanted = [_read_migration(entry) for entry in params["migrations"]]
    verb = {"prepared": _prepare, "armed": _arm, "arrived": _await, "completed": _complete, "aborted": _abort}
    try:
        with contextlib.nullcontext() if check_mode else vm_iface_apply.node_lock():
            if params["state"] != "arrived":
                return verb[params["state"]](wanted, params, check_mode)
        return _await(wanted, params, check_mode)
    except (apply.ApplyError, vtysh.FrrError, iproute.ReadError, OSError) as error:
        return Result({"changed": not check_mode}, failed=str(error))


def _read_migration(entry: Mapping[str, Any]) -> Migration:
    addresses = {side: {key: entry[side].get(key) or None for key in ("ipv4", "ipv6")} for side in ("own", "peer")}
    return Migration(
        entry["name"], entry["nic"], entry["role"], entry["other"], addresses["own"], addresses["peer"],
        tuple(entry["addresses"]), entry["mtu"], entry["key"] or "", entry["port"])


def _prepare(wanted: Sequence[Migration], _params: Mapping[str, Any], check_mode: bool) -> Result:
    found = vm_migration_read.read_all(wanted)
    mistakes = check_preparing(found, wanted)
    if mistakes:
        return _refused(mistakes)
    steps = vm_migration_unit.plan_agent(found.files, sys.executable)
    if not check_mode:
        _install(steps)
    return Result(_report(steps, wanted))


def _install(steps: Sequence[Step]) -> None:
    words = [command for step in steps for command in step.commands]
    for command in words:
        if command.startswith("write "):
            _write, path, text = command.split(" ", 2)
            apply.write_file(path, text, 0o755 if path == vm_migration_unit.SCRIPT_PATH else 0o644)
    if "reload" in words:
        apply.run_command(["systemctl", "daemon-reload"])


def _arm(wanted: Sequence[Migration], params: Mapping[str, Any], check_mode: bool) -> Result:
    found = vm_migration_read.read_all(wanted)
    absent = [f"{each.name} has no interface {each.interface} here" for each in wanted
              if each.interface not in found.records]
    if absent and not check_mode:
        return _refused(absent)
    steps = plan_arming(found, wanted, time.monotonic() + params["deadline"])
    if not check_mode:
        for step in steps:
            _word, interface, text = step.commands[0].split(" ", 2)
            _start_agent(interface, text)
    return Result(_report(steps, wanted))


def _start_agent(interface: str, text: str) -> None:
    """Start the agent with a new record; when it does not come up, nothing of it stays."""
    unit = vm_migration_unit.unit_of(interface)
    apply.run_command(["systemctl", "stop", unit])
    os.makedirs(RUN_FOLDER, mode=0o700, exist_ok=True)
    files = Files(interface)
    apply.remove_file(files.state_path)
    apply.write_file(files.record_path, text, 0o600)
    try:
        apply.run_command(["systemctl", "start", unit])
    except apply.ApplyError:
        _disarm(interface)
        raise


def _disarm(interface: str) -> None:
    apply.run_command(["systemctl", "stop", vm_migration_unit.unit_of(interface)])
    apply.run_command([vm_migration_unit.SCRIPT_PATH, "disarm", interface])


def _await(wanted: Sequence[Migration], params: Mapping[str, Any], check_mode: bool) -> Result:
    """Wait until the guests have moved. A source is told that they have, in case its target's message was lost."""
    steps: List[Step] = []
    if not check_mode:
        under = read_under_way()
        for each in wanted:
            if each.role == "source" and each.interface in under \
                    and under[each.interface].state.get("state") in ("armed", "cut") and under[each.interface].runs:
                apply.run_command([vm_migration_unit.SCRIPT_PATH, "tell", each.interface, "arrived"])
                steps.append(Step(f"{each.name} has arrived at {each.other}", f"migration {each.interface}"))
        seconds = _seconds_to_wait(under, wanted, params["wait"])
        missing = _wait(lambda: not_arrived(vm_migration_read.read_moving(), wanted), seconds)
        if missing:
            return Result(_report(steps, wanted), failed="; ".join(missing))
    return Result(_report(steps, wanted))


def _seconds_to_wait(under: Mapping[str, Under], wanted: Sequence[Migration], most: float) -> float:
    """Return how long to wait for guests: not much longer than the agents do, however many calls share that time."""
    deadlines = [under[each.interface].record["deadline"] for each in wanted
                 if each.role == "target" and each.interface in under]
    return min(most, max(deadlines) + LATE - time.monotonic()) if deadlines else most


def _complete(wanted: Sequence[Migration], params: Mapping[str, Any], check_mode: bool) -> Result:
    """End migrations that the guests have made, once FRR's routes do what the overrides did."""
    found = vm_migration_read.read_moving()
    mistakes = [] if check_mode else not_arrived(found, [each for each in wanted if each.interface in found.under])
    if mistakes:
        return _refused(mistakes)
    steps = plan_disarming(found, wanted, "has moved")
    if not check_mode and steps:
        missing = _wait(lambda: not_settled(vm_migration_read.read_settling(wanted), wanted), params["wait"])
        if missing:
            return Result(_report((), wanted), failed="FRR's routes are not there yet: " + "; ".join(missing))
        _disarm_all(steps)
    return Result(_report(steps, wanted))


def _abort(wanted: Sequence[Migration], _params: Mapping[str, Any], check_mode: bool) -> Result:
    found = vm_migration_read.read_moving()
    mistakes = check_aborting(found, wanted)
    if mistakes:
        return _refused(mistakes)
    steps = plan_disarming(found, wanted, "does not migrate")
    if not check_mode:
        _disarm_all(steps)
    return Result(_report(steps, wanted))


def _disarm_all(steps: Sequence[Step]) -> None:
    for step in steps:
        _disarm(step.commands[0].partition(" ")[2])


def _wait(missing: Callable[[], List[str]], seconds: float) -> List[str]:
    return ask_until(missing, lambda answer: not answer, seconds, pause=0.1)


def _refused(mistakes: Sequence[str]) -> Result:
    listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {mistake}" for mistake in mistakes)])
    return Result({"changed": False, "mistakes": list(mistakes)}, failed=listed)


def _report(steps: Sequence[Step], wanted: Sequence[Migration]) -> Dict[str, Any]:
    under = read_under_way()
    return {
        "changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
        "migrations": [_report_migration(each, under.get(each.interface)) for each in wanted],
    }


def _report_migration(each: Migration, under: Any) -> Dict[str, Any]:
    state: Mapping[str, Any] = under.state if under else {}
    since: Tuple[Tuple[str, float], ...] = tuple(state.get("since", {}).items())
    first = min((at for _name, at in since), default=0.0)
    return {
        "name": each.name, "nic": each.nic, "interface": each.interface, "role": each.role, "other": each.other,
        "state": state.get("state"), "port": state.get("port"),
        "reached": {name: round(at - first, 6) for name, at in since},
    }
