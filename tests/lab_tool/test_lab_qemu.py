# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""qemu guests of the lab: a kernel of their own, a qemu that can be asked, paused, killed, and moved live."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from vmlab import Lab, LabError
from vmlab.netns import inside_netns, named_netns
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab
VM, VM6 = "203.0.113.10", "2001:db8::10"
TAP = f"""
ip tuntap add mode tap name web1_net0
ip link set web1_net0 address 02:56:4d:00:00:01
ip addr add 10.255.255.1/32 dev web1_net0
ip addr add fe80::1/64 dev web1_net0 nodad
ip link set web1_net0 up
ip neigh replace {VM} lladdr 52:54:00:00:00:10 dev web1_net0
ip neigh replace {VM6} lladdr 52:54:00:00:00:10 dev web1_net0
ip route replace {VM}/32 dev web1_net0
ip route replace {VM6}/128 dev web1_net0
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
"""


def carrier(lab: Lab, host: str) -> str:
    return lab.exec(host, ["cat", "/sys/class/net/web1_net0/carrier"], check=False).stdout.strip()


def answers(lab: Lab, host: str, address: str) -> bool:
    return lab.exec(host, ["ping", "-n", "-c1", "-W1", address], check=False).returncode == 0


@pytest.fixture(scope="module")
def web1(lab: Lab) -> Iterator[str]:
    lab.exec("left", ["sh", "-ec", TAP])
    lab.guest_add("left", "web1", addresses=[VM, VM6], gateway4="10.255.255.1", gateway6="fe80::1",
                  mac="52:54:00:00:00:10", kind="qemu")
    yield "web1"
    lab.guest_del("web1")


def test_a_qemu_guest_boots_with_its_addresses_and_gives_the_tap_carrier(lab: Lab, web1: str) -> None:
    assert carrier(lab, "left") == "1"
    assert answers(lab, "left", VM) and answers(lab, "left", VM6)
    assert f"vmlab: ip addr add {VM}/32 dev eth0" in lab.guest_console(web1)


def test_a_paused_qemu_guest_is_silent_and_answers_when_it_runs_on(lab: Lab, web1: str) -> None:
    lab.guest_pause(web1)
    assert not answers(lab, "left", VM)
    lab.guest_resume(web1)
    wait_until(lambda: answers(lab, "left", VM), 10, "the guest answers again")


def test_a_qemu_guest_takes_part_in_probes_of_both_directions_and_families(lab: Lab, web1: str) -> None:
    for family in (4, 6):
        with lab.probe("left", web1, rate=200, family=family) as probe:
            time.sleep(1.0)
        for direction in probe.result().directions.values():
            assert direction.sent > 50 and direction.lost == 0, probe.result()


def test_a_command_cannot_be_run_in_a_qemu_guest_and_it_is_said_why(lab: Lab, web1: str) -> None:
    with pytest.raises(LabError, match="kernel of its own"):
        lab.exec(web1, ["true"])


def test_a_qemu_guest_moves_live_and_keeps_a_tcp_connection(lab: Lab, web1: str) -> None:
    lab.exec("right", ["sh", "-ec", TAP])
    told: list[str] = []

    def at_stop() -> None:
        told.append("stop")
        lab.exec("left", ["ip", "route", "replace", f"{VM}/32", "via", "10.20.0.2"])

    with inside_netns(named_netns(lab.state.host_netns("left"))):
        # From an address that leads to this host from everywhere; the gateway, which is nearer, is on each host.
        ticks = socket.create_connection((VM, 7770), timeout=10, source_address=("10.20.0.1", 0))
    with ticks:
        assert ticks.recv(100).startswith(b"0")
        with lab.probe("left", web1, rate=200) as probe:
            done = lab.guest_move(web1, "right", at_stop=at_stop, at_resume=lambda: told.append("resume"))
            time.sleep(1.0)
        assert told == ["stop", "resume"]
        assert carrier(lab, "left") == "0" and carrier(lab, "right") == "1"
        assert 0 < done.pause_ms < done.total_ms
        there = probe.result().there
        assert there is not None and there.received > there.sent / 2, there
        ticks.settimeout(10)
        count = read_count(ticks)
        assert read_count(ticks) > count > 0, "the connection goes on"
    assert lab.state.read_guest(web1).node == "right"  # type: ignore[union-attr]


def read_count(link: socket.socket) -> int:
    """The last whole number of what has come."""
    data = b""
    while data.count(b"\n") < 3:
        data += link.recv(65536)
    return int(data.split(b"\n")[-2])


def test_a_killed_qemu_takes_the_carrier_and_the_guest_can_be_started_again(lab: Lab, web1: str) -> None:
    lab.guest_kill(web1)
    assert carrier(lab, "right") == "0"
    lab.guest_start(web1)
    assert carrier(lab, "right") == "1"
    assert answers(lab, "right", VM)


def test_a_qemu_guest_is_shut_down_by_its_power_button(lab: Lab, web1: str) -> None:
    lab.guest_stop(web1)
    assert "vmlab: shutting down" in lab.guest_console(web1)
    assert carrier(lab, "right") == "0"
