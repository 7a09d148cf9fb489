# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks share: a table for people, a JSON file under reports/ for everything else."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPORTS = Path(__file__).resolve().parents[1] / "reports"


def median(values: Sequence[float]) -> float:
    """The middle of some measured values."""
    return statistics.median(values)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; numbers are rounded to what can be trusted."""
    cells = [[_shown(cell) for cell in row] for row in rows]
    widths = [max(len(line[at]) for line in [list(columns), *cells]) for at in range(len(columns))]
    print(f"\n{title}")
    for line in [list(columns), ["-" * width for width in widths], *cells]:
        print("  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in
                        enumerate(zip(line, widths, strict=True))).rstrip())


def write_report(name: str, figures: Mapping[str, Any]) -> Path:
    """Write figures to reports/<name>.json, with what they were measured on; return the path."""
    REPORTS.mkdir(exist_ok=True)
    path = REPORTS / f"{name}.json"
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    path.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n")
    print(f"\nfigures: {path.relative_to(REPORTS.parent)}")
    return path


def _shown(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if cell >= 100 else f"{cell:.1f}" if cell >= 10 else f"{cell:.2f}"
