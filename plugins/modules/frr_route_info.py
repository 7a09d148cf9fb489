#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_route_info
short_description: BGP routes of a running FRR, and what of them the kernel has
version_added: 0.1.0
description:
  - Tells BGP routes with all their paths, and the routes that FRR's zebra holds and has put into the kernel for the
    same prefixes. Changes nothing.
  - One call tells all routes; ten thousand take a few seconds.
options:
  prefixes:
    description:
      - Tell of these prefixes exactly. Together with O(within), of both; when neither is given, of all.
    type: list
    elements: str
  within:
    description:
      - Tell of all prefixes inside these.
    type: list
    elements: str
  kernel:
    description:
      - Whether the routes of zebra and the kernel are told too.
    type: bool
    default: true
  vrf:
    description:
      - VRF; the default one when absent.
    type: str
  expect:
    description:
      - With V(present), every one of O(prefixes) is to have a usable route, which the kernel has too if O(kernel).
        With V(absent), none of them is to have one. RV(unexpected) tells those for which it is otherwise.
    type: str
    choices: [present, absent]
  next_hops:
    description:
      - With O(expect=present), a route counts only when the next hop of its best path is one of these.
    type: list
    elements: str
  wait:
    description:
      - Wait up to so many seconds until it is as O(expect) says. What is found then is told either way.
    type: float
    default: 0
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_neighbor_info
"""

EXAMPLES = r"""
- name: Routes of the cluster's pools are known
  vmcluster.network.frr_route_info:
    within: ["203.0.113.0/24", "2001:db8:1::/64"]
  register: pools

- name: Where one VM is
  vmcluster.network.frr_route_info:
    prefixes: [203.0.113.10/32]
"""

RETURN = r"""
routes:
  description: BGP's routes, sorted by prefix.
  returned: always
  type: list
  elements: dict
  contains:
    prefix:
      description: The prefix.
      type: str
      sample: 203.0.113.10/32
    next_hop:
      description: Next hop of the best path; C(0.0.0.0) or C(::) for an own route; null when no path is usable.
      type: str
      sample: 10.20.0.11
    paths:
      description:
        - All paths, each with C(best), C(valid), C(next_hop), C(next_hops), C(communities), C(large_communities),
          C(local_preference), C(metric), C(weight), C(as_path), C(origin), C(from) (address of the neighbour it came
          from), C(originator) and C(cluster_list) (RFC 4456), and C(tag).
      type: list
      elements: dict
      sample: []
unexpected:
  description: Those of O(prefixes) for which it is not as O(expect) says.
  returned: when O(expect) is given
  type: list
  elements: str
  sample: []
kernel:
  description:
    - By prefix, the routes zebra has, each with C(protocol), C(selected), C(installed) (in the kernel), C(distance),
      C(metric), C(tag) and C(next_hops), each of these with C(address), C(interface), C(active), C(discard). Every
      route inside O(prefixes) and O(within), of every protocol.
  returned: when O(kernel)
  type: dict
  sample: {}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_ask, vtysh

ARGUMENTS: Dict[str, Any] = {
    "prefixes": {"type": "list", "elements": "str"},
    "within": {"type": "list", "elements": "str"},
    "kernel": {"type": "bool", "default": True},
    "vrf": {"type": "str"},
    "expect": {"type": "str", "choices": ["present", "absent"]},
    "next_hops": {"type": "list", "elements": "str"},
    "wait": {"type": "float", "default": 0},
}


def run(options: Dict[str, Any]) -> Dict[str, Any]:
    """Read, report."""
    return {"changed": False, **frr_ask.ask_routes(options, options["wait"])}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params))
    except (vtysh.FrrError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
