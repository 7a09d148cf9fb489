#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration of guests with a kernel of their own (emulated qemu): their own pause, and what the network adds.

A round is one run of migrate_vm.yml for all guests; armed, they move one by one by QMP, each under a probe both ways,
from the Internet, from a VM on the old node or from one on the new node. Each guest has a TCP connection from the
Internet all the time, over which it sends a number every 10 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _report import median, print_table, write_report
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.errors import LabError
from vmlab.migrations import Migration, Ticks, move_guest
from vmlab.stories import unique_lab_name

NODES = ("node1", "node3")  # FRR 8.4 and FRR 10.3
PLACES = ("ext", "source", "target")
CLIENTS = {"node1": "near1", "node3": "near3"}
GUESTS = ("move0", "move1", "move2", "move3")
BEFORE, AFTER = 0.3, 1.5  # seconds of the probe around a move
BOOT_SECONDS = 300
GUEST_SPOILT_MS = 1000  # a guest whose sender is later than this beside its pause had no processor
PRIORITY = 20


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


class Story:
    """The data centre with its guests."""

    def __init__(self, lab: Lab, rate: int) -> None:
        self.lab, self.cluster, self.rate = lab, Cluster(lab), rate
        self.addresses: dict[str, list[str]] = {}

    def build(self) -> None:
        """Attach and start all VMs."""
        homes = {**dict.fromkeys(GUESTS, NODES[0]), **{vm: node for node, vm in CLIENTS.items()}}
        self.cluster.play("site.yml", timeout=1200)
        self.cluster.attach(*({"name": vm, "node": node} for vm, node in homes.items()), timeout=600)
        self.addresses = self.cluster.start_guests(NODES[0], *GUESTS, kind="qemu", timeout=BOOT_SECONDS)
        for node, vm in CLIENTS.items():
            self.addresses.update(self.cluster.start_guests(node, vm))
        self.cluster.wait_for_answer("ext", [each for own in self.addresses.values() for each in own], BOOT_SECONDS)

    def connect(self, vm: str) -> Ticks:
        """A connection from the Internet to a guest."""
        return Ticks(self.lab, "ext", next(address for address in self.addresses[vm] if ":" not in address))

    def round(self, number: int, place: str) -> list[Run]:
        """Move all guests to the other node by one run of the playbook."""
        source, target = NODES if number % 2 == 0 else NODES[::-1]
        client = {"ext": "ext", "source": CLIENTS[source], "target": CLIENTS[target]}[place]
        with Migration(self.cluster, dict.fromkeys(GUESTS, target), timeout=1500,
                       extra={"migrate_wait": 900}) as migration:
            migration.wait_until_armed(300)
            runs = [self.measure(vm, client, target, family=4 + 2 * (at % 2)) for at, vm in enumerate(GUESTS)]
        said = "; ".join(f"pause {run.pause_ms:.0f}, network {run.network_ms:.0f}{'!' if run.spoilt else ''}"
                         for run in runs)
        print(f"round {number + 1}, {place}: playbook {migration.finish().seconds:.0f} s; {said}", flush=True)
        return runs

    def measure(self, vm: str, client: str, target: str, family: int) -> Run:
        """One move under a probe."""
        with self.lab.probe(client, vm, rate=self.rate, family=family) as probe:
            time.sleep(BEFORE)
            pause_ms = move_guest(self.lab, vm, target).pause_ms
            time.sleep(AFTER)
        result = probe.result()
        assert result.there is not None and result.back is not None
        unit, late_ms = 1000 / self.rate, result.back.sender_latest_ms
        return Run(pause_ms, result.back.longest_gap_ms, result.there.lost * unit, result.back.lost * unit,
                   late_ms, result.there.is_spoilt or late_ms > GUEST_SPOILT_MS)


def report(rounds: dict[str, list[Run]], connections: dict[str, str], moves: int, loads: Sequence[float]) -> None:
    """Print and write what was measured."""
    rows, figures = [], {}
    for place, runs in rounds.items():
        sound = [run for run in runs if not run.spoilt] or runs
        pauses, network = [run.pause_ms for run in runs], [run.network_ms for run in sound]
        figures[place] = {"pause_median": median(pauses), "pause_worst": max(pauses), "network_median": median(network),
                          "network_worst": max(network), "worst_of_all": max(run.network_ms for run in runs),
                          "runs": len(runs), "spoilt": sum(run.spoilt for run in runs),
                          "gap_beyond_pause_median": median([run.gap_ms - run.pause_ms for run in runs])}
        rows.append([place, *figures[place].values()])
    print_table("a qemu guest (emulated) that moves live, ms", [
        "seen from", "pause, median", "worst", "network adds, median", "worst", "worst with spoilt ones", "runs",
        "spoilt", "gap beyond the pause, median"], rows)
    for vm, said in connections.items():
        print(f"TCP connection to {vm} over {moves} migrations in a row: {said}")
    print(f"load of the machine: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} processors")
    write_report("bench_migration_qemu", {
        "figures": figures, "connections": connections, "migrations_in_a_row": moves, "loads": loads,
        "moves": {place: [asdict(run) for run in runs] for place, runs in rounds.items()}})


def describe(ticks: Ticks) -> str:
    """What became of a connection."""
    try:
        ticks.check()
    except LabError as error:
        return str(error)
    return f"open, {ticks.count + 1} numbers in order, none for {ticks.longest_gap * 1000:.0f} ms at most"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="moves seen from each place (default 20)")
    parser.add_argument("--rate", type=int, default=1000, help="packets a second (default 1000)")
    options = parser.parse_args()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    loads = [os.getloadavg()[0]]
    with ExitStack() as stack:
        lab = Lab.up(name=unique_lab_name("benchqemu"))
        stack.callback(lab.down)
        story = Story(lab, options.rate)
        story.build()
        connections = {vm: stack.enter_context(story.connect(vm)) for vm in GUESTS}
        rounds: dict[str, list[Run]] = {place: [] for place in PLACES}
        moves = 0
        while len(rounds[PLACES[-1]]) < options.runs:
            place = PLACES[moves % len(PLACES)]
            rounds[place] += story.round(moves, place)
            moves += 1
            loads.append(os.getloadavg()[0])
        report(rounds, {vm: describe(ticks) for vm, ticks in connections.items()}, moves, loads)


if __name__ == "__main__":
    main()
