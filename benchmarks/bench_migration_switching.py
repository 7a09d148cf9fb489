#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration between bridges (guests in network namespaces): what is lost, beside a move that nobody tells of.

A round is one run of migrate_vm.yml for many VMs; their interfaces made on the target, they move one by one, each under
probes of 1000 packets a second both ways from the router, from a VM on the old node and from one on the new node at
once, IPv4 and IPv6 by turns. A guest that is sent to and says nothing itself is measured beside it, as what tells of
it is the playbook alone, and the same without the playbook.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _data_centre import RUN, Loads, data_centre
from _moves import PLACES, Movers, Run, summarize
from _report import Figure, print_table, write_report
from vmlab.cluster import Cluster
from vmlab.migrations import Migration
from vmlab.state import CHECKOUT
from vmlab.stories import wait_until

NODES = ("node1", "node2")
TOPOLOGY = CHECKOUT / "lab" / "topologies" / "switching.yml"
INVENTORY = (CHECKOUT / "inventories" / "switching_public", CHECKOUT / "tests" / "lab" / "switching_hosts.yml")
AFTER, AFTER_SILENT = 1.0, 5.0  # seconds of the probe after a move


class Story(Movers):
    """Two nodes on a switch, and their VMs."""

    def __init__(self, cluster: Cluster, runs: int) -> None:
        super().__init__(cluster, [f"move{number}" for number in range(runs)], NODES, "router")

    def build(self) -> None:
        """Attach and start all VMs."""
        self.attach()
        homes = {**dict.fromkeys(self.names, NODES[0]), **{vm: node for node, vm in self.near.items()}}
        records = {node: self.cluster.records(node) for node in NODES}
        for vm, node in homes.items():
            record = records[node][vm]
            lengths = [f"{address}/{64 if ':' in address else 24}" for address in record["addresses"]]
            self.lab.guest_add(node, vm, addresses=lengths, mac=record["mac"], interface=record["interface"],
                               gateway4="203.0.113.1", gateway6="2001:db8:1::1")
            self.cluster.wait_for_answer("router", record["addresses"], 60)

    def ready(self, node: str) -> bool:
        """Whether all VMs have their interfaces on a node."""
        found = {link["ifname"] for link in json.loads(self.lab.exec(node, ["ip", "-j", "link"]).stdout)}
        return {f"{vm}_net0" for vm in self.names} <= found

    def round(self) -> dict[str, list[Run]]:
        """Move all VMs to the other node, one after the other, by one run of the playbook."""
        _source, target = self.ends()
        runs: dict[str, list[Run]] = {place: [] for place in PLACES}
        with Migration(self.cluster, dict.fromkeys(self.names, target), timeout=RUN,
                       extra={"migrate_wait": 900}) as migration:
            wait_until(lambda: self.ready(target), 300, f"all interfaces are on {target}", 0.2)
            for number, vm in enumerate(self.names):
                found = self.measure(vm, number, lambda vm=vm: self.lab.guest_resume(vm), after=AFTER)
                for place, run in found.items():
                    runs[place].append(run)
                print(f"{vm}: lost {'; '.join(f'{place} {run}' for place, run in found.items())}", flush=True)
        print(f"playbook {migration.finish().seconds:.0f} s", flush=True)
        return runs

    def silent_move(self, vm: str, number: int) -> Run:
        """Move a VM that says nothing by one run of the playbook."""
        target = self.ends(vm)[1]
        with Migration(self.cluster, {vm: target}, timeout=RUN) as migration:
            wait_until(lambda: f"{vm}_net0" in self.cluster.shell(target, "ip -o link"), 120,
                       f"{vm} has its interface on {target}", 0.1)
            run = self.send_only(vm, number)
        print(f"silent guest: lost {run}; playbook {migration.finish().seconds:.0f} s", flush=True)
        return run

    def naive_move(self, vm: str, number: int) -> Run:
        """The same with an interface made by hand, and nobody who tells."""
        source, target = self.ends(vm)
        record = self.cluster.records(source)[vm]
        lines = "\n".join([*record["create"], *record["configure"]])
        self.cluster.shell(target, f"ip -batch - <<'END'\n{lines}\nEND")
        try:
            run = self.send_only(vm, number)
        finally:
            self.lab.guest_move(vm, source)
            self.cluster.shell(target, f"ip link del {record['interface']}")
        print(f"naive, silent guest: lost {run}", flush=True)
        return run

    def send_only(self, vm: str, number: int) -> Run:
        """One move of a guest to which the router sends, and which sends nothing."""
        return self.measure(vm, number, lambda: self.lab.guest_resume(vm), after=AFTER_SILENT, places=("outside",),
                            direction="there")["outside"]


def report(runs: dict[str, list[Run]], silent: Sequence[Run], naive: Sequence[Run], loads: Loads) -> None:
    """Print and write what was measured."""
    figures = {**{f"seen from {place}": summarize(own) for place, own in runs.items()},
               **({"a guest that says nothing": summarize(silent)} if silent else {}),
               **({"naive: the same, nobody tells": summarize(naive)} if naive else {})}
    print_table("migration between bridges: packets of 1 ms that the worse direction lost", [
        "", "median", "worst", "runs", "spoilt", "worst with these", "guest's pause, ms"],
        [[name, each["median"], each["worst"], each["runs"], each["spoilt"], each["worst_of_all"],
          each["pause_median_ms"]] for name, each in figures.items()])
    print(loads)
    claimed = []
    for name, each in figures.items():
        beside, other = "guest's own pause, ms", each["pause_median_ms"]
        if name.startswith("naive"):
            continue
        if name.startswith("a guest") and naive:
            beside = f"naive: nobody tells, lost in {AFTER_SILENT:.0f} s"
            other = figures["naive: the same, nobody tells"]["median_of_all"]
        claimed.append(Figure(f"migration between bridges, {name}: lost", each["median"], "packets of 1 ms",
                              each["worst"], beside, other, f"{each['spoilt']} of {each['runs']}"))
    write_report("bench_migration_switching", {"figures": figures, "loads": loads.seen, "lost": {
        place: [{**run.lost, "pause_ms": run.pause * 1e3, "spoilt": run.spoilt} for run in own]
        for place, own in {**runs, "silent": silent, "naive": naive}.items()}}, claimed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="moves, seen from each place (default 20)")
    parser.add_argument("--silent", type=int, default=3, help="moves of a silent guest, and of a naive one (default 3)")
    options = parser.parse_args()
    loads = Loads()
    with data_centre("benchsw", TOPOLOGY, *INVENTORY) as cluster:
        story = Story(cluster, options.runs)
        story.build()
        runs = story.round()
        loads.look()
        silent = [story.silent_move(story.names[0], number) for number in range(options.silent)]
        naive = [story.naive_move(story.names[-1], number) for number in range(options.silent)]
        loads.look()
        report(runs, silent, naive, loads)


if __name__ == "__main__":
    main()
