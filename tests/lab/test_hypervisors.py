# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that libvirt runs on the fabric's interfaces: a VM's life, each step seen from the Internet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.hypervisors import BOOT, install_guest_image
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

WEB1: dict[str, Any] = {
    "name": "web1", "node": "node1", "driver": "libvirt",
    "guest": {"memory": 128, "machine": "pc-i440fx-7.2", "boot": BOOT, "nameservers": ["192.0.2.53"]}}
BOOT_SECONDS = 120  # 5 s on an idle machine; a slower one takes longer


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "hypervisors.yml", unique_lab_name("hyperv"))
    try:
        for node in ("node1", "node2"):
            install_guest_image(lab, node)
        built = Cluster(lab)
        built.play("site.yml")
        built.attach(WEB1)
        yield built
    finally:
        lab.down()


def addresses(cluster: Cluster) -> list[str]:
    return [str(address) for address in cluster.records("node1")["web1"]["addresses"]]


def domain_state(cluster: Cluster) -> str:
    return cluster.lab.exec("node1", ["virsh", "domstate", "web1"], check=False).stdout.strip()


def wait_until_reached(cluster: Cluster) -> None:
    for address in addresses(cluster):
        cluster.wait_for_route(address, BOOT_SECONDS)
    cluster.wait_for_answer("ext", addresses(cluster), BOOT_SECONDS)


def wait_until_withdrawn(cluster: Cluster) -> None:
    for address in addresses(cluster):
        cluster.wait_for_no_route(address)


def check_agreement(cluster: Cluster, tmp_path: Path) -> None:
    found = cluster.verify(tmp_path / "report.json")
    assert found["returncode"] == 0, found["output"]


def test_a_vm_that_is_attached_runs_and_is_reached_by_what_cloud_init_tells_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert sorted(":" in address for address in addresses(cluster)) == [False, True]
    wait_until_reached(cluster)
    link = json.loads(cluster.shell("node1", "ip -json -detail link show web1_net0"))[0]
    gateway_mac = cluster.records("node1")["web1"]["gateway"]["mac"]
    assert link["address"] == gateway_mac, "libvirt leaves the interface's MAC as it is"
    check_agreement(cluster, tmp_path)


def test_attaching_it_again_changes_nothing(cluster: Cluster) -> None:
    run = cluster.attach(WEB1)
    assert run.changed == 0, run.output


def test_a_guest_that_shuts_down_is_withdrawn_and_announced_when_it_is_started(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.shell("node1", "virsh shutdown web1")
    wait_until(lambda: domain_state(cluster) == "shut off", BOOT_SECONDS, "the guest has shut down")
    wait_until_withdrawn(cluster)
    check_agreement(cluster, tmp_path)
    assert cluster.attach(WEB1).recap["node1"]["changed"] == 1, "attaching starts it, and does nothing else"
    wait_until_reached(cluster)


def test_a_guest_whose_qemu_is_killed_is_withdrawn(cluster: Cluster) -> None:
    cluster.shell("node1", "kill -KILL $(cat /run/libvirt/qemu/web1.pid)")
    wait_until_withdrawn(cluster)
    wait_until(lambda: domain_state(cluster) == "shut off", 20, "libvirt knows that the guest is gone")


def test_a_node_that_reboots_has_its_guest_back(cluster: Cluster, tmp_path: Path) -> None:
    cluster.lab.reboot("node1")
    wait_until_reached(cluster)
    assert domain_state(cluster) == "running"
    check_agreement(cluster, tmp_path)


def test_a_vm_that_is_detached_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    gone = addresses(cluster)
    cluster.play("detach_vm.yml", extra={"vms": [{"name": "web1", "driver": "libvirt"}]})
    for address in gone:
        assert not cluster.kernel_routes(address)
    assert cluster.shell("node1", "virsh list --all --name").strip() == ""
    assert cluster.shell("node1", "ls /sys/class/net /var/lib/vmcluster/seeds").count("web1") == 0
    assert cluster.records("node1") == {} and cluster.leases() == []
    check_agreement(cluster, tmp_path)
