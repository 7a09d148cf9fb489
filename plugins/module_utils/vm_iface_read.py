# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a node has of VM interfaces: kernel, records, boot unit. Few commands, whatever the number of VMs;
nothing changes."""

from __future__ import annotations

import os
import pwd
import re
import sys
from typing import Any, Dict, FrozenSet, Iterable, Mapping, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import vm_boot
from ansible_collections.vmcluster.network.plugins.module_utils.iproute import read_ip
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Found, Link
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import (
    RECORD_FOLDER,
    ROUTE_PROTOCOL,
    sysctls_of,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import KERNEL, Vm

SYSTEMD_RUNS = "/run/systemd/system"  # sd_booted(3)
ALTNAME_KERNEL = (5, 5)


def read_found(vms: Sequence[Vm], routes: Iterable[str] = (), folder: str = RECORD_FOLDER) -> Found:
    """Return what the node has, as far as it matters for the VMs given; routes: FRR's static routes that run."""
    links = parse_links(read_ip("-d", "link", "show"))
    known = [vm for vm in vms if vm.interface in links]
    records = read_records(folder)
    routed = any(vm.routes == KERNEL for vm in vms) or any('"routes": ' in text for text in records.values())
    return Found(
        links=links, addresses=parse_addresses(read_ip("address", "show")),
        neighbours=parse_neighbours(read_ip("neigh", "show", "nud", "permanent")), sysctls=read_sysctls(known),
        records=records, routes=tuple(routes), users=read_users(vms), altnames_work=kernel_has_altnames(),
        unknown_sysctls=_read_unknown_sysctls(vms), ipv6=os.path.isdir("/proc/sys/net/ipv6"),
        kernel_routes=_read_kernel_routes() if routed else {}, proxies=_read_proxies() if routed else frozenset())


def parse_links(dump: Iterable[Mapping[str, Any]]) -> Dict[str, Link]:
    """Return the interfaces in a dump of `ip -d -j link show`."""
    return {entry["ifname"]: _parse_link(entry) for entry in dump if entry.get("ifname")}


def parse_addresses(dump: Iterable[Mapping[str, Any]]) -> Dict[str, FrozenSet[str]]:
    """Return per interface its addresses with length in a dump of `ip -j address show`."""
    return {entry["ifname"]: frozenset(_address_text(each) for each in entry.get("addr_info", ()) if each.get("local"))
            for entry in dump if entry.get("ifname")}


def parse_neighbours(dump: Iterable[Mapping[str, Any]]) -> Dict[str, Dict[str, str]]:
    """Return per interface the MAC of each permanent neighbour in a dump of `ip -j neigh show nud permanent`."""
    neighbours: Dict[str, Dict[str, str]] = {}
    for entry in dump:
        if "dst" in entry and "lladdr" in entry:
            neighbours.setdefault(entry.get("dev", ""), {})[entry["dst"]] = entry["lladdr"]
    return neighbours


def parse_kernel_routes(dump: Iterable[Mapping[str, Any]]) -> Dict[str, Dict[str, str]]:
    """Return per interface the next hop of each prefix in dumps of `ip -j route show`."""
    routes: Dict[str, Dict[str, str]] = {}
    for entry in dump:
        if entry.get("dev") and "dst" in entry:
            prefix = entry["dst"] if "/" in entry["dst"] else f"{entry['dst']}/{128 if ':' in entry['dst'] else 32}"
            routes.setdefault(entry["dev"], {})[prefix] = entry.get("gateway", "")
    return routes


def parse_proxies(dump: Iterable[Mapping[str, Any]]) -> FrozenSet[Tuple[str, str]]:
    """Return (address, interface that answers for it) of each entry in a dump of `ip -j neigh show proxy`."""
    return frozenset((entry["dst"], entry["dev"]) for entry in dump if "dst" in entry and "dev" in entry)


def read_sysctls(vms: Iterable[Vm]) -> Dict[str, str]:
    """Return the values of the VMs' sysctls that are there."""
    values = {}
    for vm in vms:
        for path in sysctls_of(vm):
            try:
                handle = os.open(f"/proc/sys/{path}", os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                values[path] = os.read(handle, 256).decode("ascii", "replace").strip()
            finally:
                os.close(handle)
    return values


def read_records(folder: str = RECORD_FOLDER) -> Dict[str, str]:
    """Return the text of every record, by interface. A text that cannot be decoded is returned with marks in it: it
    is ours all the same, and no planner takes it for a record."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return {}
    records = {}
    for name in sorted(names):
        if name.endswith(".json") and not name.startswith("."):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
                records[name[:-len(".json")]] = stream.read()
    return records


def read_owners(names: Iterable[str]) -> Dict[str, Optional[int]]:
    """Return the user id of every user named, or given by number; None for one that the node does not have."""
    owners: Dict[str, Optional[int]] = {}
    for name in names:
        try:
            owners[name] = int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
        except KeyError:
            owners[name] = None
    return owners


def read_users(vms: Iterable[Vm]) -> Dict[str, str]:
    """Return the name of every user id that a VM's interface belongs to: `ip` shows names where there are any."""
    users = {}
    for owner in {vm.owner for vm in vms}:
        try:
            users[str(owner)] = pwd.getpwuid(owner).pw_name
        except KeyError:
            continue
    return users


def read_boot() -> vm_boot.FoundBoot:
    """Return what the node has of the boot unit."""
    pythons = [path for path in vm_boot.PYTHONS if os.access(path, os.X_OK)]
    return vm_boot.FoundBoot(
        systemd=os.path.isdir(SYSTEMD_RUNS), python=(pythons or [sys.executable])[0],
        unit=_read_file(vm_boot.UNIT_PATH), script=_read_file(vm_boot.SCRIPT_PATH),
        enabled=os.path.lexists(vm_boot.ENABLED_PATH), late_unit=_read_file(vm_boot.LATE_UNIT_PATH),
        late_enabled=os.path.lexists(vm_boot.LATE_ENABLED_PATH))


def kernel_has_altnames(release: Optional[str] = None) -> bool:
    """Tell whether the kernel knows altnames: Linux 5.5, and EL 8's 4.18, which has them brought back."""
    release = release or os.uname().release
    number = re.match(r"(\d+)\.(\d+)", release)
    version = (int(number.group(1)), int(number.group(2))) if number else (0, 0)
    return version >= ALTNAME_KERNEL or ".el8" in release


def _parse_link(entry: Mapping[str, Any]) -> Link:
    info = entry.get("linkinfo", {})
    data = info.get("info_data", {})
    kind = data.get("type", "tun") if info.get("info_kind") == "tun" else info.get("info_kind", "")
    flags = entry.get("flags", ())
    return Link(
        name=entry["ifname"], kind=kind, mac=entry.get("address", ""), mtu=entry.get("mtu", 0),
        group="0" if entry.get("group") == "default" else str(entry.get("group", "0")), up="UP" in flags,
        carrier="LOWER_UP" in flags, addrgenmode=entry.get("inet6_addr_gen_mode", ""), alias=entry.get("ifalias", ""),
        altnames=frozenset(entry.get("altnames", ())), master=entry.get("master"),
        persistent=bool(data.get("persist", True)), owner=None if data.get("user") is None else str(data["user"]),
        multi_queue=bool(data.get("multi_queue", False)),
        peer=entry.get("link") if kind == "veth" else None)


def _address_text(entry: Mapping[str, Any]) -> str:
    if entry.get("address"):
        return f"{entry['local']} peer {entry['address']}/{entry['prefixlen']}"
    return f"{entry['local']}/{entry['prefixlen']}"


def _read_unknown_sysctls(vms: Iterable[Vm]) -> FrozenSet[str]:
    keys = {key for vm in vms for key, _value in vm.sysctls}
    return frozenset(key for key in keys if not os.path.exists(f"/proc/sys/net/{key[:4]}/conf/default/{key[5:]}"))


def _read_kernel_routes() -> Dict[str, Dict[str, str]]:
    ours = ("route", "show", "proto", ROUTE_PROTOCOL)
    return parse_kernel_routes([*read_ip("-4", *ours), *read_ip("-6", *ours)])


def _read_proxies() -> FrozenSet[Tuple[str, str]]:
    return parse_proxies(read_ip("-6", "neigh", "show", "proxy"))


def _read_file(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
