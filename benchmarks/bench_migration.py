#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration of guests that are network namespaces: what the network alone loses, and how others' orders compare.

A round is one run of migrate_vm.yml for many VMs; armed, they move one by one, each under a probe of 1000 packets a
second both ways in both families, from the Internet, from a VM on the old node or from one on the new node. Guests stop
for less than a millisecond, so what is lost is the network's. Then all of them move at the same moment. The naive
orders move one VM there and back, with FRR's statics typed at the moment at which a hypervisor's hook would.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _report import median, print_table, write_report
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.migrations import Migration, tell_agent
from vmlab.probe_report import ProbeResult
from vmlab.stories import unique_lab_name

NODES = ("node1", "node3")  # FRR 8.4 and FRR 10.3
PLACES = ("ext", "source", "target")
CLIENTS = {"node1": "near1", "node3": "near3"}
NAIVE = "naive1"
BEFORE, AFTER, AFTER_NAIVE = 0.3, 1.2, 3.0  # seconds of the probe around a move
SPOILT_PAUSE = 0.02  # seconds; a guest that stood still for longer was held up by the machine
PRIORITY = 20
RATE_AT_ONCE = 100  # packets a second to each VM, when all move at once


class Run:
    """One move under probes: packets lost by family and direction, the guest's pause, whether the machine spoilt it."""

    def __init__(self, results: dict[int, ProbeResult], pause: float) -> None:
        self.pause = pause
        self.lost = {f"v{family} {name}": one.lost
                     for family, result in results.items() for name, one in result.directions.items()}
        self.gap = max(result.longest_gap_ms for result in results.values())
        self.probe_spoilt = any(result.is_spoilt for result in results.values())
        self.spoilt = pause > SPOILT_PAUSE or self.probe_spoilt

    @property
    def worst(self) -> int:
        """What the worst direction of all lost."""
        return max(self.lost.values())

    def of(self, family: int) -> int:
        """What the worse direction of a family lost."""
        return max(lost for name, lost in self.lost.items() if name.startswith(f"v{family}"))


class Story:
    """The data centre with its VMs."""

    def __init__(self, lab: Lab, runs: int) -> None:
        self.lab, self.cluster = lab, Cluster(lab)
        self.names = [f"move{number}" for number in range(runs)]
        self.record: dict[str, Any] = {}

    def build(self) -> None:
        """Attach and start all VMs; the one for naive orders has its interface on both nodes."""
        homes = {**dict.fromkeys((*self.names, NAIVE), NODES[0]), **{vm: node for node, vm in CLIENTS.items()}}
        self.cluster.play("site.yml", timeout=1200)
        self.cluster.attach(*({"name": vm, "node": node} for vm, node in homes.items()), timeout=600)
        addresses = [address for node in NODES for name, own in self.cluster.start_guests(
            node, *(vm for vm, home in homes.items() if home == node)).items() for address in own]
        self.cluster.wait_for_answer("ext", addresses, 120)

    def measure(self, vm: str, place: str, target: str, move: Callable[[], None], after: float) -> Run:
        """One move under probes from a place."""
        source = self.node_of(vm)
        client = {"ext": "ext", "source": CLIENTS[source], "target": CLIENTS[target]}[place]
        with ExitStack() as stack:
            probes = {family: stack.enter_context(self.lab.probe(client, vm, family=family)) for family in (4, 6)}
            time.sleep(BEFORE)
            self.lab.guest_prepare(vm, target)
            began = time.monotonic()
            self.lab.guest_pause(vm)
            move()
            pause = time.monotonic() - began
            self.lab.guest_release(vm)
            time.sleep(after)
        return Run({family: probe.result() for family, probe in probes.items()}, pause)

    def node_of(self, vm: str) -> str:
        """Where a guest runs."""
        return next(guest.node for guest in self.lab.guests() if guest.vm == vm)

    def round(self, place: str, tell: bool) -> list[Run]:
        """Move all VMs to the other node by one run of the playbook."""
        source = self.node_of(self.names[0])
        target = next(node for node in NODES if node != source)
        runs = []
        with Migration(self.cluster, dict.fromkeys(self.names, target), timeout=1500,
                       extra={"migrate_wait": 900}) as migration:
            migration.wait_until_armed(300)
            for vm in self.names:
                def move(vm: str = vm) -> None:
                    if tell:
                        tell_agent(self.lab, source, vm, "stopped")
                    self.lab.guest_resume(vm)

                runs.append(self.measure(vm, place, target, move, AFTER))
        seconds = migration.finish().seconds
        print(f"{place}, {'at STOP' if tell else 'at the first frame'}: playbook {seconds:.0f} s; lost "
              + " ".join(f"{run.of(4)}/{run.of(6)}{'!' if run.spoilt else ''}" for run in runs), flush=True)
        return runs

    def at_once(self) -> list[Run]:
        """Move all VMs to the other node at the same moment, as the hypervisors of a node that is drained do."""
        source = self.node_of(self.names[0])
        target = next(node for node in NODES if node != source)
        pauses: dict[str, float] = {}

        def move(vm: str) -> None:
            began = time.monotonic()
            self.lab.guest_pause(vm)
            tell_agent(self.lab, source, vm, "stopped")
            self.lab.guest_resume(vm)
            pauses[vm] = time.monotonic() - began
            self.lab.guest_release(vm)

        with Migration(self.cluster, dict.fromkeys(self.names, target), timeout=1500,
                       extra={"migrate_wait": 900}) as migration, ExitStack() as stack:
            migration.wait_until_armed(300)
            probes = {vm: stack.enter_context(self.lab.probe("ext", vm, rate=RATE_AT_ONCE, family=4 + 2 * (at % 2)))
                      for at, vm in enumerate(self.names)}
            for vm in self.names:
                self.lab.guest_prepare(vm, target)
            time.sleep(BEFORE)
            with ThreadPoolExecutor(len(self.names)) as pool:
                list(pool.map(move, self.names))
            time.sleep(AFTER)
            migration.finish()
        runs = [Run({4 + 2 * (at % 2): probe.result()}, pauses[vm]) for at, (vm, probe) in enumerate(probes.items())]
        print(f"{len(runs)} at once: playbook {migration.finish().seconds:.0f} s; lost "
              + " ".join(f"{run.worst}{'!' if run.spoilt else ''}" for run in runs), flush=True)
        return runs

    def naive_rounds(self, withdraw_first: bool, count: int) -> list[Run]:
        """Move one VM there and back; the old node withdraws at STOP, or leaves it to the loss of carrier."""
        runs = []
        for number in range(count):
            source = self.node_of(NAIVE)
            target = next(node for node in NODES if node != source)

            def move(source: str = source, target: str = target) -> None:
                if withdraw_first:
                    self.type(source, "no ")
                self.lab.guest_resume(NAIVE)
                self.type(target)

            run = self.measure(NAIVE, PLACES[number % 3], target, move, AFTER_NAIVE)
            run.spoilt = run.probe_spoilt  # how long the guest stands still is the order's own doing
            runs.append(run)
            self.type(source, "no ")
            self.cluster.wait_for_answer("ext", self.record["addresses"])
        print(f"naive, {'withdraw, then announce' if withdraw_first else 'announce at once'}: lost "
              + " ".join(f"{run.of(4)}/{run.of(6)}{'!' if run.spoilt else ''}" for run in runs), flush=True)
        return runs

    def type(self, node: str, no: str = "") -> None:
        """Type the statics of the VM for naive orders into FRR's shell."""
        self.cluster.configure(node, *(
            f"{no}{'ipv6' if ':' in address else 'ip'} route {address}/{128 if ':' in address else 32} "
            f"{self.record['interface']} tag 770" for address in self.record["addresses"]))

    @contextlib.contextmanager
    def naive_interfaces(self) -> Iterator[None]:
        """Give the VM for naive orders its interface on the other node too, as its record there would."""
        self.record = record = self.cluster.records(NODES[0])[NAIVE]
        lines = "\n".join([*record["create"], *record["configure"]])
        sysctls = "\n".join(f"echo {value} > /proc/sys/{path}" for path, value in record["sysctls"].items())
        self.cluster.shell(NODES[1], f"ip -batch - <<'END'\n{lines}\nEND\n{sysctls}")
        yield
        self.cluster.shell(NODES[1], f"ip link del {record['interface']}", check=False)


def summarize(runs: Sequence[Run], family: int) -> dict[str, float]:
    """Median and worst of the worse direction's losses, over all runs and over those that the emulator left alone."""
    lost = [run.of(family) for run in runs]
    sound = [run.of(family) for run in runs if not run.spoilt] or [float("nan")]
    return {"runs": len(runs), "spoilt": sum(run.spoilt for run in runs), "median": median(sound), "worst": max(sound),
            "median_of_all": median(lost), "worst_of_all": max(lost), "pause_median_ms": median(
                [run.pause * 1e3 for run in runs])}


def report(rounds: dict[tuple[str, str], list[Run]], together: Sequence[Run], loads: Sequence[float]) -> None:
    """Print and write what was measured."""
    figures = {f"{order}, {place}, IPv{family}": summarize(runs, family)
               for (order, place), runs in rounds.items() for family in (4, 6)}
    print_table("packets of 1 ms that the worse direction lost", [
        "", "median", "worst", "runs", "spoilt", "worst with these", "guest's pause, ms"],
        [[name, each["median"], each["worst"], each["runs"], each["spoilt"], each["worst_of_all"],
          each["pause_median_ms"]] for name, each in figures.items()])
    ours = median([run.of(family) for (order, _place), runs in rounds.items() if not order.startswith("naive")
                   for run in runs if not run.spoilt for family in (4, 6)])
    ratios = {order: median([run.of(family) for run in runs for family in (4, 6)]) / max(ours, 1.0)
              for (order, _place), runs in rounds.items() if order.startswith("naive")}
    worst, pauses = [run.worst for run in together], [run.pause * 1e3 for run in together]
    unit = 1000 // RATE_AT_ONCE
    print(f"{len(together)} VMs at once, packets of {unit} ms that the worse direction of each lost: median "
          f"{median(worst)}, worst {max(worst)}; spoilt {sum(run.spoilt for run in together)}; "
          f"guests' pause, ms: median {median(pauses):.0f}, worst {max(pauses):.0f}")
    for order, ratio in ratios.items():
        print(f"ratio, {order} to ours (median, ours at least one packet): {ratio:.0f}")
    print(f"load of the machine: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} processors")
    write_report("bench_migration", {"figures": figures, "ratios": ratios, "loads": loads, "at_once": {
        "packet_ms": unit, "lost": worst, "pauses_ms": pauses}, "lost": {
        f"{order}, {place}": [{**run.lost, "pause_ms": run.pause * 1e3, "spoilt": run.spoilt} for run in runs]
        for (order, place), runs in rounds.items()}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="moves from each place, of each trigger (default 20)")
    parser.add_argument("--naive", type=int, default=21, help="moves by each naive order, places in turn (default 21)")
    options = parser.parse_args()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    loads = [os.getloadavg()[0]]
    with ExitStack() as stack:
        lab = Lab.up(name=unique_lab_name("benchmig"))
        stack.callback(lab.down)
        story = Story(lab, options.runs)
        story.build()
        rounds: dict[tuple[str, str], list[Run]] = {}
        for tell, order in ((True, "STOP event"), (False, "first frame")):
            for place in PLACES:
                rounds[order, place] = story.round(place, tell)
                loads.append(os.getloadavg()[0])
        together = story.at_once()
        with story.naive_interfaces():
            for first, order in ((True, "naive: withdraw, then announce"), (False, "naive: announce at once")):
                rounds[order, "places in turn"] = story.naive_rounds(first, options.naive)
                loads.append(os.getloadavg()[0])
        report(rounds, together, loads)


if __name__ == "__main__":
    main()
