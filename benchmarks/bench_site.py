#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml on four hosts (rr1, node1, node2, core), its first and its second run, and one neighbour more.

Floors, measured in the same run: `apt-get install frr` on the bare hosts at once, in a data centre of its own (the
core has FRR from the start, as a router would), and ansible-playbook with as many tasks on each host that do nothing.
Seconds of processor time (user and system, of ansible-playbook and all it starts) stand beside the clock's, as they
depend less on what else the machine does. While neighbours are added, a probe of 1000 packets a second runs between
the Internet and a VM, in both directions, and the sessions of all hosts are compared before and after.
"""

from __future__ import annotations

import argparse
import json
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

from _report import print_table, write_report
from vmlab import Lab
from vmlab.playbooks import INVENTORY, PlaybookRun, run_playbook
from vmlab.stories import unique_lab_name, wait_until

TOPOLOGY = Path(__file__).with_name("topology_site.yml")
NODES, REFLECTOR, CORE, EXT = ["node1", "node2"], "rr1", "core", "ext"
ADDED = {"node3": (), "node4": ("--limit", "node4,route_reflectors")}
BARE = [REFLECTOR, *NODES]
UNDERLAY = {CORE: 1, REFLECTOR: 21, "node1": 11, "node2": 12, "node3": 13, "node4": 14}
VM = "web1"
# Measured earlier on hosts of the same kind; one run each.
OTHERS = ("roles of others, same kind of hosts: first run 42 and 74 s, second 27 and 49 s; "
          "one neighbour more 12 to 41 s, up to 3.0 s lost")


@dataclass(frozen=True)
class Timed:
    """Seconds that something took: by the clock, and of the processors."""

    wall: float
    cpu: float


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
        before = used_cpu()
        run = run_playbook(self.lab.name, playbook, *arguments, inventory=(self.folder / "hosts.json",), timeout=900)
        return run, Timed(run.seconds, used_cpu() - before)

    def play_nothing(self, tasks: int) -> Timed:
        """Run a playbook of so many tasks that do nothing, on the four hosts."""
        playbook = self.folder / "nothing.yml"
        task = {"ansible.builtin.command": "true", "changed_when": False}
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task] * tasks}]))
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

    def add_neighbour(self, name: str, limit: Sequence[str]) -> dict[str, Any]:
        """Add a node while packets flow to a VM; what it took, and what it cost the others."""
        self.lab.add_host(name)
        others = [host for host in UNDERLAY if host in (*NODES, REFLECTOR, CORE)]
        before = self.sessions(others)
        self.write_inventory([*NODES, name])
        NODES.append(name)
        with self.lab.probe(EXT, VM, rate=1000) as probe:
            _run, timed = self.play("site.yml", *limit)
        after = self.sessions(others)
        result = probe.result().directions
        return {
            "arguments": " ".join(limit), "wall_s": timed.wall, "cpu_s": timed.cpu,
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


def measure_installation() -> Timed:
    """Install FRR on all bare hosts at once, by apt alone."""
    def install(lab: Lab, host: str) -> None:
        command = "apt-get update -q && apt-get install -qy --no-install-recommends frr"
        lab.exec(host, ["sh", "-c", f"export DEBIAN_FRONTEND=noninteractive; {command}"], timeout=600)

    with site() as bare, ThreadPoolExecutor() as pool:
        before, began = used_cpu(), time.monotonic()
        list(pool.map(lambda host: install(bare.lab, host), BARE))
        return Timed(time.monotonic() - began, used_cpu() - before)


def count_tasks(run: PlaybookRun) -> int:
    """Tasks that a run had on each of the four hosts, on average."""
    return round(sum(counts["ok"] for counts in run.recap.values()) / len(run.recap))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="second runs, of which the median is taken (default 3)")
    options = parser.parse_args()
    install = measure_installation()
    with site() as ours:
        _run, first = ours.play("site.yml")
        again = sorted((ours.play("site.yml") for _run in range(options.runs)), key=lambda each: each[1].wall)
        changed = sum(run.changed for run, _timed in again)
        run, second = again[len(again) // 2]
        tasks = count_tasks(run)
        nothing = ours.play_nothing(tasks)
        ours.start_vm()
        added = {name: ours.add_neighbour(name, limit) for name, limit in ADDED.items()}
    show(first, second, changed, install, nothing, tasks, added)


def show(first: Timed, second: Timed, changed: int, install: Timed, nothing: Timed, tasks: int,
         added: Mapping[str, Mapping[str, Any]]) -> None:
    """Print and write what was measured."""
    floors = {"first": install.wall + nothing.wall, "second": nothing.wall}
    print_table("site.yml on four hosts: seconds", ["", "clock", "processors"], [
        ["first run", first.wall, first.cpu], ["second run", second.wall, second.cpu],
        ["apt-get install frr alone, at once", install.wall, install.cpu],
        [f"{tasks} tasks a host that do nothing", nothing.wall, nothing.cpu]])
    ratios = {"first": first.wall / floors["first"], "second": second.wall / floors["second"]}
    print(f"ratios: first run to both floors together {ratios['first']:.2f}, second run to tasks that do nothing "
          f"{ratios['second']:.2f}; the second run changed {changed}")
    columns = {"wall_s": "clock", "cpu_s": "processors", "sent": "packets", "lost": "lost",
               "longest_gap_ms": "longest gap, ms", "sessions_before": "sessions", "sessions_reset": "reset",
               "arguments": "arguments"}
    print_table("one neighbour more: seconds", ["", *columns.values()],
                [[name, *(each[key] for key in columns)] for name, each in added.items()])
    if any(each["probe_spoilt"] for each in added.values()):
        print("the probe's own sender was late: gaps may be of its making")
    print(f"({OTHERS})")
    write_report("bench_site", {
        "first": vars(first), "second": vars(second), "second_changed": changed, "install": vars(install),
        "nothing": vars(nothing), "tasks": tasks, "ratios": ratios, "neighbours": added})


if __name__ == "__main__":
    main()
