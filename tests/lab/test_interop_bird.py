# SPDX-License-Identifier: GPL-3.0-or-later
"""Interoperation: BIRD 2 as second route reflector and as core router, configured by others; FRR everywhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from vmlab import Lab
from vmlab.cluster import NODES, Cluster
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

UNDERLAY = {f"node{i}": (f"10.20.0.1{i}", f"fd20::1{i}") for i in (1, 2, 3)}
VMS = {"web1": "node1", "web2": "node2", "web3": "node3"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "bird.yml", unique_lab_name("bird"))
    try:
        cluster = Cluster(lab, CHECKOUT / "inventories" / "lab_bird")
        cluster.play("site.yml")
        yield cluster
    finally:
        lab.down()


@pytest.fixture(scope="module")
def vms(cluster: Cluster) -> dict[str, list[str]]:
    cluster.attach(*({"name": name, "node": node} for name, node in VMS.items()))
    found = {}
    for name, node in VMS.items():
        found.update(cluster.start_guests(node, name))
    return found


def bird(cluster: Cluster, host: str, *words: str) -> str:
    return cluster.lab.exec(host, ["birdc", *words]).stdout


def bgp_states(cluster: Cluster, host: str) -> dict[str, str]:
    """BIRD's BGP sessions: their last word, such as Established."""
    return {line.split()[0]: line.split()[-1] for line in bird(cluster, host, "show", "protocols").splitlines()
            if " BGP " in line}


def best_route(cluster: Cluster, host: str, address: str) -> str:
    """What BIRD tells of its best route to an address; other routes follow from a line with a `via` or `unicast` on."""
    shown = bird(cluster, host, "show", "route", "for", address, "primary", "all")
    assert f"{address}/{128 if ':' in address else 32}" in shown, shown
    return shown


def test_every_session_with_bird_is_established(cluster: Cluster) -> None:
    wanted = {f"{name}{family}" for name in (*NODES, "core", "rr1") for family in ("", "_6")}
    wait_until(
        lambda: {name for name, state in bgp_states(cluster, "rr2").items() if state == "Established"} == wanted,
        30, "BIRD on rr2 has all its sessions", 0.3)
    core = {name for name, state in bgp_states(cluster, "core").items() if state == "Established"}
    assert core == {"rr1", "rr2", "rr1_6", "rr2_6", "provider", "provider_6"}
    for node in NODES:
        states = {address: session.state for address, session in cluster.sessions(node).items()}
        assert states == dict.fromkeys(("10.20.0.21", "10.20.0.22", "fd20::21", "fd20::22"), "Established")


def test_hosts_that_others_configure_are_left_alone(cluster: Cluster) -> None:
    run = cluster.play("site.yml")
    assert run.changed == 0
    for host in ("rr2", "core"):
        assert cluster.shell(host, "command -v vtysh || true") == ""


def test_vms_are_reached_through_a_core_with_bird(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    cluster.wait_for_answer("ext", [address for addresses in vms.values() for address in addresses])
    cluster.wait_for_answer("web1", [*vms["web2"], *vms["web3"], "198.18.1.1", "fd22::1"])


@pytest.mark.parametrize("host", ["rr2", "core"])
def test_routes_at_bird_have_their_nodes_as_next_hop_and_the_community(
    cluster: Cluster, vms: dict[str, list[str]], host: str
) -> None:
    for vm, addresses in vms.items():
        for address, next_hop in zip(addresses, UNDERLAY[VMS[vm]], strict=True):
            shown = best_route(cluster, host, address)
            assert re.findall(r"BGP.next_hop: (\S+)", shown) == [next_hop], shown
            assert re.findall(r"BGP.community: (.+)", shown) == ["(65010,100)"], shown


def test_the_core_has_every_vm_from_both_reflectors(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    for addresses in vms.values():
        for address in addresses:
            shown = bird(cluster, "core", "show", "route", "for", address)
            assert "[rr1" in shown and "[rr2" in shown, shown


def test_verification_agrees_and_asks_hosts_of_others_nothing(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    report = cluster.verify(tmp_path / "report.json")
    assert report["agrees"], report["output"]
    assert {row["host"] for row in report["hosts"]} == {*NODES, "rr1"}


def test_bird_alone_reflects_when_frr_is_shut_off(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    cluster.lab.host_kill("rr1")
    try:
        for addresses in vms.values():
            for address in addresses:
                wait_until(
                    lambda address=address: "[rr1" not in bird(cluster, "core", "show", "route", "for", address),
                    # hold time (9 s), then what a restart may take (20 s): nobody tells BIRD that rr1 is dead
                    35, f"the core has forgotten rr1's route to {address}")  # type: ignore[misc]
        cluster.wait_for_answer("ext", [address for addresses in vms.values() for address in addresses])
        crash_and_start(cluster, vms)
    finally:
        cluster.lab.host_start("rr1")
    wait_until(
        lambda: all(each.state == "Established" for each in cluster.sessions("rr1").values()), 60,
        "rr1 has its sessions again", 0.5)


def test_frr_alone_reflects_when_bird_is_shut_off(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    cluster.lab.exec("rr2", ["systemctl", "stop", "bird"])
    try:
        for addresses in vms.values():
            for address in addresses:
                wait_until(
                    lambda address=address: "[rr2" not in bird(cluster, "core", "show", "route", "for", address),
                    20, f"the core has forgotten rr2's route to {address}")  # type: ignore[misc]
        cluster.wait_for_answer("ext", [address for addresses in vms.values() for address in addresses])
        crash_and_start(cluster, vms)
    finally:
        cluster.lab.exec("rr2", ["systemctl", "start", "bird"])


def crash_and_start(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    """A guest dies and is withdrawn, starts and is announced."""
    cluster.lab.guest_kill("web2")
    for address in vms["web2"]:
        cluster.wait_for_no_route(address)
    cluster.lab.guest_start("web2")
    cluster.wait_for_answer("ext", vms["web2"])
