#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_neighbor
short_description: BGP neighbours and peer-groups of a running FRR
version_added: 0.1.0
description:
  - Adds, changes and removes BGP neighbours, peer-groups and listen ranges, in one call, by the difference to the
    running configuration. FRR is never restarted, and sessions that are not changed keep their up-time.
  - What is listed is exact for every kind of statement this module has an option for; other statements of the same
    neighbour, and neighbours and peer-groups that are not listed, are left alone, unless O(purge).
  - A new peer-group is complete, filters included, before a neighbour joins it; a new neighbour outside a peer-group
    is shut until its filters stand.
  - The configuration is saved, also when an earlier run was killed before it saved.
  - A peer-group's AS cannot be changed in place in FRR; the group is made again then, with its neighbours.
extends_documentation_fragment:
  - vmcluster.network.frr.neighbors
  - vmcluster.network.frr.save
  - vmcluster.network.attributes.changes_frr
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_config
  - module: vmcluster.network.frr_neighbor_info
"""

EXAMPLES = r"""
- name: Sessions to both route reflectors are up
  vmcluster.network.frr_neighbor:
    asn: 65010
    peer_groups:
      - name: VMC-RR-V4
        remote_as: internal
        password: "{{ vault_bgp_password }}"
        timers: {keepalive: 3, hold: 9, connect: 5}
        bfd_profile: VMC-BFD
        ttl_security: 1
        families:
          - name: ipv4 unicast
            route_map_in: VMC-NODE-IN
            route_map_out: VMC-NODE-OUT
            maximum_prefix: 10000
    neighbors:
      - {address: 10.20.0.21, peer_group: VMC-RR-V4, description: rr1}
      - {address: 10.20.0.22, peer_group: VMC-RR-V4, description: rr2}
    purge: true
    wait: 30

- name: The reflector takes any node of the underlay
  vmcluster.network.frr_neighbor:
    asn: 65010
    listen_limit: 200
    peer_groups:
      - name: VMC-alpha-V4
        remote_as: internal
        listen_ranges: [10.20.0.0/24]
        families:
          - {name: ipv4 unicast, route_reflector_client: true, route_map_in: VMC-RR-alpha-IN}

- name: A neighbour is gone
  vmcluster.network.frr_neighbor:
    asn: 65010
    neighbors:
      - {address: 10.20.0.99, state: absent}
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

from typing import Any, Dict, List, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_delta, frr_sessions, vtysh
from ansible_collections.vmcluster.network.plugins.module_utils.apply import ApplyError
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor import plan_neighbors
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor_input import ARGUMENTS, check_options
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step


def run(options: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Read, plan, apply, report."""
    problems = check_options(options)
    if problems:
        raise ValueError("\n".join(problems))

    def planner(text: str) -> Sequence[Step]:
        return plan_neighbors(text, options, check_names=False)

    found = frr_delta.read_frr(predict=check_mode)
    steps = plan_neighbors(found.running, options, check_names=not check_mode)  # the planner has masked it
    saving = frr_delta.plan_saving(found, planner) if options["save"] else ()
    hints: List[str] = []
    result: Dict[str, Any] = {}
    if not check_mode:
        failures = frr_sessions.count_md5_failures()
        hints = frr_delta.apply_delta(found.running, planner).hints
        if saving:
            frr_delta.apply_saving(planner)
        if options["wait"]:
            result["sessions"] = frr_sessions.wait_for_sessions(options, failures)
    return {**frr_delta.report_steps([*steps, *saving], hints, bool(saving) and not check_mode), **result}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (vtysh.FrrError, ApplyError, ValueError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
