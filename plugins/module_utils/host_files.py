# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host's network configuration: ours by name, and the operator's, in which lines are set aside."""

from __future__ import annotations

from typing import Iterable, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan

HEADER = "# Made by vmcluster.network (host_network); changes here are lost."
MARK = "#vmcluster: "
CLOUD_INIT_PATH = "/etc/cloud/cloud.cfg.d/99-vmcluster-host-network.cfg"
SYSCTL_PATH = "/etc/sysctl.d/60-vmcluster-host-network.conf"


class File(NamedTuple):
    """A file's text and permissions."""

    text: str
    mode: int = 0o644


Files = Mapping[str, Optional[File]]
"""By path; None: there is no such file, or shall be none."""


class Commands(NamedTuple):
    """How a manager goes from one configuration to another: while the old files are there, and with the new ones."""

    leave: Tuple[Tuple[str, ...], ...] = ()
    enter: Tuple[Tuple[str, ...], ...] = ()


def render_sysctls(plan: HostPlan) -> "dict[str, File]":
    """Return the file of the plan's sysctls, if there are any."""
    if not plan.sysctls:
        return {}
    lines = [HEADER, *(f"{key} = {value}" for key, value in plan.sysctls.items())]
    return {SYSCTL_PATH: File(join(lines))}


def keep_from_cloud_init(files: Files) -> "dict[str, File]":
    """Return the file that leaves cloud-init no say in the network, where lines are set aside in a file of its own.

    Some sources of data let it write that anew at each boot, and what was set aside would count again.
    """
    theirs = [path for path, file in files.items() if "cloud-init" in path.rpartition("/")[2] and file is not None
              and any(line.startswith(MARK) for line in file.text.splitlines())]
    return {CLOUD_INIT_PATH: File(join([HEADER, "network: {config: disabled}"]))} if theirs else {}


def join(lines: Iterable[str]) -> str:
    """Return the text of these lines."""
    return "".join(line + "\n" for line in lines)


def set_aside(lines: Iterable[str], chosen: Iterable[int]) -> List[str]:
    """Return the lines with our mark before those that are chosen by number."""
    numbers = set(chosen)
    return [MARK + line if number in numbers else line for number, line in enumerate(lines)]


def bring_back(text: str) -> List[str]:
    """Return the lines of a text as they were before any was set aside."""
    return [line[len(MARK):] if line.startswith(MARK) else line for line in text.splitlines()]
