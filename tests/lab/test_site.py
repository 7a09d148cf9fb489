# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml and verify_cluster.yml on the standard data centre: predicted, built, built again, repaired, told."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.cluster import FABRIC, NODES, Cluster, read_description, reset_sessions
from vmlab.stories import wait_until

pytestmark = pytest.mark.lab

# What a change of a host would show in: packages, files and links, kernel settings, addresses, rules, routes, units.
# /root/.ansible is Ansible's own: it makes its folder for temporary files in check mode too; .history_frr is vtysh's.
SNAPSHOT = r"""
dpkg-query -W -f '${Package} ${Version} ${Status}\n'
cd /; places="etc var/lib/vmcluster usr/local root"
find $places -xdev -type f ! -path 'root/.ansible/*' ! -name .history_frr -exec sha256sum {} + 2>/dev/null | sort -k2
find $places tmp -xdev ! -type f ! -path 'root/.ansible*' -printf '%p %y %m %u %l\n' 2>/dev/null | sort
sysctl -a 2>/dev/null | grep -E '^(net|kernel\.(panic|hostname)|vm\.swappiness)' | grep -v 'conntrack_count' | sort
ip -json address | sed 's/"valid_life_time":[0-9]*//g'
ip -json link; ip rule; ip -6 rule; ip route show table all | sort; ip -6 route show table all | sort
systemctl list-units --type=service --state=active --no-legend --plain |
  awk '{print $1}' | grep -v 'tmpfiles-clean\|apt-' | sort
"""
VMS = {"web1": "node1", "web2": "node1", "lxc1": "node2", "a-very-long-name": "node3"}
KINDS = {"lxc1": "veth", "web2": "veth"}


def take_snapshot(lab: Lab, host: str) -> str:
    return lab.exec(host, ["sh", "-c", SNAPSHOT]).stdout


@pytest.fixture(scope="module")
def bare(standard_lab: Lab) -> Cluster:
    return Cluster(standard_lab)


@pytest.fixture(scope="module")
def cluster(bare: Cluster) -> Cluster:
    """The cluster as site.yml makes it; how long that took is told."""
    run = bare.play("site.yml")
    print(f"site.yml on bare hosts: {run.seconds:.1f} s, {run.changed} changes")
    return bare


@pytest.fixture(scope="module")
def vms(cluster: Cluster) -> dict[str, list[str]]:
    """Attached VMs with running guests: their addresses by name."""
    cluster.attach(*({"name": name, "node": node, "kind": KINDS.get(name, "tap")} for name, node in VMS.items()))
    found = {}
    for node in NODES:
        found.update(cluster.start_guests(node, *(name for name, on in VMS.items() if on == node)))
    return found


@pytest.fixture(autouse=True)
def end_state(request: pytest.FixtureRequest) -> Iterator[None]:
    """A story that breaks the cluster puts it right again itself; this only tells how long each took."""
    began = time.monotonic()
    yield
    print(f"{request.node.name}: {time.monotonic() - began:.1f} s")


def test_check_mode_on_bare_hosts_predicts_and_changes_nothing(bare: Cluster) -> None:
    hosts = (*FABRIC, "ext")
    for default in ("0.0.0.0/0", "::/0"):  # the operator's own session settles first
        wait_until(lambda default=default: bare.kernel_routes(default)[0]["protocol"] == "bgp", 60,  # type: ignore[misc]
                   "the core has its default route from the provider")
    before = {host: take_snapshot(bare.lab, host) for host in hosts}
    run = bare.play("site.yml", "--check", "--diff")
    assert set(run.recap) == set(FABRIC)
    assert all(counts["failed"] == counts["unreachable"] == 0 for counts in run.recap.values())
    assert all(run.recap[host]["changed"] >= 2 for host in FABRIC), run.recap
    assert "+router bgp 65010" in re.sub(r"\+ +", "+", run.output)
    for host in hosts:
        after = take_snapshot(bare.lab, host)
        assert set(after.splitlines()) ^ set(before[host].splitlines()) == set(), host
    assert "lab-only-no-secret" not in run.output


def test_the_second_run_changes_nothing_on_any_host(cluster: Cluster) -> None:
    run = cluster.play("site.yml")
    print(f"site.yml again: {run.seconds:.1f} s")
    assert {host: counts["changed"] for host, counts in run.recap.items()} == dict.fromkeys(FABRIC, 0)


def test_the_operators_own_sessions_and_statements_on_the_core_stay(cluster: Cluster) -> None:
    config = cluster.running_config("core")
    for line in ("neighbor 198.18.0.2 description provider", "ip route 0.0.0.0/0 198.18.0.2 250",
                 "route-map TO-PROVIDER permit 10"):
        assert line in config
    assert cluster.sessions("core")["198.18.0.2"].state == "Established"
    assert cluster.sessions("core")["fd21::2"].established == 1


def test_vms_are_reached_from_outside_over_both_families(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    assert all(len(addresses) == 2 and ":" in addresses[1] for addresses in vms.values())
    cluster.wait_for_answer("ext", [address for addresses in vms.values() for address in addresses])


def test_vms_reach_each_other_and_the_internet(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    cluster.wait_for_answer("web1", [*vms["web2"], *vms["lxc1"], *vms["a-very-long-name"], "198.18.1.1", "fd22::1"])
    cluster.wait_for_answer("lxc1", vms["a-very-long-name"])


def test_a_long_name_is_an_altname_of_its_interface(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    link = json.loads(cluster.shell("node3", "ip -json link show a-very-long-name_net0"))[0]
    assert len(link["ifname"]) <= 15 and link["altnames"] == ["a-very-long-name_net0"]
    assert cluster.records("node3")["a-very-long-name"]["interface"] == link["ifname"]


def test_the_report_agrees_and_names_every_host_and_vm(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    report = cluster.verify(tmp_path / "report.json")
    assert (report["returncode"], report["agrees"], report["differences"]) == (0, True, [])
    assert {row["host"]: row["sessions"] for row in report["hosts"]} == {
        "node1": 4, "node2": 4, "node3": 4, "rr1": 10, "rr2": 10, "core": 4}
    rows = {row["vm"]: row for row in report["vms"]}
    assert {name: row["node"] for name, row in rows.items()} == VMS
    for name, addresses in vms.items():
        assert rows[name]["state"] == "announced" and rows[name]["agrees"]
        assert [prefix.partition("/")[0] for prefix in rows[name]["addresses"]] == addresses
    assert sum(counts["changed"] for counts in report["recap"].values()) == 0


def told(report: dict[str, Any]) -> str:
    """What a report that must differ says, a line each."""
    assert report["returncode"] != 0 and not report["agrees"] and report["differences"]
    return "\n".join(f"{each['host']}: {each['what']}" for each in report["differences"])


def test_everything_wrong_is_told_and_exits_non_zero(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    cluster.configure("node1", "ip route 203.0.113.77/32 web1_net0 tag 770")
    cluster.configure("node2", "router bgp 65010", "neighbor 10.20.0.21 shutdown")
    cluster.shell("node3", "ip link del web9_net0 2>/dev/null || true; ip link del a-very-long-name_net0")
    try:
        cluster.wait_for_route("203.0.113.77")
        lines = told(cluster.verify(tmp_path / "report.json", timeout=120))
        assert "core: has a route to 203.0.113.77/32 by 10.20.0.11, which no VM has" in lines
        assert re.search(r"^node2: session to rr1 \(10\.20\.0\.21\) is ", lines, re.MULTILINE)
        assert re.search(r"^node3: .*a-very-long-name", lines, re.MULTILINE), lines
    finally:
        cluster.configure("node1", "no ip route 203.0.113.77/32 web1_net0 tag 770")
        cluster.configure("node2", "router bgp 65010", "no neighbor 10.20.0.21 shutdown")
        cluster.lab.guest_del("a-very-long-name")
        cluster.attach({"name": "a-very-long-name", "node": "node3"})
        cluster.start_guests("node3", "a-very-long-name")
        cluster.wait_for_answer("ext", vms["a-very-long-name"])


def test_what_drifted_is_repaired_and_told_as_a_change_of_these_hosts_alone(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path
) -> None:
    wanted = {host: cluster.running_config(host) for host in ("node1", "rr2")}
    cluster.configure("node1", "router bgp 65010", "no neighbor 10.20.0.22")
    cluster.configure("rr2", "no route-map VMC-RR-alpha-IN", "route-map VMC-RR-alpha-IN permit 999")
    run = cluster.play("site.yml")
    assert {host for host, counts in run.recap.items() if counts["changed"]} == {"node1", "rr2"}
    for host, config in wanted.items():
        assert sorted(cluster.running_config(host).splitlines()) == sorted(config.splitlines())
    assert cluster.verify(tmp_path / "report.json")["agrees"]


def test_a_declared_vms_deleted_interface_is_made_again(cluster: Cluster, vms: dict[str, list[str]]) -> None:
    declared = read_description(vms=[{"name": "shop1", "node": "node2"}])
    cluster.play("site.yml", extra=declared)
    addresses = cluster.start_guests("node2", "shop1")["shop1"]
    cluster.wait_for_answer("ext", addresses)
    cluster.lab.guest_kill("shop1")
    cluster.shell("node2", "ip link del shop1_net0")
    run = cluster.play("site.yml", extra=declared)
    assert {host for host, counts in run.recap.items() if counts["changed"]} == {"node2"}
    cluster.lab.guest_start("shop1")
    cluster.wait_for_answer("ext", addresses)
    assert set(cluster.records("node1")) == {"web1", "web2"}, "VMs attached day by day are left alone"
    cluster.lab.guest_del("shop1")
    cluster.detach("shop1")


BAD = [
    ("a malformed address of a host", {"underlay_ipv4": "10.20.0.300"}, {}, [], "10.20.0.300"),
    ("a malformed gateway", {}, {"gateway": {"ipv4": "10.255.255.256", "ipv6": "fe80::1"}}, [], "10.255.255.256"),
    ("AS 0", {}, {"asn": 0}, [], "asn"),
    ("a declared VM with a reserved name", {}, {"vms": [{"name": "default", "node": "node1"}]}, [], "default"),
    ("an attached VM with a reserved name", {}, {}, [{"name": "blackhole", "node": "node1"}], "blackhole"),
]


@pytest.mark.parametrize(("what", "host", "description", "attached", "named"), BAD, ids=[case[0] for case in BAD])
def test_bad_input_is_refused_in_seconds_and_frr_is_untouched(
    cluster: Cluster, vms: dict[str, list[str]], tmp_path: Path, what: str, host: dict[str, str],
    description: dict[str, Any], attached: list[dict[str, str]], named: str,
) -> None:
    overlay = tmp_path / "hosts.json"
    overlay.write_text(json.dumps({"nodes": {"hosts": {"node2": host}}}))
    before, sessions = {name: cluster.running_config(name) for name in FABRIC}, cluster.all_sessions()
    options: dict[str, Any] = {"check": False, "inventory": (*cluster.inventory, overlay)}
    extra = read_description(**description)
    run = (cluster.attach(*attached, extra=extra, **options) if attached
           else cluster.play("site.yml", extra=extra, **options))
    print(f"{what}: refused after {run.seconds:.1f} s")
    assert run.returncode != 0 and named in run.output, run.output
    assert sum(counts["changed"] for counts in run.recap.values()) == 0
    assert {name: cluster.running_config(name) for name in FABRIC} == before
    assert reset_sessions(sessions, cluster.all_sessions()) == {}
    assert run.seconds < 60, "on a quiet machine 10; test_failures.py says so"


def test_no_secret_is_in_the_logs_of_any_host(cluster: Cluster) -> None:
    for host in FABRIC:
        found = cluster.shell(host, "journalctl -q --no-pager 2>/dev/null | grep -c lab-only-no-secret || true")
        assert found.strip() == "0", host
