# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call comes to: planners, pure functions of what was found and is wanted, and their order in a transaction."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import (
    FreeQuestion,
    Lease,
    LeaseChange,
    LeaseRequest,
    Pool,
    PoolChange,
    PoolError,
    Register,
    Request,
    Snapshot,
)
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_spans import (
    FreeSpans,
    Span,
    count_addresses,
    family_of,
    holds_address,
    merge_spans,
    subtract_spans,
    write_address,
    write_spans,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step

NAMED_IN_WARNING = 10       # leases a warning names before it counts the rest


class PoolPlan(NamedTuple):
    """What becomes of the pools; warnings name leases that are outside what may be leased now."""

    steps: Tuple[Step, ...]
    changes: Tuple[PoolChange, ...]
    warnings: Tuple[str, ...]


class Settled(NamedTuple):
    """Requests that need no new address, by their position, and the positions that need one.

    answers: what is returned for a position, as (lease, state); gone, held: as in LeaseChange.
    """

    answers: Dict[int, Tuple[Tuple[Lease, str], ...]]
    steps: Tuple[Step, ...]
    gone: Tuple[Lease, ...]
    held: Tuple[Lease, ...]
    open: Tuple[int, ...]
    mistakes: Tuple[str, ...]


class LeasePlan(NamedTuple):
    """What is answered to each request, and what is written."""

    answers: Tuple[Dict[str, Any], ...]
    steps: Tuple[Step, ...]
    change: LeaseChange


def changed_pools(stored: Mapping[str, Pool], wanted: Iterable[Pool]) -> Tuple[Pool, ...]:
    """Return the pools that are new or defined otherwise than the register has them."""
    return tuple(pool for pool in wanted if stored.get(pool.name) != pool)


def plan_pools(
        stored: Mapping[str, Pool], changed: Sequence[Pool], leases: Iterable[Lease],
        leased: Iterable[int]) -> PoolPlan:
    """Return how pools come to be as `changed` has them.

    leases: all of the changed pools; leased: all addresses inside them that are leased, out of whichever pool.
    Raises PoolError when an address would be in two pools, or a pool with leases would change its family.
    """
    final = {**stored, **{pool.name: pool for pool in changed}}
    leases_of: Dict[str, List[Lease]] = {pool.name: [] for pool in changed}
    for lease in leases:
        leases_of[lease.pool].append(lease)
    mistakes = _find_overlaps(final.values())
    taken = merge_spans(Span(number, number) for number in leased)
    steps, changes, warnings = [], [], []
    for pool in changed:
        old = stored.get(pool.name)
        if old and old.family != pool.family and leases_of[pool.name]:
            mistakes.append(
                f"pool {pool.name}: {old.prefix} has {len(leases_of[pool.name])} leases and can't become {pool.prefix}"
                "; release them first, or define the new prefix under another name")
        outside = [lease for lease in leases_of[pool.name] if not holds_address(pool.allowed, lease.address)]
        warnings += [_warn_outside(pool, outside)] if outside else []
        steps.append(Step(
            "is defined otherwise" if old else "is new", f"pool {pool.name}", (old.text,) if old else (), (pool.text,)))
        changes.append(PoolChange(pool, old is None, subtract_spans(pool.allowed, taken)))
    if mistakes:
        raise PoolError(*mistakes)
    return PoolPlan(tuple(steps), tuple(changes), tuple(warnings))


def settle_requests(requests: Sequence[LeaseRequest], pools: Mapping[str, Pool], leases: Iterable[Lease]) -> Settled:
    """Return what the requests come to before any new address is chosen. leases: what read_leases() found for them."""
    by_owner: Dict[str, Dict[str, Lease]] = {}
    for lease in leases:
        by_owner.setdefault(lease.owner, {})[lease.pool] = lease
    answers: Dict[int, Tuple[Tuple[Lease, str], ...]] = {}
    steps: List[Step] = []
    gone: List[Lease] = []
    held: List[Lease] = []
    missing: List[int] = []
    mistakes: List[str] = []
    for at, request in enumerate(requests):
        owned = by_owner.get(request.owner, {})
        if request.pool is not None:
            owned = {request.pool: owned[request.pool]} if request.pool in owned else {}
        wrong = [said for lease in owned.values() for said in _refuse_lease(request, lease)]
        if not request.release and request.pool not in pools:
            wrong = [f"there is no pool {request.pool}; define it in pools, or name one of: {', '.join(sorted(pools))}"]
        if wrong:
            mistakes += [f"{request.label}: {said}" for said in wrong]
        elif request.release:
            answers[at] = tuple((lease, "absent") for lease in owned.values())
            gone += owned.values()
            steps += [Step("is released", f"lease {request.owner}", (lease.text,)) for lease in owned.values()]
        elif not owned:
            missing.append(at)
        else:
            (old,) = owned.values()
            keeps = old.holder and request.other_holder == "keep"
            new = old if keeps else old._replace(holder=request.holder or old.holder)
            answers[at] = ((new, "present"),)
            if new != old:
                held.append(new)
                why = "moves to another holder" if old.holder else "has a holder now"
                steps.append(Step(why, f"lease {request.owner}", (old.text,), (new.text,)))
    return Settled(answers, tuple(steps), tuple(gone), tuple(held), tuple(missing), tuple(mistakes))


def ask_free(
        requests: Sequence[LeaseRequest], pools: Mapping[str, Pool], settled: Settled) -> Dict[str, FreeQuestion]:
    """Return which free spans plan_leases() needs to know.

    As many of the lowest as there are requests, since each uses up one span at most, and the surroundings of every
    address that is asked for or given back.
    """
    lowest: Dict[str, int] = {}
    around: Dict[str, List[int]] = {}
    for at in settled.open:
        pool, number = requests[at].pool or "", requests[at].address
        lowest[pool] = lowest.get(pool, 0) + 1
        around.setdefault(pool, []).extend([] if number is None else [number])
    for lease in settled.gone:
        home = _find_home(pools, lease)
        if home:
            around.setdefault(home, []).append(lease.address)
    return {pool: FreeQuestion(lowest.get(pool, 0), tuple(around[pool])) for pool in sorted(around)}


def plan_leases(
        requests: Sequence[LeaseRequest], pools: Mapping[str, Pool], leases: Iterable[Lease], settled: Settled,
        free: FreeSpans, now: int) -> LeasePlan:
    """Return what every request gets, and the rows that change; raises PoolError with everything that can't be met.

    Order: what is released comes free first, then asked-for addresses are taken, then the lowest free ones in the order
    of the list. now: Unix seconds.
    """
    gone = set(settled.gone)
    leased = {lease.address: lease for lease in leases if lease not in gone}
    for lease in settled.gone:
        home = _find_home(pools, lease)
        if home:
            free.give(home, lease.address)
    wanted: Dict[str, int] = {}
    for at in settled.open:
        wanted[requests[at].pool or ""] = wanted.get(requests[at].pool or "", 0) + 1
    before = {name: free.count(name) for name in wanted}
    come: Dict[int, Lease] = {}
    mistakes = list(settled.mistakes)
    for at in sorted(settled.open, key=lambda at: requests[at].address is None):
        request, pool = requests[at], pools[requests[at].pool or ""]
        wrong = None
        number = request.address
        if number is not None:
            wrong = _refuse_address(number, pool, leased.get(number), free)
        else:
            number = free.pick(pool.name)
        if number is None:
            wrong = (f"pool {pool.name} is full: size {pool.size}, in use {pool.size - before[pool.name]}, "
                     f"new ones asked for {wanted[pool.name]}; release leases or widen the pool")
        if wrong or number is None:
            mistakes.append(f"{request.label}: {wrong}")
        else:
            come[at] = Lease(request.owner, pool.name, number, request.holder, now)
    if mistakes:
        raise PoolError(*mistakes)
    steps = [*settled.steps]
    steps += [Step("is new", f"lease {come[at].owner}", (), (come[at].text,)) for at in settled.open]
    answers: List[Dict[str, Any]] = []
    for at, request in enumerate(requests):
        given = ((come[at], "present"),) if at in come else settled.answers[at]
        answers += [_answer(lease, state, at in come, pools) for lease, state in given] or [_answer_nothing(request)]
    change = LeaseChange(settled.gone, tuple(come[at] for at in settled.open), settled.held, *free.changes())
    return LeasePlan(tuple(answers), tuple(steps), change)


class Outcome(NamedTuple):
    """What a call came to. answers: the module's `leases`."""

    answers: Tuple[Dict[str, Any], ...]
    steps: Tuple[Step, ...]
    warnings: Tuple[str, ...]


def answer_request(register: Register, request: Request, now: int, keep: bool = True) -> Outcome:
    """Do what a call asks for, whole or not at all; keep false: only predict it. Raises PoolError."""
    with register.transaction(keep):
        pools = {pool.name: pool for pool in register.read_pools()}
        pool_plan = PoolPlan((), (), ())
        changed = changed_pools(pools, request.pools)
        if changed:
            inside = register.read_leased_addresses(span for pool in changed for span in pool.allowed)
            leases = register.read_pool_leases(pool.name for pool in changed)
            pool_plan = plan_pools(pools, changed, leases, inside)
            register.write_pools(pool_plan.changes)
            pools.update((pool.name, pool) for pool in changed)
        found = register.read_leases(request.leases)
        settled = settle_requests(request.leases, pools, found)
        free = FreeSpans(register.read_free(ask_free(request.leases, pools, settled)))
        plan = plan_leases(request.leases, pools, found, settled, free, now)
        register.write_leases(plan.change)
    outside = tuple(
        f"{answer['owner']} keeps {answer['address']}, which pool {answer['pool']} does not hand out any more"
        for answer in plan.answers if answer["outside"] and answer["state"] == "present")
    return Outcome(plan.answers, pool_plan.steps + plan.steps, pool_plan.warnings + outside)


def find_faults(register: Snapshot) -> "list[str]":
    """Return what contradicts itself in a register: each address of a pool is either leased once or free once."""
    faults: List[str] = []
    leased = sorted(lease.address for lease in register.leases)
    faults += [f"{write_address(one)} is leased twice" for one, other in zip(leased, leased[1:]) if one == other]
    taken = merge_spans(Span(number, number) for number in leased)
    for pool in register.pools:
        wanted, free = subtract_spans(pool.allowed, taken), register.free.get(pool.name, ())
        if tuple(sorted(free)) != merge_spans(free):
            faults.append(f"pool {pool.name} has free ranges that overlap or touch")
        for span in subtract_spans(wanted, merge_spans(free)):
            faults.append(f"pool {pool.name}: {write_spans([span])} is neither leased nor free")
        for span in subtract_spans(merge_spans(free), wanted):
            faults.append(f"pool {pool.name}: {write_spans([span])} is free, and leased or outside the pool")
    return faults


def describe_snapshot(register: Snapshot, wanted: Mapping[str, str]) -> Dict[str, Any]:
    """Return a register as values of ip_pool_info. wanted: what `owner`, `pool`, `holder` of a lease must be."""
    pools = {pool.name: pool for pool in register.pools}
    free = {name: count_addresses(spans) for name, spans in register.free.items()}
    return {
        "pools": [
            {"name": pool.name, "family": pool.family, "prefix": pool.prefix,
             "ranges": [write_spans([span]) for span in pool.ranges],
             "exclude": [write_spans([span]) for span in pool.exclude],
             "size": pool.size, "in_use": pool.size - free[pool.name], "free": free[pool.name]}
            for pool in register.pools],
        "leases": [
            {"owner": lease.owner, "pool": lease.pool, "address": write_address(lease.address),
             "family": family_of(lease.address), "holder": lease.holder,
             "outside": not holds_address(pools[lease.pool].allowed, lease.address), "leased_at": lease.leased_at}
            for lease in register.leases if all(getattr(lease, key) == value for key, value in wanted.items())],
        "faults": find_faults(register)}


# --- parts of the plans ---

def _find_overlaps(pools: Iterable[Pool]) -> List[str]:
    found: Dict[Tuple[str, str], Span] = {}
    last = Span(0, -1)
    last_name = ""
    for span, name in sorted((span, pool.name) for pool in pools for span in pool.allowed):
        if span.first <= last.last:
            pair = (min(name, last_name), max(name, last_name))
            found.setdefault(pair, Span(span.first, min(span.last, last.last)))
        if span.last > last.last:
            last, last_name = span, name
    return [
        f"pools {one} and {two} both have {write_spans([span])}, but an address is in one pool only; "
        "change the ranges or exclude of one of them"
        for (one, two), span in sorted(found.items())]


def _warn_outside(pool: Pool, leases: Sequence[Lease]) -> str:
    named = ", ".join(f"{write_address(lease.address)} ({lease.owner})" for lease in leases[:NAMED_IN_WARNING])
    more = len(leases) - NAMED_IN_WARNING
    return (f"pool {pool.name} does not hand out any more, but they stay leased until they are released: {named}"
            + (f" and {more} more" if more > 0 else ""))


def _find_home(pools: Mapping[str, Pool], lease: Lease) -> Optional[str]:
    """Return the pool a released address is free in: its own, or one that has the address now; None when none has."""
    if lease.pool in pools and holds_address(pools[lease.pool].allowed, lease.address):
        return lease.pool
    return next((pool.name for pool in pools.values() if holds_address(pool.allowed, lease.address)), None)


def _refuse_lease(request: LeaseRequest, lease: Lease) -> List[str]:
    """Return why a lease that is there is not what a request takes it for."""
    has, wrong = write_address(lease.address), []
    if request.address is not None and request.address != lease.address:
        asked = write_address(request.address)
        wrong.append(
            f"it has {has} in pool {lease.pool}, not {asked}; "
            + ("name the address it has, or none" if request.release
               else f"release {has} first, or ask without an address"))
    if request.holder is None or request.holder == lease.holder:
        return wrong
    if request.release:
        wrong.append(
            f"{has} is held by {lease.holder or 'nobody'}, not {request.holder}; release it there, or name no holder")
    elif lease.holder is not None and request.other_holder == "refuse":
        wrong.append(
            f"{has} is held by {lease.holder}, and one VM is attached in one place; detach it from {lease.holder}, "
            f"or set other_holder to move if it shall be on {request.holder}")
    return wrong


def _refuse_address(number: int, pool: Pool, other: Optional[Lease], free: FreeSpans) -> Optional[str]:
    """Take an asked-for address; return why that can't be."""
    asked = write_address(number)
    if other:
        where = f", held by {other.holder}" if other.holder else ""
        return f"{asked} is leased to {other.owner} (pool {other.pool}{where}); ask for another, or release that lease"
    if holds_address(pool.exclude, number):
        return f"{asked} is excluded from pool {pool.name}; ask for another, or take it out of exclude"
    if not holds_address(pool.ranges, number):
        return f"{asked} is not in pool {pool.name} ({pool.prefix}, {write_spans(pool.ranges)}); ask for one that is"
    if not free.take(pool.name, number):
        return f"{asked} is neither leased nor free: the register is damaged; restore it from a backup"
    return None


def _answer(lease: Lease, state: str, new: bool, pools: Mapping[str, Pool]) -> Dict[str, Any]:
    pool = pools.get(lease.pool)
    return {
        "owner": lease.owner, "pool": lease.pool, "address": write_address(lease.address),
        "family": family_of(lease.address), "holder": lease.holder, "new": new, "state": state,
        "outside": pool is None or not holds_address(pool.allowed, lease.address)}


def _answer_nothing(request: LeaseRequest) -> Dict[str, Any]:
    return {
        "owner": request.owner, "pool": request.pool, "address": None, "family": None, "holder": None, "new": False,
        "state": "absent", "outside": False}
