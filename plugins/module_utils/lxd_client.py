# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LXD's REST API over its socket on the host (https://documentation.ubuntu.com/lxd/en/stable-5.0/rest-api/)."""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import Any, Dict, Optional
from urllib.parse import quote

SOCKETS = ("/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket")
"""Where packages of distributions, the snap, and Incus, which has the same API, listen."""

TIMEOUT = 30  # seconds
OPERATION_TIMEOUT = 300  # seconds; a container may have to be unpacked from its image


class LxdError(Exception):
    """LXD is not there, or refuses what it was asked for."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("lxd", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a network address."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def find_socket() -> str:
    """Return where LXD listens, an empty text where it is not installed. One that has run goes before one that has not,
    as Ubuntu has LXD on servers that do not use it."""
    return min((path for path in SOCKETS if os.path.exists(path)), key=lambda path: not has_run(path), default="")


def has_run(where: str) -> bool:
    """Tell whether an LXD has been started ever, without starting it by a question."""
    return os.path.isdir(os.path.join(os.path.dirname(where), "database"))


def instance_path(name: str, rest: str = "") -> str:
    """Return the path of an instance."""
    return f"/1.0/instances/{quote(name, safe='')}{rest}"


def ask(method: str, path: str, body: Optional[Dict[str, Any]] = None, wait: float = OPERATION_TIMEOUT) -> Any:
    """Return what LXD answers to a request, of an operation once it has ended; None for what is not there.

    wait: seconds that an operation may take. Raises LxdError.
    """
    answer = _send(method, path, body, TIMEOUT)
    if answer.get("type") == "async":
        done = _send("GET", f"{answer['operation']}/wait?timeout={int(wait)}", None, wait + TIMEOUT)["metadata"]
        if done["status_code"] != 200:
            raise LxdError(done.get("err") or f"{method} {path}: {done['status']} after {int(wait)} s")
        return done
    if answer.get("error_code") == 404 and method == "GET":
        return None
    return answer.get("metadata")


def _send(method: str, path: str, body: Optional[Dict[str, Any]], timeout: float) -> Dict[str, Any]:
    where = find_socket()
    if not where:
        raise LxdError("the node has no LXD, and no Incus: install one, and run `lxd init` or `incus admin init`")
    connection = _Connection(where, timeout)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LxdError(f"LXD does not answer at {where}: {error}") from error
    finally:
        connection.close()
    if answer.get("type") == "error" and not (answer["error_code"] == 404 and method == "GET"):
        raise LxdError(answer["error"])
    return dict(answer)
