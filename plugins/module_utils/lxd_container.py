# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of LXD: what is wanted of one, and the plan; nothing here reads or changes the host.

What is ours is marked by keys of its configuration. A device of the operator's that has the name of one of ours is set
aside in such a key, and comes back when the container is no longer ours.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import check_vm_name, interface_name
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import peer_name

MARK = "user.vmcluster"
MADE, ADOPTED, LEFT = "made", "adopted", "left"
"""What the mark says: the module made the container; took it over; made it, and it is nobody's VM any more."""

ASIDE = "user.vmcluster.aside."
NETWORK_CONFIG = "cloud-init.network-config"
AUTOSTART = "boot.autostart"

RUNNING, STOPPED, PRESENT, ABSENT = "running", "stopped", "present", "absent"

_PEER = re.compile(r"_vm(\d+)$")

Device = Dict[str, str]


class Wanted(NamedTuple):
    """What one entry asks for. devices: its cards, None: not said. config: keys of its configuration."""

    name: str
    state: str
    image: str
    config: Mapping[str, str]
    devices: Optional[Mapping[str, Device]]
    adopt: bool
    was: str = ""


class FoundInstance(NamedTuple):
    """What LXD has of a container: its own configuration and devices, without those of its profiles."""

    config: Mapping[str, str]
    devices: Mapping[str, Device]
    running: bool

    @property
    def mark(self) -> str:
        return self.config.get(MARK, "")

    @property
    def ours(self) -> bool:
        """Whether the module made it, and it is a VM's."""
        return self.mark == MADE


def check_wanted(entries: Sequence[Mapping[str, Any]]) -> Tuple[List[Wanted], List[str]]:
    """Return what is asked for, and every mistake in it."""
    wanted: List[Wanted] = []
    mistakes: List[str] = []
    names: Set[str] = set()
    for entry in entries:
        name = entry["name"]
        wrong = [check_vm_name(name) or "", "is there twice: leave one" if name in names else ""]
        names.add(name)
        mistakes += [f"{name!r} {mistake}" for mistake in wrong if mistake]
        wanted.append(_read_entry(entry))
    return wanted, mistakes


def _read_entry(entry: Mapping[str, Any]) -> Wanted:
    nics = entry.get("nics")
    config = dict(entry.get("config") or {})
    if entry.get("network_config") is not None:
        config[NETWORK_CONFIG] = entry["network_config"]
    if entry.get("autostart") is not None or nics is not None:
        config[AUTOSTART] = "false" if entry.get("autostart") is False else "true"
    devices = None if nics is None else {f"eth{nic['nic']}": device_of(entry["name"], nic["nic"]) for nic in nics}
    return Wanted(entry["name"], entry["state"], entry.get("image") or "", config, devices, bool(entry.get("adopt")),
                  entry.get("was") or "")


def device_of(name: str, nic: int) -> Device:
    """Return a VM's card: the container is given the other end of its veth interface as it is."""
    interface, _altname = interface_name(name, nic)
    return {"type": "nic", "nictype": "physical", "parent": peer_name(interface), "name": f"eth{nic}"}


def is_ours(device: Mapping[str, str]) -> bool:
    """Tell whether a device is the other end of a VM's interface."""
    return device.get("nictype") == "physical" and bool(_PEER.search(device.get("parent", "")))


def interfaces_of(found: FoundInstance) -> Tuple[str, ...]:
    """Return the node's interfaces that a container is behind."""
    ours = [device for _name, device in sorted(found.devices.items()) if is_ours(device)]
    return tuple(_PEER.sub(r"_net\1", device["parent"]) for device in ours)


def plan_container(
    wanted: Wanted, found: Optional[FoundInstance], former: Optional[FoundInstance] = None,
) -> Tuple[Tuple[Step, ...], List[str]]:
    """Return the steps that bring a container into its state, and why that is refused.

    former: the container of the name that this one may still have. A step's commands are `stop`, `start`,
    `create JSON`, `update JSON`, `rename NAME`.
    """
    thing = f"container {wanted.name}"
    if found is None and former is not None:
        if former.running:
            return (), [f"{wanted.was}: runs, and a container that runs keeps its name: stop it"]
        renaming = Step(f"is called {wanted.was}", thing, (), (), (f"rename {wanted.was}",))
        further, mistakes = plan_container(wanted, former)
        return ((renaming, *further) if not mistakes else ()), mistakes
    if found is None:
        return _plan_new(wanted, thing)
    if wanted.state == ABSENT and found.mark in ("", LEFT):
        return (), []
    if not found.mark and not wanted.adopt:
        return (), [f"{wanted.name}: LXD has an instance of this name that others made: set adopt, or rename one"]
    after = _settle(wanted, found)
    steps: List[Step] = []
    if wanted.state in (STOPPED, ABSENT) and found.running:
        steps.append(Step("runs", thing, (), (), ("stop",)))
    if (after.config, after.devices) != (found.config, found.devices):
        text = json.dumps({"config": after.config, "devices": after.devices}, sort_keys=True)
        steps.append(Step("is not as described", thing, _lines(found), _lines(after), (f"update {text}",)))
    if wanted.state == RUNNING and not found.running:
        steps.append(Step("does not run", thing, (), (), ("start",)))
    return tuple(steps), []


def _plan_new(wanted: Wanted, thing: str) -> Tuple[Tuple[Step, ...], List[str]]:
    if wanted.state == ABSENT:
        return (), []
    if not wanted.image:
        return (), [f"{wanted.name}: LXD has no instance of this name: name the image of a new one"]
    made = FoundInstance({**wanted.config, MARK: MADE}, wanted.devices or {}, False)
    text = json.dumps({"image": wanted.image, "config": made.config, "devices": made.devices}, sort_keys=True)
    steps = [Step("LXD has no such container", thing, (), _lines(made), (f"create {text}",))]
    if wanted.state == RUNNING:
        steps.append(Step("does not run", thing, (), (), ("start",)))
    return tuple(steps), []


def _settle(wanted: Wanted, found: FoundInstance) -> FoundInstance:
    """Return configuration and devices as they are to be."""
    config, devices = dict(found.config), dict(found.devices)
    if wanted.state == ABSENT or wanted.devices is not None:
        for name in [name for name, device in devices.items() if is_ours(device)]:
            del devices[name]
    if wanted.state == ABSENT:
        for key in [key for key in config if key.startswith(ASIDE)]:
            devices[key[len(ASIDE):]] = json.loads(config.pop(key))
        left = found.mark in (MADE, LEFT)
        config.pop(MARK, None)
        return FoundInstance({**config, **({MARK: LEFT} if left else {}), AUTOSTART: "false"}, devices, False)
    for name, device in (wanted.devices or {}).items():
        if name in devices:
            config[ASIDE + name] = json.dumps(devices[name], sort_keys=True)
        devices[name] = device
    mark = MADE if found.mark in (MADE, LEFT) else ADOPTED
    return FoundInstance({**config, **wanted.config, MARK: mark}, devices, found.running)


def _lines(found: FoundInstance) -> Tuple[str, ...]:
    told = [key for key in sorted(found.config) if not key.startswith("image.")]
    keys = (f"{key}: {line}" for key in told for line in found.config[key].splitlines())
    return (*keys, *(f"{name}: {json.dumps(device, sort_keys=True)}" for name, device in sorted(found.devices.items())))
