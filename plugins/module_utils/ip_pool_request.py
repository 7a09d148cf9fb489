# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the `pools` and `leases` options: what is written becomes a Request, or its mistakes are told together."""

from __future__ import annotations

import functools
import ipaddress
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import LeaseRequest, Pool, PoolError, Request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_spans import (
    IPV4_BASE,
    IPV4_LAST,
    Span,
    merge_spans,
    read_address,
    read_span,
    write_address,
)

WORD_LENGTH = 255           # characters of an owner, a pool's name, a holder

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def read_request(
        pools: Sequence[Mapping[str, Any]], leases: Sequence[Mapping[str, Any]], other_holder: str = "refuse",
) -> Request:
    """Return what the module's options of the same names ask for; raises PoolError with every mistake."""
    mistakes: List[str] = []
    found_pools = [_read_listed_pool(f"pools[{at}]", entry, mistakes) for at, entry in enumerate(pools)]
    found_leases = [_read_lease(f"leases[{at}]", entry, other_holder, mistakes) for at, entry in enumerate(leases)]
    requests = tuple(lease for lease in found_leases if lease)
    _refuse_conflicts([pool.name for pool in found_pools if pool], requests, mistakes)
    if mistakes:
        raise PoolError(*mistakes)
    return Request(tuple(pool for pool in found_pools if pool), requests)


@functools.lru_cache(maxsize=1024)
def read_pool(name: str, prefix: str, ranges: Tuple[str, ...] = (), exclude: Tuple[str, ...] = ()) -> Pool:
    """Return a pool from its definition as text; raises PoolError with every mistake in it.

    Without ranges the whole prefix is meant, less what no host may have: IPv4's network and broadcast address
    (RFC 1122 3.2.1.3; a /31 and /32 has none, RFC 3021), IPv6's subnet-router anycast address (RFC 4291 2.6.1;
    a /127 has none, RFC 6164, nor a /128). Ranges that are given are taken as they are written.
    """
    mistakes: List[str] = []
    network = _read_prefix(prefix)
    whole = read_span(str(network))
    given = _read_spans("ranges", ranges, network, mistakes)
    excluded = _read_spans("exclude", exclude, network, mistakes)
    pool = Pool(name, str(network), given or (_usable(network, whole),), excluded)
    if not mistakes and not pool.allowed:
        mistakes.append("every address is excluded; leave at least one")
    if mistakes:
        raise PoolError(*mistakes)
    return pool


def _read_prefix(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PoolError(f"prefix: {error}; write it like 203.0.113.0/24 or 2001:db8:1::/64") from error
    if "/" not in text:
        raise PoolError(f"prefix: {text!r} has no length; write {network} for this one address")
    if ipaddress.ip_address(text.split("/", 1)[0]) != network.network_address:
        raise PoolError(f"prefix: {text!r} has bits set behind its length; write {network}")
    if network.version == 6 and int(network[0]) <= IPV4_LAST and int(network[-1]) >= IPV4_BASE:
        raise PoolError(f"prefix: {text!r} overlaps the IPv4-mapped ::ffff:0:0/96; take a prefix outside it")
    return network


def _usable(network: Network, whole: Span) -> Span:
    spare = network.max_prefixlen - network.prefixlen
    if spare <= 1:
        return whole
    return Span(whole.first + 1, whole.last - (network.version == 4))


def _read_spans(key: str, texts: Tuple[str, ...], network: Network, mistakes: List[str]) -> Tuple[Span, ...]:
    whole, spans = read_span(str(network)), []
    for text in texts:
        try:
            span = read_span(text)
        except ValueError as error:
            mistakes.append(f"{key}: {error}; write an address, first-last, or a prefix")
            continue
        if span.first < whole.first or span.last > whole.last:
            mistakes.append(f"{key}: {text!r} is not inside {network}; change one of them")
        spans.append(span)
    return merge_spans(spans)


def _read_listed_pool(label: str, entry: Mapping[str, Any], mistakes: List[str]) -> Optional[Pool]:
    name = entry["name"]
    wrong = _refuse_word("name", name)
    if wrong:
        mistakes.append(f"{label}: {wrong}")
        return None
    try:
        return read_pool(
            name, entry["prefix"], tuple(entry.get("ranges") or ()), tuple(entry.get("exclude") or ()))
    except PoolError as error:
        mistakes.extend(f"{label} (pool {name}): {mistake}" for mistake in error.mistakes)
        return None


def _read_lease(
        label: str, entry: Mapping[str, Any], other_holder: str, mistakes: List[str]) -> Optional[LeaseRequest]:
    owner, pool, holder = entry["owner"], entry.get("pool"), entry.get("holder")
    release = entry.get("state", "present") == "absent"
    words = [("owner", owner)] + [(key, entry[key]) for key in ("pool", "holder") if entry.get(key) is not None]
    wrong = [said for said in (_refuse_word(key, word) for key, word in words) if said]
    label = f"{label} ({owner}, pool {pool})" if pool else f"{label} ({owner})"
    address = None
    if entry.get("address") is not None:
        try:
            address = read_address(entry["address"])
        except ValueError as error:
            wrong.append(f"address: {error}; write one address, or none for the next free one")
    if pool is None and not release:
        wrong.append("pool is missing; name the pool to take an address from")
    elif pool is None and entry.get("address") is not None:
        wrong.append("an address without its pool; name the pool too")
    mistakes.extend(f"{label}: {said}" for said in wrong)
    other_holder = entry.get("other_holder") or other_holder
    return None if wrong else LeaseRequest(label, owner, pool, address, holder, other_holder, release)


def _refuse_word(key: str, word: str) -> Optional[str]:
    if 0 < len(word) <= WORD_LENGTH and word.isprintable() and not any(letter.isspace() for letter in word):
        return None
    return f"{key} {word!r} must have 1 to {WORD_LENGTH} printable characters and no space"


def _refuse_conflicts(pools: Sequence[str], requests: Sequence[LeaseRequest], mistakes: List[str]) -> None:
    """Nothing is asked for twice in one call: a pool's name, an owner's lease in a pool, an address."""
    for name in sorted({name for name in pools if pools.count(name) > 1}):
        mistakes.append(f"pools: {name} is defined more than once; leave one definition")
    keys: Dict[Tuple[str, Optional[str]], str] = {}
    addresses: Dict[int, str] = {}
    for request in requests:
        other = keys.setdefault((request.owner, request.pool), request.label)
        if other is not request.label:
            mistakes.append(f"{request.label}: {other} asks for the same lease; leave one of them")
        if request.address is not None and not request.release:
            other = addresses.setdefault(request.address, request.label)
            if other is not request.label:
                mistakes.append(
                    f"{request.label}: {other} asks for {write_address(request.address)} too; change one of them")
    for request in requests:
        if request.pool is not None and (request.owner, None) in keys:
            mistakes.append(
                f"{request.label}: {keys[request.owner, None]} releases every lease of this owner; leave one of them")
