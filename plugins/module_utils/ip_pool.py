# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of addresses and their leases: the things a call asks for, and what a register must be able to do.

`ip_pool_request` reads options, `ip_pool_plan` decides, `ip_pool_spans` counts. None of them knows how a register keeps
its rows; `ip_pool_sqlite` does, and another backend would stand beside it.
"""

from __future__ import annotations

import abc
import functools
from typing import ContextManager, Dict, Iterable, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_spans import (
    Span,
    count_addresses,
    subtract_spans,
    write_address,
    write_spans,
)


class PoolError(Exception):
    """What was asked for can't be done, and nothing was changed; `mistakes` holds one line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class Pool(NamedTuple):
    """A pool as it was defined; ranges and exclude are sorted, disjoint and coalesced."""

    name: str
    prefix: str
    ranges: Tuple[Span, ...]
    exclude: Tuple[Span, ...]

    @property
    def allowed(self) -> Tuple[Span, ...]:
        """What may be leased: the ranges without the exclusions."""
        return _allowed(self.ranges, self.exclude)

    @property
    def size(self) -> int:
        """How many addresses may be leased."""
        return count_addresses(self.allowed)

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.prefix else 4

    @property
    def text(self) -> str:
        """The definition on one line, for a diff."""
        return f"{self.prefix} ranges {write_spans(self.ranges)} exclude {write_spans(self.exclude) or 'none'}"


class Lease(NamedTuple):
    """An address that an owner has out of a pool. holder: the node it is used on, if told; leased_at: Unix seconds."""

    owner: str
    pool: str
    address: int
    holder: Optional[str]
    leased_at: int

    @property
    def text(self) -> str:
        """The lease on one line, for a diff."""
        return f"{write_address(self.address)} pool {self.pool} holder {self.holder or 'none'}"


class LeaseRequest(NamedTuple):
    """One entry of `leases`. label: how messages call it; pool: None releases all of the owner's leases."""

    label: str
    owner: str
    pool: Optional[str]
    address: Optional[int]
    holder: Optional[str]
    other_holder: str  # what a lease held by another than `holder` means: refuse, keep, move
    release: bool


class Request(NamedTuple):
    """What one call asks for."""

    pools: Tuple[Pool, ...]
    leases: Tuple[LeaseRequest, ...]


class PoolChange(NamedTuple):
    """A pool as it shall be defined, and its free spans then."""

    pool: Pool
    new: bool
    free: Tuple[Span, ...]


class LeaseChange(NamedTuple):
    """What a register writes: leases gone, come, and held by another node; free spans, by pool, that go and come."""

    gone: Tuple[Lease, ...] = ()
    come: Tuple[Lease, ...] = ()
    held: Tuple[Lease, ...] = ()
    free_gone: Tuple[Tuple[str, Span], ...] = ()
    free_come: Tuple[Tuple[str, Span], ...] = ()


class FreeQuestion(NamedTuple):
    """Which free spans of a pool a plan needs: so many of the lowest, and those that hold or touch these addresses."""

    lowest: int
    around: Tuple[int, ...]


class Snapshot(NamedTuple):
    """All of a register at one moment; free spans by pool's name."""

    pools: Tuple[Pool, ...]
    leases: Tuple[Lease, ...]
    free: Dict[str, Tuple[Span, ...]]


class Register(abc.ABC):
    """Where pools, leases and free spans are kept; errors are PoolErrors.

    It must itself hold two things true, whoever writes at the same time: an address is leased once in the whole
    register, and an owner has one lease in a pool.
    """

    @abc.abstractmethod
    def transaction(self, keep: bool) -> ContextManager[None]:
        """Lend the register to this caller alone.

        All that is written counts at the end, or nothing: after an error, and when keep is false (check mode).
        """

    @abc.abstractmethod
    def read_pools(self) -> Tuple[Pool, ...]:
        """Return every pool."""

    @abc.abstractmethod
    def read_pool_leases(self, pools: Iterable[str]) -> Tuple[Lease, ...]:
        """Return all leases of these pools."""

    @abc.abstractmethod
    def read_leased_addresses(self, spans: Iterable[Span]) -> Tuple[int, ...]:
        """Return the addresses inside these spans that are leased, out of whichever pool."""

    @abc.abstractmethod
    def read_leases(self, requests: Iterable[LeaseRequest]) -> Tuple[Lease, ...]:
        """Return the leases that the requests name by owner (and pool), or by address."""

    @abc.abstractmethod
    def read_free(self, questions: Mapping[str, FreeQuestion]) -> Dict[str, Tuple[Span, ...]]:
        """Return free spans for every pool in questions; more spans than were asked for do no harm."""

    @abc.abstractmethod
    def write_pools(self, changes: Iterable[PoolChange]) -> None:
        """Define pools, and replace their free spans."""

    @abc.abstractmethod
    def write_leases(self, change: LeaseChange) -> None:
        """Write leases and the rows of free spans that change with them; raise when a row to change isn't there."""

    @abc.abstractmethod
    def read_snapshot(self) -> Snapshot:
        """Return everything, as of one moment, without a transaction of the caller's."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the register."""


@functools.lru_cache(maxsize=1024)
def _allowed(ranges: Tuple[Span, ...], exclude: Tuple[Span, ...]) -> Tuple[Span, ...]:
    return subtract_spans(ranges, exclude)
