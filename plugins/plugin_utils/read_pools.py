# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading `cluster.pools`."""

from __future__ import annotations

import hashlib
import re
from ipaddress import ip_network
from itertools import pairwise

from .cluster import Pool, Range, span_of
from .findings import Place
from .values import (
    Network,
    read_address,
    read_choice,
    read_integer,
    read_list,
    read_mapping,
    read_prefix,
    read_text,
    read_texts,
    shown,
)

POOL_KEYS = ("name", "prefix", "ranges", "exclude", "shortest_prefix")

_POOL_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)

# What a pool must not touch, and why. Sources: RFC 6890 (special-purpose addresses), RFC 4291 (IPv6 addressing).
_UNUSABLE = tuple(
    (ip_network(prefix), kind)
    for prefix, kind in (
        ("0.0.0.0/8", "'this network' addresses"),
        ("127.0.0.0/8", "loopback addresses"),
        ("169.254.0.0/16", "link-local addresses"),
        ("224.0.0.0/4", "multicast addresses"),
        ("240.0.0.0/4", "reserved addresses"),
        ("::/8", "reserved addresses, among them loopback"),
        ("fe80::/10", "link-local addresses"),
        ("ff00::/8", "multicast addresses"),
    )
)


def unusable_kind(network: Network) -> str | None:
    """Return what kind of addresses in a prefix no VM can have, or None when it has none of these."""
    for unusable, kind in _UNUSABLE:
        if unusable.version == network.version and unusable.overlaps(network):
            return kind
    return None


def read_pools(
    place: Place, value: object, *, networks: tuple[str, ...] = (), node: str = ""
) -> tuple[tuple[Pool, ...], bool]:
    """Return the pools that could be read, and whether these are all of them.

    networks: those that each pool is of one of, the first by default. node: whose pools they are; they need no name.
    """
    elements = read_list(place, value)
    if elements is None:
        return (), False
    if not elements:
        place.mistake("is empty", f"give the {'node' if node else 'cluster'} at least one pool of addresses")
    pools, names, complete = [], set(), bool(elements)
    for index, element in enumerate(elements):
        pool = read_pool(place.item(index), element, index, networks, node)
        if pool is None:
            complete = False
        elif pool.name in names:
            place.item(index).at("name").mistake(f"{pool.name} is the name of another pool too", "rename one")
        else:
            names.add(pool.name)
            pools.append(pool)
    return tuple(pools), complete


def read_pool(
    place: Place, value: object, index: int, networks: tuple[str, ...] = (), node: str = ""
) -> Pool | None:
    """Return a pool, or None where name or prefix is of no use."""
    fields = read_mapping(place, value, (*POOL_KEYS, *(("network",) if networks else ())))
    if fields is None:
        return None
    prefix = _read_pool_prefix(place.at("prefix"), fields.get("prefix"))
    default = _default_name(node, prefix.version) if node and prefix is not None else None
    name = _read_name(place.at("name"), fields.get("name", default)) if default or not node else None
    network = read_choice(place.at("network"), fields.get("network", networks[0]), networks) if networks else ""
    if name is None or prefix is None:
        return None
    ranges = _read_ranges(place.at("ranges"), fields.get("ranges", []), prefix, with_prefixes=False)
    _check_apart(place.at("ranges"), ranges)
    exclude = _read_ranges(place.at("exclude"), fields.get("exclude", []), prefix, with_prefixes=True)
    host_length = prefix.max_prefixlen
    shortest = fields.get("shortest_prefix", host_length)
    length = read_integer(place.at("shortest_prefix"), shortest, prefix.prefixlen, host_length)
    ordered = tuple(sorted(ranges, key=_first)) or (_default_range(prefix),)
    return Pool(
        name,
        prefix,
        ordered,
        tuple(sorted(exclude, key=_first)),
        length or host_length,
        index,
        node,
        network or "",
        place.key,
    )


def _first(addresses: Range) -> int:
    return addresses.first


def _default_name(node: str, version: int) -> str:
    """Return the name of a node's pool. A node may have a name that no pool can have, such as a fully qualified one."""
    name = f"{node}-{version}"
    if _POOL_NAME.fullmatch(name):
        return name
    text = re.sub(r"[^a-z0-9_-]", "-", node.lower()).lstrip("_-")[:23]
    return f"{text or 'node'}-{hashlib.sha256(node.encode('utf-8')).hexdigest()[:6]}-{version}"


def _read_name(place: Place, value: object) -> str | None:
    if value is None:
        place.mistake("is missing", "give the pool a name")
        return None
    name = read_text(place, value)
    if name is not None and not _POOL_NAME.fullmatch(name):
        place.mistake(f"{shown(name)} is not a pool's name", "use a-z, 0-9, '_' and '-', at most 32 characters")
        return None
    return name


def _read_pool_prefix(place: Place, value: object) -> Network | None:
    if value is None:
        place.mistake("is missing", "give the pool's addresses, such as 203.0.113.0/24")
        return None
    prefix = read_prefix(place, value)
    kind = unusable_kind(prefix) if prefix is not None else None
    if kind is not None:
        place.mistake(f"{prefix} has {kind}", "give a prefix that VMs can have addresses of")
        return None
    return prefix


def _default_range(prefix: Network) -> Range:
    """Return what a VM may have of a prefix.

    Left out are IPv4's network and broadcast address (not in a /31, RFC 3021) and IPv6's subnet-router anycast address
    (RFC 4291 section 2.6.1; not in a /127, RFC 6164).
    """
    whole = span_of(prefix)
    if prefix.max_prefixlen - prefix.prefixlen <= 1:
        return whole
    return Range(whole.version, whole.first + 1, whole.last - (prefix.version == 4))


def _read_ranges(place: Place, value: object, prefix: Network, *, with_prefixes: bool) -> list[Range]:
    """Return ranges inside the prefix: `first-last`, one address, or (with_prefixes) a smaller prefix."""
    whole, found = span_of(prefix), []
    for index, text in enumerate(read_texts(place, value)):
        addresses = _read_range(place.item(index), text, prefix, with_prefixes)
        if addresses is None:
            continue
        if addresses.first < whole.first or addresses.last > whole.last:
            place.item(index).mistake(f"{shown(text)} is not inside the pool's prefix {prefix}", "correct it")
        else:
            found.append(addresses)
    return found


def _read_range(place: Place, text: str, prefix: Network, with_prefixes: bool) -> Range | None:
    if with_prefixes and "/" in text:
        inner = read_prefix(place, text)
        if inner is not None and inner.version != prefix.version:
            place.mistake(f"{inner} is an IPv{inner.version} prefix", f"give one inside {prefix}")
            return None
        return span_of(inner) if inner is not None else None
    first_text, dash, last_text = text.partition("-")
    first = read_address(place, first_text.strip(), prefix.version)
    last = read_address(place, last_text.strip(), prefix.version) if dash else first
    if first is None or last is None:
        return None
    if int(first) > int(last):
        place.mistake(f"{shown(text)} runs backwards", f"write {last}-{first}")
        return None
    return Range(prefix.version, int(first), int(last))


def _check_apart(place: Place, ranges: list[Range]) -> None:
    ordered = sorted(ranges, key=_first)
    for before, after in pairwise(ordered):
        if after.first <= before.last:
            place.mistake(f"{before} and {after} overlap", "make one range of them, or set them apart")
