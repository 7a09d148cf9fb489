# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of consoles: a file per token in a folder that websockify reads (roles/console/files/vmcluster_console.py)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils import apply
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of

TOKEN_BYTES = 32

ARGUMENT_SPEC: Dict[str, Any] = {
    "folder": {"type": "path", "default": "/run/vmcluster-console"},
    "vm": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "desktop": {"type": "str"},
    "lifetime": {"type": "int", "default": 600},
}

_FILE = re.compile(r"[0-9a-f]{64}")


class Found(NamedTuple):
    """A token's file: its name, and the VM and Unix time it says; None for one that cannot be read."""

    file: str
    vm: Optional[str]
    expires: float


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Make a token, or withdraw those of a VM; return what exit_json (or, with `failed`, fail_json) tells."""
    folder = params["folder"]
    if not os.path.isdir(folder):
        return {"failed": True, "changed": False,
                "msg": f"{folder} is not there: this host serves no consoles yet, run configure_console"}
    now = time.time()
    steps = plan_tokens(params, read_tokens(folder), now)
    answer: Dict[str, Any] = {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps)}
    if check_mode:
        return answer
    for step in steps:
        for name in step.commands:
            apply.remove_file(f"{folder}/{name}")
    if params["state"] == "present":
        answer.update(write_token(params, now))
    return answer


def read_tokens(folder: str) -> List[Found]:
    """Return the tokens that are there."""
    return [_read_token(folder, name) for name in sorted(os.listdir(folder)) if _FILE.fullmatch(name)]


def _read_token(folder: str, name: str) -> Found:
    try:
        with open(f"{folder}/{name}", encoding="utf-8") as stream:
            entry = json.load(stream)
        return Found(name, str(entry["vm"]), float(entry["expires"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Found(name, None, 0.0)


def plan_tokens(params: Mapping[str, Any], found: Sequence[Found], now: float) -> List[Step]:
    """Return the steps: what has expired goes, with state absent all of the VM, else a token comes.

    A step's commands are files that go.
    """
    vm, present = params["vm"], params["state"] == "present"
    old = [each.file for each in found if each.expires <= now]
    withdrawn = [each.file for each in found if each.expires > now and each.vm == vm and not present]
    steps = [Step("have expired", f"{len(old)} tokens", commands=tuple(old))] if old else []
    if withdrawn:
        steps.append(Step("are withdrawn", f"{len(withdrawn)} tokens of {vm}", commands=tuple(withdrawn)))
    if present:
        what = f"{vm} at {params['host']} port {params['port']} for {params['lifetime']} s"
        steps.append(Step("is asked for", f"a token of {vm}", after=(what,)))
    return steps


def write_token(params: Mapping[str, Any], now: float) -> Dict[str, Any]:
    """Make a token and write its file, which has the folder's group. The token itself is nowhere but in the answer."""
    token = secrets.token_hex(TOKEN_BYTES)
    expires = int(now) + params["lifetime"]
    entry = {"vm": params["vm"], "host": params["host"], "port": params["port"], "expires": expires,
             "desktop": params.get("desktop")}
    name = hashlib.sha256(token.encode("ascii")).hexdigest()
    apply.write_file(f"{params['folder']}/{name}", json.dumps(entry), 0o640)
    return {"token": token, "expires": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(expires))}
