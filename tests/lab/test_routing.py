# SPDX-License-Identifier: GPL-3.0-or-later
"""A routing cluster on rented nodes: VMs are reached by both families, and no frame of a VM's MAC is on the wire.

The provider's switch has port security, as nftables rules in its own network namespace: at a node's port, a frame from
another MAC than the node's is counted and dropped. node1 has systemd-networkd, node2 ifupdown.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_refusals import is_marked, refuse
from vmlab import Lab, wiring
from vmlab.cluster import Cluster
from vmlab.hypervisors import ROOTFS, make_container_root
from vmlab.netns import named_netns
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

HOSTS = Path(__file__).parent / "switching_hosts.yml"
OUTSIDE4, OUTSIDE6 = "192.0.2.1", "2001:db8:ffff::1"
NODES = ("node1", "node2")


# Sends an ARP probe (RFC 5227: no sender address) and prints how many answers come within two seconds.
PROBE = """
import socket, struct, sys, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
wire.bind(("eth0", 0x0806))
mac, asked = wire.getsockname()[4], socket.inet_aton(sys.argv[1])
arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, bytes(4), bytes(6), asked)
wire.send(bytes([255] * 6) + mac + struct.pack("!H", 0x0806) + arp)
answers, end = 0, time.monotonic() + 2
while (left := end - time.monotonic()) > 0:
    wire.settimeout(left)
    try:
        frame = wire.recv(100)
    except TimeoutError:
        break
    answers += frame[20:22] == bytes([0, 2]) and frame[28:32] == asked
print(answers)
"""


def claims(lab: Lab, guest: str, address: str) -> int:
    """How many answers a guest gets that asks, as RFC 5227 has it, whether an address is taken."""
    return int(lab.exec(guest, ["python3", "-c", PROBE, address]).stdout)


class ProviderSwitch:
    """The switch's side of the nodes' ports."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def nft(self, *words: str, text: str = "") -> str:
        argv = ["nsenter", f"--net={named_netns(self.lab.state.wires_netns)}", "nft", *words]
        return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout

    def secure_ports(self) -> None:
        """Let only frames from a node's own MAC in at its port; others are counted, and dropped."""
        rules = [
            f'iifname "{wiring.port_name(self.lab.topology, node, "eth0")}" '
            f"ether saddr != {wiring.interface_mac(node, 'eth0')} counter drop" for node in NODES]
        chain = "\n".join(["type filter hook prerouting priority -300", *rules])
        self.nft("-f", "-", text=f"table bridge port_security {{\nchain ports {{\n{chain}\n}}\n}}\n")

    def foreign_frames(self) -> int:
        """How many frames were dropped, of both ports together."""
        shown = json.loads(self.nft("-j", "list", "table", "bridge", "port_security"))
        counters = [part["counter"]["packets"] for entry in shown["nftables"] if "rule" in entry
                    for part in entry["rule"]["expr"] if "counter" in part]
        assert len(counters) == len(NODES)
        return sum(counters)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab.up(CHECKOUT / "lab" / "topologies" / "routing.yml", unique_lab_name("routing"))
    try:
        ProviderSwitch(lab).secure_ports()
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def switch(lab: Lab) -> ProviderSwitch:
    return ProviderSwitch(lab)


@pytest.fixture(scope="module")
def rented(lab: Lab) -> Cluster:
    return Cluster(lab, CHECKOUT / "inventories" / "routing_rented", HOSTS)


def addresses_on(lab: Lab, host: str) -> dict[str, set[str]]:
    shown = json.loads(lab.exec(host, ["ip", "-j", "addr"]).stdout)
    return {link["ifname"]: {each["local"] for each in link["addr_info"]} for link in shown}


def our_routes(lab: Lab, host: str) -> set[str]:
    shown = [*json.loads(lab.exec(host, ["ip", "-j", "route", "show", "proto", "77"]).stdout),
             *json.loads(lab.exec(host, ["ip", "-j", "-6", "route", "show", "proto", "77"]).stdout)]
    return {f"{route['dst']} {route['dev']}" for route in shown}


def filtered(lab: Lab, host: str) -> int:
    """How many packets the host has dropped for their source (rp_filter)."""
    shown = lab.exec(host, ["grep", "^TcpExt:", "/proc/net/netstat"]).stdout
    names, values = (line.split() for line in shown.splitlines())
    return int(values[names.index("IPReversePathFilter")])


def test_check_mode_on_bare_nodes_predicts_and_changes_nothing(lab: Lab, rented: Cluster) -> None:
    before = {node: addresses_on(lab, node) for node in NODES}
    run = rented.play("site.yml", "--check", "--diff")
    assert all(run.recap[node]["changed"] >= 2 for node in NODES), run.output
    assert "shop1_net0" in run.output and "05-vmcluster-eth0.network" in run.output
    assert {node: addresses_on(lab, node) for node in NODES} == before


def test_vms_are_reached_by_both_families_and_only_the_nodes_macs_are_on_the_wire(
    lab: Lab, rented: Cluster, switch: ProviderSwitch, tmp_path: Path
) -> None:
    lab.exec("node1", ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2"])  # as Ubuntu has it
    rented.play("site.yml")
    rented.attach({"name": "shop2", "node": "node2", "kind": "veth", "pools": ["node2-4", "node2-6"]})
    found = rented.start_guests("node1", "shop1") | rented.start_guests("node2", "shop2")
    rented.wait_for_answer("router", [address for addresses in found.values() for address in addresses])
    for target in (OUTSIDE4, OUTSIDE6, *found["shop2"], "198.51.100.8"):
        assert rented.answers("shop1", target), target
    assert our_routes(lab, "node1") == {f"{address} shop1_net0" for address in found["shop1"]}
    assert not [name for name in addresses_on(lab, "node1") if name.startswith(("br", "virbr"))]
    again = rented.play("site.yml")
    assert again.changed == 0, again.output
    report = rented.verify(tmp_path / "report.json")
    assert report["agrees"], report["output"]
    assert switch.foreign_frames() == 0


def test_packet_that_a_vm_sends_from_an_address_of_another_does_not_leave_its_node(lab: Lab, rented: Cluster) -> None:
    before = filtered(lab, "node1")
    lab.exec("shop1", ["ip", "address", "add", "203.0.113.16/32", "dev", "eth0"])
    lab.exec("shop1", ["ping", "-c", "3", "-i", "0.2", "-W", "1", "-I", "203.0.113.16", OUTSIDE4], check=False)
    lab.exec("shop1", ["ip", "address", "del", "203.0.113.16/32", "dev", "eth0"])
    assert filtered(lab, "node1") >= before + 3
    assert rented.answers("shop1", OUTSIDE4), "its own address is let through"


@pytest.mark.parametrize("address", ["203.0.113.15", "2001:db8:7:1::99"])
def test_packet_to_an_address_that_no_vm_has_ends_at_the_node(lab: Lab, rented: Cluster, address: str) -> None:
    """By its default route the node would send it back, and the provider's router to the node again, 64 times."""
    told = lab.exec("router", ["ping", "-c", "1", "-W", "2", address], check=False).stdout
    assert "nreachable" in told and "exceeded" not in told, told


def test_single_address_that_the_provider_looks_for_is_answered_for_and_no_other_is(
    lab: Lab, rented: Cluster, switch: ProviderSwitch
) -> None:
    rented.attach({"name": "single", "node": "node1", "pools": ["node1-single"]})
    assert rented.start_guests("node1", "single") == {"single": ["203.0.113.77"]}
    rented.wait_for_answer("router", ["203.0.113.77"])
    lab.exec("router", ["ip", "route", "add", "203.0.113.78", "dev", "eth0"])
    assert not rented.answers("router", "203.0.113.78")
    assert "lladdr" not in lab.exec("router", ["ip", "neigh", "show", "to", "203.0.113.78"]).stdout
    # A guest that probes its own address (RFC 5227) hears nothing from the node; of the gateway's address it would.
    assert claims(lab, "single", "203.0.113.77") == 0
    assert claims(lab, "single", "10.255.255.1") == 1
    assert switch.foreign_frames() == 0


def test_address_belongs_to_its_node_and_a_migration_is_refused_before_anything_is_touched(
    lab: Lab, rented: Cluster
) -> None:
    before = {node: (addresses_on(lab, node), our_routes(lab, node)) for node in NODES}
    run = rented.attach({"name": "x", "node": "node2", "pools": ["node1-4"]}, check=False)
    assert run.returncode != 0 and "'node1-4' is of node1: addresses belong to nodes here" in run.output, run.output
    run = rented.play("migrate_vm.yml", "-e", "vm=shop1", "-e", "node=node2", check=False)
    assert run.returncode != 0 and "LiveMigrationRefused" in run.output, run.output
    assert "addresses belong to nodes" in run.output
    assert {node: (addresses_on(lab, node), our_routes(lab, node)) for node in NODES} == before


def test_vms_are_reached_again_after_a_reboot(lab: Lab, rented: Cluster, switch: ProviderSwitch) -> None:
    addresses = rented.records("node1")["shop1"]["addresses"]
    for node in NODES:
        lab.reboot(node)
    rented.wait_for_answer("router", [*addresses, "203.0.113.77", "203.0.113.16"], 30)
    assert switch.foreign_frames() == 0


def test_provider_that_looks_for_every_ipv6_address_gets_an_answer_until_the_vm_is_gone(
    lab: Lab, rented: Cluster, switch: ProviderSwitch, tmp_path: Path
) -> None:
    wired = Cluster(lab, *rented.inventory, write_inventory(tmp_path / "wired.yml", "ovh"))
    wired.play("site.yml", "--tags", "always,routing", "--limit", "node1")
    wired.attach({"name": "wired6", "node": "node1", "pools": ["wired6"]})
    rented.start_guests("node1", "wired6")
    rented.wait_for_answer("router", ["2001:db8:7::1000"])
    assert not rented.answers("router", "2001:db8:7::1001")
    lab.reboot("node1")
    rented.wait_for_answer("router", ["2001:db8:7::1000"], 30)
    lab.guest_del("wired6")
    wired.detach("wired6")
    assert lab.exec("node1", ["ip", "-6", "neigh", "show", "proxy"]).stdout == ""
    assert switch.foreign_frames() == 0


def write_inventory(path: Path, provider: str) -> Path:
    """The same cluster at another provider, with addresses on the wire of node1."""
    described = yaml.safe_load((CHECKOUT / "inventories/routing_rented/group_vars/all.yml").read_text())["cluster"]
    nodes = yaml.safe_load((CHECKOUT / "inventories/routing_rented/hosts.yml").read_text())["all"]["children"]["nodes"]
    hosts: dict[str, Any] = nodes["hosts"]
    wired = {"name": "wired6", "prefix": "2001:db8:7::/64", "ranges": ["2001:db8:7::1000-2001:db8:7::1fff"]}
    hosts["node1"]["routing_pools"].append(wired)
    changed = {node: {"cluster": {**described, "provider": provider},
                      "routing_pools": hosts[node]["routing_pools"]} for node in hosts}
    path.write_text(yaml.safe_dump({"all": {"hosts": changed}}))
    return path


def with_container() -> dict[str, Any]:
    """The cluster, with a container that is declared on node2."""
    described = yaml.safe_load((CHECKOUT / "inventories" / "routing_rented" / "group_vars" / "all.yml").read_text())
    container = {"name": "ct1", "node": "node2", "driver": "lxc", "guest": {"rootfs": ROOTFS}}
    return {**described["cluster"], "vms": [*described["cluster"]["vms"], container]}


def test_a_declared_container_runs_after_site_and_is_missed_when_it_does_not(
    lab: Lab, rented: Cluster, tmp_path: Path
) -> None:
    make_container_root(lab, "node2")
    cluster = with_container()
    rented.play("site.yml", extra={"cluster": cluster})
    rented.wait_for_answer("router", rented.records("node2")["ct1"]["addresses"])
    lab.exec("node2", ["lxc-stop", "-n", "ct1"])
    found = rented.verify(tmp_path / "report.json", extra={"cluster": cluster})
    assert [difference["what"] for difference in found["differences"]] == [
        "container ct1 does not run, and is declared running"], found["output"]


def test_a_node_is_drained_by_stopping_what_drivers_run_and_no_address_leaves_it(
    lab: Lab, rented: Cluster, tmp_path: Path
) -> None:
    refuse(rented, "drain_node.yml", "DrainRefused: RoutingCluster: shop1, single: no VM leaves node1", node="node1")
    refuse(rented, "drain_node.yml", "DrainRefused: NotAnnounced: ", node="node1", drain="withdraw")
    refuse(rented, "drain_node.yml", "DrainRefused: External: shop2: ", node="node2", drain="stop")
    refuse(rented, "evacuate_node.yml", "EvacuationRefused: RoutingCluster: ", node="node1", confirm_dead="node1")
    cluster = with_container()
    lab.guest_del("shop2")
    rented.attach({"name": "ct1", "node": "node2"}, extra={"cluster": cluster})
    addresses = rented.records("node2")["ct1"]["addresses"]
    rented.wait_for_answer("router", addresses)
    rented.play("drain_node.yml", extra={"cluster": cluster, "node": "node2", "drain": "stop"})
    lab.reboot("node2")
    assert lab.exec("node2", ["lxc-info", "-n", "ct1", "-s", "-H"]).stdout.strip() == "STOPPED"
    found = rented.verify(tmp_path / "report.json", extra={"cluster": cluster})
    assert found["agrees"] and "nodes, drained" in found["output"], found["output"]
    refuse(rented, "attach_vm.yml", "NodeDrained: ", vms=[{"name": "new2", "node": "node2", "pools": ["node2-4"]}])
    rented.play("undrain_node.yml", extra={"cluster": cluster, "node": "node2"})
    rented.wait_for_answer("router", addresses)
    assert not is_marked(lab, "node2")


def test_a_node_without_vms_is_removed_and_added_again(lab: Lab, rented: Cluster) -> None:
    refuse(rented, "remove_node.yml", "DrainRefused: NotEmpty: node2 has ct1 ", node="node2")
    rented.detach("ct1", "shop2")
    rented.play("remove_node.yml", extra={"node": "node2", "known_hosts": "/dev/null"})
    assert not lab.exec("node2", ["sh", "-c", "grep -rl vmcluster /etc/network"], check=False).stdout
    assert rented.answers("router", "198.51.100.8"), "as its installer left it"
    added = rented.play("add_node.yml", extra={"node": "node2"})
    assert added.recap["node1"]["changed"] == 0 and added.recap["node2"]["changed"] > 0, added.output
    assert rented.answers("router", "198.51.100.8")


def test_guest_that_is_bridged_by_hand_is_seen_and_dropped_by_the_switch(
    lab: Lab, rented: Cluster, switch: ProviderSwitch
) -> None:
    assert switch.foreign_frames() == 0
    for line in ("link add hand type bridge", "link set hand up", "link set eth0 master hand"):
        lab.exec("node2", ["ip", *line.split()])
    lab.guest_add("node2", "byhand", addresses=["198.51.100.99/24"], make="tap", bridge="hand")
    assert not rented.answers("byhand", "198.51.100.1")
    wait_until(lambda: switch.foreign_frames() > 0, 5, "the switch counts a frame of a guest's own MAC")
