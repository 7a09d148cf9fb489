# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading single values of an inventory: each reader records a mistake and returns None when the value is of no use.

No reader raises, whatever the value is. Values under a key that may hold a secret are never shown.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .findings import Place

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)
_LEADING_ZERO = re.compile(r"(^|\.)0[0-9]", re.ASCII)
_SHOWN_LENGTH = 60


@dataclass(frozen=True)
class Unreadable:
    """Stands where a variable could not be templated or decrypted; reason: why, free of secrets."""

    reason: str


def shown(value: object) -> str:
    """Return a value as a message shows it: one line, ASCII, of bounded length."""
    try:
        text = ascii(value)
    except Exception:  # a number of more digits than Python prints, an object that cannot be shown
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."


def kind_of(value: object) -> str:
    """Return what a value is, in words an operator knows."""
    if isinstance(value, bool):
        return "true or false"
    for kind, name in (
        (str, "text"),
        ((int, float), "a number"),
        (Mapping, "a mapping"),
        ((list, tuple), "a list"),
        (type(None), "empty"),
    ):
        if isinstance(value, kind):
            return name
    return f"a {type(value).__name__}"


def is_readable(place: Place, value: object) -> bool:
    """Return whether the value could be templated; record the mistake otherwise."""
    if isinstance(value, Unreadable):
        place.mistake(f"cannot be read ({value.reason})", "define the variable, or give the vault's password")
        return False
    return True


def read_mapping(
    place: Place, value: object, known: Iterable[str], refused: Iterable[str] = ()
) -> dict[str, object] | None:
    """Return a mapping's keys that are known and have a value; others are mistakes. Values are not shown.

    refused: keys that are returned too, but are not proposed to the operator.
    """
    if not is_readable(place, value):
        return None
    if not isinstance(value, Mapping):
        place.mistake(f"is {kind_of(value)}, must be a mapping", "write it as `key: value` lines")
        return None
    names = list(known)
    taken = [*names, *refused]
    for key in value:
        if not isinstance(key, str) or key not in taken:
            _refuse_key(place, key, names)
    return {name: value[name] for name in taken if name in value and value[name] is not None}


def _refuse_key(place: Place, key: object, names: list[str]) -> None:
    text = key if isinstance(key, str) and key.isascii() and key.isprintable() else shown(key)
    near = difflib.get_close_matches(text.lower()[:_SHOWN_LENGTH], names, n=1)
    remedy = f"did you mean {near[0]}?" if near else "known here are " + ", ".join(names)
    place.at(text[:_SHOWN_LENGTH]).mistake("unknown key", remedy)


def read_list(place: Place, value: object) -> list[object] | None:
    """Return a list."""
    if not is_readable(place, value):
        return None
    if not isinstance(value, (list, tuple)):
        place.mistake(f"is {kind_of(value)}, must be a list", "write it as `[a, b]` or as `- a` lines")
        return None
    return list(value)


def read_text(place: Place, value: object) -> str | None:
    """Return text that is not empty."""
    if not is_readable(place, value):
        return None
    if not isinstance(value, str):
        place.mistake(f"is {kind_of(value)}, must be text", quote_remedy(value))
        return None
    if not value:
        place.mistake("is empty", "give a value, or leave the key out")
        return None
    return value


def quote_remedy(value: object) -> str:
    """Return what to do about a value that is no text: YAML takes for numbers what has no quotes."""
    return "put it in quotes" if isinstance(value, (bool, int, float)) else "write plain text"


def read_texts(place: Place, value: object) -> list[str]:
    """Return the texts of a list of texts; elements that are none are mistakes and left out."""
    texts = []
    for index, element in enumerate(read_list(place, value) or []):
        text = read_text(place.item(index), element)
        if text is not None:
            texts.append(text)
    return texts


def read_choice(place: Place, value: object, choices: tuple[str, ...]) -> str | None:
    """Return one of a few words."""
    text = read_text(place, value)
    if text is None or text in choices:
        return text
    place.mistake(f"{shown(text)} is not known", "use " + " or ".join(choices))
    return None


def read_flag(place: Place, value: object) -> bool | None:
    """Return true or false."""
    if not is_readable(place, value):
        return None
    if isinstance(value, bool):
        return value
    place.mistake(f"is {kind_of(value)}, must be true or false", "write true or false without quotes")
    return None


def read_integer(place: Place, value: object, low: int, high: int, unit: str = "") -> int | None:
    """Return a whole number between low and high; text that consists of digits is taken as a number."""
    if not is_readable(place, value):
        return None
    number = integer_of(value)
    if number is None:
        seen = shown(value) if isinstance(value, (str, float)) else kind_of(value)
        place.mistake(f"is {seen}, must be a whole number", f"use {low} to {high}{unit}")
    elif not low <= number <= high:
        place.mistake(f"{shown(number)} is out of range", f"use {low} to {high}{unit}")
    else:
        return number
    return None


def integer_of(value: object) -> int | None:
    """Return a whole number, given as one or as text of digits; None of what is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    return None


def read_address(place: Place, value: object, version: int | None = None) -> Address | None:
    """Return an IP address, of the given version (4 or 6) if one is given."""
    text = read_text(place, value)
    if text is None:
        return None
    wanted = f"an IPv{version} address" if version else "an IP address"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        place.mistake(f"{shown(text)} is not {wanted}", _address_remedy(text))
        return None
    if version and address.version != version:
        place.mistake(f"{address} is an IPv{address.version} address", f"give {wanted}")
        return None
    return address if _is_plain(place, address, text) else None


def _address_remedy(text: str) -> str:
    if "/" in text:
        return "write the address alone, without '/' and length"
    if _LEADING_ZERO.search(text):
        return "write its numbers without leading zeros"
    return "correct it"


def _is_plain(place: Place, address: Address, text: str) -> bool:
    """Return whether an address stands for itself: no zone, no IPv4 address in IPv6 clothes."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            place.mistake(f"{shown(text)} has a zone", "write the address without '%' and interface")
            return False
        if address.ipv4_mapped is not None:
            place.mistake(f"{shown(text)} is IPv4 mapped into IPv6", f"write {address.ipv4_mapped}")
            return False
    return True


def is_host_address(address: Address) -> bool:
    """Return whether a host can have an address: none of multicast, loopback, unspecified, or IPv4's reserved ones."""
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        return False
    return address.version == 6 or not (address.is_reserved or int(address) < 1 << 24)


def read_prefix(place: Place, value: object) -> Network | None:
    """Return an IP prefix without host bits; the length must be given."""
    text = read_text(place, value)
    if text is None:
        return None
    example = "such as 203.0.113.0/24 or 2001:db8:1::/64"
    try:
        network = ipaddress.ip_interface(text).network
        host_bits = ipaddress.ip_address(text.partition("/")[0]) != network.network_address
    except ValueError:
        place.mistake(f"{shown(text)} is not a prefix", _prefix_remedy(text, example))
        return None
    if not text.partition("/")[2].isdigit():
        place.mistake(f"{shown(text)} has no length", f"write address/length, {example}")
        return None
    if host_bits:
        place.mistake(f"{shown(text)} has host bits set", f"write {network}")
        return None
    return network if _is_plain(place, network.network_address, text) else None


def _prefix_remedy(text: str, example: str) -> str:
    if _LEADING_ZERO.search(text):
        return "write its numbers without leading zeros"
    return f"write address/length, {example}"


def read_mac(place: Place, value: object) -> str | None:
    """Return a MAC address in lower case that a host can have; warn when it is not locally administered (IEEE 802)."""
    text = read_text(place, value)
    if text is None:
        return None
    mac = text.lower()
    if not _MAC.fullmatch(mac):
        place.mistake(f"{shown(text)} is not a MAC address", "write six pairs of hex digits, such as 02:56:4d:12:34:56")
        return None
    first = int(mac[:2], 16)
    if first & 1 or mac == "00:00:00:00:00:00":
        place.mistake(f"{mac} is not the address of one host (multicast or zero)", "use one that begins with 02")
        return None
    if not first & 2:
        place.warning(f"{mac} belongs to a manufacturer", "use a locally administered one, which begins with 02")
    return mac
