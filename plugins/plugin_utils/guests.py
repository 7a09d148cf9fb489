# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From VMs and their interfaces to what the modules of hypervisors are asked for. All pure, on plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .cloud_init import network_config
from .read_guests import LIBVIRT

SEED_FOLDER = "/var/lib/vmcluster/seeds"

Entry = dict[str, Any]


def vm_guests(
    vms: Iterable[Mapping[str, Any]],
    interfaces: Iterable[Mapping[str, Any]],
    gateway: Mapping[str, str | None] | None,
    mtu: int,
    state: str = "running",
) -> dict[str, list[Entry]]:
    """Return what a node's hypervisors are to run: `seeds` for cloud_init_seed, `domains` for libvirt_domain.

    vms: as `cluster_plan` returns them; interfaces: of one node, as vm_interfaces or fabric_vm_iface_info returns them,
    of which the first that tells of a NIC counts. VMs that others run are not in it. With state absent, VMs of which an
    interface is left in `interfaces` that is not listed in vms are left alone.
    """
    guests = {vm["name"]: vm for vm in vms if vm.get("driver") == LIBVIRT and vm["nic"] == 0}
    nics = _nics_by_name(interfaces)
    if state == "absent":
        gone = {vm["name"]: {"name": vm["name"], "state": "absent"} for vm in vms if vm.get("driver") == LIBVIRT}
        leaving = {(vm["name"], vm["nic"]) for vm in vms}
        whole = [name for name in gone if all((name, number) in leaving for number in nics.get(name, {}))]
        return {"domains": [{**gone[name], "adopt": True} for name in whole], "seeds": [gone[name] for name in whole]}
    domains, seeds = [], []
    for name, vm in guests.items():
        if name not in nics:
            continue
        cards = [nics[name][number] for number in sorted(nics[name])]
        guest = dict(vm.get("guest") or {"adopt": True})
        told = {key: guest.pop(key) for key in ("seed", "user_data", "nameservers", "search") if key in guest}
        # A domain that is adopted has been configured by its operator.
        if gateway and told.get("seed", not guest.get("adopt", False)):
            resolver = {key: told.get(key, ()) for key in ("nameservers", "search")}
            seed = {"name": name, "network_config": network_config(cards, gateway, mtu, **resolver)}
            seeds.append({**seed, **({"user_data": told["user_data"]} if "user_data" in told else {})})
            disk = {"path": f"{SEED_FOLDER}/{name}.iso", "format": "raw", "readonly": True}
            guest["disks"] = [*guest.get("disks", ()), disk]
        domains.append({
            "autostart": True, **guest, "name": name, "state": state,
            "nics": [{"nic": card["nic"], "mac": card["mac"]} for card in cards],
        })
    return {"domains": domains, "seeds": seeds}


def _nics_by_name(interfaces: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, Mapping[str, Any]]]:
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for each in interfaces:
        found.setdefault(each.get("vm") or each["name"], {}).setdefault(each["nic"], each)
    return found
