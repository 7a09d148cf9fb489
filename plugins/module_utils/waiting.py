# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking again until an answer will do, within a bound."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

Answer = TypeVar("Answer")


def ask_until(
        ask: Callable[[], Answer], will_do: Callable[[Answer], bool], seconds: float, pause: float = 0.1) -> Answer:
    """Return the first answer that will do, or the last one when `seconds` are over; asks at least once."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if will_do(answer) or time.monotonic() >= deadline:
            return answer
        time.sleep(pause)
