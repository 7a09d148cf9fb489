# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node is out of service: FRR's own statements say so, which are saved and which no role writes."""

from __future__ import annotations

DRAINED, WITHDRAWN = "drained", "withdrawn"

# RFC 8326: all that is announced gets local preference 0 and the community GRACEFUL_SHUTDOWN.
GRACEFUL_SHUTDOWN = "bgp graceful-shutdown"
# RFC 9003: all sessions are closed, which neighbours take at its word (RFC 8538, hard reset): they keep no routes.
SHUTDOWN = "bgp shutdown"


def read_maintenance(running: str) -> str:
    """Return DRAINED, WITHDRAWN or an empty text, of a running configuration. Both statements stand in `router bgp`."""
    lines = set(running.splitlines())
    if f" {SHUTDOWN}" in lines:
        return WITHDRAWN
    return DRAINED if f" {GRACEFUL_SHUTDOWN}" in lines else ""
