# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of guests begin with: a cluster on whose node1 libvirt runs web1 and LXC runs ct1.

Containers of LXD are there too where a test wants them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vmlab.cluster import Cluster
from vmlab.hypervisors import BOOT, IMAGE, ROOTFS, install_guest_image, make_container_root, set_up_lxd
from vmlab.sites import configured_cluster
from vmlab.state import CHECKOUT

TOPOLOGY = CHECKOUT / "lab" / "topologies" / "hypervisors.yml"
WEB1: dict[str, Any] = {
    "name": "web1", "node": "node1", "driver": "libvirt",
    "guest": {"memory": 128, "machine": "pc-i440fx-7.2", "boot": BOOT, "nameservers": ["192.0.2.53"]}}
CT1: dict[str, Any] = {"name": "ct1", "node": "node1", "driver": "lxc", "guest": {"rootfs": ROOTFS}}
CT2: dict[str, Any] = {
    "name": "ct2", "node": "node1", "driver": "lxd", "guest": {"image": IMAGE, "config": {"security.nesting": True}}}
CT3: dict[str, Any] = {**CT2, "name": "ct3", "node": "node3"}  # whose LXD is Incus
BOOT_SECONDS = 120  # 5 s on an idle machine; a slower one takes longer


@contextmanager
def cluster_with_guests(name: str, *of_lxd: dict[str, Any]) -> Iterator[Cluster]:
    """The cluster in a lab of this name, which is taken down afterwards. of_lxd: containers that it has too."""
    with configured_cluster(name, TOPOLOGY) as built:
        install_guest_image(built.lab, "node1")
        make_container_root(built.lab, "node1")
        for container in of_lxd:
            set_up_lxd(built.lab, container["node"])
        built.attach(WEB1, CT1, *of_lxd)
        yield built
