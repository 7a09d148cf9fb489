# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic of addresses: numbers, spans of neighbouring numbers, and free spans that addresses are taken from.

An address is a 128-bit number, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so one unique key serves both families.
"""

from __future__ import annotations

import bisect
import ipaddress
from typing import Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

IPV4_BASE = 0xFFFF << 32
IPV4_LAST = IPV4_BASE + 0xFFFFFFFF
ADDRESS_LAST = (1 << 128) - 1


class Span(NamedTuple):
    """Neighbouring addresses, both ends included."""

    first: int
    last: int


def read_address(text: str) -> int:
    """Return an address as a number; raises ValueError."""
    address = ipaddress.ip_address(text)
    if address.version == 4:
        return IPV4_BASE + int(address)
    if "%" in text or IPV4_BASE <= int(address) <= IPV4_LAST:
        raise ValueError(f"{text!r} has a zone or is an IPv4-mapped IPv6 address; write the plain address")
    return int(address)


def write_address(number: int) -> str:
    """Return a number as an address."""
    if family_of(number) == 4:
        return str(ipaddress.IPv4Address(number - IPV4_BASE))
    return str(ipaddress.IPv6Address(number))


def family_of(number: int) -> int:
    """Return 4 or 6."""
    return 4 if IPV4_BASE <= number <= IPV4_LAST else 6


def read_span(text: str) -> Span:
    """Return the addresses that `a`, `a-b` or a prefix stands for; raises ValueError."""
    if "/" in text:
        network = ipaddress.ip_network(text)
        return Span(read_address(str(network[0])), read_address(str(network[-1])))
    first, dash, last = (part.strip() for part in text.partition("-"))
    span = Span(read_address(first), read_address(last if dash else first))
    if span.first > span.last or family_of(span.first) != family_of(span.last):
        raise ValueError(f"{text!r} does not go upwards within one family")
    return span


def write_spans(spans: Iterable[Span]) -> str:
    """Return spans as `a-b,c`."""
    return ",".join(
        write_address(span.first) if span.first == span.last
        else f"{write_address(span.first)}-{write_address(span.last)}"
        for span in spans)


def merge_spans(spans: Iterable[Span]) -> Tuple[Span, ...]:
    """Return the same addresses as sorted spans that neither overlap nor touch."""
    merged: List[Span] = []
    for span in sorted(spans):
        if merged and span.first <= merged[-1].last + 1:
            merged[-1] = Span(merged[-1].first, max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return tuple(merged)


def subtract_spans(spans: Sequence[Span], holes: Sequence[Span]) -> Tuple[Span, ...]:
    """Return spans without holes; both are sorted and coalesced, and so is what comes out."""
    left: List[Span] = []
    at = 0
    for first, last in spans:
        while at < len(holes) and holes[at].last < first:
            at += 1
        ahead = at
        while first <= last and ahead < len(holes) and holes[ahead].first <= last:
            if first < holes[ahead].first:
                left.append(Span(first, holes[ahead].first - 1))
            first = holes[ahead].last + 1
            ahead += 1
        at = max(at, ahead - 1)
        if first <= last:
            left.append(Span(first, last))
    return tuple(left)


def holds_address(spans: Sequence[Span], number: int) -> bool:
    """Return whether sorted spans hold an address."""
    at = bisect.bisect_right(spans, (number, ADDRESS_LAST)) - 1
    return at >= 0 and spans[at].last >= number


def count_addresses(spans: Iterable[Span]) -> int:
    """Return how many addresses spans hold."""
    return sum(span.last - span.first + 1 for span in spans)


class FreeSpans:
    """Some of the free spans of pools, with addresses taken out and given back; knows which rows changed."""

    def __init__(self, rows: Mapping[str, Iterable[Span]]) -> None:
        self._found = {(pool, span) for pool, spans in rows.items() for span in spans}
        self._spans = {pool: sorted(set(spans)) for pool, spans in rows.items()}

    def count(self, pool: str) -> int:
        """Return how many addresses are in these spans of a pool."""
        return count_addresses(self._spans[pool])

    def pick(self, pool: str) -> Optional[int]:
        """Take the lowest address; None when there is none."""
        if not self._spans[pool]:
            return None
        number = self._spans[pool][0].first
        self.take(pool, number)
        return number

    def take(self, pool: str, number: int) -> bool:
        """Take an address; False when it is not free."""
        spans = self._spans[pool]
        at = bisect.bisect_right(spans, (number, ADDRESS_LAST)) - 1
        if at < 0 or spans[at].last < number:
            return False
        spans[at:at + 1] = subtract_spans(spans[at:at + 1], (Span(number, number),))
        return True

    def give(self, pool: str, number: int) -> None:
        """Give an address back, joined with the spans it touches."""
        spans = self._spans[pool]
        at = bisect.bisect_left(spans, (number, number))
        low, high = max(at - 1, 0), at + 1
        spans[low:high] = merge_spans([*spans[low:high], Span(number, number)])

    def changes(self) -> Tuple[Tuple[Tuple[str, Span], ...], Tuple[Tuple[str, Span], ...]]:
        """Return the rows that are gone, and those that came."""
        now = {(pool, span) for pool, spans in self._spans.items() for span in spans}
        return tuple(sorted(self._found - now)), tuple(sorted(now - self._found))
