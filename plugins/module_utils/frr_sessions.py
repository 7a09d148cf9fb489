# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the sessions that were asked for are Established, or say why they are not."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils import frr_state, vtysh

POLL = 0.3  # seconds between looks at sessions


def count_md5_failures() -> Mapping[str, int]:
    """Return the kernel's counters of packets with a wrong password, or none."""
    with open("/proc/net/netstat", encoding="ascii") as stream:
        return frr_state.read_md5_failures(stream.read())


def wait_for_sessions(options: Mapping[str, Any], failures: Mapping[str, int]) -> List[Dict[str, Any]]:
    """Wait, at most options.wait seconds, until the listed sessions are Established; return them.

    failures: count_md5_failures from before the change. Raises vtysh.FrrError with what FRR says of the sessions that
    are not up.
    """
    command = f"show bgp{frr_state.in_vrf(options['vrf'])} neighbors json"
    groups = frr_state.waited_for(options)
    end = time.monotonic() + options["wait"]
    while True:
        sessions = frr_state.read_sessions(vtysh.show_json(command))
        waiting = [frr_state.not_established(sessions, group) for group in groups]
        if not any(waiting):
            break
        if options["wait_for"] == "any" and all(len(down) < len(group) for down, group in zip(waiting, groups)):
            break
        if time.monotonic() > end:
            raise vtysh.FrrError(
                _complaint(options, sessions, [address for down in waiting for address in down], failures)
            )
        time.sleep(POLL)
    listed = {address for group in groups for address in group}
    return [session for session in sessions if session["address"] in listed]


def _complaint(
        options: Mapping[str, Any], sessions: Sequence[Mapping[str, Any]], down: Sequence[str],
        failures: Mapping[str, int]) -> str:
    known = {session["address"]: session for session in sessions}
    lines = [f"{len(down)} of the listed sessions are not Established after {options['wait']} s:"]
    for address in down[:20]:
        version = "ipv6" if ":" in address else "ip"
        route = vtysh.show_json(f"show {version} route{frr_state.in_vrf(options['vrf'])} {address} json")
        lines.append(frr_state.describe_session(address, known.get(address), frr_state.has_own_route(route)))
    if len(down) > 20:
        lines.append(f"and {len(down) - 20} more")
    lines += frr_state.describe_md5(failures, count_md5_failures())
    return "\n".join(lines)
