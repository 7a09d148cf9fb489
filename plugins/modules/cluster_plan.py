#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_plan
short_description: Check the description of clusters, and plan what each host has to be
version_added: 0.1.0
author:
  - The vmcluster.network developers (@vmcluster)
description:
  - Reads the groups C(nodes), C(route_reflectors) and C(core_gateways), the C(cluster) descriptions that nodes see, and
    the C(underlay_*) variables of hosts, and checks all of it at once.
  - It runs on the controller and touches no host, so that no host needs to be reachable. Use it with C(run_once) and
    C(register).
  - It fails with every mistake, each naming the host or cluster, the key, and what to do.
  - The plan holds the passwords of BGP sessions. That is why a successful result is never shown or logged, while a
    failed one, which holds none, is.
  - It returns no facts, because facts go to the fact cache, passwords and all, and are copied for every task of every
    host. A registered result is not.
options:
  vms:
    description:
      - VMs that are to be attached, checked as declared ones are.
      - Their keys are those of C(cluster.vms), and C(cluster).
      - C(cluster) may be left out where the node tells it.
      - An entry that names a declared VM takes from the declaration what it leaves out, and must agree with it.
      - A list, or its text as JSON, which surveys of job templates give.
    type: raw
  vms_state:
    description: With V(absent), O(vms) are to be detached, and their names are enough.
    type: str
    choices: [present, absent]
    default: present
  vm:
    description: The name of one VM, short for O(vms) with one entry; O(vms) must be empty then.
    type: str
  node:
    description: The node of O(vm).
    type: str
  migrate:
    description:
      - VMs that are to be migrated, a list of C(vm) and C(node), the target.
      - Refused with the error C(LiveMigrationRefused) in clusters of type C(routing), where addresses belong to nodes.
    type: raw
  report:
    description: Whether to show warnings, and return RV(summary).
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
notes:
  - It is an action plugin, and changes nothing.
"""

EXAMPLES = r"""
- name: The cluster description has no mistakes
  vmcluster.network.cluster_plan:
  register: vmcluster
  run_once: true

- name: The VM can be attached
  vmcluster.network.cluster_plan:
    vms:
      - name: web1
        node: node1
        addresses: [203.0.113.10]
  register: vmcluster
  run_once: true
"""

RETURN = r"""
mistakes:
  description: All mistakes, one line each.
  returned: failure
  type: list
  elements: str
  sample:
    - "cluster alpha: cluster.asn: 0 is reserved (RFC 7607): use your own, or a private one: 64512-65534"
clusters:
  description:
    - By name, all about each cluster but its password.
    - Among it C(asn), C(communities), C(families), C(gateway), C(pools), C(mtu), C(register), C(nodes),
      C(route_reflectors), C(core_gateways), and C(vms), the declared ones.
  returned: success
  type: dict
hosts:
  description:
    - By host, then by role, the variables of the role.
    - Hosts that others configure, or that no cluster uses, are not in it.
  returned: success
  type: dict
underlay:
  description: By host, its C(group), C(platform), C(router_id), C(ipv4) and C(ipv6).
  returned: success
  type: dict
vms:
  description: The VMs of O(vms), with defaults filled in.
  returned: success
  type: list
  elements: dict
  sample:
    - cluster: alpha
      name: web1
      nic: 0
      node: node1
      pools: [public4, public6]
      asked: {public4: 203.0.113.10}
      prefixes: []
      mac: "02:d5:4c:ec:2d:0a"
      kind: tap
      owner: root
      announcement: announced
remarks:
  description: The warnings, one line each.
  returned: success
  type: list
  elements: str
summary:
  description: A few lines for people.
  returned: success and O(report)
  type: list
  elements: str
"""
