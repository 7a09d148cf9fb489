# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading `cluster.bgp`, and the numbers of BGP: AS numbers and communities."""

from __future__ import annotations

import re

from .cluster import Bfd, Bgp
from .findings import Place
from .values import (
    Network,
    is_readable,
    kind_of,
    quote_remedy,
    read_flag,
    read_integer,
    read_list,
    read_mapping,
    read_prefix,
    read_text,
    shown,
)

BGP_KEYS = (
    "password timers bfd ttl_security graceful_restart max_prefixes listen listen_ranges listen_limit evpn"
).split()

PASSWORD_LENGTH = 80
"""Linux: TCP_MD5SIG_MAXKEYLEN; FRR has the same limit."""

AS_MAXIMUM = 4294967295
AS_TWO_BYTES = 65535

# AS numbers that no network has. Sources: RFC 6793 (AS_TRANS), RFC 7300; also RFC 7607 (0).
_RESERVED_AS = {
    23456: "is AS_TRANS, which stands for 4-byte numbers (RFC 6793)",
    65535: "is reserved (RFC 7300)",
}
_DOCUMENTATION_AS = (range(64496, 64512), range(65536, 65552))  # RFC 5398
_PRIVATE_AS = "64512-65534, 4200000000-4294967294"  # RFC 6996

_COMMUNITY = re.compile(r"[0-9]{1,10}(:[0-9]{1,10}){1,2}", re.ASCII)


def read_asn(place: Place, value: object) -> int:
    """Return an AS number that a network may use, or 0."""
    if value is None:
        place.mistake("is missing", "give the AS number of the cluster's network")
        return 0
    asn = read_integer(place, value, 1, AS_MAXIMUM - 1)
    if asn is None:
        return 0
    if asn in _RESERVED_AS:
        place.mistake(f"{asn} {_RESERVED_AS[asn]}", f"use your own, or a private one: {_PRIVATE_AS}")
        return 0
    if any(asn in numbers for numbers in _DOCUMENTATION_AS):
        place.warning(f"{asn} is for documentation (RFC 5398)", f"use your own, or a private one: {_PRIVATE_AS}")
    return asn


def read_communities(place: Place, value: object, asn: int) -> tuple[str, ...]:
    """Return a cluster's communities; value is one or a list of them."""
    if value is None:
        place.mistake("is missing", f'give one that marks the cluster\'s routes, such as "{asn or 65010}:100"')
        return ()
    if isinstance(value, str):
        value = [value]
        places = [place]
    elif isinstance(value, (list, tuple)):
        places = [place.item(index) for index in range(len(value))]
        if not value:
            place.mistake("is empty", "give at least one community")
    else:
        if is_readable(place, value):
            place.mistake(f"is {kind_of(value)}, must be text or a list of texts", 'put it in quotes: "65010:100"')
        return ()
    found: list[str] = []
    for one, element in zip(places, value, strict=True):
        community = _read_community(one, element, asn)
        if community is not None and community in found:
            one.mistake(f"{community} is there twice", "leave one")
        elif community is not None:
            found.append(community)
    return tuple(found)


def is_large(community: str) -> bool:
    """Return whether a community is a large one (RFC 8092)."""
    return community.count(":") == 2


def _read_community(place: Place, value: object, asn: int) -> str | None:
    text = read_text(place, value)
    if text is None:
        return None
    if not _COMMUNITY.fullmatch(text):
        place.mistake(f"{shown(text)} is not a community", 'write "65010:100", or "4200000001:1:100" for a large one')
        return None
    numbers = [int(part) for part in text.split(":")]
    trouble = _large_trouble(numbers) if len(numbers) == 3 else _standard_trouble(numbers, asn)
    if trouble is not None:
        place.mistake(*trouble)
        return None
    if len(numbers) == 2 and asn and numbers[0] != asn:
        place.warning(f"{text} does not begin with the cluster's AS number {asn}", "make sure that it is yours")
    return ":".join(str(number) for number in numbers)


def _large_trouble(numbers: list[int]) -> tuple[str, str] | None:
    text = ":".join(map(str, numbers))
    if max(numbers) > AS_MAXIMUM:
        return f"{text} has a number above {AS_MAXIMUM}", "a large community has three 4-byte numbers (RFC 8092)"
    if numbers[0] in (0, 65535, AS_MAXIMUM):
        return f"{text} begins with a reserved number (RFC 8092)", "begin it with your AS number"
    return None


def _standard_trouble(numbers: list[int], asn: int) -> tuple[str, str] | None:
    text = ":".join(map(str, numbers))
    if max(numbers) > AS_TWO_BYTES:
        if numbers[0] > AS_TWO_BYTES and numbers[1] <= AS_TWO_BYTES:
            remedy = f'a standard community holds no 4-byte AS number: use a large one, "{numbers[0]}:1:{numbers[1]}"'
        else:
            remedy = "a standard community has two 2-byte numbers (RFC 1997)"
        return f"{text} has a number above {AS_TWO_BYTES}", remedy
    if numbers[0] in (0, 65535):
        return f"{text} is reserved or well-known (RFC 1997)", "begin it with your AS number"
    if asn > AS_TWO_BYTES:
        return (
            f"{text} is a standard community, which cannot hold the 4-byte AS number {asn}",
            f'use a large one, "{asn}:1:{numbers[1]}"',
        )
    return None


def read_bgp(place: Place, value: object) -> Bgp:
    """Return the settings of BGP sessions, with defaults where there is none or a mistake."""
    default = Bgp()
    fields = read_mapping(place, value, BGP_KEYS) or {}

    def flag(key: str, otherwise: bool) -> bool:
        found = read_flag(place.at(key), fields.get(key, otherwise))
        return otherwise if found is None else found

    def number(key: str, otherwise: int, high: int) -> int:
        return read_integer(place.at(key), fields.get(key, otherwise), 1, high) or otherwise

    keepalive, hold = _read_timers(place.at("timers"), fields.get("timers", {}))
    settings = Bgp(
        password=_read_password(place.at("password"), fields.get("password")),
        keepalive=keepalive,
        hold=hold,
        bfd=_read_bfd(place.at("bfd"), fields.get("bfd", {})),
        ttl_security=flag("ttl_security", default.ttl_security),
        graceful_restart=flag("graceful_restart", default.graceful_restart),
        max_prefixes=number("max_prefixes", default.max_prefixes, 4294967295),
        listen=flag("listen", default.listen),
        listen_ranges=_read_listen_ranges(place.at("listen_ranges"), fields.get("listen_ranges", [])),
        listen_limit=number("listen_limit", default.listen_limit, 65535),
        evpn=flag("evpn", default.evpn),
    )
    _check_listen(place, settings, whole=len(settings.listen_ranges) == _length(fields.get("listen_ranges")))
    return settings


def _length(value: object) -> int:
    return len(value) if isinstance(value, (list, tuple)) else 0


def _read_password(place: Place, value: object) -> str | None:
    """Return the password of RFC 2385 signatures. Nothing of it is ever shown."""
    if value is None or not is_readable(place, value):
        return None
    if not isinstance(value, str):
        place.mistake(f"is {kind_of(value)}, must be text", quote_remedy(value))
    elif not value:
        place.mistake("is empty", "give a password, or leave the key out for sessions without one")
    elif len(value) > PASSWORD_LENGTH:
        place.mistake(f"has more than {PASSWORD_LENGTH} characters", "shorten it: Linux takes no more (RFC 2385)")
    elif not all("!" <= character <= "~" for character in value):
        place.mistake("has blanks, control characters or characters beyond ASCII", "use visible ASCII characters alone")
    else:
        if len(value) < 8:
            place.warning("has fewer than 8 characters", "use a long random one (RFC 3562: 12 to 24 bytes)")
        return value
    return None


def _read_timers(place: Place, value: object) -> tuple[int, int]:
    """Return keepalive and hold time in seconds (RFC 4271 section 4.2: a hold time is 3 s at least)."""
    default = Bgp()
    fields = read_mapping(place, value, ("keepalive", "hold")) or {}
    keepalive = read_integer(place.at("keepalive"), fields.get("keepalive", default.keepalive), 1, 21845, " seconds")
    hold = read_integer(place.at("hold"), fields.get("hold", default.hold), 3, 65535, " seconds")
    if keepalive is None or hold is None:
        return default.keepalive, default.hold
    if hold < 3 * keepalive:
        place.mistake(f"hold {hold} is less than three times keepalive {keepalive}", f"set hold to {3 * keepalive}")
    return keepalive, hold


def _read_bfd(place: Place, value: object) -> Bfd | None:
    """Return BFD's intervals in ms, or None for no BFD. Bounds are FRR 8's (bfdd), the narrowest of those supported."""
    if value is False:
        return None
    default = Bfd()
    if value is True:
        return default
    fields = read_mapping(place, value, ("interval", "multiplier")) or {}
    interval = read_integer(place.at("interval"), fields.get("interval", default.interval), 10, 60000, " milliseconds")
    multiplier = read_integer(place.at("multiplier"), fields.get("multiplier", default.multiplier), 2, 255)
    if interval is not None and interval < 50:
        place.at("interval").warning(f"{interval} ms is short", "use 50 or more, or a busy host is taken for dead")
    return Bfd(interval or default.interval, multiplier or default.multiplier)


def _read_listen_ranges(place: Place, value: object) -> tuple[Network, ...]:
    """Return all ranges, or none where one has a mistake, so that no host is said to be outside of them."""
    elements = read_list(place, value) or []
    found = [read_prefix(place.item(index), element) for index, element in enumerate(elements)]
    ranges = tuple(prefix for prefix in found if prefix is not None)
    return ranges if len(ranges) == len(found) else ()


def _check_listen(place: Place, settings: Bgp, *, whole: bool) -> None:
    if settings.listen and not settings.listen_ranges and whole:
        place.at("listen_ranges").mistake("is empty although listen is true", "give the prefixes of the underlay")
    if settings.listen_ranges and not settings.listen:
        place.at("listen_ranges").warning("has no effect", "set listen: true, or remove it")
    if settings.listen and settings.password is not None:
        place.at("listen").warning(
            "several FRR releases lose the password of sessions that come from listen ranges",
            "set listen: false, so that reflectors know nodes by name",
        )
