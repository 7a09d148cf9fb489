# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that a playbook is given as extra variables: `-e key=value` and surveys of job templates give text alone."""

from __future__ import annotations

import json


def read_entries(value: object) -> object:
    """Return a list of entries: as it is, or what its text holds as JSON; nothing and empty text are an empty list.

    What is no list is returned as it was told: whoever checks entries says what is wrong with it.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, list) else value


def read_names(value: object) -> list[str]:
    """Return names of a list, of its text as JSON, or of text with commas between them. Raises ValueError."""
    entries = read_entries(value)
    if isinstance(entries, str):
        entries = [part.strip() for part in entries.split(",") if part.strip()]
    if not isinstance(entries, (list, tuple)) or not all(isinstance(entry, str) and entry for entry in entries):
        raise ValueError("give names: a list, or text such as node2,node3")
    return [str(entry) for entry in entries]
