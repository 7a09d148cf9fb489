# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For websockify: from a token to a VNC display, while the token is good. Module console_token writes the files."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time

NO_AUTHENTICATION = 1  # RFC 6143, 7.1.2
PATIENCE = 5.0  # seconds


class Tokens:
    """A folder with a file per token, named after the token's SHA-256, so that who reads the folder has no token."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def lookup(self, token: str) -> list[str] | None:
        """Return host and port of the display; None for a token that is unknown or has expired."""
        name = hashlib.sha256(token.encode()).hexdigest()
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as stream:
                entry = json.load(stream)
            if time.time() >= entry["expires"]:
                return None
            if entry.get("desktop") and not is_called(entry["host"], entry["port"], entry["desktop"]):
                return None  # the VM has gone, and another one's display is at its port
            return [entry["host"], str(entry["port"])]
        except (OSError, ValueError, KeyError, IndexError):
            return None


def is_called(host: str, port: int, name: str) -> bool:
    """Whether a display has this name (RFC 6143, 7.1 to 7.3), or asks for a password before it tells."""
    with socket.create_connection((host, port), timeout=PATIENCE) as wire, wire.makefile("rb") as stream:
        stream.read(12)
        wire.sendall(b"RFB 003.008\n")
        if NO_AUTHENTICATION not in stream.read(stream.read(1)[0]):
            return True
        wire.sendall(bytes([NO_AUTHENTICATION]))
        stream.read(4)  # the security result
        wire.sendall(b"\1")  # others stay connected
        stream.read(20)  # size and pixel format of the screen
        return stream.read(int.from_bytes(stream.read(4), "big")) == name.encode()
