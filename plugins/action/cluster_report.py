# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind vmcluster.network.cluster_report: documented in plugins/modules/cluster_report.py."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.evidence import RESULTS, describe_report, read_clusters, read_evidence, read_hosts
from ..plugin_utils.verify import verify_cluster

OPTIONS = {
    "plan": {"type": "dict", "required": True, "no_log": True},
    "asked": {"type": "list", "elements": "str"},
    "leases": {"type": "list", "elements": "dict", "default": []},
    "path": {"type": "path"},
}


class ActionModule(ActionBase):
    """Compare on the controller what hosts have answered; no host is touched."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read the registered results of all hosts, compare, write the report."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=OPTIONS)
        plan = options["plan"]
        evidence = read_evidence(_read_results(plan["hosts"], (task_vars or {})["hostvars"]), options["leases"])
        asked = None if options["asked"] is None else frozenset(options["asked"])
        report = describe_report(verify_cluster(read_hosts(plan), read_clusters(plan), evidence, asked))
        if options["path"]:
            _write_report(options["path"], report)
        result.update(report, changed=False, path=options["path"])
        return result


def _read_results(hosts: Mapping[str, Any], hostvars: Any) -> dict[str, dict[str, Any]]:
    """Return by host its registered results; hostvars are read raw, as a result holds nothing to be templated."""
    results = {}
    for host in hosts:
        variables = hostvars.raw_get(host)
        results[host] = {variable: variables[variable] for variable in RESULTS if variable in variables}
    return results


def _write_report(path: str, report: Mapping[str, Any]) -> None:
    kept = {key: value for key, value in report.items() if key != "table"}
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(kept, stream, indent=2, default=str)
            stream.write("\n")
    except OSError as error:
        raise AnsibleActionFail(
            f"the report cannot be written: {error}; give another path by -e verify_report="
        ) from error
