# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that libvirt and LXC run on the fabric's interfaces: their life, each step seen from the Internet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypervisor_site import BOOT_SECONDS, CT1, WEB1, cluster_with_guests
from vmlab.cluster import Cluster
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_with_guests("hyperv") as built:
        yield built


def addresses(cluster: Cluster) -> list[str]:
    return [str(address) for record in cluster.records("node1").values() for address in record["addresses"]]


def domain_state(cluster: Cluster) -> str:
    return cluster.lab.exec("node1", ["virsh", "domstate", "web1"], check=False).stdout.strip()


def container_state(cluster: Cluster) -> str:
    return cluster.lab.exec("node1", ["lxc-info", "-n", "ct1", "-s", "-H"], check=False).stdout.strip()


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
    assert sorted(":" in address for address in addresses(cluster)) == [False, False, True, True]
    wait_until_reached(cluster)
    link = json.loads(cluster.shell("node1", "ip -json -detail link show web1_net0"))[0]
    gateway_mac = cluster.records("node1")["web1"]["gateway"]["mac"]
    assert link["address"] == gateway_mac, "libvirt leaves the interface's MAC as it is"
    check_agreement(cluster, tmp_path)


def test_attaching_it_again_changes_nothing(cluster: Cluster) -> None:
    run = cluster.attach(WEB1, CT1)
    assert run.changed == 0, run.output


def test_guests_that_shut_down_are_withdrawn_and_announced_when_they_are_started(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.shell("node1", "virsh shutdown web1; lxc-stop -n ct1")
    wait_until(lambda: domain_state(cluster) == "shut off", BOOT_SECONDS, "the guest has shut down")
    wait_until_withdrawn(cluster)
    check_agreement(cluster, tmp_path)
    assert cluster.attach(WEB1, CT1).recap["node1"]["changed"] == 2, "attaching starts both, and does nothing else"
    wait_until_reached(cluster)


def test_guests_that_are_killed_are_withdrawn(cluster: Cluster) -> None:
    cluster.shell("node1", "kill -KILL $(cat /run/libvirt/qemu/web1.pid) $(lxc-info -n ct1 -p -H)")
    wait_until_withdrawn(cluster)
    wait_until(lambda: domain_state(cluster) == "shut off", 20, "libvirt knows that the guest is gone")


def test_a_node_that_reboots_has_its_guests_back(cluster: Cluster, tmp_path: Path) -> None:
    cluster.lab.reboot("node1")
    wait_until_reached(cluster)
    assert domain_state(cluster) == "running" and container_state(cluster) == "RUNNING"
    check_agreement(cluster, tmp_path)


def test_vms_that_are_detached_leave_nothing(cluster: Cluster, tmp_path: Path) -> None:
    gone = addresses(cluster)
    cluster.detach("web1", "ct1")
    for address in gone:
        assert not cluster.kernel_routes(address)
    assert cluster.shell("node1", "virsh list --all --name").strip() == ""
    left = cluster.shell("node1", "ls /sys/class/net /var/lib/vmcluster/seeds; find /var/lib/lxc -type f")
    assert "web1" not in left and "ct1" not in left
    assert cluster.records("node1") == {} and cluster.leases() == []
    check_agreement(cluster, tmp_path)
