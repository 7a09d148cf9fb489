# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Junos's scrambled secrets, `$9$...`: they hide a key from a glance over a shoulder, and are no encryption."""

from __future__ import annotations

import random

FAMILIES = ("QzF3n6/9CAtpu0O", "B1IREhcSyrleKvMW8LXx", "7N-dVbwsY2g4oaJZGUDj", "iHkq.mPf5T")
ALPHABET = "".join(FAMILIES)
PADDING = {letter: 3 - number for number, family in enumerate(FAMILIES) for letter in family}
WEIGHTS = ((1, 4, 32), (1, 16, 32), (1, 8, 32), (1, 64), (1, 32), (1, 4, 16, 128), (1, 32, 64))
MARK = "$9$"


def scramble(plain: str) -> str:
    """The secret with a salt of chance, so the same one looks different each time."""
    first = random.choice(ALPHABET)
    written = first + "".join(random.choice(ALPHABET) for _ in range(PADDING[first]))
    last = first
    for position, letter in enumerate(plain):
        rest, gaps = ord(letter), []
        for weight in reversed(WEIGHTS[position % len(WEIGHTS)]):
            gaps.append(rest // weight)
            rest %= weight
        for gap in reversed(gaps):
            last = ALPHABET[(ALPHABET.index(last) + gap + 1) % len(ALPHABET)]
            written += last
    return MARK + written


def unscramble(scrambled: str) -> str:
    """The secret; a ValueError when it can't be one."""
    letters = scrambled.removeprefix(MARK)
    if not scrambled.startswith(MARK) or not letters or any(letter not in ALPHABET for letter in letters):
        raise ValueError("not in Junos's form")
    last, rest, plain = letters[0], letters[1 + PADDING[letters[0]]:], ""
    while rest:
        weights = WEIGHTS[len(plain) % len(WEIGHTS)]
        if len(rest) < len(weights):
            raise ValueError("its end is missing")
        value = 0
        for letter, weight in zip(rest, weights, strict=False):
            value += ((ALPHABET.index(letter) - ALPHABET.index(last)) % len(ALPHABET) - 1) * weight
            last = letter
        plain += chr(value % 256)
        rest = rest[len(weights):]
    return plain
