# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes taken out of service and put into it again: what is lost, what stays so, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from vmlab.cluster import Cluster, reset_sessions
from vmlab.drains import Hypervisors
from vmlab.probe_report import format_result
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab

LOST = 40  # packets of 1 ms, in one direction; a VM that is withdrawn before it moves loses 170 and more
VMS = {"web0": "node1", "web1": "node2", "web2": "node2", "off": "node2", "web3": "node3"}
RUN = 900.0  # seconds a playbook may take on a loaded machine


@pytest.fixture(scope="module")
def cluster(site: Cluster) -> Iterator[Cluster]:
    site.attach(*({"name": vm, "node": node} for vm, node in VMS.items()), timeout=RUN)
    addresses = [each for vm, node in VMS.items() if vm != "off" for each in site.start_guests(node, vm)[vm]]
    site.wait_for_answer("ext", addresses, 60)
    yield site


def homes(cluster: Cluster) -> dict[str, str]:
    """By VM, the node that its leases name."""
    return {owner.partition("/")[2]: holder for owner, _pool, _address, holder in cluster.leases()}


def addresses_of(cluster: Cluster, vm: str) -> list[str]:
    return [address for owner, _pool, address, _holder in cluster.leases() if owner == f"alpha/{vm}"]


def local_preferences(cluster: Cluster, node: str, vm: str) -> set[str]:
    """With which local preferences the core has the routes to a VM."""
    shown = [cluster.shell("core", f"vtysh -c 'show bgp {'ipv6' if ':' in each else 'ipv4'} unicast {each}'")
             for each in addresses_of(cluster, vm)]
    return {line.partition("localpref ")[2].split(",")[0] for text in shown for line in text.splitlines()
            if "localpref" in line}


def predict(cluster: Cluster, playbook: str, changes: int) -> None:
    """Run a playbook for node2 in check mode: it predicts so many changes there, and nothing is changed."""
    def state() -> list[object]:
        hosts = ("node1", "node2", "node3", "rr1", "rr2", "core")
        return [homes(cluster), *map(cluster.running_config, hosts), *map(cluster.records, hosts[:3])]

    before = state()
    run = cluster.play(playbook, "--check", "--diff", extra={"node": "node2"}, timeout=RUN)
    assert run.recap["node2"]["changed"] >= changes, run.output
    assert state() == before


def test_a_node_is_drained_some_vms_at_a_time_and_nothing_is_lost(cluster: Cluster) -> None:
    predict(cluster, "drain_node.yml", 1)
    predict(cluster, "add_node.yml", 0)
    with Hypervisors(cluster.lab, "node2") as hypervisors, cluster.lab.probe("ext", "web1") as probe:
        run = cluster.play("drain_node.yml", extra={"node": "node2", "drain_parallel": 1}, timeout=RUN)
    result = probe.result()
    print(format_result(result))
    assert max(direction.lost for direction in result.directions.values()) <= LOST
    assert hypervisors.most == 1, "one at a time"
    assert {"0 of 2 have moved from node2" in run.output, "1 of 2 have moved from node2" in run.output} == {True}
    found = homes(cluster)
    assert (found["web1"], found["web2"]) == ("node1", "node3"), "they go where the fewest are"
    assert found["off"] == "node2" and set(cluster.records("node2")) == {"off"}
    predict(cluster, "undrain_node.yml", 1)


def test_a_drained_node_stays_so_over_a_reboot_and_site_yml_and_takes_no_migration(cluster: Cluster) -> None:
    cluster.lab.reboot("node2")
    sessions = lambda: cluster.sessions("node2").values()  # noqa: E731
    wait_until(lambda: all(each.state == "Established" for each in sessions()), 90, "node2 has its sessions again")
    run = cluster.play("site.yml", timeout=RUN)
    assert run.changed == 0, run.output
    assert "ipfabric, drained" in run.output or "nodes, drained" in run.output, run.output
    cluster.start_guests("node2", "off")
    cluster.wait_for_answer("ext", addresses_of(cluster, "off"), 30)
    assert local_preferences(cluster, "node2", "off") == {"0"}
    refused = cluster.play("migrate_vm.yml", "-e", "vm=web3", "-e", "node=node2", check=False, timeout=RUN)
    assert refused.returncode != 0 and "LiveMigrationRefused: NodeDrained: " in refused.output, refused.output


def test_undrained_a_node_is_as_it_was_and_no_session_and_no_packet_is_lost(cluster: Cluster) -> None:
    before = cluster.all_sessions()
    with cluster.lab.probe("ext", "off") as probe:
        cluster.play("undrain_node.yml", extra={"node": "node2"}, timeout=RUN)
        wait_until(lambda: local_preferences(cluster, "node2", "off") == {"100"}, 20, "the core prefers it as ever")
    assert reset_sessions(before, cluster.all_sessions()) == {}
    assert probe.result().lost == 0 or probe.result().is_spoilt, format_result(probe.result())


def test_a_node_whose_vms_are_withdrawn_announces_nothing_also_after_a_restart_of_its_frr(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.play("drain_node.yml", extra={"node": "node3", "drain": "withdraw"}, timeout=RUN)
    cluster.shell("node3", "systemctl restart frr")
    addresses = addresses_of(cluster, "web3")
    assert [cluster.kernel_routes(address) for address in addresses] == [[], []]
    assert {session.state for session in cluster.sessions("node3").values()} == {"Idle"}
    report = cluster.verify(tmp_path / "report.json", timeout=RUN)
    assert report["agrees"], report["differences"]
    assert {vm["vm"]: vm["state"] for vm in report["vms"]}["web3"] == "withdrawn"
    cluster.play("undrain_node.yml", extra={"node": "node3"}, timeout=RUN)
    cluster.wait_for_answer("ext", addresses, 30)


def test_what_cannot_be_drained_is_refused_by_name_and_touches_nothing(cluster: Cluster) -> None:
    for extra, name in (
        ({"node": "node9"}, "UnknownNode"),
        ({"node": "node2", "drain_to": ["node9"]}, "UnknownTarget"),
    ):
        run = cluster.play("drain_node.yml", extra=extra, check=False, timeout=RUN)
        assert run.returncode != 0 and f"DrainRefused: {name}: " in run.output, run.output
        assert run.changed == 0
