# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration, the short form: what is lost from outside and from VMs on both nodes, what is left, what is refused.

The bound is below what any wrong order of steps loses: 170 packets and more by FRR (see benchmarks/), and those of the
guest's pause where the source sends on too late, or to a target that is not ready to keep them until the guest runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from vmlab.cluster import NODES, Cluster
from vmlab.migrations import Migration, move_guest

pytestmark = pytest.mark.lab

LOST = 40  # packets of 1 ms, in one direction
PAUSE = 0.25  # seconds; a tap keeps 500 packets


@pytest.fixture(scope="module")
def cluster(site: Cluster) -> Iterator[Cluster]:
    homes = {"web1": "node1", "near1": "node1", "near3": "node3"}
    site.attach(*({"name": vm, "node": node} for vm, node in homes.items()))
    addresses = [address for vm, node in homes.items() for address in site.start_guests(node, vm)[vm]]
    site.wait_for_answer("ext", addresses, 40)
    yield site


def what_is_left(cluster: Cluster, node: str) -> str:
    """What a migration may leave on a node: rules, routes, agents, FRR's statements."""
    return cluster.shell(node, r"""
        (ip rule; ip -6 rule) | grep -E '^10[01]:' || true
        for table in 77 78; do for family in 4 6; do ip -$family route show table $table 2>/dev/null || true; done; done
        systemctl --no-legend list-units 'vmcluster-migration@*'
        ls /run/vmcluster/migrations 2>/dev/null || true
        grep -sH . /proc/sys/net/ipv4/conf/*_net0/rp_filter | grep -v ':1$' || true
        (vtysh -c 'show running-config'; cat /etc/frr/frr.conf) | grep -E '^ no link-detect|route .* tag 771' || true
    """)


def migrate(
    cluster: Cluster, vm: str, target: str, sources: dict[str, int], tell: bool, pause: float = 0.0
) -> dict[str, int]:
    """Move a VM, which stands still for a while, with probes from some places, each of a family; what each direction
    lost."""
    with ExitStack() as stack:
        probes = {place: stack.enter_context(cluster.lab.probe(place, vm, family=family))
                  for place, family in sources.items()}
        with Migration(cluster, {vm: target}) as migration:
            migration.wait_until_armed()
            move_guest(cluster.lab, vm, target, tell=tell, downtime=pause)
    results = {place: probe.result() for place, probe in probes.items()}
    return {f"{place} {name}": direction.lost
            for place, result in results.items() for name, direction in result.directions.items()}


def test_a_prediction_tells_of_each_change_once_and_touches_nothing(cluster: Cluster) -> None:
    before = (cluster.leases(), {node: cluster.records(node) for node in NODES})
    run = cluster.play("migrate_vm.yml", "--check", "--diff", "-e", "vm=web1", "-e", "node=node3")
    for said in ("web1 leaves for node3", "web1 comes from node1", "web1_net0: web1 has no interface", "holder node3",
                 "web1_net0: web1 is announced", "web1_net0: web1 is not attached here any more"):
        assert said in run.output, run.output
    assert run.output.count("web1_net0: web1 has no interface") == 1, run.output
    assert "node3: web1" not in run.output, run.output
    assert (cluster.leases(), {node: cluster.records(node) for node in NODES}) == before
    assert {node: what_is_left(cluster, node) for node in NODES} == dict.fromkeys(NODES, "")


def test_a_vm_moves_to_another_frr_and_nobody_notices_from_outside_or_from_its_old_node(
    cluster: Cluster, tmp_path: Path
) -> None:
    lost = migrate(cluster, "web1", "node3", {"ext": 6, "near1": 4}, tell=True, pause=PAUSE)
    assert max(lost.values()) <= LOST, lost
    assert {holder for owner, _pool, _address, holder in cluster.leases() if owner == "alpha/web1"} == {"node3"}
    assert cluster.records("node3")["web1"]["announcement"] == "announced" and "web1" not in cluster.records("node1")
    assert {node: what_is_left(cluster, node) for node in NODES} == dict.fromkeys(NODES, "")
    report = cluster.verify(tmp_path / "report.json")
    assert report["agrees"], report["differences"]


def test_the_guests_first_frame_is_enough_and_the_way_back_is_as_good(cluster: Cluster) -> None:
    lost = migrate(cluster, "web1", "node1", {"ext": 4, "near3": 6}, tell=False)
    assert max(lost.values()) <= LOST, lost
    assert {node: what_is_left(cluster, node) for node in NODES} == dict.fromkeys(NODES, "")


def test_what_cannot_be_is_refused_by_name_and_touches_nothing(cluster: Cluster) -> None:
    def refused(vm: str, node: str, name: str) -> None:
        run = cluster.play("migrate_vm.yml", "-e", f"vm={vm}", "-e", f"node={node}", check=False)
        assert run.returncode != 0 and f"LiveMigrationRefused: {name}: " in run.output, run.output
        assert run.changed == 0

    refused("web1", "node1", "SameNode")
    cluster.shell("node2", "ip link set eth0 mtu 1400")
    try:
        refused("web1", "node2", "MtuTooSmall")
    finally:
        cluster.shell("node2", "ip link set eth0 mtu 1500")
    assert {node: what_is_left(cluster, node) for node in NODES} == dict.fromkeys(NODES, "")
