# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What there is in a lab, as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

from .lab import Lab


def list_hosts(lab: Lab) -> list[dict[str, Any]]:
    """Each host with its phase, its system, how often it booted, and its addresses."""
    return [
        {
            "name": host.name,
            "phase": record.actual_phase,
            "system": host.system,
            "boots": record.boots,
            "addresses": host.addresses(),
            "message": record.message,
        }
        for host in lab.topology.hosts.values()
        for record in [lab.host_record(host.name)]
    ]


def list_guests(lab: Lab) -> list[dict[str, Any]]:
    """Each guest with its phase, where it is attached, and its addresses."""
    return [
        {
            "name": guest.vm,
            "phase": guest.phase if guest.is_running() else "off",
            "node": guest.node,
            "interface": guest.interface,
            "addresses": list(guest.addresses),
            "message": guest.message,
        }
        for guest in lab.guests()
    ]


def format_json(lab: Lab) -> str:
    """The status for programs."""
    return json.dumps({"lab": lab.name, "hosts": list_hosts(lab), "guests": list_guests(lab)}, indent=2)


def format_text(lab: Lab) -> str:
    """The status for people: one line per host, then one per guest."""
    rows = [(host, host["system"]) for host in list_hosts(lab)]
    rows += [(guest, f"{guest['node']}:{guest['interface']}") for guest in list_guests(lab)]
    lines = [f"lab {lab.name}"]
    for row, place in rows:
        said = " ".join((*row["addresses"], row["message"]))
        lines.append(f"  {row['name']:12} {row['phase']:9} {place:20} {said}".rstrip())
    return "\n".join(lines)
