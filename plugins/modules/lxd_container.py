#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_container
short_description: Containers of LXD on interfaces of a node
version_added: 0.1.0
description:
  - Makes, starts, stops and renames containers, or adopts those that are there, by the socket of LXD on the node, or of
    Incus, which has the same interface.
  - A container is given the other end of a veth interface that M(vmcluster.network.fabric_vm_iface) made, as a card of
    type C(physical). It is handed back when the container stops. The container configures it by itself.
  - What is ours is marked by C(user.vmcluster) in the container's configuration. A device of the operator's by the name
    of one of ours is set aside there, and comes back when the container is no longer ours.
options:
  containers:
    description: Containers. Those not listed are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the VM, which is that of its interfaces too.
        type: str
        required: true
      was:
        description:
          - Former name. A container of that name, which must not run, gets O(containers[].name), when there is none of
            that yet.
        type: str
      state:
        description:
          - V(absent) stops a container, and takes its cards and what else is ours from it. It stays in LXD, as its
            files would go with it; it starts no more with the node.
          - V(present) configures it, and leaves it running or stopped as it is.
        type: str
        choices: [running, stopped, present, absent]
        default: running
      image:
        description: Alias of a new container's image, which LXD has already. Its root disk is that of profile default.
        type: str
      config:
        description: Keys of its configuration, such as C(limits.memory). Others stay as they are.
        type: dict
        default: {}
      network_config:
        description: Text of C(cloud-init.network-config), by which an image with cloud-init configures itself.
        type: str
      nics:
        description: All network cards on interfaces of M(vmcluster.network.fabric_vm_iface).
        type: list
        elements: dict
        suboptions:
          nic:
            description: Number of the VM's card, as in M(vmcluster.network.fabric_vm_iface).
            type: int
            default: 0
      autostart:
        description: Whether it starts with the node; it does unless told otherwise.
        type: bool
      adopt:
        description: Take over a container of this name that others have made.
        type: bool
        default: false
attributes:
  diff_mode:
    description: Shows configuration and devices.
    support: full
extends_documentation_fragment:
  - vmcluster.network.guests
author:
  - The vmcluster.network developers (@vmcluster)
requirements:
  - LXD 5.0 or later, or Incus
seealso:
  - module: vmcluster.network.fabric_vm_iface
  - module: vmcluster.network.lxc_container
"""

EXAMPLES = r"""
- name: Container ct2 runs
  vmcluster.network.lxd_container:
    containers:
      - name: ct2
        image: debian-12-cloud
        nics:
          - nic: 0
"""

RETURN = r"""
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["container ct2: LXD has no such container", "container ct2: does not run"]
mistakes:
  description: Why nothing was done.
  returned: when something is wrong with what was asked for
  type: list
  elements: str
  sample: ["ct2: LXD has an instance of this name that others made: set adopt, or rename one"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import lxd_host
from ansible_collections.vmcluster.network.plugins.module_utils.answer import answer_module


def main() -> None:
    module = AnsibleModule(argument_spec=lxd_host.ARGUMENT_SPEC, supports_check_mode=True)
    answer_module(module, lxd_host.run)


if __name__ == "__main__":
    main()
