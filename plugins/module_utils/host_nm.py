# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a host's network as NetworkManager's keyfiles (nm-settings-keyfile(5)). Pure.

The operator's profiles stay. Ours win by their autoconnect-priority, at boot too.
"""

from __future__ import annotations

import uuid
from typing import Dict, Iterator, List, Mapping

from ansible_collections.vmcluster.network.plugins.module_utils.host_files import HEADER, Commands, File, join
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan, Interface, Route

FOLDER = "/etc/NetworkManager/system-connections"
OURS = "vmcluster-"
PRIORITY = 900  # of at most 999; a profile's default is 0
WAIT = "20"  # seconds for one profile to come up

_TYPES = {"port": "ethernet", "bridge": "bridge", "bond": "bond", "vlan": "vlan"}
_UP_ORDER = ("bridge", "bond", "port", "vlan")


def profile_path(name: str) -> str:
    """Return where an interface's keyfile is."""
    return f"{FOLDER}/{OURS}{name}.nmconnection"


def profile_uuid(name: str) -> str:
    """Return the profile's id: the same on every host and in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.interfaces.network.vmcluster.invalid"))


def render(plan: HostPlan) -> Dict[str, File]:
    """Return the keyfiles by path; NetworkManager ignores such that others may read."""
    kinds = {each.name: each.kind for each in plan.interfaces}
    return {profile_path(each.name): File(join([HEADER, *_profile(each, kinds)]), 0o600) for each in plan.interfaces}


def commands(plan: HostPlan) -> Commands:
    """Return how the keyfiles are taken over.

    An interface whose profile of ours is gone gets the operator's by itself. Asked for one, with `device connect` or
    `connection up ifname`, NetworkManager passes over a profile that it is bringing up already, and makes one with DHCP
    or takes the next best.
    """
    ordered = sorted(plan.interfaces, key=lambda each: _UP_ORDER.index(each.kind))
    return Commands(enter=(
        ("nmcli", "connection", "reload"),
        *(("nmcli", "--wait", WAIT, "connection", "up", "uuid", profile_uuid(each.name)) for each in ordered)))


def return_commands(active: Mapping[str, str]) -> Commands:
    """Return how the profiles that were active come back, all at once; active: their UUIDs by interface."""
    return Commands(enter=(
        ("nmcli", "connection", "reload"),
        *(("nmcli", "--wait", "0", "connection", "up", "uuid", uuid_) for uuid_ in active.values())))


def sections(files: Mapping[str, File]) -> Dict[str, str]:
    """Return what our files say of each interface."""
    start, end = len(f"{FOLDER}/{OURS}"), len(".nmconnection")
    return {path[start:-end]: file.text for path, file in files.items() if path.startswith(f"{FOLDER}/{OURS}")}


def _profile(interface: Interface, kinds: Mapping[str, str]) -> Iterator[str]:
    yield from ("[connection]", f"id={OURS}{interface.name}", f"uuid={profile_uuid(interface.name)}",
                f"type={_TYPES[interface.kind]}", f"interface-name={interface.name}",
                f"autoconnect-priority={PRIORITY}")
    if interface.ports:
        yield "autoconnect-slaves=1"
    if interface.master:
        yield from (f"master={interface.master}", f"slave-type={kinds[interface.master]}")
    yield from _kind(interface)
    if interface.master:
        return
    yield from ("", "[ipv4]", *_family(interface, 4))
    yield from ("", "[ipv6]", *_family(interface, 6))


def _kind(interface: Interface) -> Iterator[str]:
    ethernet = [f"mtu={interface.mtu}"] if interface.mtu else []
    if interface.mac and interface.kind != "bridge":
        ethernet.append(f"cloned-mac-address={interface.mac}")
    if ethernet:
        yield from ("", "[ethernet]", *ethernet)
    if interface.kind == "bridge":
        yield from ("", "[bridge]", "stp=false", "forward-delay=0")
        if interface.mac:
            yield f"mac-address={interface.mac}"
    elif interface.kind == "bond":
        yield from ("", "[bond]", f"mode={interface.mode}", "miimon=100")
        if interface.mode == "802.3ad":
            yield "lacp_rate=fast"
    elif interface.kind == "vlan":
        yield from ("", "[vlan]", f"id={interface.id}", f"parent={interface.link}")


def _family(interface: Interface, family: int) -> List[str]:
    addresses, routes = interface.addresses_of(family), interface.routes_of(family)
    lines = [f"method={_method(interface, family, bool(addresses))}"]
    lines += [f"address{number}={address}" for number, address in enumerate(addresses, 1)]
    servers = [server for server in interface.nameservers if (":" in server) == (family == 6)]
    if servers:
        lines.append(f"dns={';'.join(servers)};")
    for number, route in enumerate(routes, 1):
        lines += _route(number, route)
    if family == 6 and interface.has_ipv6:
        lines.append("addr-gen-mode=eui64")
    return lines


def _method(interface: Interface, family: int, has_addresses: bool) -> str:
    if family == 4:
        return "auto" if interface.dhcp4 else "manual" if has_addresses else "disabled"
    if interface.accept_ra:
        return "auto"
    return "manual" if has_addresses else "link-local" if interface.link_local else "disabled"


def _route(number: int, route: Route) -> Iterator[str]:
    metric = "" if route.metric is None else str(route.metric)
    parts = [route.to, route.via or ("0.0.0.0" if route.family == 4 else "::")] + ([metric] if metric else [])
    yield f"route{number}={','.join(parts)}"
    options = (["onlink=true"] if route.on_link else []) + ([f"src={route.source}"] if route.source else [])
    options += ["type=unreachable"] if route.unreachable else []
    if options:
        yield f"route{number}_options={','.join(options)}"
