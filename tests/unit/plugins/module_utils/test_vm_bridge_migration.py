# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of nodes, what a bridge has learnt, and the frames that tell where a VM is."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.vm_bridge_migration import (
    Migration,
    check_preparing,
    parse_learnt,
    wires_of,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_frames import announcement, question
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Link

MAC = "02:00:00:00:00:10"
BRIDGE = Link("br0", "bridge", mtu=1500)
WIRE = Link("eth0", mtu=1500, carrier=True, master="br0")
GUEST = Link("web1_net0", "tap", mtu=1500, carrier=True, group="770", master="br0")


def links(*there):
    return {link.name: link for link in there}


def end(role, mtu=1500):
    return Migration("web1", 0, role, "node2", "br0", MAC, ("203.0.113.100",), mtu)


def test_a_bridge_with_a_wire_and_a_guest_that_runs_will_do():
    assert check_preparing(links(BRIDGE, WIRE, GUEST), [end("source")]) == []
    assert check_preparing(links(BRIDGE, WIRE), [end("target")]) == []
    assert wires_of(links(BRIDGE, WIRE, GUEST), "br0") == ["eth0"]


@pytest.mark.parametrize(
    ("name", "there", "each"),
    [
        ("NotRunning", links(BRIDGE, WIRE), end("source")),
        ("NotRunning", links(BRIDGE, WIRE, GUEST._replace(carrier=False)), end("source")),
        ("Container", links(BRIDGE, WIRE, GUEST._replace(kind="veth")), end("source")),
        ("NoBridge", links(WIRE), end("target")),
        ("NoBridge", links(BRIDGE._replace(kind=""), WIRE), end("target")),
        ("NoWire", links(BRIDGE, GUEST), end("target")),
        ("NoWire", links(BRIDGE, WIRE._replace(carrier=False)), end("target")),
        ("MtuTooSmall", links(BRIDGE, WIRE._replace(mtu=1400)), end("target")),
        ("MtuTooSmall", links(BRIDGE, WIRE), end("target", mtu=9000)),
    ],
)
def test_what_stands_in_the_way_is_refused_by_name(name, there, each):
    refused = check_preparing(there, [each])
    assert refused and refused[0].startswith(f"LiveMigrationRefused: {name}: "), refused


def test_a_bridge_has_learnt_what_came_by_a_port_and_not_its_ports_own_macs():
    def row(mac, port, local):
        return bytes.fromhex(mac.replace(":", "")) + struct.pack("=BBIBBH", port & 255, local, 0, port >> 8, 0, 0)

    table = row(MAC, 2, 0) + row("fe:00:00:00:00:10", 2, 1) + row("02:00:00:00:00:11", 258, 0)
    assert parse_learnt(table) == {(bytes.fromhex(MAC.replace(":", "")), 2), (bytes.fromhex("020000000011"), 258)}
    assert parse_learnt(b"") == set()


def test_a_gratuitous_arp_says_address_and_mac_to_all():
    frame = announcement(MAC, "203.0.113.100")
    assert frame[:14].hex() == "ffffffffffff" + "020000000010" + "0806" and len(frame) == 60
    assert frame[20:22] == b"\0\1" and frame[22:28].hex() == "020000000010"
    assert frame[28:32] == frame[38:42] == bytes([203, 0, 113, 100])


def test_an_unsolicited_advertisement_overrides_and_its_checksum_is_right():
    frame = announcement(MAC, "2001:db8:1::1000")
    assert frame[:14].hex() == "333300000001" + "020000000010" + "86dd"
    message = frame[54:]
    assert frame[21] == 255 and message[0] == 136 and message[4:8] == b"\x20\0\0\0"
    assert message[8:24] == frame[22:38] and message[24:].hex() == "0201" + "020000000010"
    pseudo = frame[22:54] + struct.pack("!IxxxB", len(message), 58)
    total = sum(struct.unpack(f"!{len(pseudo + message) // 2}H", pseudo + message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_a_guest_is_asked_without_changing_what_it_knows_of_others():
    mac = "fe:00:00:00:00:10"
    probe, solicitation = question(mac, "203.0.113.100"), question(mac, "2001:db8:1::1000")
    assert probe[28:32] == bytes(4) and probe[38:42] == bytes([203, 0, 113, 100])
    assert solicitation[:6].hex() == "3333ff001000" and solicitation[54] == 135
    assert solicitation[22:24].hex() == "fe80"
