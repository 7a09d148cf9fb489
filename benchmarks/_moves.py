# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks of live migration share: VMs that move under probes, and the orders that one would type."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from _data_centre import RUN
from _report import median
from vmlab.cluster import Cluster
from vmlab.probe import Probe
from vmlab.probe_report import ProbeResult

PLACES = ("outside", "source", "target")  # that moves are seen from: the Internet, VMs on the old and the new node
NAIVE = "naive1"
BEFORE, AFTER_NAIVE = 0.3, 3.0  # seconds of the probe around a move
SPOILT_PAUSE = 0.02  # seconds; a guest in a namespace that stood still for longer was held up by the machine
ORDERS = {True: "withdraw at STOP, announce at RESUME", False: "announce at RESUME, withdraw by loss of carrier"}


@dataclass(frozen=True)
class Run:
    """A move of a guest in a namespace as one place saw it: packets lost by direction; seconds that the guest stood
    still; whether the machine spoilt it."""

    family: int
    lost: Mapping[str, int]
    gap_ms: float
    pause: float
    spoilt: bool

    @classmethod
    def read(cls, family: int, result: ProbeResult, pause: float, longest_pause: float = SPOILT_PAUSE) -> Run:
        """A run from what its probe says."""
        lost = {name: direction.lost for name, direction in result.directions.items()}
        return cls(family, lost, result.longest_gap_ms, pause, result.is_spoilt or pause > longest_pause)

    @property
    def worst(self) -> int:
        """What the worse direction lost."""
        return max(self.lost.values())

    def __str__(self) -> str:
        return f"{self.worst}{'!' if self.spoilt else ''}"


class Movers:
    """Running VMs that move between two nodes, seen from a VM on each node that stays, and from outside."""

    def __init__(self, cluster: Cluster, names: Sequence[str], nodes: tuple[str, str], outside: str) -> None:
        self.cluster, self.lab, self.names, self.nodes, self.outside = cluster, cluster.lab, names, nodes, outside
        self.near = {node: f"near{node[-1]}" for node in nodes}

    def attach(self, *more: str) -> None:
        """Attach all VMs and some more; those that move begin on the first node."""
        homes = {**dict.fromkeys((*self.names, *more), self.nodes[0]), **{vm: node for node, vm in self.near.items()}}
        self.cluster.attach(*({"name": vm, "node": node} for vm, node in homes.items()), timeout=RUN)
        print(f"{len(homes)} VMs are attached", flush=True)

    def ends(self, vm: str = "") -> tuple[str, str]:
        """The node that a VM is on (by default the first), and the one that it will move to."""
        source = next(guest.node for guest in self.lab.guests() if guest.vm == (vm or self.names[0]))
        return source, next(node for node in self.nodes if node != source)

    def looking(self, place: str, source: str, target: str) -> str:
        """Who looks from a place."""
        return {"outside": self.outside, "source": self.near[source], "target": self.near[target]}[place]

    def measure(
        self, vm: str, number: int, move: Callable[[], object], *, after: float, longest_pause: float = SPOILT_PAUSE,
        places: Sequence[str] = PLACES, **options: Any
    ) -> dict[str, Run]:
        """One move under probes from all places at once, IPv4 and IPv6 by turns; options are those of the probes."""
        source, target = self.ends(vm)
        families = {place: 4 + 2 * ((number + at) % 2) for at, place in enumerate(places)}
        probes = {place: self.lab.probe(self.looking(place, source, target), vm, family=family, **options)
                  for place, family in families.items()}
        with probing(list(probes.values())):
            time.sleep(BEFORE)
            self.lab.guest_prepare(vm, target)
            began = time.monotonic()
            self.lab.guest_pause(vm)
            move()
            pause = time.monotonic() - began
            self.lab.guest_release(vm)
            time.sleep(after)
        return {place: Run.read(families[place], probe.result(), pause, longest_pause)
                for place, probe in probes.items()}


@contextmanager
def probing(probes: Sequence[Probe]) -> Iterator[None]:
    """Probes that start at the same time, and end so."""
    with ThreadPoolExecutor(len(probes)) as pool:
        try:
            list(pool.map(Probe.start, probes))
            yield
            list(pool.map(Probe.stop, probes))
        except BaseException:
            for probe in probes:
                probe.abandon()
            raise


class NaiveOrders:
    """A VM that moves by orders typed into FRR's shell, at the moment at which a hypervisor's hooks would. Its
    interface is on the second node too, made as its record on the first says."""

    def __init__(self, movers: Movers) -> None:
        self.cluster, self.nodes = movers.cluster, movers.nodes
        self.record = movers.cluster.records(self.nodes[0])[NAIVE]

    @contextmanager
    def interfaces(self) -> Iterator[None]:
        """Have the interface on the second node meanwhile."""
        lines = "\n".join([*self.record["create"], *self.record["configure"]])
        sysctls = "\n".join(f"echo {value} > /proc/sys/{path}" for path, value in self.record["sysctls"].items())
        self.cluster.shell(self.nodes[1], f"ip -batch - <<'END'\n{lines}\nEND\n{sysctls}")
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # the lab is taken down anyway
                self.cluster.shell(self.nodes[1], f"ip link del {self.record['interface']}", check=False)

    def announce(self, node: str, no: str = "") -> None:
        """Type the VM's statics."""
        self.cluster.configure(node, *(
            f"{no}{'ipv6' if ':' in address else 'ip'} route {address}/{128 if ':' in address else 32} "
            f"{self.record['interface']} tag 770" for address in self.record["addresses"]))

    def withdraw(self, node: str) -> None:
        """Take them away."""
        self.announce(node, "no ")

    def settle(self, source: str) -> None:
        """After a move: the old node has no statics, and the VM answers."""
        self.withdraw(source)
        self.cluster.wait_for_answer("ext", self.record["addresses"], 60)


def summarize(runs: Sequence[Run]) -> dict[str, float]:
    """Median and worst of the worse direction's losses, of all runs and of those that were not spoilt, if any."""
    lost = [run.worst for run in runs]
    sound = [run.worst for run in runs if not run.spoilt] or lost
    return {"runs": len(runs), "spoilt": sum(run.spoilt for run in runs), "median": median(sound), "worst": max(sound),
            "median_of_all": median(lost), "worst_of_all": max(lost),
            "pause_median_ms": median([run.pause * 1e3 for run in runs])}
