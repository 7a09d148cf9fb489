# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migrations that are interrupted: whatever happens, the VM goes on, and the next run finishes or takes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from vmlab.cluster import NODES, Cluster, read_description
from vmlab.migrations import Migration, agent_state, kill_controller_when, move_guest, tell_agent
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab

LOST = 40  # packets of 1 ms, in one direction
PREFIX, INSIDE = "203.0.113.192/28", "203.0.113.193"
DESCRIPTION = read_description(pools=[
    {"name": "public4", "prefix": "203.0.113.0/24", "shortest_prefix": 28, "exclude": [PREFIX]},
    {"name": "public6", "prefix": "2001:db8:1::/64"}])
OVERRIDES = """
for table in 77 78; do for family in 4 6; do ip -$family route show table $table 2>/dev/null || true; done; done
"""
LEFT = OVERRIDES + r"""
(ip rule; ip -6 rule) | grep -E '^10[01]:' || true
ls /run/vmcluster/migrations 2>/dev/null || true
(vtysh -c 'show running-config'; cat /etc/frr/frr.conf) | grep -E '^ no link-detect|route .* tag 771' || true
"""


@pytest.fixture(scope="module")
def cluster(site: Cluster) -> Iterator[Cluster]:
    site.play("site.yml", extra=DESCRIPTION, timeout=600)
    site.attach({"name": "web1", "node": "node1", "prefixes": [PREFIX]}, {"name": "web2", "node": "node2"},
                extra=DESCRIPTION)
    addresses = [*site.start_guests("node1", "web1")["web1"], *site.start_guests("node2", "web2")["web2"]]
    site.lab.exec("web1", ["ip", "address", "add", f"{INSIDE}/32", "dev", "lo"])
    site.wait_for_answer("ext", [*addresses, INSIDE], 40)
    yield site


def home_of(cluster: Cluster, vm: str) -> str:
    return next(guest.node for guest in cluster.lab.guests() if guest.vm == vm)


def other_than(node: str) -> str:
    return next(each for each in ("node1", "node2") if each != node)


def addresses_of(cluster: Cluster, vm: str) -> list[str]:
    return [address for owner, _pool, address, _holder in cluster.leases() if owner == f"alpha/{vm}"]


def check_whole(cluster: Cluster, vm: str, node: str, folder: Path) -> None:
    """The VM answers, everybody agrees that it is on the node, and no migration has left anything."""
    cluster.wait_for_answer("ext", addresses_of(cluster, vm))
    assert {holder for owner, _pool, _address, holder in cluster.leases() if owner == f"alpha/{vm}"} == {node}
    assert [name for name in NODES if vm in cluster.records(name)] == [node]
    assert {name: cluster.shell(name, LEFT) for name in NODES} == dict.fromkeys(NODES, "")
    report = cluster.verify(folder / "report.json")
    assert report["agrees"], report["differences"]


def test_prefixes_move_along_and_two_vms_that_change_places_do_not_meet(cluster: Cluster, tmp_path: Path) -> None:
    with ExitStack() as stack:
        probes = [stack.enter_context(cluster.lab.probe("ext", place)) for place in (INSIDE, "web2")]
        with Migration(cluster, {"web1": "node2", "web2": "node1"}) as migration:
            migration.wait_until_armed()
            for vm, target in migration.moves.items():
                move_guest(cluster.lab, vm, target)
    lost = [direction.lost for probe in probes for direction in probe.result().directions.values()]
    assert max(lost) <= LOST, lost
    check_whole(cluster, "web1", "node2", tmp_path)
    check_whole(cluster, "web2", "node1", tmp_path)


def test_a_controller_that_dies_leaves_a_vm_that_can_move_and_the_next_run_finishes(
    cluster: Cluster, tmp_path: Path
) -> None:
    source = home_of(cluster, "web1")
    target = other_than(source)
    vm = {"name": "web1", "node": target}
    kill_controller_when(cluster, vm, lambda: agent_state(cluster.lab, source, "web1") == "armed")
    cluster.wait_for_answer("ext", [*addresses_of(cluster, "web1"), INSIDE])
    kill_controller_when(cluster, vm, lambda: agent_state(cluster.lab, target, "web1") == "armed")
    with cluster.lab.probe("ext", "web1") as probe:
        move_guest(cluster.lab, "web1", target)
        wait_until(lambda: agent_state(cluster.lab, target, "web1") == "announced", 20, "the target announces")
    assert max(direction.lost for direction in probe.result().directions.values()) <= LOST
    report = cluster.verify(tmp_path / "report.json")
    assert [each["what"].split(",")[0] for each in report["differences"]] == [
        f"VM web1 migrates from {source} to {target}"]
    cluster.play("migrate_vm.yml", "-e", "vm=web1", "-e", f"node={target}")
    check_whole(cluster, "web1", target, tmp_path)


def test_at_the_deadline_the_source_undoes_what_it_did_and_the_rest_is_taken_back(
    cluster: Cluster, tmp_path: Path
) -> None:
    source = home_of(cluster, "web1")
    target = other_than(source)
    with Migration(cluster, {"web1": target}, extra={"migrate_wait": 8}, check=False) as migration:
        migration.wait_until_armed()
        tell_agent(cluster.lab, source, "web1", "stopped")  # and nothing comes of it: the guest never moves
    assert migration.finish().returncode != 0
    wait_until(lambda: agent_state(cluster.lab, source, "web1") == "expired", 30, "the source's agent gave up")
    assert cluster.shell(source, OVERRIDES) == ""
    cluster.wait_for_answer("ext", [*addresses_of(cluster, "web1"), INSIDE])
    cluster.play("abort_migration.yml", "-e", "vm=web1")
    check_whole(cluster, "web1", source, tmp_path)


def test_a_guest_that_comes_after_the_deadline_is_announced_all_the_same(cluster: Cluster, tmp_path: Path) -> None:
    source = home_of(cluster, "web1")
    target = other_than(source)
    with Migration(cluster, {"web1": target}, extra={"migrate_wait": 1}, check=False):
        pass
    wait_until(lambda: agent_state(cluster.lab, source, "web1") == "expired", 30, "the source's agent gave up")
    move_guest(cluster.lab, "web1", target, tell=False)
    cluster.wait_for_answer("ext", [*addresses_of(cluster, "web1"), INSIDE])
    cluster.play("migrate_vm.yml", "-e", "vm=web1", "-e", f"node={target}")
    check_whole(cluster, "web1", target, tmp_path)


def test_a_guest_that_starts_again_on_its_old_node_stays_there(cluster: Cluster, tmp_path: Path) -> None:
    source = home_of(cluster, "web2")
    with Migration(cluster, {"web2": other_than(source)}, extra={"migrate_wait": 60}, check=False) as migration:
        migration.wait_until_armed()
        cluster.lab.guest_kill("web2")
        wait_until(lambda: agent_state(cluster.lab, source, "web2") == "cut", 10, "carrier was lost")
        cluster.lab.guest_start("web2")
        began = time.monotonic()
        while agent_state(cluster.lab, source, "web2") != "armed" and time.monotonic() < began + 10:
            cluster.answers("web2", "10.255.255.1")  # a guest that is silent is not seen
        cluster.wait_for_answer("ext", addresses_of(cluster, "web2"))
        cluster.play("abort_migration.yml", "-e", "vm=web2")
    assert all(cluster.kernel_routes(address, source) for address in addresses_of(cluster, "web2"))
    check_whole(cluster, "web2", source, tmp_path)


def test_a_target_that_dies_before_the_cut_over_costs_the_vm_nothing(cluster: Cluster, tmp_path: Path) -> None:
    source = home_of(cluster, "web1")
    with cluster.lab.probe("ext", "web1", rate=200) as probe:
        with Migration(cluster, {"web1": "node3"}, extra={"migrate_wait": 30}, check=False) as migration:
            migration.wait_until_armed()
            cluster.lab.host_kill("node3")
        assert migration.finish().returncode != 0
        cluster.play("abort_migration.yml", "-e", "vm=web1", check=False)
    assert max(direction.lost for direction in probe.result().directions.values()) <= LOST // 5
    assert cluster.shell(source, LEFT) == ""
    cluster.lab.host_start("node3")
    with Migration(cluster, {"web1": "node3"}) as migration:
        migration.wait_until_armed()
        move_guest(cluster.lab, "web1", "node3")
    check_whole(cluster, "web1", "node3", tmp_path)
