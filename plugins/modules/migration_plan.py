#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Plan live migrations of VMs, from where they stand
description:
  - Looks at the register and at what nodes have told of their VMs (C(found_interfaces), as registered of
    M(vmcluster.network.fabric_vm_iface_info) on each), and tells each node's part in the migrations asked for.
  - An interrupted migration goes on where it stopped, as its nodes' records say.
  - Refuses by name, as C(LiveMigrationRefused), before any host is touched.
  - Runs on the controller. The result holds keys, and is logged nowhere.
author:
  - The vmcluster.network developers (@vmcluster)
version_added: 0.1.0
options:
  plan:
    description: What M(vmcluster.network.cluster_plan) returned.
    type: dict
    required: true
  vms:
    description:
      - VMs to migrate, a list of C({name, node}), with C(cluster) where names are not unique; also as JSON text, which
        surveys give.
    type: raw
  vm:
    description: One VM.
    type: str
  node:
    description: Node that O(vm) goes to.
    type: str
  leases:
    description: The C(results) of a loop of M(vmcluster.network.ip_pool_info) over the registers.
    type: list
    elements: dict
    required: true
  abort:
    description: Plan taking migrations back; nodes need not be named.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: It is known what is to be done on each node
  vmcluster.network.migration_plan:
    plan: "{{ vmcluster }}"
    vm: web1
    node: node2
    leases: "{{ found_leases.results }}"
  run_once: true
  register: vmcluster_migration
"""

RETURN = r"""
nodes:
  description:
    - By node, its ends of migrations as M(vmcluster.network.fabric_vm_migration) takes them, C(sources) and C(targets),
      and of them those to be made ready, C(fresh_sources) and C(fresh_targets).
    - Interfaces as M(vmcluster.network.fabric_vm_iface) takes them, C(standby), C(announced) and C(absent).
    - C(prefixes) and C(next_hops) that core gateways are to have.
  returned: success
  type: dict
  sample: {}
registers:
  description: What to ask each register for, when the VMs have moved.
  returned: success
  type: list
  elements: dict
  sample: []
bridged:
  description:
    - RV(nodes) and RV(registers) of VMs that are on bridges. Their ends are as M(vmcluster.network.bridge_vm_migration)
      takes them.
  returned: success
  type: dict
  sample: {nodes: {}, registers: []}
summary:
  description: A line for each interface.
  returned: success
  type: list
  elements: str
  sample: ["web1 (nic 0): node1 to node2"]
mistakes:
  description: Why the migrations are refused.
  returned: when they are
  type: list
  elements: str
  sample: ["LiveMigrationRefused: SameNode: web1 is on node2 already"]
"""
