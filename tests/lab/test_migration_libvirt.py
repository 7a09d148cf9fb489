# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests of libvirt that go to another node: moved by libvirt itself, and by whom when it fails; their node
drained, and dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypervisor_site import BOOT_SECONDS, TOPOLOGY
from vmlab.cluster import Cluster, read_description
from vmlab.hypervisors import BOOT, install_guest_image, is_moving, let_roots_in, memory_held
from vmlab.migrations import Ticks, kill_controller_when
from vmlab.playbooks import PlaybookRun
from vmlab.sites import configured_cluster
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab

WEB1: dict[str, Any] = {
    "name": "web1", "driver": "libvirt", "guest": {"memory": 128, "machine": "pc-i440fx-7.2", "boot": BOOT}}
DECLARED = read_description(vms=[{**WEB1, "node": "node1"}])
RUN = 900.0  # seconds a playbook may take on a loaded machine


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with configured_cluster("migvirt", TOPOLOGY) as built:
        for node in ("node1", "node2"):
            install_guest_image(built.lab, node)
        let_roots_in(built.lab, "node1", "node2")
        built.attach({**WEB1, "node": "node1"})
        built.wait_for_answer("ext", addresses(built), BOOT_SECONDS)
        yield built


def addresses(cluster: Cluster) -> list[str]:
    return [address for owner, _pool, address, _holder in cluster.leases() if owner == "alpha/web1"]


def migrate(cluster: Cluster, node: str, *arguments: str, **options: Any) -> PlaybookRun:
    extra = {"vms": [{**WEB1, "node": node}], **options.pop("extra", {})}
    return cluster.play("migrate_vm.yml", *arguments, extra=extra, **options)


def domain(cluster: Cluster, node: str) -> str:
    """What libvirt on a node says of the guest: its state, whether it is defined there and starts with the node."""
    told = cluster.lab.exec(node, ["virsh", "dominfo", "web1"], check=False).stdout
    found = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    return " ".join(found.get(key, "").strip() for key in ("State", "Persistent", "Autostart")).strip()


def check_whole(cluster: Cluster, node: str, folder: Path) -> None:
    other = {"node1": "node2", "node2": "node1"}[node]
    cluster.wait_for_answer("ext", addresses(cluster))
    assert (domain(cluster, node), domain(cluster, other)) == ("running yes enable", "")
    assert "web1" not in cluster.shell(other, "ls /sys/class/net; ls /var/lib/vmcluster/seeds || true")
    report = cluster.verify(folder / "report.json")
    assert report["agrees"], report["differences"]


def test_a_guest_of_libvirt_moves_over_ssh_with_its_definition_and_keeps_a_tcp_connection(
    cluster: Cluster, tmp_path: Path
) -> None:
    predicted = migrate(cluster, "node2", "--check", "--diff").output
    assert "domain web1: moves to node2" in predicted and domain(cluster, "node1") == "running yes enable", predicted
    with Ticks(cluster.lab, "ext", addresses(cluster)[0]) as ticks:
        migrate(cluster, "node2")
        ticks.check()
    check_whole(cluster, "node2", tmp_path)


def test_a_guest_whose_libvirt_cannot_reach_the_other_stays_and_moves_when_it_can(
    cluster: Cluster, tmp_path: Path
) -> None:
    with Ticks(cluster.lab, "ext", addresses(cluster)[1]) as ticks:
        cluster.shell("node1", "systemctl stop libvirtd.service libvirtd-tcp.socket")
        run = migrate(cluster, "node1", extra={"migrate_transport": "tcp"}, check=False)
        assert run.returncode != 0 and "web1: libvirt does not move it to node1: " in run.output, run.output
        ticks.check()
        assert domain(cluster, "node2") == "running yes enable"
        cluster.play("abort_migration.yml", extra={"vms": [{**WEB1, "node": "node1"}]})
        check_whole(cluster, "node2", tmp_path)
        cluster.shell("node1", "systemctl stop libvirtd.service; systemctl start libvirtd-tcp.socket")
        migrate(cluster, "node1", extra={"migrate_transport": "tcp"})
        ticks.check()
    check_whole(cluster, "node1", tmp_path)


def test_a_controller_that_dies_while_libvirt_moves_a_guest_stops_nothing_and_the_next_run_finishes(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.shell("node1", "virsh migrate-setspeed web1 8")  # MiB/s, so that it takes some seconds
    with Ticks(cluster.lab, "ext", addresses(cluster)[0]) as ticks:
        kill_controller_when(cluster, {**WEB1, "node": "node2"},
                             lambda: is_moving(cluster.lab, "node1", "web1"), migrate_transport="tcp")
        migrate(cluster, "node2", extra={"migrate_transport": "tcp"})
        ticks.check()
    check_whole(cluster, "node2", tmp_path)


def test_a_migration_that_libvirt_is_at_is_taken_back_and_the_guest_runs_on(cluster: Cluster, tmp_path: Path) -> None:
    cluster.shell("node2", "virsh migrate-setspeed web1 1")
    with Ticks(cluster.lab, "ext", addresses(cluster)[0]) as ticks:
        kill_controller_when(cluster, {**WEB1, "node": "node1"},
                             lambda: is_moving(cluster.lab, "node2", "web1"), migrate_transport="tcp")
        with memory_held(cluster.lab, "node1"):
            run = cluster.play("abort_migration.yml", extra={"vms": [{**WEB1, "node": "node1"}]}, timeout=RUN)
        assert run.recap["node2"]["changed"] >= 2, "libvirt's migration is ended, and the agents'"
        ticks.check()
    check_whole(cluster, "node2", tmp_path)


def test_the_declared_guest_of_a_dead_node_runs_on_another_and_not_twice(cluster: Cluster) -> None:
    went = addresses(cluster)
    cluster.lab.host_kill("node2")
    # A reflector without BFD keeps the session for the hold time.
    wait_until(lambda: not any(peer in ("10.20.0.12", "fd20::12") and session.state == "Established"
                               for (_host, peer), session in cluster.all_sessions(("rr1", "rr2")).items()),
               60, "no reflector has a session with node2")
    evacuation = {"node": "node2", "confirm_dead": "node2", "drain_to": ["node1"], **DECLARED}
    cluster.play("evacuate_node.yml", extra=evacuation, timeout=RUN)
    assert (domain(cluster, "node1"), addresses(cluster)) == ("running yes enable", went)
    cluster.wait_for_answer("ext", went, BOOT_SECONDS)
    cluster.lab.host_start("node2")
    # The dead node knows nothing of that, and its libvirt starts what it started before.
    wait_until(lambda: domain(cluster, "node2").startswith("running"), BOOT_SECONDS, "the old guest runs on node2")
    refused = cluster.play("undrain_node.yml", extra={"node": "node2", **DECLARED}, check=False, timeout=RUN)
    assert refused.returncode != 0 and "Stop them here first" in refused.output, refused.output
    ways = {f"node{route['gateway'][-1]}" for address in went for route in cluster.kernel_routes(address)}
    assert ways == {"node1"}, "the old one is announced to nobody"
    cluster.shell("node2", "virsh destroy web1")
    cluster.play("undrain_node.yml", extra={"node": "node2", **DECLARED}, timeout=RUN)
    assert domain(cluster, "node2") == "", "it is not defined there any more"


def test_a_node_whose_guests_libvirt_runs_is_drained_by_it(cluster: Cluster, tmp_path: Path) -> None:
    with Ticks(cluster.lab, "ext", addresses(cluster)[0]) as ticks:
        run = cluster.play("drain_node.yml", extra={"node": "node1", "drain_to": ["node2"], **DECLARED}, timeout=RUN)
        ticks.check()
    assert "0 of 1 have moved from node1" in run.output, run.output
    check_whole(cluster, "node2", tmp_path)
