# SPDX-License-Identifier: GPL-3.0-or-later
"""A switching cluster's three cases, one after the other on the same two nodes: public, two networks, isolated.

The kernel, guests and the router of lab/topologies/switching.yml are asked. node1 has systemd-networkd, node2 ifupdown.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from node_refusals import is_marked, refuse
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.enter import command_prefix
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

HOSTS = Path(__file__).parent / "switching_hosts.yml"
RATE, LOST = 250, 10  # packets a second, and how many of them a drain may cost
OUTSIDE4, OUTSIDE6 = "192.0.2.1", "2001:db8:ffff::1"
LISTENER = "import socket; s=socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 9999)); s.settimeout(3); s.recv(9)"
KNOCK = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'hello', ('{}', 9999))"


def inventory(name: str) -> tuple[Path, Path]:
    return CHECKOUT / "inventories" / name, HOSTS


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "switching.yml", unique_lab_name("switching"))
    yield lab
    lab.down()


def cluster(lab: Lab, name: str) -> Cluster:
    return Cluster(lab, *inventory(f"switching_{name}"))


def start_guest(lab: Lab, node: str, name: str, nic: int = 0, **options: Any) -> list[str]:
    """Start a VM as its hypervisor would, and wait until it reaches its gateways; its addresses.

    The router may know its addresses by the MAC of the VM that had them before. It learns better from what the guest
    asks it, at once; by itself only when its own probes have failed.
    """
    record = Cluster(lab).records(node)[f"{name}#{nic}" if nic else name]
    lengths = [f"{address}/{64 if ':' in address else 24}" for address in record["addresses"]]
    guest = f"{name}-nic{nic}" if nic else name
    lab.guest_add(node, guest, addresses=lengths, mac=record["mac"], interface=record["interface"], **options)
    gateways = [options[key] for key in ("gateway4", "gateway6") if key in options]
    Cluster(lab).wait_for_answer(guest, gateways)
    return list(record["addresses"])


def links(lab: Lab, host: str) -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(lab.exec(host, ["ip", "-j", "-d", "addr"]).stdout)}


def addresses(link: dict[str, Any]) -> set[str]:
    return {each["local"] for each in link["addr_info"]}


def hears(lab: Lab, host: str, sender: str, address: str) -> bool:
    """Whether datagrams from sender to an address arrive at a program on host, within three seconds."""
    argv = [*command_prefix(lab.state, host), "python3", "-c", LISTENER]
    listener = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    while listener.poll() is None:
        lab.exec(sender, ["python3", "-c", KNOCK.format(address)], check=False)
    return listener.returncode == 0


def resolves(lab: Lab, host: str, address: str, device: str) -> bool:
    """Whether anybody answers when host asks the wire for an address (ARP, neighbour solicitation)."""
    lab.exec(host, ["ip", "neigh", "flush", "to", address, "dev", device], check=False)
    lab.exec(host, ["ping", "-n", "-c1", "-W1", "-I", device, address], check=False)
    shown = lab.exec(host, ["ip", "-j", "neigh", "show", "to", address, "dev", device]).stdout
    return any("lladdr" in entry for entry in json.loads(shown or "[]"))


def test_check_mode_on_bare_nodes_predicts_bridges_and_changes_nothing(lab: Lab) -> None:
    before = {node: links(lab, node) for node in ("node1", "node2")}
    run = cluster(lab, "two_networks").play("site.yml", "--check", "--diff")
    assert all(run.recap[node]["changed"] >= 2 for node in before), run.output
    assert "05-vmcluster-br0.network" in run.output and "interfaces.d/vmcluster" in run.output
    assert "web1_net1" in run.output
    for node, there in before.items():
        assert links(lab, node).keys() == there.keys()
        assert addresses(links(lab, node)["eth0"]) == addresses(there["eth0"])


def test_public_node_and_vms_are_on_one_bridge_and_a_second_run_changes_nothing(lab: Lab) -> None:
    public = cluster(lab, "public")
    public.play("site.yml")
    for node, own in (("node1", "203.0.113.11"), ("node2", "203.0.113.12")):
        found = links(lab, node)
        assert own in addresses(found["br0"]) and not addresses(found["eth0"])
        assert found["br0"]["address"] == found["eth0"]["address"]
        assert public.answers("router", own) and public.answers(node, OUTSIDE4) and public.answers(node, OUTSIDE6)
    public.attach({"name": "web1", "node": "node1"}, {"name": "web2", "node": "node2", "kind": "veth"})
    web1 = start_guest(lab, "node1", "web1", gateway4="203.0.113.1", gateway6="2001:db8:1::1")
    web2 = start_guest(lab, "node2", "web2", gateway4="203.0.113.1", gateway6="2001:db8:1::1")
    public.wait_for_answer("router", (*web1, *web2))
    for target in (OUTSIDE4, OUTSIDE6, *web2, "203.0.113.11"):
        assert public.answers("web1", target)
    assert public.play("site.yml").changed == 0  # which ends with verification


def test_vm_is_on_its_bridge_again_after_a_reboot_and_so_is_the_node(lab: Lab) -> None:
    public = cluster(lab, "public")
    for node in ("node1", "node2"):
        lab.reboot(node)
    public.wait_for_answer("router", ["203.0.113.11", "203.0.113.12", "203.0.113.100", "2001:db8:1::1001"], 30)


def test_vm_off_its_bridge_and_a_changed_network_are_told_of_and_put_right(lab: Lab, tmp_path: Path) -> None:
    public = cluster(lab, "public")
    lab.exec("node1", ["ip", "link", "set", "web1_net0", "nomaster"])
    lab.exec("node2", ["ip", "route", "del", "default", "via", "203.0.113.1"])
    assert not public.answers("router", "203.0.113.100")
    found = {node: [each["what"] for each in public.verify(tmp_path / "report.json")["differences"]
                    if each["host"] == node] for node in ("node1", "node2")}
    assert found["node1"] == ["interface web1_net0 of VM web1 is on no bridge, not on br0"]
    assert found["node2"] and all("its network is not as planned" in what for what in found["node2"])
    public.play("site.yml", "--tags", "always,switching")
    wait_until(lambda: public.answers("router", "203.0.113.100"), 5, "web1 answers again")
    assert public.answers("node2", OUTSIDE4)


def test_a_node_is_drained_over_bridges_and_nothing_comes_to_it_until_it_is_undrained(lab: Lab, tmp_path: Path) -> None:
    public = cluster(lab, "public")
    leases, records = public.leases("node1"), public.records("node1")
    refuse(public, "drain_node.yml", "DrainRefused: Container: web2", node="node2")
    predicted = public.play("drain_node.yml", "--check", "--diff", extra={"node": "node1"})
    assert predicted.recap["node1"]["changed"] and "web1: to node2" in predicted.output, predicted.output
    assert (public.leases("node1"), public.records("node1")) == (leases, records) and not is_marked(lab, "node1")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(public.play, "drain_node.yml", extra={"node": "node1"})
        wait_until(lambda: run.done() or "web1_net0" in links(lab, "node2"), 90, "web1's interface is on node2")
        with lab.probe("router", "web1", rate=RATE) as probe:
            lab.guest_move("web1", "node2")
            assert "0 of 1 have moved from node1; now web1" in run.result().output
    lost = {name: direction.lost for name, direction in probe.result().directions.items()}
    assert max(lost.values()) <= LOST, lost
    assert set(public.records("node1")) == set() and set(public.records("node2")) == {"web1", "web2"}
    lab.reboot("node1")
    leases = public.leases("node1")
    refuse(public, "attach_vm.yml", "NodeDrained: ", vm="new1", node="node1")
    refuse(public, "migrate_vm.yml", "LiveMigrationRefused: NodeDrained: ", vm="web1", node="node1")
    assert public.leases("node1") == leases and public.records("node1") == {}
    again = public.play("site.yml")
    assert again.changed == 0 and "nodes, drained" in again.output, again.output
    public.play("undrain_node.yml", extra={"node": "node1"})
    assert not is_marked(lab, "node1") and public.verify(tmp_path / "report.json")["agrees"]


def test_a_dead_nodes_vms_are_attached_elsewhere_on_the_operators_word_alone(lab: Lab, tmp_path: Path) -> None:
    public = cluster(lab, "public")
    refuse(public, "remove_node.yml", "DrainRefused: NotEmpty: node2 has web1 ", node="node2")
    refuse(public, "evacuate_node.yml", "EvacuationRefused: NotConfirmed: ", node="node2")
    refuse(public, "evacuate_node.yml", "EvacuationRefused: Answers: ", node="node2", confirm_dead="node2")
    lab.host_kill("node2")
    public.play("evacuate_node.yml", extra={"node": "node2", "confirm_dead": "node2"})
    assert {holder for _owner, _pool, _address, holder in public.leases("node1")} == {"node1"}
    for guest in ("web1", "web2"):
        lab.guest_del(guest)
    web1 = start_guest(lab, "node1", "web1", gateway4="203.0.113.1", gateway6="2001:db8:1::1")
    public.wait_for_answer("router", web1)
    lab.host_start("node2")
    found = public.verify(tmp_path / "report.json")
    assert {(each["host"], each["what"].split(",")[0]) for each in found["differences"]} >= {
        ("node2", "carries VM web1")}, found["differences"]
    public.play("undrain_node.yml", extra={"node": "node2"})
    assert public.records("node2") == {}
    public.wait_for_answer("router", web1)
    report = public.verify(tmp_path / "report.json")
    assert report["agrees"], report["differences"]


def test_an_empty_node_is_removed_and_added_again(lab: Lab) -> None:
    public = cluster(lab, "public")
    removal = {"node": "node2", "known_hosts": "/dev/null"}
    predicted = public.play("remove_node.yml", "--check", "--diff", extra=removal)
    assert predicted.recap["node2"]["changed"] and "br0" in links(lab, "node2"), predicted.output
    public.play("remove_node.yml", extra=removal)
    found = links(lab, "node2")
    assert "br0" not in found and "203.0.113.12" in addresses(found["eth0"])
    added = public.play("add_node.yml", extra={"node": "node2"})
    assert added.recap["node1"]["changed"] == 0, added.output
    assert "203.0.113.12" in addresses(links(lab, "node2")["br0"])


def test_detached_vms_leave_nothing_behind(lab: Lab) -> None:
    public = cluster(lab, "public")
    for guest in list(lab.guests()):
        lab.guest_del(guest.vm)
    public.detach("web1", "web2")
    for node in ("node1", "node2"):
        assert not [name for name in links(lab, node) if "_net" in name or "_vm" in name]
        assert public.records(node) == {}
    assert public.leases("node1") == []


def test_two_networks_vms_are_in_one_or_both_and_the_node_in_the_main_one_alone(lab: Lab) -> None:
    projects = cluster(lab, "two_networks")
    projects.play("site.yml")
    start_guest(lab, "node1", "web1", gateway4="203.0.113.1")
    start_guest(lab, "node1", "web1", nic=1)
    (db1,) = start_guest(lab, "node2", "db1")
    projects.wait_for_answer("router", ["203.0.113.100"])
    assert projects.answers("web1-nic1", db1)
    assert not projects.answers("web1", db1)
    assert not projects.answers("node1", db1) and not addresses(links(lab, "node1")["br1"])
    assert projects.play("site.yml").changed == 0
    for guest in ("web1", "web1-nic1", "db1"):
        lab.guest_del(guest)
    projects.play("detach_vm.yml", extra={"vms": [{"name": "web1"}, {"name": "web1", "nic": 1}, {"name": "db1"}]})


def test_isolated_vms_are_reached_and_the_node_is_not(lab: Lab) -> None:
    isolated = cluster(lab, "isolated")
    # Before, the node is reached on the public side: the questions below can be answered with yes.
    assert resolves(lab, "router", "203.0.113.11", "eth0")
    isolated.play("site.yml")
    bridge = links(lab, "node1")["br0"]
    gate = start_guest(lab, "node1", "gate", gateway4="203.0.113.1", gateway6="2001:db8:1::1")
    isolated.wait_for_answer("router", gate)
    assert not addresses(bridge) and "br1" not in links(lab, "node1")
    for address in ("203.0.113.11", "10.20.0.11", "2001:db8:1::11", link_local(bridge["address"])):
        assert not resolves(lab, "router", address, "eth0"), address
    assert isolated.play("site.yml").changed == 0


def link_local(mac: str) -> str:
    """The address that IPv6 makes of a MAC address (RFC 4291, appendix A)."""
    octets = [int(part, 16) for part in mac.split(":")]
    interface = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Address(bytes([0xFE, 0x80, *[0] * 6]) + interface))


def test_frames_to_the_isolated_bridges_own_mac_reach_no_program_on_the_node(lab: Lab) -> None:
    mac = links(lab, "node1")["br0"]["address"]
    lab.exec("router", ["ip", "route", "replace", "10.20.0.11", "dev", "eth0"])
    lab.exec("router", ["ip", "neigh", "replace", "10.20.0.11", "lladdr", mac, "dev", "eth0"])
    assert hears(lab, "node1", "node2", "10.20.0.11")
    assert not hears(lab, "node1", "router", "10.20.0.11")


def test_isolation_holds_after_a_reboot(lab: Lab) -> None:
    isolated = cluster(lab, "isolated")
    lab.reboot("node1")
    wait_until(lambda: isolated.answers("router", "203.0.113.100"), 30, "the VM answers after the reboot")
    # What udev does for every new interface (99-systemd.rules); a host of the lab has no udev.
    lab.exec("node1", ["/usr/lib/systemd/systemd-sysctl", "--prefix=/net/ipv4/conf/br0"])
    assert hears(lab, "node1", "node2", "10.20.0.11")
    assert not hears(lab, "node1", "router", "10.20.0.11")
    assert not resolves(lab, "router", "203.0.113.11", "eth0")
