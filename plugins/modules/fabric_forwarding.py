#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_forwarding
short_description: A host that can be a node of an IP fabric, or of a routing cluster, routes
version_added: 0.1.0
description:
  - Looks at the host's interfaces first. A bridge with a VM's port, an uplink that is missing or takes no VM's packet,
    and no way to the reflectors are refused, all together, before anything is changed.
  - Then the kernel forwards, now and after a boot (C(/etc/sysctl.d/90-vmcluster-forwarding.conf)). An interface that
    has its default route by router advertisement keeps it; O(uplink) keeps listening if it does. A loose C(rp_filter)
    of C(all) becomes none, as it would overrule the strict one of VM interfaces.
options:
  reflectors:
    description:
      - Addresses of route reflectors. The uplink is the interface that leads to the first of them, and there must be a
        way to each.
    type: list
    elements: str
    required: true
  uplink:
    description:
      - Interface that leads to the reflectors and the core gateway, when it is not the one found.
    type: str
    default: ""
  mtu:
    description:
      - MTU of VM interfaces; the uplink's must not be smaller.
    type: int
    default: 1500
  proxy_arp:
    description: Whether the uplink answers ARP requests for addresses that the node routes elsewhere, as to its VMs.
    type: bool
    default: false
  proxy_ndp:
    description: Whether the uplink answers neighbour solicitations for addresses that it has been given for that.
    type: bool
    default: false
attributes:
  check_mode:
    description: Predicts, and changes nothing.
    support: full
  diff_mode:
    description: Shows the lines of the file, and the kernel's values.
    support: full
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.fabric_vm_iface
"""

EXAMPLES = r"""
- name: The node routes
  vmcluster.network.fabric_forwarding:
    reflectors: [10.20.0.21, "fd20::21"]
    mtu: 1500
"""

RETURN = r"""
uplink:
  description: Interface that leads to the reflectors.
  returned: success
  type: str
  sample: eth0
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["kernel: does not route as a node does"]
mistakes:
  description: Why the host cannot be a node.
  returned: when it cannot
  type: list
  elements: str
  sample: ["bridge vmbr0 has the VM port vnet0. …"]
"""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import apply, forwarding, iproute
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of

ARGUMENTS: Dict[str, Any] = {
    "reflectors": {"type": "list", "elements": "str", "required": True},
    "uplink": {"type": "str", "default": ""},
    "mtu": {"type": "int", "default": 1500},
    "proxy_arp": {"type": "bool", "default": False},
    "proxy_ndp": {"type": "bool", "default": False},
}


def run(options: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Read, plan, apply, report."""
    ways, mistakes = read_ways(options["reflectors"])
    links = forwarding.read_links(iproute.read_ip("-d", "link", "show"))
    uplink = options["uplink"] or next(iter(ways), "")
    mistakes += forwarding.check_host(links, uplink, options["mtu"]) if uplink else []
    if mistakes:
        listed = "\n".join(f"- {mistake}" for mistake in mistakes)
        return {"failed": True, "mistakes": mistakes, "changed": False,
                "msg": f"This host cannot be a node of the cluster, and nothing was changed:\n{listed}"}
    heard = forwarding.read_routers_heard(iproute.read_ip("-6", "route", "show", "table", "all", "proto", "ra"))
    paths = forwarding.sysctl_paths(uplink, heard, [name for name in forwarding.PROXIES if options[name]])
    steps = forwarding.plan_forwarding(
        read_sysctls(paths), read_file(forwarding.SYSCTL_FILE), read_file(forwarding.FORMER_FILE))
    if not check_mode:
        apply_steps(steps)
    return {"changed": bool(steps), "uplink": uplink, "actions": reasons_of(steps), "diff": diff_of(steps)}


def read_ways(reflectors: Sequence[str]) -> Tuple[List[str], List[str]]:
    """Return the interfaces that lead to the reflectors, and those reflectors that none leads to, as mistakes."""
    ways, mistakes = [], []
    for address in reflectors:
        try:
            ways += [route["dev"] for route in iproute.read_ip("route", "get", address)]
        except iproute.ReadError as error:
            mistakes.append(f"there is no way to reflector {address} ({error}): give the host a route to it")
    return ways, mistakes


def read_sysctls(paths: Iterable[str]) -> Dict[str, str]:
    """Return the values of sysctls that this kernel has."""
    values = {path: read_file(f"/proc/sys/{path}") for path in paths}
    return {path: value.strip() for path, value in values.items() if value is not None}


def read_file(path: str) -> Optional[str]:
    """Return the content of a file, None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def apply_steps(steps: Iterable[Step]) -> None:
    """Write the file, remove the one of its former name, then set the kernel's values in their order."""
    for step in steps:
        for command in step.commands:
            if step.thing == forwarding.SYSCTL_FILE:
                apply.write_file(step.thing, command)
            elif step.thing == forwarding.FORMER_FILE:
                apply.remove_file(step.thing)
            else:
                apply.write_sysctl(*command.split(" "))


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except (apply.ApplyError, iproute.ReadError, OSError) as error:
        module.fail_json(msg=str(error))
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
