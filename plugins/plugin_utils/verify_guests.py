# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what nodes record of their VMs with what their hypervisors say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .verify_model import Cluster, Difference, Evidence, Host

THING_OF_DRIVER = {"libvirt": "domain", "lxc": "container", "lxd": "container"}
AGAIN = "run attach_vm for it again, or detach_vm"

Found = Mapping[str, Any]


def guest_differences(
    hosts: Iterable[Host], clusters: Mapping[str, Cluster], evidence: Evidence
) -> Iterator[Difference]:
    """Tell where a node's records and its hypervisors do not agree, of VMs that a driver runs: a guest that is not
    there, is in another place too, is on other interfaces, or does not run as declared."""
    nodes = [host for host in hosts if "nodes" in host.roles]
    places = {
        (node.cluster, found["vm"]): node.name
        for node in nodes
        for found in evidence.get(node.name, {}).get("interfaces", ())
        if found["announcement"] != "standby"
    }
    for node in nodes:
        found = evidence.get(node.name, {})
        driven = _driven_interfaces(found.get("interfaces", ()))
        if "guests" not in found:
            if driven:
                yield Difference(node.name, "could not tell what its hypervisors run", "see above; see that they run")
            continue
        guests = {(guest["driver"], guest["name"]): guest for guest in found["guests"]}
        # Of a node out of service, guests are stopped or gone, as drain_node was told.
        states = {} if found.get("maintenance") else clusters[node.cluster].guests
        for (driver, name), interfaces in driven.items():
            yield from _compare_guest(node, guests.get((driver, name)), interfaces, states.get(name))
        for key, guest in guests.items():
            if key not in driven:
                yield from _misplaced_guest(node, guest, places, found.get("interfaces", ()))


def _driven_interfaces(interfaces: Iterable[Found]) -> dict[tuple[str, str], list[Found]]:
    driven: dict[tuple[str, str], list[Found]] = {}
    for each in interfaces:
        if each.get("driver") and each["announcement"] != "standby":
            driven.setdefault((each["driver"], each["vm"]), []).append(each)
    return driven


def _compare_guest(
    node: Host, guest: Found | None, interfaces: list[Found], declared: str | None
) -> Iterator[Difference]:
    name, driver = interfaces[0]["vm"], interfaces[0]["driver"]
    about, thing = (node.cluster, name), f"{THING_OF_DRIVER[driver]} {name}"
    if guest is None:
        yield Difference(node.name, f"{driver} has no {thing}, whose interface is here", AGAIN, about)
        return
    for what in _compare_cards(guest, interfaces):
        yield Difference(node.name, f"{thing} {what}", "run attach_vm for it again", about)
    if guest["attached"] is not None and _cards(guest["attached"]) != _cards(guest["nics"]):
        what = f"{thing} runs with other cards than it is defined with"
        yield Difference(node.name, what, "stop it, and attach_vm starts it with these", about)
    for each in interfaces:
        what = f"{thing} runs, and nothing uses {each['interface']}"
        if guest["running"] and not each["carrier"] and _is_attached(guest, each["interface"]):
            remedy = "see whether the guest has set it down; a container has a new card after its next start"
            yield Difference(node.name, what, remedy, about)
        what = f"{thing} does not run, and something else uses {each['interface']}"
        if not guest["running"] and each["carrier"]:
            yield Difference(node.name, what, "find what has it open, and end that", about)
    if declared is not None and guest["running"] != (declared == "running"):
        what = f"{thing} {'runs' if guest['running'] else 'does not run'}, and is declared {declared}"
        yield Difference(node.name, what, "run attach_vm for it or site.yml, or declare guest.state otherwise", about)


def _compare_cards(guest: Found, interfaces: Iterable[Found]) -> Iterator[str]:
    """Tell what differs between a guest's cards as defined and the records of its interfaces."""
    found = {nic["interface"]: nic["mac"] for nic in guest["nics"]}
    wanted = {each["interface"]: each["mac"] for each in interfaces}
    for interface in sorted(set(wanted) - set(found)):
        yield f"has no card on {interface}"
    for interface in sorted(set(found) - set(wanted)):
        yield f"has a card on {interface}, which its records do not have"
    for interface in sorted(set(found) & set(wanted)):
        if found[interface] and found[interface] != wanted[interface]:
            yield f"has a card with MAC {found[interface]} on {interface}, which is recorded with {wanted[interface]}"


def _cards(nics: Iterable[Found]) -> set[tuple[str, str]]:
    return {(nic["interface"], nic["mac"]) for nic in nics}


def _is_attached(guest: Found, interface: str) -> bool:
    cards = guest["nics"] if guest["attached"] is None else guest["attached"]
    return any(nic["interface"] == interface for nic in cards)


def _misplaced_guest(
    node: Host, guest: Found, places: Mapping[tuple[str, str], str], interfaces: Iterable[Found]
) -> Iterator[Difference]:
    """Tell of a guest that ought not to be on a node. Those that operators made and keep stopped are theirs."""
    name, driver = guest["name"], guest["driver"]
    place = places.get((node.cluster, name))
    thing, verb = f"{THING_OF_DRIVER[driver]} {name}", "runs" if guest["running"] else "is defined"
    about = (node.cluster, name)
    if any(each["vm"] == name for each in interfaces):
        # Others run the VM, by its record; they may do so with libvirt.
        if guest["ours"]:
            yield Difference(node.name, f"{driver}'s {thing} {verb}, and the VM's record does not say so", AGAIN, about)
    elif place is not None and (guest["ours"] or guest["running"]):
        remedy = f"end and undefine it here, if the VM is to stay on {place}"
        yield Difference(node.name, f"{driver}'s {thing} {verb} here, and the VM is on {place}", remedy, about)
    elif place is None and guest["ours"]:
        remedy = "detach_vm with its driver and node, or attach_vm for it again"
        yield Difference(node.name, f"{driver}'s {thing} {verb}, and no node has an interface of it", remedy, about)
