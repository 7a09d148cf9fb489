#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ip_pool_alloc
short_description: Addresses for VMs out of pools
description:
  - Leases an address per owner and pool, the same one each time it is asked for, and releases it. An owner is usually a
    VM; with a pool per family it gets an address of each.
  - Keeps pools and leases in a register, a SQLite file on the host the module runs on. Any number of processes may use
    it at once; the database itself refuses to lease an address twice. The file must be on a local file system, its
    directory is made with mode 0750 and the file with mode 0640.
  - A call is done whole or not at all. When one lease can't be had, nothing is changed, and all reasons are told
    together.
  - Without an asked-for address the lowest free one is leased. Within one call, leases are released first, then
    asked-for addresses are leased, then the others in the order of the list.
  - Takes all leases in one call, which costs little more than one lease.
version_added: 0.1.0
author:
  - vmcluster.network contributors (@vmcluster)
options:
  path:
    description: File of the register. It is made when it is missing.
    type: path
    default: /var/lib/vmcluster/leases.sqlite
  pools:
    description:
      - Pools to define, or to define otherwise. Pools of the register that are not listed stay as they are.
      - An address can be in one pool of a register only.
      - Leases stay when their pool does not have their address any more. They are returned with RV(leases[].outside),
        and a warning names them; a released address that is outside is not leased again.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the pool, unique in the register.
        type: str
        required: true
      prefix:
        description: The prefix all its addresses are in, for example V(203.0.113.0/24).
        type: str
        required: true
      ranges:
        description:
          - What may be leased, each an address, V(first-last), or a prefix, all of it taken as written.
          - Without any, the whole prefix, for IPv4 less network and broadcast address (not of a /31 or /32), for IPv6
            less the first address, which is the subnet-router anycast address (not of a /127 or /128).
        type: list
        elements: str
        default: []
      exclude:
        description: What may not be leased, written like O(pools[].ranges).
        type: list
        elements: str
        default: []
  leases:
    description: Leases to have or to release.
    type: list
    elements: dict
    default: []
    suboptions:
      owner:
        description: Who has the address, for example V(alpha/web1). An owner has one lease in a pool.
        type: str
        required: true
      pool:
        description:
          - Name of the pool. It may have been defined by an earlier call.
          - With O(leases[].state=absent) none means all leases of the owner.
        type: str
      address:
        description:
          - The address to lease. It fails when the owner has another one, or another owner has this one.
          - With O(leases[].state=absent), it fails when the lease is of another address.
        type: str
      holder:
        description:
          - The node the address is used on. It is kept with the lease; a lease without holder gets it.
          - It fails when the lease has another holder, since one VM can't be attached in two places, unless
            O(leases[].other_holder) says otherwise.
          - With O(leases[].state=absent), it fails when the lease has another holder or none.
          - None leaves the holder as it is.
        type: str
      other_holder:
        description: As O(other_holder), for this lease.
        type: str
        choices: [refuse, keep, move]
      state:
        description: V(present) leases an address, V(absent) releases it; nothing to release is fine.
        type: str
        choices: [present, absent]
        default: present
  other_holder:
    description:
      - What is done when a lease has another holder than the one asked with.
      - V(refuse) fails, V(keep) leaves the lease where it is and returns its holder, V(move) gives it the new one.
    type: str
    choices: [refuse, keep, move]
    default: refuse
attributes:
  check_mode:
    description: Predicts the leases, and changes nothing.
    support: full
  diff_mode:
    description: Shows pools that change, leases that come and go, and changes of holders.
    support: full
seealso:
  - module: vmcluster.network.ip_pool_info
"""

EXAMPLES = r"""
- name: VM web1 has an IPv4 and an IPv6 address
  vmcluster.network.ip_pool_alloc:
    pools:
      - name: public4
        prefix: 203.0.113.0/24
        ranges: [203.0.113.10-203.0.113.200]
        exclude: [203.0.113.50]
      - name: public6
        prefix: 2001:db8:1::/64
    leases:
      - {owner: alpha/web1, pool: public4, holder: node1}
      - {owner: alpha/web1, pool: public6, holder: node1}
  delegate_to: rr1
  register: leased

- name: VM mail has the address that its name points to
  vmcluster.network.ip_pool_alloc:
    leases:
      - owner: alpha/mail
        pool: public4
        address: 203.0.113.25
  delegate_to: rr1

- name: VM web1 is on node2 now
  vmcluster.network.ip_pool_alloc:
    leases:
      - {owner: alpha/web1, pool: public4, holder: node2, other_holder: move}
      - {owner: alpha/web1, pool: public6, holder: node2, other_holder: move}
  delegate_to: rr1

- name: VM web1 is gone, if it was on node2
  vmcluster.network.ip_pool_alloc:
    leases:
      - owner: alpha/web1
        holder: node2
        state: absent
  delegate_to: rr1
"""

RETURN = r"""
leases:
  description:
    - What became of O(leases), in the same order. An entry that released all leases of an owner gives one entry for
      each of them; an entry that had nothing to release gives one without address.
  returned: success
  type: list
  elements: dict
  contains:
    owner:
      description: Who has the address, or had it.
      type: str
      returned: success
    pool:
      description: Name of the pool; null where all leases of an owner without leases were released.
      type: str
      returned: success
    address:
      description: The address that is leased, or was; null where there was nothing to release.
      type: str
      returned: success
    family:
      description: 4 or 6; null without address.
      type: int
      returned: success
    holder:
      description: The node the address is used on; null when nobody told.
      type: str
      returned: success
    new:
      description: Whether this call leased the address.
      type: bool
      returned: success
    outside:
      description: Whether the pool, as it is defined now, would not lease this address any more.
      type: bool
      returned: success
    state:
      description: V(present) or V(absent).
      type: str
      returned: success
  sample:
    - owner: alpha/web1
      pool: public4
      address: 203.0.113.10
      family: 4
      holder: node1
      new: true
      outside: false
      state: present
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["lease alpha/web1: is new"]
mistakes:
  description: Why nothing was changed, one line for each reason.
  returned: failure
  type: list
  elements: str
  sample:
    - "leases[0] (alpha/web1, pool public4): pool public4 is full: size 190, in use 190, new ones asked for 1; release
      leases or widen the pool"
"""

import contextlib
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import PoolError
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import answer_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import open_register
from ansible_collections.vmcluster.network.plugins.module_utils.plan import diff_of, reasons_of

OTHER_HOLDER = ["refuse", "keep", "move"]

ARGUMENT_SPEC = {
    "path": {"type": "path", "default": "/var/lib/vmcluster/leases.sqlite"},
    "pools": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "prefix": {"type": "str", "required": True},
            "ranges": {"type": "list", "elements": "str", "default": []},
            "exclude": {"type": "list", "elements": "str", "default": []},
        },
    },
    "leases": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "owner": {"type": "str", "required": True},
            "pool": {"type": "str"},
            "address": {"type": "str"},
            "holder": {"type": "str"},
            "other_holder": {"type": "str", "choices": OTHER_HOLDER},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "other_holder": {"type": "str", "choices": OTHER_HOLDER, "default": "refuse"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    options = module.params
    try:
        request = read_request(options["pools"], options["leases"], options["other_holder"])
        with contextlib.closing(open_register(options["path"], check=module.check_mode)) as register:
            outcome = answer_request(register, request, now=int(time.time()), keep=not module.check_mode)
    except PoolError as error:
        module.fail_json(msg=str(error), mistakes=list(error.mistakes))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        changed=bool(outcome.steps),
        leases=list(outcome.answers),
        actions=reasons_of(outcome.steps),
        diff=diff_of(outcome.steps),
    )


if __name__ == "__main__":
    main()
