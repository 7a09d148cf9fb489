# SPDX-License-Identifier: GPL-3.0-or-later
"""`kill -9` of ansible-playbook at random moments: the next run completes; nothing is lost, doubled or left over.

VMCLUSTER_KILLS says how often (4), half of them in site.yml; VMCLUSTER_SEED repeats a run's moments.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.cluster import FABRIC, NODES, Cluster, read_description
from vmlab.playbooks import PlaybookRun
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab

KILLS = int(os.environ.get("VMCLUSTER_KILLS", "4"))
SEED = int(os.environ.get("VMCLUSTER_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)

# What a module or a copied file may leave on a host.
LEFT_OVERS = r"""
find /tmp /root/.ansible/tmp /var/lib/vmcluster /etc/frr -mindepth 1 -newer /run/before-kills \
  \( -name 'vmcluster-*' -o -name 'ansible*' -o -name '*.tmp' -o -name '.*' \) 2>/dev/null || true
"""
MODULES = "pgrep -ax python3 || true"  # by pipelining, a module is a python3 that reads its program from a pipe


@pytest.fixture(scope="module")
def chance() -> random.Random:
    print(f"VMCLUSTER_SEED={SEED} VMCLUSTER_KILLS={KILLS}")
    return random.Random(SEED)


@pytest.fixture(scope="module")
def bare(standard_lab: Lab) -> Cluster:
    for host in FABRIC:
        standard_lab.exec(host, ["touch", "/run/before-kills"])
    return Cluster(standard_lab)


def variant(number: int) -> dict[str, Any]:
    """A description that differs from its neighbours in timers, filters and a declared VM."""
    extra = {"name": f"extra{number % 2}", "prefix": f"198.51.100.{128 * (number % 2)}/25"}
    keepalive = 3 + number % 2
    described = read_description()["cluster"]
    return read_description(
        pools=[*described["pools"], extra],
        bgp={**described["bgp"], "timers": {"keepalive": keepalive, "hold": 3 * keepalive}},
        vms=[{"name": f"shop{i}", "node": f"node{1 + i % 3}"} for i in range(number + 1)])


def last_task(run: PlaybookRun) -> str:
    tasks = [line.rstrip("* ") for line in run.output.splitlines() if line.startswith("TASK")]
    return tasks[-1] if tasks else "its start"


def wait_for_modules(cluster: Cluster) -> None:
    """Modules that a killed controller left running on hosts end by themselves."""
    for host in FABRIC:
        wait_until(lambda host=host: not cluster.shell(host, MODULES).strip(), 60,  # type: ignore[misc]
                   f"no module runs on {host} any more", 0.2)


def check_whole(cluster: Cluster, declared: set[str], folder: Path) -> None:
    """Register, records, interfaces, FRR and reflectors agree, and nothing is twice or left over."""
    report = cluster.verify(folder / "report.json", extra=None)
    assert report["agrees"], report["differences"]
    leases = cluster.leases()
    assert sorted({owner for owner, *_rest in leases}) == sorted(f"alpha/{name}" for name in declared)
    assert len(leases) == 2 * len(declared) == len({address for _owner, _pool, address, _holder in leases})
    wait_for_modules(cluster)
    for node in NODES:
        mine = {owner.partition("/")[2] for owner, _pool, _address, holder in leases if holder == node}
        records = cluster.records(node)
        assert set(records) == mine
        links = cluster.shell(node, "ip -br link show group 770 | awk '{print $1}'").split()
        assert sorted(link.partition("@")[0] for link in links) == sorted(one["interface"] for one in records.values())
        lines = [line.strip() for line in cluster.running_config(node).splitlines() if " tag 770" in line]
        routes = [line for line in lines if line.startswith(("ip route", "ipv6 route"))]
        assert len(routes) == len(set(routes)) == 2 * len(mine), routes
    for host in FABRIC:
        assert cluster.shell(host, LEFT_OVERS) == "", host


@pytest.fixture(scope="module")
def built(bare: Cluster, chance: random.Random, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster after all kills of site.yml, the first of them on bare hosts."""
    duration = 30.0
    for number in range(max(1, KILLS // 2)):
        moment = chance.uniform(1.0, duration)
        extra = variant(number)
        killed = bare.play("site.yml", extra=extra, kill_after=moment, check=False)
        print(f"site.yml {number}: killed after {moment:.1f} s in {last_task(killed)}")
        finished = bare.play("site.yml", extra=extra)
        duration = finished.seconds
        again = bare.play("site.yml", extra=extra)
        assert {host: counts["changed"] for host, counts in again.recap.items()} == dict.fromkeys(FABRIC, 0), (
            again.output)
        check_whole(bare, {f"shop{i}" for i in range(number + 1)}, tmp_path_factory.mktemp("site"))
    return bare


def test_after_a_kill_of_site_the_next_run_completes_and_nothing_is_lost_or_left_over(built: Cluster) -> None:
    assert built.sessions("core")["198.18.0.2"].established == 1, "the operator's own session has not been reset"


def test_after_a_kill_of_attach_the_next_run_completes_and_nothing_is_lost_or_left_over(
    built: Cluster, chance: random.Random, tmp_path: Path
) -> None:
    there = {owner.partition("/")[2] for owner, *_rest in built.leases()}
    duration = 6.0
    for number in range(max(1, KILLS - KILLS // 2)):
        vms = [{"name": f"day{number}-{i}", "node": f"node{1 + i % 3}"} for i in range(6)]
        moment = chance.uniform(0.5, duration)
        killed = built.attach(*vms, kill_after=moment, check=False)
        print(f"attach_vm.yml {number}: killed after {moment:.1f} s in {last_task(killed)}")
        finished = built.attach(*vms)
        duration = finished.seconds
        assert built.attach(*vms).changed == 0
        there |= {str(vm["name"]) for vm in vms}
        check_whole(built, there, tmp_path)
    addresses = built.start_guests("node1", "day0-0")["day0-0"]
    built.wait_for_answer("ext", addresses)
