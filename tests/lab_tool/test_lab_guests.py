# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guests of the lab: attached as a hypervisor would, gone as a crashed one would be."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from vmlab import Lab, LabError
from vmlab.hosts import wait_for

pytestmark = pytest.mark.lab
VM = "203.0.113.10"
VM6 = "2001:db8::10"


def make_tap(lab: Lab, host: str, name: str = "web1_net0", *more: str) -> None:
    """A persistent tap as the fabric makes one, with the VM's routes."""
    script = f"""
    ip tuntap add mode tap name {name} {" ".join(more)}
    ip addr add 169.254.1.1/32 dev {name}
    ip addr add fe80::1/64 dev {name} nodad
    ip link set {name} up
    ip route replace {VM}/32 dev {name}
    ip route replace {VM6}/128 dev {name}
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    """
    lab.exec(host, ["sh", "-ec", script])


def read_links(lab: Lab, host: str) -> list[str]:
    return lab.exec(host, ["ls", "/sys/class/net"]).stdout.split()


def read_carrier(lab: Lab, host: str, interface: str) -> str:
    return lab.exec(host, ["cat", f"/sys/class/net/{interface}/carrier"], check=False).stdout.strip()


def add_web1(lab: Lab) -> None:
    lab.guest_add("left", "web1", addresses=[VM, VM6], gateway4="169.254.1.1", gateway6="fe80::1")


@pytest.fixture
def web1(lab: Lab) -> Iterator[str]:
    make_tap(lab, "left")
    try:
        add_web1(lab)
        yield "web1"
    finally:
        if lab.state.read_guest("web1"):
            lab.guest_del("web1")
        lab.exec("left", ["ip", "link", "del", "web1_net0"], check=False)


def test_a_guest_on_a_tap_is_reached_and_gives_the_tap_carrier(lab: Lab, web1: str) -> None:
    assert read_carrier(lab, "left", "web1_net0") == "1"
    lab.exec("left", ["ping", "-c1", "-W2", VM])
    lab.exec("left", ["ping", "-c1", "-W2", VM6])
    assert "169.254.1.1 dev eth0 onlink" in lab.exec(web1, ["ip", "route"]).stdout


def test_a_killed_guest_takes_the_taps_carrier_with_it_and_can_start_again(lab: Lab, web1: str) -> None:
    lab.guest_kill(web1)
    assert read_carrier(lab, "left", "web1_net0") == "0"
    with pytest.raises(LabError, match="run: lab/lab guest start web1"):
        lab.exec(web1, ["true"])
    lab.guest_start(web1)
    lab.exec("left", ["ping", "-c1", "-W2", VM])


def test_a_deleted_guest_is_forgotten_and_its_tap_stays(lab: Lab, web1: str) -> None:
    lab.guest_del(web1)
    assert "web1_net0" in read_links(lab, "left")
    with pytest.raises(LabError, match="no guest"):
        lab.guest_start(web1)


def test_a_tap_runs_one_guest(lab: Lab, web1: str) -> None:
    with pytest.raises(LabError, match="another guest runs on it"):
        lab.guest_add("left", "web2", interface="web1_net0")
    assert lab.state.read_guest("web2") is None


def test_a_tap_with_several_queues_and_a_long_name_works(lab: Lab) -> None:
    make_tap(lab, "left", "short0", "multi_queue")
    lab.exec("left", ["ip", "link", "property", "add", "dev", "short0", "altname", "a-vm-with-a-long-name_net0"])
    lab.guest_add("left", "a-vm-with-a-long-name", addresses=[VM], gateway4="169.254.1.1")
    lab.exec("left", ["ping", "-c1", "-W2", VM])
    lab.guest_del("a-vm-with-a-long-name")
    lab.exec("left", ["ip", "link", "del", "short0"])


def test_a_guest_without_its_interface_does_not_start(lab: Lab) -> None:
    with pytest.raises(LabError, match="left has no interface none_net0"):
        lab.guest_add("left", "none", timeout=0.5)


def test_a_tap_carries_five_thousand_packets_a_second(lab: Lab, web1: str) -> None:
    with lab.probe("left", web1, rate=5000) as probe:
        time.sleep(1.0)
    result = probe.result()
    for direction in result.directions.values():
        assert direction.sent >= 5000
        assert direction.lost == 0
        assert direction.delay_median_ms is not None and direction.delay_median_ms < 2.0


def test_a_guest_moves_live_and_announces_itself(lab: Lab, web1: str) -> None:
    make_tap(lab, "right")
    process = lab.state.read_guest(web1)
    try:
        lab.guest_move(web1, "right")
        assert read_carrier(lab, "left", "web1_net0") == "0"
        assert read_carrier(lab, "right", "web1_net0") == "1"
        lab.exec("right", ["ping", "-c1", "-W2", VM])
        moved = lab.state.read_guest(web1)
        assert moved and process and (moved.node, moved.agent) == ("right", process.agent)
    finally:
        lab.exec("right", ["ip", "link", "del", "web1_net0"])


def test_packets_wait_for_a_guest_that_is_paused(lab: Lab, web1: str) -> None:
    with lab.probe("left", web1, rate=200, direction="there") as probe:
        time.sleep(0.2)
        lab.guest_pause(web1)
        time.sleep(0.2)
        lab.guest_resume(web1)
        time.sleep(0.2)
    there = probe.result().there
    assert there and there.lost == 0
    assert there.longest_gap_ms >= 190


def test_a_container_gets_the_peer_of_its_veth_and_gives_it_back(lab: Lab) -> None:
    lab.exec("left", ["sh", "-ec", "ip link add ct1_net0 type veth peer name ct1_p; ip link set ct1_net0 up"])
    lab.exec("left", ["sh", "-ec", f"ip addr add 169.254.1.1/32 dev ct1_net0; ip route add {VM}/32 dev ct1_net0"])
    lab.guest_add("left", "ct1", addresses=[VM], gateway4="169.254.1.1")
    assert "ct1_p" not in read_links(lab, "left")
    lab.exec("left", ["ping", "-c1", "-W2", VM])
    lab.guest_stop("ct1")
    assert "ct1_p" in read_links(lab, "left")
    lab.guest_start("ct1")
    lab.guest_kill("ct1")
    wait_for(lambda: "ct1_net0" not in read_links(lab, "left"), 2, "a killed container's veth stays")
    lab.guest_del("ct1")


def test_a_hypervisor_makes_the_interface_where_asked_to_and_plugs_it_in(lab: Lab) -> None:
    lab.exec("left", ["sh", "-ec", "ip link add br0 type bridge; ip addr add 10.9.0.1/24 dev br0; ip link set br0 up"])
    for vm, make in (("b1", "tap"), ("b2", "veth")):
        lab.guest_add("left", vm, addresses=[f"10.9.0.{10 + int(vm[1])}/24"], make=make, bridge="br0")
        lab.exec("left", ["ping", "-c1", "-W2", f"10.9.0.{10 + int(vm[1])}"])
    lab.exec("b1", ["ping", "-c1", "-W2", "10.9.0.12"])
    for vm in ("b1", "b2"):
        lab.guest_del(vm)
        wait_for(lambda vm=vm: f"{vm}_net0" not in read_links(lab, "left"), 2, f"{vm}_net0 stays")  # type: ignore[misc]
    lab.exec("left", ["ip", "link", "del", "br0"])


def test_a_guest_starts_with_its_node(lab: Lab) -> None:
    lab.guest_add("left", "boot", addresses=["198.51.100.1"], gateway4="10.20.0.1")
    before = lab.state.read_guest("boot")
    lab.reboot("left")
    wait_for(lambda: running(lab, "boot"), 10, "the guest is not started")
    after = lab.state.read_guest("boot")
    assert before and after and before.agent != after.agent
    lab.exec("left", ["ping", "-c1", "-W2", "198.51.100.1"])
    lab.host_kill("left")
    assert not running(lab, "boot")
    lab.host_start("left")
    wait_for(lambda: running(lab, "boot"), 10, "the guest is not started")
    lab.guest_del("boot")


def running(lab: Lab, vm: str) -> bool:
    record = lab.state.read_guest(vm)
    return record is not None and record.phase == "running" and record.is_running()
