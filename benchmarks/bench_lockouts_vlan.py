#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes into a wrong VLAN, again and again, on every manager of a host's network: does the old state come back?

Four emulated machines with Debian's kernel, one for each manager, at the trunk ports of one switch. Each is on a bond
of two ports, in VLAN 10, by its manager; Ansible comes by SSH in that VLAN, and sends all four into VLAN 11 at once.
Recovered means: the kernel's addresses, ports and default routes and all files of the managers are as before, the host
answers in VLAN 10 again, and the play has told of the way back. Seconds are a host's own, from the writing of its
record until its way back has ended. Floors: the timer's set time; the same change into the right VLAN.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _lockouts import COLUMNS, PATIENCE, RETURN_TIME, TOLD, Recovery, row_of
from _report import Figure, median, print_table, write_report
from vmlab.kept_modules import switch_environment
from vmlab.own_networks import CHANGE, OUTCOME
from vmlab.playbooks import kill_with_workers, read_recap
from vmlab.stories import unique_lab_name
from vmlab.trunk_machines import TrunkMachines

BOUND = 50  # host_network_timeout
PATIENT = 300  # seconds in which a right change is not taken back
MISTAKE, WRONG_VLAN = "wrong VLAN", 11
# By the machine's own clock: seconds since its boot at which there was a record, and at which there was none any more.
WATCH = (f"until test -e {CHANGE}; do sleep 1; done; read begun rest </proc/uptime; "
         f"while test -e {CHANGE}; do sleep 1; done; read ended rest </proc/uptime; echo $begun $ended")


class Story:
    """The machines with their right state, and what becomes of them in the wrong VLAN."""

    def __init__(self, machines: TrunkMachines) -> None:
        self.machines = machines
        self.floors = self.change(10)
        self.before = {host: machines.read_state(host) for host in machines}
        self.files = {host: machines.read_configuration(host) for host in machines}

    def change(self, vlan: int) -> dict[str, float]:
        """Move all machines into a VLAN that is right; seconds from a host's record until it is confirmed."""
        run, seconds = self.play(vlan, PATIENT)
        if run.returncode:
            raise SystemExit(run.stdout)
        return seconds

    def play(self, vlan: int, timeout: int) -> tuple[subprocess.CompletedProcess[str], dict[str, float]]:
        """Run the role; what it said, and by host the seconds in which there was a record."""
        with ThreadPoolExecutor(len(self.machines.machines)) as watchers:
            watched = {host: watchers.submit(machine.ask, WATCH) for host, machine in self.machines.machines.items()}
            run = self.machines.play_in_background(self.machines.plans(vlan), host_network_timeout=timeout)
            try:
                said, _nothing = run.communicate(timeout=PATIENCE + timeout)
            except subprocess.TimeoutExpired:
                kill_with_workers(run)
                said, _nothing = run.communicate()
            times = {host: each.result().split() for host, each in watched.items()}
        seconds = {host: float(ended) - float(begun) for host, (begun, ended) in times.items()}
        return subprocess.CompletedProcess(run.args, run.returncode, said), seconds

    def make(self) -> dict[str, Recovery]:
        """Send all machines into the wrong VLAN, and see what becomes of each."""
        run, seconds = self.play(WRONG_VLAN, BOUND)
        recap, found = read_recap(run.stdout), {}
        for host in self.machines:
            state = self.machines.read_state(host)
            wrong = [] if state == self.before[host] else [f"the old state is not back: {state}"]
            wrong += [] if self.machines.is_reached(host) else ["no answer in the right VLAN"]
            wrong += [] if self.machines.read_configuration(host) == self.files[host] else ["files differ"]
            if recap.get(host, {}).get("failed") != 1 or run.stdout.count(TOLD) < len(recap):
                wrong.append(f"the play told: {run.stdout[-3000:]}")
            by = self.machines.machines[host].ask(f"cat {OUTCOME}")
            found[host] = Recovery(None if wrong else seconds[host], "timer" if '"by": "timer"' in by else by,
                                   "; ".join(wrong))
        return found


def show(floors: dict[str, float], found: list[dict[str, Recovery]]) -> None:
    rows = [row_of(MISTAKE, host, [one[host] for one in found], float(BOUND - RETURN_TIME)) for host in floors]
    print_table("Hosts that were sent into a wrong VLAN", COLUMNS, rows)
    everything = [each.seconds for one in found for each in one.values()]
    seconds = [each for each in everything if each is not None]
    what = f"{MISTAKE}: {len(seconds)} of {len(everything)} hosts recovered, after"
    write_report("bench_lockouts_vlan", {
        "floors": floors, "recoveries": [{host: asdict(each) for host, each in one.items()} for one in found]}, [
        Figure(what, median(seconds), "s", max(seconds), "the timer's set time", float(BOUND - RETURN_TIME)),
        Figure("the same change into the right VLAN, confirmed after", median(list(floors.values())), "s",
               max(floors.values()))] if seconds else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often each machine is sent into the wrong VLAN")
    rounds = parser.parse_args().rounds
    os.environ.update(switch_environment())  # an emulated processor would do little but compile modules
    found: list[dict[str, Recovery]] = []
    with (tempfile.TemporaryDirectory() as folder,
          TrunkMachines(unique_lab_name("lockvlan"), Path(folder)) as machines):
        story = Story(machines)
        while len(found) < rounds:
            found.append(story.make())
            print(f"{MISTAKE}, {len(found)} of {rounds}: "
                  + ", ".join(each.tell(host) for host, each in found[-1].items()), flush=True)
    show(story.floors, found)
    if any(each.seconds is None for one in found for each in one.values()):
        raise SystemExit("a host has not recovered")


if __name__ == "__main__":
    main()
