# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What tests, benchmarks and the demo share: names that no other run has, and bounded waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from .errors import LabError


def unique_lab_name(story: str) -> str:
    """A lab's name that no other run on this machine has."""
    return f"{story}{os.getpid()}"


def wait_until(found: Callable[[], object], seconds: float, what: str, pause: float = 0.05) -> float:
    """Wait until `found()` is true and return the seconds it took; a LabError that says `what` after `seconds`."""
    began = time.monotonic()
    while not found():
        if time.monotonic() - began > seconds:
            raise LabError(f"not within {seconds} s: {what}")
        time.sleep(pause)
    return time.monotonic() - began
