# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import io

from vmlab.progress import Progress

TOLD = (("left", "booting"), ("right", "booting"), ("left", "up"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(output: io.StringIO) -> str:
    with Progress(output) as progress:
        for subject, what in TOLD:
            progress.tell(subject, what)
    return output.getvalue()


def test_a_terminal_has_a_line_per_host_that_changes_in_place() -> None:
    shown = show(Terminal())
    final = shown.rpartition("\x1b[2A")[2].splitlines()
    assert [line.removeprefix("\x1b[K").split()[:2] for line in final if line] == [["left", "up"], ["right", "booting"]]


def test_a_log_has_a_plain_line_per_result() -> None:
    shown = show(io.StringIO())
    assert "\x1b" not in shown
    assert [line.split()[:2] for line in shown.splitlines()] == [["left", "up"]]
