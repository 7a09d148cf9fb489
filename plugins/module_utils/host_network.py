# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a change of a host's network: compare what is there with what a plan wants. Pure; reading is host_read.py."""

from __future__ import annotations

import ipaddress
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import (
    host_ifupdown,
    host_netplan,
    host_networkd,
    host_nm,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_change import Side, make_record
from ansible_collections.vmcluster.network.plugins.module_utils.host_files import (
    CLOUD_INIT_PATH,
    MARK,
    SYSCTL_PATH,
    Commands,
    File,
    Files,
    keep_from_cloud_init,
    render_sysctls,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan, Interface
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import Evidence, Kernel, Link
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step

MANAGERS = ("netplan", "nm", "networkd", "ifupdown")
NAMES = {"netplan": "netplan", "nm": "NetworkManager", "networkd": "systemd-networkd", "ifupdown": "ifupdown"}

_RENDER: Dict[str, Callable[[HostPlan], Dict[str, File]]] = {
    "netplan": host_netplan.render, "nm": host_nm.render, "networkd": host_networkd.render,
    "ifupdown": host_ifupdown.render}
_SECTIONS: Dict[str, Callable[[Mapping[str, File]], Dict[str, str]]] = {
    "netplan": host_netplan.sections, "nm": host_nm.sections, "networkd": host_networkd.sections,
    "ifupdown": host_ifupdown.sections}


class Found(NamedTuple):
    """What the host has. sysctls: values now, by path under /proc/sys, of those that the plan sets or managers do."""

    kernel: Kernel
    evidence: Evidence
    manager: str
    files: Mapping[str, File]
    sysctls: Mapping[str, str] = {}


class Change(NamedTuple):
    """All that differs: steps to tell, files to put (None: to remove), and the interfaces concerned."""

    steps: Tuple[Step, ...]
    files: Files
    touched: Tuple[str, ...]


def choose_manager(evidence: Evidence, names: Iterable[str]) -> Tuple[str, str]:
    """Return who manages these interfaces of the host, or an empty text and why that cannot be said."""
    claims: Dict[str, List[str]] = {}
    for name in names:
        if evidence.netplan:
            claims.setdefault("netplan", []).append(name)
        elif name in evidence.nm and not evidence.nm[name].startswith(("unmanaged", "connected (externally")):
            claims.setdefault("nm", []).append(name)
        elif evidence.networkd.get(name, "unmanaged") != "unmanaged":
            claims.setdefault("networkd", []).append(name)
        if name in evidence.ifupdown:  # beside another manager as well: its stanzas count again at the next boot
            claims.setdefault("ifupdown", []).append(name)
    if len(claims) > 1:
        told = " and ".join(f"{', '.join(chosen)} is {NAMES[each]}'s" for each, chosen in sorted(claims.items()))
        return "", f"{told}: leave all interfaces of the plan to one of them, or say which by manager"
    if claims or evidence.netplan:
        return next(iter(claims), "netplan"), ""
    running = {"nm": evidence.nm, "networkd": evidence.networkd, "ifupdown": evidence.ifupdown}
    there = [each for each, found in running.items() if found]
    if len(there) == 1:
        return there[0], ""
    known = ", ".join(NAMES[each] for each in there) or "none of " + ", ".join(NAMES.values())
    return "", f"it cannot be told who manages the network here ({known}): say it by manager"


def owned_names(manager: str, files: Mapping[str, File]) -> List[str]:
    """Return the interfaces that our files on the host speak of."""
    return list(_SECTIONS[manager](files))


def sysctl_path(key: str) -> str:
    """Return the path under /proc/sys of a key, in which either `.` or `/` separates (sysctl.d(5))."""
    first = next((sign for sign in key if sign in "./"), "/")
    return key if first == "/" else "/".join(part.replace("/", ".") for part in key.split("."))


def plan_change(found: Found, plan: HostPlan) -> Tuple[Change, List[str]]:
    """Return what differs between host and plan, and why it cannot be changed."""
    wanted, mistakes = _wanted_files(found, plan)
    files = {path: file for path, file in wanted.items() if found.files.get(path) != file}
    before = _SECTIONS[found.manager](found.files)
    after = _SECTIONS[found.manager](_RENDER[found.manager](plan))
    mistakes += _check_released([name for name in before if name not in plan.names], list(before), found.kernel)
    differs = plan_differences(plan, found.kernel, found.sysctls)
    touched = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    touched |= {name for name, _what in differs if name in plan.names}
    running = [] if touched & {*before, *after} and files else [
        Step(what, f"interface {name}" if name in plan.names else name, after=(what,)) for name, what in differs]
    steps = [_file_step(path, found.files.get(path), file) for path, file in files.items()]
    order = [*plan.names, *(name for name in before if name not in plan.names)]
    return Change((*steps, *running), files, tuple(name for name in order if name in touched)), mistakes


def plan_differences(plan: HostPlan, kernel: Kernel, sysctls: Mapping[str, str]) -> List[Tuple[str, str]]:
    """Return what of the plan the kernel has not, by interface (or sysctl)."""
    found = []
    for interface in plan.interfaces:
        link = kernel.links.get(interface.name)
        missing = ["is not there"] if link is None else list(_differences(interface, link, kernel))
        found += [(interface.name, what) for what in missing]
    for key, value in plan.sysctls.items():
        there = sysctls.get(sysctl_path(key))
        if there is not None and there.split() != value.split():
            found.append((f"sysctl {key}", f"is {there}, not {value}"))
    return found


def new_addresses(plan: HostPlan, kernel: Kernel) -> List[Tuple[str, str]]:
    """Return interface and address of what the plan brings and the host has not."""
    there = {address.partition("/")[0] for link in kernel.links.values() for address in link.addresses}
    return [(each.name, address.partition("/")[0]) for each in plan.interfaces for address in each.addresses
            if address.partition("/")[0] not in there]


def make_change(name: str, found: Found, plan: HostPlan, change: Change) -> Dict[str, Any]:
    """Return the record of a change, both ways."""
    links = found.kernel.links
    there, back = _commands(found, plan, change.touched)
    released = [each for each in change.touched if each not in plan.names]
    gone = tuple(each for each in released if each in links and links[each].kind in ("bridge", "bond", "vlan"))
    made = tuple(each for each in reversed(plan.made) if each not in links)
    wanted = {sysctl_path(key): value for key, value in plan.sysctls.items()}
    old = {path: found.sysctls[path] for path in wanted if path in found.sysctls}
    ipv6 = {path: value for path, value in found.sysctls.items() if path not in wanted}
    boot = Commands(enter=(("netplan", "generate"),)) if found.manager == "netplan" else Commands()
    before: Files = {path: found.files.get(path) for path in change.files}
    record = make_record(
        name, Side(change.files, there, gone, wanted), Side(before, back, made, old, ipv6), boot, found.kernel,
        {*change.touched, *(port for each in plan.interfaces for port in each.ports)})
    return {**record, "probe": new_addresses(plan, found.kernel)}


def _wanted_files(found: Found, plan: HostPlan) -> Tuple[Files, List[str]]:
    wanted: Dict[str, Any] = {**_RENDER[found.manager](plan), **render_sysctls(plan)}
    mistakes: List[str] = []
    for path, file in found.files.items():
        if path in wanted:
            continue
        if path in (SYSCTL_PATH, CLOUD_INIT_PATH, host_netplan.PATH, host_ifupdown.PATH):
            wanted[path] = None
        elif found.manager == "netplan":
            text, wrong = host_netplan.take_over(file.text, plan.names)
            macs = {name: link.mac for name, link in found.kernel.links.items() if link.physical and name in plan.names}
            mistakes += [f"{path}: {each}" for each in (wrong, *host_netplan.find_others(file.text, macs)) if each]
            wanted[path] = _rewritten(file, text)
        elif found.manager == "ifupdown":
            mistakes += host_ifupdown.find_volatile(path, file.text, plan.names)
            wanted[path] = _rewritten(file, host_ifupdown.take_over(file.text, plan.names, path))
        elif path.startswith((f"{host_networkd.FOLDER}/{host_networkd.OURS}", f"{host_nm.FOLDER}/{host_nm.OURS}")):
            wanted[path] = None
    if found.evidence.cloud_init:
        wanted.update(keep_from_cloud_init(wanted))
    if found.manager == "networkd":
        mistakes += [f"{path} comes before this collection's files, so it would be used instead: rename it to a higher "
                     f"number" for path in host_networkd.find_earlier(found.files, plan.names)]
    return wanted, mistakes


def _check_released(released: Sequence[str], ours: Sequence[str], kernel: Kernel) -> List[str]:
    """What we made is not taken away under somebody else's ports."""
    held = [(link.master, link.name) for link in kernel.links.values()
            if link.master in released and link.name not in ours]
    return [f"interface {master} has port {name}, which is not of this collection: take it out before {master} goes"
            for master, name in held]


def _rewritten(file: File, text: str) -> File:
    """An operator's file; one in which nothing is said differently stays as it is to the letter."""
    return file if text.rstrip("\n") == file.text.rstrip("\n") else file._replace(text=text)


def _file_step(path: str, before: "File | None", after: "File | None") -> Step:
    old, new = ((file.text if file else "").splitlines() for file in (before, after))
    if before is None:
        return Step("is missing", f"file {path}", after=tuple(new))
    if after is None:
        return Step("is not wanted any more", f"file {path}", before=tuple(old))
    if before.text == after.text:
        return Step("has other permissions", f"file {path}", (oct(before.mode),), (oct(after.mode),))
    if any(line.startswith(MARK) for line in (*old, *new)):  # an operator's: it may hold secrets elsewhere
        return Step("has lines of interfaces that the plan has, or no longer has", f"file {path}",
                    tuple(line for line in old if line not in new), tuple(line for line in new if line not in old))
    return Step("differs", f"file {path}", tuple(old), tuple(new))


def _differences(interface: Interface, link: Link, kernel: Kernel) -> Iterable[str]:
    if link.master != interface.master:
        yield f"is a port of {link.master or 'nothing'}, not of {interface.master or 'anything'}"
    if interface.kind not in ("port", link.kind):
        yield f"is a {link.kind or 'NIC'}, not a {interface.kind}: give it another name"
    if interface.kind == "vlan" and (link.id, link.link) != (interface.id, interface.link):
        yield f"is VLAN {link.id} of {link.link}, not {interface.id} of {interface.link}: give it another name"
    if interface.kind == "bond" and link.mode != interface.mode:
        yield f"has mode {link.mode}, not {interface.mode}: give it another name"
    if not link.up:
        yield "is down"
    if interface.mtu and link.mtu != interface.mtu:
        yield f"mtu is {link.mtu}, not {interface.mtu}"
    if interface.mac and link.current_mac != interface.mac:
        yield f"MAC address is {link.current_mac}, not {interface.mac}"
    there = {str(ipaddress.ip_interface(address)) for address in link.addresses}
    yield from (f"has not {address}" for address in interface.addresses if address not in there)
    if interface.dhcp4 and not any("." in address for address in there):
        yield "has no address by DHCP"
    if not interface.link_local or interface.master:
        yield from (f"has {address}" for address in sorted(there) if address.startswith("fe80:"))
    if interface.master:
        yield from (f"has {address}" for address in sorted(there) if not address.startswith("fe80:"))
    known = {(each.to, each.via, each.dev, each.unreachable) for each in kernel.routes}
    for route in interface.routes:
        if route.unreachable and (route.to, "", "", True) not in known:
            yield f"has no route by which {route.to} is unreachable"
        elif not route.unreachable and (route.to, route.via, interface.name, False) not in known:
            yield f"has no route to {route.to} by {route.via or 'itself'}"


def _commands(found: Found, plan: HostPlan, touched: Sequence[str]) -> Tuple[Commands, Commands]:
    """How the manager goes there and back."""
    links = found.kernel.links
    there_now = [name for name in touched if name in links]
    if found.manager == "nm":
        chosen = HostPlan(tuple(each for each in plan.interfaces if each.name in touched))
        masters_first = sorted(there_now, key=lambda name: bool(links[name].master))
        active = {name: found.evidence.active[name] for name in masters_first if name in found.evidence.active}
        return host_nm.commands(chosen), host_nm.return_commands(active)
    if found.manager == "ifupdown":
        return _ifupdown_commands(found, plan, touched)
    staying = [name for name in there_now if name in plan.names or links[name].kind not in ("bridge", "bond", "vlan")]
    if found.manager == "netplan":
        renderer = host_netplan.read_renderer([file.text for file in found.files.values()])
        return host_netplan.commands(renderer, staying), host_netplan.commands(renderer, there_now)
    return host_networkd.commands(staying), host_networkd.commands(there_now)


def _ifupdown_commands(found: Found, plan: HostPlan, touched: Sequence[str]) -> Tuple[Commands, Commands]:
    links, ours = found.kernel.links, owned_names("ifupdown", found.files)
    in_place = [name for name in plan.names if name in touched and name in ours and name in links]
    changed: Set[str] = {*touched} - {*in_place}
    known = [*(name for name in found.evidence.ifupdown if name not in ours), *ours]
    up = {name for name in changed if name in links and links[name].up}
    before = list(dict.fromkeys(name for name in known if host_ifupdown.interface_of(name) in up))
    after = [name for name in plan.names if name in touched]
    after += [name for name in _stanzas_after(found, plan) if host_ifupdown.interface_of(name) in up - {*plan.names}]
    there = host_ifupdown.commands(before[::-1], in_place, after)
    back = host_ifupdown.commands([name for name in after[::-1] if name not in in_place], in_place,
                                  [*before, *(name for name in in_place)])
    ended = host_ifupdown.end_routes(host_ifupdown.sections(found.files), in_place)
    return there._replace(leave=(*there.leave, *ended)), back


def _stanzas_after(found: Found, plan: HostPlan) -> List[str]:
    """The interfaces that the operator's files will speak of."""
    texts = [host_ifupdown.take_over(file.text, plan.names, path) for path, file in found.files.items()
             if path not in (host_ifupdown.PATH, SYSCTL_PATH, CLOUD_INIT_PATH)]
    return list(dict.fromkeys(name for text in texts for name in host_ifupdown.defined_names(text)))
