# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module intends to do, as data: steps that planners return, modules apply, and `--check --diff` prints."""

from __future__ import annotations

from typing import Dict, Iterable, NamedTuple, Tuple


class Step(NamedTuple):
    """One change of one thing.

    why: a short reason, in the operator's words ("web1 is not attached").
    thing: what changes ("interface web1_net0", "frr", "lease alpha/web1"); the diff is grouped by it.
    before: the lines that go; after: the lines that come. Secrets must have been masked by the planner.
    commands: what to feed to the applier of that thing; its meaning belongs to the planner and its applier.
    """

    why: str
    thing: str
    before: Tuple[str, ...] = ()
    after: Tuple[str, ...] = ()
    commands: Tuple[str, ...] = ()


def diff_of(steps: Iterable[Step]) -> Dict[str, str]:
    """Return the `diff` value of a module's result: every step's lines, under a header that names thing and reason."""
    before, after = [], []
    for step in steps:
        header = f"# {step.thing}: {step.why}"
        before += [header, *step.before]
        after += [header, *step.after]
    return {"before": _text(before), "after": _text(after)}


def reasons_of(steps: Iterable[Step]) -> "list[str]":
    """Return one line per step, for a module's `actions` result."""
    return [f"{step.thing}: {step.why}" for step in steps]


def _text(lines: "list[str]") -> str:
    return "\n".join(lines) + "\n" if lines else ""
