# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The simulated device: its database, what carries it out, and what tests do to it behind everybody's back."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import Any, Protocol

from lxml import etree

from . import load
from .database import CommitError, Database, Session
from .tree import ConfigurationError, Node

BASE = """
system {
    host-name junos-simulator;
    services {
        netconf {
            ssh;
        }
    }
}
"""


@dataclasses.dataclass
class Settings:
    """How a simulator is started; the keys of its settings file.

    users: name to {password, keys}; either may be missing. host_key: file, made when missing. configuration: Junos
    text; the file `saved` comes first, which keeps what was committed. minute: seconds that a minute of `commit
    confirmed` lasts. backend: `none`, or `frr` with `enter`, the words that stand before a command in the host.
    control: a socket for tests. ready: a file that is written when the simulator listens.
    """

    users: dict[str, dict[str, Any]]
    host_key: str
    address: str = "127.0.0.1"
    port: int = 0
    configuration: str = BASE
    saved: str = ""
    minute: float = 60.0
    backend: str = "none"
    enter: list[str] = dataclasses.field(default_factory=list)
    control: str = ""
    ready: str = ""


def read_settings(path: Path) -> Settings:
    """The settings in a JSON file."""
    return Settings(**json.loads(path.read_text()))


class Backend(Protocol):
    """What carries out a configuration and knows what came of it."""

    async def reset(self) -> None:
        """Start from nothing: what an earlier simulator left goes."""

    def check(self, tree: Node) -> list[ConfigurationError]:
        """What of a configuration the backend can't do."""

    async def apply(self, old: Node, new: Node) -> None:
        """Go from one configuration to another."""

    async def answer(self, running: Node, rpc: etree._Element) -> list[etree._Element] | None:
        """The answer to an RPC about BGP or routes, None when it isn't one."""


class NoBackend:
    """Configuration only: no BGP session is ever up, unless a test says what RPCs about BGP and routes answer."""

    def __init__(self) -> None:
        self.answers = {
            "get-bgp-neighbor-information": "<bgp-information/>",
            "get-bgp-group-information": "<bgp-group-information/>",
            "get-route-information": "<route-information/>",
        }

    async def reset(self) -> None:
        """Nothing is left."""

    def check(self, tree: Node) -> list[ConfigurationError]:
        """Everything that Junos takes."""
        return []

    async def apply(self, old: Node, new: Node) -> None:
        """Nothing to do."""

    async def answer(self, running: Node, rpc: etree._Element) -> list[etree._Element] | None:
        """What a test has said."""
        text = self.answers.get(etree.QName(rpc).localname)
        return None if text is None else [etree.fromstring(text)]


class Device:
    """One simulated device."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self.settings, self.backend = settings, backend
        saved = Path(settings.saved) if settings.saved else None
        initial = saved.read_text() if saved and saved.exists() else settings.configuration
        self.database = Database(initial, backend.check, backend.apply, settings.minute)
        if saved:
            self.database.when_kept = lambda text: write_file(saved, text)
        self.pids = itertools.count(4101)
        self.sessions = 0
        self.drop_at = ""
        self.stranger: Session | None = None
        self.wants_new_host_key = False

    def open_session(self, user: str, client: str = "netconf") -> Session:
        """A session of a user."""
        self.sessions += client == "netconf"
        return Session(next(self.pids), user, time.time(), client)

    async def control(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out a test's order, as somebody else at the command line would; what it answers."""
        match order.pop("do"):
            case "status":
                return self.read_status()
            case "hold_lock":
                self.stranger = self.open_session(order["user"], "cli")
                self.database.lock(self.stranger)
            case "release_lock" if self.stranger:
                self.database.leave(self.stranger)
            case "edit":
                self.edit(order["commands"])
            case "commit":
                await self.commit(**order)
            case "drop_at":
                self.drop_at = order["rpc"]
            case "forget":
                await self.database.forget()
                self.drop_at, self.database.minute = "", self.settings.minute
            case "new_host_key":
                self.wants_new_host_key = True
            case "answer" if isinstance(self.backend, NoBackend):
                self.backend.answers[order["rpc"]] = order["xml"]
            case "minute":
                self.database.minute = float(order["seconds"])
            case unknown:
                raise ConfigurationError(f"no order {unknown}")
        return {}

    def edit(self, commands: str) -> None:
        """Leave changes in the candidate."""
        complaints = load.load_set(self.database.candidate, commands)
        if complaints:
            raise complaints[0]

    async def commit(self, user: str, commands: str = "", log: str = "", confirm: int | None = None) -> None:
        """Change and commit something as another user."""
        self.edit(commands)
        try:
            await self.database.commit(self.open_session(user, "cli"), log, confirm)
        except CommitError as error:
            raise error.complaints[0] from error

    def read_status(self) -> dict[str, Any]:
        """What a test wants to know without a session."""
        database = self.database
        return {
            "commits": [{"user": entry.user, "client": entry.client, "log": entry.log, "comment": entry.comment}
                        for entry in database.history],
            "pending": database.pending is not None,
            "dirty": database.is_dirty,
            "sessions": self.sessions,
            "holder": database.holder.user if database.holder else "",
            "patch": database.compare(0),
        }


def write_file(path: Path, text: str) -> None:
    """Replace a file in one step."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.chmod(0o600)
    draft.replace(path)
