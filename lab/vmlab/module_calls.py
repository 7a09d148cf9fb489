# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Call a module of the collection on hosts of a lab, without a playbook, and read its results."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import LabError
from .lab import Lab
from .playbooks import playbook_environment
from .state import CHECKOUT

# The callback that prints a run's results as JSON.
AS_JSON = {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
_VARIABLES = {"ansible_connection": "lab_host", "ansible_python_interpreter": "/usr/bin/python3", "lab_timeout": 300}


class ModuleCalls:
    """Calls of modules against hosts of a lab. hosts: their variables, for templates in options; folder: for files."""

    def __init__(self, lab: Lab, folder: Path, hosts: Mapping[str, Mapping[str, Any]]) -> None:
        self.lab = lab
        self.folder = folder
        self.hosts = hosts
        self.inventory = folder / "hosts.json"
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": _VARIABLES}}))

    def start(
        self, hosts: str, module: str, options: Mapping[str, Any], *flags: str, **environment: str
    ) -> subprocess.Popen[str]:
        """Start a call on hosts (a pattern); what a caller may want to watch or to kill."""
        variables = self.folder / f"asked{random.getrandbits(48)}.json"
        variables.write_text(json.dumps({"asked": options}))
        arguments = " ".join(f"{key}={{{{ asked.{key} }}}}" for key in options)
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible"), hosts, "-i", str(self.inventory), "-m",
             f"vmcluster.network.{module}", "-e", f"@{variables}", "-a", arguments, *flags],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env={**playbook_environment(self.lab.name), **AS_JSON, **environment})

    def module(
        self, name: str, options: Mapping[str, Any], *flags: str, hosts: str = "all", failed: bool = False
    ) -> dict[str, dict[str, Any]]:
        """Call a module on hosts at once; the result by host. Every host must fail if `failed`, else none."""
        results = read_results(self.start(hosts, name, options, *flags))
        wanted = set(self.hosts if hosts == "all" else hosts.split(","))
        wrong = {host for host, result in results.items() if bool(result.get("failed")) is not failed}
        if set(results) != wanted or wrong:
            raise LabError(f"{name} on {hosts}: {'did not fail' if failed else 'failed'} on {sorted(wrong)}: {results}")
        return results


def read_results(process: subprocess.Popen[str]) -> dict[str, dict[str, Any]]:
    """Wait for a call that `start` began; return its results by host."""
    output, errors = process.communicate(timeout=300)
    if not output.startswith("{"):
        raise LabError(output + errors)
    results: dict[str, dict[str, Any]] = json.loads(output)["plays"][0]["tasks"][0]["hosts"]
    return results
