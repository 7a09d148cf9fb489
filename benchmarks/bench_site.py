#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml on four hosts (rr1, node1, node2, core), its first and its second run, and one neighbour more.

One neighbour more is measured twice with `--limit <node>,route_reflectors`: a node on which FRR is installed, as peers
were measured, and a bare one. Floors, measured in the same run: `apt-get install frr` on bare hosts, in a data centre
of its own (the core has FRR from the start, as a router would), and ansible-playbook with as many tasks on each host
that do nothing. Seconds of processor time (user and system, of ansible-playbook and all it starts) stand beside the
clock's, as they depend less on what else the machine does; so does its load at the time. While neighbours are added, a
probe of 1000 packets a second runs between the Internet and a VM, in both directions, and the sessions of all hosts are
compared before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _report import Figure, print_table, write_report
from vmlab import Lab
from vmlab.playbooks import INVENTORY, PlaybookRun, run_playbook
from vmlab.stories import unique_lab_name, wait_until

TOPOLOGY = Path(__file__).with_name("topology_site.yml")
NODES, REFLECTOR, CORE, EXT = ["node1", "node2"], "rr1", "core", "ext"
ADDED = {"node3": "FRR is installed", "node4": "bare"}
BARE = [REFLECTOR, *NODES]
UNDERLAY = {CORE: 1, REFLECTOR: 21, "node1": 11, "node2": 12, "node3": 13, "node4": 14}
VM = "web1"
# Measured earlier on hosts of the same kind; one run each.
OTHERS = ("roles of others, same kind of hosts: first run 42 and 74 s, second 27 and 49 s; "
          "one neighbour more 12 to 41 s, up to 3.0 s lost")


@dataclass(frozen=True)
class Timed:
    """Seconds that something took: by the clock, and of the processors; and the machine's load when it began."""

    wall: float
    cpu: float
    load: float


class Site:
    """A data centre, its inventory, and playbooks run with it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.write_inventory(NODES)
        (folder / "group_vars").symlink_to(INVENTORY / "group_vars")

    def write_inventory(self, nodes: Sequence[str]) -> None:
        """Describe a cluster of these nodes."""
        def members(names: Sequence[str]) -> dict[str, Any]:
            return {"hosts": {name: {"underlay_ipv4": f"10.20.0.{UNDERLAY[name]}",
                                     "underlay_ipv6": f"fd20::{UNDERLAY[name]}"} for name in names}}
        (self.folder / "hosts.json").write_text(json.dumps({"all": {"children": {
            "nodes": members(nodes), "route_reflectors": members([REFLECTOR]), "core_gateways": members([CORE])}}}))

    def play(self, playbook: str, *arguments: str) -> tuple[PlaybookRun, Timed]:
        """Run a playbook."""
        before, load = used_cpu(), os.getloadavg()[0]
        run = run_playbook(self.lab.name, playbook, *arguments, inventory=(self.folder / "hosts.json",), timeout=900)
        return run, Timed(run.seconds, used_cpu() - before, load)

    def play_nothing(self, tasks: int, hosts: str = "all") -> Timed:
        """Run a playbook of so many tasks that do nothing."""
        playbook = self.folder / "nothing.yml"
        task = {"ansible.builtin.command": "true", "changed_when": False}
        playbook.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": [task] * tasks}]))
        return self.play(str(playbook))[1]

    def start_vm(self) -> None:
        """Attach a VM to the first node, and start it."""
        self.play("playbooks/attach_vm.yml", "-e", f"vm={VM}", "-e", f"node={NODES[0]}")
        shown = self.lab.exec(NODES[0], ["cat", f"/var/lib/vmcluster/interfaces/{VM}_net0.json"]).stdout
        record = json.loads(shown)
        self.lab.guest_add(NODES[0], VM, addresses=record["addresses"], gateway4="10.255.255.1", gateway6="fe80::1",
                           mac=record["mac"], interface=record["interface"])
        for address in record["addresses"]:
            wait_until(lambda address=address: not self.lab.exec(
                EXT, ["ping", "-c1", "-W1", "-n", address], check=False).returncode, 30, f"{VM} answers at {address}")

    def sessions(self, hosts: Sequence[str]) -> dict[tuple[str, str], int]:
        """How often each session of some hosts was established since FRR runs there."""
        found = {}
        for host in hosts:
            shown = json.loads(self.lab.exec(host, ["vtysh", "-c", "show bgp neighbors json"]).stdout)
            found.update({(host, address): session["connectionsEstablished"] for address, session in shown.items()
                          if session.get("bgpState") == "Established"})
        return found

    def add_neighbour(self, name: str) -> dict[str, Any]:
        """Add a node while packets flow to a VM; what it took, and what it cost the others."""
        self.lab.host_start(name)
        if ADDED[name] != "bare":
            install(self.lab, name)
        others = [host for host in UNDERLAY if host in (*NODES, REFLECTOR, CORE)]
        before = self.sessions(others)
        self.write_inventory([*NODES, name])
        NODES.append(name)
        with self.lab.probe(EXT, VM, rate=1000) as probe:
            run, timed = self.play("site.yml", "--limit", f"{name},route_reflectors")
        after = self.sessions(others)
        result = probe.result().directions
        tasks = count_tasks(run)
        nothing = self.play_nothing(tasks, f"{name},{REFLECTOR}")
        return {
            "before": ADDED[name], **vars(timed), "tasks": tasks, "nothing": vars(nothing),
            "sent": sum(each.sent for each in result.values()), "lost": sum(each.lost for each in result.values()),
            "longest_gap_ms": max(each.longest_gap_ms for each in result.values()),
            "probe_spoilt": any(each.is_spoilt for each in result.values()),
            "sessions_before": len(before), "sessions_after": len(after),
            "sessions_reset": sum(after.get(session) != times for session, times in before.items()),
        }


def used_cpu() -> float:
    """Processor seconds of the processes that this one started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def site() -> Iterator[Site]:
    """A data centre that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.up(TOPOLOGY, name=unique_lab_name("benchsite"))
        try:
            yield Site(lab, Path(folder))
        finally:
            lab.down()


def install(lab: Lab, host: str) -> None:
    """Install FRR on a host, by apt alone."""
    command = "apt-get update -q && apt-get install -qy --no-install-recommends frr"
    lab.exec(host, ["sh", "-c", f"export DEBIAN_FRONTEND=noninteractive; {command}"], timeout=600)


def measure_installation() -> tuple[Timed, Timed]:
    """Install FRR on all bare hosts at once, then on one more alone."""
    with site() as bare, ThreadPoolExecutor() as pool:
        one = next(name for name, had in ADDED.items() if had == "bare")
        bare.lab.host_start(one)

        def install_on(hosts: Sequence[str]) -> Timed:
            before, load, began = used_cpu(), os.getloadavg()[0], time.monotonic()
            list(pool.map(lambda host: install(bare.lab, host), hosts))
            return Timed(time.monotonic() - began, used_cpu() - before, load)

        return install_on(BARE), install_on([one])


def count_tasks(run: PlaybookRun) -> int:
    """Tasks that a run had on each host, on average."""
    return round(sum(counts["ok"] for counts in run.recap.values()) / len(run.recap))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="second runs, of which the median is taken (default 3)")
    options = parser.parse_args()
    installed, installed_on_one = measure_installation()
    with site() as ours:
        _run, first = ours.play("site.yml")
        again = sorted((ours.play("site.yml") for _run in range(options.runs)), key=lambda each: each[1].wall)
        changed = sum(run.changed for run, _timed in again)
        run, second = again[len(again) // 2]
        tasks = count_tasks(run)
        nothing = ours.play_nothing(tasks)
        ours.start_vm()
        added = {name: ours.add_neighbour(name) for name in ADDED}
    show_runs(first, second, changed, installed, nothing, tasks)
    show_neighbours(added, installed_on_one)
    print(f"({OTHERS})")
    write_report("bench_site", {
        "first": vars(first), "second": vars(second), "second_changed": changed, "install": vars(installed),
        "install_on_one": vars(installed_on_one), "nothing": vars(nothing), "tasks": tasks, "neighbours": added}, [
        Figure("site.yml on four hosts, first run", first.wall, "s", beside="apt-get and tasks that do nothing",
               other=installed.wall + nothing.wall),
        Figure("site.yml on four hosts, second run", second.wall, "s", beside="as many tasks that do nothing",
               other=nothing.wall),
        *(claim_neighbour(each, installed_on_one) for each in added.values())])


def neighbour_floor(added: Mapping[str, Any], installed: Timed) -> float:
    """Seconds that a neighbour more takes at least."""
    return float(added["nothing"]["wall"] + (installed.wall if added["before"] == "bare" else 0))


def claim_neighbour(added: Mapping[str, Any], installed: Timed) -> Figure:
    """What is claimed of a neighbour more."""
    return Figure(
        f"one neighbour more ({added['before']}): {added['lost']} of {added['sent']} packets lost, "
        f"{added['sessions_reset']} sessions reset", added["wall"], "s", beside="its floor",
        other=neighbour_floor(added, installed), spoilt="1 of 1" if added["probe_spoilt"] else "")


def show_runs(first: Timed, second: Timed, changed: int, installed: Timed, nothing: Timed, tasks: int) -> None:
    """Print what site.yml took, and its floors."""
    rows = {"first run": first, "second run": second, "apt-get install frr alone, at once": installed,
            f"{tasks} tasks a host that do nothing": nothing}
    print_table("site.yml on four hosts: seconds", ["", "clock", "processors", "load"],
                [[what, timed.wall, timed.cpu, timed.load] for what, timed in rows.items()])
    to_both, to_nothing = first.wall / (installed.wall + nothing.wall), second.wall / nothing.wall
    print(f"ratios: first run to both floors together {to_both:.2f}, second run to tasks that do nothing "
          f"{to_nothing:.2f}; the second run changed {changed}")


def show_neighbours(added: Mapping[str, Mapping[str, Any]], installed: Timed) -> None:
    """Print what a neighbour more took and cost, and its floors."""
    columns = {"before": "before", "wall": "clock", "cpu": "processors", "load": "load", "sent": "packets",
               "lost": "lost", "longest_gap_ms": "longest gap, ms", "sessions_before": "sessions",
               "sessions_reset": "reset"}
    print_table("one neighbour more, --limit <node>,route_reflectors: seconds", ["", *columns.values()],
                [[name, *(each[key] for key in columns)] for name, each in added.items()])
    print(f"apt-get install frr alone on one host: {installed.wall:.1f} s ({installed.cpu:.1f} s of processors)")
    for name, each in added.items():
        floor = neighbour_floor(each, installed)
        print(f"{name}: {each['wall'] / floor:.2f} times {each['tasks']} tasks on both hosts that do nothing"
              f"{' and apt-get' if each['before'] == 'bare' else ''} ({floor:.1f} s)")
    if any(each["probe_spoilt"] for each in added.values()):
        print("the probe's own sender was late: gaps may be of its making")


if __name__ == "__main__":
    main()
