#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration of guests with a kernel of their own (emulated qemu): their own pause, and what the network adds.

A round is one run of migrate_vm.yml for all guests; armed, they move one by one by QMP, each under a probe both ways,
from the Internet, from a VM on the old node or from one on the new node. Each guest has a TCP connection from the
Internet all the time, over which it sends a number every 10 ms. Then one more guest moves there and back by the naive
orders: FRR's statics typed at qemu's STOP and RESUME.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _data_centre import RUN, FalseAlarms, Loads, data_centre
from _moves import AFTER_NAIVE, BEFORE, NAIVE, ORDERS, PLACES, Movers, NaiveOrders
from _report import Figure, median, print_table, write_report
from vmlab.cluster import FABRIC, Cluster
from vmlab.errors import LabError
from vmlab.migrations import Migration, Ticks, move_guest
from vmlab.qemu import Move

NODES = ("node1", "node3")  # FRR 8.4 and FRR 10.3
AFTER = 1.5  # seconds of the probe after a move
BOOT_SECONDS = 300
GUEST_SPOILT_MS = 1000  # a guest whose sender is later than this beside its pause had no processor
IN_A_ROW = 10  # migrations that a TCP connection has to survive


@dataclass(frozen=True)
class Run:
    """One move. pause: how long qemu says that the guest stood still; gap: the longest between packets from it, by the
    clock of who gets them; lost: as much as comes in so many ms; late: how late the guest's own sender was beside the
    pause, which its emulated processor makes."""

    pause_ms: float
    gap_ms: float
    lost_to_ms: float
    lost_from_ms: float
    late_ms: float
    spoilt: bool

    @property
    def network_ms(self) -> float:
        """What the network adds to the guest's pause: packets lost, or late; those to the guest wait in the tap."""
        return max(0.0, self.gap_ms - self.pause_ms - self.late_ms, self.lost_to_ms, self.lost_from_ms)

    def __str__(self) -> str:
        return f"pause {self.pause_ms:.0f}, network {self.network_ms:.0f}{'!' if self.spoilt else ''}"


class Story(Movers):
    """The data centre with its guests."""

    def __init__(self, cluster: Cluster, guests: int, rate: int) -> None:
        super().__init__(cluster, [f"move{number}" for number in range(guests)], NODES, "ext")
        self.rate = rate
        self.addresses: dict[str, list[str]] = {}

    def build(self) -> None:
        """Attach all VMs; start all but the one for naive orders, which would take processor time from the others."""
        self.attach(NAIVE)
        self.start_emulated(*self.names)
        for node, vm in self.near.items():
            self.addresses.update(self.cluster.start_guests(node, vm))
        self.cluster.wait_for_answer("ext", [each for own in self.addresses.values() for each in own], BOOT_SECONDS)

    def start_emulated(self, *names: str) -> None:
        """Boot guests on the first node."""
        started = self.cluster.start_guests(NODES[0], *names, kind="qemu", timeout=BOOT_SECONDS)
        self.cluster.wait_for_answer("ext", [each for own in started.values() for each in own], BOOT_SECONDS)
        self.addresses.update(started)
        print(f"{len(names)} guests have booted", flush=True)

    def connect(self, vm: str) -> Ticks:
        """A connection from the Internet to a guest."""
        return Ticks(self.lab, "ext", next(address for address in self.addresses[vm] if ":" not in address))

    def round(self, number: int, rounds: dict[str, list[Run]]) -> None:
        """Move all guests to the other node by one run of the playbook, places and families by turns."""
        source, target = self.ends()
        with Migration(self.cluster, dict.fromkeys(self.names, target), timeout=RUN,
                       extra={"migrate_wait": 900}) as migration:
            migration.wait_until_armed(300)
            for at, vm in enumerate(self.names):
                place = PLACES[(number + at) % len(PLACES)]
                run = self.watch(vm, self.looking(place, source, target), 4 + 2 * ((number + at // 3) % 2),
                                 lambda vm=vm: move_guest(self.lab, vm, target), AFTER)
                rounds[place].append(run)
                print(f"round {number + 1}, {vm}, {place}: {run}", flush=True)
        print(f"playbook {migration.finish().seconds:.0f} s", flush=True)

    def naive_move(self, orders: NaiveOrders, place: str, number: int, withdraw_first: bool) -> Run:
        """Move one guest to the other node; the old one withdraws at STOP, or leaves it to the loss of carrier."""
        source, target = self.ends(NAIVE)
        at_stop = (lambda: orders.withdraw(source)) if withdraw_first else None

        def move() -> Move:
            return self.lab.guest_move(NAIVE, target, at_stop=at_stop, at_resume=lambda: orders.announce(target))

        run = self.watch(NAIVE, self.looking(place, source, target), 4 + 2 * (number % 2), move, AFTER_NAIVE)
        orders.settle(source)
        print(f"naive: {ORDERS[withdraw_first]}, {place}: {run}", flush=True)
        return run

    def watch(self, vm: str, client: str, family: int, move: Callable[[], Move], after: float) -> Run:
        """One move under a probe."""
        with self.lab.probe(client, vm, rate=self.rate, family=family) as probe:
            time.sleep(BEFORE)
            pause_ms = move().pause_ms
            time.sleep(after)
        result = probe.result()
        assert result.there is not None and result.back is not None
        unit, late_ms = 1000 / self.rate, result.back.sender_latest_ms
        return Run(pause_ms, result.back.longest_gap_ms, result.there.lost * unit, result.back.lost * unit,
                   late_ms, result.there.is_spoilt or late_ms > GUEST_SPOILT_MS)


def summarize(runs: list[Run]) -> dict[str, float]:
    """Medians and worsts of the runs of a place or order."""
    sound = [run for run in runs if not run.spoilt] or runs
    pauses, network = [run.pause_ms for run in runs], [run.network_ms for run in sound]
    return {"pause_median": median(pauses), "pause_worst": max(pauses), "network_median": median(network),
            "network_worst": max(network), "worst_of_all": max(run.network_ms for run in runs),
            "runs": len(runs), "spoilt": sum(run.spoilt for run in runs),
            "gap_beyond_pause_median": median([run.gap_ms - run.pause_ms for run in runs])}


def claim(figures: Mapping[str, Mapping[str, float]], connections: Mapping[str, str], moves: int) -> list[Figure]:
    """What is claimed of each place, beside the naive orders, and of the connections."""
    claimed = []
    for place in PLACES:
        own = figures[place]
        what = f"migration of a qemu guest, seen from {place}"
        spoilt = f"{own['spoilt']} of {own['runs']}"
        for order in ORDERS.values():
            if f"naive: {order}" in figures:
                claimed.append(Figure(
                    f"{what}: network adds", own["network_median"], "ms", own["network_worst"], f"naive: {order}",
                    figures[f"naive: {order}"]["network_median"], spoilt))
        claimed.append(Figure(f"{what}: pause and what the network adds", own["pause_median"] + own["network_median"],
                              "ms", beside="guest's own pause", other=own["pause_median"], spoilt=spoilt))
    broken = sum(not said.startswith("open") for said in connections.values())
    claimed.append(Figure(f"TCP connections lost, of {len(connections)}, over {moves} migrations in a row",
                          float(broken)))
    return claimed


def report(
    rounds: Mapping[str, list[Run]], connections: Mapping[str, str], moves: int, loads: Loads, alarms: FalseAlarms
) -> None:
    """Print and write what was measured."""
    figures = {place: summarize(runs) for place, runs in rounds.items() if runs}
    print_table("a qemu guest (emulated) that moves live, ms", [
        "seen from", "pause, median", "worst", "network adds, median", "worst", "worst with spoilt ones", "runs",
        "spoilt", "gap beyond the pause, median"], [[place, *each.values()] for place, each in figures.items()])
    ours = median([run.network_ms for place in PLACES for run in rounds[place]])
    for order in ORDERS.values():
        if f"naive: {order}" in figures:
            theirs = figures[f"naive: {order}"]["network_median"]
            print(f"ratio, {order}, to ours (median, ours at least 1 ms): {theirs / max(ours, 1.0):.0f}")
    for vm, said in connections.items():
        print(f"TCP connection to {vm} over {moves} migrations in a row: {said}")
    print(loads)
    write_report("bench_migration_qemu", {
        "figures": figures, "connections": connections, "migrations_in_a_row": moves, "loads": loads.seen,
        "moves": {place: [asdict(run) for run in runs] for place, runs in rounds.items()}},
        [*claim(figures, connections, moves), alarms.figure()])


def describe(ticks: Ticks) -> str:
    """What became of a connection."""
    try:
        ticks.check()
    except LabError as error:
        return str(error)
    return f"open, {ticks.count + 1} numbers in order, none for {ticks.longest_gap * 1000:.0f} ms at most"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=IN_A_ROW, help="of moves of all guests in a row (default 10)")
    parser.add_argument("--guests", type=int, default=6, help="that move in each round (default 6)")
    parser.add_argument("--naive", type=int, default=9, help="moves by each naive order, places by turns (default 9)")
    parser.add_argument("--rate", type=int, default=1000, help="packets a second (default 1000)")
    options = parser.parse_args()
    loads = Loads()
    with data_centre("benchqemu") as cluster:
        story = Story(cluster, options.guests, options.rate)
        story.build()
        alarms = FalseAlarms(cluster, *FABRIC)
        rounds: dict[str, list[Run]] = {place: [] for place in PLACES}
        with ExitStack() as stack:
            open_ones = {vm: stack.enter_context(story.connect(vm)) for vm in story.names}
            for number in range(options.rounds):
                story.round(number, rounds)
                loads.look()
            connections = {vm: describe(ticks) for vm, ticks in open_ones.items()}
        if options.naive:
            for vm in story.names:
                story.lab.guest_kill(vm)
            story.start_emulated(NAIVE)
            orders = NaiveOrders(story)
            with orders.interfaces():
                for withdraw_first, order in ORDERS.items():
                    rounds[f"naive: {order}"] = [
                        story.naive_move(orders, PLACES[at % 3], at, withdraw_first) for at in range(options.naive)]
                    loads.look()
        report(rounds, connections, options.rounds, loads, alarms)


if __name__ == "__main__":
    main()
