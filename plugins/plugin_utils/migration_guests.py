# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the VMs that migrate, and what is asked of it on each node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .findings import Findings, Place
from .read_guests import EXTERNAL_DRIVER, LIBVIRT, read_guest

Entry = dict[str, Any]


def find_guest(
    plan: Mapping[str, Any], cluster: str, vm: Mapping[str, Any], recorded: str | None = None
) -> tuple[str, Entry | None, list[str]]:
    """Return what runs a VM, its description, None where it has none, and mistakes.

    What the entry of the VM says counts first, then the record of its interface, its declaration, and what the
    cluster's VMs are run by.
    """
    described = plan["clusters"][cluster]
    name = vm["name"]
    declared = next((each for each in described.get("vms", ()) if each["name"] == name and each["nic"] == 0), None)
    default = described.get("vm_driver") if declared is None else declared.get("driver")
    known = recorded or default or EXTERNAL_DRIVER
    told = {key: vm[key] for key in ("driver", "guest") if vm.get(key) is not None}
    findings = Findings()
    driver, guest = read_guest(Place(findings, vm["name"]), told, known)
    if guest is None and declared is not None and declared.get("driver") == driver:
        guest = declared.get("guest")
    return driver, guest, findings.mistake_lines()


def add_departure(part: Entry, end: Mapping[str, Any], driver: str) -> None:
    """Add an interface to a source's part: `external`, for others to move; `domains`, for libvirt_migration."""
    if driver != LIBVIRT:
        part["external"].append(end)
        return
    address = end["peer"]["ipv4"] or end["peer"]["ipv6"]
    domain = {"name": end["name"], "nics": [], "other": end["other"], "address": address}
    found = next((each for each in part["domains"] if each["name"] == end["name"]), domain)
    found["nics"].append(end["nic"])
    if found is domain:
        part["domains"].append(domain)


def describe_guest(name: str, nic: int, driver: str, guest: Entry | None) -> list[Entry]:
    """Return an interface's VM as the filter vm_guests takes it; none where others run it."""
    return [] if driver == EXTERNAL_DRIVER else [{"name": name, "nic": nic, "driver": driver, "guest": guest}]
