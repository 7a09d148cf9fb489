#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_migration
short_description: Live migration of libvirt's domains to another node
version_added: 0.1.0
description:
  - Runs on the source, between what M(vmcluster.network.fabric_vm_migration) arms and what it waits for, or while the
    target waits with M(vmcluster.network.bridge_vm_migration). Playbook C(vmcluster.network.migrate_vm) does all of it.
  - Has libvirt move domains from daemon to daemon, and tells the agents on the node of the guest's STOP, by libvirt's
    event.
  - A domain is defined on the target as it was on the source, and no more on the source.
  - A domain that does not run here is left alone. One that libvirt moves already is waited for.
  - What has not moved shortly before the agents' deadline, or within O(wait), is taken back. A guest that does not move
    runs on.
  - Disks are not copied, both nodes must have them under the same path.
options:
  state:
    description: V(cancelled) ends migrations that are under way; the guests stay.
    type: str
    choices: [moved, cancelled]
    default: moved
  uri:
    description: How this node's libvirt is connected to.
    type: str
    default: qemu:///system
  transport:
    description:
      - How this node's libvirt reaches the other's.
      - V(ssh), by SSH as root, with a key of this node's root that the other lets in, and its host key known. The
        guest's memory goes the same way.
      - V(tls), by libvirt's TLS (port 16514), and qemu's for the memory, with the certificates that libvirt has on both
        nodes, which must be valid for the address that is connected to.
      - V(tcp), unencrypted, port 16509, for networks that carry nothing else. So is the memory.
      - With V(tls) and V(tcp), the memory goes to a port from 49152 to 49215.
    type: str
    choices: [ssh, tcp, tls]
    default: ssh
  parallel:
    description: How many domains move at the same time.
    type: int
    default: 2
  wait:
    description:
      - Seconds in which domains on bridges are to move; what has not is taken back. There are no agents then.
      - Without it, agents are armed for all domains, and have a deadline.
    type: float
  domains:
    description: Domains that leave this node.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the VM.
        type: str
        required: true
      nics:
        description: Numbers of its network cards that agents are armed for.
        type: list
        elements: int
        default: [0]
      other:
        description: Name of the node that it goes to.
        type: str
        required: true
      address:
        description: Address of that node, by which its libvirt is reached.
        type: str
        required: true
attributes:
  check_mode:
    description: Predicts, and changes nothing.
    support: full
  diff_mode:
    description: Shows which domains move.
    support: full
author:
  - The vmcluster.network developers (@vmcluster)
requirements:
  - libvirt and its Python binding (Debian's and EL's package C(python3-libvirt)), 6.0 or later
seealso:
  - module: vmcluster.network.fabric_vm_migration
  - module: vmcluster.network.bridge_vm_migration
  - module: vmcluster.network.libvirt_domain
"""

EXAMPLES = r"""
- name: VM web1 moves to node2
  vmcluster.network.libvirt_migration:
    domains:
      - name: web1
        other: node2
        address: 10.20.0.12

- name: VM web2, on a bridge, moves to node2
  vmcluster.network.libvirt_migration:
    wait: 600
    domains:
      - name: web2
        other: node2
        address: 10.20.0.12
"""

RETURN = r"""
domains:
  description: Domains that moved.
  returned: success
  type: list
  elements: dict
  contains:
    seconds:
      description: What libvirt took.
      type: float
    pause_ms:
      description: How long the guest stood still, as qemu tells. Null where another run began the migration.
      type: int
  sample:
    - name: web1
      other: node2
      seconds: 3.217
      pause_ms: 41
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["domain web1: moves to node2"]
mistakes:
  description: Why nothing was done.
  returned: when no agent is armed
  type: list
  elements: str
  sample: ["web1: no agent waits for web1_net0 to leave: run migrate_vm, which arms it"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import libvirt_host, libvirt_migration


def main() -> None:
    module = AnsibleModule(argument_spec=libvirt_migration.ARGUMENT_SPEC, supports_check_mode=True)
    libvirt_host.answer_module(module, libvirt_migration.run)


if __name__ == "__main__":
    main()
