# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration between bridges: what is lost, what the wire is told, what is refused, and a migration taken back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.enter import command_prefix
from vmlab.migrations import Migration
from vmlab.module_calls import ModuleCalls
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

INVENTORY = (CHECKOUT / "inventories" / "switching_public", Path(__file__).parent / "switching_hosts.yml")
HOMES = {"web1": "node1", "near1": "node1", "near2": "node2"}
RATE = 250  # packets a second in each direction; probes go before ordinary processes, and a playbook runs beside them
LOST = 10  # of them, which is 40 ms

# Prints the MAC that gratuitous ARP and unsolicited advertisements name, a line for each address, until it is ended.
LISTENER = """
import ipaddress, socket
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(("eth0", 0))
print("ready", flush=True)
while True:
    frame = link.recv(2048)
    if frame[12:14] == b"\\x08\\x06" and frame[28:32] == frame[38:42]:
        print(ipaddress.ip_address(frame[28:32]), frame[6:12].hex(":"), flush=True)
    elif frame[12:14] == b"\\x86\\xdd" and (frame[20], frame[54]) == (58, 136) and frame[:6] == b"33\\0\\0\\0\\1":
        print(ipaddress.ip_address(frame[62:78]), frame[6:12].hex(":"), flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "switching.yml", unique_lab_name("swmig"))
    try:
        built = Cluster(lab, *INVENTORY)
        built.play("site.yml")
        built.attach(*({"name": vm, "node": node} for vm, node in HOMES.items()))
        for vm, node in HOMES.items():
            record = built.records(node)[vm]
            lengths = [f"{address}/{64 if ':' in address else 24}" for address in record["addresses"]]
            lab.guest_add(node, vm, addresses=lengths, mac=record["mac"], interface=record["interface"],
                          gateway4="203.0.113.1", gateway6="2001:db8:1::1")
            built.wait_for_answer("router", record["addresses"])
        yield built
    finally:
        lab.down()


def interfaces(cluster: Cluster, node: str) -> set[str]:
    return {link["ifname"] for link in json.loads(cluster.lab.exec(node, ["ip", "-j", "link"]).stdout)}


@contextmanager
def announced_on_the_wire(cluster: Cluster) -> Iterator[set[str]]:
    """The lines of LISTENER on the router, when the block has ended."""
    said: set[str] = set()
    argv = [*command_prefix(cluster.lab.state, "router"), "python3", "-c", LISTENER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None and listener.stdout.readline() == "ready\n"
        try:
            yield said
        finally:
            cluster.lab.exec("router", ["python3", "-c", f"import os; os.kill({inner_pid(cluster)}, 15)"])
            said.update(line.strip() for line in listener.stdout)


def inner_pid(cluster: Cluster) -> int:
    """The listener's process as the router sees it."""
    found = cluster.shell("router", "grep -lsz 'AF_PACKET' /proc/[0-9]*/cmdline | head -1")
    return int(found.split("/")[2])


def test_what_cannot_be_is_refused_by_name_and_check_mode_changes_nothing(cluster: Cluster) -> None:
    def refused(name: str, node: str) -> None:
        run = cluster.play("migrate_vm.yml", "-e", "vm=web1", "-e", f"node={node}", check=False)
        assert run.returncode != 0 and f"LiveMigrationRefused: {name}: " in run.output, run.output
        assert run.changed == 0, run.output

    refused("SameNode", "node1")
    cluster.shell("node2", "ip link set eth0 mtu 1400")
    try:
        refused("MtuTooSmall", "node2")
    finally:
        cluster.shell("node2", "ip link set eth0 mtu 1500; ip link set br0 mtu 1500")
    before = {node: (cluster.records(node), interfaces(cluster, node)) for node in ("node1", "node2")}
    run = cluster.play("migrate_vm.yml", "--check", "--diff", "-e", "vm=web1", "-e", "node=node2")
    assert run.recap["node2"]["changed"] and run.recap["node1"]["changed"] and "web1_net0" in run.output, run.output
    assert before == {node: (cluster.records(node), interfaces(cluster, node)) for node in before}


def test_a_guest_that_does_not_come_is_told_of_and_its_migration_taken_back(cluster: Cluster, tmp_path: Path) -> None:
    moved = {"vms": [{"name": "web1", "node": "node2"}], "migrate_wait": 2}
    run = cluster.play("migrate_vm.yml", extra=moved, check=False)
    assert run.returncode != 0 and "web1 has not come from node1" in run.output, run.output
    (found,) = cluster.verify(tmp_path / "report.json")["differences"]
    assert "VM web1 migrates to node2" in found["what"] and "abort_migration" in found["remedy"]
    cluster.play("abort_migration.yml", "-e", "vm=web1")
    assert "web1_net0" not in interfaces(cluster, "node2") and "web1" not in cluster.records("node2")
    assert cluster.answers("router", "203.0.113.100")


def test_a_vm_moves_to_another_bridge_and_neither_the_wire_nor_vms_on_both_nodes_lose_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    web1 = cluster.records("node1")["web1"]
    with announced_on_the_wire(cluster) as said, Migration(cluster, {"web1": "node2"}):
        wait_until(lambda: "web1_net0" in interfaces(cluster, "node2"), 90, "web1's interface is on node2")
        with ExitStack() as stack:
            probes = {place: stack.enter_context(cluster.lab.probe(place, "web1", rate=RATE, family=family))
                      for place, family in {"router": 6, "near1": 4, "near2": 4}.items()}
            cluster.lab.guest_move("web1", "node2")
            wait_until(lambda: "web1_net0" not in interfaces(cluster, "node1"), 120, "node1 has no web1 any more", 0.5)
    lost = {f"{place} {name}": direction.lost
            for place, probe in probes.items() for name, direction in probe.result().directions.items()}
    assert max(lost.values()) <= LOST, lost
    assert {f"{address} {web1['mac']}" for address in web1["addresses"]} <= said, said
    holders = {holder for owner, _pool, _address, holder in cluster.leases("node1") if owner.endswith("/web1")}
    assert holders == {"node2"}
    there = cluster.records("node2")["web1"]
    assert (there["mac"], there["addresses"], there["announcement"]) == (web1["mac"], web1["addresses"], "announced")
    assert "web1" not in cluster.records("node1") and "web1_net0" not in interfaces(cluster, "node1")
    report = cluster.verify(tmp_path / "report.json")
    assert report["agrees"], report["differences"]


def test_a_guest_that_says_nothing_is_asked_and_the_wire_is_told(cluster: Cluster, tmp_path: Path) -> None:
    calls = ModuleCalls(cluster.lab, tmp_path, {"node2": {}})
    record = cluster.records("node2")["near2"]
    end = {"name": "near2", "role": "target", "other": "node1", "bridge": "br0",
           **{key: record[key] for key in ("mac", "addresses", "mtu")}}
    # The bridge forgets what it has learnt of the guest, as if that had come just now.
    cluster.shell("node2", "ip link set near2_net0 nomaster; ip link set near2_net0 master br0")
    with announced_on_the_wire(cluster) as said:
        calls.module("bridge_vm_migration", {"state": "arrived", "migrations": [end], "wait": 30})
    assert {f"{address} {record['mac']}" for address in record["addresses"]} <= said, said
    stranger = {**end, "mac": "02:00:00:00:00:99"}
    result = calls.module("bridge_vm_migration", {"state": "arrived", "migrations": [stranger], "wait": 2}, failed=True)
    assert "no frame from 02:00:00:00:00:99 was seen on near2_net0" in result["node2"]["msg"]
