# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a host has of FRR; nothing changes, and a host without FRR is a host that has nothing of it."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

DAEMONS_FILE = "/etc/frr/daemons"
STOP_ORDER_FILE = "/etc/systemd/system/frr.service.d/vmcluster.conf"
SAVED_CONFIG = "/etc/frr/frr.conf"
OS_RELEASE = "/etc/os-release"
PID_FILES = "/run/frr/*.pid"
# How packages are named and installed, by os-release's ID and ID_LIKE.
FAMILIES = {"debian": ("debian", "ubuntu"), "redhat": ("rhel", "fedora", "centos")}
# What vtysh keeps for itself, such as where it saves, is shown with any daemon's configuration.
QUESTIONS = ("show version", "show running-config bfdd", "show daemons")


def read_host(module: AnsibleModule, packages: List[str]) -> Dict[str, Any]:
    """Return what frr_info tells of a host."""
    return {
        "system": read_system(read_file(OS_RELEASE)),
        "installed": bool(module.get_bin_path("vtysh")),
        "missing_packages": find_missing(module, packages),
        "daemons_file": read_file(DAEMONS_FILE),
        "stop_order_file": read_file(STOP_ORDER_FILE),
        "turns_forwarding_off": turns_forwarding_off(read_file(SAVED_CONFIG)),
        "outdated": find_outdated(PID_FILES),
        **read_unit(ask(module, "systemctl", "show", "frr", "--property=ActiveState,UnitFileState")),
        **read_answers(ask(module, "vtysh", *(word for question in QUESTIONS for word in ("-c", question)))),
    }


def read_system(text: str) -> Dict[str, str]:
    """Return what the operating system is: `id`, `major`, `codename` and `family`, of os-release(5)."""
    told = dict(re.findall(r"^([A-Z_]+)=[\"']?(.*?)[\"']?$", text, re.MULTILINE))
    kinship = [told.get("ID", ""), *told.get("ID_LIKE", "").split()]
    family = next((family for family, names in FAMILIES.items() if any(name in names for name in kinship)), "")
    return {"id": told.get("ID", ""), "major": told.get("VERSION_ID", "").partition(".")[0],
            "codename": told.get("VERSION_CODENAME", ""), "family": family}


def find_missing(module: AnsibleModule, packages: List[str]) -> List[str]:
    """Return the packages that are not installed."""
    return [
        name for name in packages
        if ask(module, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name)[:2] != "ii"
        and not ask(module, "rpm", "-q", name)
    ]


def find_outdated(pid_files: str, processes: str = "/proc") -> List[str]:
    """Return the daemons whose file was replaced since they started, which an upgrade of the package does."""
    found = []
    for path in sorted(glob.glob(pid_files)):
        try:
            program = os.readlink(os.path.join(processes, read_file(path).strip(), "exe"))
        except OSError:
            continue  # it does not run any more
        if program.endswith(" (deleted)"):  # proc(5)
            found.append(os.path.basename(path)[: -len(".pid")])
    return found


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
