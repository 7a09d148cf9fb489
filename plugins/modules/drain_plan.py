#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drain_plan
short_description: Plan where the VMs of a node go
description:
  - Looks at the register and at what nodes have told of their VMs (C(found_interfaces), as registered of
    M(vmcluster.network.fabric_vm_iface_info) on each), and tells which VM of a node goes to which other node.
  - Each goes to the node that carries the fewest VMs, of those that answer and are in service.
  - A VM that an interrupted run has sent off already goes where it was sent.
  - Refuses by name, as C(DrainRefused), before any host is touched. Runs on the controller.
author:
  - The vmcluster.network developers (@vmcluster)
version_added: 0.1.0
options:
  plan:
    description: What M(vmcluster.network.cluster_plan) returned.
    type: dict
    required: true
  node:
    description: The node whose VMs are meant.
    type: str
    required: true
  leases:
    description: The C(results) of a loop of M(vmcluster.network.ip_pool_info) over the registers.
    type: list
    elements: dict
    required: true
  state:
    description:
      - V(drained), VMs migrate; those whose guest does not run stay.
      - V(withdrawn), all stay, and nothing is announced. For nodes of IP fabrics.
      - V(stopped), all stay, and guests that drivers run are stopped.
      - V(evacuated), the node is dead, and the register alone says which VMs it had.
      - V(removed), nobody goes anywhere; it is refused when the node or the register has VMs of it.
    type: str
    choices: [drained, withdrawn, stopped, evacuated, removed]
    default: drained
  to:
    description: The only nodes that VMs may go to. All of the cluster when empty.
    type: list
    elements: str
    default: []
  parallel:
    description:
      - How many VMs move at the same time. Each copies its memory over the network that VMs need too, and more of them
        at once take longer each.
    type: int
    default: 4
  vms:
    description:
      - With O(state=evacuated), what was told of VMs that are not declared when they were attached, such as C(mac) or
        C(prefixes), by C(name) and C(nic); a list, also as JSON text.
    type: raw
"""

EXAMPLES = r"""
- name: It is known where the VMs go
  vmcluster.network.drain_plan:
    plan: "{{ vmcluster }}"
    node: node2
    leases: "{{ found_leases.results }}"
  run_once: true
  register: node_drain
"""

RETURN = r"""
moves:
  description: What M(vmcluster.network.migration_plan) is to be asked for.
  returned: success
  type: list
  elements: dict
  sample: [{"cluster": "alpha", "name": "web1", "node": "node3"}]
rounds:
  description: RV(moves), as many together as O(parallel) says.
  returned: success
  type: list
  elements: list
  sample: []
guests:
  description: With O(state=stopped), those to stop, as filter P(vmcluster.network.vm_guests#filter) returns guests.
  returned: success
  type: dict
  sample: {}
vms:
  description: With O(state=evacuated), VMs as M(vmcluster.network.cluster_plan) takes them, each NIC with its new node.
  returned: success
  type: list
  elements: dict
  sample: []
registers:
  description: With O(state=evacuated), what to ask each register for, so that the leases name the new nodes.
  returned: success
  type: list
  elements: dict
  sample: []
summary:
  description: A line for each VM, also for those that stay, and why.
  returned: success
  type: list
  elements: str
  sample: ["web1: to node3", "web2: its guest does not run"]
"""
