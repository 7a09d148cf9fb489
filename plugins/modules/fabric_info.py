#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_info
short_description: Sessions, VM interfaces and routes of a host of an IP fabric
version_added: 0.1.0
description:
  - Tells in one call what M(vmcluster.network.frr_neighbor_info), M(vmcluster.network.fabric_vm_iface_info) and
    M(vmcluster.network.frr_route_info) tell, so that a cluster is verified with one call per host. Changes nothing.
  - What cannot be told is named in RV(problems), and the rest is told. The module fails when nothing can be told.
options:
  ask:
    description:
      - What to tell.
    type: list
    elements: str
    choices: [sessions, interfaces, routes]
    required: true
  wait:
    description:
      - Wait up to so many seconds until all sessions are Established, but for those that are shut down. What is found
        then is told, whether they are or not; interfaces and routes are read afterwards.
    type: float
    default: 0
  within:
    description:
      - Tell of routes inside these prefixes; of all when absent.
    type: list
    elements: str
  kernel:
    description:
      - Whether the routes of zebra and the kernel are told too, and count for RV(usable).
    type: bool
    default: true
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.fabric_vm_iface_info
  - module: vmcluster.network.frr_neighbor_info
  - module: vmcluster.network.frr_route_info
"""

EXAMPLES = r"""
- name: Sessions and VMs of a node are known
  vmcluster.network.fabric_info:
    ask: [sessions, interfaces]
    wait: 30
  register: found

- name: Sessions and routes of a reflector are known
  vmcluster.network.fabric_info:
    ask: [sessions, routes]
    within: [203.0.113.0/24, "2001:db8:1::/64"]
    kernel: false
  register: found
"""

RETURN = r"""
sessions:
  description: As RV(vmcluster.network.frr_neighbor_info#module:sessions).
  returned: when asked for, and FRR answers
  type: list
  elements: dict
  sample: []
interfaces:
  description: As RV(vmcluster.network.fabric_vm_iface_info#module:interfaces).
  returned: when asked for
  type: list
  elements: dict
  sample: []
maintenance:
  description:
    - Whether playbook C(drain_node) has taken the node out of service. V(drained), all that it announces has local
      preference 0; V(withdrawn), its sessions are closed; else empty.
  returned: when interfaces are asked for
  type: str
  sample: ""
frr:
  description: Why FRR's routes to the VMs could not be read; empty when they could.
  returned: when interfaces are asked for
  type: str
  sample: ""
routes:
  description: As RV(vmcluster.network.frr_route_info#module:routes).
  returned: when asked for, and FRR answers
  type: list
  elements: dict
  sample: []
kernel:
  description: As RV(vmcluster.network.frr_route_info#module:kernel).
  returned: when routes are asked for with O(kernel), and FRR answers
  type: dict
  sample: {}
usable:
  description: Prefixes that have a usable BGP route, which the kernel has too if O(kernel).
  returned: when routes are asked for, and FRR answers
  type: list
  elements: str
  sample: [203.0.113.10/32]
problems:
  description: What could not be told, and why.
  returned: always
  type: dict
  sample: {}
"""

from typing import Any, Callable, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_ask, frr_state, iproute, vm_info, vtysh

ARGUMENTS: Dict[str, Any] = {
    "ask": {"type": "list", "elements": "str", "choices": ["sessions", "interfaces", "routes"], "required": True},
    "wait": {"type": "float", "default": 0},
    "within": {"type": "list", "elements": "str"},
    "kernel": {"type": "bool", "default": True},
}


def run(options: Dict[str, Any]) -> Dict[str, Any]:
    """Read, report."""
    questions: Dict[str, Callable[[], Dict[str, Any]]] = {
        "sessions": lambda: {"sessions": frr_ask.ask_sessions(wait=options["wait"])},
        "interfaces": lambda: vm_info.ask_interfaces(None),
        "routes": lambda: ask_routes(options),
    }
    result: Dict[str, Any] = {"changed": False, "problems": {}}
    for kind, ask in questions.items():
        try:
            result.update(ask() if kind in options["ask"] else {})
        except (iproute.ReadError, vtysh.FrrError, OSError) as error:
            result["problems"][kind] = str(error)
    return result


def ask_routes(options: Dict[str, Any]) -> Dict[str, Any]:
    """Return the routes inside the prefixes asked for, and which of them are of use."""
    found = frr_ask.ask_routes({**options, "prefixes": None, "vrf": None, "expect": None})
    return {**found, "usable": sorted(frr_state.usable_prefixes(found["routes"], found.get("kernel")))}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params)
    except ValueError as error:
        module.fail_json(msg=str(error))
    if result["problems"] and set(result["problems"]) == set(module.params["ask"]):
        module.fail_json(msg="\n".join(dict.fromkeys(result["problems"].values())), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
