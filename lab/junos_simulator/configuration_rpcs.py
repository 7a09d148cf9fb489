# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The RPCs about the configuration: load, compare, lock, commit, roll back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from lxml import etree

from . import load, show
from .database import DEFAULT_CONFIRM, CommitError, Database, DatabaseError, Session
from .messages import JUNOS, RpcRefusal, build, tell, write_error
from .text import write_text
from .tree import ConfigurationError, Node, StatementNotFound

Answer = list[etree._Element]
Handler = Callable[[Database, Session, etree._Element], Awaitable[Answer]]
COMMIT_OPTIONS = ("check", "log", "confirmed", "confirm-timeout", "synchronize", "force-synchronize", "full")


async def lock(database: Database, session: Session, _rpc: etree._Element) -> Answer:
    """<lock-configuration/>, and NETCONF's <lock>."""
    database.lock(session)
    return []


async def unlock(database: Database, session: Session, _rpc: etree._Element) -> Answer:
    """<unlock-configuration/>, and NETCONF's <unlock>."""
    database.unlock(session)
    return []


async def open_configuration(database: Database, session: Session, rpc: etree._Element) -> Answer:
    """<open-configuration>: only the shared candidate can be opened."""
    if len(rpc):
        raise RpcRefusal(f"Junos simulator has no {rpc[0].tag} configuration", str(rpc[0].tag))
    database.expect_access(session)
    return []


async def load_configuration(database: Database, session: Session, rpc: etree._Element) -> Answer:
    """<load-configuration> in its formats and actions, also of an earlier configuration."""
    if rpc.get("rollback") is not None:
        database.rollback(session, read_number(rpc, "rollback"))
        return [build("load-configuration-results", etree.Element("ok"))]
    action = rpc.get("action", "merge")
    if action not in ("merge", "replace", "override", "update", "set") or rpc.get("url") or rpc.get("rescue"):
        what = "url" if rpc.get("url") else "rescue" if rpc.get("rescue") else action
        raise RpcRefusal(f"Junos simulator cannot load: {what}", str(rpc.tag))
    complaints = database.edit(session, choose_loader(rpc, action), override=action in ("override", "update"))
    results = build("load-configuration-results", *(write_error(complaint) for complaint in complaints))
    errors = sum(not isinstance(complaint, StatementNotFound) for complaint in complaints)
    if errors:
        tell(results, "load-error-count", errors)
    else:
        etree.SubElement(results, "ok")
    return [results]


def choose_loader(rpc: etree._Element, action: str) -> Callable[[Node], load.Complaints]:
    """How the content of a load is read."""
    content = rpc[0] if len(rpc) else etree.Element("none")
    written, replace = content.text or "", action == "replace"
    if content.tag == "configuration-set" and action == "set":
        return lambda tree: load.load_set(tree, written)
    if content.tag == "configuration-text" and action != "set":
        return lambda tree: load.load_text(tree, written, replace=replace)
    if content.tag == "configuration":
        # XML says itself, by attributes, what is to be replaced.
        return lambda tree: load.load_xml(tree, content, replace=True)
    raise RpcRefusal(f"Junos simulator cannot load: {content.tag} with action {action}", str(content.tag))


async def get_configuration(database: Database, session: Session, rpc: etree._Element) -> Answer:
    """<get-configuration>: the candidate or the active one, whole or selected, or what differs."""
    form = rpc.get("format", "xml")
    if rpc.get("compare") == "rollback":
        number = read_number(rpc, "rollback")
        if form not in ("text", "xml") or (form == "xml" and rpc.get("format")):
            raise RpcRefusal(f"Junos simulator cannot compare in format {form}", "get-configuration")
        return [write_output(database.compare(number) or "\n")]
    if rpc.get("rollback") is not None:
        tree = database.read_rollback(read_number(rpc, "rollback"))
    else:
        tree = database.running if rpc.get("database") == "committed" else database.candidate
    if form in ("text", "set"):
        if len(rpc) and len(rpc[0]):
            raise RpcRefusal("Junos simulator selects parts of a configuration in format xml only", "configuration")
        element = etree.Element(f"configuration-{form}")
        element.text = show.write_configuration(tree, form)
        return [element]
    if form != "xml":
        raise RpcRefusal(f"Junos simulator has no format {form}", "get-configuration")
    configuration = etree.Element("configuration")
    show.write_xml(tree, configuration, rpc[0] if len(rpc) else None)
    return [configuration]


async def get_rollback(database: Database, _session: Session, rpc: etree._Element) -> Answer:
    """<get-rollback-information>: an earlier configuration, or what differs between two."""
    number = int(rpc.findtext("rollback") or "0")
    tree = database.read_rollback(number)
    if rpc.find("compare") is not None:
        other = database.read_rollback(int(rpc.findtext("compare") or "0"))
        body = write_output(show.write_patch(other, tree) or "\n")
    else:
        body = write_output("\n".join(["", *write_text(tree), ""]))
    return [build("rollback-information", body)]


def write_output(text: str) -> etree._Element:
    """Text as Junos wraps it."""
    information = etree.Element("configuration-information")
    etree.SubElement(information, "configuration-output").text = text
    return information


async def commit(database: Database, session: Session, rpc: etree._Element) -> Answer:
    """<commit-configuration> with its options, and NETCONF's <commit>."""
    for element in rpc:
        if element.tag not in COMMIT_OPTIONS:
            raise RpcRefusal(f"Junos simulator cannot commit with {element.tag}", str(element.tag))
    try:
        if rpc.find("check") is not None:
            await database.commit_check(session)
        else:
            await database.commit(session, (rpc.findtext("log") or "").strip(), read_minutes(rpc))
    except CommitError as error:
        found = [write_error(complaint, "mgd" if complaint.message.startswith("Junos simulator") else "rpd")
                 for complaint in error.complaints]
        return [build("commit-results", *found, write_error(ConfigurationError(str(error))))]
    return [etree.Element("ok")]


def read_minutes(rpc: etree._Element) -> int | None:
    """How long a commit waits to be confirmed; None when it needn't be. NETCONF's own <commit> tells seconds."""
    if rpc.find("confirmed") is None:
        return None
    told = (rpc.findtext("confirm-timeout") or "").strip()
    if not told:
        return DEFAULT_CONFIRM
    if not told.isdigit() or not 1 <= int(told) <= 65535:
        raise RpcRefusal(f"Value {told} is not within range (1..65535)", "confirm-timeout")
    return -(-int(told) // 60) if rpc.tag == "commit" else int(told)


async def discard(database: Database, session: Session, _rpc: etree._Element) -> Answer:
    """<discard-changes/>."""
    database.rollback(session, 0)
    return [etree.Element("ok")]


async def get_commits(database: Database, _session: Session, _rpc: etree._Element) -> Answer:
    """<get-commit-information>: the history; a confirmed commit that waits is told at the newest entry."""
    information = etree.Element("commit-information")
    for number, entry in enumerate(database.history):
        history = build("commit-history", ("sequence-number", number), ("user", entry.user), ("client", entry.client))
        date = etree.SubElement(history, "date-time", nsmap={"junos": JUNOS})
        date.set(f"{{{JUNOS}}}seconds", str(int(entry.at)))
        date.text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(entry.at))
        tell(history, "comment", entry.comment)
        tell(history, "log", entry.log)
        if number == 0 and database.pending:
            tell(history, "commit-confirmed", "rollback pending")
        information.append(history)
    return [information]


def read_number(rpc: etree._Element, name: str) -> int:
    """A rollback's number from an attribute."""
    told = rpc.get(name) or "0"
    if not told.isdigit() or int(told) > 49:
        raise DatabaseError(f"invalid rollback number: {told}")
    return int(told)


HANDLERS: dict[str, Handler] = {
    "lock-configuration": lock,
    "lock": lock,
    "unlock-configuration": unlock,
    "unlock": unlock,
    "open-configuration": open_configuration,
    "close-configuration": open_configuration,
    "load-configuration": load_configuration,
    "get-configuration": get_configuration,
    "get-rollback-information": get_rollback,
    "commit-configuration": commit,
    "commit": commit,
    "discard-changes": discard,
    "get-commit-information": get_commits,
}
