# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For websockify: from a token to a VNC display, while the token is good. Module console_token writes the files."""

from __future__ import annotations

import hashlib
import json
import os
import time


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
            return [entry["host"], str(entry["port"])]
        except (OSError, ValueError, KeyError):
            return None
