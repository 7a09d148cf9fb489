# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts of the lab: what they are, what a reboot does to them, what can be installed in them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from vmlab import Lab, LabError
from vmlab.hosts import wait_for
from vmlab.state import CHECKOUT

pytestmark = pytest.mark.lab
LAB = CHECKOUT / "lab" / "lab"


def run_lab(lab: Lab, *words: str, text_in: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(LAB), "--name", lab.name, *words]
    return subprocess.run(argv, input=text_in, capture_output=True, text=True, check=False, timeout=60)


def read_carrier(lab: Lab, host: str, interface: str) -> str:
    return lab.exec(host, ["cat", f"/sys/class/net/{interface}/carrier"], check=False).stdout.strip()


def test_every_host_boots_whole(lab: Lab) -> None:
    for host in ("left", "right"):
        assert lab.exec(host, ["systemctl", "is-system-running"], check=False).stdout.strip() == "running"
        assert lab.exec(host, ["uname", "-n"]).stdout.strip() == host


def test_hosts_reach_each_other_at_once_over_both_families(lab: Lab) -> None:
    for address in ("10.20.0.2", "fd20::2", "198.18.0.2"):
        lab.exec("left", ["ping", "-c1", "-W2", address])


def test_what_the_topology_places_is_there(lab: Lab) -> None:
    assert lab.exec("left", ["cat", "/etc/motd"]).stdout == "welcome"
    assert lab.exec("left", ["stat", "-c", "%a %U", "/root/secret"]).stdout.strip() == "600 root"
    assert lab.exec("left", ["sysctl", "-n", "net.ipv4.ip_forward"]).stdout.strip() == "1"
    assert lab.exec("right", ["sysctl", "-n", "net.ipv4.ip_forward"]).stdout.strip() == "0"
    assert "10.20.0.2" in lab.exec("left", ["ip", "route", "get", "203.0.113.9"]).stdout


def test_a_command_keeps_its_exit_code_and_its_input(lab: Lab) -> None:
    assert run_lab(lab, "exec", "left", "--", "sh", "-c", "exit 7").returncode == 7
    assert run_lab(lab, "exec", "right", "--", "cat", text_in="hello").stdout == "hello"
    assert lab.exec("right", ["cat"], input="hello").stdout == "hello"
    with pytest.raises(LabError, match="ended with 1"):
        lab.exec("left", ["false"])


def test_a_command_that_takes_too_long_is_ended(lab: Lab) -> None:
    with pytest.raises(LabError, match="did not end within"):
        lab.exec("left", ["sleep", "4321"], timeout=0.5)
    wait_for(
        lambda: not lab.exec("left", ["pgrep", "-f", "sleep 4321"], check=False).stdout,
        5,
        "the command lives on in the host",
    )


def test_a_name_that_is_no_host_is_told(lab: Lab) -> None:
    done = run_lab(lab, "exec", "nosuch", "--", "true")
    assert done.returncode == 1
    assert "no host or guest 'nosuch'" in done.stderr or "no host 'nosuch'" in done.stderr


def test_a_reboot_leaves_the_disk_and_nothing_else(lab: Lab) -> None:
    lab.exec(
        "right", ["sh", "-ec", "ip link add stray type bridge; nft add table inet stray; touch /root/kept /run/gone"]
    )
    lab.exec("right", ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    before = lab.host_record("right")
    lab.reboot("right")
    after = lab.host_record("right")
    assert after.boots == before.boots + 1
    assert after.leader != before.leader
    assert sorted(lab.exec("right", ["ls", "/sys/class/net"]).stdout.split()) == ["eth0", "eth1", "lo"]
    assert lab.exec("right", ["nft", "list", "ruleset"]).stdout == ""
    assert lab.exec("right", ["sysctl", "-n", "net.ipv4.ip_forward"]).stdout.strip() == "0"
    lab.exec("right", ["test", "-e", "/root/kept", "-a", "!", "-e", "/run/gone"])
    lab.exec("left", ["ping", "-c1", "-W2", "fd20::2"])


def test_a_host_that_powers_off_stays_off_until_it_is_started(lab: Lab) -> None:
    lab.exec("right", ["systemctl", "--no-block", "poweroff"])
    wait_for(lambda: lab.host_record("right").actual_phase == "off", 20, "it does not go off")
    with pytest.raises(LabError, match="run: lab/lab host start right"):
        lab.exec("right", ["true"])
    lab.host_start("right")
    lab.exec("left", ["ping", "-c1", "-W2", "10.20.0.2"])


def test_a_power_cut_darkens_the_wire_at_once(lab: Lab) -> None:
    assert read_carrier(lab, "left", "eth1") == "1"
    lab.host_kill("right")
    assert read_carrier(lab, "left", "eth1") == "0"
    assert lab.host_record("right").actual_phase == "off"
    lab.host_start("right")
    assert read_carrier(lab, "left", "eth1") == "1"
    lab.exec("left", ["ping", "-c1", "-W2", "198.18.0.2"])


def test_a_host_that_was_held_back_can_be_added(lab: Lab) -> None:
    assert lab.host_record("spare").actual_phase == "off"
    lab.host_start("spare")
    lab.exec("left", ["ping", "-c1", "-W2", "10.20.0.3"])
    lab.host_stop("spare")
    assert lab.host_record("spare").actual_phase == "off"


@pytest.mark.parametrize(("host", "version"), [("left", "8.4"), ("right", "10.")])
def test_frr_is_installed_without_a_network(lab: Lab, host: str, version: str) -> None:
    install = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -y -q install frr frr-pythontools"
    lab.exec(host, ["sh", "-c", install], timeout=120)
    said = lab.exec(host, ["dpkg-query", "-W", "-f", "${Version}", "frr"]).stdout
    assert said.startswith(version)
    lab.exec(host, ["systemctl", "is-active", "frr"])


def test_ssh_comes_in_from_the_controllers_seat(lab: Lab) -> None:
    proxy = f"{sys.executable} {LAB} --name {lab.name} ssh-proxy %h %p"
    argv = ["ssh", "-i", str(lab.state.key), "-o", f"UserKnownHostsFile={lab.state.known_hosts}", "-o", "BatchMode=yes"]
    argv += ["-o", f"ProxyCommand={proxy}", "root@right", "echo $SSH_CLIENT"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.stdout.startswith("10.20.0.254 ")


def test_the_status_shows_hosts_as_they_are(lab: Lab) -> None:
    done = run_lab(lab, "status")
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:4]] == [
        ["left", "up"],
        ["right", "up"],
        ["spare", "off"],
    ]
