#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_report
short_description: Compare a cluster with what its hosts say of themselves
description:
  - Compares the plan of M(vmcluster.network.cluster_plan) with the results of the info modules that a play has
    registered on each host as C(found_host), C(found_routes) and C(found_junos), and with the leases.
  - Tells every session that is not Established, every VM whose route a reflector or core gateway lacks or has with
    another next hop or community, every route that no VM has, and every disagreement between register and nodes.
  - Runs on the controller and touches no host. Differences are told, and are no failure of this module.
author:
  - The vmcluster.network developers (@vmcluster)
version_added: 0.1.0
options:
  plan:
    description: What M(vmcluster.network.cluster_plan) returned.
    type: dict
    required: true
  asked:
    description:
      - The hosts that were asked. Those of the plan that were not, as with C(--limit), are not looked for; those that
        were and gave no answer are a difference. Without it, all of the plan were.
    type: list
    elements: str
  leases:
    description:
      - The C(results) of a loop of M(vmcluster.network.ip_pool_info) over the registers, each C(item) with its C(host).
    type: list
    elements: dict
    default: []
  path:
    description: Where on the controller the report is written to as JSON; not at all when absent.
    type: path
"""

EXAMPLES = r"""
- name: Register, nodes, reflectors and core gateways agree
  vmcluster.network.cluster_report:
    plan: "{{ vmcluster }}"
    leases: "{{ found_leases.results }}"
    path: reports/verify_cluster.json
  run_once: true
"""

RETURN = r"""
agrees:
  description: Whether there is no difference.
  returned: always
  type: bool
differences:
  description: What is not as it ought to be.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: Where.
      type: str
    what:
      description: What is wrong.
      type: str
    remedy:
      description: What to do about it.
      type: str
hosts:
  description: Each host's roles, sessions (established, and expected) and number of routes.
  returned: always
  type: list
  elements: dict
vms:
  description: Each VM's node, addresses, and state (announced, waiting for its hypervisor, standby, withdrawn).
  returned: always
  type: list
  elements: dict
table:
  description: The same as lines for people.
  returned: always
  type: list
  elements: str
path:
  description: Where the report was written to.
  returned: always
  type: str
"""
