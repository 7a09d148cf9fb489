#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_pool_info
short_description: Pools of addresses and their leases
description:
  - Reads the register that M(vmcluster.network.ip_pool_alloc) keeps, all of it as of one moment.
  - Checks that every address of a pool is either leased once or free.
version_added: 0.1.0
author:
  - vmcluster.network contributors (@vmcluster)
options:
  path:
    description: File of the register.
    type: path
    default: /var/lib/vmcluster/leases.sqlite
  owner:
    description: Return leases of this owner only.
    type: str
  pool:
    description: Return leases of this pool only. RV(pools) has all pools nevertheless.
    type: str
  holder:
    description: Return leases used on this node only.
    type: str
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
seealso:
  - module: vmcluster.network.ip_pool_alloc
"""

EXAMPLES = r"""
- name: The leases on node1 are known
  vmcluster.network.ip_pool_info:
    holder: node1
  delegate_to: rr1
  register: register_of_alpha

- name: No pool is nearly full
  ansible.builtin.assert:
    that: register_of_alpha.pools | selectattr('free', 'lt', 10) | length == 0
"""

RETURN = r"""
exists:
  description: Whether there is a register in O(path). Without one, the lists are empty.
  returned: success
  type: bool
  sample: true
pools:
  description: All pools, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pool.
      type: str
      returned: success
    family:
      description: 4 or 6.
      type: int
      returned: success
    prefix:
      description: The prefix all its addresses are in.
      type: str
      returned: success
    ranges:
      description: What may be leased, joined and in order, before exclusions.
      type: list
      elements: str
      returned: success
    exclude:
      description: What may not be leased, joined and in order.
      type: list
      elements: str
      returned: success
    size:
      description: How many addresses may be leased, those in use included.
      type: int
      returned: success
    in_use:
      description: How many of these are leased.
      type: int
      returned: success
    free:
      description: How many of these are free.
      type: int
      returned: success
  sample:
    - name: public4
      family: 4
      prefix: 203.0.113.0/24
      ranges: [203.0.113.10-203.0.113.200]
      exclude: [203.0.113.50]
      size: 190
      in_use: 1
      free: 189
leases:
  description: The leases that were asked for, by address.
  returned: success
  type: list
  elements: dict
  contains:
    owner:
      description: Who has the address.
      type: str
      returned: success
    pool:
      description: Name of the pool.
      type: str
      returned: success
    address:
      description: The address.
      type: str
      returned: success
    family:
      description: 4 or 6.
      type: int
      returned: success
    holder:
      description: The node the address is used on; null when nobody told.
      type: str
      returned: success
    outside:
      description: Whether the pool, as it is defined now, would not lease this address any more.
      type: bool
      returned: success
    leased_at:
      description: When the address was leased, in Unix seconds.
      type: int
      returned: success
  sample:
    - owner: alpha/web1
      pool: public4
      address: 203.0.113.10
      family: 4
      holder: node1
      outside: false
      leased_at: 1767225600
faults:
  description: Contradictions in the register, one line each. There are none unless something else wrote to the file.
  returned: success
  type: list
  elements: str
  sample: []
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import PoolError, Snapshot
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import describe_snapshot
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import is_register, open_register

ARGUMENT_SPEC = {
    "path": {"type": "path", "default": "/var/lib/vmcluster/leases.sqlite"},
    "owner": {"type": "str"},
    "pool": {"type": "str"},
    "holder": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    path = module.params["path"]
    wanted = {key: module.params[key] for key in ("owner", "pool", "holder") if module.params[key] is not None}
    snapshot = Snapshot((), (), {})
    try:
        exists = is_register(path)
        if exists:
            with contextlib.closing(open_register(path)) as register:
                snapshot = register.read_snapshot()
    except PoolError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, exists=exists, **describe_snapshot(snapshot, wanted))


if __name__ == "__main__":
    main()
