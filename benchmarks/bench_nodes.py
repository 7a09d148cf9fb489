#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that die, FRR that crashes, BFD under load, a drain of many VMs: what the core and clients notice.

Deaths: power cuts of a node, from the cut until the core's kernel has no route to its VM, with several BFD intervals.
FRR: what a VM's clients lose when its daemons are killed or restarted. Load: as many busy processes as asked for beside
it, for some minutes; how often BFD said meanwhile that a living host is dead. Drain: what VMs of the node lose.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _data_centre import RUN, FalseAlarms, bfd_peers, data_centre
from _report import Figure, median, print_table, write_report
from vmlab.cluster import Cluster, read_description
from vmlab.drains import Hypervisors
from vmlab.stories import wait_until

TOPOLOGY = Path(__file__).resolve().parents[1] / "tests" / "lab" / "node_death.yml"
WITH_BFD = ("node1", "node2", "rr1", "rr2", "core")
CRASHES = {
    "bgpd killed": "kill -KILL $(cat /run/frr/bgpd.pid)",
    "zebra killed": "kill -KILL $(cat /run/frr/zebra.pid)",
    "all daemons killed": "systemctl kill --signal=KILL frr",
    "restarted by systemd": "systemctl restart frr",
}
MULTIPLIER = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deaths", type=int, default=5, help="power cuts for each BFD interval")
    parser.add_argument("--intervals", default="250", help="BFD intervals in ms, such as 300,250,100")
    parser.add_argument("--minutes", type=float, default=2, help="minutes beside busy processes (default 2)")
    parser.add_argument("--busy", type=int, default=2 * (os.cpu_count() or 1), help="busy processes beside it")
    parser.add_argument("--vms", type=int, default=50, help="VMs of the node that is drained")
    parser.add_argument("--parallel", type=int, default=10, help="VMs that move at the same time")
    parser.add_argument("--only", default="deaths,crashes,load,drain", help="some of it")
    options = parser.parse_args()
    chosen = options.only.split(",")
    figures: dict[str, Any] = {}
    with data_centre("bnodes", TOPOLOGY) as cluster:
        start_vms(cluster, "node2", ["web1"])
        if "crashes" in chosen:
            figures["crashes"] = measure_crashes(cluster)
        if "deaths" in chosen:
            intervals = [int(each) for each in options.intervals.split(",")]
            figures["deaths"] = {each: measure_deaths(cluster, each, options.deaths) for each in intervals}
        if "load" in chosen:
            figures["load"] = measure_load(cluster, options.minutes, options.busy)
        if "drain" in chosen:
            figures["drain"] = measure_drain(cluster, options.vms, options.parallel)
    show(figures)
    write_report("bench_nodes", figures, claim(figures))


def start_vms(cluster: Cluster, node: str, names: list[str]) -> None:
    cluster.attach(*({"name": name, "node": node} for name in names), timeout=RUN)
    started = cluster.start_guests(node, *names)
    cluster.wait_for_answer("ext", [address for addresses in started.values() for address in addresses], 120)


def sessions_up(cluster: Cluster, *hosts: str) -> bool:
    return all(each.state == "Established" for each in cluster.all_sessions(hosts).values())


def measure_crashes(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """What one direction of 1000 packets a second loses, for each way of going down."""
    found = {}
    for name, command in CRASHES.items():
        with cluster.lab.probe("ext", "web1") as probe:
            cluster.shell("node2", command)
            time.sleep(15)  # that nothing comes later is what is measured
            wait_until(lambda: sessions_up(cluster, "node2"), 120, "node2 has its sessions again")
        result = probe.result()
        worst = max(result.directions.values(), key=lambda each: each.lost)
        found[name] = {"lost": worst.lost, "longest_gap_ms": worst.longest_gap_ms, "spoilt": result.is_spoilt}
        print(f"{name}: {found[name]}", flush=True)
    return found


def measure_deaths(cluster: Cluster, interval: int, count: int) -> list[float]:
    """Seconds from each power cut of node2 until the core's kernel has no route to its VM."""
    described = read_description()["cluster"]
    bgp = {**described["bgp"], "bfd": {"interval": interval, "multiplier": MULTIPLIER}}
    cluster.play("site.yml", extra={"cluster": {**described, "bgp": bgp}}, timeout=RUN, check=False)
    address = next(address for owner, _pool, address, _node in cluster.leases() if owner == "alpha/web1")
    seconds = []
    for _round in range(count):
        wait_until(lambda: sessions_up(cluster, "node2", "rr1", "rr2") and bfd_up(cluster), 120, "all is up")
        cluster.wait_for_route(address, 120)
        began = time.monotonic()
        cluster.lab.host_kill("node2")
        cluster.wait_for_no_route(address, 60)
        seconds.append(time.monotonic() - began)
        print(f"BFD 3 x {interval} ms: gone after {seconds[-1]:.2f} s", flush=True)
        cluster.lab.host_start("node2")
    return seconds


def bfd_up(cluster: Cluster) -> bool:
    peers = [peer for host in ("rr1", "rr2") for peer in bfd_peers(cluster, host) if peer["peer"].endswith("12")]
    return len(peers) == 4 and all(peer["status"] == "up" for peer in peers)


def measure_load(cluster: Cluster, minutes: float, busy: int) -> dict[str, Any]:
    """How often BFD sessions of the living went down in some minutes beside busy processes."""
    wait_until(lambda: sessions_up(cluster, *WITH_BFD) and bfd_up(cluster), 120, "all is up")
    alarms = FalseAlarms(cluster, *WITH_BFD)
    with busy_processes(busy):
        ends = time.monotonic() + minutes * 60
        highest = 0.0
        while time.monotonic() < ends:
            highest = max(highest, os.getloadavg()[0])
            time.sleep(min(10.0, max(0.0, ends - time.monotonic())))
    return {"minutes": minutes, "busy": busy, "highest_load": highest, "false_alarms": alarms.count() - alarms.before}


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    workers = [multiprocessing.Process(target=_be_busy, daemon=True) for _number in range(count)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def _be_busy() -> None:
    while True:
        pass


def measure_drain(cluster: Cluster, vms: int, parallel: int) -> dict[str, Any]:
    """What VMs lose of 100 packets a second while their node is drained, and how long that takes."""
    names = ["web1", *(f"vm{number}" for number in range(1, vms))]
    start_vms(cluster, "node2", names[1:])
    watched = [names[0], names[len(names) // 2], names[-1]]
    probes = [cluster.lab.probe("ext", name, rate=100) for name in watched]
    with Hypervisors(cluster.lab, "node2") as hypervisors:
        for probe in probes:
            probe.__enter__()
        try:
            run = cluster.play("drain_node.yml", extra={"node": "node2", "drain_parallel": parallel}, timeout=RUN)
        finally:
            for probe in probes:
                probe.__exit__(None, None, None)
    lost = [direction.lost for probe in probes for direction in probe.result().directions.values()]
    return {"vms": sum(hypervisors.moved.values()), "to": dict(hypervisors.moved), "at_once": hypervisors.most,
            "seconds": run.seconds, "lost_of_100_a_second": max(lost), "load": os.getloadavg()[0]}


def claim(figures: dict[str, Any]) -> list[Figure]:
    """What is claimed of each part that was measured."""
    claimed = [
        Figure(f"a node dies, BFD {MULTIPLIER} x {interval} ms: until the core has no route", median(seconds), "s",
               max(seconds), "BFD's detection time", MULTIPLIER * interval / 1000)
        for interval, seconds in figures.get("deaths", {}).items()]
    claimed += [
        Figure(f"FRR of the VM's node, {name}: lost", each["lost"], "packets of 1 ms",
               spoilt="1 of 1" if each["spoilt"] else "") for name, each in figures.get("crashes", {}).items()]
    if "load" in figures:
        load = figures["load"]
        claimed.append(Figure(f"living hosts taken for dead by BFD in {load['minutes']:g} min beside {load['busy']} "
                              f"busy processes, load {load['highest_load']:.0f}", load["false_alarms"]))
    if "drain" in figures:
        drain = figures["drain"]
        claimed.append(Figure(f"{drain['vms']} VMs drained in {drain['seconds']:.0f} s: lost by the worst of three",
                              drain["lost_of_100_a_second"], "packets of 10 ms"))
    return claimed


def show(figures: dict[str, Any]) -> None:
    if "deaths" in figures:
        print_table("A node dies: seconds until the core has no route", ["BFD", "median", "worst"],
                    [[f"3 x {interval} ms", median(seconds), max(seconds)]
                     for interval, seconds in figures["deaths"].items()])
    if "crashes" in figures:
        print_table("FRR of the VM's node: packets of 1 ms lost", ["what", "lost", "longest gap, ms"],
                    [[name, each["lost"], each["longest_gap_ms"]] for name, each in figures["crashes"].items()])
    for name in ("load", "drain"):
        if name in figures:
            print_table(name, list(figures[name]), [list(figures[name].values())])


if __name__ == "__main__":
    main()
