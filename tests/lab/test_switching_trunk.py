# SPDX-License-Identifier: GPL-3.0-or-later
"""Trunk ports: a bond of two, VLANs, a bridge for each, made by site.yml on a node with Debian's kernel and systemd.

The kernel that the lab's hosts share may lack all of these, so the node is an emulated machine. Its cluster is that of
inventories/switching_trunk, and an additional network behind a bond of mode 802.3ad whose partner is another bond, in a
namespace of the same machine. Ansible comes by SSH over the trunk. The wire is asked by frames with and without a tag.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import RECORD_FOLDER
from vmlab.machines import Machine, Switch
from vmlab.netns import inside_netns
from vmlab.playbooks import PlaybookRun, playbook_command, playbook_environment, read_recap, run_playbook
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until
from vmlab.trunk_port import TrunkPort, hear_frame, open_wire, tag_frame

pytestmark = pytest.mark.lab

INVENTORY = CHECKOUT / "inventories" / "switching_trunk"
NODE, ROUTER, WEB, DB, BACKUP = "203.0.113.11", "203.0.113.1/24", "203.0.113.100", "10.100.0.20", "10.30.0.20"
GUEST = Path(__file__).parent / "trunk_guest.py"
# What the node's operator had: its address without a tag, on the first of the two ports.
OPERATORS = f"""auto lo
iface lo inet loopback
auto eth0
iface eth0 inet static
    address {NODE}/24
    gateway {ROUTER.partition("/")[0]}
"""
# The switch at the other end of the second bond's cables.
PARTNER = """[Service]
ExecStartPre=/bin/sh -euc 'ip netns add lag; for port in eth4 eth5; do ip link set $port netns lag; done; \
ip -n lag link add lag type bond mode 802.3ad miimon 100 lacp_rate fast; \
for port in eth4 eth5; do ip -n lag link set $port master lag; done; ip -n lag link set lag up; \
ip -n lag link add lag300 link lag type vlan id 300; ip -n lag addr add 10.30.0.1/24 dev lag300; \
ip -n lag link set lag300 up'
"""
READ_RECORDS = f'import glob, json; print(json.dumps([json.load(open(at)) for at in glob.glob("{RECORD_FOLDER}/*")]))'
PATIENT = 900  # seconds in which a change is taken back, and a run ends, on whatever machine
BOUND = 60  # seconds in which a wrong one is taken back; the timer goes off 20 earlier
ASKERS = (bytes([2, 0, 0, 0, 2, number]) for number in range(1, 255))


def described(vlan: int = 10) -> dict[str, Any]:
    """The variables of the run: the inventory's cluster, its network in a VLAN, and one behind 802.3ad."""
    cluster = yaml.safe_load((INVENTORY / "group_vars" / "all.yml").read_text(encoding="utf-8"))["cluster"]
    cluster["networks"]["main"]["vlan"] = vlan
    cluster["networks"]["additional"] = {"bridge": "br1", "bond_mode": "802.3ad", "vlans": [300]}
    cluster["pools"].append({"name": "backup4", "prefix": "10.30.0.0/24", "network": "additional"})
    cluster["vms"].append({"name": "backup1", "node": "node1", "network": "additional", "vlan": 300,
                           "addresses": [BACKUP], "pools": ["backup4"]})
    return {"cluster": cluster, "additional_port": ["eth2", "eth3"]}


def arguments(vlan: int = 10, timeout: int = PATIENT) -> tuple[str, ...]:
    return "--limit", "node1", "-e", json.dumps({**described(vlan), "switching_timeout": timeout})


def inventories(machine: Machine) -> list[Path]:
    return [INVENTORY, machine.write_inventory("node1")]


def play(machine: Machine, *options: str) -> PlaybookRun:
    """Run site.yml as from the controller's seat."""
    with inside_netns(machine.switch.netns_file):
        return run_playbook(machine.name, "site.yml", *arguments(), *options, inventory=inventories(machine),
                            timeout=PATIENT)


def start_guests(machine: Machine) -> None:
    """Start what stands for the VMs, behind the taps that are recorded."""
    records = json.loads(machine.ask(f"python3 -c '{READ_RECORDS}'"))
    assert {record["vm"] for record in records} == {"web1", "db1", "backup1"}, records
    before = machine.console.count("guest on ")
    for record in records:
        machine.order(f"python3 /root/guest.py {record['interface']} {record['mac']} {record['addresses'][0]}"
                      " >/dev/console 2>&1 &")
    wait_until(lambda: machine.console.count("guest on ") == before + 3, 120, "the guests are attached")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    files = {"etc/network/interfaces": OPERATORS, "root/guest.py": GUEST.read_text(encoding="utf-8"),
             "etc/systemd/system/lab-orders.service.d/partner.conf": PARTNER}
    folder = tmp_path_factory.mktemp("trunk") / "machine"
    with (Switch(unique_lab_name("trunk")) as switch, Machine(switch, folder, files, cables=2) as machine,
          TrunkPort(switch.netns, ROUTER, 10)):
        yield machine


@pytest.fixture
def wire(machine: Machine) -> Iterator[socket.socket]:
    with open_wire(machine.switch.netns_file) as link:
        link.settimeout(1)
        yield link


def question(asker: bytes, address: str, vlan: int) -> bytes:
    """An ARP request from a MAC, tagged unless vlan is 0.

    Its address, which ends in 250, is nobody's: who is asked takes the sender's MAC for that of the address.
    """
    packed = ipaddress.ip_address(address).packed
    body = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + asker + packed[:3] + b"\xfa" + bytes(6) + packed
    return tag_frame(b"\xff" * 6 + asker + body.ljust(46, b"\0"), vlan)


def hear(wire: socket.socket, asker: bytes) -> tuple[str, int] | None:
    """The next ARP answer to a MAC: address, and the VLAN that it came in (0: untagged). None where nothing comes."""
    try:
        frame, vlan = hear_frame(wire)
    except TimeoutError:
        return None
    if frame[:6] != asker or frame[12:14] != b"\x08\x06" or frame[20:22] != b"\0\2":
        return None
    return str(ipaddress.ip_address(frame[28:32])), vlan


def ask(wire: socket.socket, address: str, *vlans: int) -> set[int]:
    """The VLANs in which an address answers, of those it is asked in; it must answer in the last one.

    What it is asked in that one comes behind the others, so who has answered there has had them all.
    """
    asker = next(ASKERS)  # what is late for a former question is no answer to this one
    for vlan in vlans[:-1]:
        wire.send(question(asker, address, vlan))
    answered: set[int] = set()

    def has_answered_last() -> bool:
        wire.send(question(asker, address, vlans[-1]))
        while (heard := hear(wire, asker)) is not None:
            if heard[0] == address:
                answered.add(heard[1])
                if heard[1] == vlans[-1]:
                    return True
        return False

    wait_until(has_answered_last, 60, f"{address} answers in VLAN {vlans[-1]}; it did in {answered}")
    return answered


def read_links(machine: Machine) -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(machine.ask("ip -d -j addr"))}


def check_links(machine: Machine) -> None:
    """Bonds, VLANs and bridges are those of the inventory; who has an address, and who none."""
    links = read_links(machine)
    kinds = {name: link.get("linkinfo", {}).get("info_kind") for name, link in links.items()}
    assert {name: kind for name, kind in kinds.items() if kind not in (None, "tun")} == {
        "br0b": "bond", "br0t10": "vlan", "br0t100": "vlan", "br0t200": "vlan", "br0": "bridge", "br0v100": "bridge",
        "br0v200": "bridge", "br1b": "bond", "br1": "bridge", "br1t300": "vlan", "br1v300": "bridge"}
    masters = {name: link["master"] for name, link in links.items() if "master" in link}
    assert masters == {
        "eth0": "br0b", "eth1": "br0b", "br0t10": "br0", "br0t100": "br0v100", "br0t200": "br0v200", "web1_net0": "br0",
        "db1_net0": "br0v100", "eth2": "br1b", "eth3": "br1b", "br1b": "br1", "br1t300": "br1v300",
        "backup1_net0": "br1v300"}
    assert links["br0t100"]["linkinfo"]["info_data"]["id"] == 100 and links["br0t100"]["link"] == "br0b"
    assert {(name, each["local"]) for name, link in links.items() for each in link["addr_info"] if name != "lo"
            and each["scope"] == "global"} == {("br0", NODE)}
    assert links["br0b"]["linkinfo"]["info_data"]["mode"] == "active-backup"
    assert links["br1b"]["linkinfo"]["info_data"]["mode"] == "802.3ad"


def test_check_mode_on_the_bare_node_predicts_bonds_vlans_and_bridges_and_changes_nothing(
    machine: Machine, wire: socket.socket
) -> None:
    before = read_links(machine)
    run = play(machine, "--check", "--diff")
    assert run.recap["node1"]["changed"] >= 3, run.output
    for word in ("type bond mode active-backup", "type bond mode 802.3ad", "link br0b type vlan id 100",
                 "#vmcluster: iface eth0 inet static", "db1_net0"):
        assert word in run.output, run.output
    assert read_links(machine).keys() == before.keys()
    assert ask(wire, NODE, 10, 0) == {0}


def test_connection_that_ansible_uses_moves_into_its_vlan_with_the_address(
    machine: Machine, wire: socket.socket
) -> None:
    assert play(machine).recap["node1"]["changed"] >= 3  # ends with verification
    check_links(machine)
    assert ask(wire, NODE, 0, 100, 11, 10) == {10}


def test_node_and_vms_answer_in_their_own_vlan_alone(machine: Machine, wire: socket.socket) -> None:
    start_guests(machine)
    assert ask(wire, WEB, 0, 100, 200, 10) == {10}
    assert ask(wire, DB, 0, 10, 200, 100) == {100}
    assert ask(wire, NODE, 0, 100, 200, 10) == {10}


def test_vms_are_reached_by_the_bonds_other_port_when_a_cable_is_pulled(machine: Machine, wire: socket.socket) -> None:
    for number in (0, 1):
        machine.pull_cable(number)
        assert ask(wire, DB, 100) == {100}
        machine.pull_cable(number, out=False)
        assert ask(wire, WEB, 10) == {10}


def read_lacp(machine: Machine) -> dict[str, Any]:
    """What the kernel tells of the second bond's aggregator."""
    told: dict[str, Any] = json.loads(machine.ask("ip -d -j link show br1b"))[0]["linkinfo"]["info_data"]["ad_info"]
    return told


def is_reached_by_partner(machine: Machine) -> bool:
    """Whether the VM behind the second bond answers in its VLAN at the other end of the cables."""
    machine.order(f"ip -n lag neigh flush dev lag300; ip netns exec lag ping -n -c1 -W2 {BACKUP}")
    return any("lladdr" in entry for entry in json.loads(machine.ask(f"ip -n lag -j neigh show to {BACKUP}") or "[]"))


def test_ports_of_mode_802_3ad_are_one_with_their_partner_and_one_of_them_is_enough(machine: Machine) -> None:
    partner = json.loads(machine.ask("ip -n lag -j link show lag"))[0]["address"]
    for number in (2, 3):
        wait_until(lambda: read_lacp(machine)["num_ports"] == 2, 60, f"both ports are in use: {read_lacp(machine)}")
        assert read_lacp(machine)["partner_mac"] == partner != "00:00:00:00:00:00"
        assert is_reached_by_partner(machine)
        machine.pull_cable(number)
        wait_until(lambda: read_lacp(machine)["num_ports"] == 1, 60, f"one port is in use: {read_lacp(machine)}")
        wait_until(lambda: is_reached_by_partner(machine), 60, "the VM is reached by the other port")
        machine.pull_cable(number, out=False)


def test_wrong_vlan_cuts_the_node_off_and_its_timer_brings_it_back(machine: Machine, wire: socket.socket) -> None:
    with inside_netns(machine.switch.netns_file):
        run = subprocess.Popen(
            playbook_command("site.yml", *arguments(11, BOUND), inventory=inventories(machine)), cwd=CHECKOUT,
            env=playbook_environment(machine.name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)
    wait_until(lambda: "br0t11" in machine.ask("ls /sys/class/net"), PATIENT, "the node is in the wrong VLAN")
    assert ask(wire, NODE, 10, 0, 100, 11) == {11}
    output, _nothing = run.communicate(timeout=PATIENT)
    counts = read_recap(output)["node1"]
    assert run.returncode != 0 and (counts["failed"], counts["unreachable"]) == (1, 0), output
    for word in ("The change was not confirmed.", "Tried: a new connection from the controller", "Wrong: no connection",
                 "The host has gone back to its old state (by its timer)."):
        assert word in output, output
    assert "Still missing" not in output, output
    check_links(machine)
    assert ask(wire, NODE, 11, 0, 100, 10) == {10}
    assert ask(wire, WEB, 11, 10) == {10}
    assert ask(wire, DB, 100) == {100}


def test_all_is_there_after_a_reboot_and_a_second_run_changes_nothing(machine: Machine, wire: socket.socket) -> None:
    machine.reboot()
    wait_until(lambda: all("master" in read_links(machine)[f"{vm}_net0"] for vm in ("web1", "db1", "backup1")), 120,
               "VM interfaces are on their bridges")  # by a unit that nothing at boot waits for
    check_links(machine)
    assert ask(wire, NODE, 0, 100, 10) == {10}  # also by the sysctls, which come with the bond by udev
    start_guests(machine)
    assert ask(wire, WEB, 0, 100, 10) == {10}
    assert ask(wire, DB, 0, 10, 100) == {100}
    run = play(machine)
    assert run.changed == 0, run.output
