#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_vm_iface
short_description: Interfaces of VMs on a node
description:
  - Makes the interface of each VM on a node, or adopts one that is there, without a bridge. A persistent tap or a veth
    pair with the cluster's gateway addresses and MAC, permanent neighbours for the VM's addresses, and sysctls.
  - In a cluster of type switching the interface is a port of O(vms[].bridge) instead, and has no address.
  - Announces the VM by static routes of FRR with a tag of this collection. Role P(vmcluster.network.ipfabric#role) sets
    up the redistribution that takes routes with these tags.
  - With O(routes=kernel), as in a cluster of type routing, the kernel has the routes, and FRR is not needed.
  - Keeps a record per interface in C(/var/lib/vmcluster/interfaces), and installs the unit
    C(vmcluster-interfaces.service), which makes all of them again at boot, before FRR and hypervisors start.
  - What needs an interface that the host's network manager makes, such as a bridge, is done at boot by
    C(vmcluster-interfaces-late.service) when that is there.
  - Takes all VMs of a node in one call, and reads and changes the node by a few commands for all of them. A run that
    was interrupted is finished by the next one.
  - Carrier does not matter. FRR announces a VM while its interface has carrier, so a VM that is stopped is withdrawn.
version_added: 0.1.0
author:
  - The vmcluster.network developers (@vmcluster)
options:
  gateway:
    description:
      - The gateway of the cluster's VMs, the same on all interfaces of all nodes.
      - Needed as soon as a VM without O(vms[].bridge) is V(present).
    type: dict
    suboptions:
      ipv4:
        description: IPv4 address, outside every pool and used nowhere else.
        type: str
      ipv6:
        description:
          - IPv6 address, link-local or global.
          - Without it IPv6 is switched off on the interfaces.
        type: str
      mac:
        description: MAC address of the node's side of every interface.
        type: str
        required: true
  mtu:
    description: MTU of interfaces whose VM names none.
    type: int
    default: 1500
  owner:
    description:
      - User, by name or number, who may attach to taps; for VMs that name none.
      - It is always set, since a tap without an owner can be used by every user of the node.
    type: str
    default: root
  sysctls:
    description:
      - Sysctls of every interface, over those that the module sets. The key is family and name, like C(ipv4.proxy_arp).
      - The inventory of this collection knows none, so its playbooks ask for none; a VM that migrates or is renamed
        has none of its own then. Call the module again for them.
    type: dict
    default: {}
  routes:
    description: Who has the routes to the VMs, V(frr), which can announce them, or the V(kernel) alone.
    type: str
    choices: [frr, kernel]
    default: frr
  proxy_ndp:
    description:
      - Interface on which the node answers neighbour solicitations for the VMs' IPv6 addresses, for providers that look
        for each address on the wire. Its sysctl C(proxy_ndp) must be set. Only with O(routes=kernel).
    type: str
    default: ""
  vms:
    description: VM interfaces. Those not listed are left alone, unless O(purge=true).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the VM.
        type: str
        required: true
      nic:
        description: Number of the VM's network card.
        type: int
        default: 0
      state:
        description:
          - With V(absent), routes, interface and record are removed, if they are this collection's. Other options are
            not needed.
        type: str
        choices: [present, absent]
        default: present
      addresses:
        description: Addresses of the VM, of one or both families, without length.
        type: list
        elements: str
        default: []
      prefixes:
        description: Further prefixes that are routed through the VM, by its first address of their family.
        type: list
        elements: str
        default: []
      mac:
        description: MAC address of the VM's network card. Needed when O(vms[].state=present).
        type: str
      keep_mac:
        description:
          - When this VM has an interface already, its MAC address stays, whatever O(vms[].mac) says.
          - For a MAC address that is derived from a name, which the VM may have changed.
        type: bool
        default: false
      bridge:
        description:
          - Bridge that the interface is a port of. It must be there, unless in check mode.
          - Such an interface has no gateway, no routes and no prefixes, and O(vms[].addresses) are recorded alone.
        type: str
      kind:
        description:
          - V(tap) for virtual machines, V(veth) for containers.
          - The other end of a veth pair is named like the interface with C(_vm) instead of C(_net), has the VM's MAC,
            and is to be handed to the container.
        type: str
        choices: [tap, veth]
        default: tap
      owner:
        description: User, by name or number, who may attach to the tap. Default is O(owner).
        type: str
      driver:
        description:
          - What runs the guest, if that is M(vmcluster.network.libvirt_domain), M(vmcluster.network.lxc_container)
            or M(vmcluster.network.lxd_container).
          - It is recorded alone, so that verification and detaching know which hypervisor to ask.
        type: str
        choices: [libvirt, lxc, lxd]
      multi_queue:
        description: Make a tap with several queues, as a domain with C(<driver queues="…"/>) needs it.
        type: bool
        default: false
      mtu:
        description: MTU of the interface. Default is O(mtu).
        type: int
      sysctls:
        description: Sysctls of this interface, over O(sysctls).
        type: dict
        default: {}
      announcement:
        description:
          - V(announced), the cluster's network learns the VM's addresses from this node.
          - V(withdrawn), this node and its VMs reach the VM, nobody else does.
          - V(standby), the interface is ready, and there is no route, as a migration's target needs it. On a
            bridge it is recorded alone, and tells that the VM has not come yet.
        type: str
        choices: [announced, standby, withdrawn]
        default: announced
  purge:
    description:
      - Remove all interfaces, records and routes of this collection that are not listed. Others are never touched.
    type: bool
    default: false
attributes:
  check_mode:
    description: Predicts all changes and makes none; FRR need not be there yet.
    support: full
  diff_mode:
    description: Tells every change of interfaces, records, routes and the boot unit.
    support: full
seealso:
  - module: vmcluster.network.fabric_vm_iface_info
requirements:
  - iproute2
  - FRR 8.4 or later, unless all VMs are V(standby), or on a bridge, or O(routes=kernel)
"""

EXAMPLES = r"""
- name: The VMs of this node have their interfaces, and are announced
  vmcluster.network.fabric_vm_iface:
    gateway:
      ipv4: 10.255.255.1
      ipv6: fe80::1
      mac: "02:56:4d:12:34:56"
    vms:
      - name: web1
        addresses: [203.0.113.10, "2001:db8:1::10"]
        mac: "02:00:00:00:00:10"
      - name: container1
        kind: veth
        addresses: [203.0.113.11]
        prefixes: [203.0.113.64/28]
        mac: "02:00:00:00:00:11"

- name: A VM is on a bridge
  vmcluster.network.fabric_vm_iface:
    vms:
      - name: web3
        addresses: [203.0.113.12]
        mac: "02:00:00:00:00:12"
        bridge: br0

- name: VM web1 has left this node
  vmcluster.network.fabric_vm_iface:
    vms:
      - name: web1
        state: absent
"""

RETURN = r"""
interfaces:
  description: The interfaces of all VMs listed as V(present).
  returned: always
  type: list
  elements: dict
  sample:
    - vm: web1
      nic: 0
      interface: web1_net0
      altname: null
      peer: null
      kind: tap
      addresses: [203.0.113.10]
      prefixes: []
      mac: "02:00:00:00:00:10"
      mtu: 1500
      announcement: announced
      bridge: null
removed:
  description: Names of the interfaces that were removed.
  returned: always
  type: list
  elements: str
  sample: [web2_net0]
actions:
  description: What was changed and why, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: ["interface web1_net0: web1 has no interface"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import vm_attach


def main() -> None:
    module = AnsibleModule(argument_spec=vm_attach.ARGUMENT_SPEC, supports_check_mode=True)
    result = vm_attach.attach_vms(module.params, module.check_mode)
    for warning in result.warnings:
        module.warn(warning)
    if result.failed:
        module.fail_json(msg=result.failed, **result.values)
    module.exit_json(**result.values)


if __name__ == "__main__":
    main()
