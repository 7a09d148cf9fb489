# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind vmcluster.network.cluster_plan: documented in plugins/modules/cluster_plan.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import Templar

from ..plugin_utils.cluster import GROUPS
from ..plugin_utils.extra_variables import read_entries
from ..plugin_utils.hostvars import read_groups, read_hostvars, read_plain
from ..plugin_utils.inventory import Checked, check_inventory
from ..plugin_utils.plans import plan_clusters, summarize_clusters

OPTIONS = {
    "vms": {"type": "raw"},
    "vms_state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "vm": {"type": "str"},
    "node": {"type": "str"},
    "migrate": {"type": "raw"},
    "report": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """Check the inventory on the controller; no host is touched, no connection made."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read, check, and return the plan or all mistakes."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=OPTIONS)
        if options["vm"]:
            if read_entries(options["vms"]):
                raise AnsibleActionFail("vm and vms are both given: name all VMs in vms")
            options["vms"] = [{"name": options["vm"], "node": options["node"] or None}]
        checked = self._check(task_vars or {}, options)
        result.update(_describe(checked, options["report"]))
        return result

    def _check(self, task_vars: Mapping[str, Any], options: Mapping[str, Any]) -> Checked:
        hostvars = task_vars["hostvars"]
        groups = read_groups(task_vars["groups"])
        members = dict.fromkeys(host for group in GROUPS for host in groups.get(group, ()))

        def templating(variables: Mapping[str, Any]) -> Callable[[Any], Any]:
            templar = Templar(loader=self._loader, variables={**variables, "hostvars": hostvars})
            return templar.template  # type: ignore[no-any-return]

        asked, migrate = (read_plain(read_entries(options[key]), _as_it_is) for key in ("vms", "migrate"))
        variables = read_hostvars(members, hostvars.raw_get, templating)
        return check_inventory(groups, variables, asked, migrate, detach=options["vms_state"] == "absent")


def _as_it_is(value: Any) -> Any:
    """Stand in for templating: Ansible has templated a task's options already."""
    return value


def _describe(checked: Checked, report: bool) -> dict[str, Any]:
    """Return the result: mistakes for everybody to read, or the plan, which holds passwords and is logged nowhere."""
    result: dict[str, Any] = {"changed": False}
    if report and checked.warnings:
        result["warnings"] = list(checked.warnings)
    if checked.model is None:
        count = len(checked.mistakes)
        title = "The inventory has one mistake" if count == 1 else f"The inventory has {count} mistakes"
        lines = "\n".join(f"- {line}" for line in checked.mistakes)
        message = f"{title}; no host was touched:\n{lines}"
        return {**result, "failed": True, "msg": message, "mistakes": list(checked.mistakes)}
    plan = plan_clusters(checked.model)
    summary = summarize_clusters(checked.model, checked.warnings) if report else []
    return {**result, **plan, "remarks": list(checked.warnings), "summary": summary, "_ansible_no_log": True}
