# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what runs a VM, and what the VM is to have of it: processors, memory, disks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .findings import Place
from .values import (
    read_address,
    read_choice,
    read_flag,
    read_integer,
    read_list,
    read_mapping,
    read_text,
    read_texts,
    shown,
)

EXTERNAL_DRIVER, LIBVIRT, LXC, LXD = "external", "libvirt", "lxc", "lxd"
DRIVERS = (EXTERNAL_DRIVER, LIBVIRT, LXC, LXD)
CONTAINER_DRIVERS = (LXC, LXD)
KIND_OF_DRIVER = {LIBVIRT: "tap", LXC: "veth", LXD: "veth"}
"""What kind of interface a driver's guests are put behind."""

BUSES = ("virtio", "scsi", "sata", "ide")

Reader = Callable[[Place, object], Any]

_LXD_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?", re.ASCII)


def check_guest_name(name: str, driver: str | None) -> str:
    """Return why a driver takes no guest of a VM's name, with the remedy behind a colon; empty when it does.

    LXD and Incus take names that are host names (their documentation, "Instance properties"); others take every VM's.
    """
    if driver != LXD or _LXD_NAME.fullmatch(name):
        return ""
    return "is no name of a container of LXD: use letters, digits and '-', first a letter, not '-' at the end"


def _read_path(place: Place, value: object) -> str | None:
    path = read_text(place, value)
    if path is not None and not path.startswith("/"):
        place.mistake(f"{shown(path)} is not an absolute path", "begin it with /")
        return None
    return path


def _read_disks(place: Place, value: object) -> list[dict[str, Any]]:
    found = (_read_disk(place.item(index), element) for index, element in enumerate(read_list(place, value) or []))
    return [disk for disk in found if disk]


def _read_disk(place: Place, value: object) -> dict[str, Any]:
    if isinstance(value, str):
        path = _read_path(place, value)
        return {"path": path} if path else {}
    readers: dict[str, Reader] = {
        "path": _read_path,
        "format": read_text,
        "bus": lambda here, bus: read_choice(here, bus, BUSES),
        "readonly": read_flag,
    }
    disk = _read_fields(place, value, readers)
    if disk is not None and "path" not in disk and isinstance(value, Mapping) and "path" not in value:
        place.at("path").mistake("is missing", "name the disk's file or block device")
    return disk if disk and "path" in disk else {}


def _read_boot(place: Place, value: object) -> dict[str, Any] | None:
    boot = _read_fields(place, value, {"kernel": _read_path, "initrd": _read_path, "cmdline": read_text})
    if boot is not None and "kernel" not in boot:
        place.at("kernel").mistake("is missing", "name the kernel's file on the node")
        return None
    return boot


def _read_addresses(place: Place, value: object) -> list[str]:
    elements = read_list(place, value) or []
    found = (read_address(place.item(index), element) for index, element in enumerate(elements))
    return [str(address) for address in found if address is not None]


def _read_config(place: Place, value: object) -> dict[str, str] | None:
    """Return keys of a container's configuration as LXD has them, whose values are all text."""
    if not isinstance(value, Mapping):
        place.mistake(f"{shown(value)} is no mapping", "write it like {limits.memory: 512MiB}")
        return None
    return {str(key): str(each).lower() if isinstance(each, bool) else str(each) for key, each in value.items()}


def read_guest_state(place: Place, value: object) -> str | None:
    """Return whether a guest is to run."""
    return read_choice(place, value, ("running", "stopped"))


READERS: dict[str, dict[str, Reader]] = {
    LIBVIRT: {
        "vcpus": lambda place, value: read_integer(place, value, 1, 4096),
        "memory": lambda place, value: read_integer(place, value, 16, 1 << 26, " MiB"),
        "machine": read_text,
        "disks": _read_disks,
        "boot": _read_boot,
        "vnc": read_flag,
        "autostart": read_flag,
        "state": read_guest_state,
        "adopt": read_flag,
        "seed": read_flag,
        "user_data": read_text,
        "nameservers": _read_addresses,
        "search": read_texts,
    },
    LXC: {"rootfs": _read_path, "config": read_texts, "autostart": read_flag, "state": read_guest_state,
          "adopt": read_flag},
    LXD: {"image": read_text, "config": _read_config, "autostart": read_flag, "state": read_guest_state,
          "adopt": read_flag},
}


def read_driver(place: Place, value: object) -> str:
    """Return what runs VMs."""
    return read_choice(place, value, DRIVERS) or EXTERNAL_DRIVER


def read_guest(place: Place, fields: Mapping[str, object], default: str) -> tuple[str, dict[str, Any] | None]:
    """Return what runs a VM, and its description, None where it has none. fields: of one NIC of the VM."""
    driver = read_driver(place.at("driver"), fields.get("driver", default))
    if "guest" not in fields:
        return driver, None
    here = place.at("guest")
    if driver == EXTERNAL_DRIVER:
        here.mistake("others run this VM (driver: external)", f"set driver: {LIBVIRT}, {LXC} or {LXD}, or remove it")
        return driver, None
    if fields.get("nic", 0) != 0:
        here.mistake("is told of another NIC than the first", "move it to the VM's entry with nic 0")
        return driver, None
    guest = _read_fields(here, fields["guest"], READERS[driver])
    if guest is not None and driver == LIBVIRT and not guest.get("adopt"):
        _check_new_domain(here, fields["guest"])
    return driver, guest


def _check_new_domain(place: Place, described: object) -> None:
    """A domain that is not adopted is made, and what is made is described enough. Other mistakes are told already."""
    keys = {key for key, value in described.items() if value} if isinstance(described, Mapping) else set()
    if "memory" not in keys:
        place.at("memory").mistake("is missing", "give it in MiB, or adopt a domain that is there (adopt: true)")
    if not keys & {"disks", "boot"}:
        place.at("disks").mistake("is missing", "name the domain's disks, or a kernel to boot (boot)")


def read_kind(place: Place, fields: Mapping[str, object], driver: str, kinds: tuple[str, ...]) -> str:
    """Return the kind of a VM's interface; a driver's guests are put behind one kind."""
    fitting = KIND_OF_DRIVER.get(driver)
    kind = read_choice(place, fields.get("kind", fitting or "tap"), kinds) or "tap"
    if fitting and kind != fitting:
        place.mistake(f"guests of {driver} are put behind a {fitting}", f"write kind: {fitting}, or leave it out")
    return kind


def _read_fields(place: Place, value: object, readers: Mapping[str, Reader]) -> dict[str, Any] | None:
    fields = read_mapping(place, value, tuple(readers))
    if fields is None:
        return None
    found = {key: readers[key](place.at(key), element) for key, element in fields.items()}
    return {key: element for key, element in found.items() if element is not None}
