#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_init_seed
short_description: Disks that configure guests
version_added: 0.1.0
description:
  - Makes an ISO image per guest, from which cloud-init in the guest takes its network configuration, its name, and what
    else it is to do (data source NoCloud). Beside the image are the texts that it was made of, for root only.
  - A guest looks at it when it is started for the first time. What changes later it takes when its C(instance-id)
    changes, and then it makes its host keys and users anew.
options:
  folder:
    description: Where the images are, named after the VMs.
    type: path
    default: /var/lib/vmcluster/seeds
  seeds:
    description: Disks. Those not listed are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the VM.
        type: str
        required: true
      state:
        description:
          - Whether there is one.
          - V(renamed), that of O(seeds[].was), if there is one, gets O(seeds[].name), and stays as it is.
        type: str
        choices: [present, renamed, absent]
        default: present
      was:
        description: Former name, with O(seeds[].state=renamed).
        type: str
      network_config:
        description:
          - Text of C(network-config), as P(vmcluster.network.cloud_init_network_config#filter) makes it. Needed.
        type: str
      user_data:
        description: Text of C(user-data). It is not shown in differences.
        type: str
      instance_id:
        description:
          - By which the guest knows that it is the same as at its last start. Default is that of the disk that is
            there, else the VM's name.
        type: str
      hostname:
        description: The guest's host name. Default is the VM's name.
        type: str
attributes:
  check_mode:
    description: Predicts, and changes nothing.
    support: full
  diff_mode:
    description: Shows the texts, without user-data.
    support: full
author:
  - The vmcluster.network developers (@vmcluster)
requirements:
  - genisoimage, mkisofs or xorriso
seealso:
  - module: vmcluster.network.libvirt_domain
"""

EXAMPLES = r"""
- name: The guest's disk is there
  vmcluster.network.cloud_init_seed:
    seeds:
      - name: web1
        network_config: "{{ nics | vmcluster.network.cloud_init_network_config(gateway) }}"
        user_data: |
          #cloud-config
          ssh_authorized_keys: [ssh-ed25519 AAAA… admin]
"""

RETURN = r"""
seeds:
  description: The image of each VM that has one.
  returned: success
  type: dict
  sample: {web1: /var/lib/vmcluster/seeds/web1.iso}
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["/var/lib/vmcluster/seeds/web1.iso: web1 has no disk"]
mistakes:
  description: Why nothing was done.
  returned: when something is wrong with what was asked for
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import cloud_init_seed
from ansible_collections.vmcluster.network.plugins.module_utils.answer import answer_module


def main() -> None:
    module = AnsibleModule(argument_spec=cloud_init_seed.ARGUMENT_SPEC, supports_check_mode=True)
    answer_module(module, cloud_init_seed.run)


if __name__ == "__main__":
    main()
