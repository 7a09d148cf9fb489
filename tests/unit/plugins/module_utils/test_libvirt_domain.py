# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of libvirt: what is planned, and what becomes of XML that is there."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.libvirt_domain import (
    FoundDomain,
    Wanted,
    check_wanted,
    make_xml,
    read_attached,
    read_xml,
)
from ansible_collections.vmcluster.network.plugins.module_utils.libvirt_plan import plan_domain

MAC = "02:00:00:00:00:10"
DISK = {"path": "/var/lib/libvirt/images/web1.qcow2", "format": "qcow2", "bus": "virtio", "readonly": False}
SEED = {"path": "/seed.iso", "format": "raw", "bus": "virtio", "readonly": True}

OPERATORS = """
<domain type='kvm'>
  <name>web1</name>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='/var/lib/libvirt/images/web1.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <interface type='bridge'>
      <mac address='02:00:00:00:00:10'/>
      <source bridge='br0'/>
      <model type='e1000e'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>
    <tpm model='tpm-crb'/>
  </devices>
</domain>
"""


def wish(**keys: Any) -> Wanted:
    entry: dict[str, Any] = {
        "name": "web1", "state": "running", "accelerator": "auto", "adopt": False,
        **{key: value for key, value in keys.items() if key != "nics"}}
    if "nics" in keys:
        entry["nics"] = [{"nic": 0, "mac": MAC, "queues": 0, **nic} for nic in keys["nics"]]
    wanted, mistakes = check_wanted([entry])
    assert not mistakes
    return wanted[0]


NEW = {"memory": 512, "vcpus": 1, "disks": [DISK, SEED], "nics": [{}], "autostart": True}


def made(wanted: Wanted, running: bool = True, autostart: bool = True) -> FoundDomain:
    return read_xml(make_xml(wanted, "qemu", None), autostart, running)


def whys(wanted: Wanted, found: FoundDomain | None) -> list[str]:
    steps, mistakes = plan_domain(wanted, found, "qemu")
    assert not mistakes
    return [step.why for step in steps]


def test_a_new_domain_has_its_card_on_the_interface_that_is_there() -> None:
    root = ElementTree.fromstring(make_xml(wish(**NEW), "kvm", None))
    card = root.find("devices/interface")
    assert card is not None and card.get("type") == "ethernet"
    assert [(part.tag, part.attrib) for part in card] == [
        ("mac", {"address": MAC}), ("target", {"dev": "web1_net0", "managed": "no"}), ("model", {"type": "virtio"})]
    assert root.get("type") == "kvm" and root.find("cpu") is not None


def test_a_domain_that_was_made_as_described_needs_nothing() -> None:
    wanted = wish(**NEW)
    assert whys(wanted, None) == ["libvirt has no domain web1", "starts with the node", "does not run"]
    assert whys(wanted, made(wanted)) == []


def test_a_name_that_is_too_long_for_an_interface_is_shortened_as_on_the_node() -> None:
    wanted, _rest = check_wanted([{"name": "a-very-long-name", "state": "running", "accelerator": "auto",
                                   "adopt": False, "nics": [{"nic": 1, "mac": MAC, "queues": 0}]}])
    assert wanted[0].domain.nics is not None
    assert len(wanted[0].domain.nics[0].interface) == 15 and wanted[0].domain.nics[0].interface.endswith("_net1")


@pytest.mark.parametrize("changes, lines", [
    ({"memory": 1024}, ["memory: 512 MiB", "memory: 1024 MiB"]),
    ({"vcpus": 4}, ["vcpus: 1", "vcpus: 4"]),
    ({"disks": [DISK]}, [f"disk: {DISK['path']} (qcow2, virtio)", "disk: /seed.iso (raw, virtio, read-only)",
                         f"disk: {DISK['path']} (qcow2, virtio)"]),
    ({"nics": [{}, {"nic": 1, "mac": "02:00:00:00:00:11"}]},
     [f"nic: web1_net0 ({MAC})", f"nic: web1_net0 ({MAC})", "nic: web1_net1 (02:00:00:00:00:11)"]),
    ({"vnc": True}, ["VNC display: no", "VNC display: yes"]),
])
def test_a_difference_is_shown_and_the_next_run_finds_none(changes: dict[str, Any], lines: list[str]) -> None:
    found, wanted = made(wish(**NEW)), wish(**{**NEW, **changes})
    (step,), _mistakes = plan_domain(wanted, found, "qemu")
    assert [*step.before, *step.after] == lines
    after = read_xml(step.commands[0].partition(" ")[2], True, True)
    assert whys(wanted, after) == []


def test_what_is_not_described_stays_as_it_is() -> None:
    found = read_xml(OPERATORS, False, True)
    wanted = wish(nics=[{}], adopt=True)
    (step,), _mistakes = plan_domain(wanted, found, "qemu")
    root = ElementTree.fromstring(step.commands[0].partition(" ")[2])
    assert root.find("devices/tpm") is not None and root.findtext("memory") == "1048576"
    assert root.find("devices/disk/driver").get("discard") == "unmap"  # type: ignore[union-attr]
    card = root.find("devices/interface")
    assert card is not None and card.get("type") == "ethernet" and card.find("source") is None
    assert card.find("model").get("type") == "e1000e"  # type: ignore[union-attr]
    assert card.find("address").get("bus") == "0x01", "the guest knows its card again"  # type: ignore[union-attr]
    assert root.find("metadata") is None, "a domain of others is not marked as ours"


def test_a_vnc_display_comes_with_a_screen_listens_where_the_node_says_and_goes_again() -> None:
    root = ElementTree.fromstring(make_xml(wish(**NEW, vnc=True), "qemu", None))
    display = root.find("devices/graphics")
    assert display is not None and display.attrib == {"type": "vnc", "autoport": "yes"}, "the address is the node's"
    assert root.find("devices/video/model") is not None
    there = made(wish(**NEW, vnc=True))
    assert whys(wish(**NEW), there) == [] and whys(wish(**NEW, vnc=False), there) == ["is not as described"]
    assert "graphics" not in make_xml(wish(**NEW, vnc=False), "qemu", there)


def test_a_disk_that_stays_keeps_its_place_and_a_new_one_gets_a_free_name() -> None:
    wanted = wish(disks=[DISK, SEED], adopt=True)
    (step,), _mistakes = plan_domain(wanted, read_xml(OPERATORS, False, True), "qemu")
    disks = ElementTree.fromstring(step.commands[0].partition(" ")[2]).findall("devices/disk")
    assert [disk.find("target").get("dev") for disk in disks] == ["vda", "vdb"]  # type: ignore[union-attr]
    assert disks[0].find("address") is not None


def test_a_domain_of_others_is_refused_unless_it_is_to_be_adopted() -> None:
    found = read_xml(OPERATORS, True, True)
    for state in ("running", "stopped", "absent"):
        steps, mistakes = plan_domain(wish(state=state, nics=[{}]), found, "qemu")
        assert not steps and "adopt" in mistakes[0]


def test_removal_of_an_adopted_domain_stops_it_and_leaves_its_definition() -> None:
    steps, _rest = plan_domain(wish(state="absent", adopt=True), read_xml(OPERATORS, True, True), "qemu")
    assert [command for step in steps for command in step.commands] == ["stop", "autostart off"]


def test_removal_of_our_domain_stops_and_removes_it_and_then_nothing() -> None:
    steps, _rest = plan_domain(wish(state="absent"), made(wish(**NEW)), "qemu")
    assert [command for step in steps for command in step.commands] == ["stop", "remove"]
    assert plan_domain(wish(state="absent"), None, "qemu") == ((), [])


def test_a_new_domain_without_memory_or_anything_to_boot_is_refused() -> None:
    steps, mistakes = plan_domain(wish(nics=[{}]), None, "qemu")
    assert not steps and ["memory" in mistakes[0], "disks or boot" in mistakes[1]] == [True, True]


def test_an_alias_of_a_machine_type_is_what_libvirt_made_of_it() -> None:
    assert whys(wish(machine="q35", adopt=True), read_xml(OPERATORS, False, True)) == []
    assert whys(wish(machine="pc", adopt=True), read_xml(OPERATORS, False, True)) == ["is not as described"]


def test_mistakes_are_told_together() -> None:
    entry = {"name": "we b", "state": "running", "accelerator": "auto", "adopt": False, "memory": 1, "vcpus": 0,
             "disks": [{**DISK, "path": "web1.qcow2"}], "nics": [{"nic": 0, "mac": None, "queues": 0}]}
    _found, mistakes = check_wanted([entry, entry])
    assert len(mistakes) == 11
    for part in ("'we b' has characters", "memory: 1 is too little", "is not absolute", "mac: is missing", "twice"):
        assert any(part in mistake for mistake in mistakes)


def commands(wanted: Wanted, found: FoundDomain | None, former: FoundDomain | None = None) -> list[str]:
    steps, mistakes = plan_domain(wanted, found, "qemu", former)
    assert not mistakes
    return [command.partition(" ")[0] for step in steps for command in step.commands]


def test_a_domain_that_runs_is_given_its_new_card_and_loses_the_one_that_goes() -> None:
    one, two = wish(**NEW), wish(**{**NEW, "nics": [{}, {"nic": 1, "mac": "02:00:00:00:00:11"}]})
    runs = made(one)._replace(attached=one.domain.nics)
    assert commands(two, runs) == ["define", "plug"]
    runs = made(two)._replace(attached=two.domain.nics)
    assert commands(one, runs) == ["define", "unplug"]
    assert commands(two, made(two)._replace(attached=one.domain.nics)) == ["plug"], "defined by a call that was killed"


def test_a_card_that_changes_its_mac_and_cards_of_an_operator_are_left_to_the_guest_that_runs() -> None:
    other = wish(**{**NEW, "nics": [{"mac": "02:00:00:00:00:99"}]})
    assert commands(other, made(wish(**NEW))._replace(attached=wish(**NEW).domain.nics)) == ["define"]
    assert read_attached(OPERATORS) is None
    assert commands(wish(nics=[{}], adopt=True), read_xml(OPERATORS, False, True)) == ["define"]


def test_a_domain_that_is_to_be_present_is_neither_started_nor_stopped() -> None:
    present = wish(**{**NEW, "state": "present"})
    assert commands(present, made(present, running=False)) == commands(present, made(present)) == []


def test_a_domain_gets_another_name_and_all_that_hangs_on_it() -> None:
    seed = {**SEED, "path": "/var/lib/vmcluster/seeds/web1.iso"}
    former = made(wish(**{**NEW, "disks": [DISK, seed]}), running=False)
    wanted = wish(name="shop1", was="web1", state="present", adopt=True, nics=[{}])
    assert commands(wanted, None, former) == ["rename", "define"]
    steps, _mistakes = plan_domain(wanted, None, "qemu", former)
    after = read_xml(steps[1].commands[0].partition(" ")[2], True, False)
    assert after.ours and after.domain.name == "shop1" and after.domain.memory == 512
    assert [nic.interface for nic in after.domain.nics or ()] == ["shop1_net0"]
    assert [disk.path for disk in after.domain.disks or ()] == [DISK["path"], "/var/lib/vmcluster/seeds/shop1.iso"]
    assert commands(wanted, after, former) == [], "the next run has nothing to do, whoever is called web1 now"
    assert plan_domain(wanted, None, "qemu", former._replace(running=True))[1]
