#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that cut a host off, again and again, on every manager of a host's network: does the old state come back?

Four hosts, one for each manager, with their operators' files; Ansible comes by SSH over the network that is changed,
and changes all four at once. Two such labs run beside each other, in which each manager is that of Debian 12 and of
Debian 13; each makes half of the mistakes. Recovered means: the kernel's addresses, ports and default routes and all
files of the managers are as before, no change is open, the controller's SSH is answered, and the play, where it lived,
has told of the way back. Seconds are a host's own: from the writing of its record (the timer starts then), or from the
reboot or power cut, until the kernel has the old state. Floors: the timer's set time; the same change without the
mistake, from the record until it is confirmed; a reboot or power cut with no change open.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _lockouts import COLUMNS, PATIENCE, RETURN_TIME, TOLD, Recovery, row_of
from _report import Figure, median, print_table, write_report
from vmlab import Lab
from vmlab.errors import LabError
from vmlab.own_networks import (
    APPLIED,
    CHANGE,
    HOSTS,
    OUTCOME,
    STRANGER,
    TOPOLOGY,
    in_parallel,
    lab_command,
    play_in_background,
    read_configuration,
    read_state,
    ssh_command,
    write_swapped,
)
from vmlab.playbooks import kill_with_workers, read_recap
from vmlab.stories import unique_lab_name, wait_until

# host_network_timeout, 90 by default: of what the timer finds, of what the host's tests find, and of what a boot finds,
# before the timer on a busy machine too.
SHORT, LONG, DEFAULT = 30, 50, 90


@dataclass(frozen=True)
class Mistake:
    """A change that must not stay. act: what happens to it once all hosts have carried it out; floor: beside what."""

    variables: Mapping[str, Any]
    floor: str = "timer"
    act: str = ""

    @property
    def timeout(self) -> int:
        return int(self.variables["host_network_timeout"])


CUT = {"ports": ["eth1"], "host_network_timeout": SHORT}
MISTAKES = {
    "wrong port": Mistake(CUT),
    "controller killed": Mistake(CUT, act="kill"),
    "wrong gateway": Mistake({"gateway": "10.20.0.99", "host_network_timeout": LONG}, "change"),
    "duplicate address": Mistake({"more": [f"{STRANGER}/24"], "host_network_timeout": LONG}, "change"),
    "host rebooted": Mistake({**CUT, "host_network_timeout": DEFAULT}, "reboot", "reboot"),
    "power lost": Mistake({**CUT, "host_network_timeout": DEFAULT}, "power", "power"),
}


FLOORS = {
    "timer": "the timer's set time", "change": "the same change without the mistake",
    "reboot": "a reboot with no change open", "power": "a power cut with no change open",
}


Floors = dict[str, dict[str, float]]  # seconds, by what is the floor and host
Found = dict[str, list[dict[str, Recovery]]]


class Story:
    """The hosts with their operators' state, and what is done to them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        wait_until(lambda: all(self.is_set_up(host) for host in HOSTS), PATIENCE, "hosts are set up", 0.5)
        self.before = {host: read_state(lab, host) for host in HOSTS}
        self.files = {host: read_configuration(lab, host) for host in HOSTS}

    def is_set_up(self, host: str) -> bool:
        """Whether a host's manager has done what its operator's files say."""
        found, last = read_state(self.lab, host), HOSTS[host].rpartition(".")[2]
        wanted = {("eth0", HOSTS[host], 24), ("eth0", f"fd20::{last}", 64), ("own0", "192.0.2.1", 24)}
        return wanted <= found["addresses"] and bool(found["default"])

    def written(self, host: str, path: str) -> float | None:
        """When a file on a host's disk was written; None: there is none. Needs no process, nor a host that runs."""
        with suppress(FileNotFoundError):
            return (self.lab.state.host_folder(host) / "disk" / path.lstrip("/")).stat().st_mtime
        return None

    def wait_until_armed(self, host: str) -> float:
        """Wait until a host has the record of a change; when it was written."""
        found: list[float | None] = []

        def is_armed() -> bool:
            found[:] = [self.written(host, CHANGE)]
            return found[0] is not None

        wait_until(is_armed, PATIENCE, f"{host} has a record", 0.1)
        assert found[0] is not None
        return found[0]

    def is_back(self, host: str) -> bool:
        """Whether a host that runs has its old state and no open change."""
        if self.written(host, CHANGE) is not None:
            return False
        try:
            return read_state(self.lab, host) == self.before[host]
        except (LabError, json.JSONDecodeError):
            return False

    def make(self, mistake: Mistake) -> dict[str, Recovery]:
        """Make a mistake on all hosts at once, and see what becomes of each."""
        run = play_in_background(self.lab, **mistake.variables)
        said: list[str] = []
        reading = threading.Thread(target=lambda: said.append(run.stdout.read() if run.stdout else ""))
        reading.start()
        began = [0.0]
        with ThreadPoolExecutor(len(HOSTS)) as watchers:
            watched = {host: watchers.submit(self.watch, host, mistake, began) for host in HOSTS}
            self.act(mistake, run, began)
            seconds = {host: each.result() for host, each in watched.items()}
        try:
            run.wait(PATIENCE + mistake.timeout)
        except subprocess.TimeoutExpired:
            kill_with_workers(run)
        reading.join()
        return self.judge(seconds, "" if mistake.act == "kill" else said[0], mistake)

    def act(self, mistake: Mistake, run: subprocess.Popen[str], began: list[float]) -> None:
        """Let happen what happens in the middle of the change."""
        if not mistake.act:
            return
        done: set[str] = set()

        def all_done() -> bool:
            done.update(host for host in HOSTS if self.written(host, APPLIED))
            return done == set(HOSTS)

        wait_until(all_done, PATIENCE, "all hosts have carried it out")
        began[0] = time.time()
        if mistake.act == "kill":
            kill_with_workers(run)
        else:
            self.restart(mistake.act)

    def restart(self, how: str) -> None:
        """Reboot all hosts at once, or cut their power, all at once, and switch them on again."""
        if how == "power":
            for host in HOSTS:
                self.lab.host_kill(host)
            self.lab.start_hosts(list(HOSTS))
        else:
            in_parallel(lambda host: lab_command(self.lab, "host", "reboot", host))

    def watch(self, host: str, mistake: Mistake, began: list[float]) -> float | None:
        """Seconds from the record's writing, or from the act on the host, until the old state is back."""
        try:
            armed = self.wait_until_armed(host)
            if mistake.act in ("reboot", "power"):
                wait_until(lambda: began[0], PATIENCE, "hosts go down")
                wait_until(lambda: self.is_back(host), PATIENCE, f"{host} is back", 0.2)
                return time.time() - began[0]
            wait_until(lambda: self.is_back(host), PATIENCE, f"{host} is back", 0.2)
            return time.time() - armed
        except LabError:
            return None

    def judge(self, seconds: Mapping[str, float | None], said: str, mistake: Mistake) -> dict[str, Recovery]:
        """Say of each host whether it has recovered in every respect."""
        silent = in_parallel(lambda host: ssh_command(self.lab, host, "hostname"), seconds=PATIENCE)
        recap = read_recap(said)
        found = {}
        for host in HOSTS:
            wrong = [] if seconds[host] is not None else [f"the old state is not back: {read_state(self.lab, host)}"]
            wrong += [f"SSH: {silent[host]}"] if host in silent else []
            wrong += [] if read_configuration(self.lab, host) == self.files[host] else ["files differ"]
            if mistake.act != "kill" and (recap.get(host, {}).get("failed") != 1 or said.count(TOLD) < len(HOSTS)):
                wrong.append(f"the play told: {said[-3000:]}")
            told = json.loads(self.lab.exec(host, ["cat", OUTCOME], check=False).stdout or "{}")
            found[host] = Recovery(None if wrong else seconds[host], told.get("by", "?"), "; ".join(wrong))
        return found

    def change(self) -> dict[str, float]:
        """The change without a mistake: seconds from a host's record until it is confirmed. It is taken back again."""
        times: dict[str, float] = {}
        run = play_in_background(self.lab, host_network_timeout=LONG)
        with ThreadPoolExecutor(len(HOSTS)) as watchers:
            for host, took in zip(HOSTS, watchers.map(self.watch_confirmation, HOSTS), strict=True):
                times[host] = took
        for each in (run, play_in_background(self.lab, host_network_interfaces=[])):
            output, _nothing = each.communicate(timeout=PATIENCE)
            if each.returncode:
                raise SystemExit(output[-3000:])
        return times

    def watch_confirmation(self, host: str) -> float:
        armed = self.wait_until_armed(host)
        wait_until(lambda: self.written(host, CHANGE) is None, PATIENCE, f"{host} has confirmed", 0.1)
        return time.time() - armed

    def reboot(self, how: str) -> dict[str, float]:
        """Seconds of a reboot or power cut with no change open, until a host has its state."""
        began = time.time()
        leaders = {host: self.lab.host_record(host).leader for host in HOSTS}

        def watch(host: str) -> float:
            wait_until(lambda: self.lab.host_record(host).leader != leaders[host] and self.is_back(host), PATIENCE,
                       f"{host} is back", 0.2)
            return time.time() - began

        with ThreadPoolExecutor(len(HOSTS)) as watchers:
            watched = {host: watchers.submit(watch, host) for host in HOSTS}
            self.restart(how)
            return {host: each.result() for host, each in watched.items()}


def measure_floors(story: Story, chosen: list[str], rounds: int) -> Floors:
    """Medians by floor and host."""
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "change": story.change, "reboot": lambda: story.reboot("reboot"), "power": lambda: story.reboot("power")}
    floors = {}
    for name in dict.fromkeys(MISTAKES[each].floor for each in chosen):
        if name in ways:
            times = [ways[name]() for _round in range(rounds)]
            floors[name] = {host: median([each[host] for each in times]) for host in HOSTS}
            print(f"floor, {name}: " + ", ".join(f"{host} {at:.1f} s" for host, at in floors[name].items()), flush=True)
    return floors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="how often each mistake is made")
    parser.add_argument("--floor-rounds", type=int, default=3, help="how often each floor is measured")
    parser.add_argument("--only", default=",".join(MISTAKES), help="some of the mistakes")
    options = parser.parse_args()
    chosen = options.only.split(",")
    labs: list[Lab] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for topology in (TOPOLOGY, write_swapped(Path(folder))):
                labs.append(Lab.up(topology, name=unique_lab_name(f"block{len(labs)}x")))
        floors, found = measure([Story(lab) for lab in labs], chosen, options.rounds, options.floor_rounds)
    finally:
        for lab in labs:
            lab.down()
    show(floors, found)
    if any(each.seconds is None for rounds in found.values() for one in rounds for each in one.values()):
        raise SystemExit("a host has not recovered")


def measure(stories: list[Story], names: list[str], rounds: int, floor_rounds: int) -> tuple[Floors, Found]:
    """Make the mistakes in turn, again and again, in both labs at once. An interrupted run keeps what it has."""
    found: Found = {name: [] for name in names}
    todo = [name for _round in range(rounds) for name in names]
    ended = threading.Event()

    def work(story: Story) -> None:
        while todo and not ended.is_set():
            name = todo.pop(0)
            one = story.make(MISTAKES[name])
            found[name].append(one)
            print(f"{name}, {len(found[name])} of {rounds}: "
                  + ", ".join(each.tell(host) for host, each in one.items()), flush=True)

    with ThreadPoolExecutor(len(stories)) as workers:
        measured = list(workers.map(lambda story: measure_floors(story, names, floor_rounds), stories))
        working = [workers.submit(work, story) for story in stories]
        try:
            wait(working)
        except KeyboardInterrupt:
            ended.set()
        for each in working:
            each.result()
    return {name: {host: median([floors[name][host] for floors in measured]) for host in HOSTS}
            for name in measured[0]}, found


def show(floors: Floors, found: Found) -> None:
    rows = [row_of(name, host, [each[host] for each in rounds], floor_of(name, host, floors))
            for name, rounds in found.items() for host in HOSTS]
    print_table("Hosts that were cut off or lost in the middle of a change", COLUMNS, rows)
    recoveries = {name: [{host: asdict(each) for host, each in one.items()} for one in rounds]
                  for name, rounds in found.items()}
    write_report("bench_lockouts", {"floors": floors, "recoveries": recoveries},
                 [claim_of(name, rounds, floors) for name, rounds in found.items() if rounds])


def claim_of(name: str, rounds: list[dict[str, Recovery]], floors: Floors) -> Figure:
    """What is claimed of a mistake, of all managers together."""
    all_seconds = [each.seconds for one in rounds for each in one.values()]
    seconds = [each for each in all_seconds if each is not None]
    floor = median([floor_of(name, host, floors) for host in HOSTS])
    what = f"{name}: {len(seconds)} of {len(all_seconds)} hosts recovered, after"
    return Figure(what, median(seconds), "s", max(seconds), FLOORS[MISTAKES[name].floor], floor)


def floor_of(name: str, host: str, floors: Floors) -> float:
    mistake = MISTAKES[name]
    return floors[mistake.floor][host] if mistake.floor in floors else float(mistake.timeout - RETURN_TIME)


if __name__ == "__main__":
    main()
