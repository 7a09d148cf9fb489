#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_daemons
short_description: FRR runs the daemons that are needed, now and after a boot
version_added: 0.1.0
description:
  - Enables daemons in C(/etc/frr/daemons), in a block of its own, enables and starts the unit C(frr), and starts
    daemons that do not run, without touching those that do. An FRR without any routing protocol, as it is right after
    its installation, is restarted whole instead, so that zebra gets its options.
  - Installs nothing. In check mode it is also the question what a host has of FRR, and what it lacks.
options:
  packages:
    description:
      - Names of packages to look for, see RV(found).
    type: list
    elements: str
    default: []
  daemons:
    description:
      - Daemons to enable. None is ever disabled.
    type: list
    elements: str
    default: [bgpd, bfdd]
  zebra_options:
    description:
      - Added to the operator's own C(zebra_options). They take effect when zebra starts next.
      - With C(-r) among them, the unit C(frr) also gets a drop-in by which zebra ends before the other daemons, as it
        takes the routes of those that end before it out of the kernel.
    type: str
    default: ""
  minimum_version:
    description:
      - An older FRR that runs is a mistake, see RV(mistakes).
    type: str
    default: "8.4"
attributes:
  check_mode:
    description: Predicts, and changes nothing; also on a host without FRR.
    support: full
  diff_mode:
    description: Shows the block in C(/etc/frr/daemons), and what is started.
    support: full
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_info
"""

EXAMPLES = r"""
- name: FRR runs BGP and BFD
  vmcluster.network.frr_daemons:
    daemons: [bgpd, bfdd]
    zebra_options: "-r -K 60"
"""

RETURN = r"""
actions:
  description: What is done and why, one line each.
  returned: always
  type: list
  elements: str
  sample: ["daemon bfdd: does not run"]
mistakes:
  description: Why the FRR that runs cannot be used. Outside check mode they are a failure.
  returned: always
  type: list
  elements: str
  sample: []
found:
  description: What M(vmcluster.network.frr_info) tells of the host, after what was done.
  returned: always
  type: dict
  sample: {"version": "8.4.4", "daemons": ["bfdd", "bgpd", "staticd", "watchfrr", "zebra"]}
"""

from typing import Any, Dict, List, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import apply, frr_daemons, frr_daemons_apply, frr_host
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of

NOT_INSTALLED = "FRR is not installed on this host: install it, role vmcluster.network.frr does so"
ARGUMENTS: Dict[str, Any] = {
    "packages": {"type": "list", "elements": "str", "default": []},
    "daemons": {"type": "list", "elements": "str", "default": ["bgpd", "bfdd"]},
    "zebra_options": {"type": "str", "default": ""},
    "minimum_version": {"type": "str", "default": "8.4"},
}


def run(module: AnsibleModule) -> Dict[str, Any]:
    """Read, plan, apply, report."""
    options = module.params
    wanted = frr_daemons.Wanted(tuple(options["daemons"]), options["zebra_options"], options["minimum_version"])
    told = frr_host.read_host(module, options["packages"])
    found = read_found(told)
    text, steps = frr_daemons.plan_steps(found, wanted)
    mistakes = frr_daemons.check_frr(found, wanted)
    if steps and not module.check_mode:
        refuse(mistakes if told["installed"] else [NOT_INSTALLED])
        apply_steps(text, steps)
        frr_daemons_apply.wait_for_daemons(wanted.daemons)
        told = frr_host.read_host(module, options["packages"])
        mistakes = frr_daemons.check_frr(read_found(told), wanted)
    if not module.check_mode:
        refuse(mistakes)
    return {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps), "mistakes": mistakes,
            "found": told}


def read_found(told: Mapping[str, Any]) -> frr_daemons.Found:
    """Return what the planners need of what a host told."""
    return frr_daemons.Found(told["daemons_file"], told["active"], told["enabled"], told["version"],
                             frozenset(told["daemons"]), told["integrated_config"], told["stop_order_file"])


def refuse(mistakes: List[str]) -> None:
    """Raise ApplyError when there are mistakes."""
    if mistakes:
        raise apply.ApplyError("; ".join(mistakes))


def apply_steps(text: str, steps: Sequence[Step]) -> None:
    """Write the file of daemons, enable and start the unit, start daemons."""
    for step in steps:
        if step.thing == frr_host.DAEMONS_FILE:
            apply.write_file(step.thing, text, None)
        elif step.thing == frr_host.STOP_ORDER_FILE:
            frr_daemons_apply.set_stop_order(*step.commands)
        elif step.commands == (frr_daemons.RESTART,):
            frr_daemons_apply.restart_frr()
        elif step.commands == (frr_daemons.START,):
            frr_daemons_apply.start_daemons()
        else:
            apply.run_command(step.commands)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except (apply.ApplyError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
