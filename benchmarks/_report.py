# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks share: tables for people, a JSON file under reports/ for everything else."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPORTS = Path(__file__).resolve().parents[1] / "reports"


@dataclass(frozen=True)
class Figure:
    """A figure that is claimed, for the table of all benchmarks, and what it is compared with in the same run: a floor,
    or what others do. spoilt: of so many runs, so many that the machine spoilt."""

    what: str
    figure: float
    unit: str = ""
    worst: float | None = None
    beside: str = ""
    other: float | None = None
    spoilt: str = ""

    @property
    def ratio(self) -> float | None:
        """This figure to the other; an other of nothing gives none."""
        return self.figure / self.other if self.other else None


def median(values: Sequence[float]) -> float:
    """The middle of some measured values."""
    return statistics.median(values)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; numbers are rounded to what can be trusted."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(len(line[at]) for line in [list(columns), *cells]) for at in range(len(columns))]
    print(f"\n{title}")
    for line in [list(columns), ["-" * width for width in widths], *cells]:
        print("  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in
                        enumerate(zip(line, widths, strict=True))).rstrip())


def write_report(name: str, figures: Mapping[str, Any], claimed: Sequence[Figure] = ()) -> Path:
    """Write figures to reports/<name>.json, with what they were measured on; return the path."""
    REPORTS.mkdir(exist_ok=True)
    path = REPORTS / f"{name}.json"
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "load": os.getloadavg()[0],
               "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
    told = {"machine": machine, "claimed": [asdict(each) for each in claimed], **figures}
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"\nfigures: {path.relative_to(REPORTS.parent)}")
    return path


def shown(cell: object) -> str:
    """A cell of a table."""
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    if cell.is_integer():
        return f"{cell:.0f}"
    if 0 < cell < 0.1:
        return f"{cell:.2g}"
    return f"{cell:.0f}" if cell >= 100 else f"{cell:.1f}" if cell >= 10 else f"{cell:.2f}"
