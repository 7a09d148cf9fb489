# SPDX-License-Identifier: GPL-3.0-or-later
"""Trunk ports: a bond of two, VLANs, a bridge for each, as planned for inventories/switching_trunk, on Debian's kernel.

The kernel that the lab's hosts share may lack all of these, so the node is an emulated machine. It has what ifupdown is
given and the records of its VMs; the wire is asked by frames with and without a tag. Ansible does not run on it.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.module_utils import host_change, host_ifupdown, vm_boot
from ansible_collections.vmcluster.network.plugins.module_utils.host_files import render_sysctls
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import Nic, read_plan
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import RECORD_FOLDER, record_text
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import check_wanted
from vmlab.machines import Machine, list_sections, read_section
from vmlab.netns import inside_netns
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

PLAN = CHECKOUT / "tests" / "unit" / "clusters" / "switching_trunk" / "plan.yml"
GUEST, CHANGE = (Path(__file__).parent / f"trunk_{name}.py" for name in ("guest", "change"))
NODE, WEB, DB = "203.0.113.11", "203.0.113.100", "10.100.0.20"
NICS = {name: Nic(name, f"02:00:00:00:01:0{number}", f"0000:00:0{number + 3}.0", physical=True)
        for number, name in enumerate(("eth0", "eth1"))}
SCRIPT = """
mount -t tmpfs run /run
mkdir -p /run/network
hostname node1
modprobe tun
ip link set lo up
/usr/local/sbin/vmcluster-restore-interfaces >/dev/console 2>&1
rm -f /etc/network/if-*.d/*
ifup -a >/dev/console 2>&1
sysctl -q -p {sysctls} >/dev/console 2>&1
/usr/local/sbin/vmcluster-restore-interfaces late >/dev/console 2>&1
{guests}
{sections}
"""
ASKERS = (bytes([2, 0, 0, 0, 2, number]) for number in range(1, 255))
PACKET, AUXDATA, VLAN_VALID = 263, 8, 0x10  # SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID of linux/if_packet.h


def planned() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What role switching hands host_network for node1, and the VMs there with their addresses."""
    plan = yaml.safe_load(PLAN.read_text(encoding="utf-8"))
    vms = [{**vm, "addresses": list(vm["asked"].values())} for vm in plan["clusters"]["tenants"]["vms"]]
    return plan["hosts"]["node1"]["switching"], vms


def in_vlan(options: dict[str, Any], vlan: int) -> dict[str, Any]:
    """The same plan with the network itself in another VLAN."""
    text = json.dumps(options).replace('br0t10"', f'br0t{vlan}"').replace('"id": 10}', f'"id": {vlan}}}')
    changed: dict[str, Any] = json.loads(text)
    return changed


def node_files() -> dict[str, str]:
    """What is on a node's disk when role switching has been there: of its network and its VMs."""
    switching, vms = planned()
    options = {"interfaces": switching["switching_interfaces"], "sysctls": switching["switching_sysctls"]}
    plan, mistakes = read_plan(options, NICS)
    asked = [{**vm, "state": "present", "multi_queue": False} for vm in vms]
    wanted, more = check_wanted({"vms": asked, "mtu": switching["switching_mtu"], "owner": "root"}, {"root": 0})
    assert not mistakes and not more, (mistakes, more)
    files = {path: file.text for path, file in {**host_ifupdown.render(plan), **render_sysctls(plan)}.items()}
    files["/etc/network/interfaces"] = f"auto lo\niface lo inet loopback\n{host_ifupdown.SOURCE_LINE}\n"
    files[vm_boot.SCRIPT_PATH] = vm_boot.script_text("/usr/bin/python3")
    # host_network's own part, to be asked what it would change, and its script, which needs no Ansible.
    files |= {f"/root/collections/ansible_collections/vmcluster/network/plugins/module_utils/{path.name}":
              path.read_text(encoding="utf-8") for path in (CHECKOUT / "plugins" / "module_utils").glob("*.py")}
    files[host_change.SCRIPT_PATH] = host_change.script_text("/usr/bin/python3")
    files[f"{host_change.FOLDER}/plan"] = json.dumps(options)
    files[f"{host_change.FOLDER}/wrong"] = json.dumps(in_vlan(options, 11))
    files["/root/change.py"] = CHANGE.read_text(encoding="utf-8")
    files |= {f"{RECORD_FOLDER}/{vm.interface}.json": record_text(vm) for vm in wanted.present}
    return {**files, "/root/guest.py": GUEST.read_text(encoding="utf-8")}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    files = node_files()
    guests = [f"python3 /root/guest.py {vm['name']}_net0 {vm['mac']} {vm['addresses'][0]} >/dev/console 2>&1 &"
              for vm in planned()[1]]
    script = SCRIPT.format(sysctls=next(path for path in files if "sysctl.d" in path), guests="\n".join(guests),
                           sections="\n".join(list_sections(links="ip -d -j addr", bond="cat /proc/net/bonding/br0b")))
    with Machine(unique_lab_name("trunk"), tmp_path_factory.mktemp("trunk") / "machine", files, script) as machine:
        wait_until(lambda: machine.console.count("guest on ") == len(guests), 120, "both guests are attached")
        yield machine


@pytest.fixture
def wire(machine: Machine) -> Iterator[socket.socket]:
    with inside_netns(machine.netns_file):
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.bind(("wire", 0x0003))
    link.setsockopt(PACKET, AUXDATA, 1)
    link.settimeout(1)
    with link:
        yield link


def question(asker: bytes, address: str, vlan: int) -> bytes:
    """An ARP request from a MAC, tagged unless vlan is 0."""
    packed = ipaddress.ip_address(address).packed
    tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
    body = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + asker + packed[:3] + b"\1" + bytes(6) + packed
    return b"\xff" * 6 + asker + tag + body.ljust(46, b"\0")


def hear(wire: socket.socket, asker: bytes) -> tuple[str, int] | None:
    """The next ARP answer to a MAC: address, and the VLAN that it came in (0: untagged). None where nothing comes."""
    try:
        frame, told, _flags, _sender = wire.recvmsg(2048, 256)
    except TimeoutError:
        return None
    if frame[:6] != asker or frame[12:14] != b"\x08\x06" or frame[20:22] != b"\0\2":
        return None
    auxdata = next(data for level, kind, data in told if (level, kind) == (PACKET, AUXDATA))
    status, vlan = struct.unpack_from("I", auxdata)[0], struct.unpack_from("H", auxdata, 16)[0]
    return str(ipaddress.ip_address(frame[28:32])), vlan & 0xFFF if status & VLAN_VALID else 0


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


def test_debians_kernel_has_the_bond_vlans_and_bridges_that_were_planned(machine: Machine) -> None:
    links = {link["ifname"]: link for link in json.loads(read_section(machine.console, "links"))}
    assert {name: links[name]["linkinfo"]["info_kind"] for name in ("br0b", "br0t10", "br0t100", "br0", "br0v100")} == {
        "br0b": "bond", "br0t10": "vlan", "br0t100": "vlan", "br0": "bridge", "br0v100": "bridge"}
    ports = ("eth0", "eth1", "br0t10", "br0t100", "web1_net0", "db1_net0")
    masters = {name: links[name].get("master") for name in ports}
    assert masters == {"eth0": "br0b", "eth1": "br0b", "br0t10": "br0", "br0t100": "br0v100", "web1_net0": "br0",
                       "db1_net0": "br0v100"}
    assert links["br0t100"]["linkinfo"]["info_data"]["id"] == 100 and links["br0t100"]["link"] == "br0b"
    assert [each["local"] for each in links["br0"]["addr_info"] if each["family"] == "inet"] == [NODE]
    assert not [each for name in ("br0b", "br0v100", "br0v200") for each in links[name]["addr_info"]]
    assert "active-backup" in read_section(machine.console, "bond")


def test_node_and_vms_answer_in_their_own_vlan_alone(machine: Machine, wire: socket.socket) -> None:
    assert ask(wire, WEB, 0, 100, 200, 10) == {10}
    assert ask(wire, DB, 0, 10, 200, 100) == {100}
    assert ask(wire, NODE, 0, 100, 200, 10) == {10}


def test_vms_are_reached_by_the_bonds_other_port_when_a_cable_is_pulled(machine: Machine, wire: socket.socket) -> None:
    for number in (0, 1):
        machine.pull_cable(number)
        assert ask(wire, DB, 100) == {100}
        machine.pull_cable(number, out=False)
        assert ask(wire, WEB, 10) == {10}


def test_host_network_would_change_nothing_and_a_wrong_vlan_is_taken_back_whole(
    machine: Machine, wire: socket.socket
) -> None:
    change, look = f"python3 /root/change.py {host_change.FOLDER}", "ls /sys/class/net"
    said = machine.order(f"{change}/plan")
    assert "[]\n" in said, said
    said = machine.order(f"{change}/wrong wrongvlan; {look}")
    assert "br0t11" in said and "br0t10\n" not in said and "Traceback" not in said, said
    assert ask(wire, NODE, 10, 0, 100, 11) == {11}
    said = machine.order(f"{host_change.SCRIPT_PATH} rollback timer; cat {host_change.OUTCOME_PATH}; {look}")
    assert '"outcome": "rolled back"' in said and '"missing": []' in said and "br0t11" not in said, said
    assert ask(wire, NODE, 11, 0, 100, 10) == {10}
    assert ask(wire, WEB, 11, 10) == {10}
    assert ask(wire, DB, 100) == {100}
    said = machine.order(f"{change}/plan")
    assert "[]\n" in said, said
