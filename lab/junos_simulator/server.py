# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The SSH server with the NETCONF subsystem, and the sessions in it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import os
from pathlib import Path
from typing import Any

import asyncssh
from lxml import etree

from . import configuration_rpcs, device_rpcs, messages
from .database import DatabaseError, Session
from .device import Device, Settings, write_file
from .messages import RpcRefusal
from .tree import ConfigurationError

LOG = logging.getLogger(__name__)
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)


class DropSession(Exception):
    """The connection is to be cut now."""


class Login(asyncssh.SSHServer):
    """Who may log in: the users of the settings, by password or key."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def begin_auth(self, username: str) -> bool:
        """Nobody comes in without proof."""
        return True

    def password_auth_supported(self) -> bool:
        """Passwords are taken."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Whether it is the user's password."""
        known = self.settings.users.get(username, {}).get("password", "")
        return bool(known) and hmac.compare_digest(known.encode(), password.encode())

    def public_key_auth_supported(self) -> bool:
        """Keys are taken."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether it is one of the user's keys."""
        keys = self.settings.users.get(username, {}).get("keys", [])
        return any(asyncssh.import_public_key(known) == key for known in keys)


class Server:
    """The simulator's doors: NETCONF over SSH, and the socket that tests give orders by."""

    def __init__(self, device: Device) -> None:
        self.device, self.settings = device, device.settings
        self.sessions: dict[int, asyncssh.SSHServerProcess[str]] = {}
        self.acceptor: asyncssh.SSHAcceptor | None = None

    async def start(self) -> None:
        """Listen, and say so in the file of the settings."""
        await self.device.backend.reset()
        await self.device.database.start()
        self.acceptor = await asyncssh.listen(
            self.settings.address, self.settings.port, server_host_keys=[read_host_key(self.settings.host_key)],
            server_factory=lambda: Login(self.settings), process_factory=self.serve, encoding="utf-8",
            line_editor=False, agent_forwarding=False, server_version="Junos_simulator")
        if self.settings.control:
            Path(self.settings.control).unlink(missing_ok=True)
            await asyncio.start_unix_server(self.take_orders, self.settings.control)
            os.chmod(self.settings.control, 0o600)
        port = self.acceptor.get_port()
        LOG.info("Junos simulator listens on %s port %s", self.settings.address, port)
        if self.settings.ready:
            write_file(Path(self.settings.ready), json.dumps({"port": port, "pid": os.getpid()}))

    async def serve(self, process: asyncssh.SSHServerProcess[str]) -> None:
        """One channel: a NETCONF session, or a refusal of anything else."""
        if process.subsystem != "netconf" and not (process.command or "").startswith("xml-mode netconf"):
            process.stderr.write("Junos simulator: only the subsystem netconf is served\n")
            process.exit(1)
            return
        session = self.device.open_session(process.get_extra_info("username"))
        self.sessions[session.pid] = process
        LOG.info("session %s of %s", session.pid, session.user)
        try:
            await self.converse(process, session)
        except DropSession:
            process.channel.get_connection().abort()
        except (BrokenPipeError, ConnectionError, asyncssh.Error):
            LOG.info("session %s was lost", session.pid)
        finally:
            del self.sessions[session.pid]
            self.device.database.leave(session)
            process.close()

    async def converse(self, process: asyncssh.SSHServerProcess[str], session: Session) -> None:
        """Greet, then answer until the client ends it."""
        process.stdout.write(messages.write_hello(session.pid))
        splitter = messages.Splitter()
        while data := await process.stdin.read(65536):
            for message in splitter.feed(data):
                rpc = etree.fromstring(message.strip().encode(), PARSER)
                if etree.QName(rpc).localname != "rpc":
                    continue
                process.stdout.write(await self.reply(rpc, session))
                await process.stdout.drain()
                if rpc.find("close-session") is not None:
                    process.exit(0)
                    return

    async def reply(self, rpc: etree._Element, session: Session) -> str:
        """The reply to an RPC as text."""
        messages.strip_namespaces(rpc)
        request = next((child for child in rpc if isinstance(child.tag, str)), None)
        try:
            if request is None:
                raise RpcRefusal("syntax error", "rpc", "missing-element")
            answer = await self.answer(request, session)
        except RpcRefusal as refusal:
            answer = [messages.write_refusal(refusal)]
        except DatabaseError as error:
            answer = [messages.write_refusal(RpcRefusal(error.message))]
        except ConfigurationError as error:
            answer = [messages.write_error(error)]
        reply = messages.write_reply(rpc, answer)
        LOG.debug("%s: %s -> %s", session.user, request.tag if request is not None else "", reply[:2000])
        return reply

    async def answer(self, request: etree._Element, session: Session) -> list[etree._Element]:
        """The elements that answer a request."""
        name = str(request.tag)
        device = self.device
        if name in configuration_rpcs.HANDLERS:
            answer = await configuration_rpcs.HANDLERS[name](device.database, session, request)
            self.drop_when_told(request)
            return answer
        if name in device_rpcs.HANDLERS:
            return device_rpcs.HANDLERS[name](device.database, request)
        if name == "command":
            return await self.run_command((request.text or "").strip(), request)
        if name == "close-session":
            return [etree.Element("ok")]
        if name == "kill-session":
            return await self.kill(request.findtext("session-id") or "")
        found = await device.backend.answer(device.database.running, request)
        if found is None:
            raise RpcRefusal("syntax error", name, "unknown-element")
        return found

    async def run_command(self, command: str, request: etree._Element) -> list[etree._Element]:
        """<command>: the few operational commands that have an answer in XML."""
        words = " ".join(word for word in command.split() if word != "no-more").removesuffix(" |")
        if words not in device_rpcs.COMMANDS or request.get("format", "xml") != "xml":
            raise RpcRefusal("syntax error", command, "unknown-element")
        return device_rpcs.COMMANDS[words](self.device.database, request)

    def drop_when_told(self, request: etree._Element) -> None:
        """Cut the connection in the place of an answer, once, when a test has asked for it."""
        name = str(request.tag)
        if request.find("confirmed") is not None:
            name = "commit-confirmed"
        if self.device.drop_at == name:
            self.device.drop_at = ""
            raise DropSession

    async def kill(self, pid: str) -> list[etree._Element]:
        """<kill-session>: the other one loses its lock and its changes; a confirmed commit that waits is undone."""
        process = self.sessions.get(int(pid)) if pid.isdigit() else None
        if process is None:
            raise RpcRefusal("session-id does not exist", "session-id", "invalid-value")
        process.channel.get_connection().abort()
        await self.device.database.expire()
        return [etree.Element("ok")]

    async def take_orders(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The tests' socket: one order as JSON a line, one answer."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write((json.dumps(await self.obey(json.loads(line))) + "\n").encode())
                await writer.drain()
        writer.close()

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out an order; what went wrong is in the answer."""
        try:
            answer = await self.device.control(order)
        except (ConfigurationError, KeyError, TypeError, ValueError) as error:
            return {"error": str(error)}
        if self.device.wants_new_host_key and self.acceptor:
            self.device.wants_new_host_key = False
            self.acceptor.update(server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")])
        return answer


def read_host_key(path: str) -> asyncssh.SSHKey:
    """The host key in a file; one is made where there is none."""
    if not Path(path).exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="junos-simulator")
        key.write_private_key(path)
        key.write_public_key(f"{path}.pub")
        os.chmod(path, 0o600)
    return asyncssh.read_private_key(path)
