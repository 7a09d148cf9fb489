# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with the addresses of pools, gateways and hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .cluster import Cluster, Host, Pool, Range
from .findings import Findings, Place
from .values import Address


class OwnedPool(NamedTuple):
    """A pool and its cluster."""

    cluster: Cluster
    pool: Pool

    def __str__(self) -> str:
        return f"pool {self.pool.name} of {self.cluster.where}"

    def place(self, findings: Findings) -> Place:
        """Return where the pool is described."""
        return Place(findings, self.pool.node or self.cluster.where, self.pool.key)


def check_addresses(findings: Findings, hosts: Mapping[str, Host], clusters: Sequence[Cluster]) -> None:
    """Record overlapping or empty pools, and gateways and hosts that are in the way of pools or of each other."""
    pools = [OwnedPool(cluster, pool) for cluster in clusters for pool in cluster.pools]
    _check_overlaps(findings, pools)
    for owned in pools:
        if count_free(owned.pool) < 1:
            owned.place(findings).mistake("has no address left to give out", "widen its ranges, or exclude less")
    _check_gateways(findings, hosts, clusters, pools)
    for host in hosts.values():
        _check_underlay(findings, host, pools)


def _check_gateways(
    findings: Findings, hosts: Mapping[str, Host], clusters: Sequence[Cluster], pools: Sequence[OwnedPool]
) -> None:
    by_address = {host.address(version): host for host in hosts.values() for version in (4, 6)}
    for cluster in clusters:
        for key, address in cluster.gateway.addresses():
            place = Place(findings, cluster.where, f"cluster.gateway.{key}")
            for owned in pools_with(pools, address):
                place.mistake(f"{address} is inside {owned}", "choose an address outside every pool")
            host = by_address.get(address)
            if host is not None:
                place.mistake(f"{address} is the address of {host.name}", "choose an address that nothing else uses")


def _check_underlay(findings: Findings, host: Host, pools: Sequence[OwnedPool]) -> None:
    for version in (4, 6):
        address = host.address(version)
        if address is None:
            continue
        for owned in pools_with(pools, address):
            Place(findings, host.name, f"underlay_ipv{version}").mistake(
                f"{address} is inside {owned}", "give the pool a prefix without the underlay's addresses"
            )


def pools_with(pools: Sequence[OwnedPool], address: Address) -> Iterator[OwnedPool]:
    """Yield the pools whose prefix holds an address."""
    number = int(address)
    for owned in pools:
        span = owned.pool.span
        if span.version == address.version and span.first <= number <= span.last:
            yield owned


def _check_overlaps(findings: Findings, pools: Sequence[OwnedPool]) -> None:
    """Record every pool that begins before the widest one so far has ended; pools are sorted by their first address."""
    widest: OwnedPool | None = None
    for owned in sorted(pools, key=lambda each: (each.pool.version, each.pool.span.first, -each.pool.span.last)):
        overlaps = widest is not None and _overlap(widest.pool.span, owned.pool.span)
        if widest is not None and overlaps:
            owned.place(findings).at("prefix").mistake(
                f"{owned.pool.prefix} overlaps {widest.pool.prefix}, {widest}", "give each pool addresses of its own"
            )
        if widest is None or not overlaps or owned.pool.span.last > widest.pool.span.last:
            widest = owned


def _overlap(one: Range, other: Range) -> bool:
    return one.version == other.version and one.first <= other.last and other.first <= one.last


def count_free(pool: Pool) -> int:
    """Return how many addresses a pool gives out: those of its ranges that are not excluded."""
    total = sum(each.size for each in pool.ranges)
    covered = -1  # addresses up to this one have been taken off
    for hole in pool.exclude:
        for each in pool.ranges:
            first, last = max(hole.first, each.first, covered + 1), min(hole.last, each.last)
            total -= max(0, last - first + 1)
        covered = max(covered, hole.last)
    return total
