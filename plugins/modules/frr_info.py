#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_info
short_description: What a host has of FRR
version_added: 0.1.0
description:
  - Tells in one call whether FRR is installed, enabled and running, in which version and with which daemons. Changes
    nothing, and does not mind a host without FRR.
options:
  packages:
    description:
      - Names of packages to look for.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_neighbor_info
"""

EXAMPLES = r"""
- name: What is here of FRR is known
  vmcluster.network.frr_info:
    packages: [frr]
  register: found
"""

RETURN = r"""
installed:
  description: Whether FRR's shell, C(vtysh), is here.
  returned: always
  type: bool
  sample: true
missing_packages:
  description: Those of O(packages) that neither C(dpkg) nor C(rpm) knows as installed by this very name.
  returned: always
  type: list
  elements: str
  sample: []
enabled:
  description: Whether the unit C(frr) starts at boot.
  returned: always
  type: bool
  sample: true
active:
  description: Whether the unit C(frr) runs.
  returned: always
  type: bool
  sample: true
daemons_file:
  description: Content of C(/etc/frr/daemons); empty when there is none.
  returned: always
  type: str
  sample: "bgpd=yes\n"
turns_forwarding_off:
  description: Whether the saved configuration makes FRR turn the kernel's forwarding off when it starts.
  returned: always
  type: bool
  sample: false
version:
  description: Version that runs; empty when none does.
  returned: always
  type: str
  sample: 8.4.4
daemons:
  description: Daemons that answer.
  returned: always
  type: list
  elements: str
  sample: [bfdd, bgpd, staticd, watchfrr, zebra]
integrated_config:
  description: Whether FRR saves its whole configuration in one file, C(/etc/frr/frr.conf).
  returned: always
  type: bool
  sample: true
"""

import re
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

DAEMONS_FILE = "/etc/frr/daemons"
SAVED_CONFIG = "/etc/frr/frr.conf"
ARGUMENTS: Dict[str, Any] = {"packages": {"type": "list", "elements": "str", "default": []}}
# What vtysh keeps for itself, such as where it saves, is shown with any daemon's configuration.
QUESTIONS = ("show version", "show running-config bfdd", "show daemons")


def read(module: AnsibleModule) -> Dict[str, Any]:
    """Return all that is told."""
    return {
        "changed": False,
        "installed": bool(module.get_bin_path("vtysh")),
        "missing_packages": find_missing(module, module.params["packages"]),
        "daemons_file": read_file(DAEMONS_FILE),
        "turns_forwarding_off": turns_forwarding_off(read_file(SAVED_CONFIG)),
        **read_unit(ask(module, "systemctl", "show", "frr", "--property=ActiveState,UnitFileState")),
        **read_answers(ask(module, "vtysh", *(word for question in QUESTIONS for word in ("-c", question)))),
    }


def find_missing(module: AnsibleModule, packages: List[str]) -> List[str]:
    """Return the packages that are not installed."""
    return [
        name for name in packages
        if ask(module, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name)[:2] != "ii"
        and not ask(module, "rpm", "-q", name)
    ]


def read_file(path: str) -> str:
    """Return the content of a file that need not be there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def turns_forwarding_off(saved: str) -> bool:
    """Tell whether a saved configuration has a statement that does so."""
    return any(line in ("no ip forwarding", "no ipv6 forwarding") for line in saved.splitlines())


def read_unit(shown: str) -> Dict[str, bool]:
    """Read what `systemctl show` printed."""
    lines = shown.splitlines()
    return {"active": "ActiveState=active" in lines, "enabled": "UnitFileState=enabled" in lines}


def read_answers(shown: str) -> Dict[str, Any]:
    """Read FRR's answers to QUESTIONS; none came when it does not run."""
    version = re.search(r"^FRRouting ([0-9][0-9.]*)", shown, re.MULTILINE)
    return {
        "version": version.group(1).rstrip(".") if version else "",
        "daemons": sorted(shown.rstrip().rpartition("\n")[2].split()) if version else [],
        "integrated_config": "no service integrated-vtysh-config" not in shown,
    }


def ask(module: AnsibleModule, program: str, *arguments: str) -> str:
    """Return what a program prints that changes nothing; nothing when it is not here or fails."""
    path = module.get_bin_path(program)
    code, output, _errors = module.run_command([path, *arguments]) if path else (1, "", "")
    return output if code == 0 else ""


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(**read(module))


if __name__ == "__main__":
    main()
