# SPDX-License-Identifier: GPL-3.0-or-later
"""VM interfaces when something goes wrong: reboots, killed calls, calls at once, mistakes, FRR that is down."""

from __future__ import annotations

import os
import random
import time

from vm_iface_site import GATEWAY, LXC1, NODES, OPERATORS, RECORDS, WEB1, Site, no_guests_left, site
from vmlab.module_calls import read_results
from vmlab.stories import wait_until

__all__ = ["no_guests_left", "site"]


def test_a_reboot_brings_everything_back_before_frr_and_without_a_controller(site: Site) -> None:
    site.call(WEB1, LXC1, purge=True)
    for node in NODES:
        site.guest(node, WEB1)
        site.run(node, "sh", "-c", f"printf '{{\"version\": 1, \"vm\"' > {RECORDS}/torn_net0.json")
        site.lab.reboot(node)
        for prefix in WEB1["addresses"]:
            wait_until(lambda node=node, prefix=prefix: site.has_route(node, prefix), 10, f"{prefix} after the reboot")
        began = {unit: int(site.run(node, "systemctl", "show", "-P", key, unit)) for unit, key in (
            ("frr", "InactiveExitTimestampMonotonic"), ("systemd-networkd", "InactiveExitTimestampMonotonic"))}
        ended = int(site.run(
            node, "systemctl", "show", "-P", "InactiveEnterTimestampMonotonic", "vmcluster-interfaces"))
        assert 0 < ended < began["frr"]
        assert not began["systemd-networkd"] or ended < began["systemd-networkd"]
        said = site.run(node, "journalctl", "-b", "-u", "vmcluster-interfaces")
        assert "torn_net0.json: skipped" in said
        assert "2 of 2 VM interfaces made" in said
        site.run(node, "rm", f"{RECORDS}/torn_net0.json")
        site.run(node, "systemctl", "restart", "vmcluster-interfaces")
        site.ping(f"web1-{node}", GATEWAY["ipv4"])
    assert site.changed(WEB1, LXC1, purge=True) is False


def test_a_call_killed_at_any_moment_is_finished_by_the_next(site: Site) -> None:
    vms = [{"name": f"vm{i}", "kind": "veth" if i % 5 == 0 else "tap", "mac": f"02:00:00:00:01:{i:02x}",
            "addresses": [f"203.0.113.{i}", f"2001:db8:1::{i:x}"]} for i in range(1, 61)]
    site.call(purge=True)
    moments = random.Random(os.environ.get("VMCLUSTER_TEST_SEED"))
    cut = 0
    for turn in range(8):
        wanted = vms if turn % 2 == 0 else []
        process = site.start("all", "fabric_vm_iface", {"gateway": GATEWAY, "vms": wanted, "purge": True},
                             ANSIBLE_PIPELINING="false")
        cut += kill_modules(site, moments.uniform(0, 0.9))
        process.communicate(timeout=60)
        results = site.call(*wanted, purge=True)
        assert site.changed(*wanted, purge=True) is False, results
        for node in NODES:
            names = {link["ifname"] for link in site.ip(node, "link", "show", "group", "770")}
            assert names == {f"{vm['name']}_net0" for vm in wanted}
            assert len(site.statics(node)) == len(OPERATORS) + 2 * len(wanted)
            assert site.saved(node) == site.statics(node)
            assert len(site.run(node, "ls", RECORDS).split()) == len(wanted)
    assert cut >= 4


def kill_modules(site: Site, delay: float) -> int:
    """Kill the module on each node so many seconds after it started; return on how many it was still running."""

    def find(node: str) -> list[str]:
        return site.run(node, "pgrep", "-f", "AnsiballZ_fabric_vm_iface.py", check=False).split()

    cut = 0
    for node in NODES:
        wait_until(lambda node=node: find(node), 20, f"the module runs on {node}", pause=0.01)
    time.sleep(delay)
    for node in NODES:
        pids = find(node)
        cut += bool(pids)
        site.run(node, "kill", "-9", *pids, check=False) if pids else None
    return cut


def test_a_port_of_a_bridge_and_a_wrong_kind_are_refused_and_left(site: Site) -> None:
    site.call(purge=True)
    for node in NODES:
        site.run(node, "sh", "-c", """
            ip link add br9 type bridge; ip tuntap add dev web1_net0 mode tap; ip link set web1_net0 master br9
            ip link add lxc1_net0 type bridge""")
    other = {"name": "fine", "addresses": ["203.0.113.12"], "mac": "02:00:00:00:00:12"}
    results = site.call(WEB1, LXC1, other, failed=True)
    for node in NODES:
        assert results[node]["mistakes"] == [
            "web1: interface web1_net0 is a port of br9, and VM interfaces have no bridge here: take it out with "
            "`ip link set web1_net0 nomaster`",
            "lxc1: interface lxc1_net0 is a bridge interface, not a veth: remove it, or name the VM otherwise"]
        assert site.link(node, "fine_net0") is None
        assert site.statics(node) == set(OPERATORS)
        site.run(node, "sh", "-c", "ip link del web1_net0; ip link del br9; ip link del lxc1_net0")


def test_mistakes_and_routes_of_the_operator_are_refused_before_anything_is_touched(site: Site) -> None:
    site.call(WEB1, purge=True)
    twin = {**LXC1, "addresses": ["203.0.113.10"], "prefixes": []}
    assert "203.0.113.10 is that of web1 on this node" in site.call(twin, failed=True)["old"]["msg"]
    wrong = {**LXC1, "addresses": ["10.0.0.300"]}
    assert "vms[0].addresses: '10.0.0.300' is no address" in site.call(wrong, failed=True)["old"]["msg"]
    own = {**LXC1, "addresses": ["10.20.0.11"], "prefixes": []}
    assert "10.20.0.11 is the node's own, on eth0" in site.call(own, nodes="old", failed=True)["old"]["msg"]
    for node in NODES:
        site.run(node, "vtysh", "-c", "configure terminal", "-c", "ip route 203.0.113.11/32 lxc1_net0")
    results = site.call(LXC1, failed=True)
    for node in NODES:
        assert "`ip route 203.0.113.11/32 lxc1_net0` is there without a tag" in results[node]["msg"]
        assert site.link(node, "lxc1_net0") is None
        site.run(node, "vtysh", "-c", "configure terminal", "-c", "no ip route 203.0.113.11/32 lxc1_net0")
    assert site.changed(WEB1) is False


def test_without_frr_a_vm_can_be_on_standby_and_check_mode_predicts(site: Site) -> None:
    site.call(purge=True)
    for node in NODES:
        site.run(node, "systemctl", "stop", "frr")
    try:
        results = site.call(WEB1, failed=True)
        assert all("FRR is installed and not running" in result["msg"] for result in results.values())
        assert all(site.link(node, "web1_net0") is None for node in NODES)
        predicted = site.call(WEB1, flags=("--check",))
        assert "FRR routes of web1_net0: web1 is announced" in predicted["old"]["actions"]
        assert site.changed({**WEB1, "announcement": "standby"}) is True
    finally:
        for node in NODES:
            site.run(node, "systemctl", "reset-failed", "frr", check=False)
            site.run(node, "systemctl", "start", "frr")
    assert site.changed(WEB1) is True
    assert site.changed(WEB1) is False


def test_calls_at_the_same_time_do_not_disturb_each_other(site: Site) -> None:
    site.call(purge=True)
    vms = [{"name": f"vm{i}", "mac": f"02:00:00:00:00:{i:02x}", "addresses": [f"203.0.113.{i}"]} for i in range(1, 7)]
    calls = [site.start("all", "fabric_vm_iface", {"gateway": GATEWAY, "vms": [vm]}) for vm in vms]
    for call in calls:
        assert all(not result.get("failed") for result in read_results(call).values())
    assert site.changed(*vms, purge=True) is False
    for node in NODES:
        assert site.saved(node) == site.statics(node)


def test_what_someone_forgot_to_save_is_saved(site: Site) -> None:
    site.call(WEB1, purge=True)
    for node in NODES:
        site.run(node, "sed", "-i", "/tag 770/d", "/etc/frr/frr.conf")
        assert site.info(node)["web1_net0"]["saved"] is False
    assert site.call(WEB1)["old"]["actions"] == ["file /etc/frr/frr.conf: routes are saved"]
    for node in NODES:
        assert site.saved(node) == site.statics(node)
