# SPDX-License-Identifier: GPL-3.0-or-later
"""attach_vm.yml and detach_vm.yml: what they leave when all goes well, and when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from vmlab.cluster import NODES, Cluster, read_description
from vmlab.playbooks import playbook_environment
from vmlab.state import CHECKOUT

pytestmark = pytest.mark.lab

TINY = read_description(pools=[
    {"name": "public4", "prefix": "203.0.113.0/24"}, {"name": "public6", "prefix": "2001:db8:1::/64"},
    {"name": "tiny4", "prefix": "198.51.100.0/24", "ranges": ["198.51.100.10-198.51.100.11"]}])


@pytest.fixture
def cluster(site: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """The cluster with web1 on node1; whatever a story attaches is detached after it, and all agrees then."""
    if "alpha/web1" not in owners(site):
        site.attach({"name": "web1", "node": "node1"})
        site.start_guests("node1", "web1")
    yield site
    left = sorted(owners(site) - {"alpha/web1"})
    if left:
        for guest in site.lab.guests():
            if guest.vm != "web1":
                site.lab.guest_del(guest.vm)
        nics = [owner.partition("/")[2].partition("#") for owner in left]
        site.play("detach_vm.yml", extra={"vms": [{"name": name, "nic": int(nic or 0)} for name, _mark, nic in nics]})
    assert {name for node in NODES for name in site.records(node)} == {"web1"}


def owners(cluster: Cluster) -> set[str]:
    return {owner for owner, _pool, _address, _holder in cluster.leases()}


def links(cluster: Cluster, node: str) -> set[str]:
    """The VM interfaces in a node's kernel."""
    shown = json.loads(cluster.shell(node, "ip -json link show group 770") or "[]")
    return {link["ifname"] for link in shown if link}  # iproute2 shows links of other groups as {}


def statics(cluster: Cluster, node: str) -> list[str]:
    return [line for line in cluster.running_config(node).splitlines() if " tag 77" in line and "route " in line]


def test_attaching_again_changes_nothing(cluster: Cluster) -> None:
    leases = cluster.leases()
    run = cluster.attach({"name": "web1", "node": "node1"})
    assert run.changed == 0
    assert cluster.leases() == leases and len(leases) == 2
    by_name = cluster.play("attach_vm.yml", "-e", "vm=web1", "-e", "node=node1")
    assert by_name.changed == 0


def test_a_vm_attached_elsewhere_is_refused_and_its_node_named(cluster: Cluster) -> None:
    leases = cluster.leases()
    run = cluster.attach({"name": "web1", "node": "node2"}, check=False)
    assert run.returncode != 0 and "node1" in run.output and "alpha/web1" in run.output
    assert run.changed == 0
    assert cluster.leases() == leases
    assert links(cluster, "node2") == set()


def test_a_full_pool_fails_and_leases_nothing(cluster: Cluster) -> None:
    leases = cluster.leases()
    many = [{"name": f"tiny{i}", "node": f"node{i}", "pools": ["tiny4"]} for i in (1, 2, 3)]
    run = cluster.attach(*many, extra=TINY, check=False)
    assert run.returncode != 0 and "pool tiny4 is full" in run.output, run.output
    assert cluster.leases() == leases
    assert all(links(cluster, node) <= {"web1_net0"} for node in NODES)


def test_check_mode_predicts_an_attachment_and_makes_none(cluster: Cluster) -> None:
    leases = cluster.leases()
    run = cluster.play("attach_vm.yml", "--check", "--diff", extra={"vms": [{"name": "web5", "node": "node2"}]})
    assert "web5_net0" in run.output and run.changed >= 1
    assert cluster.leases() == leases and links(cluster, "node2") == set()


def test_a_failure_on_the_node_gives_back_what_was_new_and_keeps_what_was_there(cluster: Cluster) -> None:
    before, routes = cluster.leases(), statics(cluster, "node1")
    cluster.lab.exec("node1", ["systemctl", "stop", "frr"])
    try:
        run = cluster.attach({"name": "web1", "node": "node1"}, {"name": "web6", "node": "node1"},
                             {"name": "web7", "node": "node2"}, check=False)
    finally:
        cluster.lab.exec("node1", ["systemctl", "start", "frr"])
    assert run.returncode != 0 and "FRR is installed and not running" in run.output
    assert sorted(set(cluster.leases()) - set(before)) == [
        lease for lease in cluster.leases() if lease[0] == "alpha/web7"], "node2 has no part in node1's failure"
    assert set(before) <= set(cluster.leases())
    assert links(cluster, "node1") == {"web1_net0"} and statics(cluster, "node1") == routes
    addresses = cluster.records("node1")["web1"]["addresses"]
    cluster.wait_for_answer("ext", addresses, 40)
    run = cluster.attach({"name": "web6", "node": "node1"})
    assert "alpha/web6" in owners(cluster) and "web6_net0" in links(cluster, "node1")


def test_an_unreachable_node_keeps_its_lease_and_the_next_run_completes(cluster: Cluster) -> None:
    cluster.lab.host_stop("node3")
    try:
        run = cluster.attach({"name": "web8", "node": "node3"}, check=False)
        leased = [lease for lease in cluster.leases() if lease[0] == "alpha/web8"]
    finally:
        cluster.lab.host_start("node3")
    assert run.returncode != 0 and run.recap["node3"]["unreachable"] == 1
    assert len(leased) == 2 and {holder for *_rest, holder in leased} == {"node3"}
    cluster.attach({"name": "web8", "node": "node3"})
    assert [lease for lease in cluster.leases() if lease[0] == "alpha/web8"] == leased
    addresses = cluster.start_guests("node3", "web8")["web8"]
    assert sorted(addresses) == sorted(address for _owner, _pool, address, _holder in leased)
    cluster.wait_for_answer("ext", addresses, 40)


def test_a_detached_vm_leaves_nothing_and_its_address_is_free(cluster: Cluster) -> None:
    cluster.attach({"name": "web9", "node": "node2"})
    addresses = cluster.start_guests("node2", "web9")["web9"]
    cluster.wait_for_answer("ext", addresses)
    cluster.detach("web9")  # its guest still runs
    assert [cluster.kernel_routes(address) for address in addresses] == [[], []], "gone when the playbook ends"
    assert "alpha/web9" not in owners(cluster)
    assert links(cluster, "node2") == set() and statics(cluster, "node2") == []
    cluster.lab.guest_del("web9")
    again = cluster.detach("web9")
    assert again.changed == 0
    cluster.attach({"name": "web10", "node": "node3"})
    assert cluster.records("node3")["web10"]["addresses"] == addresses


def test_an_asked_for_address_and_a_second_nic_are_honoured(cluster: Cluster) -> None:
    cluster.attach({"name": "web11", "node": "node2", "addresses": ["203.0.113.200"]},
                   {"name": "web11", "node": "node2", "nic": 1, "pools": ["public6"]})
    records = cluster.records("node2")
    assert records["web11"]["addresses"][0] == "203.0.113.200"
    assert len(records["web11#1"]["addresses"]) == 1 and ":" in records["web11#1"]["addresses"][0]
    taken = cluster.attach({"name": "web12", "node": "node3", "addresses": ["203.0.113.200"]}, check=False)
    assert taken.returncode != 0 and "alpha/web11" in taken.output and "alpha/web12" not in owners(cluster)


def test_declared_and_attached_vms_live_together_and_only_unknown_ones_are_purged(
    cluster: Cluster, tmp_path: Path
) -> None:
    declared = read_description(vms=[{"name": "shop1", "node": "node1", "addresses": ["203.0.113.60"]}])
    cluster.play("site.yml", extra=declared)
    assert links(cluster, "node1") == {"web1_net0", "shop1_net0"}
    make_ghost(cluster, tmp_path)
    assert links(cluster, "node2") == {"ghost1_net0"}
    run = cluster.play("site.yml", extra=declared, check=False)
    assert "ghost1" in run.output and run.returncode != 0, "told"
    assert links(cluster, "node2") == {"ghost1_net0"}, "and left"
    run = cluster.play("site.yml", extra={**declared, "purge_vms": True})
    assert {host for host, counts in run.recap.items() if counts["changed"]} == {"node2"}
    assert links(cluster, "node2") == set() and statics(cluster, "node2") == []
    assert links(cluster, "node1") == {"web1_net0", "shop1_net0"}
    run = cluster.play("site.yml", extra={"purge_vms": True})
    assert run.changed == 0 and links(cluster, "node1") == {"web1_net0", "shop1_net0"}, (
        "the register knows shop1, although nobody declares it any more")


def make_ghost(cluster: Cluster, folder: Path) -> None:
    """A VM on node2 that the register does not know, made by hand."""
    wanted = folder / "ghost.json"
    wanted.write_text(json.dumps({
        "gateway": {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:00:00:00:00:01"},
        "vms": [{"name": "ghost1", "addresses": ["203.0.113.99"], "mac": "02:00:00:00:00:99"}]}))
    subprocess.run(
        [str(Path(sys.executable).parent / "ansible"), "node2", "-i", str(cluster.inventory[0]),
         "-m", "vmcluster.network.fabric_vm_iface", "-e", f"@{wanted}", "-a", "gateway={{ gateway }} vms={{ vms }}"],
        cwd=CHECKOUT, env={**os.environ, **playbook_environment(cluster.lab.name)}, check=True, capture_output=True)
