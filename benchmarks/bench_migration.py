#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration of guests that are network namespaces: what the network alone loses, and how others' orders compare.

A round is one run of migrate_vm.yml for many VMs; armed, they move one by one, each under probes of 1000 packets a
second both ways from the Internet, from a VM on the old node and from one on the new node at once, IPv4 and IPv6 by
turns. Guests stop for less than a millisecond, so what is lost is the network's. Then all of them move at the same
moment. The naive orders move one VM there and back, with FRR's statics typed at the moment at which a hypervisor's
hook would.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _data_centre import RUN, FalseAlarms, Loads, data_centre
from _moves import AFTER_NAIVE, BEFORE, NAIVE, ORDERS, PLACES, Movers, NaiveOrders, Run, probing, summarize
from _report import Figure, median, print_table, write_report
from vmlab.cluster import FABRIC, Cluster
from vmlab.migrations import Migration, tell_agent

NODES = ("node1", "node3")  # FRR 8.4 and FRR 10.3
TRIGGERS = {True: "STOP event", False: "first frame"}
AFTER = 1.0  # seconds of the probe after a move
RATE_AT_ONCE = 100  # packets a second to each VM, when all move at once
Rounds = dict[tuple[str, str], list[Run]]


class Story(Movers):
    """The data centre with its VMs."""

    def __init__(self, cluster: Cluster, runs: int) -> None:
        super().__init__(cluster, [f"move{number}" for number in range(runs)], NODES, "ext")

    def build(self) -> None:
        """Attach and start all VMs, and the one for naive orders."""
        self.attach(NAIVE)
        started = {**self.cluster.start_guests(NODES[0], *self.names, NAIVE, self.near[NODES[0]]),
                   **self.cluster.start_guests(NODES[1], self.near[NODES[1]])}
        self.cluster.wait_for_answer("ext", [address for own in started.values() for address in own], 120)

    def migration(self, target: str) -> Migration:
        """A run of the playbook that moves all VMs."""
        return Migration(self.cluster, dict.fromkeys(self.names, target), timeout=RUN, extra={"migrate_wait": 900})

    def round(self, tell: bool) -> dict[str, list[Run]]:
        """Move all VMs to the other node, one after the other, by one run of the playbook."""
        source, target = self.ends()
        runs: dict[str, list[Run]] = {place: [] for place in PLACES}
        with self.migration(target) as migration:
            migration.wait_until_armed(300)
            for number, vm in enumerate(self.names):
                def move(vm: str = vm) -> None:
                    if tell:
                        tell_agent(self.lab, source, vm, "stopped")
                    self.lab.guest_resume(vm)

                for place, run in self.measure(vm, number, move, after=AFTER).items():
                    runs[place].append(run)
                tell_lost(f"{TRIGGERS[tell]}, {vm}", {place: [own[-1]] for place, own in runs.items()})
        print(f"playbook {migration.finish().seconds:.0f} s", flush=True)
        return runs

    def at_once(self) -> list[Run]:
        """Move all VMs to the other node at the same moment, as the hypervisors of a node that is drained do."""
        source, target = self.ends()
        pauses: dict[str, float] = {}

        def move(vm: str) -> None:
            began = time.monotonic()
            self.lab.guest_pause(vm)
            tell_agent(self.lab, source, vm, "stopped")
            self.lab.guest_resume(vm)
            pauses[vm] = time.monotonic() - began
            self.lab.guest_release(vm)

        families = {vm: 4 + 2 * (at % 2) for at, vm in enumerate(self.names)}
        probes = {vm: self.lab.probe("ext", vm, rate=RATE_AT_ONCE, family=family) for vm, family in families.items()}
        with self.migration(target) as migration:
            migration.wait_until_armed(300)
            with probing(list(probes.values())):
                for vm in self.names:
                    self.lab.guest_prepare(vm, target)
                time.sleep(BEFORE)
                with ThreadPoolExecutor(len(self.names)) as pool:
                    list(pool.map(move, self.names))
                time.sleep(AFTER)
                migration.finish()
        runs = [Run.read(families[vm], probe.result(), pauses[vm]) for vm, probe in probes.items()]
        print(f"playbook {migration.finish().seconds:.0f} s")
        tell_lost(f"{len(runs)} at once", {"outside": runs})
        return runs

    def naive_round(self, orders: NaiveOrders, number: int, withdraw_first: bool) -> dict[str, Run]:
        """Move one VM to the other node; the old one withdraws at STOP, or leaves it to the loss of carrier."""
        source, target = self.ends(NAIVE)

        def move() -> None:
            if withdraw_first:
                orders.withdraw(source)
            self.lab.guest_resume(NAIVE)
            orders.announce(target)

        # How long the guest stands still is the order's own doing.
        runs = self.measure(NAIVE, number, move, after=AFTER_NAIVE, longest_pause=math.inf)
        orders.settle(source)
        tell_lost(f"naive: {ORDERS[withdraw_first]}", {place: [run] for place, run in runs.items()})
        return runs


def tell_lost(what: str, runs: Mapping[str, Sequence[Run]]) -> None:
    """Print what was lost, as it comes."""
    said = "; ".join(f"{place} {' '.join(map(str, own))}" for place, own in runs.items())
    print(f"{what}: lost {said}", flush=True)


def claim(rounds: Rounds, together: Sequence[Run]) -> list[Figure]:
    """What is claimed of each trigger and place, beside the naive orders from the same place."""
    figures = []
    for trigger in TRIGGERS.values():
        for place in PLACES:
            own = summarize(rounds[trigger, place])
            for order in ORDERS.values():
                other = summarize(rounds[f"naive: {order}", place])
                figures.append(Figure(
                    f"migration, network alone: lost at {trigger}, seen from {place}", own["median"],
                    "packets of 1 ms", own["worst"], f"naive: {order}", other["median_of_all"],
                    f"{own['spoilt']:.0f} of {own['runs']:.0f}"))
    unit = 1000 // RATE_AT_ONCE
    beyond = [max(0.0, run.worst * unit - run.pause * 1e3) for run in together]
    figures.append(Figure(f"{len(together)} VMs that move at once: lost beyond their own pause", median(beyond), "ms",
                          max(beyond), spoilt=f"{sum(run.spoilt for run in together)} of {len(together)}"))
    return figures


def report(rounds: Rounds, together: Sequence[Run], loads: Loads, alarms: FalseAlarms) -> None:
    """Print and write what was measured."""
    figures = {f"{order}, {place}": summarize(runs) for (order, place), runs in rounds.items()}
    print_table("packets of 1 ms that the worse direction lost", [
        "", "median", "worst", "runs", "spoilt", "worst with these", "guest's pause, ms"],
        [[name, each["median"], each["worst"], each["runs"], each["spoilt"], each["worst_of_all"],
          each["pause_median_ms"]] for name, each in figures.items()])
    ours = median([run.worst for (order, _place), runs in rounds.items() if not order.startswith("naive")
                   for run in runs if not run.spoilt] or [math.nan])
    for order in ORDERS.values():
        theirs = median([run.worst for place in PLACES for run in rounds[f"naive: {order}", place]])
        print(f"ratio, {order}, to ours (median, ours at least one packet): {theirs / max(ours, 1.0):.0f}")
    worst, pauses = [run.worst for run in together], [run.pause * 1e3 for run in together]
    print(f"{len(together)} VMs at once, packets of {1000 // RATE_AT_ONCE} ms that the worse direction of each lost: "
          f"median {median(worst)}, worst {max(worst)}; spoilt {sum(run.spoilt for run in together)}; "
          f"guests' pause, ms: median {median(pauses):.0f}, worst {max(pauses):.0f}")
    print(loads)
    write_report("bench_migration", {"figures": figures, "loads": loads.seen, "at_once": {
        "packet_ms": 1000 // RATE_AT_ONCE, "lost": worst, "pauses_ms": pauses}, "lost": {
        f"{order}, {place}": [{"family": run.family, **run.lost, "pause_ms": run.pause * 1e3, "spoilt": run.spoilt}
                              for run in runs]
        for (order, place), runs in rounds.items()}}, [*claim(rounds, together), alarms.figure()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="moves of each trigger, seen from each place (default 20)")
    parser.add_argument("--naive", type=int, default=7, help="moves by each naive order, seen from each place (7)")
    options = parser.parse_args()
    loads = Loads()
    with data_centre("benchmig") as cluster:
        story = Story(cluster, options.runs)
        story.build()
        alarms = FalseAlarms(cluster, *FABRIC)
        rounds: Rounds = {}
        for tell, trigger in TRIGGERS.items():
            for place, runs in story.round(tell).items():
                rounds[trigger, place] = runs
            loads.look()
        together = story.at_once()
        orders = NaiveOrders(story)
        with orders.interfaces():
            for withdraw_first, order in ORDERS.items():
                for number in range(options.naive):
                    for place, run in story.naive_round(orders, number, withdraw_first).items():
                        rounds.setdefault((f"naive: {order}", place), []).append(run)
                loads.look()
        report(rounds, together, loads, alarms)


if __name__ == "__main__":
    main()
