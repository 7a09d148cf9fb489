# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a Junos device such that it either does what was asked, or is as it was.

    lock, load, diff, commit check, commit confirmed, verify, commit; or rollback 1 and commit

A `commit check` confirms a commit that waits for its confirmation (Junos CLI reference, commit confirmed), so none is
sent while one does. A commit of somebody else that waits is left to wait: whatever we committed would confirm it. One
of ours, left by a run that was killed, is finished: it is verified and confirmed when it is still what is wanted, and
taken back first when it is not. When our session is lost the device rolls back by itself.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils.junos_error import JunosError, SessionLost
from ansible_collections.vmcluster.network.plugins.module_utils.junos_plan import Plan
from ansible_collections.vmcluster.network.plugins.module_utils.junos_state import Commit, read_pending
from ansible_collections.vmcluster.network.plugins.module_utils.waiting import ask_until

POLL = 1.0  # seconds between looks at a gateway that is verified


class Orders(NamedTuple):
    """What change_device needs to know.

    read_plan and find_faults ask the session. comment: of our commits, which tells them from others'. minutes: until
    Junos rolls back; seconds: that the verification may take.
    """

    read_plan: Callable[[Any], Plan]
    find_faults: Callable[[Any], List[str]]
    comment: str
    minutes: int
    seconds: float


class Outcome(NamedTuple):
    """What happened."""

    plan: Plan
    diff: str = ""
    changed: bool = False
    confirmed: bool = False
    hints: Sequence[str] = ()


class ChangeFailed(JunosError):
    """The change was not kept. facts: what a module tells of it beside the message."""

    def __init__(self, message: str, facts: Dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts


def change_device(session: Any, orders: Orders, check_mode: bool) -> Outcome:
    """Do it; see above for the order of things. Raises JunosError, ChangeFailed when something was committed."""
    plan = _read_plan(session, orders)
    pending = read_pending(session.rpc("get_commit_information"))
    if not plan.steps and not _is_ours(pending, orders):
        return Outcome(plan, hints=_hint_of(pending))
    session.lock()
    pending = read_pending(session.rpc("get_commit_information"))
    if pending is not None and not _is_ours(pending, orders):
        raise JunosError(
            f"a commit {pending.describe()} waits to be confirmed, and it is not ours: committing anything would "
            "confirm it. Nothing was changed. Confirm it (commit) or take it back (rollback 1, commit), or wait for "
            "its rollback; then run this again")
    plan = _read_plan(session, orders)
    if pending is not None and not plan.steps:
        return _finish_pending(session, orders, plan, check_mode)
    if pending is not None and not check_mode:
        session.rollback(1)
        session.commit(f"{orders.comment}: a change that was never confirmed is taken back")
        plan = _read_plan(session, orders)
    return _apply(session, orders, plan, check_mode, is_pending=check_mode and pending is not None)


def _read_plan(session: Any, orders: Orders) -> Plan:
    plan = orders.read_plan(session)
    if plan.problems:
        raise JunosError("\n".join(plan.problems))
    return plan


def _apply(session: Any, orders: Orders, plan: Plan, check_mode: bool, is_pending: bool) -> Outcome:
    """Load and commit; is_pending: a commit of ours waits, so the candidate cannot be checked without confirming it."""
    if not plan.lines:
        return Outcome(plan)
    session.load(plan.lines)
    diff = session.diff()
    if not diff:
        return Outcome(plan)
    if is_pending:
        return Outcome(plan, diff, True, hints=(
            "a change of ours waits to be confirmed, so `commit check` was left out, which would confirm it",))
    session.check()
    if check_mode:
        return Outcome(plan, diff, True)
    deadline = _commit_for_now(session, orders, diff)
    _verify_or_undo(session, orders, diff, deadline)
    return Outcome(plan, diff, True, confirmed=True, hints=_hint_of_rest(session, orders))


def _finish_pending(session: Any, orders: Orders, plan: Plan, check_mode: bool) -> Outcome:
    """Verify and confirm what an earlier run has committed and did not live to confirm."""
    said = "a change that an earlier run committed and did not confirm is what is wanted"
    if check_mode:
        return Outcome(plan, "", True, hints=(f"{said}: it would be verified and confirmed",))
    _verify_or_undo(session, orders, "", deadline=None)
    return Outcome(plan, "", True, confirmed=True, hints=(f"{said}: it was verified and confirmed",))


def _commit_for_now(session: Any, orders: Orders, diff: str) -> float:
    """Commit such that Junos rolls back by itself; return when, by this host's clock."""
    try:
        session.commit(orders.comment, orders.minutes)
    except SessionLost as error:
        raise _lost(error, diff, time.time() + orders.minutes * 60) from error
    return time.time() + orders.minutes * 60


def _verify_or_undo(session: Any, orders: Orders, diff: str, deadline: Optional[float]) -> None:
    began = time.monotonic()
    try:
        faults = _verify(session, orders)
        waits = _is_ours(read_pending(session.rpc("get_commit_information")), orders)
        if waits and not faults:
            session.commit(orders.comment)
            return
    except SessionLost as error:
        raise _lost(error, diff, deadline) from error
    except JunosError as error:
        waits, faults = True, [f"the commit that confirms was refused: {error}"]
    if not waits:  # `rollback 1` would bring the change back now
        raise ChangeFailed(
            "\n".join(["Junos has rolled the change back by itself, as it took longer to verify than confirm allows:",
                       *(faults or ["nothing was wrong with it"])]),
            {"diff": {"prepared": diff}, "missing": faults, "rolled_back": True})
    _undo(session, orders, diff, faults, deadline, time.monotonic() - began)


def _verify(session: Any, orders: Orders) -> List[str]:
    """Return what is wrong after a change, when it does not come right in time."""
    try:
        return ask_until(lambda: orders.find_faults(session), lambda found: not found, orders.seconds, POLL)
    except SessionLost:
        raise
    except JunosError as error:
        return [f"the device could not be asked: {error}"]
    except Exception as error:  # an answer nobody has thought of must not cost minutes of a wrong configuration
        return [f"the verification itself failed: {type(error).__name__}: {error}"]


def _undo(
        session: Any, orders: Orders, diff: str, faults: List[str], deadline: Optional[float], seconds: float) -> None:
    """Take the change back at once, and raise what was wrong with it for so many seconds."""
    reason = "\n".join(faults)
    try:
        session.rollback(1)
        session.commit(f"{orders.comment}: taken back, the verification failed")
    except SessionLost as error:
        raise _lost(error, diff, deadline, faults) from error
    except JunosError as error:
        raise ChangeFailed(
            f"after the change this was wrong:\n{reason}\nTaking it back at once failed too ({error}). "
            f"{_when(deadline)}",
            {"diff": {"prepared": diff}, "missing": faults, "rolled_back": False}) from error
    raise ChangeFailed(
        f"after the change this was wrong, for {seconds:.0f} s, so it was taken back at once:\n{reason}",
        {"diff": {"prepared": diff}, "missing": faults, "rolled_back": True})


def _lost(
        error: SessionLost, diff: str, deadline: Optional[float], faults: Sequence[str] = ()) -> ChangeFailed:
    return ChangeFailed(
        f"{error}, after the change was committed and before it was confirmed. {_when(deadline)} See whether the "
        "change cut this controller off, then run this again: what is half done then is finished or taken back",
        {"diff": {"prepared": diff}, "missing": list(faults), "rolled_back": False})


def _when(deadline: Optional[float]) -> str:
    if deadline is None:
        return "Junos rolls back by itself within the minutes that the earlier run gave it."
    clock = time.strftime("%H:%M:%S %Z", time.localtime(deadline))
    return f"Junos rolls back by itself, at {clock} by this host's clock at the latest."


def _is_ours(pending: Optional[Commit], orders: Orders) -> bool:
    return pending is not None and pending.is_of(orders.comment)


def _hint_of_rest(session: Any, orders: Orders) -> Sequence[str]:
    """Return what is to be told when Junos shows something else than it took: the next run would change it again."""
    with contextlib.suppress(JunosError):
        rest = [f"{step.thing} {step.why}" for step in orders.read_plan(session).steps]
        if rest:
            return (f"Junos took the change and shows something else, so every run will change it again: "
                    f"{', '.join(rest)}",)
    return ()


def _hint_of(pending: Optional[Commit]) -> Sequence[str]:
    if pending is None:
        return ()
    return (f"a commit {pending.describe()} waits to be confirmed. Nothing of ours is to be changed, so it was let "
            "alone",)
