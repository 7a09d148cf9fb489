# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the network that the controller's SSH comes by: it holds, or the old state comes back by itself.

One host for each manager of a host's network; all four are changed at once. VMCLUSTER_LOCKOUTS says how often each
mistake is made (1); VMCLUSTER_SWAP=1 gives every manager the other Debian release. benchmarks/bench_lockouts.py makes
the mistakes ten times and takes the time.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from vmlab import Lab
from vmlab.own_networks import (
    APPLIED,
    CHANGE,
    HOSTS,
    INVENTORY,
    OUTCOME,
    PLAY,
    STRANGER,
    TOPOLOGY,
    arguments,
    in_parallel,
    lab_command,
    play_in_background,
    read_configuration,
    read_state,
    ssh_command,
    write_swapped,
)
from vmlab.playbooks import PlaybookRun, kill_with_workers, read_recap, run_playbook
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

LOCKOUTS = int(os.environ.get("VMCLUSTER_LOCKOUTS", "1"))
CLOUD_INIT = "/etc/cloud/cloud.cfg.d/99-vmcluster-host-network.cfg"
SYSCTL = "/etc/sysctl.d/60-vmcluster-host-network.conf"
ROUNDS = range(LOCKOUTS)
TIMEOUT = 36  # seconds in which a change that cuts hosts off is taken back; the timer goes off 20 earlier
TEST_TIMEOUT = 50  # the same where the hosts' own tests, which a busy machine slows down, are to find the mistake
NOTICE = 5.0  # what this test may take to notice


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    topology = write_swapped(tmp_path_factory.mktemp("topology")) if os.environ.get("VMCLUSTER_SWAP") else TOPOLOGY
    lab = Lab.up(topology, unique_lab_name("hostnet"))
    yield lab
    lab.down()


def play(lab: Lab, *options: str, check: bool = True, **variables: Any) -> PlaybookRun:
    return run_playbook(lab.name, PLAY, *options, *arguments(**variables), inventory=[INVENTORY], check=check)


def read_states(lab: Lab) -> dict[str, dict[str, Any]]:
    return {host: read_state(lab, host) for host in HOSTS}


def there(lab: Lab, path: str) -> set[str]:
    return {host for host in HOSTS if lab.exec(host, ["test", "-e", path], check=False).returncode == 0}


def wait_for_return(lab: Lab, before: dict[str, dict[str, Any]], seconds: float) -> float:
    """Wait until every host has its old state, and the controller reaches it; the seconds that took."""
    return wait_until(lambda: read_states(lab) == before and not there(lab, CHANGE), seconds,
                      f"the old state is back: {before}", 0.2)


def check_reachable(lab: Lab) -> None:
    for host in HOSTS:
        told = subprocess.run(ssh_command(lab, host, "hostname"), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=20, check=True)
        assert told.stdout.strip() == host


def check_failed_and_told(run: PlaybookRun, *words: str) -> None:
    assert {host: (counts["failed"], counts["unreachable"]) for host, counts in run.recap.items()} == dict.fromkeys(
        HOSTS, (1, 0)), run.output
    assert run.output.count("The host has gone back to its old state") >= len(HOSTS), run.output
    for word in words:
        assert word in run.output, run.output


def start_and_wait_until_applied(lab: Lab, **variables: Any) -> subprocess.Popen[str]:
    run = play_in_background(lab, **variables)
    wait_until(lambda: there(lab, APPLIED) == set(HOSTS), 30, "all hosts have carried the change out")
    return run


def reboot_all(lab: Lab) -> None:
    assert in_parallel(lambda host: lab_command(lab, "host", "reboot", host)) == {}


@pytest.fixture(scope="module")
def operators(lab: Lab) -> dict[str, str]:
    """The operators' files, before anything was done."""
    return {host: read_configuration(lab, host) for host in HOSTS}


def test_check_mode_tells_all_files_and_changes_nothing(lab: Lab, operators: dict[str, str]) -> None:
    before = read_states(lab)
    run = play(lab, "--check", "--diff")
    assert {host: counts["changed"] for host, counts in run.recap.items()} == dict.fromkeys(HOSTS, 1)
    for word in ("05-vmcluster-br0.network", "90-vmcluster.yaml", "vmcluster-br0.nmconnection",
                 "interfaces.d/vmcluster", "#vmcluster: iface eth0 inet static", "#vmcluster: iface eth0:1 inet static",
                 "#vmcluster:       addresses:", "+network: {config: disabled}"):
        assert word in run.output, run.output
    assert read_states(lab) == before
    assert {host: read_configuration(lab, host) for host in HOSTS} == operators
    assert there(lab, "/usr/local/sbin/vmcluster-host-network") == set()


@pytest.mark.parametrize("_round", ROUNDS)
def test_bridge_on_the_wrong_port_cuts_the_host_off_and_the_timer_brings_it_back(
    lab: Lab, operators: dict[str, str], _round: int
) -> None:
    before = read_states(lab)
    began = time.monotonic()
    run = play(lab, ports=["eth1"], host_network_timeout=TIMEOUT, check=False)
    check_failed_and_told(run, "by its timer", "no connection")
    wait_for_return(lab, before, 1.0)
    print(f"back and told {time.monotonic() - began:.1f} s after the start")
    assert ends(lab) == dict.fromkeys(HOSTS, 0)
    check_reachable(lab)
    assert {host: read_configuration(lab, host) for host in HOSTS} == operators


@pytest.mark.parametrize("_round", ROUNDS)
def test_after_a_killed_controller_the_old_state_returns_by_itself(
    lab: Lab, operators: dict[str, str], _round: int
) -> None:
    before = read_states(lab)
    run = start_and_wait_until_applied(lab, ports=["eth1"], host_network_timeout=TIMEOUT)
    kill_with_workers(run)
    run.communicate(timeout=10)
    assert all(("br0", address, 24) in read_state(lab, host)["addresses"] for host, address in HOSTS.items())
    print(f"back {wait_for_return(lab, before, TIMEOUT + NOTICE):.1f} s after the kill")
    check_reachable(lab)
    assert {host: read_configuration(lab, host) for host in HOSTS} == operators


def test_run_after_a_killed_one_lets_the_old_state_return_and_completes(lab: Lab) -> None:
    run = start_and_wait_until_applied(lab, gateway="10.20.0.99", host_network_timeout=TIMEOUT)
    kill_with_workers(run)
    run.communicate(timeout=10)
    open_changes = {host: json.loads(lab.exec(host, ["cat", CHANGE]).stdout)["id"] for host in HOSTS}
    assert play(lab).changed == len(HOSTS)
    check_bridges(lab)
    for host, was in open_changes.items():
        assert "rolled back" not in lab.exec(host, ["cat", OUTCOME]).stdout
        assert was not in lab.exec(host, ["cat", OUTCOME]).stdout
    assert play(lab, host_network_interfaces=[]).changed == len(HOSTS)


@pytest.mark.parametrize("_round", ROUNDS)
def test_host_that_reboots_in_the_middle_boots_with_its_old_state(
    lab: Lab, operators: dict[str, str], _round: int
) -> None:
    before = read_states(lab)
    run = start_and_wait_until_applied(lab, ports=["eth1"])
    reboot_all(lab)
    wait_for_return(lab, before, 10)
    output, _nothing = run.communicate(timeout=150)
    check_failed_and_told(PlaybookRun(run.returncode, output, 0, read_recap(output)), "by its boot")
    assert {host: read_configuration(lab, host) for host in HOSTS} == operators


def test_address_moves_to_a_bridge_and_an_open_ssh_session_stays(lab: Lab) -> None:
    sessions = {host: subprocess.Popen(ssh_command(lab, host, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True, bufsize=1) for host in HOSTS}
    for session in sessions.values():
        assert echo(session, "before") == "before"
    assert play(lab).changed == len(HOSTS)
    for session in sessions.values():
        assert echo(session, "after") == "after"
        session.communicate(timeout=10)
    check_bridges(lab)
    assert ends(lab) == dict.fromkeys(HOSTS, 2)


def ends(lab: Lab) -> dict[str, int]:
    """How many prefixes of the play each host has that are unreachable."""
    asked = "for f in -4 -6; do ip $f route show type unreachable; done | grep -cE '198.18.7.0/24|fd18:7::/64' || true"
    return {host: int(lab.exec(host, ["sh", "-c", asked]).stdout) for host in HOSTS}


def echo(session: subprocess.Popen[str], word: str) -> str:
    assert session.stdin is not None and session.stdout is not None
    session.stdin.write(f"{word}\n")
    return session.stdout.readline().strip()


def check_bridges(lab: Lab) -> None:
    for host, address in HOSTS.items():
        state = read_state(lab, host)
        assert state["masters"]["eth0"] == "br0"
        assert ("br0", address, 24) in state["addresses"]
        assert ("br0", f"fd20::{address.rpartition('.')[2]}", 64) in state["addresses"]
        assert state["default"] == {("br0", "10.20.0.254")}
        assert not [each for each in state["addresses"] if each[0] == "eth0"]
        assert ("own0", "192.0.2.1", 24) in state["addresses"], "the operator's own interface is as it was"


def test_what_gives_a_nic_its_name_and_what_keeps_cloud_init_from_writing_are_there(lab: Lab) -> None:
    """Without either the next boot would be another: a NIC without its name, an address on bridge and port."""
    left = yaml.safe_load(lab.exec("netplan", ["cat", "/etc/netplan/50-cloud-init.yaml"]).stdout)["network"]
    assert left["ethernets"] == {"eth0": {"match": {"name": "eth0"}, "set-name": "eth0"}}
    assert lab.exec("netplan", ["netplan", "get", "ethernets.eth0.set-name"]).stdout.strip() in ("eth0", '"eth0"')
    assert there(lab, CLOUD_INIT) == {"netplan"}


def test_second_run_changes_nothing(lab: Lab) -> None:
    assert play(lab).changed == 0


def test_file_that_cannot_be_written_is_not_confirmed_although_the_kernel_has_all(lab: Lab) -> None:
    """The next boot would be another than now."""
    for host in HOSTS:  # what is mounted on cannot be replaced, as an immutable file cannot
        lab.exec(host, ["sh", "-euc", f"touch {SYSCTL}; mount --bind {SYSCTL} {SYSCTL}"])
    sysctls = {"net.ipv4.conf.br0.log_martians": "1"}
    run = play(lab, host_network_sysctls=sysctls, host_network_timeout=TEST_TIMEOUT, check=False)
    check_failed_and_told(run, f"file {SYSCTL} is not as it was to be written")
    for host in HOSTS:
        assert lab.exec(host, ["cat", "/proc/sys/net/ipv4/conf/br0/log_martians"]).stdout.strip() == "0"
        lab.exec(host, ["sh", "-euc", f"umount {SYSCTL}; rm {SYSCTL}"])
    assert there(lab, CHANGE) == set()
    check_bridges(lab)


def test_change_whose_timer_is_lost_goes_back_before_the_next(lab: Lab) -> None:
    """What has become of a change whose way back was ended by somebody, or by a full disk."""
    run = start_and_wait_until_applied(lab, gateway="10.20.0.99", host_network_timeout=TEST_TIMEOUT)
    kill_with_workers(run)
    run.communicate(timeout=10)
    for host in HOSTS:
        lab.exec(host, ["sh", "-euc", "systemctl stop 'vmcluster-host-network-rollback-*.timer'"])
    assert there(lab, CHANGE) == set(HOSTS)
    assert play(lab).changed == 0
    check_bridges(lab)


def test_what_somebody_else_has_taken_away_is_put_back(lab: Lab) -> None:
    for host, address in HOSTS.items():
        lab.exec(host, ["ip", "addr", "del", f"fd20::{address.rpartition('.')[2]}/64", "dev", "br0"])
    assert play(lab).changed == len(HOSTS)
    check_bridges(lab)


def test_ports_of_vms_stay_when_the_bridges_addresses_change(lab: Lab) -> None:
    for host in HOSTS:
        lab.exec(host, ["sh", "-euc", "ip tuntap add vm1 mode tap; ip link set vm1 master br0 up; cat "
                        "/sys/class/net/br0/ifindex > /run/br0"])
    assert play(lab, more=["{{ second }}"]).changed == len(HOSTS)
    refused = play(lab, host_network_interfaces=[], check=False)
    assert refused.output.count("br0 has port vm1, which is not of this collection") >= len(HOSTS), refused.output
    assert play(lab).changed == len(HOSTS)
    for host in HOSTS:
        assert read_state(lab, host)["masters"]["vm1"] == "br0"
        lab.exec(host, ["sh", "-euc", "cmp /run/br0 /sys/class/net/br0/ifindex; ip link del vm1"])
    check_bridges(lab)


def test_port_joins_and_leaves_a_bridge(lab: Lab) -> None:
    def masters() -> dict[str, str | None]:
        return {host: read_state(lab, host)["masters"]["port1"] for host in HOSTS}

    for host in HOSTS:  # of no switch, as four bridges between the same two switches would be a ring
        lab.exec(host, ["sh", "-euc", "ip link add port1 type veth peer name far1; ip link set far1 up"])
    assert play(lab, ports=["eth0", "port1"]).changed == len(HOSTS)
    assert masters() == dict.fromkeys(HOSTS, "br0")
    bridge = {"name": "br0", "kind": "bridge", "ports": ["eth0"], "addresses": "{{ addresses }}",
              "routes": [{"to": "default", "via": "{{ gateway }}"}]}
    assert play(lab, host_network_interfaces=[{"name": "port1"}, bridge]).changed == len(HOSTS)
    assert masters() == dict.fromkeys(HOSTS)
    assert ends(lab) == dict.fromkeys(HOSTS, 0), "routes that are not in the plan any more"
    check_bridges(lab)
    assert play(lab).changed == len(HOSTS), "the port is the operator's again"
    for host in HOSTS:
        lab.exec(host, ["ip", "link", "del", "port1"])


def test_bridge_is_there_after_a_reboot(lab: Lab) -> None:
    reboot_all(lab)
    wait_until(lambda: all(("br0", address, 24) in read_state(lab, host)["addresses"]
                           for host, address in HOSTS.items()), 20, "the bridges have their addresses")
    check_reachable(lab)
    check_bridges(lab)
    assert play(lab).changed == 0


@pytest.mark.parametrize("_round", ROUNDS)
def test_gateway_that_does_not_answer_is_taken_back(lab: Lab, _round: int) -> None:
    before = read_states(lab)
    run = play(lab, gateway="10.20.0.99", host_network_timeout=TEST_TIMEOUT, check=False)
    check_failed_and_told(run, "gateway 10.20.0.99 does not answer on br0")
    wait_for_return(lab, before, 1.0)
    check_reachable(lab)


@pytest.mark.parametrize("_round", ROUNDS)
def test_address_of_another_host_is_taken_back(lab: Lab, _round: int) -> None:
    before = read_states(lab)
    run = play(lab, more=[f"{STRANGER}/24"], host_network_timeout=TEST_TIMEOUT, check=False)
    check_failed_and_told(run, f"{STRANGER} is another host's too")
    wait_for_return(lab, before, 1.0)
    check_reachable(lab)


def test_plan_without_the_connections_address_is_refused_before_anything_is_touched(lab: Lab) -> None:
    before = read_states(lab)
    run = play(lab, addresses=["10.20.0.99/24"], check=False)
    assert run.output.count("Ansible's connection comes to") >= len(HOSTS), run.output
    assert there(lab, CHANGE) == set()
    assert read_states(lab) == before


def test_empty_plan_gives_everything_back_to_the_operator(lab: Lab, operators: dict[str, str]) -> None:
    assert play(lab, host_network_interfaces=[]).changed == len(HOSTS)
    assert {host: read_configuration(lab, host) for host in HOSTS} == operators
    assert there(lab, CLOUD_INIT) == set()
    assert ends(lab) == dict.fromkeys(HOSTS, 0)
    assert ("eth0", "192.0.2.129", 25) in read_state(lab, "ifupdown")["addresses"]
    for host, address in HOSTS.items():
        state = read_state(lab, host)
        assert ("eth0", address, 24) in state["addresses"]
        assert ("eth0", f"fd20::{address.rpartition('.')[2]}", 64) in state["addresses"]
        assert "br0" not in state["masters"]
        assert state["default"] == {("eth0", "10.20.0.254")}
    check_reachable(lab)
