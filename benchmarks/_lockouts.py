# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks of lock-outs share: what becomes of a host, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from _report import median

RETURN_TIME = 20  # seconds before host_network_timeout at which the timer goes off
PATIENCE = 120.0  # seconds after which a host is not waited for any more
TOLD = "The host has gone back to its old state"
PARTS = {"networkd": "systemd-networkd", "netplan": "netplan", "nm": "NetworkManager", "ifupdown": "ifupdown"}
COLUMNS = ("mistake", "manager", "recovered", "by", "median, s", "worst, s", "floor, s")


@dataclass(frozen=True)
class Recovery:
    """What became of one host: seconds until the old state was back (None: it was not), by whom, and what was wrong."""

    seconds: float | None
    by: str
    wrong: str = ""

    def tell(self, host: str) -> str:
        return f"{host} LOST: {self.wrong}" if self.seconds is None else f"{host} {self.seconds:.1f} s by {self.by}"


def row_of(mistake: str, host: str, found: Sequence[Recovery], floor: float) -> list[object]:
    """A row of the table: what became of the host of a manager each time."""
    seconds = [each.seconds for each in found if each.seconds is not None]
    ways = ", ".join(f"{by} {count}" for by, count in Counter(each.by for each in found).items())
    return [mistake, PARTS[host], f"{len(seconds)} of {len(found)}", ways, median(seconds) if seconds else "-",
            max(seconds) if seconds else "-", floor]
