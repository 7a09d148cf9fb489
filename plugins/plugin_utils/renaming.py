# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving a VM another name: from what register, node and hypervisors say to what each is asked for. Pure.

Addresses and MACs stay. The register comes last and changes at once, so a run that was interrupted is known by leases
of the old name and records of the new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import check_vm_name

from .guests import container_nics, domain_nics, lxd_nics
from .names import lease_owner
from .read_guests import LIBVIRT, LXC, LXD, check_guest_name

Entry = dict[str, Any]
COPIED = ("nic", "addresses", "prefixes", "mac", "kind", "multi_queue", "mtu", "announcement")


def plan_renaming(
    plan: Mapping[str, Any],
    leases: Iterable[Mapping[str, Any]],
    found: Mapping[str, Any],
    guests: Iterable[Mapping[str, Any]],
    names: tuple[str, str],
    node: str,
    restart: bool = False,
) -> Entry:
    """Return a node's part in the renaming of a VM, nothing where the node does not hold the VM's leases.

    `mistakes`; `vms` as fabric_vm_iface takes them; `stopped`, `renamed`: as vm_guests returns guests, to be stopped
    before and renamed after that; `leases` as ip_pool_alloc takes them. plan: of cluster_plan; leases: of all
    registers; found: what fabric_vm_iface_info returned, of both names; guests: of guest_info; names: the old one and
    the new; restart: whether a guest that runs is stopped and started again.
    """
    old, new = names
    clusters: Mapping[str, Mapping[str, Any]] = plan["clusters"]
    cluster = next(name for name, described in clusters.items() if node in described["nodes"])
    described = clusters[cluster]
    mine = [lease for lease in leases if lease.get("holder") == node and _is_of(lease["owner"], cluster, old)]
    taken = [lease for lease in leases if _is_of(lease["owner"], cluster, new)]
    nics = {each["nic"]: each for name in (new, old) for each in found["interfaces"] if each["vm"] == name}
    cards = [nics[number] for number in sorted(nics)]
    guest = next((each for name in names for each in guests if each["name"] == name), None)
    nothing: Entry = {"mistakes": [], "vms": [], "stopped": _guests(), "renamed": _guests(), "leases": []}
    if not mine:
        return nothing
    mistakes = [
        *_check_names(described, old, new, next((each["driver"] for each in cards if each.get("driver")), None)),
        *([f"the register has leases of {new} already: choose another name"] if taken and old != new else []),
        *_check_cards(mine, cards, names, found["migrations"]),
        *_check_stopped(cards, guest, restart),
    ]
    if mistakes:
        return {**nothing, "mistakes": mistakes}
    return {
        **nothing,
        "vms": [
            *({"name": old, "nic": each["nic"], "state": "absent"} for each in cards),
            *(_interface(each, new) for each in cards),
        ],
        **_guest_parts(names, cards, guest, described.get("gateway"), restart),
        "leases": [
            *({"owner": owner, "state": "absent"} for owner in dict.fromkeys(lease["owner"] for lease in mine)),
            *(_lease(lease, cluster, new) for lease in mine),
        ],
    }


def _is_of(owner: str, cluster: str, name: str) -> bool:
    return owner.partition("#")[0] == lease_owner(cluster, name, 0)


def _check_names(described: Mapping[str, Any], old: str, new: str, driver: str | None) -> list[str]:
    mistakes = []
    if old == new:
        mistakes.append(f"{old} is the name that it has")
    if wrong := check_vm_name(new) or check_guest_name(new, driver):
        mistakes.append(f"{new!r} {wrong}")
    if any(vm["name"] == old for vm in described["vms"]):
        mistakes.append(f"{old} is declared in the inventory: change its name there first")
    return mistakes


def _check_cards(
    leases: Sequence[Mapping[str, Any]],
    cards: Sequence[Mapping[str, Any]],
    names: tuple[str, str],
    migrations: Iterable[Mapping[str, Any]],
) -> list[str]:
    """Tell why interfaces are not those of the VM that has the leases, or are not to be touched."""
    leased = {lease["address"] for lease in leases}
    if not cards:
        return [f"the node has no interface of {names[0]}: run attach_vm or site.yml"]
    others = [each["interface"] for each in cards if not leased.intersection(each["addresses"])]
    return [
        *(f"{interface} is that of another VM: choose another name" for interface in others),
        *(f"{each['vm']} migrates: finish that first" for each in migrations if each["vm"] in names),
    ]


def _check_stopped(
    cards: Iterable[Mapping[str, Any]], guest: Mapping[str, Any] | None, restart: bool
) -> list[str]:
    used = [each["interface"] for each in cards if each["carrier"]]
    if not used or (guest is not None and guest["running"] and restart):
        return []
    remedy = "stop it" if guest is None else "stop it, or say restart=true"
    return [f"a guest runs on {', '.join(used)}: {remedy}"]


def _interface(found: Mapping[str, Any], name: str) -> Entry:
    others = {key: found[key] for key in ("bridge", "driver") if found.get(key)}
    return {"name": name, **{key: found[key] for key in COPIED}, "owner": str(found["owner"]), **others}


def _lease(lease: Mapping[str, Any], cluster: str, name: str) -> Entry:
    nic = int(lease["owner"].partition("#")[2] or 0)
    kept = {key: lease[key] for key in ("pool", "address", "holder")}
    return {"owner": lease_owner(cluster, name, nic), **kept, "state": "present"}


def _guest_parts(
    names: tuple[str, str],
    cards: Sequence[Mapping[str, Any]],
    guest: Mapping[str, Any] | None,
    gateway: Mapping[str, str | None] | None,
    restart: bool,
) -> Entry:
    driver = next((each["driver"] for each in cards if each.get("driver")), None)
    if driver is None or guest is None:
        return {}
    old, new = names
    kind = {LIBVIRT: "domains", LXC: "containers", LXD: "lxd_containers"}[driver]
    # An interrupted run may have stopped it.
    runs = guest["running"] or (restart and any(each["vm"] == new for each in cards))
    nics = {
        LIBVIRT: domain_nics(cards), LXC: container_nics(cards, gateway), LXD: lxd_nics(cards)}[driver]
    state = {"state": "running" if runs else "present", "adopt": True}
    seeds = [{"name": new, "was": old, "state": "renamed"}] if driver == LIBVIRT else []
    stops = guest["running"] and guest["name"] == old
    stopped = [{"name": old, "state": "stopped", "adopt": True}] if stops else []
    return {
        "stopped": _guests(**{kind: stopped}),
        "renamed": _guests(**{kind: [{"name": new, "was": old, **state, "nics": nics}]}, seeds=seeds),
    }


def _guests(**found: list[Entry]) -> dict[str, list[Entry]]:
    return {"domains": [], "containers": [], "lxd_containers": [], "seeds": [], **found}
