# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of libvirt, LXC, LXD and Incus on the fabric's interfaces: their life, each step seen from the Internet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypervisor_site import BOOT_SECONDS, CT1, CT2, CT3, WEB1, cluster_with_guests
from vmlab.cluster import Cluster, read_description
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_with_guests("hyperv", CT2, CT3) as built:
        yield built


def records(cluster: Cluster) -> dict[str, dict[str, Any]]:
    return {**cluster.records("node1"), **cluster.records("node3")}


def addresses(cluster: Cluster, *vms: str) -> list[str]:
    found = records(cluster)
    return [str(address) for vm in vms or found for address in found[vm]["addresses"]]


def domain_state(cluster: Cluster) -> str:
    return cluster.lab.exec("node1", ["virsh", "domstate", "web1"], check=False).stdout.strip()


def container_state(cluster: Cluster) -> str:
    return cluster.lab.exec("node1", ["lxc-info", "-n", "ct1", "-s", "-H"], check=False).stdout.strip()


def lxd_states(cluster: Cluster) -> dict[str, str]:
    """What LXD on node1 and Incus on node3 say of each container."""
    listed = cluster.shell("node1", "lxc list -f csv -c ns") + cluster.shell("node3", "incus list -f csv -c ns")
    return dict(line.split(",") for line in listed.split())


def wait_until_reached(cluster: Cluster, *vms: str) -> None:
    for address in addresses(cluster, *vms):
        cluster.wait_for_route(address, BOOT_SECONDS)
    cluster.wait_for_answer("ext", addresses(cluster, *vms), BOOT_SECONDS)


def wait_until_withdrawn(cluster: Cluster, *vms: str) -> None:
    for address in addresses(cluster, *vms):
        cluster.wait_for_no_route(address)


def check_agreement(cluster: Cluster, tmp_path: Path) -> None:
    found = cluster.verify(tmp_path / "report.json")
    assert found["returncode"] == 0, found["output"]


def test_vms_that_are_attached_run_and_are_reached_by_what_cloud_init_tells_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert sorted(records(cluster)) == ["ct1", "ct2", "ct3", "web1"]
    assert sum(":" in address for address in addresses(cluster)) == len(addresses(cluster)) - 4 == 4
    wait_until_reached(cluster)
    link = json.loads(cluster.shell("node1", "ip -json -detail link show web1_net0"))[0]
    gateway_mac = cluster.records("node1")["web1"]["gateway"]["mac"]
    assert link["address"] == gateway_mac, "libvirt leaves the interface's MAC as it is"
    check_agreement(cluster, tmp_path)


def test_attaching_them_again_changes_nothing(cluster: Cluster) -> None:
    run = cluster.attach(WEB1, CT1, CT2, CT3)
    assert run.changed == 0, run.output


def test_a_container_of_lxd_that_ought_to_run_and_one_of_its_name_elsewhere_are_told(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.shell("node1", "lxc stop ct2")
    cluster.shell("node3", "incus copy ct3 ct2")
    wait_until_withdrawn(cluster, "ct2")
    found = cluster.verify(tmp_path / "report.json", extra=read_description(vms=[CT2]))
    assert {(each["host"], each["what"]) for each in found["differences"]} == {
        ("node1", "container ct2 does not run, and is declared running"),
        ("node3", "lxd's container ct2 is defined here, and the VM is on node1")}, found["output"]
    cluster.shell("node3", "incus delete ct2")
    cluster.shell("node1", "lxc start ct2")
    wait_until_reached(cluster, "ct2")


def test_guests_that_shut_down_are_withdrawn_and_announced_when_they_are_started(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.shell("node1", "virsh shutdown web1; lxc-stop -n ct1; lxc stop ct2")
    cluster.shell("node3", "incus stop ct3")
    wait_until(lambda: domain_state(cluster) == "shut off", BOOT_SECONDS, "the guest has shut down")
    wait_until_withdrawn(cluster)
    check_agreement(cluster, tmp_path)
    run = cluster.attach(WEB1, CT1, CT2, CT3)
    changed = {node: run.recap[node]["changed"] for node in ("node1", "node3")}
    assert changed == {"node1": 3, "node3": 1}, f"attaching starts them, and does nothing else:\n{run.output}"
    wait_until_reached(cluster)


def test_guests_that_are_killed_are_withdrawn(cluster: Cluster) -> None:
    kill_lxd = "kill -KILL $(%s query /1.0/instances/%s/state | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p')"
    cluster.shell("node1", "kill -KILL $(cat /run/libvirt/qemu/web1.pid) $(lxc-info -n ct1 -p -H)")
    cluster.shell("node1", kill_lxd % ("lxc", "ct2"))
    cluster.shell("node3", kill_lxd % ("incus", "ct3"))
    wait_until_withdrawn(cluster)
    wait_until(lambda: domain_state(cluster) == "shut off", 20, "libvirt knows that the guest is gone")


def test_a_node_that_reboots_has_its_guests_back(cluster: Cluster, tmp_path: Path) -> None:
    for node in ("node1", "node3"):
        cluster.lab.reboot(node)
    wait_until_reached(cluster)
    assert domain_state(cluster) == "running" and container_state(cluster) == "RUNNING"
    assert lxd_states(cluster) == {"ct2": "RUNNING", "ct3": "RUNNING"}
    check_agreement(cluster, tmp_path)


def test_a_container_of_lxd_gets_another_name_and_keeps_its_addresses(cluster: Cluster) -> None:
    before = addresses(cluster, "ct2")
    cluster.play("rename_vm.yml", extra={"vm": "ct2", "new_name": "ct4", "restart": True})
    assert addresses(cluster, "ct4") == before
    assert lxd_states(cluster) == {"ct4": "RUNNING", "ct3": "RUNNING"}
    wait_until_reached(cluster, "ct4")


def test_vms_that_are_detached_leave_nothing(cluster: Cluster, tmp_path: Path) -> None:
    gone, containers = addresses(cluster), lxd_states(cluster)
    cluster.detach(*records(cluster))
    for address in gone:
        assert not cluster.kernel_routes(address)
    assert cluster.shell("node1", "virsh list --all --name").strip() == ""
    left = cluster.shell("node1", "ls /sys/class/net /var/lib/vmcluster/seeds; find /var/lib/lxc -type f")
    left += cluster.shell("node3", "ls /sys/class/net")
    assert not [vm for vm in ("web1", "ct1", *containers) if vm in left]
    assert lxd_states(cluster) == dict.fromkeys(containers, "STOPPED"), "LXD keeps containers with their files"
    kept = cluster.shell("node1", "lxc config show ct4") + cluster.shell("node3", "incus config show ct3")
    assert kept.count("devices: {}") == 2, f"they have no cards:\n{kept}"
    assert records(cluster) == {} and cluster.leases() == []
    check_agreement(cluster, tmp_path)
