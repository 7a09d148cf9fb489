# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan domains of libvirt: from what is there and what is wanted to steps. Pure."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple
from xml.etree import ElementTree

from ansible_collections.vmcluster.network.plugins.module_utils.libvirt_domain import (
    ABSENT,
    RUNNING,
    STOPPED,
    Domain,
    FoundDomain,
    Nic,
    Wanted,
    make_nic,
    make_xml,
    rename_xml,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step


def plan_domain(
    wanted: Wanted, found: Optional[FoundDomain], accelerator: str, former: Optional[FoundDomain] = None,
) -> Tuple[Tuple[Step, ...], List[str]]:
    """Return the steps that bring a domain into its state, and why that is refused.

    former: the domain of the name that this one may still have. A step's commands are one of `stop`, `remove`,
    `rename NAME`, `define XML`, `autostart on|off`, `start`, `plug XML`, `unplug XML`.
    """
    name, thing = wanted.domain.name, f"domain {wanted.domain.name}"
    if wanted.state == ABSENT:
        return _plan_removal(found, thing, wanted.adopt)
    steps: List[Step] = []
    if found is None and former is not None:
        if former.running:
            return (), [f"{wanted.was}: runs, and a domain that runs keeps its name: stop it"]
        steps.append(Step(f"is called {wanted.was}", thing, (f"name: {wanted.was}",), (f"name: {name}",),
                          (f"rename {wanted.was}",)))
        found = former._replace(domain=former.domain._replace(name=name), xml=rename_xml(former.xml, name))
    if found is None:
        needed = {"memory": wanted.domain.memory, "disks or boot": wanted.domain.disks or wanted.domain.boot}
        mistakes = [f"{name}: {key} is missing: libvirt has no such domain, so it must be described"
                    for key, value in needed.items() if not value]
        if mistakes:
            return (), mistakes
    elif not found.ours and not wanted.adopt:
        return (), [f"{name}: libvirt has a domain of this name that others made: set adopt, or rename one"]
    wanted = _settle_machine(wanted, found)
    before, after = describe_changes(wanted.domain, found.domain if found else None)
    if after or before:
        why = f"libvirt has no domain {name}" if found is None else "is not as described"
        steps.append(Step(why, thing, before, after, (f"define {make_xml(wanted, accelerator, found)}",)))
    if found is not None and found.attached is not None and wanted.state != STOPPED:
        steps += plan_cards(wanted.domain.nics, found.attached, thing)
    autostart = wanted.domain.autostart
    if autostart is not None and autostart != (found.domain.autostart if found else False):
        what = "starts" if autostart else "does not start"
        steps.append(Step(f"{what} with the node", thing, (), (), (f"autostart {'on' if autostart else 'off'}",)))
    running = found is not None and found.running
    if wanted.state == RUNNING and not running:
        steps.append(Step("does not run", thing, (), (), ("start",)))
    if wanted.state == STOPPED and running:
        steps.insert(0, Step("runs", thing, (), (), ("stop",)))
    return tuple(steps), []


def plan_cards(wanted: Optional[Sequence[Nic]], attached: Sequence[Nic], thing: str) -> List[Step]:
    """Return the steps that plug cards into a domain that runs, and unplug them.

    A card that changes otherwise waits for the next start: the guest would lose what it has.
    """
    if wanted is None:
        return []
    there, asked = {nic.interface for nic in attached}, {nic.interface for nic in wanted}
    coming = [nic for nic in wanted if nic.interface not in there]
    going = [nic for nic in attached if nic.interface not in asked]
    steps = [Step("runs with a card too much", thing, (f"nic: {nic}",), (), (f"unplug {_nic_xml(nic)}",))
             for nic in going]
    return steps + [Step("runs without a card", thing, (), (f"nic: {nic}",), (f"plug {_nic_xml(nic)}",))
                    for nic in coming]


def _nic_xml(nic: Nic) -> str:
    return ElementTree.tostring(make_nic(nic), encoding="unicode")


def _settle_machine(wanted: Wanted, found: Optional[FoundDomain]) -> Wanted:
    """libvirt keeps the versioned name of what an alias such as q35 meant when it was defined."""
    there = (found.domain.machine if found else None) or ""
    alias = {"pc": "pc-i440fx", "q35": "pc-q35"}.get(wanted.domain.machine or "")
    if alias and there.startswith(f"{alias}-"):
        return wanted._replace(domain=wanted.domain._replace(machine=there))
    return wanted


def _plan_removal(found: Optional[FoundDomain], thing: str, adopt: bool) -> Tuple[Tuple[Step, ...], List[str]]:
    """A domain of others is stopped only, and only if that was asked for."""
    if found is None:
        return (), []
    if not found.ours and not adopt:
        return (), [f"{found.domain.name}: others made this domain: set adopt to have it stopped"]
    steps = [Step("runs", thing, (), (), ("stop",))] if found.running else []
    if found.ours:
        before, _after = describe_changes(found.domain, None)
        steps.append(Step("is to be removed", thing, _after, (), ("remove",)))
    elif found.domain.autostart:
        steps.append(Step("does not start with the node", thing, (), (), ("autostart off",)))
    return tuple(steps), []


def describe_changes(wanted: Domain, there: Optional[Domain]) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    """Return the lines that go and those that come, of what is described and differs."""
    old, new = (_describe(there, wanted) if there else {}), _describe(wanted, wanted)
    keys = [key for key in new if old.get(key) != new[key]]
    return (tuple(line for key in keys for line in old.get(key, ())), tuple(line for key in keys for line in new[key]))


def _describe(domain: Domain, asked: Domain) -> Dict[str, Tuple[str, ...]]:
    """Return a domain's lines by key, of the keys that another one says something of."""
    texts: Dict[str, Tuple[str, ...]] = {
        "vcpus": (f"vcpus: {domain.vcpus}",), "memory": (f"memory: {domain.memory} MiB",),
        "machine": (f"machine: {domain.machine}",), "boot": (f"boot: {' '.join(domain.boot or ())}",),
        "disks": tuple(f"disk: {disk}" for disk in domain.disks or ()),
        "nics": tuple(f"nic: {nic}" for nic in domain.nics or ()),
        "vnc": (f"VNC display: {'yes' if domain.vnc else 'no'}",),
    }
    return {key: lines for key, lines in texts.items() if getattr(asked, key) is not None}
