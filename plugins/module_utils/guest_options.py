# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that modules of all hypervisors have. What GUEST means is in the documentation of each."""

from __future__ import annotations

from typing import Any, Dict

STOP_TIMEOUT: Dict[str, Any] = {"type": "int", "default": 60}

GUEST: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "was": {"type": "str"},
    "state": {"type": "str", "choices": ["running", "stopped", "present", "absent"], "default": "running"},
    "autostart": {"type": "bool"},
    "adopt": {"type": "bool", "default": False},
}
