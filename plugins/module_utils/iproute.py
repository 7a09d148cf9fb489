# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ip` says of a host's network; nothing changes."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Dict, List, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply

READ_TIMEOUT = 60  # seconds


class ReadError(Exception):
    """The host cannot be read; the message holds the command and what it said."""


def read_ip(*words: str) -> List[Dict[str, Any]]:
    """Run one `ip` command that shows something, and return its objects. It changes nothing, so it does not go through
    apply. Raises ReadError."""
    argv: Tuple[str, ...] = ("ip", "-N", "-j", *words)
    environment = {"PATH": apply.PROGRAM_PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", errors="replace", timeout=READ_TIMEOUT, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReadError(f"{' '.join(argv)}: {error}: is iproute2 installed?") from error
    if done.returncode:
        raise ReadError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return list(json.loads(done.stdout or "[]"))
