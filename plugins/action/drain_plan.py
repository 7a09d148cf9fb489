# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind vmcluster.network.drain_plan: documented in plugins/modules/drain_plan.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils import migrations
from ..plugin_utils.bridged_migrations import refuse_unreachable
from ..plugin_utils.drains import (
    MIGRATE,
    STOP,
    WITHDRAW,
    Refused,
    batched,
    check_empty,
    plan_drain,
    plan_evacuation,
    stopped_guests,
)
from ..plugin_utils.extra_variables import read_entries
from ..plugin_utils.hostvars import read_answers, read_plain

OPTIONS = {
    "plan": {"type": "dict", "required": True, "no_log": True},
    "node": {"type": "str", "required": True},
    "leases": {"type": "list", "elements": "dict", "required": True},
    "state": {"type": "str", "choices": [MIGRATE, WITHDRAW, STOP, "evacuated", "removed"], "default": MIGRATE},
    "to": {"type": "list", "elements": "str", "default": []},
    "parallel": {"type": "int", "default": 4},
    "vms": {"type": "raw"},
}


class ActionModule(ActionBase):
    """Plan on the controller where VMs of a node go; no host is touched."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read what nodes have answered, plan, and return who goes where, or why nobody does."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=OPTIONS)
        found = read_answers(options["plan"]["hosts"], (task_vars or {})["hostvars"])
        try:
            return {**result, "changed": False, **_plan(options, found), "_ansible_no_log": True}
        except (Refused, migrations.Refused) as refused:
            return {**result, "failed": True, "msg": f"Nothing was changed: {refused}"}


def _plan(options: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    plan, node = options["plan"], options["node"]
    leases = [lease for register in options["leases"] for lease in register["leases"]]
    if options["state"] == "removed":
        check_empty(plan, node, leases, found)
    nothing: dict[str, Any] = {"moves": [], "rounds": [], "guests": {}, "vms": [], "registers": []}
    if options["state"] in (MIGRATE, WITHDRAW, STOP):
        moves, staying = plan_drain(plan, node, leases, found, options["to"], state=options["state"])
        # What one of them refuses is told before any moves.
        if refused := refuse_unreachable(plan, migrations.plan_migrations(plan, moves, leases, found)):
            raise Refused("\n".join(refused))
        lines = [f"{move['name']}: to {move['node']}" for move in moves]
        rounds = list(batched(moves, options["parallel"]))
        summary = [*lines, *staying] or [f"{node} is empty"]
        guests = stopped_guests(plan, node, found) if options["state"] == STOP else {}
        return {**nothing, "moves": moves, "rounds": rounds, "guests": guests, "summary": summary}
    told = read_plain(read_entries(options["vms"]), lambda value: value)
    dead = options["state"] == "evacuated"
    vms = plan_evacuation(plan, node, leases, found, options["to"], told) if dead else []
    homes: dict[str, dict[str, Any]] = {}
    for vm in vms:
        homes.setdefault(vm["node"], {"vms": []})["vms"].append(vm)
    lines = [f"{vm['name']} (nic {vm['nic']}): to {vm['node']}" for vm in vms]
    registers = migrations.lease_moves(plan, homes, leases)
    asked = [vm["asked"] for vm in vms]
    return {**nothing, "vms": asked, "registers": registers, "summary": lines or [f"{node} is empty"]}
