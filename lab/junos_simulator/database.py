# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration database: shared candidate, exclusive lock, commits and their history, confirmed commits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from . import checks, show, text
from .load import Complaints
from .tree import ConfigurationError, Node, new_tree

LOG = logging.getLogger(__name__)
KEPT_COMMITS = 50
DEFAULT_CONFIRM = 10  # minutes
Apply = Callable[[Node, Node], Awaitable[None]]
Check = Callable[[Node], list[ConfigurationError]]


class DatabaseError(ConfigurationError):
    """A refusal that has nothing to do with a statement: the lock, a dirty candidate, a rollback that isn't there."""


class CommitError(Exception):
    """All that the check of a commit found."""

    def __init__(self, complaints: Complaints) -> None:
        super().__init__("configuration check-out failed")
        self.complaints = complaints


@dataclass(frozen=True)
class Session:
    """Who edits: a NETCONF session, or somebody at the command line."""

    pid: int
    user: str
    since: float
    client: str = "netconf"

    def describe(self) -> str:
        """The session as Junos tells of it to somebody else who wants the lock."""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since))
        return f"{self.user} terminal p0 (pid {self.pid}) on since {since}"


@dataclass
class Commit:
    """An entry of the commit history, with the configuration that it made active."""

    tree: Node
    user: str
    client: str
    at: float
    log: str = ""
    comment: str = ""


@dataclass
class Pending:
    """A confirmed commit that waits: what it goes back to, and the timer."""

    previous: Node
    timer: asyncio.TimerHandle


class Database:
    """What one device has configured. `check` and `apply` are the backend's; a minute may be made shorter for tests."""

    def __init__(self, initial: str, check: Check, apply: Apply, minute: float = 60.0) -> None:
        self.first = first = checks.read_whole(initial)
        self.check, self.apply, self.minute = check, apply, minute
        self.history = [Commit(first, "root", "other", time.time())]
        self.candidate = first.copy()
        self.holder: Session | None = None
        self.pending: Pending | None = None
        self.busy = asyncio.Lock()
        self.when_kept: Callable[[str], None] = lambda _text: None

    @property
    def running(self) -> Node:
        return self.history[0].tree

    @property
    def is_dirty(self) -> bool:
        """Whether somebody left changes in the candidate."""
        return not self.candidate.equals(self.running)

    async def start(self) -> None:
        """Bring the backend, which is empty, to the first configuration."""
        complaints = self.find_complaints(self.running)
        if complaints:
            raise CommitError(complaints)
        await self.apply(new_tree(), self.running)

    def lock(self, session: Session) -> None:
        """Give the session the candidate for itself."""
        self.expect_access(session)
        if self.is_dirty:
            raise DatabaseError("configuration database modified")
        self.holder = session

    def unlock(self, session: Session) -> None:
        """Take the lock back; what was not committed is gone."""
        if self.holder is not session:
            raise DatabaseError("configuration database not locked by this session")
        self.holder = None
        self.candidate = self.running.copy()

    def leave(self, session: Session) -> None:
        """The session has ended, however it did: its lock goes, and with it what it did not commit."""
        if self.holder is session:
            self.unlock(session)

    def expect_access(self, session: Session) -> None:
        """A DatabaseError when another session holds the lock."""
        if self.holder is not None and self.holder is not session:
            holder = self.holder.describe()
            raise DatabaseError(f"configuration database locked by:\n  {holder}\n      exclusive [edit]")

    def edit(self, session: Session, load: Callable[[Node], Complaints], *, override: bool = False) -> Complaints:
        """Load into the candidate; what was right stays, even when something was wrong."""
        self.expect_access(session)
        if override:
            draft = new_tree()
            complaints = load(draft)
            if not complaints:
                self.candidate = draft
            return complaints
        return load(self.candidate)

    def rollback(self, session: Session, number: int) -> None:
        """Load an earlier configuration into the candidate; 0 is the active one."""
        self.expect_access(session)
        self.candidate = self.read_rollback(number).copy()

    def read_rollback(self, number: int) -> Node:
        """An earlier configuration."""
        if number >= len(self.history):
            raise DatabaseError(f"rollback {number} does not exist")
        return self.history[number].tree

    def compare(self, number: int) -> str:
        """What the candidate changes in an earlier configuration; 0 is the active one."""
        return show.write_patch(self.read_rollback(number), self.candidate)

    def find_complaints(self, tree: Node) -> list[ConfigurationError]:
        """What Junos itself would refuse to commit, and if nothing, what the backend can't do."""
        return checks.find_complaints(tree) or self.check(tree)

    async def commit_check(self, session: Session) -> None:
        """Check the candidate. As on Junos this confirms a confirmed commit that waits."""
        self.expect_access(session)
        complaints = self.find_complaints(self.candidate)
        if complaints:
            raise CommitError(complaints)
        self.confirm()

    async def commit(self, session: Session, log: str = "", confirm: int | None = None) -> None:
        """Make the candidate active; with `confirm` for so many minutes, unless another commit follows."""
        async with self.busy:
            self.expect_access(session)
            complaints = self.find_complaints(self.candidate)
            if complaints:
                raise CommitError(complaints)
            previous = self.pending.previous if self.pending else self.running
            comment = f"commit confirmed, rollback in {confirm}mins" if confirm else ""
            await self.activate(Commit(self.candidate.copy(), session.user, session.client, time.time(), log, comment))
            if confirm:
                self.wait_for_confirmation(previous, confirm)
            else:
                self.confirm()

    async def activate(self, commit: Commit) -> None:
        """Bring the backend to a configuration and note it as active."""
        await self.apply(self.running, commit.tree)
        self.history.insert(0, commit)
        del self.history[KEPT_COMMITS:]
        if not commit.comment:
            self.keep()

    def wait_for_confirmation(self, previous: Node, minutes: int) -> None:
        """Start the timer; one that runs already starts anew and goes back as far as the first."""
        if self.pending:
            self.pending.timer.cancel()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(minutes * self.minute, lambda: loop.create_task(self.expire()))
        self.pending = Pending(previous, timer)

    def confirm(self) -> None:
        """Stop the timer of a confirmed commit: what is active stays."""
        if self.pending:
            self.pending.timer.cancel()
            self.pending = None
            self.keep()

    async def expire(self) -> None:
        """Go back to what was active before the confirmed commit, as nobody confirmed it."""
        async with self.busy:
            if self.pending is None:
                return
            previous = self.pending.previous
            LOG.info("commit was not confirmed: automatic rollback")
            self.pending = None
            try:
                await self.activate(Commit(previous.copy(), "root", "other", time.time()))
            except CommitError as error:
                LOG.error("automatic rollback failed: %s", [each.message for each in error.complaints])
            self.candidate = self.running.copy()

    async def forget(self) -> None:
        """Go back to the first configuration as if nothing had been since; for tests, which share a simulator."""
        async with self.busy:
            if self.pending:
                self.pending.timer.cancel()
            self.pending = self.holder = None
            await self.apply(self.running, self.first)
            self.history = [Commit(self.first, "root", "other", time.time())]
            self.candidate = self.first.copy()
            self.keep()

    def keep(self) -> None:
        """Write down what is active; what waits for a confirmation is not, so a reboot ends it."""
        self.when_kept("\n".join(text.write_text(self.running)) + "\n")
