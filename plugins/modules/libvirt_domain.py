#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_domain
short_description: Domains of libvirt on interfaces of a node
version_added: 0.1.0
description:
  - Defines, starts, stops and removes domains from a small description, or adopts those that are there.
  - A card of a domain is on an interface that M(vmcluster.network.fabric_vm_iface) made. libvirt uses it as it is, with
    C(managed='no'), and does not make, address or remove it.
  - Of a domain only what is described is compared and changed, in the XML that libvirt has; all else stays.
  - Takes all domains of a node in one call. Those that are to stop are asked to at the same time.
options:
  uri:
    description: How libvirt is connected to.
    type: str
    default: qemu:///system
  domains:
    description: Domains. Those not listed are left alone.
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
          - Former name. A domain of that name, which must not run, gets O(domains[].name), when there is none of that
            yet.
        type: str
      state:
        description:
          - V(absent) stops a domain and removes its definition; disks stay. A domain that others defined and that was
            adopted is stopped, and starts no more with the node, but stays defined.
          - V(present) defines it, and leaves it running or stopped as it is.
        type: str
        choices: [running, stopped, present, absent]
        default: running
      vcpus:
        description: Virtual processors. A new domain has one unless told.
        type: int
      memory:
        description: Memory in MiB. A new domain needs it.
        type: int
      machine:
        description: Machine type, as C(virsh capabilities) lists them. Default is libvirt's.
        type: str
      accelerator:
        description: How a new domain runs. V(auto), by KVM where the node has it, else emulated.
        type: str
        choices: [auto, kvm, qemu]
        default: auto
      disks:
        description: All disks, in their order. A new domain needs one, unless it has O(domains[].boot).
        type: list
        elements: dict
        suboptions:
          path:
            description: File, or block device below C(/dev), which must be there.
            type: str
            required: true
          format:
            description: V(raw), V(qcow2) or what else libvirt knows.
            type: str
            default: qcow2
          bus:
            description: How the guest sees it.
            type: str
            choices: [virtio, scsi, sata, ide]
            default: virtio
          readonly:
            description: The guest cannot write to it, as with a disk of M(vmcluster.network.cloud_init_seed).
            type: bool
            default: false
      boot:
        description: A kernel on the node to boot, instead of what the first disk holds.
        type: dict
        suboptions:
          kernel:
            description: Its file.
            type: str
            required: true
          initrd:
            description: Its initial RAM disk.
            type: str
          cmdline:
            description: Its command line.
            type: str
      nics:
        description:
          - All network cards. Cards that are not listed are removed, also from a domain that is adopted.
          - A domain that runs on interfaces of this collection is given further cards at once, and loses those that go,
            if its machine type and its guest can do that. Other changes of a card wait for its next start.
        type: list
        elements: dict
        suboptions:
          nic:
            description: Number of the VM's card, as in M(vmcluster.network.fabric_vm_iface).
            type: int
            default: 0
          mac:
            description: Its MAC address. Needed.
            type: str
          queues:
            description: Number of queues, on an interface with several.
            type: int
            default: 0
      vnc:
        description:
          - Whether it has a VNC display. A new one listens where the node's libvirt has C(vnc_listen), so that a domain
            that migrates listens on its new node; one that is there stays as it is.
        type: bool
      autostart:
        description: Whether it starts with the node.
        type: bool
      adopt:
        description: Take over a domain of this name that others have defined.
        type: bool
        default: false
attributes:
  diff_mode:
    description: Shows what differs from the description.
    support: full
extends_documentation_fragment:
  - vmcluster.network.guests
author:
  - The vmcluster.network developers (@vmcluster)
requirements:
  - libvirt and its Python binding (Debian's and EL's package C(python3-libvirt))
seealso:
  - module: vmcluster.network.fabric_vm_iface
  - module: vmcluster.network.cloud_init_seed
"""

EXAMPLES = r"""
- name: VM web1 runs
  vmcluster.network.libvirt_domain:
    domains:
      - name: web1
        vcpus: 2
        memory: 2048
        disks:
          - path: /var/lib/libvirt/images/web1.qcow2
          - {path: /var/lib/vmcluster/seeds/web1.iso, format: raw, readonly: true}
        nics:
          - mac: "02:00:00:00:00:10"
        autostart: true

- name: A domain that was there is put on the fabric, at its next start
  vmcluster.network.libvirt_domain:
    domains:
      - name: old1
        nics: [{mac: "52:54:00:12:34:56"}]
        adopt: true
"""

RETURN = r"""
domains:
  description: What libvirt has of the listed domains, afterwards.
  returned: success
  type: list
  elements: dict
  sample:
    - name: web1
      running: true
      autostart: true
      ours: true
      vcpus: 2
      memory: 2048
      disks: [/var/lib/libvirt/images/web1.qcow2]
      interfaces: [web1_net0]
restart_needed:
  description: Domains that run with an older definition until they are stopped and started.
  returned: success
  type: list
  elements: str
  sample: [old1]
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["domain web1: libvirt has no domain web1", "domain web1: does not run"]
mistakes:
  description: Why nothing was done.
  returned: when something is wrong with what was asked for
  type: list
  elements: str
  sample: ["web1: libvirt has a domain of this name that others made: set adopt, or rename one"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import libvirt_host


def main() -> None:
    module = AnsibleModule(argument_spec=libvirt_host.ARGUMENT_SPEC, supports_check_mode=True)
    libvirt_host.answer_module(module, libvirt_host.run)


if __name__ == "__main__":
    main()
