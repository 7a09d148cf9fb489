# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration between bridges: what is lost, what the wire is told, what is refused, and a migration taken back; of
guests that others move, and of one that libvirt does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.enter import command_prefix
from vmlab.hypervisors import BOOT, install_guest_image, is_moving, let_roots_in, memory_held
from vmlab.migrations import Echoes, Migration, Ticks, kill_controller_when
from vmlab.module_calls import ModuleCalls
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

DESCRIPTION = CHECKOUT / "inventories" / "switching_public"
HOSTS = Path(__file__).parent / "switching_hosts.yml"
HOMES = {"web1": "node1", "near1": "node1", "near2": "node2"}
RATE = 250  # packets a second in each direction; probes go before ordinary processes, and a playbook runs beside them
LOST = 10  # of them, which is 40 ms
BOOT_SECONDS = 120  # 5 s on an idle machine; a slower one takes longer

# Declared, so that site.yml starts it. What else is on its network is not ours to tell it: its command line does.
APP_ADDRESSES = ["203.0.113.150", "2001:db8:1::1050"]
APP: dict[str, Any] = {
    "name": "app1", "node": "node1", "driver": "libvirt", "addresses": APP_ADDRESSES,
    "guest": {"memory": 128, "machine": "pc-i440fx-7.2", "boot": {
        **BOOT, "cmdline": f"{BOOT['cmdline']} vm.name=app1 vm.addresses={APP_ADDRESSES[0]}/24,{APP_ADDRESSES[1]}/64"
                           " vm.gateways=203.0.113.1,2001:db8:1::1"}}}

# Prints its process, then by a line for each address the MAC that gratuitous ARP and unsolicited advertisements name.
LISTENER = """
import ipaddress, os, socket
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(("eth0", 0))
print(os.getpid(), flush=True)
while True:
    frame = link.recv(2048)
    if frame[12:14] == b"\\x08\\x06" and frame[28:32] == frame[38:42]:
        print(ipaddress.ip_address(frame[28:32]), frame[6:12].hex(":"), flush=True)
    elif frame[12:14] == b"\\x86\\xdd" and (frame[20], frame[54]) == (58, 136) and frame[:6] == b"33\\0\\0\\0\\1":
        print(ipaddress.ip_address(frame[62:78]), frame[6:12].hex(":"), flush=True)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "switching_hypervisors.yml", unique_lab_name("swmig"))
    try:
        for node in ("node1", "node2"):
            install_guest_image(lab, node)
        let_roots_in(lab, "node1", "node2")
        built = Cluster(lab, description(tmp_path_factory.mktemp("inventory")), HOSTS)
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


def description(folder: Path) -> Path:
    """The description of a public cluster, with a VM that libvirt runs."""
    shutil.copytree(DESCRIPTION, folder, dirs_exist_ok=True)
    file = folder / "group_vars" / "all.yml"
    described = yaml.safe_load(file.read_text())
    described["cluster"]["vms"] = [APP]
    file.write_text(yaml.safe_dump(described))
    return folder


def interfaces(cluster: Cluster, node: str) -> set[str]:
    return {link["ifname"] for link in json.loads(cluster.lab.exec(node, ["ip", "-j", "link"]).stdout)}


@contextmanager
def announced_on_the_wire(cluster: Cluster) -> Iterator[set[str]]:
    """The lines of LISTENER on the router, when the block has ended."""
    said: set[str] = set()
    argv = [*command_prefix(cluster.lab.state, "router"), "python3", "-c", LISTENER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        process = int(listener.stdout.readline())  # as the router sees it
        try:
            yield said
        finally:
            cluster.lab.exec("router", ["python3", "-c", f"import os; os.kill({process}, 15)"])
            said.update(line.strip() for line in listener.stdout)


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


def domain(cluster: Cluster, node: str) -> str:
    """What libvirt on a node says of app1: its state, whether it is defined there and starts with the node."""
    told = cluster.lab.exec(node, ["virsh", "dominfo", "app1"], check=False).stdout
    found = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    return " ".join(found.get(key, "").strip() for key in ("State", "Persistent", "Autostart")).strip()


def check_app_is_on(cluster: Cluster, node: str, folder: Path) -> None:
    other = {"node1": "node2", "node2": "node1"}[node]
    cluster.wait_for_answer("router", APP_ADDRESSES)
    assert (domain(cluster, node), domain(cluster, other)) == ("running yes enable", "")
    assert "app1_net0" not in interfaces(cluster, other) and "app1" not in cluster.records(other)
    assert "master br0" in cluster.shell(node, "ip link show app1_net0")
    report = cluster.verify(folder / "report.json")
    assert report["agrees"], report["differences"]


def test_a_declared_guest_on_a_bridge_runs_after_site_and_libvirt_moves_it_with_its_mac(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.wait_for_answer("router", APP_ADDRESSES, BOOT_SECONDS)
    check_app_is_on(cluster, "node1", tmp_path)
    mac = cluster.records("node1")["app1"]["mac"]
    (address, _address6) = APP_ADDRESSES
    with announced_on_the_wire(cluster) as said, Ticks(cluster.lab, "router", address) as ticks:
        cluster.shell("node2", "mv /root/.ssh/authorized_keys /root/")
        failed = cluster.play("migrate_vm.yml", "-e", "vm=app1", "-e", "node=node2", check=False)
        assert failed.returncode != 0 and "app1: libvirt does not move it to node2: " in failed.output, failed.output
        ticks.check()
        cluster.shell("node2", "mv /root/authorized_keys /root/.ssh/")
        with Echoes(cluster.lab, "router", address) as echoes:
            run = cluster.play("migrate_vm.yml", "-v", "-e", "vm=app1", "-e", "node=node2", "-e", "migrate_wait=100")
        ticks.check()
    stood_still = re.findall(r"pause_ms: (\d+)", run.output)
    print(f"stood still for {stood_still} ms; lost {echoes.lost} of {echoes.sent} datagrams of 10 ms, silent for "
          f"{echoes.longest_gap * 1000:.0f} ms, {ticks.longest_gap * 1000:.0f} ms over TCP")
    check_app_is_on(cluster, "node2", tmp_path)
    assert {f"{address} {mac}" for address in APP_ADDRESSES} <= said, said
    assert cluster.records("node2")["app1"]["mac"] == mac
    assert mac in cluster.shell("node2", "virsh dumpxml app1")


def test_a_guest_that_libvirt_is_moving_to_another_bridge_is_taken_back_and_runs_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.shell("node2", "virsh migrate-setspeed app1 1; rm -rf /root/.ansible_async")
    with Ticks(cluster.lab, "router", APP_ADDRESSES[0]) as ticks:
        kill_controller_when(cluster, {"name": "app1", "node": "node1"},
                             lambda: is_moving(cluster.lab, "node2", "app1"), migrate_transport="tcp")
        with memory_held(cluster.lab, "node1"):
            assert cluster.shell("node1", "cat /sys/class/net/app1_net0/carrier").strip() == "1", "it is on both nodes"
            cluster.play("abort_migration.yml", "-e", "vm=app1")
        ticks.check()
    check_app_is_on(cluster, "node2", tmp_path)
    # What waits on the target to tell the wire outlives the controller, and ends with the interface.
    wait_until(lambda: "there is no app1_net0 here" in cluster.shell("node1", "cat /root/.ansible_async/* || true"), 30,
               "nothing waits for app1 on node1 any more")
