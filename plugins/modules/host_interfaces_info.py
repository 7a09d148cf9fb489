#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_interfaces_info
short_description: Read a host's NICs and what stands on them
description:
  - Tells of each interface what kernel and sysfs say, and the LLDP neighbour where lldpd runs. Changes nothing.
  - Proposes which NIC is the main one of the host, and which are left for additional networks.
version_added: 0.1.0
author:
  - The vmcluster.network developers (@vmcluster)
options: {}
attributes:
  check_mode:
    description: Changes nothing, with or without it.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
seealso:
  - module: vmcluster.network.host_network
requirements:
  - iproute2
"""

EXAMPLES = r"""
- name: The host's NICs are known
  vmcluster.network.host_interfaces_info:
  register: nics

- name: The proposal is shown
  ansible.builtin.debug:
    var: nics.proposal
"""

RETURN = r"""
interfaces:
  description: All interfaces but the loopback, NICs first.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    physical:
      description: Whether it is a NIC of the host.
      type: bool
    kind:
      description: C(nic), or the kernel's name of what it is, such as C(bridge).
      type: str
    driver:
      description: Driver.
      type: str
    speed:
      description: Mbit/s, none when the driver does not say.
      type: int
    up:
      description: Whether it is set up.
      type: bool
    carrier:
      description: Whether there is a link.
      type: bool
    mtu:
      description: MTU in bytes.
      type: int
    mac:
      description: The MAC address that it was built with.
      type: str
    pci:
      description: PCI path, none when it is no PCI device.
      type: str
    addresses:
      description: Addresses with length.
      type: list
      elements: str
    master:
      description: The bridge or bond whose port it is.
      type: str
    ports:
      description: Its ports, when it is a bridge or bond.
      type: list
      elements: str
    link:
      description: The interface that it stands on, when it is a VLAN.
      type: str
    gateways:
      description: Gateways of default routes by this interface.
      type: list
      elements: str
    lldp:
      description: The neighbour, with C(system), C(port) and C(description); none when nobody was heard.
      type: dict
proposal:
  description: The NICs that lead to the default gateway, those that are left, and why.
  returned: always
  type: dict
  sample: {main: [eth0], additional: [eth1], why: the default route goes by br0}
connection:
  description: The host's address that Ansible's SSH connection comes to; none without SSH.
  returned: always
  type: str
  sample: 192.0.2.11
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import host_interfaces, host_read


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        kernel = host_read.read_kernel()
    except (host_read.ReadError, OSError) as error:
        module.fail_json(msg=str(error))
    connection = host_read.read_connection()
    module.exit_json(
        changed=False, proposal=host_interfaces.propose_nics(kernel, connection),
        interfaces=host_interfaces.describe_interfaces(
            kernel, host_interfaces.read_hardware(kernel), host_interfaces.read_neighbours()),
        connection=connection.server if connection else None)


if __name__ == "__main__":
    main()
