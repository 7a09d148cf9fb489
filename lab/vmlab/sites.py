# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Labs that begin with a cluster that site.yml has configured.

site.yml runs once for all who want the same; what it left on the disks is kept, and hosts boot from that, as servers do
that are switched on again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .cluster import Cluster
from .lab import STANDARD, Lab
from .playbooks import INVENTORY
from .roots import cache_folder, provide_folder
from .state import CHECKOUT
from .stories import unique_lab_name, wait_until

SITE_RUN = 600.0  # seconds that site.yml may take on a busy machine
BOOT = 90.0  # seconds until all sessions are there again, on a busy machine
KEPT = 6 * 3600.0  # seconds that the disks of a site are kept after somebody began with them
# What decides how hosts look afterwards, besides topology, inventory and description.
SOURCES = ("playbooks", "plugins", "roles", "lab/vmlab", "lab/connection_plugins", "ansible.cfg")


@contextmanager
def configured_cluster(
    story: str, topology: Path = STANDARD, *, inventory: Path = INVENTORY, extra: dict[str, Any] | None = None
) -> Iterator[Cluster]:
    """A cluster as site.yml leaves it, in a lab of its own that is gone afterwards; all its BGP sessions are up.

    extra: extra variables of site.yml, such as another description.
    """
    folder = site_folder(topology, inventory, extra)
    provide_folder(folder, lambda draft: build_site(draft / "root", topology, inventory, extra), lambda _what: None)
    os.utime(folder)
    lab = Lab.up(topology, unique_lab_name(story), saved=folder)
    try:
        cluster = Cluster(lab, inventory)
        wait_until(lambda: all_established(cluster), BOOT, "all BGP sessions are up after the boot", pause=0.2)
        yield cluster
    finally:
        lab.down()


def site_folder(topology: Path, inventory: Path, extra: dict[str, Any] | None) -> Path:
    """Where the disks are of what site.yml makes of this, whether it has run or not."""
    made_of = hashlib.sha256(json.dumps([version("ansible-core"), extra], sort_keys=True).encode())
    for source in (topology, inventory, *(CHECKOUT / source for source in SOURCES)):
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file() and "__pycache__" not in path.parts:
                made_of.update(f"{path}\n".encode() + path.read_bytes())
    return cache_folder().with_name("sites") / made_of.hexdigest()[:16]


def build_site(folder: Path, topology: Path, inventory: Path, extra: dict[str, Any] | None) -> None:
    """Run site.yml in a lab and keep its disks; those that nobody has used for long go."""
    for old in folder.parents[1].iterdir():
        if time.time() - old.stat().st_mtime > KEPT:
            shutil.rmtree(old, ignore_errors=True)
    lab = Lab.up(topology, unique_lab_name("site"))
    try:
        Cluster(lab, inventory).play("site.yml", extra=extra, timeout=SITE_RUN)
        folder.mkdir(parents=True)
        lab.save(folder)
    finally:
        lab.down()


def all_established(cluster: Cluster) -> bool:
    """Whether every BGP session that a host's FRR is configured for is up."""
    for host in (host.name for host in cluster.lab.topology.hosts.values() if host.autostart):
        with contextlib.suppress(ValueError):  # a host without FRR prints no JSON
            shown = cluster.lab.exec(host, ["vtysh", "-c", "show bgp neighbors json"], check=False).stdout
            peers = [peer for peer in json.loads(shown).values() if isinstance(peer, dict) and "bgpState" in peer]
            if any(peer["bgpState"] != "Established" for peer in peers):
                return False
    return True
