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
system:
  description:
    - The operating system, as C(/etc/os-release) has it, with C(id), C(major) (of its version), C(codename) and
      C(family), which is V(debian), V(redhat) or empty.
  returned: always
  type: dict
  sample: {"id": "debian", "major": "12", "codename": "bookworm", "family": "debian"}
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
stop_order_file:
  description:
    - Content of the drop-in by which M(vmcluster.network.frr_daemons) has zebra stopped first; empty without one.
  returned: always
  type: str
  sample: ""
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
outdated:
  description: Daemons that run from a file that is replaced by now, as after an upgrade of the package.
  returned: always
  type: list
  elements: str
  sample: []
integrated_config:
  description: Whether FRR saves its whole configuration in one file, C(/etc/frr/frr.conf).
  returned: always
  type: bool
  sample: true
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_host

ARGUMENTS: Dict[str, Any] = {"packages": {"type": "list", "elements": "str", "default": []}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(changed=False, **frr_host.read_host(module, module.params["packages"]))


if __name__ == "__main__":
    main()
