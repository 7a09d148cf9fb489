# SPDX-License-Identifier: GPL-3.0-or-later
"""What the configuration database does when what stands behind it refuses or is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from junos_simulator import load
from junos_simulator.database import CommitError, Database, Session
from junos_simulator.tree import ConfigurationError, Node

SESSION = Session(1, "automation", 0.0)


def name_of(tree: Node) -> str:
    return tree.read("system", "host-name")


def started(apply: Callable[[Node, Node], Awaitable[None]], minute: float = 60.0) -> Database:
    return Database("system { host-name first; }", lambda _tree: [], apply, minute)


def rename(database: Database, name: str) -> None:
    assert not database.edit(SESSION, lambda tree: load.load_set(tree, f"set system host-name {name}"))


def test_a_backend_that_refuses_leaves_the_old_configuration_active() -> None:
    async def refuse(_old: Node, new: Node) -> None:
        if name_of(new) == "second":
            raise CommitError([ConfigurationError("Junos simulator: FRR refuses: this")])

    async def story() -> None:
        database = started(refuse)
        await database.start()
        rename(database, "second")
        with pytest.raises(CommitError):
            await database.commit(SESSION, confirm=5)
        assert name_of(database.running) == "first"
        assert (len(database.history), database.pending, database.is_dirty) == (1, None, True)
        rename(database, "third")
        await database.commit(SESSION)
        assert name_of(database.running) == "third"

    asyncio.run(story())


def test_a_backend_is_asked_before_anything_is_changed() -> None:
    applied: list[str] = []

    async def note(_old: Node, new: Node) -> None:
        applied.append(name_of(new))

    async def story() -> None:
        database = started(note)
        await database.start()
        database.check = lambda tree: [ConfigurationError("no")] if name_of(tree) == "second" else []
        rename(database, "second")
        for attempt in (database.commit_check(SESSION), database.commit(SESSION)):
            with pytest.raises(CommitError):
                await attempt
        assert applied == ["first"]

    asyncio.run(story())


def test_a_confirmation_that_comes_while_the_rollback_runs_comes_too_late() -> None:
    """One change of the backend at a time, whoever asks."""
    applied: list[str] = []

    async def be_slow(_old: Node, new: Node) -> None:
        await asyncio.sleep(0.05)
        applied.append(name_of(new))

    async def story() -> None:
        database = started(be_slow, minute=0.01)
        await database.start()
        rename(database, "second")
        await database.commit(SESSION, confirm=1)
        await asyncio.sleep(0.03)
        await database.commit(SESSION)
        assert applied == ["first", "second", "first", "first"]
        assert name_of(database.running) == "first"

    asyncio.run(story())


def test_the_history_keeps_fifty_configurations() -> None:
    async def accept(_old: Node, _new: Node) -> None:
        pass

    async def story() -> None:
        database = started(accept)
        for number in range(60):
            rename(database, f"name{number}")
            await database.commit(SESSION)
        assert len(database.history) == 50
        assert name_of(database.read_rollback(49)) == "name10"

    asyncio.run(story())
