# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind vmcluster.network.migration_plan: documented in plugins/modules/migration_plan.py."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.hostvars import read_plain
from ..plugin_utils.migrations import Refused, describe_migrations, lease_moves, plan_migrations

OPTIONS = {
    "plan": {"type": "dict", "required": True, "no_log": True},
    "vms": {"type": "raw"},
    "vm": {"type": "str"},
    "node": {"type": "str"},
    "leases": {"type": "list", "elements": "dict", "required": True},
    "abort": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Plan migrations on the controller; no host is touched."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read what nodes have answered, plan, and return each node's part or all refusals."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=OPTIONS)
        asked = read_plain(options["vms"] or [], lambda value: value)
        if options["vm"] is not None:
            asked = [*asked, {"name": options["vm"], "node": options["node"]}]
        plan, leases = options["plan"], [lease for register in options["leases"] for lease in register["leases"]]
        found = _read_answers(plan["hosts"], (task_vars or {})["hostvars"])
        try:
            migrations = plan_migrations(plan, asked, leases, found, abort=options["abort"])
        except Refused as refused:
            mistakes = str(refused).split("\n")
            lines = "\n".join(f"- {mistake}" for mistake in mistakes)
            return {**result, "failed": True, "msg": f"Nothing was changed:\n{lines}", "mistakes": mistakes}
        # A key for each: the message by which a target tells its source that the guest has come.
        nodes = describe_migrations(plan, migrations, [secrets.token_hex(16) for _migration in migrations])
        summary = [f"{each.name} (nic {each.nic}): {each.source} to {each.target}" for each in migrations]
        return {
            **result, "changed": False, "nodes": nodes, "registers": lease_moves(plan, nodes, leases),
            "summary": summary, "_ansible_no_log": True,
        }


def _read_answers(hosts: Mapping[str, Any], hostvars: Any) -> dict[str, Mapping[str, Any]]:
    """Return by node what it said of its VMs; hostvars are read raw, as a result holds nothing to be templated."""
    told = {host: hostvars.raw_get(host).get("found_interfaces") for host in hosts}
    return {host: answer for host, answer in told.items() if isinstance(answer, Mapping) and "interfaces" in answer}
