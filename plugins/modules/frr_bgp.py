#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_bgp
short_description: Statements and BGP neighbours of a running FRR, in one call
version_added: 0.1.0
description:
  - Does what M(vmcluster.network.frr_config) and then M(vmcluster.network.frr_neighbor) do, and reads and saves FRR's
    configuration once. Statements stand, and were read back, before a neighbour is written.
  - Names of ours that are not wanted, and that only a neighbour referred to which goes in the same call, go as well.
extends_documentation_fragment:
  - vmcluster.network.frr.statements
  - vmcluster.network.frr.neighbors
  - vmcluster.network.frr.save
  - vmcluster.network.attributes.changes_frr
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_config
  - module: vmcluster.network.frr_neighbor
notes:
  - Works with FRR 8.4 and later. Needs root, or a user in group C(frrvty) who may read C(/etc/frr).
"""

EXAMPLES = r"""
- name: VMs are announced to both route reflectors
  vmcluster.network.frr_bgp:
    prefix: VMC-NODE-
    text: |
      route-map VMC-NODE-OUT permit 10
       match tag 770
      exit
      router bgp 65010
       bgp router-id 10.20.0.11
      exit
    asn: 65010
    peer_groups:
      - name: VMC-RR-V4
        remote_as: internal
        password: "{{ vault_bgp_password }}"
        families:
          - {name: ipv4 unicast, route_map_out: VMC-NODE-OUT}
    neighbors:
      - {address: 10.20.0.21, peer_group: VMC-RR-V4, description: rr1}
      - {address: 10.20.0.22, peer_group: VMC-RR-V4, description: rr2}
    purge: true
"""

RETURN = r"""
actions:
  description: What is done and why, one line each.
  returned: always
  type: list
  elements: str
  sample: ["neighbor 10.20.0.22: is missing"]
commands:
  description: Lines written to FRR, or that would be; passwords masked.
  returned: always
  type: list
  elements: str
  sample: ["router bgp 65010", " neighbor 10.20.0.22 peer-group VMC-RR-V4", "exit"]
kept:
  description: Names of ours that are not wanted and that statements of others still refer to. They stay.
  returned: always
  type: list
  elements: str
  sample: []
saved:
  description: Whether the configuration was saved.
  returned: always
  type: bool
  sample: true
hints:
  description: What FRR said without refusing anything.
  returned: always
  type: list
  elements: str
  sample: []
sessions:
  description: The sessions waited for, as M(vmcluster.network.frr_neighbor_info) tells them.
  returned: when O(wait) is above 0
  type: list
  elements: dict
  sample: []
"""

from typing import Any, Dict, List, NamedTuple, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_delta, frr_sessions, vtysh
from ansible_collections.vmcluster.network.plugins.module_utils.apply import ApplyError
from ansible_collections.vmcluster.network.plugins.module_utils.frr_config import ConfigPlan, plan_config
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor import check_names, plan_neighbors
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor_input import ARGUMENTS, check_options
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step


class Applied(NamedTuple):
    """What was written: the steps that the first plan could not know, what is kept, and FRR's hints."""

    more: Sequence[Step]
    kept: Sequence[str]
    hints: List[str]


class Planner:
    """What is wanted, compared with a configuration."""

    def __init__(self, options: Dict[str, Any]) -> None:
        self.options = options

    def config(self, text: str) -> ConfigPlan:
        """Compare the statements, and what of ours goes."""
        return plan_config(text, self.options["text"], self.options["prefix"], self.options["owned_tags"])

    def check_names(self, text: str) -> None:
        """Refuse neighbours that refer to route-maps and BFD profiles which are neither there nor wanted."""
        check_names(f"{text}\n{self.options['text']}", self.options)

    def statements(self, text: str) -> Sequence[Step]:
        """Return what differs of the statements."""
        return self.config(text).steps

    def neighbors(self, text: str) -> Sequence[Step]:
        """Return what differs of the neighbours; what they refer to need not be there."""
        return plan_neighbors(text, self.options, check_names=False)

    def all(self, text: str) -> Sequence[Step]:
        """Return all that differs."""
        return (*self.statements(text), *self.neighbors(text))


def run(options: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Read, plan, apply, report."""
    problems = check_options(options)
    if problems:
        raise ValueError("\n".join(problems))
    planner = Planner(options)
    found = frr_delta.read_frr(predict=check_mode)
    planner.check_names(found.running)
    plan, neighbors = planner.config(found.running), planner.neighbors(found.running)
    saving = frr_delta.plan_saving(found, planner.all) if options["save"] else ()
    applied = Applied((), plan.kept, [])
    result: Dict[str, Any] = {}
    if not check_mode:
        failures = frr_sessions.count_md5_failures()
        applied = apply_plan(found.running, planner)
        if saving:
            frr_delta.apply_saving(planner.all)
        if options["wait"]:
            result["sessions"] = frr_sessions.wait_for_sessions(options, failures)
    steps = [*frr_delta.masked(plan.steps), *neighbors, *frr_delta.masked([*applied.more, *saving])]
    report = frr_delta.report_steps(steps, applied.hints, bool(saving) and not check_mode)
    return {**report, **result, "kept": list(applied.kept)}


def apply_plan(running: str, planner: Planner) -> Applied:
    """Write the statements, then the neighbours, then what of ours no neighbour refers to any more."""
    statements = frr_delta.apply_delta(running, planner.statements)
    neighbors = frr_delta.apply_delta(statements.running, planner.neighbors)
    more = planner.statements(neighbors.running)
    rest = frr_delta.apply_delta(neighbors.running, planner.statements)
    return Applied(more, planner.config(rest.running).kept, [*statements.hints, *neighbors.hints, *rest.hints])


def main() -> None:
    module = AnsibleModule(argument_spec={**frr_delta.STATEMENT_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (vtysh.FrrError, ApplyError, ValueError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
