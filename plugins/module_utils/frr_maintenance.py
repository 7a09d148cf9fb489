# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node is out of service: FRR's own statements say so, which are saved and which no role writes; where
there is no FRR, a file of ours."""

from __future__ import annotations

import os

DRAINED, WITHDRAWN = "drained", "withdrawn"

# RFC 8326: all that is announced gets local preference 0 and the community GRACEFUL_SHUTDOWN.
GRACEFUL_SHUTDOWN = "bgp graceful-shutdown"
# RFC 9003: all sessions are closed, which neighbours take at its word (RFC 8538, hard reset): they keep no routes.
SHUTDOWN = "bgp shutdown"

MARK = "/var/lib/vmcluster/maintenance"
"""Of drained nodes of switching and routing clusters. Playbooks drain_node and undrain_node alone write it."""


def read_maintenance(running: str) -> str:
    """Return DRAINED, WITHDRAWN or an empty text, of a running configuration. Both statements stand in `router bgp`."""
    lines = set(running.splitlines())
    if f" {SHUTDOWN}" in lines:
        return WITHDRAWN
    return DRAINED if f" {GRACEFUL_SHUTDOWN}" in lines else ""


def read_mark(path: str = MARK) -> str:
    """Return DRAINED where the node has the mark, else an empty text."""
    return DRAINED if os.path.exists(path) else ""
