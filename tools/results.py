# SPDX-License-Identifier: GPL-3.0-or-later
"""What steps of a test run came to: counting, and the closing table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree


class Counts(NamedTuple):
    """How many tests of a step passed, failed (or could not be run), and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        """All tests of the step."""
        return sum(self)

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


class Result(NamedTuple):
    """What a step came to. why: the reason of a failure that its counts do not tell. processor: seconds of its time."""

    name: str
    counts: Counts
    seconds: float
    why: str = ""
    processor: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.counts.failed

    @property
    def summary(self) -> str:
        """One line: how many, how long, and why not."""
        skipped = f", {self.counts.skipped} skipped" if self.counts.skipped else ""
        why = f" ({self.why})" if self.why else ""
        return (f"{self.counts.passed} passed, {self.counts.failed} failed{skipped}"
                f" in {format_duration(self.seconds)}{why}")


def count_junit(path: Path) -> Counts:
    """Count the test cases in a JUnit file, or in all of a folder; a file that is missing or broken holds none."""
    counts = Counts()
    for file in sorted(path.glob("*.xml")) if path.is_dir() else [path]:
        try:
            cases = ElementTree.parse(file).getroot().iter("testcase")
        except (OSError, ElementTree.ParseError):
            continue
        for case in cases:
            counts = counts.plus(read_case(case))
    return counts


def read_case(case: ElementTree.Element) -> Counts:
    """Return what one test case adds to the counts."""
    marks = {child.tag for child in case}
    if marks & {"failure", "error"}:
        return Counts(failed=1)
    return Counts(skipped=1) if "skipped" in marks else Counts(passed=1)


def format_duration(seconds: float) -> str:
    """Write seconds as people do: `4.2 s`, `3 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def format_closing(results: Sequence[Result], seconds: float) -> str:
    """Return the table that closes a run, and below it the line that says it all."""
    total = Counts()
    for result in results:
        total = total.plus(result.counts)
    head = ["", "passed", "failed", "skipped", "processor", "time"]
    rows = [format_row(result.name, result.counts, result.processor, result.seconds) for result in results]
    foot = format_row("total", total, sum(result.processor for result in results), seconds)
    widths = [max(map(len, column)) for column in zip(head, *rows, foot, strict=True)]
    ruler = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [format_cells(cells, widths) for cells in (head, *rows, foot)]
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    said = f"{total.passed} passed, {total.failed} failed{skipped}"
    return "\n".join(["", lines[0], ruler, *lines[1:-1], ruler, lines[-1], "", said])


def format_row(name: str, counts: Counts, processor: float, seconds: float) -> list[str]:
    """Return the cells of a line of the table."""
    return [name, *map(str, counts), format_duration(processor), format_duration(seconds)]


def format_cells(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line of the table: the name to the left, numbers to the right."""
    numbers = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([cells[0].ljust(widths[0]), *numbers])
