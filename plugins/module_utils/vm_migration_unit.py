# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent of a migration as a program on a node: its files, its unit, and the plan that installs them."""

from __future__ import annotations

import inspect
from typing import Dict, List, Mapping, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import (
    vm_migration_agent,
    vm_migration_end,
    vm_migration_kernel,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step

LIBRARY = "/usr/local/lib/vmcluster"
SCRIPT_PATH = "/usr/local/sbin/vmcluster-migration"
UNIT_PATH = "/etc/systemd/system/vmcluster-migration@.service"

# Agents outlive a controller that was killed: they end by themselves. One that fails goes on from its state.
UNIT = f"""\
# Installed by the Ansible module vmcluster.network.fabric_vm_migration; changes here are lost.
[Unit]
Description=Cut-over of VM interface %i, which migrates (vmcluster.network)
After=frr.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={SCRIPT_PATH} run %i
Restart=on-failure
RestartSec=1
TimeoutStartSec=60
TimeoutStopSec=10
"""

SCRIPT = f"""\
# Installed by the Ansible module vmcluster.network.fabric_vm_migration; changes here are lost.
import sys
sys.path.insert(0, "{LIBRARY}")
from {vm_migration_agent.__name__} import main
main(sys.argv[1:])
"""


def unit_of(interface: str) -> str:
    """Return the name of an interface's unit."""
    return f"vmcluster-migration@{interface}.service"


def agent_files(python: str) -> Dict[str, str]:
    """Return path and text of every file that a node needs; python: its interpreter, 3.8 or later.

    The agent is made of this collection's own modules, which know no Ansible and stand below LIBRARY by their names.
    """
    files = {f"{LIBRARY}/{module.__name__.replace('.', '/')}.py": inspect.getsource(module)
             for module in (vm_migration_kernel, vm_migration_end, vm_migration_agent)}
    return {**files, SCRIPT_PATH: f"#!{python} -IS\n{SCRIPT}", UNIT_PATH: UNIT}


def plan_agent(there: Mapping[str, Optional[str]], python: str) -> Tuple[Step, ...]:
    """Return the steps that install the agent. there: what the node has of its files, by path, None for none.

    A step's commands begin with `write PATH TEXT` or `reload`.
    """
    steps: List[Step] = []
    for path, text in agent_files(python).items():
        found = there.get(path)
        if found != text:
            why = "VMs cannot migrate without it" if found is None else "is of another version"
            commands = (f"write {path} {text}", *(("reload",) if path == UNIT_PATH else ()))
            steps.append(Step(why, f"file {path}", (found and "another version",) if found else (),
                              (f"{len(text.splitlines())} lines",), commands))
    return tuple(steps)
