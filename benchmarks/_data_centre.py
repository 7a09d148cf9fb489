# SPDX-License-Identifier: GPL-3.0-or-later
"""The data centre that benchmarks measure in: its lab, its load, and how often BFD took the living for dead there."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _report import Figure
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.lab import STANDARD
from vmlab.stories import unique_lab_name

RUN = 1800.0  # seconds that a playbook may take, on the slowest machine
PRIORITY = 20


@contextmanager
def data_centre(story: str, topology: Path | str = STANDARD, *inventory: Path) -> Iterator[Cluster]:
    """A lab whose cluster site.yml has built, gone afterwards. Who measures goes before ordinary processes."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    lab = Lab.up(topology, name=unique_lab_name(story))
    try:
        print(f"lab {lab.name} is up", flush=True)
        cluster = Cluster(lab, *inventory)
        cluster.play("site.yml", timeout=RUN)
        print("site.yml has run", flush=True)
        yield cluster
    finally:
        lab.down()


class Loads:
    """The machine's load while something is measured."""

    def __init__(self) -> None:
        self.seen = [os.getloadavg()[0]]

    def look(self) -> None:
        """Read it once more."""
        self.seen.append(os.getloadavg()[0])

    def __str__(self) -> str:
        return f"load of the machine: {min(self.seen):.1f} to {max(self.seen):.1f} on {os.cpu_count()} processors"


def bfd_peers(cluster: Cluster, host: str, what: str = "") -> list[dict[str, Any]]:
    """What FRR tells of a host's BFD sessions; none where it has no BFD."""
    told = cluster.lab.exec(host, ["vtysh", "-c", f"show bfd peers {what} json"], check=False).stdout
    with contextlib.suppress(ValueError):
        return list(json.loads(told))
    return []


class FalseAlarms:
    """How often BFD said, since it was begun with, that a host is dead, although all live."""

    def __init__(self, cluster: Cluster, *hosts: str) -> None:
        self.cluster, self.began = cluster, time.monotonic()
        self.hosts = [host for host in hosts if bfd_peers(cluster, host)]
        self.before = self.count()

    def count(self) -> int:
        """Sessions that went down since FRR runs."""
        return sum(peer.get("session-down", 0) for host in self.hosts
                   for peer in bfd_peers(self.cluster, host, "counters"))

    def figure(self) -> Figure:
        """What to report; the migrations themselves are the load."""
        minutes = (time.monotonic() - self.began) / 60
        return Figure(f"BFD sessions of {len(self.hosts)} living hosts lost in {minutes:.0f} min of this",
                      float(self.count() - self.before))
