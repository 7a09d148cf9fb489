# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a Junos configuration: reading the reversible `$9$` form, and keeping every form out of what is shown.

Junos shows an authentication key as `$9$...`, with a random salt, so the same key looks different each time it is set.
It hides nothing: each character is the distance from the one before in a fixed alphabet, and the distances are digits
in a base that changes with the position (published as Crypt::Juniper on CPAN).
"""

from __future__ import annotations

import re
from typing import Iterable

MAGIC = "$9$"
MASK = "********"
# The alphabet, in four families: a first character of family n is followed by 3 - n characters of salt.
FAMILIES = ("QzF3n6/9CAtpu0O", "B1IREhcSyrleKvMW8LXx", "7N-dVbwsY2g4oaJZGUDj", "iHkq.mPf5T")
ALPHABET = "".join(FAMILIES)
# Weights of the distances that make up one character of the secret, by its position, round and round.
WEIGHTS = ((1, 4, 32), (1, 16, 32), (1, 8, 32), (1, 64), (1, 32), (1, 4, 16, 128), (1, 32, 64))

_SCRAMBLED = re.compile(r"\$[1-9]\$[^\s\";]+")
_STATEMENT = re.compile(
    r"((?:authentication-key|encrypted-password|secret|key) )\"[^\"]*\"|(authentication-key )[^\s;]+")


class SecretError(ValueError):
    """A scrambled secret cannot be read."""


def decode_secret(text: str) -> str:
    """Return the secret behind a `$9$` form. Raises SecretError, which does not repeat it, when it is none."""
    body = text[len(MAGIC):]
    if not text.startswith(MAGIC) or not body or any(character not in ALPHABET for character in body):
        raise SecretError("this is no secret in Junos's $9$ form")
    salt = next(3 - index for index, family in enumerate(FAMILIES) if body[0] in family)
    previous, rest = body[0], body[1 + salt:]
    found = bytearray()
    while rest:
        weights = WEIGHTS[len(found) % len(WEIGHTS)]
        if len(rest) < len(weights):
            raise SecretError("this secret in Junos's $9$ form is cut off")
        value = 0
        for weight, character in zip(weights, rest):
            distance = (ALPHABET.index(character) - ALPHABET.index(previous)) % len(ALPHABET) - 1
            value += weight * distance
            previous = character
        found.append(value % 256)
        rest = rest[len(weights):]
    return found.decode("utf-8", "replace")


def is_readable(text: str) -> bool:
    """Tell whether a key of a device can be compared: `$8$` is encrypted with the device's master password."""
    return not re.match(r"^\$[1-8]\$", text)


def is_same_secret(found: str, wanted: str) -> bool:
    """Tell whether a key as a device shows it is the wanted one."""
    try:
        return decode_secret(found) == wanted
    except SecretError:
        return found == wanted


def mask_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text without secrets: values of statements that hold one, scrambled forms, and those known."""
    text = _STATEMENT.sub(lambda found: f'{found.group(1) or found.group(2)}"{MASK}"', text)
    text = _SCRAMBLED.sub(MASK, text)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
