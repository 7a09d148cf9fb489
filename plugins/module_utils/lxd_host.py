# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's LXD: reading its containers, and carrying out what was planned for them."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils import lxd_client
from ansible_collections.vmcluster.network.plugins.module_utils.guest_options import GUEST, STOP_TIMEOUT
from ansible_collections.vmcluster.network.plugins.module_utils.lxd_container import (
    AUTOSTART,
    FoundInstance,
    check_wanted,
    interfaces_of,
    plan_container,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of

ARGUMENT_SPEC: Dict[str, Any] = {
    "stop_timeout": STOP_TIMEOUT,
    "containers": {"type": "list", "elements": "dict", "required": True, "options": {
        **GUEST,
        "image": {"type": "str"},
        "config": {"type": "dict", "default": {}},
        "network_config": {"type": "str"},
        "nics": {"type": "list", "elements": "dict", "options": {"nic": {"type": "int", "default": 0}}},
    }},
}

VOLATILE = "volatile."
"""What keys begin with that LXD writes by itself."""

KEPT = ("architecture", "description", "ephemeral", "profiles", "stateful")
"""What an instance must be told again of itself when it is changed (PUT)."""


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring containers into the state asked for; return what exit_json (or, with `failed`, fail_json) tells."""
    entries = [{**entry, "config": {key: _text(value) for key, value in (entry["config"] or {}).items()}}
               for entry in params["containers"]]
    wanted, mistakes = check_wanted(entries)
    plans: Dict[str, Sequence[Step]] = {}
    try:
        for each in wanted if not mistakes else ():
            former = read_instance(each.was) if each.was else None
            plans[each.name], wrong = plan_container(each, read_instance(each.name), former)
            mistakes += wrong
    except lxd_client.LxdError as error:
        mistakes.append(str(error))
    if mistakes:
        listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {each}" for each in mistakes)])
        return {"failed": True, "changed": False, "msg": listed, "mistakes": mistakes}
    failures = [] if check_mode else apply_plans(plans, params["stop_timeout"])
    steps = [step for plan in plans.values() for step in plan]
    answer = {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps)}
    return {**answer, "failed": True, "msg": "; ".join(failures)} if failures else answer


def _text(value: Any) -> str:
    """Return a value as LXD has it, whose values are all text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_guests(required: bool) -> List[Dict[str, Any]]:
    """Return what guest_info tells of containers that are on our interfaces or that we made. Raises LxdError."""
    where = lxd_client.find_socket()
    if not required and not (where and lxd_client.has_run(where)):
        return []
    listed = lxd_client.ask("GET", "/1.0/instances?recursion=1")
    found = [(each["name"], _read(each)) for each in listed]
    return [_describe_guest(name, each) for name, each in found if each.ours or interfaces_of(each)]


def _describe_guest(name: str, found: FoundInstance) -> Dict[str, Any]:
    return {"name": name, "driver": "lxd", "running": found.running, "ours": found.ours,
            "autostart": found.config.get(AUTOSTART) == "true", "attached": None,
            "nics": [{"interface": each, "mac": ""} for each in interfaces_of(found)]}


def read_instance(name: str) -> Optional[FoundInstance]:
    """Return what LXD has of an instance. Raises LxdError."""
    told = lxd_client.ask("GET", lxd_client.instance_path(name))
    return None if told is None else _read(told)


def _read(told: Mapping[str, Any]) -> FoundInstance:
    config = {key: value for key, value in told["config"].items() if not key.startswith(VOLATILE)}
    return FoundInstance(config, dict(told["devices"]), told["status"] != "Stopped")


def apply_plans(plans: Mapping[str, Sequence[Step]], stop_timeout: int) -> List[str]:
    """Carry out the plans; one container's failure does not stop the others. Returns what failed."""
    failures = []
    for name, steps in plans.items():
        try:
            for step in steps:
                for command in step.commands:
                    _carry_out(name, command, stop_timeout)
        except lxd_client.LxdError as error:
            failures.append(f"container {name}: {error}")
    return failures


def _carry_out(name: str, command: str, stop_timeout: int) -> None:
    verb, _space, rest = command.partition(" ")
    if verb == "create":
        asked = json.loads(rest)
        lxd_client.ask("POST", "/1.0/instances", {
            "name": name, "type": "container", "source": {"type": "image", "alias": asked["image"]},
            "config": asked["config"], "devices": asked["devices"]})
    elif verb == "update":
        told = lxd_client.ask("GET", lxd_client.instance_path(name))
        asked, kept = json.loads(rest), {key: told[key] for key in KEPT if key in told}
        volatile = {key: value for key, value in told["config"].items() if key.startswith(VOLATILE)}
        body = {**kept, "config": {**volatile, **asked["config"]}, "devices": asked["devices"]}
        lxd_client.ask("PUT", lxd_client.instance_path(name), body)
    elif verb == "rename":
        lxd_client.ask("POST", lxd_client.instance_path(rest), {"name": name})
    elif verb == "start":
        lxd_client.ask("PUT", lxd_client.instance_path(name, "/state"), {"action": "start", "timeout": -1})
    elif verb == "stop":
        _stop(name, stop_timeout)


def _stop(name: str, timeout: int) -> None:
    """Ask its init to end, and end it when that has not helped in time."""
    path = lxd_client.instance_path(name, "/state")
    try:
        lxd_client.ask("PUT", path, {"action": "stop", "timeout": timeout}, wait=timeout + lxd_client.TIMEOUT)
    except lxd_client.LxdError:
        told = lxd_client.ask("GET", lxd_client.instance_path(name))
        if told is not None and told["status"] != "Stopped":
            lxd_client.ask("PUT", path, {"action": "stop", "timeout": -1, "force": True})
