# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a running cluster: a node added, a node rebooted, FRR restarted, guests that stop, die and start.

A probe of 1000 packets a second runs meanwhile; the figures need a quiet machine.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest
from vmlab.cluster import FABRIC, Cluster, read_description, reset_sessions
from vmlab.probe_report import ProbeResult, format_result
from vmlab.stories import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.alone]

FOURTH = {"nodes": {"hosts": {"node4": {"underlay_ipv4": "10.20.0.14", "underlay_ipv6": "fd20::14"}}}}
VMS = {"web1": "node1", "web2": "node2", "web3": "node3"}


@pytest.fixture(scope="module")
def cluster(site: Cluster) -> Cluster:
    site.attach(*({"name": name, "node": node} for name, node in VMS.items()))
    return site


@pytest.fixture(scope="module")
def vms(cluster: Cluster) -> dict[str, list[str]]:
    """The addresses of VMs that are reached from outside."""
    found = {}
    for name, node in VMS.items():
        found.update(cluster.start_guests(node, name))
    cluster.wait_for_answer("ext", [address for addresses in found.values() for address in addresses])
    return found


def test_bad_input_is_refused_within_ten_seconds(cluster: Cluster) -> None:
    for extra in (read_description(asn=0), {"vms": [{"name": "default", "node": "node1"}]}):
        run = cluster.play("attach_vm.yml", extra=extra, check=False)
        print(f"refused after {run.seconds:.1f} s")
        assert run.returncode != 0 and run.changed == 0 and run.seconds < 10


def tell(result: ProbeResult) -> ProbeResult:
    print(format_result(result))
    return result


@pytest.mark.parametrize("version", [4, 6])
def test_a_dead_guests_route_is_gone_from_the_core_within_a_second(
    cluster: Cluster, vms: dict[str, list[str]], version: int
) -> None:
    address = vms["web1"][version == 6]
    cluster.wait_for_route(address)
    began = time.monotonic()
    cluster.lab.guest_kill("web1")
    cluster.wait_for_no_route(address, 5)
    gone = time.monotonic() - began
    began = time.monotonic()
    cluster.lab.guest_start("web1")
    cluster.wait_for_route(address, 10)
    back = time.monotonic() - began
    print(f"IPv{version}: a dead guest's route is gone after {gone:.3f} s, back {back:.3f} s after its start")
    assert gone < 1
    cluster.wait_for_answer("ext", [address])


def test_a_guest_stopped_and_started_is_withdrawn_and_announced_without_a_controller(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    cluster.lab.guest_stop("web2")
    for address in vms["web2"]:
        cluster.wait_for_no_route(address)
    cluster.lab.guest_start("web2")
    cluster.wait_for_answer("ext", vms["web2"])


def read_pid(cluster: Cluster, node: str, daemon: str) -> str:
    return cluster.shell(node, f"cat /run/frr/{daemon}.pid", check=False)


def is_back(cluster: Cluster, node: str, daemon: str, old: str) -> bool:
    """Whether another process than before is this daemon, FRR answers, and all sessions are up."""
    daemons = cluster.shell(node, "vtysh -c 'show daemons'", check=False).split()
    return (
        read_pid(cluster, node, daemon) not in ("", old) and {"zebra", "staticd", "bgpd"} <= set(daemons)
        and all(each.state == "Established" for each in cluster.sessions(node).values()))


@pytest.mark.parametrize(("daemon", "end"), [
    pytest.param("zebra", "systemctl restart frr", id="FRR restarted, as by its package"),
    pytest.param("bgpd", "kill -KILL $(cat /run/frr/bgpd.pid)", id="bgpd crashed"),
    pytest.param("zebra", "kill -KILL $(cat /run/frr/zebra.pid)", id="zebra crashed"),
])
def test_frr_that_starts_again_on_a_node_costs_no_packet(
    cluster: Cluster, vms: dict[str, list[str]], daemon: str, end: str
) -> None:
    for node, vm in (("node2", "web2"), ("node3", "web3")):
        old = read_pid(cluster, node, daemon)
        with cluster.lab.probe("ext", vm, rate=500) as four, cluster.lab.probe("ext", vm, rate=500, family=6) as six:
            cluster.shell(node, end)
            wait_until(partial(is_back, cluster, node, daemon, old), 60, f"{node} has its sessions again", 0.2)
        assert (tell(four.result()).lost, tell(six.result()).lost) == (0, 0)
        assert {route["gateway"] for route in cluster.kernel_routes(vms[vm][0])} == {f"10.20.0.1{node[-1]}"}


def test_a_node_rebooted_announces_its_vms_without_a_controller(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    for node, vm in (("node1", "web1"), ("node3", "web3")):
        records = cluster.records(node)
        began = time.monotonic()
        cluster.lab.reboot(node)
        cluster.wait_for_answer("ext", vms[vm], 60)
        # Neighbours keep routes of a host that restarts gracefully; that they have them anew is seen at its sessions.
        wait_until(
            lambda node=node: all(each.state == "Established" for each in cluster.sessions(node).values()),
            60, f"{node} has its sessions again", 0.2)  # type: ignore[misc]
        print(f"{node} rebooted: {vm} answers again after {time.monotonic() - began:.1f} s")
        assert cluster.records(node) == records


@pytest.mark.parametrize("reflector", ["rr1", "rr2"])
def test_a_reflector_rebooted_costs_no_packet_and_has_all_its_sessions_again(
    cluster: Cluster, vms: dict[str, list[str]], reflector: str
) -> None:
    with cluster.lab.probe("ext", "web3", rate=1000) as probe:
        cluster.lab.reboot(reflector)
        wait_until(
            lambda: all(each.state == "Established" for each in cluster.sessions(reflector).values()), 60,
            f"{reflector} has its sessions again", 0.5)
    result = tell(probe.result())
    assert result.lost == 0  # exact also where the sender was late, which spoils gaps alone


def test_a_fourth_node_resets_no_session_and_costs_no_packet(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    overlay = tmp_path / "node4.json"
    overlay.write_text(json.dumps(FOURTH))
    wider = Cluster(cluster.lab, *cluster.inventory, overlay)
    before = cluster.all_sessions()
    assert {session.state for session in before.values()} == {"Established"}
    with cluster.lab.probe("ext", "web1", rate=1000) as probe:
        began = time.monotonic()
        cluster.lab.host_start("node4")
        booted = time.monotonic()
        run = wider.play("site.yml")
        print(f"node4: booted in {booted - began:.1f} s, site.yml took {run.seconds:.1f} s")
        wider.attach({"name": "web4", "node": "node4"})
        addresses = wider.start_guests("node4", "web4")["web4"]
        wider.wait_for_answer("ext", addresses)
        print(f"a VM on it is reached {time.monotonic() - booted:.1f} s after the boot")
    result = tell(probe.result())
    assert reset_sessions(before, cluster.all_sessions(FABRIC)) == {}
    assert result.lost == 0  # exact also where the sender was late, which spoils gaps alone
    wider.wait_for_answer("web4", vms["web1"])
    assert wider.verify(tmp_path / "report.json")["agrees"]
    assert wider.play("site.yml").changed == 0
