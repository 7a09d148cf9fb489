# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations that are under way on a node, as its agents' records and states say."""

from __future__ import annotations

import os
import socket
from typing import Any, Dict, List, Mapping, NamedTuple

from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_end import RUN_FOLDER, Files


class Under(NamedTuple):
    """A migration that is under way on the node: its record, its state, whether its agent runs."""

    record: Mapping[str, Any]
    state: Mapping[str, Any]
    runs: bool


def read_under_way(folder: str = RUN_FOLDER) -> Dict[str, Under]:
    """Return the migrations that are under way on the node, by interface."""
    try:
        names = sorted(name[:-5] for name in os.listdir(folder) if name.endswith(".json"))
    except FileNotFoundError:
        return {}
    found = {}
    for name in names:
        files = Files(name, folder)
        try:
            found[name] = Under(files.read_record(), files.read_state(), runs=agent_runs(name, folder))
        except (OSError, ValueError):
            continue  # it ended just now
    return found


def agent_runs(interface: str, folder: str) -> bool:
    """Tell whether the interface's agent runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        return link.connect_ex(Files(interface, folder).socket_path) == 0


def describe_under_way(under: Mapping[str, Under]) -> List[Dict[str, Any]]:
    """Return what is told of the migrations that are under way on a node."""
    return [{"interface": name, **{key: each.record[key] for key in ("vm", "nic", "role", "other")},
             "state": each.state.get("state", "armed"), "runs": each.runs} for name, each in sorted(under.items())]
