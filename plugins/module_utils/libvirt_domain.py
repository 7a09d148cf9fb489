# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of libvirt: what is wanted of one, what its XML says, and XML made of both; nothing here talks to libvirt.

Of a domain only what is named is looked at and changed; all else of its XML stays as libvirt or the operator has it.
Elements: https://libvirt.org/formatdomain.html
"""

from __future__ import annotations

from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from xml.etree import ElementTree

from ansible_collections.vmcluster.network.plugins.module_utils.cloud_init_seed import SEED_FOLDER, image_path
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import check_vm_name, interface_name

MARK_URI = "https://vmcluster.network/libvirt/1"
"""Name space of the element in a domain's metadata that says: made by this module, which may remove it."""

MARK = f"{{{MARK_URI}}}domain"

DISK_BUSES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "ide": "hd"}
"""Buses, and how their disks are called."""

RUNNING, STOPPED, PRESENT, ABSENT = "running", "stopped", "present", "absent"

_VNC = "devices/graphics[@type='vnc']"

ElementTree.register_namespace("vmcluster", MARK_URI)


class Disk(NamedTuple):
    """A disk that is a file or a block device."""

    path: str
    format: str = "qcow2"
    bus: str = "virtio"
    readonly: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({self.format}, {self.bus}{', read-only' if self.readonly else ''})"


class Nic(NamedTuple):
    """A network card on an interface of the node. queues: 0 says nothing."""

    interface: str
    mac: str
    queues: int = 0

    def __str__(self) -> str:
        return f"{self.interface} ({self.mac}{f', {self.queues} queues' if self.queues else ''})"


class Domain(NamedTuple):
    """A domain as far as it is described; None: not said. boot: kernel, initrd, cmdline."""

    name: str
    nics: Optional[Tuple[Nic, ...]] = None
    vcpus: Optional[int] = None
    memory: Optional[int] = None
    disks: Optional[Tuple[Disk, ...]] = None
    boot: Optional[Tuple[str, str, str]] = None
    machine: Optional[str] = None
    autostart: Optional[bool] = None
    vnc: Optional[bool] = None


class Wanted(NamedTuple):
    """What one entry asks for. was: the name that the domain may still have, or empty."""

    domain: Domain
    state: str
    accelerator: str
    adopt: bool
    was: str = ""


class FoundDomain(NamedTuple):
    """A domain that libvirt has. xml: of its next start. attached: the cards that it runs with; None where it does not
    run, or has a card of another kind than this module's."""

    domain: Domain
    xml: str
    running: bool
    ours: bool
    attached: Optional[Tuple[Nic, ...]] = None


def check_wanted(entries: Sequence[Mapping[str, Any]]) -> Tuple[Tuple[Wanted, ...], List[str]]:
    """Return what is wanted, and all mistakes; with mistakes, what is wanted must not be used."""
    mistakes: List[str] = []
    wanted, names = [], set()
    for index, entry in enumerate(entries):
        where, name = f"domains[{index}]", entry["name"]
        wrong = check_vm_name(name)
        if wrong:
            mistakes.append(f"{where}.name: {name!r} {wrong}")
        if name in names:
            mistakes.append(f"{where}.name: {name!r} is there twice: leave one")
        names.add(name)
        for key, least in (("vcpus", 1), ("memory", 16)):
            if entry.get(key) is not None and entry[key] < least:
                mistakes.append(f"{where}.{key}: {entry[key]} is too little: give at least {least}")
        mistakes += [f"{where}.disks[{number}].path: {disk['path']!r} is not absolute: begin it with /"
                     for number, disk in enumerate(entry.get("disks") or ()) if not disk["path"].startswith("/")]
        mistakes += _check_nics(entry.get("nics") or (), where)
        wanted.append(_read_wanted(entry))
    return tuple(wanted), mistakes


def _check_nics(nics: Sequence[Mapping[str, Any]], where: str) -> List[str]:
    mistakes = []
    for number, nic in enumerate(nics):
        if not nic.get("mac"):
            mistakes.append(f"{where}.nics[{number}].mac: is missing: give that of the VM's interface")
    numbers = [nic["nic"] for nic in nics]
    mistakes += [f"{where}.nics: number {number} is there twice" for number in sorted(set(numbers)) if
                 numbers.count(number) > 1]
    return mistakes


def _read_wanted(entry: Mapping[str, Any]) -> Wanted:
    disks = entry.get("disks")
    nics = entry.get("nics")
    boot = entry.get("boot")
    domain = Domain(
        name=entry["name"],
        nics=None if nics is None else tuple(
            Nic(interface_name(entry["name"], nic["nic"])[0], (nic["mac"] or "").lower(), nic["queues"])
            for nic in sorted(nics, key=lambda each: each["nic"])),
        vcpus=entry.get("vcpus"),
        memory=entry.get("memory"),
        disks=None if disks is None else tuple(
            Disk(disk["path"], disk["format"], disk["bus"], disk["readonly"]) for disk in disks),
        boot=(boot["kernel"], boot["initrd"] or "", boot["cmdline"] or "") if boot else None,
        machine=entry.get("machine"),
        autostart=entry.get("autostart"),
        vnc=entry.get("vnc"),
    )
    return Wanted(domain, entry["state"], entry["accelerator"], entry["adopt"], entry.get("was") or "")


def read_xml(xml: str, autostart: bool, running: bool) -> FoundDomain:
    """Return what a domain's XML says."""
    root = ElementTree.fromstring(xml)
    kernel = root.findtext("os/kernel") or ""
    boot = (kernel, root.findtext("os/initrd") or "", root.findtext("os/cmdline") or "") if kernel else None
    os_type = root.find("os/type")
    domain = Domain(
        name=root.findtext("name") or "",
        nics=tuple(filter(None, map(_read_nic, root.findall("devices/interface")))),
        vcpus=int(root.findtext("vcpu") or 1),
        memory=_read_memory(root),
        disks=tuple(filter(None, map(_read_disk, root.findall("devices/disk")))),
        boot=boot,
        machine=os_type.get("machine") if os_type is not None else None,
        autostart=autostart,
        vnc=root.find(_VNC) is not None,
    )
    return FoundDomain(domain, xml, running, root.find(f"metadata/{MARK}") is not None)


def read_attached(xml: str) -> Optional[Tuple[Nic, ...]]:
    """Return the cards in the XML of a domain that runs, None where one is of another kind than this module's."""
    nics = tuple(map(_read_nic, ElementTree.fromstring(xml).findall("devices/interface")))
    return None if None in nics else tuple(filter(None, nics))


def _read_memory(root: ElementTree.Element) -> int:
    element = root.find("memory")
    if element is None:
        return 0
    unit = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024, "bytes": 1 / 1048576}.get(element.get("unit", "KiB"), 1 / 1024)
    return int(int(element.text or 0) * unit)


def _read_nic(element: ElementTree.Element) -> Optional[Nic]:
    """Return a card that is on an interface which is there without libvirt; None for one of another kind."""
    target, mac, driver = element.find("target"), element.find("mac"), element.find("driver")
    if element.get("type") != "ethernet" or target is None or target.get("managed") != "no":
        return None
    queues = int(driver.get("queues", 0)) if driver is not None else 0
    return Nic(target.get("dev", ""), (mac.get("address", "") if mac is not None else "").lower(), queues)


def _read_disk(element: ElementTree.Element) -> Optional[Disk]:
    source, target, driver = element.find("source"), element.find("target"), element.find("driver")
    if source is None or target is None or element.get("device", "disk") not in ("disk", "cdrom"):
        return None
    path = source.get("file") or source.get("dev")
    form = driver.get("type", "raw") if driver is not None else "raw"
    return Disk(path, form, target.get("bus", "virtio"), element.find("readonly") is not None) if path else None


def make_xml(wanted: Wanted, accelerator: str, found: Optional[FoundDomain]) -> str:
    """Return the XML of a domain: the one that is there, with what is wanted put in, or a new one.

    accelerator: `kvm`, or `qemu` for emulation, for a new one.
    """
    domain = wanted.domain
    root = ElementTree.fromstring(found.xml) if found else _new_root(domain, accelerator)
    there = found.domain if found else Domain(domain.name, (), None, None, ())
    devices = _child(root, "devices")
    if domain.memory is not None and domain.memory != there.memory:
        for name in ("memory", "currentMemory"):
            _replace_text(root, name, str(domain.memory), unit="MiB")
    if domain.vcpus is not None and domain.vcpus != there.vcpus:
        _replace_text(root, "vcpu", str(domain.vcpus))
    if domain.boot is not None and domain.boot != there.boot:
        for name, text in zip(("kernel", "initrd", "cmdline"), domain.boot):
            _set_text(_child(root, "os"), name, text)
    if domain.machine is not None and domain.machine != there.machine:
        _child(_child(root, "os"), "type").set("machine", domain.machine)
    if domain.disks is not None and domain.disks != there.disks:
        _put_disks(devices, domain.disks)
    if domain.nics is not None and domain.nics != there.nics:
        _put_nics(devices, domain.nics)
    if domain.vnc is not None and domain.vnc != there.vnc:
        _put_vnc(devices, domain.vnc)
    return ElementTree.tostring(root, encoding="unicode")


def rename_xml(xml: str, name: str) -> str:
    """Return a domain's XML under another name, and with its seed as that is named then."""
    root = ElementTree.fromstring(xml)
    seeds = {image_path(SEED_FOLDER, root.findtext("name") or ""): image_path(SEED_FOLDER, name)}
    _replace_text(root, "name", name)
    for source in root.findall("devices/disk/source"):
        path = source.get("file", "")
        if path in seeds:
            source.set("file", seeds[path])
    return ElementTree.tostring(root, encoding="unicode")


def _new_root(domain: Domain, accelerator: str) -> ElementTree.Element:
    root = ElementTree.Element("domain", type=accelerator)
    ElementTree.SubElement(root, "name").text = domain.name
    ElementTree.SubElement(ElementTree.SubElement(root, "metadata"), MARK)
    ElementTree.SubElement(root, "memory", unit="MiB").text = str(domain.memory)
    ElementTree.SubElement(root, "vcpu").text = str(domain.vcpus or 1)
    ElementTree.SubElement(ElementTree.SubElement(root, "os"), "type").text = "hvm"
    features = ElementTree.SubElement(root, "features")
    for name in ("acpi", "apic"):
        ElementTree.SubElement(features, name)
    if accelerator == "kvm":
        ElementTree.SubElement(root, "cpu", mode="host-model")
    # A guest that crashes takes its carrier along, so that it is withdrawn; the operator looks at why.
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        ElementTree.SubElement(root, event).text = action
    devices = ElementTree.SubElement(root, "devices")
    console = ElementTree.SubElement(devices, "console", type="pty")
    ElementTree.SubElement(console, "target", type="serial")
    return root


def _child(parent: ElementTree.Element, name: str) -> ElementTree.Element:
    found = parent.find(name)
    return found if found is not None else ElementTree.SubElement(parent, name)


def _set_text(parent: ElementTree.Element, name: str, text: str) -> None:
    """Give a child a text, or remove it where there is none to give."""
    if text:
        _child(parent, name).text = text
    for element in parent.findall(name) if not text else ():
        parent.remove(element)


def _replace_text(root: ElementTree.Element, name: str, text: str, **attributes: str) -> None:
    element = _child(root, name)
    element.text = text
    element.attrib.update(attributes)


def _put_disks(devices: ElementTree.Element, disks: Sequence[Disk]) -> None:
    """Put the disks in place of those that are there; one that stays keeps its address on its bus."""
    kept = {disk: element for element in devices.findall("disk") for disk in [_read_disk(element)] if disk is not None}
    for element in list(kept.values()):
        devices.remove(element)
    taken = {_target_name(kept[disk]) for disk in disks if disk in kept}
    for disk in disks:
        devices.append(kept[disk] if disk in kept else _new_disk(disk, taken))


def _target_name(element: ElementTree.Element) -> str:
    target = element.find("target")
    return target.get("dev", "") if target is not None else ""


def _new_disk(disk: Disk, taken: "set[str]") -> ElementTree.Element:
    is_block = disk.path.startswith("/dev/")
    element = ElementTree.Element("disk", type="block" if is_block else "file", device="disk")
    ElementTree.SubElement(element, "driver", name="qemu", type=disk.format)
    ElementTree.SubElement(element, "source", {"dev" if is_block else "file": disk.path})
    letters = (DISK_BUSES[disk.bus] + letter for letter in "abcdefghijklmnopqrstuvwxyz")
    name = next(each for each in letters if each not in taken)
    taken.add(name)
    ElementTree.SubElement(element, "target", dev=name, bus=disk.bus)
    if disk.readonly:
        ElementTree.SubElement(element, "readonly")
    return element


def _put_vnc(devices: ElementTree.Element, vnc: bool) -> None:
    """Give the domain a VNC display, on a port that libvirt finds and the address of its configuration, or take it."""
    for element in devices.findall("graphics[@type='vnc']"):
        devices.remove(element)
    if vnc:
        ElementTree.SubElement(devices, "graphics", type="vnc", autoport="yes")
    if vnc and devices.find("video") is None:
        ElementTree.SubElement(ElementTree.SubElement(devices, "video"), "model", type="vga")


def _put_nics(devices: ElementTree.Element, nics: Sequence[Nic]) -> None:
    """Put the cards in place of all that are there: a domain on a node of a fabric has no others.

    A card with the same MAC keeps its model and its place on the bus, so that the guest knows it again.
    """
    by_mac = {}
    for element in devices.findall("interface"):
        mac = element.find("mac")
        by_mac[(mac.get("address", "") if mac is not None else "").lower()] = element
        devices.remove(element)
    devices.extend([make_nic(nic, by_mac.get(nic.mac)) for nic in nics])


def make_nic(nic: Nic, known: Optional[ElementTree.Element] = None) -> ElementTree.Element:
    """Return the element of a card. libvirt leaves an interface with `managed='no'` as it is, MAC and all."""
    element = ElementTree.Element("interface", type="ethernet")
    ElementTree.SubElement(element, "mac", address=nic.mac)
    ElementTree.SubElement(element, "target", dev=nic.interface, managed="no")
    kept = [part for name in ("model", "address") for part in (known.findall(name) if known is not None else ())]
    element.extend(kept)
    if not any(part.tag == "model" for part in kept):
        ElementTree.SubElement(element, "model", type="virtio")
    if nic.queues:
        ElementTree.SubElement(element, "driver", name="vhost", queues=str(nic.queues))
    return element
