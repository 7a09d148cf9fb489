# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a running FRR to a planner's end state: read, plan, write the delta, read back, save. Shared by modules that
write FRR."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import vtysh
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of

# Given a configuration's text, the steps that it lacks. The same planner serves the running and the saved
# configuration.
Planner = Callable[[str], Sequence[Step]]

# Statements that need another one gone first are taken in a second pass; a third one is never needed for what we write.
PASSES = 3


# What modules take that bring statements.
STATEMENT_ARGUMENTS: Dict[str, Any] = {
    "text": {"type": "str", "required": True},
    "prefix": {"type": "str", "default": ""},
    "owned_tags": {"type": "list", "elements": "int", "default": []},
    "save": {"type": "bool", "default": True},
}


class FrrText(NamedTuple):
    """What a host's FRR runs and what it starts with; both empty where FRR is not installed yet."""

    running: str
    saved: str


def read_frr(predict: bool = False) -> FrrText:
    """Read the running and the saved configuration.

    predict: check mode, in which FRR need not be there: a bare host has no configuration, a stopped FRR its saved one.
    Raises vtysh.FrrMissing, vtysh.FrrNotRunning.
    """
    saved = vtysh.read_saved_config()
    try:
        return FrrText(vtysh.read_running_config(), saved)
    except (vtysh.FrrMissing, vtysh.FrrNotRunning):
        if not predict:
            raise
        return FrrText(saved, saved)


def plan_saving(found: FrrText, planner: Planner) -> Tuple[Step, ...]:
    """Return the step that saves, when what FRR starts with lacks something: also after a run that was killed before
    it saved."""
    try:
        if not planner(found.saved):
            return ()
    except ValueError:
        pass  # what is only saved may contradict what is wanted (another AS, a route since gone): saving mends it
    return (Step("does not hold what is wanted", vtysh.SAVED_CONFIG, (), ("(the running configuration is saved)",)),)


class Written(NamedTuple):
    """What a delta led to: what FRR runs now, and its hints."""

    running: str
    hints: List[str]


def apply_delta(running: str, planner: Planner) -> Written:
    """Write what a running FRR lacks, read back and compare.

    Raises vtysh.DaemonNotRunning, vtysh.FrrRefused (also when FRR took a line without a word and does not show it).
    """
    hints: List[str] = []
    for _pass in range(PASSES):
        lines = lines_of(planner(running))
        if not lines:
            return Written(running, hints)
        vtysh.require_daemons(lines, vtysh.read_daemons())
        hints += vtysh.apply_config(lines)
        running = vtysh.read_running_config()
    left = [line for step in planner(running) for line in (*step.after, *(f"no {gone}" for gone in step.before))]
    if left:
        raise vtysh.FrrRefused(
            "FRR took these lines without complaint and does not show them in its configuration, so they are FRR's "
            "default (leave them out) or mean nothing to this version: " + vtysh.mask_secrets("; ".join(left))
        )
    return Written(running, hints)


def apply_saving(planner: Planner) -> None:
    """Save the running configuration, and make sure that it is what FRR starts with."""
    vtysh.save_config()
    if planner(vtysh.read_saved_config()):
        raise vtysh.FrrError(
            f"FRR saved its configuration elsewhere than in {vtysh.SAVED_CONFIG}: take `no service "
            "integrated-vtysh-config` out of /etc/frr/vtysh.conf, so that all daemons start from one file"
        )


def lines_of(steps: Sequence[Step]) -> List[str]:
    """Return what to feed to vtysh for a plan."""
    return [line for step in steps for line in step.commands]


def masked(steps: Iterable[Step]) -> List[Step]:
    """Return steps without the secrets in what they show; what they write is as it was."""
    return [step._replace(before=tuple(map(vtysh.mask_secrets, step.before)),
                          after=tuple(map(vtysh.mask_secrets, step.after))) for step in steps]


def report_steps(steps: Sequence[Step], hints: Sequence[str], saved: bool) -> Dict[str, Any]:
    """Return the result of a module that wrote these steps, or would; their `before` and `after` have no secrets."""
    return {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
            "commands": [vtysh.mask_secrets(line) for line in lines_of(steps)], "hints": list(hints), "saved": saved}
