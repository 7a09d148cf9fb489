#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: lxc_container
short_description: Containers of LXC on interfaces of a node
version_added: 0.1.0
description:
  - Configures, starts, stops and removes containers, or adopts those that are there.
  - A container is given the other end of a veth interface that M(vmcluster.network.fabric_vm_iface) made, and its
    addresses and on-link gateways. It is handed back when the container stops.
  - The network is in C(vmcluster.conf) beside the container's configuration, which includes it. Of an adopted container
    the operator's own lines on the network are set aside by a mark, and come back when it is no longer ours.
options:
  folder:
    description: Where LXC has its containers.
    type: path
    default: /var/lib/lxc
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
            that yet. Its configuration stays, but for the name.
        type: str
      state:
        description:
          - V(absent) stops a container and removes its configuration; its root file system stays. One that was adopted
            gets its own configuration back, and starts no more with the node.
          - V(present) configures it, and leaves it running or stopped as it is.
        type: str
        choices: [running, stopped, present, absent]
        default: running
      rootfs:
        description:
          - Directory with the root file system. Default of a new container is C(rootfs) in its folder.
          - A container that is there keeps its configuration, apart from the network, when neither this nor
            O(containers[].config) is given.
        type: path
      config:
        description: Further lines of a new container's configuration, as lxc.container.conf(5) knows them.
        type: list
        elements: str
        default: []
      nics:
        description: All network cards.
        type: list
        elements: dict
        suboptions:
          nic:
            description: Number of the VM's card, as in M(vmcluster.network.fabric_vm_iface).
            type: int
            default: 0
          addresses:
            description: Addresses, without length. Without any the container configures itself.
            type: list
            elements: str
            default: []
          gateway:
            description: Gateways of the default routes; those of the first card count.
            type: dict
            suboptions:
              ipv4:
                description: IPv4 address.
                type: str
              ipv6:
                description: IPv6 address.
                type: str
      autostart:
        description: Whether it starts with the node; it does unless told otherwise.
        type: bool
      adopt:
        description: Take over a container of this name that others have made.
        type: bool
        default: false
attributes:
  diff_mode:
    description: Shows the files.
    support: full
extends_documentation_fragment:
  - vmcluster.network.guests
author:
  - The vmcluster.network developers (@vmcluster)
requirements:
  - LXC 4.0 or later
seealso:
  - module: vmcluster.network.fabric_vm_iface
"""

EXAMPLES = r"""
- name: Container ct1 runs
  vmcluster.network.lxc_container:
    containers:
      - name: ct1
        rootfs: /srv/containers/ct1
        nics:
          - addresses: [203.0.113.11, "2001:db8:1::11"]
            gateway: {ipv4: 10.255.255.1, ipv6: "fe80::1"}
"""

RETURN = r"""
restart_needed:
  description: Containers that run with an older configuration until they are stopped and started.
  returned: success
  type: list
  elements: str
  sample: [ct1]
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["/var/lib/lxc/ct1/config: LXC has no container ct1", "container ct1: does not run"]
mistakes:
  description: Why nothing was done.
  returned: when something is wrong with what was asked for
  type: list
  elements: str
  sample: ["ct1: LXC has a container of this name that others made: set adopt, or rename one"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import lxc_host
from ansible_collections.vmcluster.network.plugins.module_utils.answer import answer_module


def main() -> None:
    module = AnsibleModule(argument_spec=lxc_host.ARGUMENT_SPEC, supports_check_mode=True)
    answer_module(module, lxc_host.run)


if __name__ == "__main__":
    main()
