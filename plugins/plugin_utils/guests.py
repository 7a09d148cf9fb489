# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From VMs and their interfaces to what the modules of hypervisors are asked for. All pure, on plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .cloud_init import network_config
from .read_guests import LIBVIRT, LXC, LXD

SEED_FOLDER = "/var/lib/vmcluster/seeds"

Entry = dict[str, Any]


def vm_guests(
    vms: Iterable[Mapping[str, Any]],
    interfaces: Iterable[Mapping[str, Any]],
    gateway: Mapping[str, str | None] | None,
    mtu: int,
    state: str = "running",
) -> dict[str, list[Entry]]:
    """Return what a node's hypervisors are to run: `seeds` for cloud_init_seed, `domains` for libvirt_domain,
    `containers` for lxc_container, `lxd_containers` for lxd_container.

    vms: as `cluster_plan` returns them; interfaces: of one node, as vm_interfaces or fabric_vm_iface_info returns them,
    of which the first that tells of a NIC counts. VMs that others run are not in it. With state absent, what runs a VM
    is what its interfaces say, and a VM of which an interface is left in `interfaces` that is not listed in vms only
    loses the cards that are.
    """
    vms = list(vms)
    nics = _nics_by_name(interfaces)
    if state == "absent":
        return _absent_guests(vms, nics, gateway)
    domains, seeds, containers, lxd_containers = [], [], [], []
    described = {vm["name"] for vm in vms if vm["nic"] == 0}
    for vm in vms:
        name, guest = vm["name"], dict(vm.get("guest") or {"adopt": True})
        if "driver" not in vm or vm["nic"] != 0 or name not in nics:
            continue
        cards = [nics[name][number] for number in sorted(nics[name])]
        wanted = guest.pop("state", state)
        guest.setdefault("autostart", wanted == "running")
        if vm["driver"] == LXC:
            containers.append({**guest, "name": name, "state": wanted, "nics": container_nics(cards, gateway)})
            continue
        if vm["driver"] == LXD:
            # Without a gateway, on a bridge, it configures itself.
            text = {"network_config": network_config(cards, gateway, mtu)} if gateway else {}
            lxd_containers.append({**guest, "name": name, "state": wanted, "nics": lxd_nics(cards), **text})
            continue
        extra = {key: guest.pop(key) for key in ("seed", "user_data", "nameservers", "search") if key in guest}
        # A domain that is adopted has been configured by its operator, and keeps all its disks if none are listed.
        adopts = guest.get("adopt", False)
        if gateway and extra.get("seed", not adopts) and ("disks" in guest or not adopts):
            resolver = {key: extra.get(key, ()) for key in ("nameservers", "search")}
            seed = {"name": name, "network_config": network_config(cards, gateway, mtu, **resolver)}
            seeds.append({**seed, **({"user_data": extra["user_data"]} if "user_data" in extra else {})})
            disk = {"path": f"{SEED_FOLDER}/{name}.iso", "format": "raw", "readonly": True}
            guest["disks"] = [*guest.get("disks", ()), disk]
        domains.append({**guest, "name": name, "state": wanted, "nics": domain_nics(cards)})
    # Of a VM that is told of without its first NIC, the cards alone are the matter.
    further = {vm["name"]: vm["driver"] for vm in vms if "driver" in vm and vm["name"] not in described}
    for name, driver in further.items():
        cards = [nics.get(name, {})[number] for number in sorted(nics.get(name, {}))]
        entry = {"name": name, "state": "present", "adopt": True}
        if cards and driver == LXC:
            containers.append({**entry, "nics": container_nics(cards, gateway)})
        elif cards and driver == LXD:
            lxd_containers.append({**entry, "nics": lxd_nics(cards)})
        elif cards:
            domains.append({**entry, "nics": domain_nics(cards)})
    return {"domains": domains, "seeds": seeds, "containers": containers, "lxd_containers": lxd_containers}


def _absent_guests(
    vms: Iterable[Mapping[str, Any]],
    nics: Mapping[str, Mapping[int, Mapping[str, Any]]],
    gateway: Mapping[str, str | None] | None,
) -> dict[str, list[Entry]]:
    drivers = {vm["name"]: vm.get("driver") for vm in vms}
    for name in drivers.keys() & nics.keys():
        drivers[name] = next((card["driver"] for card in nics[name].values() if card.get("driver")), None)
    leaving = {(vm["name"], vm["nic"]) for vm in vms}
    found: dict[str, list[Entry]] = {"domains": [], "seeds": [], "containers": [], "lxd_containers": []}
    for name, driver in drivers.items():
        cards = [nics[name][number] for number in sorted(nics.get(name, {})) if (name, number) not in leaving]
        gone, kept = {"name": name, "state": "absent"}, {"name": name, "state": "present", "adopt": True}
        if driver == LIBVIRT:
            found["domains"].append({**kept, "nics": domain_nics(cards)} if cards else {**gone, "adopt": True})
            found["seeds"] += [] if cards else [gone]
        elif driver == LXC:
            left = {**kept, "nics": container_nics(cards, gateway)}
            found["containers"].append(left if cards else {**gone, "adopt": True})
        elif driver == LXD:
            found["lxd_containers"].append({**kept, "nics": lxd_nics(cards)} if cards else {**gone, "adopt": True})
    return found


def domain_nics(cards: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Return interfaces as the cards of libvirt_domain."""
    return [{"nic": card["nic"], "mac": card["mac"]} for card in cards]


def container_nics(
    cards: Iterable[Mapping[str, Any]], gateway: Mapping[str, str | None] | None
) -> list[Entry]:
    """Return interfaces as the cards of lxc_container. Without a gateway, on a bridge, containers configure themselves:
    what else is on their network is not ours to know."""
    ways = _addresses(gateway)
    return [{"nic": card["nic"], "addresses": card["addresses"] if ways else [], "gateway": ways} for card in cards]


def lxd_nics(cards: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Return interfaces as the cards of lxd_container."""
    return [{"nic": card["nic"]} for card in cards]


def _addresses(gateway: Mapping[str, str | None] | None) -> dict[str, str]:
    return {key: str(value) for key, value in (gateway or {}).items() if key in ("ipv4", "ipv6") and value}


def _nics_by_name(interfaces: Iterable[Mapping[str, Any]]) -> dict[str, dict[int, Mapping[str, Any]]]:
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for each in interfaces:
        found.setdefault(each.get("vm") or each["name"], {}).setdefault(each["nic"], each)
    return found
