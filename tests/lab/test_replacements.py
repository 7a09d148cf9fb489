# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/operations.md tells to do when a host is replaced, or an address was moved by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vmlab.cluster import Cluster, reset_sessions
from vmlab.playbooks import INVENTORY, playbook_environment
from vmlab.probe_report import ProbeResult, format_result
from vmlab.state import CHECKOUT
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab

VMS = {"web1": "node1", "web3": "node3"}


@pytest.fixture(scope="module")
def cluster(site: Cluster) -> Cluster:
    site.attach(*({"name": name, "node": node} for name, node in VMS.items()))
    for name, node in VMS.items():
        site.wait_for_answer("ext", site.start_guests(node, name)[name])
    return site


def tell(result: ProbeResult) -> ProbeResult:
    print(format_result(result))
    return result


def call(cluster: Cluster, node: str, module: str, **options: Any) -> None:
    """The command of the operations page that calls a module on one node."""
    argv = [str(Path(sys.executable).parent / "ansible"), "-i", str(INVENTORY), node,
            "-m", f"vmcluster.network.{module}", "-a", json.dumps(options)]
    environment = playbook_environment(cluster.lab.name)
    done = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_reflector_that_kept_the_register_is_replaced_and_no_packet_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    leases, records = cluster.leases(), {node: cluster.records(node) for node in VMS.values()}
    before = cluster.all_sessions(("node1", "node2", "node3", "rr2", "core"))
    with cluster.lab.probe("ext", "web1", rate=200) as probe:
        cluster.lab.host_replace("rr1")
        cluster.attach(*({"name": name, "node": node, "addresses": records[node][name]["addresses"]}
                         for name, node in VMS.items()))
        assert cluster.leases() == leases
        cluster.play("site.yml")
    assert tell(probe.result()).lost == 0
    after = cluster.all_sessions(("node1", "node2", "node3", "rr2", "core"))
    reset = reset_sessions(before, after)
    assert {peer for _host, peer in reset} <= {"10.20.0.21", "fd20::21"}, reset
    assert {node: cluster.records(node) for node in VMS.values()} == records
    report = cluster.verify(tmp_path / "report.json")
    assert report["agrees"], report["differences"]


def test_a_core_gateway_is_replaced_by_a_bare_host(cluster: Cluster, tmp_path: Path) -> None:
    addresses = [address for name, node in VMS.items() for address in cluster.records(node)[name]["addresses"]]
    cluster.lab.host_replace("core")
    cluster.play("site.yml")
    cluster.wait_for_answer("ext", addresses, 60)
    report = cluster.verify(tmp_path / "report.json")
    assert report["agrees"], report["differences"]


def test_an_interface_made_by_hand_on_another_node_is_told_and_goes_by_one_command(
    cluster: Cluster, tmp_path: Path
) -> None:
    record = cluster.records("node1")["web1"]
    gateway = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:00:00:00:00:01"}
    call(cluster, "node2", "fabric_vm_iface", gateway=gateway,
         vms=[{"name": "web1", "mac": record["mac"], "addresses": record["addresses"]}])
    report = cluster.verify(tmp_path / "report.json")
    assert not report["agrees"]
    said = [f"{each['host']} {each['what']}" for each in report["differences"]]
    assert "node2 carries VM web1, which node1 carries too" in said, said
    call(cluster, "node2", "fabric_vm_iface", vms=[{"name": "web1", "state": "absent"}])
    wait_until(lambda: not cluster.records("node2"), 10, "node2 has no record of web1")
    report = cluster.verify(tmp_path / "report.json")
    assert report["agrees"], report["differences"]
    assert cluster.answers("ext", record["addresses"][0])
