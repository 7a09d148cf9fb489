# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An emulated data centre on one machine: systemd hosts, wires, guests behind them, and a traffic probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import LabError

if TYPE_CHECKING:
    from .lab import Lab as Lab

__all__ = ["Lab", "LabError"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: supervisors and guest agents start from this package too and need none of it.
    if name == "Lab":
        from .lab import Lab

        return Lab
    raise AttributeError(name)
