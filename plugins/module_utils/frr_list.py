# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of one prefix-, community- or as-path list: which come, which go.

Where all entries have one action (permit, as a rule) their order means nothing: they are compared as a set, and a new
one takes a free number, so that new entries stand before old ones go. Else number and content count both.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_statements import canonical_line, sequence_of


def missing_entries(found: Sequence[str], wanted: Sequence[str]) -> List[str]:
    """Return the lines to write, given a list's lines as found and as wanted."""
    contents = {canonical_line((), line) for line in found}
    if is_ordered([*found, *wanted]):
        there = {(sequence_of(line), canonical_line((), line)) for line in found}
        lines = [_numbered(line, number) for number, line in _sequences(wanted)
                 if (number, canonical_line((), line)) not in there]
        return [line for line in wanted if _is_description(line) and canonical_line((), line) not in contents] + lines
    taken = {sequence_of(line) for line in found}
    free = max([number for number in taken if number] or [0]) // 5 * 5
    lines = []
    for line in wanted:
        if canonical_line((), line) in contents:
            continue
        if sequence_of(line) in taken - {None}:
            free += 5
            line = _numbered(line, free)
        lines.append(line)
    return lines


def surplus_entries(found: Sequence[str], wanted: Sequence[str]) -> List[str]:
    """Return the found lines to take away, once the missing ones stand."""
    contents = {canonical_line((), line) for line in wanted}
    if not is_ordered([*found, *wanted]):
        return [line for line in found if canonical_line((), line) not in contents]
    # what stands at a wanted number is wanted, or was replaced in place
    numbers = {number for number, _line in _sequences(wanted)}
    return [line for line in found if (
        canonical_line((), line) not in contents if _is_description(line) else sequence_of(line) not in numbers)]


def is_ordered(lines: Sequence[str]) -> bool:
    """Tell whether a list's entries have different actions, so that their order matters."""
    return any(" deny " in f"{line} " for line in lines) and any(" permit " in f"{line} " for line in lines)


def _is_description(line: str) -> bool:
    return line.split()[3:4] == ["description"]


def _sequences(lines: Sequence[str]) -> List[Tuple[int, str]]:
    """Number entries as FRR does: those without a number get the next multiple of five."""
    numbered: List[Tuple[int, str]] = []
    for line in lines:
        if not _is_description(line):
            given = sequence_of(line)
            last = max([0, *(number for number, _line in numbered)])
            numbered.append((given if given is not None else (last // 5 + 1) * 5, line))
    return numbered


def _numbered(line: str, number: int) -> str:
    words = line.split()
    at = 3 if words[1] == "prefix-list" else 4
    rest = words[at + 2:] if words[at] == "seq" else words[at:]
    return " ".join([*words[:at], "seq", str(number), *rest])
