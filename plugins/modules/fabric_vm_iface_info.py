#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_vm_iface_info
short_description: Read the interfaces of VMs on a node
description:
  - Tells of each interface that M(vmcluster.network.fabric_vm_iface) made or adopted what is recorded, what the kernel
    has and what FRR has. Changes nothing.
version_added: 0.1.0
author:
  - The vmcluster.network developers (@vmcluster)
options:
  names:
    description: Names of the VMs to tell of. Without it, all of them.
    type: list
    elements: str
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
seealso:
  - module: vmcluster.network.fabric_vm_iface
requirements:
  - iproute2
"""

EXAMPLES = r"""
- name: It is known which VMs this node carries
  vmcluster.network.fabric_vm_iface_info:
  register: carried

- name: Every VM is announced as recorded
  ansible.builtin.assert:
    that: item.announcement == item.announced_as
  loop: "{{ carried.interfaces }}"
  loop_control:
    label: "{{ item.interface }}"
"""

RETURN = r"""
interfaces:
  description: The VM interfaces that are recorded or marked as this collection's, by name.
  returned: always
  type: list
  elements: dict
  contains:
    vm:
      description: Name of the VM.
      type: str
    nic:
      description: Number of the VM's network card.
      type: int
    interface:
      description: Name of the interface.
      type: str
    altname:
      description: The full name, when it is too long for an interface.
      type: str
    kind:
      description: V(tap) or V(veth).
      type: str
    addresses:
      description: The VM's addresses, as recorded.
      type: list
      elements: str
    prefixes:
      description: Prefixes routed through the VM, as recorded.
      type: list
      elements: str
    mac:
      description: MAC address of the VM's network card, as recorded.
      type: str
    announcement:
      description: V(announced), V(standby) or V(withdrawn), as recorded.
      type: str
    announced_as:
      description:
        - What FRR's routes say, V(announced), V(standby), V(withdrawn), V(elevated) during a migration, or V(mixed).
      type: str
    owner:
      description: User id of the tap's owner, as recorded.
      type: int
    multi_queue:
      description: Whether the tap has several queues, as recorded.
      type: bool
    driver:
      description: What runs the guest, as recorded, V(libvirt), V(lxc) or V(lxd); null where others do.
      type: str
    bridge:
      description: The bridge that it is to be a port of, as recorded.
      type: str
    master:
      description: The bridge that it is a port of, as found.
      type: str
    on_bridge:
      description: Whether it is a port of its bridge; null where it is to be on none.
      type: bool
    kernel_routes:
      description: Prefixes of the kernel's routes to the VM that are ours, as found; null where FRR has the routes.
      type: list
      elements: str
    recorded:
      description: Whether there is a record that can be read. Without it the interface is not restored at boot.
      type: bool
    exists:
      description: Whether the kernel has the interface.
      type: bool
    up:
      description: Whether it is set up.
      type: bool
    carrier:
      description: Whether a guest is attached to it. FRR announces a VM only then.
      type: bool
    mtu:
      description: MTU of the interface, as found.
      type: int
    gateway_mac:
      description: MAC address of the interface, as found.
      type: str
    gateway_addresses:
      description: Addresses of the interface with their length, as found.
      type: list
      elements: str
    neighbors:
      description: Permanent neighbours on the interface, address to MAC address, as found.
      type: dict
    routes:
      description: FRR's static routes for the VM, as they run.
      type: list
      elements: str
    saved:
      description: Whether the same routes are saved.
      type: bool
migrations:
  description:
    - Migrations under way on this node, whether it has the interface still or not. C(role) is V(source) or V(target),
      C(other) the other node, C(state) its agent's, C(runs) whether the agent does.
  returned: always
  type: list
  elements: dict
  sample:
    - vm: web1
      nic: 0
      interface: web1_net0
      role: source
      other: node2
      state: armed
      runs: true
maintenance:
  description:
    - Whether playbook C(drain_node) has taken the node out of service. V(drained), all that it announces has local
      preference 0; V(withdrawn), its sessions are closed; else empty.
  returned: always
  type: str
frr:
  description: Why FRR could not be read; empty when it could.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import iproute, vm_info, vtysh


def main() -> None:
    module = AnsibleModule(
        argument_spec={"names": {"type": "list", "elements": "str"}}, supports_check_mode=True)
    try:
        module.exit_json(changed=False, **vm_info.ask_interfaces(module.params["names"]))
    except (iproute.ReadError, vtysh.FrrError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
