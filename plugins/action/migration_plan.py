# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind vmcluster.network.migration_plan: documented in plugins/modules/migration_plan.py."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.vm_migration_plan import refuse
from ..plugin_utils.bridged_migrations import (
    describe_on_bridges,
    is_bridged,
    refuse_arrived,
    refuse_unreachable,
)
from ..plugin_utils.extra_variables import read_entries
from ..plugin_utils.hostvars import read_answers, read_plain
from ..plugin_utils.migrations import Migration, Refused, describe_migrations, lease_moves, plan_migrations

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
        asked = read_plain(read_entries(options["vms"]), lambda value: value)
        if options["vm"] and isinstance(asked, list):
            asked = [*asked, {"name": options["vm"], "node": options["node"]}]
        plan, leases = options["plan"], [lease for register in options["leases"] for lease in register["leases"]]
        found = read_answers(plan["hosts"], (task_vars or {})["hostvars"])
        try:
            if not asked:
                raise Refused(refuse("NotAVm", "no VM is named: give vm and node, or vms"))
            migrations = plan_migrations(plan, asked, leases, found, abort=options["abort"])
            abort = options["abort"]
            refused_bridged = refuse_arrived(migrations, found) if abort else refuse_unreachable(plan, migrations)
            if refused_bridged:
                raise Refused("\n".join(refused_bridged))
        except Refused as refused:
            mistakes = str(refused).split("\n")
            lines = "\n".join(f"- {mistake}" for mistake in mistakes)
            return {**result, "failed": True, "msg": f"Nothing was changed:\n{lines}", "mistakes": mistakes}
        summary = [f"{each.name} (nic {each.nic}): {each.source} to {each.target}" for each in migrations]
        return {
            **result, "changed": False, "summary": summary, "_ansible_no_log": True,
            **_describe(plan, [each for each in migrations if not is_bridged(each)], leases),
            "bridged": _describe(plan, [each for each in migrations if is_bridged(each)], leases, bridged=True),
        }


def _describe(
    plan: Mapping[str, Any], migrations: Sequence[Migration], leases: Sequence[Mapping[str, Any]], bridged: bool = False
) -> dict[str, Any]:
    """Return each node's part in some migrations, and what registers are asked for when they are done."""
    # A key for each: the message by which a target tells its source that the guest has come.
    nodes = describe_migrations(plan, migrations, [secrets.token_hex(16) for _migration in migrations])
    if bridged:
        describe_on_bridges(plan, nodes, migrations)
    return {"nodes": nodes, "registers": lease_moves(plan, nodes, leases)}
