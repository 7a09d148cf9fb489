# SPDX-License-Identifier: GPL-3.0-or-later
"""A Junos simulator as core gateway of the data centre: built, changed, refused, rolled back, while VMs answer on.

The simulator shows the dialogue and, by the FRR behind it, what the filters mean. It is no MX: docs/junos.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from junos_simulator.testing import Simulator
from vmlab import Lab
from vmlab.cluster import FABRIC, Cluster, Session, read_description, reset_sessions
from vmlab.playbooks import PlaybookRun, playbook_command, playbook_environment
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

INVENTORY = CHECKOUT / "inventories" / "lab_junos"
POOLS = read_description(INVENTORY)["cluster"]["pools"]
WIDER = {"pools": [*POOLS, {"name": "more4", "prefix": "198.51.100.0/24"}]}
VMS = {"web1": "node1", "web2": "node2"}
REFLECTORS = ("10.20.0.21", "10.20.0.22", "fd20::21", "fd20::22")


@pytest.fixture(scope="module")
def bare() -> Iterator[Cluster]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "junos.yml", unique_lab_name("junos"))
    try:
        yield Cluster(lab, INVENTORY)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def cluster(bare: Cluster) -> Cluster:
    """The data centre as site.yml makes it."""
    print(f"site.yml on bare hosts: {bare.play('site.yml').seconds:.1f} s")
    return bare


@pytest.fixture(scope="module")
def vms(cluster: Cluster) -> dict[str, list[str]]:
    """Attached VMs with running guests: their addresses by name."""
    found = {}
    cluster.attach(*({"name": name, "node": node} for name, node in VMS.items()))
    for name, node in VMS.items():
        found.update(cluster.start_guests(node, name))
    cluster.wait_for_answer("ext", [address for addresses in found.values() for address in addresses])
    return found


def simulator(cluster: Cluster) -> Simulator:
    """What stands for the MX."""
    return cluster.lab.junos("core")


def core(
    cluster: Cluster, *arguments: str, check: bool = True, cluster_keys: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
) -> PlaybookRun:
    """Run site.yml for the gateway alone, with Junos's patch. cluster_keys: what of the description is not as usual."""
    told = {**(read_description(INVENTORY, **cluster_keys) if cluster_keys else {}), **(extra or {})}
    return cluster.play("site.yml", "--limit", "core", "--diff", *arguments, extra=told, check=check)


def patch_of(run: PlaybookRun) -> list[str]:
    """The lines of Junos's patch that come or go, and where, without indents. A failed run has it in its message."""
    shown = re.search(r"^ *\[edit.*?(?=^\s*\w)", run.output, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"^([+-]?) *", r"\1", line.strip()) for line in shown[0].splitlines()] if shown else []
    return [line for line in lines if line[:1] in ("+", "-", "[")]


def edits(run: PlaybookRun) -> list[str]:
    return [line for line in patch_of(run) if line[0] in "+-"]


def commits(cluster: Cluster) -> list[dict[str, Any]]:
    return list(simulator(cluster).status()["commits"])


@contextlib.contextmanager
def no_packet_lost_and_no_session_reset(cluster: Cluster, reflectors: Sequence[str] = REFLECTORS) -> Iterator[None]:
    """What is done inside costs a VM no packet from outside, and resets none of the core's sessions with reflectors."""
    before = reflector_sessions(cluster, reflectors)
    assert [session.state for session in before.values()] == ["Established"] * len(reflectors)
    with cluster.lab.probe("ext", "web1", rate=200) as probe:
        yield
    result = probe.result()
    # How regularly they went, which a busy machine spoils, does not matter here.
    assert result.lost == 0 and result.there is not None and result.there.sent > 200
    assert reset_sessions(before, reflector_sessions(cluster, reflectors)) == {}


def reflector_sessions(cluster: Cluster, reflectors: Sequence[str] = REFLECTORS) -> dict[tuple[str, str], Session]:
    """The core's sessions with reflectors, as the core tells."""
    found = cluster.sessions("core")
    return {("core", address): found[address] for address in reflectors if address in found}


def test_check_mode_on_a_bare_gateway_shows_what_would_come_and_leaves_nothing(bare: Cluster) -> None:
    before = commits(bare)
    run = core(bare, "--check")
    assert run.recap["core"]["changed"] == 1 and run.recap["core"]["failed"] == 0
    for line in ("+group VMC-RR-V4 {", "+group VMC-RR-V6 {", "+community VMC-alpha members 65010:100;",
                 "+route 203.0.113.0/24 {", "+route-filter 203.0.113.0/24 prefix-length-range /32-/32;"):
        assert line in patch_of(run), run.output
    assert "lab-only-no-secret" not in run.output
    status = simulator(bare).status()
    assert (status["commits"], status["dirty"], status["holder"]) == (before, False, "")


def test_the_gateway_is_built_by_one_commit_and_its_confirmation(cluster: Cluster) -> None:
    newest, before, *_older = commits(cluster)
    assert "commit confirmed" in before["comment"] and "commit confirmed" not in newest["comment"]
    assert newest["log"].startswith("vmcluster.network") and before["log"].startswith("vmcluster.network")
    assert [session.state for session in reflector_sessions(cluster).values()] == ["Established"] * len(REFLECTORS)


def test_the_second_run_changes_nothing_and_nothing_is_in_the_history(cluster: Cluster) -> None:
    before = commits(cluster)
    run = cluster.play("site.yml")
    assert {host: counts["changed"] for host, counts in run.recap.items()} == dict.fromkeys(FABRIC, 0), run.output
    assert commits(cluster) == before


def test_vms_are_reached_from_outside_through_it_over_both_families(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    assert all(len(addresses) == 2 and ":" in addresses[1] for addresses in vms.values())
    cluster.wait_for_answer("ext", [address for addresses in vms.values() for address in addresses])
    cluster.wait_for_answer("web1", ["198.18.1.1", "fd22::1", *vms["web2"]])


def test_verification_asks_it_by_rpc_and_agrees(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    report = cluster.verify(tmp_path / "report.json")
    assert (report["agrees"], report["differences"]) == (True, [])
    (row,) = [row for row in report["hosts"] if row["host"] == "core"]
    assert (row["sessions"], row["sessions_expected"], row["routes"]) == (4, 4, 2 * len(VMS))


def test_a_detached_vm_is_gone_from_it_before_its_address_is_given_back(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    cluster.attach({"name": "short", "node": "node3"})
    addresses = cluster.start_guests("node3", "short")["short"]
    cluster.attach({"name": "short", "node": "node3"})
    cluster.wait_for_answer("ext", addresses)
    cluster.lab.guest_del("short")
    cluster.detach("short")
    assert not any(cluster.kernel_routes(address) for address in addresses)
    assert "alpha/short" not in {owner for owner, *_rest in cluster.leases()}


# What a compromised host behind a reflector could announce, and whether the gateway is to take it.
ANNOUNCED = {
    "203.0.113.199/32": ("65010:100", True),
    "203.0.113.198/32": ("65010:200", False),
    "203.0.113.0/25": ("65010:100", False),
    "192.0.2.66/32": ("65010:100", False),
    "2001:db8:1::199/128": ("65010:100", True),
    "2001:db8:1::/80": ("65010:100", False),
}


def test_it_takes_host_routes_of_the_pools_with_the_community_and_nothing_else(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    """A reflector whose own filters are gone announces all sorts of things."""
    taken = [prefix for prefix, (_community, wanted) in ANNOUNCED.items() if wanted]
    try:
        cluster.configure("rr1", *announcing(""))
        for prefix in taken:
            cluster.wait_for_route(prefix)
        for prefix, (_community, wanted) in ANNOUNCED.items():
            sent = "ipv6" if ":" in prefix else "ipv4"
            peer = "fd20::1" if sent == "ipv6" else "10.20.0.1"
            shown = cluster.shell("rr1", f"vtysh -c 'show bgp {sent} unicast neighbors {peer} advertised-routes json'")
            assert prefix in json.loads(shown)["advertisedRoutes"], "the reflector has announced it"
            assert bool(cluster.kernel_routes(prefix)) == wanted, prefix
    finally:
        cluster.configure("rr1", *announcing("no "))
    for prefix in taken:
        cluster.wait_for_no_route(prefix)


def announcing(no: str) -> list[str]:
    """FRR's lines by which rr1 announces ANNOUNCED past its filters; with `no ` those that take it back."""
    lines = [f"{no}route-map VMC-RR-CORE-OUT permit 1"]
    for number, (prefix, (community, _wanted)) in enumerate(ANNOUNCED.items()):
        family = "ipv6" if ":" in prefix else "ip"
        lines += [f"{no}{family} route {prefix} blackhole", f"{no}route-map TEST-{number} permit 10"]
        lines += [f"set community {community}", "exit"] if not no else []
        lines += ["router bgp 65010", f"address-family ipv{6 if ':' in prefix else 4} unicast",
                  f"{no}network {prefix} route-map TEST-{number}", "exit", "exit"]
    return lines


def test_a_pool_more_and_less_is_a_minimal_change_and_costs_no_packet(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    with no_packet_lost_and_no_session_reset(cluster):
        wider, back = core(cluster, cluster_keys=WIDER), core(cluster)
    assert edits(wider) == [
        "+route-filter 198.51.100.0/24 prefix-length-range /32-/32;",
        "+route 198.51.100.0/24 {", "+discard;", "+tag 773;", "+}"], wider.output
    assert edits(back) == [line.replace("+", "-") for line in edits(wider)]


def test_a_reflector_less_and_more_is_a_minimal_change_and_costs_no_packet(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    with no_packet_lost_and_no_session_reset(cluster, [address for address in REFLECTORS if address.endswith("21")]):
        fewer = core(cluster, cluster_keys={"route_reflectors": ["rr1"]})
        again = core(cluster)
    assert edits(fewer) == ["-neighbor 10.20.0.22 {", "-description rr2;", "-}",
                            "-neighbor fd20::22 {", "-description rr2;", "-}"], fewer.output
    assert edits(again) == [line.replace("-", "+", 1) for line in edits(fewer)]


def test_another_community_is_one_line(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    run = core(cluster, "--check", cluster_keys={"community": ["65010:101", "65010:1:100"]})
    assert patch_of(run) == ["[edit policy-options community VMC-alpha]", "-members 65010:100;",
                             "+members [ 65010:101 large:65010:1:100 ];"], run.output


def with_absent_reflector(cluster: Cluster, folder: Path) -> Cluster:
    """The cluster with one more reflector, which is not there."""
    overlay = folder / "rr3.json"
    absent = {"underlay_ipv4": "10.20.0.23", "underlay_ipv6": "fd20::23", "route_reflector_platform": "external"}
    overlay.write_text(json.dumps({"route_reflectors": {"hosts": {"rr3": absent}}}))
    return Cluster(cluster.lab, *cluster.inventory, overlay)


def test_a_verification_that_fails_is_rolled_back_at_once_and_costs_no_packet(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    before = simulator(cluster).status()
    wider = with_absent_reflector(cluster, tmp_path)
    with no_packet_lost_and_no_session_reset(cluster):
        run = core(wider, check=False, extra={"core_gateway_junos_wait": 3})
    assert run.returncode != 0
    assert "10.20.0.23" in run.output and "fd20::23" in run.output and "taken back at once" in run.output, run.output
    assert "+neighbor 10.20.0.23 {" in edits(run), "the failed run shows what it had done"
    status = simulator(cluster).status()
    assert not (status["pending"] or status["dirty"] or status["holder"])
    assert len(status["commits"]) == len(before["commits"]) + 2
    assert core(cluster).changed == 0


def find_descendants(pid: int) -> list[int]:
    """A process and all that came of it, the youngest last. Ansible's workers are in sessions of their own."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = path.read_text().rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def kill_when_committed(cluster: Cluster, extra: dict[str, Any]) -> None:
    """Run site.yml for the gateway; the whole controller dies while a commit waits for its confirmation."""
    command = playbook_command("site.yml", "--limit", "core", "-e", json.dumps(extra), inventory=cluster.inventory)
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=playbook_environment(cluster.lab.name), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: simulator(cluster).status()["pending"], 90, "a commit waits for its confirmation")
    finally:
        for pid in find_descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def test_a_controller_killed_before_it_confirms_is_made_up_for_by_junos_and_by_the_next_run(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    wider, device = with_absent_reflector(cluster, tmp_path), simulator(cluster)
    with no_packet_lost_and_no_session_reset(cluster):
        device.order("minute", seconds=2)
        try:
            kill_when_committed(wider, {"core_gateway_junos_confirm": 5, "core_gateway_junos_wait": 250})
            assert device.status()["pending"] and "commit confirmed" in commits(cluster)[0]["comment"]
            wait_until(lambda: commits(cluster)[0]["user"] == "root", 30, "Junos rolls back by itself")
        finally:
            device.order("minute", seconds=60)
        assert not device.status()["pending"]
        assert core(cluster, cluster_keys=WIDER).recap["core"]["changed"] == 1
        assert core(cluster).recap["core"]["changed"] == 1


def test_somebody_elses_lock_ends_the_run_and_is_told(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    device = simulator(cluster)
    device.order("hold_lock", user="netadmin")
    try:
        run = core(cluster, check=False, cluster_keys=WIDER)
        assert run.returncode != 0 and "netadmin" in run.output and "locked" in run.output, run.output
        assert core(cluster).changed == 0, "what changes nothing needs no lock"
    finally:
        device.order("release_lock")


def test_somebody_elses_uncommitted_changes_are_told_and_left_alone(
    cluster: Cluster, vms: dict[str, list[str]]
) -> None:
    device = simulator(cluster)
    before = commits(cluster)
    device.order("edit", commands="set system host-name half-done")
    try:
        run = core(cluster, check=False, cluster_keys=WIDER)
        assert run.returncode != 0 and "half-done" in run.output, run.output
        assert device.status()["dirty"] and commits(cluster) == before
    finally:
        device.order("edit", commands="set system host-name core")


def test_a_wrong_password_is_told_apart(cluster: Cluster, tmp_path: Path) -> None:
    password = simulator(cluster).settings["users"]["automation"]["password"]
    by_key = (cluster.lab.state.folder / "ssh" / "config").read_text()
    (tmp_path / "config").write_text(re.sub(r"\n *IdentityFile .*", "", by_key))
    extra = {"core_gateway_junos_ssh_config": str(tmp_path / "config")}
    run = core(cluster, check=False, extra={**extra, "ansible_password": "not-the-password"})
    assert run.returncode != 0 and "refused the login of automation with the password" in run.output, run.output
    assert "not-the-password" not in run.output
    assert core(cluster, extra={**extra, "ansible_password": password}).recap["core"]["failed"] == 0



BAD = [({"core_gateway_junos_confirm": 0}, "core_gateway_junos_confirm: 0 is out of range"),
       ({"core_gateway_junos_groups": {"ipv4": {"name": "x; }"}}}, "is not a name that Junos takes")]


@pytest.mark.parametrize(("extra", "told"), BAD, ids=["no minute", "a name that would end a statement"])
def test_a_mistake_is_told_before_anybody_talks_to_it(cluster: Cluster, extra: dict[str, Any], told: str) -> None:
    sessions = simulator(cluster).status()["sessions"]
    run = core(cluster, check=False, extra=extra)
    assert run.returncode != 0 and told in run.output and "no host was touched" in run.output, run.output
    assert simulator(cluster).status()["sessions"] == sessions


HAND_MADE = """
delete protocols bgp group VMC-RR-V4
delete policy-options policy-statement VMC-RR-V4-IN
delete policy-options policy-statement VMC-RR-V4-OUT
set policy-options policy-statement VM term isp-ipv4 from protocol bgp
set policy-options policy-statement VM term isp-ipv4 from route-filter 203.0.113.0/24 orlonger
set policy-options policy-statement VM term isp-ipv4 then accept
set policy-options policy-statement VM then reject
set policy-options policy-statement reject-all then reject
set protocols bgp group VM import VM
set protocols bgp group VM export reject-all
set protocols bgp group VM peer-as 65010
set protocols bgp group VM authentication-key lab-only-no-secret
set protocols bgp group VM hold-time 10
set protocols bgp group VM multihop ttl 255
set protocols bgp group VM bfd-liveness-detection minimum-interval 250
set protocols bgp group VM bfd-liveness-detection multiplier 3
set protocols bgp group VM bfd-liveness-detection session-mode single-hop
set protocols bgp group VM neighbor 10.20.0.21
set protocols bgp group VM neighbor 10.20.0.22
"""


def test_a_hand_made_group_is_taken_over_without_a_flap(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    """The documented recipe, with what these reflectors ask for: key, TTL, BFD, hold time."""
    simulator(cluster).order("commit", user="netadmin", commands=HAND_MADE)
    wait_until(
        lambda: {session.state for session in reflector_sessions(cluster).values()} == {"Established"}, 30,
        "the hand-made sessions are Established")
    cluster.wait_for_answer("ext", vms["web1"])
    by_hand = {"name": "VM", "import_policy": "VM", "export_policy": "reject-all"}
    names = {"core_gateway_junos_groups": {"ipv4": by_hand}}
    with no_packet_lost_and_no_session_reset(cluster):
        taken = core(cluster, extra={**names, "core_gateway_match": "orlonger"})
        stricter = core(cluster, extra=names)
        assert core(cluster, extra=names).changed == 0
    assert not [line for line in edits(taken) if "neighbor" in line and line[0] == "-"], taken.output
    assert "+route-filter 203.0.113.0/24 prefix-length-range /32-/32;" in edits(stricter), stricter.output


def test_a_changed_host_key_ends_the_run_before_the_password_is_sent(cluster: Cluster) -> None:
    simulator(cluster).order("new_host_key")
    run = core(cluster, check=False)
    assert run.returncode != 0 and "another host key" in run.output, run.output
