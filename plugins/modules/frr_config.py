#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_config
short_description: Statements that a running FRR must have, and no others of ours
version_added: 0.1.0
description:
  - Compares statements with the running configuration, each in its context, and writes the difference. FRR is never
    restarted.
  - What is not ours is never touched. Ours are names that begin with O(prefix) (prefix-lists, community-lists,
    as-path lists, route-maps, BFD profiles), statements of C(router bgp) that refer to such names, and static routes
    with a tag of O(owned_tags). Ours that are not in O(text) are removed.
  - Other statements of O(text) are added when they are missing and never removed again by leaving them out.
  - The difference is checked by C(vtysh --dryrun), written, read back and compared, then saved. When a run is killed
    before it saved, the next one saves.
  - Referrers are removed before what they refer to, and new entries come before old ones go, so that a filter is
    never missing or open while it changes.
extends_documentation_fragment:
  - vmcluster.network.frr.statements
  - vmcluster.network.frr.save
  - vmcluster.network.attributes.changes_frr
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_neighbor
notes:
  - Works with FRR 8.4 and later. Needs root, or a user in group C(frrvty) who may read C(/etc/frr).
"""

EXAMPLES = r"""
- name: Routes with our tag are announced
  vmcluster.network.frr_config:
    prefix: VMC-NODE-
    text: |
      ip prefix-list VMC-NODE-alpha-V4 permit 203.0.113.0/24 ge 32
      route-map VMC-NODE-ANNOUNCE permit 10
       match tag 770
       match ip address prefix-list VMC-NODE-alpha-V4
       set community 65010:100
      exit
      router bgp 65010
       bgp router-id 10.20.0.11
       no bgp default ipv4-unicast
       address-family ipv4 unicast
        redistribute static route-map VMC-NODE-ANNOUNCE
       exit-address-family
      exit

- name: The pools' prefixes lead nowhere but to announced addresses
  vmcluster.network.frr_config:
    owned_tags: [773]
    text: |
      ip route 203.0.113.0/24 blackhole tag 773

- name: Nothing of ours is left
  vmcluster.network.frr_config:
    prefix: VMC-
    owned_tags: [773]
    text: ""
"""

RETURN = r"""
actions:
  description: What is done and why, one line each.
  returned: always
  type: list
  elements: str
  sample: ["ip prefix-list VMC-NODE-alpha-V4: 1 entry is missing"]
commands:
  description: Lines written to FRR, or that would be; passwords masked.
  returned: always
  type: list
  elements: str
  sample: ["ip prefix-list VMC-NODE-alpha-V4 permit 203.0.113.0/24 ge 32"]
kept:
  description:
    - Names of ours that are not wanted and that statements of others (such as C(neighbor … route-map …)) still refer
      to. They stay; run this module again when the referrers are gone.
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
"""

from typing import Any, Dict, List, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_delta, vtysh
from ansible_collections.vmcluster.network.plugins.module_utils.apply import ApplyError
from ansible_collections.vmcluster.network.plugins.module_utils.frr_config import plan_config
from ansible_collections.vmcluster.network.plugins.module_utils.frr_text import ConfigError
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step


def run(options: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Read, plan, apply, report."""

    def planner(text: str) -> Sequence[Step]:
        return plan_config(text, options["text"], options["prefix"], options["owned_tags"]).steps

    found = frr_delta.read_frr(predict=check_mode)
    plan = plan_config(found.running, options["text"], options["prefix"], options["owned_tags"])
    saving = frr_delta.plan_saving(found, planner) if options["save"] else ()
    hints: List[str] = []
    if not check_mode:
        hints = frr_delta.apply_delta(found.running, planner).hints
        if saving:
            frr_delta.apply_saving(planner)
    steps = frr_delta.masked([*plan.steps, *saving])
    return {**frr_delta.report_steps(steps, hints, bool(saving) and not check_mode), "kept": list(plan.kept)}


def main() -> None:
    module = AnsibleModule(argument_spec=frr_delta.STATEMENT_ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (vtysh.FrrError, ConfigError, ApplyError, ValueError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
