# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's LXC: reading its containers, and carrying out what was planned for them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils import apply
from ansible_collections.vmcluster.network.plugins.module_utils.guest_options import GUEST, STOP_TIMEOUT
from ansible_collections.vmcluster.network.plugins.module_utils.lxc_container import (
    FoundContainer,
    check_wanted,
    config_path,
    interfaces_of,
    network_path,
    plan_container,
    starts_with_node,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of

READ_TIMEOUT = 30  # seconds

ARGUMENT_SPEC: Dict[str, Any] = {
    "folder": {"type": "path", "default": "/var/lib/lxc"},
    "stop_timeout": STOP_TIMEOUT,
    "containers": {"type": "list", "elements": "dict", "required": True, "options": {
        **GUEST,
        "rootfs": {"type": "path"},
        "config": {"type": "list", "elements": "str", "default": []},
        "nics": {"type": "list", "elements": "dict", "options": {
            "nic": {"type": "int", "default": 0},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "gateway": {"type": "dict", "options": {"ipv4": {"type": "str"}, "ipv6": {"type": "str"}}}}},
    }},
}


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring containers into the state asked for; return what exit_json (or, with `failed`, fail_json) tells."""
    folder = params["folder"]
    wanted, mistakes = check_wanted(params["containers"], folder)
    plans: Dict[str, Sequence[Step]] = {}
    found = {each.name: read_container(folder, each.name) for each in wanted} if not mistakes else {}
    for each in wanted if not mistakes else ():
        former = read_container(folder, each.was) if each.was else None
        plans[each.name], wrong = plan_container(each, found[each.name], folder, former)
        mistakes += wrong
        is_new = found[each.name].config is None and (former is None or former.config is None)
        if each.state == "running" and is_new and not os.path.isdir(each.rootfs):
            mistakes.append(f"{each.name}: {each.rootfs} is no directory: put the container's root file system there")
    starts = any("start" in step.commands for plan in plans.values() for step in plan)
    if starts and not shutil.which("lxc-start", path=apply.PROGRAM_PATH):
        mistakes.append("the node has no LXC: install the package lxc")
    if mistakes:
        listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {each}" for each in mistakes)])
        return {"failed": True, "changed": False, "msg": listed, "mistakes": mistakes}
    failures = [] if check_mode else apply_plans(plans, folder, params["stop_timeout"])
    steps = [step for plan in plans.values() for step in plan]
    answer = {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
              "restart_needed": [name for name, plan in sorted(plans.items()) if needs_restart(plan, found[name])]}
    return {**answer, "failed": True, "msg": "; ".join(failures)} if failures else answer


def read_guests(folder: str, required: bool) -> List[Dict[str, Any]]:
    """Return what guest_info tells of containers that have their network from us. Raises OSError when LXC is not there
    and is required."""
    if required and not shutil.which("lxc-info", path=apply.PROGRAM_PATH):
        raise OSError("the node has no LXC: install the package lxc")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = {name: read_container(folder, name) for name in names}
    return [_describe_guest(name, each) for name, each in found.items() if each.config and each.network]


def _describe_guest(name: str, found: FoundContainer) -> Dict[str, Any]:
    return {"name": name, "driver": "lxc", "running": found.running, "autostart": starts_with_node(found.network or ""),
            "ours": found.ours, "nics": [{"interface": each, "mac": ""} for each in interfaces_of(found.network or "")],
            "attached": None}


def needs_restart(plan: Sequence[Step], found: FoundContainer) -> bool:
    """Return whether a container runs on with what was written before."""
    return found.running and bool(plan) and not any({"stop", "start"} & set(step.commands) for step in plan)


def read_container(folder: str, name: str) -> FoundContainer:
    """Return what the host has of a container."""
    config = _read(config_path(folder, name))
    return FoundContainer(config, _read(network_path(folder, name)), config is not None and is_running(folder, name))


def is_running(folder: str, name: str) -> bool:
    """Return whether a container runs (or is on its way up or down)."""
    argv = ["lxc-info", "-P", folder, "-n", name, "-s", "-H"]
    try:
        told = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
            universal_newlines=True, timeout=READ_TIMEOUT, env={"PATH": apply.PROGRAM_PATH})
    except (OSError, subprocess.TimeoutExpired):
        return False
    return told.stdout.strip() not in ("", "STOPPED")


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def apply_plans(plans: Mapping[str, Sequence[Step]], folder: str, stop_timeout: int) -> List[str]:
    """Carry out the plans; one container's failure does not stop the others. Returns what failed."""
    failures = []
    for name, steps in plans.items():
        try:
            for step in steps:
                for command in step.commands:
                    _carry_out(folder, name, command, stop_timeout)
        except (apply.ApplyError, OSError) as error:
            failures.append(f"container {name}: {error}")
    return failures


def _start(folder: str, name: str) -> None:
    """Start a container. What was wrong LXC says in a log only."""
    with apply.private_file("") as log:
        try:
            apply.run_command(["lxc-start", "-P", folder, "-n", name, "-l", "ERROR", "-o", log])
        except apply.ApplyError as error:
            said = (_read(log) or str(error)).splitlines()
            raise apply.ApplyError("lxc-start: " + "; ".join(line.strip() for line in said[:4])) from error


def _carry_out(folder: str, name: str, command: str, stop_timeout: int) -> None:
    verb, _space, rest = command.partition(" ")
    path, _space, text = rest.partition(" ")
    if verb == "write":
        apply.write_file(path, text)
    elif verb == "move":
        os.rename(path, text)
    elif verb == "remove":
        apply.remove_file(path)
    elif verb == "start":
        _start(folder, name)
    elif verb == "stop":
        # Asks its init by SIGPWR, and ends it when that has not helped in time.
        argv = ["lxc-stop", "-P", folder, "-n", name, "-t", str(stop_timeout)]
        apply.run_command(argv, timeout=stop_timeout + READ_TIMEOUT)
