#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: guest_info
short_description: What a node's hypervisors say of their guests
version_added: 0.1.0
description:
  - Tells of domains of libvirt and containers of LXC and LXD that this collection made, or that are on interfaces of
    M(vmcluster.network.fabric_vm_iface), whether they run and on which interfaces they are. Changes nothing.
  - A hypervisor that is not there has no guests, nor has an LXD that has never been started, unless it is in
    O(required).
options:
  required:
    description: Hypervisors that must answer.
    type: list
    elements: str
    choices: [libvirt, lxc, lxd]
    default: []
  uri:
    description: How libvirt is connected to.
    type: str
    default: qemu:///system
  folder:
    description: Where LXC has its containers.
    type: path
    default: /var/lib/lxc
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
author:
  - The vmcluster.network developers (@vmcluster)
requirements:
  - libvirt's Python binding (package C(python3-libvirt)), where libvirt runs guests
seealso:
  - module: vmcluster.network.libvirt_domain
  - module: vmcluster.network.lxc_container
  - module: vmcluster.network.lxd_container
"""

EXAMPLES = r"""
- name: It is known what this node's hypervisors run
  vmcluster.network.guest_info:
    required: [libvirt]
  register: found_guests
"""

RETURN = r"""
guests:
  description: The guests, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name, which is that of the VM.
      type: str
    driver:
      description: V(libvirt), V(lxc) or V(lxd).
      type: str
    running:
      description: Whether it runs.
      type: bool
    autostart:
      description: Whether it starts with the node.
      type: bool
    ours:
      description: Whether this collection made it.
      type: bool
    nics:
      description: Its cards as defined, C(interface) of the node and C(mac); no MAC of containers.
      type: list
      elements: dict
    attached:
      description: Its cards as it runs with them; null where it does not run, or that is not known.
      type: list
      elements: dict
  sample:
    - name: web1
      driver: libvirt
      running: true
      autostart: true
      ours: true
      nics: [{interface: web1_net0, mac: "02:00:00:00:00:10"}]
      attached: [{interface: web1_net0, mac: "02:00:00:00:00:10"}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import libvirt_host, lxc_host, lxd_client, lxd_host


def main() -> None:
    module = AnsibleModule(supports_check_mode=True, argument_spec={
        "required": {"type": "list", "elements": "str", "choices": ["libvirt", "lxc", "lxd"], "default": []},
        "uri": libvirt_host.ARGUMENT_SPEC["uri"],
        "folder": lxc_host.ARGUMENT_SPEC["folder"],
    })
    options = module.params
    try:
        guests = libvirt_host.read_guests(options["uri"], "libvirt" in options["required"])
        guests += lxc_host.read_guests(options["folder"], "lxc" in options["required"])
        guests += lxd_host.read_guests("lxd" in options["required"])
    except (libvirt_host.HostError, lxd_client.LxdError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, guests=sorted(guests, key=lambda guest: (guest["name"], guest["driver"])))


if __name__ == "__main__":
    main()
