# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Showing what a lab is doing: on a terminal one line per subject that changes in place, elsewhere plain lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO


class Progress:
    """One line per subject (a host, the roots), each with what it's at and since when."""

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.is_live = output.isatty()
        self.started = time.monotonic()
        self.lines: dict[str, str] = {}

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.output.flush()

    def tell(self, subject: str, what: str) -> None:
        """Show what the subject is at now."""
        line = f"{subject:12} {what:9} {time.monotonic() - self.started:5.1f} s"
        if not self.is_live:
            # A log wants results: that a host boots goes without saying.
            if what not in ("starting", "booting"):
                print(line, file=self.output, flush=True)
            return
        if self.lines:
            self.output.write(f"\x1b[{len(self.lines)}A")
        self.lines[subject] = line
        for shown in self.lines.values():
            self.output.write(f"\r\x1b[K{shown}\n")
        self.output.flush()
