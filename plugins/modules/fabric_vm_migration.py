#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_vm_migration
short_description: One node's part in live migrations of VMs in an IP fabric
description:
  - Makes source and target of a live migration ready, so that the cut-over happens on the nodes, at the hypervisor's
    own event or at the guest's first frame, and no task of Ansible is in it.
  - Installs an agent, C(vmcluster-migration@IFACE.service), which runs while a VM migrates and undoes itself at a
    deadline. Playbook C(vmcluster.network.migrate_vm) says in which order the states follow each other.
  - Drivers of hypervisors tell the agent of events by C(vmcluster-migration tell IFACE stopped|running), or by a
    datagram with that word to C(/run/vmcluster/migrations/IFACE.sock).
version_added: 0.1.0
author:
  - The vmcluster.network developers (@vmcluster)
options:
  state:
    description:
      - V(prepared), the node can take part, and has the agent's files. It fails with all refusals, each by its name.
      - V(armed), the agents wait for the cut-over. The VM must have its interface, on a target in standby.
      - V(arrived), the guests have moved. It is waited for up to O(wait) seconds; a source is told that the guest is on
        the target, and must have no guest on its interface any more.
      - V(completed), the migrations are over, once FRR's own routes do what the agents' did. Up to O(wait) seconds.
      - V(aborted), the migrations are taken back; refused for guests that have moved.
    type: str
    required: true
    choices: [prepared, armed, arrived, completed, aborted]
  migrations:
    description: Interfaces of VMs that leave this node or come to it.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the VM.
        type: str
        required: true
      nic:
        description: Number of the VM's network card.
        type: int
        default: 0
      role:
        description: Which end of the migration this node is.
        type: str
        required: true
        choices: [source, target]
      other:
        description: Name of the other node.
        type: str
        required: true
      own:
        description: Underlay addresses of this node.
        type: dict
        required: true
        suboptions:
          ipv4:
            description: IPv4 address.
            type: str
          ipv6:
            description: IPv6 address.
            type: str
      peer:
        description: Underlay addresses of the other node, which must be on a link that both share.
        type: dict
        required: true
        suboptions:
          ipv4:
            description: IPv4 address.
            type: str
          ipv6:
            description: IPv6 address.
            type: str
      addresses:
        description: Addresses of the VM.
        type: list
        elements: str
        required: true
      mtu:
        description: MTU of the VM's interface.
        type: int
        default: 1500
      key:
        description: A secret of this migration, the same on both ends, by which the target's message is known.
        type: str
      port:
        description: On a target, UDP port of the source's agent, as RV(migrations[].port) told there.
        type: int
        default: 0
  deadline:
    description: Seconds after which a source undoes what it did for guests that have not moved.
    type: float
    default: 600
  wait:
    description:
      - Seconds to wait with O(state=arrived) and O(state=completed). For guests that come, not longer than agents do.
    type: float
    default: 15
attributes:
  check_mode:
    description: Predicts all changes and makes none, and waits for nothing.
    support: full
  diff_mode:
    description: Tells which migrations begin and end.
    support: full
requirements:
  - systemd
  - iproute2
  - FRR 8.4 or later
seealso:
  - module: vmcluster.network.fabric_vm_iface
"""

EXAMPLES = r"""
- name: This node waits for web1 to come
  vmcluster.network.fabric_vm_migration:
    state: armed
    migrations:
      - name: web1
        role: target
        other: node1
        own: {ipv4: 10.20.0.12}
        peer: {ipv4: 10.20.0.11}
        addresses: [203.0.113.10]
        key: "{{ migration_key }}"
        port: 7770
"""

RETURN = r"""
migrations:
  description: The migrations asked for.
  returned: success
  type: list
  elements: dict
  contains:
    state:
      description:
        - The agent's state, null without one. V(armed), V(cut), V(left), V(expired) on a source, V(armed), V(arrived)
          or V(announced) on a target.
      type: str
    port:
      description: UDP port of a source's agent.
      type: int
    reached:
      description: Seconds from the first state to each that was reached.
      type: dict
  sample:
    - name: web1
      nic: 0
      interface: web1_net0
      role: source
      other: node2
      state: left
      port: 7770
      reached: {armed: 0.0, cut: 12.345678, left: 12.346789}
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["migration web1_net0: web1 leaves for node2"]
mistakes:
  description: Why the node refuses, each with a name.
  returned: when it refuses
  type: list
  elements: str
  sample: ["LiveMigrationRefused: MtuTooSmall: eth0 has MTU 1400, web1 has 1500: raise the first"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import vm_migration


def main() -> None:
    module = AnsibleModule(argument_spec=vm_migration.ARGUMENT_SPEC, supports_check_mode=True)
    result = vm_migration.migrate_vms(module.params, module.check_mode)
    if result.failed:
        module.fail_json(msg=result.failed, **result.values)
    module.exit_json(**result.values)


if __name__ == "__main__":
    main()
