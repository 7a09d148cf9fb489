# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module host_network, on the host: read, plan, start a change; and then, over a new connection, confirm it."""

from __future__ import annotations

import uuid
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply, host_apply, host_read, host_verify
from ansible_collections.vmcluster.network.plugins.module_utils.host_change import RETURN_TIME
from ansible_collections.vmcluster.network.plugins.module_utils.host_network import (
    MANAGERS,
    NAMES,
    Change,
    Found,
    choose_manager,
    make_change,
    owned_names,
    plan_change,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import BOND_MODES, KINDS, HostPlan, read_plan
from ansible_collections.vmcluster.network.plugins.module_utils.plan import diff_of, reasons_of

SHORTEST_TIMEOUT = 30

ROUTE_SPEC: Dict[str, Any] = {
    "to": {"type": "str", "required": True}, "via": {"type": "str"}, "on_link": {"type": "bool", "default": False},
    "metric": {"type": "int"}, "source": {"type": "str"}, "unreachable": {"type": "bool", "default": False},
}
ARGUMENT_SPEC: Dict[str, Any] = {
    "interfaces": {"type": "list", "elements": "dict", "default": [], "options": {
        "name": {"type": "str", "required": True},
        "kind": {"type": "str", "choices": list(KINDS), "default": "port"},
        "ports": {"type": "list", "elements": "str", "default": []},
        "link": {"type": "str"},
        "id": {"type": "int"},
        "mode": {"type": "str", "choices": list(BOND_MODES), "default": "active-backup"},
        "mac": {"type": "str"},
        "mtu": {"type": "int"},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "dhcp4": {"type": "bool", "default": False},
        "routes": {"type": "list", "elements": "dict", "default": [], "options": ROUTE_SPEC},
        "nameservers": {"type": "list", "elements": "str", "default": []},
        "accept_ra": {"type": "bool", "default": False},
        "link_local": {"type": "bool", "default": True},
    }},
    "sysctls": {"type": "dict", "default": {}},
    "manager": {"type": "str", "choices": ["auto", *MANAGERS], "default": "auto"},
    "gateways_answer": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 90},
    "step": {"type": "str", "choices": ["change", "confirm", "outcome"], "default": "change"},
    "change": {"type": "str"},
}


class Refused(Exception):
    """The plan cannot be carried out; the arguments are all reasons."""


class Reading(NamedTuple):
    """What one call has read and planned."""

    found: Found
    plan: HostPlan
    change: Change


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Carry out one step; return what exit_json (or, with `failed`, fail_json) tells."""
    try:
        if params["step"] == "outcome":
            return _tell_outcome(params["change"])
        if params["step"] == "confirm":
            return _confirm(params)
        return _change(params, check_mode)
    except Refused as refusal:
        listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {each}" for each in refusal.args)])
        return {"changed": False, "failed": True, "msg": listed, "mistakes": list(refusal.args)}
    except (apply.ApplyError, host_read.ReadError, OSError) as error:
        return {"failed": True, "msg": str(error)}


def _change(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    if params["timeout"] < SHORTEST_TIMEOUT:
        raise Refused(f"timeout: {SHORTEST_TIMEOUT} seconds are the least; {RETURN_TIME} of them are for the way back")
    if check_mode:
        return _tell_change(_read(params))
    waiting = _waiting(params)
    if waiting:
        return waiting
    with host_apply.hold_network():  # two controllers: what one has read, the other does not change
        return _waiting(params) or _start(params)


def _waiting(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return that a change is open, of which it is made sure that it goes back; empty when there is none."""
    pending = host_apply.read_pending()
    if not pending:
        return {}
    hindrances = host_apply.see_return(pending["id"])
    if hindrances:
        raise Refused(*hindrances, f"an earlier change, {pending['id']}, could not be taken back whole: put right what "
                                   "is said above, and run `vmcluster-host-network rollback me` on the host")
    return {"changed": False, "waiting_for": pending["id"], "seconds": params["timeout"]}


def _start(params: Mapping[str, Any]) -> Dict[str, Any]:
    reading = _read(params)
    told = _tell_change(reading)
    if not told["changed"]:
        return told
    name = str(uuid.uuid4())
    record = make_change(name, reading.found, reading.plan, reading.change)
    seconds = params["timeout"] - RETURN_TIME
    host_apply.start_change(record, host_apply.plan_help(host_apply.read_help()), seconds)
    return {**told, "change": name, "confirm_within": seconds}


def _tell_change(reading: Reading) -> Dict[str, Any]:
    steps = reading.change.steps
    return {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
            "manager": NAMES[reading.found.manager], "interfaces": list(reading.plan.names), "change": None,
            "warnings": host_verify.find_overruled(reading.plan)}


def _read(params: Mapping[str, Any]) -> Reading:
    """Read the host and compare it with the plan. Raises Refused with all mistakes."""
    kernel, evidence = host_read.read_kernel(), host_read.read_evidence()
    nics = {name: link.as_nic() for name, link in kernel.links.items()}
    first, mistakes = read_plan(params, nics)
    manager, unknown = params["manager"], ""
    if manager == "auto":
        manager, unknown = choose_manager(evidence, [*first.names, *_ported(kernel, first)])
    if mistakes or unknown:
        raise Refused(*mistakes, *([unknown] if unknown else []))
    files = host_read.read_files(manager)
    touched = {*first.names, *owned_names(manager, files)}
    stays = host_read.addresses_besides(kernel, touched)
    # What the operator has for an interface that goes back is not read: there the timer alone helps.
    connection = None if touched - {*first.names} else host_read.read_connection()
    plan, mistakes = read_plan(params, nics, connection, stays)
    found = Found(kernel, evidence, manager, files, host_verify.read_sysctls(plan))
    change, more = plan_change(found, plan)
    if mistakes or more:
        raise Refused(*mistakes, *more)
    return Reading(found, plan, change)


def _ported(kernel: host_read.Kernel, plan: HostPlan) -> List[str]:
    """Bridges and bonds that a NIC of the plan is a port of now."""
    return [kernel.links[name].master for name in plan.names if name in kernel.links and kernel.links[name].master]


def _confirm(params: Mapping[str, Any]) -> Dict[str, Any]:
    name, pending = params["change"], host_apply.read_pending()
    if pending.get("id") != name:
        return _tell_outcome(name)
    tried, wrong = _test(params, pending)
    if wrong:
        host_apply.send_back(name)
        return {"changed": False, "outcome": "going back", "tried": tried, "wrong": wrong}
    if not host_apply.confirm_change(name):
        return _tell_outcome(name)
    return {"changed": True, "outcome": "confirmed", "tried": tried, "wrong": []}


def _test(params: Mapping[str, Any], pending: Mapping[str, Any]) -> Tuple[List[str], List[str]]:
    """Test the change; return what was tried, and what is wrong."""
    seconds = (params["timeout"] - RETURN_TIME) / 2
    done = host_apply.read_applied(params["change"]) or {"failures": ["the change is not carried out"]}
    nics = {name: link.as_nic() for name, link in host_read.read_kernel().links.items()}
    plan, _mistakes = read_plan(params, nics)
    probes = list(pending["probe"])
    wrong = host_verify.find_unwritten(pending["apply"]["files"])
    wrong += host_verify.verify_plan(plan, probes, params["gateways_answer"], seconds)
    tried = _describe_tests(plan, pending["probe"], params["gateways_answer"])
    return tried, wrong + (list(done["failures"]) if wrong else [])


def _describe_tests(plan: HostPlan, probes: Sequence[Sequence[str]], gateways: bool) -> List[str]:
    tried = ["a new connection from the controller", "files are as they were written",
             f"the kernel has what the plan says of {', '.join(plan.names)}"]
    ways = [route.via for each in plan.interfaces for route in each.routes if route.via]
    tried += [f"gateway {gateway} answers" for gateway in dict.fromkeys(ways) if gateways]
    return tried + [f"nobody else has {address}" for _name, address in probes]


def _tell_outcome(name: str) -> Dict[str, Any]:
    told = host_apply.read_outcome(name)
    if told is None:
        pending = host_apply.read_pending().get("id") == name
        told = {"outcome": "pending" if pending else "unknown", "by": "", "failures": [], "missing": []}
    return {"changed": False, "applied": host_apply.read_applied(name) is not None,
            **{key: told[key] for key in ("outcome", "by", "failures", "missing")}}
