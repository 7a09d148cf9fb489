# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of VMs that libvirt and LXC run: after each step register, records, announcements and hypervisors agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypervisor_site import BOOT_SECONDS, CT1, WEB1, cluster_with_guests
from vmlab.cluster import REGISTER, Cluster
from vmlab.migrations import kill_playbook_when
from vmlab.module_calls import ModuleCalls

pytestmark = pytest.mark.lab

SECOND: dict[str, Any] = {"name": "web1", "node": "node1", "nic": 1, "driver": "libvirt"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_with_guests("vmlife") as built:
        yield built


def addresses(cluster: Cluster, *vms: str) -> list[str]:
    records = cluster.records("node1")
    return [str(address) for vm in vms for address in records[vm]["addresses"]]


def process_of(cluster: Cluster, domain: str) -> str:
    return cluster.shell("node1", f"cat /run/libvirt/qemu/{domain}.pid")


def version_at_core(cluster: Cluster, address: str) -> int:
    """By which the core's BGP says whether its route to an address has changed."""
    family = "ipv6" if ":" in address else "ipv4"
    shown = cluster.lab.exec("core", ["vtysh", "-c", f"show bgp {family} unicast {address} json"]).stdout
    return int(json.loads(shown)["version"])


def check_agreement(cluster: Cluster, tmp_path: Path) -> None:
    found = cluster.verify(tmp_path / "report.json")
    assert found["returncode"] == 0, found["output"]


def test_a_card_that_comes_to_a_vm_that_runs_is_announced_and_one_that_goes_is_not(
    cluster: Cluster, tmp_path: Path
) -> None:
    process = process_of(cluster, "web1")
    cluster.attach(SECOND)
    first, second = addresses(cluster, "web1"), addresses(cluster, "web1#1")
    for address in second:
        cluster.wait_for_route(address)
    check_agreement(cluster, tmp_path)
    cluster.play("detach_vm.yml", extra={"vms": [{"name": "web1", "nic": 1}]})
    cards = cluster.shell("node1", "virsh domiflist web1; ls /sys/class/net")
    assert "web1_net0" in cards and "web1_net1" not in cards
    assert all(cluster.kernel_routes(address) for address in first)
    assert not any(cluster.kernel_routes(address) for address in second)
    assert process_of(cluster, "web1") == process, "the guest ran on all the while"


def test_a_guest_that_restarts_in_its_hypervisor_stays_announced(cluster: Cluster) -> None:
    cluster.wait_for_answer("ext", addresses(cluster, "web1", "ct1"), BOOT_SECONDS)
    before = {address: version_at_core(cluster, address) for address in addresses(cluster, "web1")}
    cluster.shell("node1", "virsh reset web1")
    cluster.wait_for_answer("ext", before, BOOT_SECONDS)
    assert {address: version_at_core(cluster, address) for address in before} == before


def test_a_vm_whose_hypervisor_process_died_is_withdrawn_and_gets_another_name(
    cluster: Cluster, tmp_path: Path
) -> None:
    had = addresses(cluster, "web1")
    cluster.shell("node1", f"kill -KILL {process_of(cluster, 'web1')}")
    for address in had:
        cluster.wait_for_no_route(address)
    renaming = {"vm": "web1", "new_name": "a-longer-name"}
    kill_playbook_when(cluster, "rename_vm.yml", renaming, lambda: "a-longer-name" in cluster.records("node1"))
    assert {owner for owner, *_rest in cluster.leases()} == {"alpha/web1", "alpha/ct1"}, "the register comes last"
    cluster.play("rename_vm.yml", extra=renaming)
    check_agreement(cluster, tmp_path)
    assert addresses(cluster, "a-longer-name") == had
    assert {owner for owner, *_rest in cluster.leases()} == {"alpha/a-longer-name", "alpha/ct1"}
    assert "web1" not in cluster.shell("node1", "virsh list --all; ls /sys/class/net /var/lib/vmcluster/*")
    mac = cluster.records("node1")["a-longer-name"]["mac"]
    cluster.attach({**WEB1, "name": "a-longer-name"})
    assert cluster.records("node1")["a-longer-name"]["mac"] == mac, "the guest knows its card"
    cluster.wait_for_answer("ext", had, BOOT_SECONDS)


def test_a_guest_that_runs_is_renamed_by_a_restart_if_its_operator_says_so(cluster: Cluster, tmp_path: Path) -> None:
    had = addresses(cluster, "ct1")
    renaming = ("rename_vm.yml", "-e", "vm=ct1", "-e", "new_name=cellar")
    refused = cluster.play(*renaming, check=False)
    assert refused.returncode != 0 and refused.changed == 0, refused.output
    assert "a guest runs on ct1_net0: stop it, or say restart=true" in refused.output
    cluster.play(*renaming, "-e", "restart=true")
    cluster.wait_for_answer("ext", had, BOOT_SECONDS)
    assert cluster.shell("node1", "lxc-ls").split() == ["cellar"]
    check_agreement(cluster, tmp_path)


def test_guests_that_are_not_where_and_as_the_records_say_are_told(cluster: Cluster, tmp_path: Path) -> None:
    definition = cluster.shell("node1", "virsh dumpxml --inactive a-longer-name")
    cluster.lab.exec("node2", ["sh", "-euc", "cat >/root/vm.xml && virsh define /root/vm.xml"], input=definition)
    cluster.shell("node1", "lxc-stop -n cellar; sed -i s/cellar_vm0/cellar_vm1/ /var/lib/lxc/cellar/vmcluster.conf")
    found = cluster.verify(tmp_path / "report.json")
    told = {(difference["host"], difference["what"]) for difference in found["differences"]}
    assert told == {
        ("node2", "libvirt's domain a-longer-name is defined here, and the VM is on node1"),
        ("node1", "container cellar has no card on cellar_net0"),
        ("node1", "container cellar has a card on cellar_net1, which its records do not have")}, found["output"]
    cluster.shell("node2", "virsh undefine a-longer-name")
    cluster.attach({**CT1, "name": "cellar"})
    check_agreement(cluster, tmp_path)


def test_a_vm_that_the_register_does_not_know_any_more_is_purged_with_its_guest(
    cluster: Cluster, tmp_path: Path
) -> None:
    gone = addresses(cluster, "a-longer-name")
    forget = {"path": REGISTER, "leases": [{"owner": "alpha/a-longer-name", "state": "absent"}]}
    ModuleCalls(cluster.lab, tmp_path, {"rr1": {}}).module("ip_pool_alloc", forget)
    cluster.play("site.yml", "-e", "purge_vms=true")
    assert not any(cluster.kernel_routes(address) for address in gone)
    left = cluster.shell("node1", "virsh list --all --name; ls /var/lib/vmcluster/seeds").strip()
    assert not left and set(cluster.records("node1")) == {"cellar"}, left
    assert cluster.shell("node1", "lxc-info -n cellar -s -H").strip() == "RUNNING"


def test_detaching_knows_by_itself_what_runs_a_vm(cluster: Cluster, tmp_path: Path) -> None:
    gone = addresses(cluster, "cellar")
    cluster.detach("cellar")
    assert not any(cluster.kernel_routes(address) for address in gone)
    left = cluster.shell("node1", "virsh list --all --name; ls /var/lib/vmcluster/seeds; find /var/lib/lxc -type f")
    assert not left.strip(), left
    assert cluster.records("node1") == {} and cluster.leases() == []
    check_agreement(cluster, tmp_path)
