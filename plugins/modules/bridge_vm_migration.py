#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bridge_vm_migration
short_description: One node's part in live migrations of VMs in a switching cluster
description:
  - Says whether a node can be source or target of live migrations between bridges, and waits until the guests have
    moved.
  - A guest has come when the target's bridge has had a frame from it by the VM's own interface. The node then tells the
    wire, as if the guest did, by gratuitous ARP and unsolicited neighbour advertisements for all its addresses. A guest
    that says nothing is asked once a second.
  - A guest has gone when nothing is attached to its interface on the source any more.
  - Changes nothing on the node. Playbook C(vmcluster.network.migrate_vm) makes and removes the interfaces.
version_added: 0.1.0
author:
  - The vmcluster.network developers (@vmcluster)
options:
  state:
    description:
      - V(prepared), the node can take part. It fails with all refusals, each by its name.
      - V(arrived), the guests have moved. It is waited for up to O(wait) seconds, on a target as long as it has the
        interface.
      - V(aborted), a target has no guest, so that its interface can go. Up to O(wait) seconds; refused for guests that
        have moved.
    type: str
    required: true
    choices: [prepared, arrived, aborted]
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
      bridge:
        description: The bridge that the VM's interface is a port of, on both nodes.
        type: str
        required: true
      mac:
        description: MAC address of the guest's network card.
        type: str
        required: true
      addresses:
        description: Addresses of the VM, without length.
        type: list
        elements: str
        default: []
      mtu:
        description: MTU of the VM's interface.
        type: int
        default: 1500
  wait:
    description: Seconds to wait with O(state=arrived) and O(state=aborted).
    type: float
    default: 15
attributes:
  check_mode:
    description: Refuses as it would otherwise, and waits for nothing.
    support: full
  diff_mode:
    description: Nothing changes, so there is no difference to show.
    support: none
requirements:
  - iproute2
seealso:
  - module: vmcluster.network.fabric_vm_iface
  - module: vmcluster.network.fabric_vm_migration
"""

EXAMPLES = r"""
- name: The guest runs on this node, and the network knows it
  vmcluster.network.bridge_vm_migration:
    state: arrived
    migrations:
      - name: web1
        role: target
        other: node1
        bridge: br0
        mac: 02:56:4d:12:34:56
        addresses: [203.0.113.100]
    wait: 600
"""

RETURN = r"""
migrations:
  description: The migrations asked for.
  returned: success
  type: list
  elements: dict
  sample:
    - name: web1
      nic: 0
      interface: web1_net0
      role: target
      other: node1
mistakes:
  description: Why the node refuses, each with a name.
  returned: when it refuses
  type: list
  elements: str
  sample: ["LiveMigrationRefused: MtuTooSmall: br0 has MTU 1400, web1 has 1500: raise the first"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import vm_bridge_migration


def main() -> None:
    module = AnsibleModule(argument_spec=vm_bridge_migration.ARGUMENT_SPEC, supports_check_mode=True)
    result = vm_bridge_migration.migrate_vms(module.params, module.check_mode)
    if result.failed:
        module.fail_json(msg=result.failed, **result.values)
    module.exit_json(**result.values)


if __name__ == "__main__":
    main()
