# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of LXC: what is wanted of one, its files, and the plan; nothing here reads or changes the host.

A container has its network in a file of ours, which its configuration includes (lxc.container.conf(5)). What the
operator had written of its network is set aside by a mark, and comes back when the container is no longer ours.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import check_vm_name, interface_name
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import peer_name

HEADER = "# Made by the Ansible module vmcluster.network.lxc_container."
ASIDE = "#vmcluster: "
NETWORK_FILE = "vmcluster.conf"

_LINK = re.compile(r"^lxc\.net\.\d+\.link = (\S+)$", re.MULTILINE)
_PEER = re.compile(r"_vm(\d+)$")

RUNNING, STOPPED, PRESENT, ABSENT = "running", "stopped", "present", "absent"

SET_ASIDE = ("lxc.net.", "lxc.network.", "lxc.start.auto")
"""Keys that our file has; of the operator's own the last of a kind would win, or both would count."""


class Wanted(NamedTuple):
    """What one entry asks for. network: the lines of our file, None: not said. was: the name that it may still have.

    is_described: whether more is said of a container that is there than its network and its state.
    """

    name: str
    state: str
    rootfs: str
    config: Tuple[str, ...]
    network: Optional[Tuple[str, ...]]
    adopt: bool
    was: str = ""
    is_described: bool = True


class FoundContainer(NamedTuple):
    """What a host has of a container; None: no such file."""

    config: Optional[str]
    network: Optional[str]
    running: bool

    @property
    def ours(self) -> bool:
        """Whether the module made it."""
        return (self.config or "").startswith(HEADER)


def check_wanted(entries: Sequence[Mapping[str, Any]], folder: str) -> Tuple[Tuple[Wanted, ...], List[str]]:
    """Return what is wanted, and all mistakes; with mistakes, what is wanted must not be used."""
    mistakes: List[str] = []
    wanted: List[Wanted] = []
    for index, entry in enumerate(entries):
        where, name = f"containers[{index}]", entry["name"]
        wrong = check_vm_name(name)
        if wrong:
            mistakes.append(f"{where}.name: {name!r} {wrong}")
        if any(each.name == name for each in wanted):
            mistakes.append(f"{where}.name: {name!r} is there twice: leave one")
        nics = entry.get("nics")
        mistakes += [f"{where}.nics[{number}]: {error}" for number, nic in enumerate(nics or ())
                     for error in _check_nic(nic)]
        mistakes += [f"{where}.config: {line!r} is no line of a configuration: write it like `lxc.key = value`"
                     for line in entry.get("config") or () if "=" not in line or "\n" in line]
        network = None if nics is None or mistakes else _network_lines(name, nics, entry.get("autostart"))
        rootfs = entry.get("rootfs") or f"{folder}/{name}/rootfs"
        wanted.append(Wanted(name, entry["state"], rootfs, tuple(entry.get("config") or ()), network, entry["adopt"],
                             entry.get("was") or "", bool(entry.get("rootfs") or entry.get("config"))))
    return tuple(wanted), mistakes


def _check_nic(nic: Mapping[str, Any]) -> List[str]:
    mistakes = []
    for text in (*(nic.get("addresses") or ()), *filter(None, (nic.get("gateway") or {}).values())):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            mistakes.append(f"{text!r} is no address: write it like 203.0.113.10 or fe80::1, without length")
    return mistakes


def _network_lines(name: str, nics: Sequence[Mapping[str, Any]], autostart: Optional[bool]) -> Tuple[str, ...]:
    """Return the lines of our file. LXC itself adds the route to a gateway that lies in no subnet of the container."""
    lines = [f"lxc.start.auto = {1 if autostart is not False else 0}"]
    routed = set()
    for nic in sorted(nics, key=lambda each: each["nic"]):
        key = f"lxc.net.{nic['nic']}"
        interface, _altname = interface_name(name, nic["nic"])
        lines += [f"{key}.type = phys", f"{key}.link = {peer_name(interface)}", f"{key}.name = eth{nic['nic']}",
                  f"{key}.flags = up"]
        for address in map(ipaddress.ip_address, nic.get("addresses") or ()):
            family = f"ipv{address.version}"
            lines.append(f"{key}.{family}.address = {address}/{address.max_prefixlen}")
            gateway = (nic.get("gateway") or {}).get(family)
            if gateway and family not in routed:
                routed.add(family)
                lines.append(f"{key}.{family}.gateway = {gateway}")
    return tuple(lines)


def interfaces_of(network: str) -> Tuple[str, ...]:
    """Return the node's interfaces that a container is behind, by the text of our file."""
    return tuple(_PEER.sub(r"_net\1", link) for link in _LINK.findall(network))


def starts_with_node(network: str) -> bool:
    """Return whether a container starts with the node, by the text of our file."""
    return "lxc.start.auto = 1" in network.splitlines()


def config_path(folder: str, name: str) -> str:
    """Return where LXC looks for a container's configuration."""
    return f"{folder}/{name}/config"


def network_path(folder: str, name: str) -> str:
    """Return where our file is."""
    return f"{folder}/{name}/{NETWORK_FILE}"


def rename_texts(found: FoundContainer, old: str, new: str, folder: str) -> FoundContainer:
    """Return a container's files as they are under another name."""
    config = (found.config or "").replace(f"{folder}/{old}/", f"{folder}/{new}/")
    config = "".join(f"lxc.uts.name = {new}\n" if line.replace(" ", "") == f"lxc.uts.name={old}" else f"{line}\n"
                     for line in config.splitlines())
    return FoundContainer(config, found.network, False)


def plan_rename(wanted: Wanted, former: FoundContainer, folder: str) -> Tuple[Tuple[Step, ...], List[str]]:
    """Return the steps that give a container its new name, and why that is refused.

    The directory is moved last, so that what is interrupted is finished by the next call.
    """
    if former.running:
        return (), [f"{wanted.was}: runs, and a container that runs keeps its name: stop it"]
    config = rename_texts(former, wanted.was, wanted.name, folder).config or ""
    commands = (f"write {config_path(folder, wanted.was)} {config}",
                f"move {folder}/{wanted.was} {folder}/{wanted.name}")
    step = Step(f"is called {wanted.was}", f"container {wanted.name}", _lines(former.config), _lines(config), commands)
    return (step,), []


def plan_container(
    wanted: Wanted, found: FoundContainer, folder: str, former: Optional[FoundContainer] = None,
) -> Tuple[Tuple[Step, ...], List[str]]:
    """Return the steps that bring a container into its state, and why that is refused.

    former: the container of the name that this one may still have. A step's commands are `stop`, `start`,
    `write PATH TEXT`, `remove PATH`, `move PATH PATH`.
    """
    name, thing = wanted.name, f"container {wanted.name}"
    if found.config is None and former is not None and former.config is not None:
        renaming, mistakes = plan_rename(wanted, former, folder)
        if mistakes:
            return (), mistakes
        steps, mistakes = plan_container(wanted, rename_texts(former, wanted.was, name, folder), folder)
        return (*renaming, *steps), mistakes
    if found.config is not None and not found.ours and not wanted.adopt:
        return (), [f"{name}: LXC has a container of this name that others made: set adopt, or rename one"]
    texts = _wanted_texts(wanted, found, folder)
    files: List[Step] = []
    for path, there in ((network_path(folder, name), found.network), (config_path(folder, name), found.config)):
        text = texts[path]
        if text is None and there is not None:
            files.append(Step("is to be removed", path, _lines(there), (), (f"remove {path}",)))
        elif text is not None and text != there:
            why = f"LXC has no container {name}" if found.config is None else "is not as described"
            files.append(Step(why, path, _lines(there), _lines(text), (f"write {path} {text}",)))
    running = found.running
    changes: List[Step] = []
    if wanted.state in (STOPPED, ABSENT) and running:
        changes.append(Step("runs", thing, (), (), ("stop",)))
    # Where the network goes, the configuration that includes it goes first.
    changes += files if wanted.state != ABSENT else reversed(files)
    if wanted.state == RUNNING and not running:
        changes.append(Step("does not run", thing, (), (), ("start",)))
    return tuple(changes), []


def _wanted_texts(wanted: Wanted, found: FoundContainer, folder: str) -> Dict[str, Optional[str]]:
    """Return the texts of both files as they are to be, None for one that is not to be there."""
    config, network = config_path(folder, wanted.name), network_path(folder, wanted.name)
    include = f"lxc.include = {network}"
    if wanted.state == ABSENT:
        left = None if found.ours or found.config is None else _give_back(found.config, include)
        return {config: left, network: None}
    text = found.network if wanted.network is None else _text((HEADER, *wanted.network))
    if found.config is None or (found.ours and wanted.is_described):
        lines = (HEADER, "lxc.include = /usr/share/lxc/config/common.conf", f"lxc.uts.name = {wanted.name}",
                 f"lxc.rootfs.path = dir:{wanted.rootfs}", *wanted.config, include)
        return {config: _text(lines), network: text if text is not None else _text((HEADER,))}
    if found.ours or text is None:
        return {config: found.config, network: text}
    return {config: _set_aside(found.config, include), network: text}


def _set_aside(config: str, include: str) -> str:
    lines = [ASIDE + line if line.replace(" ", "").startswith(SET_ASIDE) else line for line in config.splitlines()]
    return _text([line for line in lines if line != include] + [include])


def _give_back(config: str, include: str) -> str:
    lines = [line[len(ASIDE):] if line.startswith(ASIDE) else line for line in config.splitlines() if line != include]
    # A container whose interface has gone would not start.
    return _text([ASIDE + line if line.replace(" ", "").startswith("lxc.start.auto") else line for line in lines])


def _lines(text: Optional[str]) -> Tuple[str, ...]:
    return tuple((text or "").splitlines())


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
