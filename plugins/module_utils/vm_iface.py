# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan VM interfaces: compare what a node has with what is wanted. Pure; reading is vm_iface_read.py, doing
vm_iface_apply.py.

A step's commands begin with a word that says when they are run: `delete IFACE`, `create IP-LINE`, `sysctl PATH VALUE`,
`configure IP-LINE`, `record TEXT`, `forget IFACE`, `withdraw FRR-LINE`, `route FRR-LINE`.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_static import parse_static_route, plan_static_routes
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_late import (
    Difference,
    differ_bridge,
    differ_proxies,
    differ_routes,
    plan_silence,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import interface_name
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import (
    ALIAS_MARK,
    OUR_TAGS,
    alias_of,
    configure_lines,
    create_lines,
    gateway_addresses,
    late_lines,
    link_words,
    neighbour_line,
    neighbours_of,
    parse_record,
    record_text,
    route_lines,
    sysctls_of,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import MTU_MAXIMUM, Vm, Wanted, peer_name

parse_route = functools.lru_cache(maxsize=None)(parse_static_route)
"""Each line is looked at several times in a call; the parser is the better part of a plan's time."""

_VM_INTERFACE = re.compile(r"_net[0-9]{1,2}$")
"""No other interface is ever removed, whatever a file in the records' folder is called."""


class Link(NamedTuple):
    """One interface of the node as the kernel has it. peer: a veth's other end, None when it is in another
    namespace."""

    name: str
    kind: str = ""
    mac: str = ""
    mtu: int = 0
    group: str = "0"
    up: bool = False
    carrier: bool = False
    addrgenmode: str = ""
    alias: str = ""
    altnames: FrozenSet[str] = frozenset()
    master: Optional[str] = None
    persistent: bool = True
    owner: Optional[str] = None
    multi_queue: bool = False
    peer: Optional[str] = None


class Found(NamedTuple):
    """What the node has. addresses: per interface, with length. neighbours: permanent ones, per interface, address to
    MAC.

    sysctls: value per path of those asked for that are there. records: text per interface. routes: FRR's static
    routes that
    run. users: names per user id. unknown_sysctls: those asked for (`ipv4.x`) that the kernel has for no interface.
    kernel_routes: those of ours, per interface, prefix to next hop. proxies: (address, interface that answers for it).
    """

    links: Mapping[str, Link]
    addresses: Mapping[str, FrozenSet[str]]
    neighbours: Mapping[str, Mapping[str, str]]
    sysctls: Mapping[str, str]
    records: Mapping[str, str]
    routes: Tuple[str, ...] = ()
    users: Mapping[str, str] = {}
    altnames_work: bool = True
    unknown_sysctls: FrozenSet[str] = frozenset()
    ipv6: bool = True
    kernel_routes: Mapping[str, Mapping[str, str]] = {}
    proxies: FrozenSet[Tuple[str, str]] = frozenset()


def unwanted_interfaces(found: Found, wanted: Wanted, purge: bool) -> Tuple[str, ...]:
    """Return the names of interfaces that shall go and are ours: by record, or by their alias."""
    marked = {name for name, link in found.links.items() if link.alias.startswith(ALIAS_MARK)}
    ours = {name for name in {*found.records, *marked} if _VM_INTERFACE.search(name)}
    kept = {vm.interface for vm in wanted.present}
    if purge:
        return tuple(sorted(ours - kept))
    absent = {}
    for name, nic in wanted.absent:
        absent[interface_name(name, nic)[0]] = alias_of(name, nic)
    return tuple(sorted(name for name, alias in absent.items() if name in ours and (
        name not in found.links or name in found.records or found.links[name].alias == alias)))


def check_found(found: Found, wanted: Wanted, purge: bool) -> List[str]:
    """Return every reason why the wanted interfaces cannot be had on this node; each names the VM and the remedy."""
    mistakes: List[str] = []
    going = set(unwanted_interfaces(found, wanted, purge))
    kept = {vm.interface for vm in wanted.present}
    own = _addresses_of_node(found, going | kept)
    others = _addresses_of_others(found, going | kept)
    holders = {alt: link.name for link in found.links.values() for alt in link.altnames}
    gateways = {address for vm in wanted.present for address in vm.gateway[:2] if address}
    mistakes += [f"gateway: {address} is the node's own address on {own[address]}: choose one that is used nowhere else"
                 for address in sorted(gateways & set(own)) if not address.startswith("fe80:")]
    for vm in wanted.present:
        said = f"{vm.name}: interface {vm.interface}"
        mistakes += [f"{said} {wrong}" for wrong in _check_link(vm, found)]
        for address in vm.addresses:
            if address in own:
                mistakes.append(f"{vm.name}: {address} is the node's own, on {own[address]}: give the VM another")
            if address in others:
                mistakes.append(f"{vm.name}: {address} is that of {others[address]} on this node: detach that first")
        holder = holders.get(vm.altname or "", vm.interface)
        if holder != vm.interface:
            mistakes.append(f"{said} needs the altname {vm.altname}, which {holder} has: remove it there")
        mistakes += [f"{vm.name}: this kernel has no sysctl {key} of an interface: leave it out"
                     for key, _value in vm.sysctls if key in found.unknown_sysctls]
    if not found.ipv6 and any(vm.gateway.ipv6 for vm in wanted.present):
        mistakes.append("gateway.ipv6: this node's kernel runs without IPv6: leave it out, or have IPv6 in the kernel")
    return mistakes


def check_bridges(found: Found, wanted: Wanted) -> List[str]:
    """Return which bridges are not there, each with the VMs that need it."""
    needing: Dict[str, List[str]] = {}
    for vm in wanted.present:
        if vm.bridge and (vm.bridge not in found.links or found.links[vm.bridge].kind != "bridge"):
            needing.setdefault(vm.bridge, []).append(vm.name)
    return [f"{', '.join(names[:5])}: there is no bridge {bridge} on this node: have it made (site.yml, role switching)"
            for bridge, names in needing.items()]


def plan_interfaces(found: Found, wanted: Wanted, purge: bool = False) -> Tuple[Step, ...]:
    """Return the steps for interfaces: those that go, then those that come or change."""
    steps = [Step(f"{_owner_of(found, name)} is not attached here any more", f"interface {name}",
                  before=(f"interface {name}",), commands=(f"delete {name}",))
             for name in unwanted_interfaces(found, wanted, purge) if name in found.links]
    steps += [step for name in unwanted_interfaces(found, wanted, purge)
              for step in plan_silence(name, _owner_of(found, name), parse_record(found.records.get(name, "")),
                                       found.proxies)]
    for vm in wanted.present:
        step = _plan_interface(found, vm)
        if step is not None:
            steps.append(step)
    return tuple(steps)


def plan_records(found: Found, wanted: Wanted, purge: bool = False) -> Tuple[Step, ...]:
    """Return the steps for records. They are written before anything else changes, and removed after everything
    else."""
    steps = []
    for vm in wanted.present:
        there, text = found.records.get(vm.interface), record_text(vm)
        if there != text:
            before, after = _differing_lines(there, text)
            why = f"{vm.name} is new here" if there is None else f"{vm.name} was recorded otherwise"
            steps.append(Step(why, f"record {vm.interface}", before, after, (f"record {text}",)))
    for name in unwanted_interfaces(found, wanted, purge):
        if name in found.records:
            steps.append(Step(f"{_owner_of(found, name)} is not attached here any more", f"record {name}",
                              before=(f"record {name}",), commands=(f"forget {name}",)))
    return tuple(steps)


def plan_routes(found: Found, wanted: Wanted, purge: bool = False) -> Tuple[Tuple[Step, ...], Tuple[str, ...]]:
    """Return (steps for FRR's static routes, statements of the operator that stand in the way).

    Routes that go with their interface are withdrawn before it; those that are replaced go after the new ones have
    come.
    """
    lines = tuple(line for vm in wanted.present for line in route_lines(vm))
    going = set(unwanted_interfaces(found, wanted, purge)) | {interface_name(*each)[0] for each in wanted.absent}
    kept = {vm.interface: vm for vm in wanted.present}
    prefixes = {line.split()[2] for line in lines}
    mine = []
    for line in found.routes:
        route = parse_route(line)
        if route is not None and (route.tag not in OUR_TAGS or purge or route.interface in going
                                  or route.interface in kept or route.prefix in prefixes):
            mine.append(line)
    plan = plan_static_routes(mine, lines, OUR_TAGS)
    changes: Dict[str, List[str]] = {}
    for line in plan.add:
        changes.setdefault(_interface_of(line), []).append(f"route {line}")
    for line in plan.remove:
        interface = _interface_of(line)
        stays = interface in kept
        changes.setdefault(interface, []).append(f"{'route' if stays else 'withdraw'} {line}")
    replaced = _lines_by_place(mine)
    steps = [_route_step(interface, commands, kept.get(interface), replaced) for interface, commands in changes.items()]
    return tuple(steps), plan.foreign


def _check_link(vm: Vm, found: Found) -> List[str]:
    link = found.links.get(vm.interface)
    if link is None:
        return []
    ours = link.kind in MTU_MAXIMUM and link.alias == alias_of(vm.name, vm.nic)
    if link.kind != vm.kind and not ours:
        return [f"is a {link.kind or 'physical'} interface, not a {vm.kind}: remove it, or name the VM otherwise"]
    if link.master and not vm.bridge:
        return [f"is a port of {link.master}, and VM interfaces have no bridge here: take it out with "
                f"`ip link set {vm.interface} nomaster`"]
    if link.alias.startswith(ALIAS_MARK) and link.alias != alias_of(vm.name, vm.nic):
        return [f"is that of {link.alias[len(ALIAS_MARK):]}, whose name shortens alike: name the VM otherwise"]
    if link.carrier and _must_be_remade(vm, link, found):
        return ["is of another kind, owner or number of queues, and a guest uses it: stop the guest"]
    return []


def _must_be_remade(vm: Vm, link: Link, found: Found) -> bool:
    if link.kind != vm.kind:
        return True
    if vm.kind != "tap":
        return False
    owners = {str(vm.owner), found.users.get(str(vm.owner))}
    return link.multi_queue != vm.multi_queue or (link.owner not in owners and link.persistent)


def _plan_interface(found: Found, vm: Vm) -> Optional[Step]:
    link = found.links.get(vm.interface)
    thing = f"interface {vm.interface}"
    create = () if vm.altname is None or found.altnames_work else create_lines(vm)[:-1]
    if link is None or (not link.carrier and _must_be_remade(vm, link, found)):
        making = create or create_lines(vm)
        sysctls = tuple(f"sysctl {path} {value}" for path, value in sysctls_of(vm).items())
        commands = [f"delete {vm.interface}"] if link else []
        commands += [f"create {line}" for line in making] + list(sysctls)
        configuring = (*configure_lines(vm), *(line for lines in late_lines(vm).values() for line in lines))
        commands += [f"configure {line}" for line in configuring]
        why = f"{vm.name} has another kind, owner or number of queues" if link else f"{vm.name} has no interface"
        lines = making + tuple(each[7:] for each in sysctls) + configuring
        return Step(why, thing, (f"interface {vm.interface}",) if link else (), lines, tuple(commands))
    differences = [*_differ_link(found, vm, link), *_differ_sysctls(found, vm), *_differ_addresses(found, vm),
                   *_differ_neighbours(found, vm, link), *_differ_up(vm, link), *differ_bridge(vm, link.master),
                   *differ_routes(vm, found.kernel_routes.get(vm.interface, {})),
                   *differ_proxies(vm, found.proxies, parse_record(found.records.get(vm.interface, "")))]
    if not differences:
        return None
    return Step(
        f"{vm.name}: " + ", ".join(dict.fromkeys(each.what for each in differences)), thing,
        tuple(each.before for each in differences if each.before),
        tuple(each.after for each in differences if each.after),
        tuple(command for each in differences for command in each.commands))


def _differ_link(found: Found, vm: Vm, link: Link) -> Iterable[Difference]:
    words = link_words(vm).split()
    has = {"address": link.mac, "mtu": str(link.mtu), "addrgenmode": link.addrgenmode, "group": link.group,
           "alias": link.alias}
    for word, value in zip(words[::2], words[1::2]):
        if has[word] != value:
            yield Difference(_WHAT[word], f"{_WHAT[word]} {has[word]}", f"{_WHAT[word]} {value}",
                             (f"configure link set dev {vm.interface} {word} {value}",))
    if vm.altname and vm.altname not in link.altnames and found.altnames_work:
        yield Difference("altname", "", f"altname {vm.altname}",
                         (f"configure link property add dev {vm.interface} altname {vm.altname}",))
    peer = found.links.get(link.peer or "")
    if vm.kind == "veth" and peer is not None and peer.name == peer_name(vm.interface):
        for what, value, wanted in (("mtu", str(peer.mtu), str(vm.mtu)), ("address", peer.mac, vm.mac)):
            if value != wanted:
                said = f"peer {_WHAT[what]}"
                yield Difference(said, f"{said} {value}", f"{said} {wanted}",
                                 (f"configure link set dev {peer.name} {what} {wanted}",))


_WHAT = {"address": "MAC", "mtu": "MTU", "addrgenmode": "addrgenmode", "group": "group", "alias": "alias"}


def _differ_sysctls(found: Found, vm: Vm) -> Iterable[Difference]:
    for path, value in sysctls_of(vm).items():
        has = found.sysctls.get(path)
        if has is not None and has != value:
            name = path.rpartition("/")[2]
            yield Difference(f"sysctl {name}", f"{path} = {has}", f"{path} = {value}", (f"sysctl {path} {value}",))


def _differ_addresses(found: Found, vm: Vm) -> Iterable[Difference]:
    wanted, has = gateway_addresses(vm), found.addresses.get(vm.interface, frozenset())
    for address in sorted(has - set(wanted)):
        goes_alone = ":" in address and not vm.gateway.ipv6  # with the sysctl that switches IPv6 off
        commands = () if goes_alone else (f"configure address del {address} dev {vm.interface}",)
        yield Difference("addresses", f"address {address}", "", commands)
    for address, words in wanted.items():
        if address not in has:
            line = f"address replace {address} dev {vm.interface} {words}"
            yield Difference("addresses", "", f"address {address}", (f"configure {line}",))


def _differ_neighbours(found: Found, vm: Vm, link: Link) -> Iterable[Difference]:
    has = found.neighbours.get(vm.interface, {})
    dropped = link.mac != vm.gateway.mac  # changing the interface's MAC drops all neighbours, permanent ones too
    for address in neighbours_of(vm):
        mac = has.get(address)
        if mac != vm.mac or dropped:
            before = f"neighbour {address} {mac}" if mac and mac != vm.mac else ""
            after = f"neighbour {address} {vm.mac}" if mac != vm.mac else ""
            yield Difference("neighbours", before, after, (f"configure {neighbour_line(vm, address)}",))
    for address in sorted(set(has) - set(neighbours_of(vm))):
        commands = () if dropped else (f"configure neigh del {address} dev {vm.interface}",)
        yield Difference("neighbours", f"neighbour {address} {has[address]}", "", commands)


def _differ_up(vm: Vm, link: Link) -> Iterable[Difference]:
    if not link.up:
        yield Difference("is down", "down", "up", (f"configure link set dev {vm.interface} up",))


def _differing_lines(there: Optional[str], text: str) -> "Tuple[Tuple[str, ...], Tuple[str, ...]]":
    """Return the lines of what was asked for that differ; the recipe follows from these and would only repeat them."""
    old = (parse_record(there) if there else None) or {}
    new = parse_record(text) or {}
    keys = [key for key in new if key not in ("create", "sysctls", "configure", "late", "version")]
    differing = [key for key in keys if old.get(key) != new[key]] or ["recipe"]
    before = tuple(f"{key}: {_shown(old[key])}" for key in differing if key in old)
    return before, tuple(f"{key}: {_shown(new[key])}" if key in new else "recipe: renewed" for key in differing)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _owner_of(found: Found, interface: str) -> str:
    record = parse_record(found.records.get(interface, "")) or {}
    alias = found.links[interface].alias if interface in found.links else ""
    return str(record.get("vm") or alias[len(ALIAS_MARK):].partition("/")[0] or interface)


def _addresses_of_node(found: Found, passed_over: Set[str]) -> Dict[str, str]:
    ours = passed_over | set(found.records)
    return {each.partition("/")[0]: name for name, addresses in found.addresses.items() if name not in ours
            and not found.links[name].alias.startswith(ALIAS_MARK) for each in addresses}


def _addresses_of_others(found: Found, passed_over: Set[str]) -> Dict[str, str]:
    holders = {}
    for name, text in found.records.items():
        record = parse_record(text) if name not in passed_over else None
        for address in record["addresses"] if record else ():
            holders[address] = str(record["vm"]) if record else ""
    return holders


def _interface_of(line: str) -> str:
    route = parse_route(line[3:] if line.startswith("no ") else line)
    return (route.interface if route else None) or ""


def _lines_by_place(lines: Sequence[str]) -> "Dict[Tuple[object, ...], str]":
    routes = [parse_route(line) for line in lines]
    return {route.place: route.line for route in routes if route is not None}


def _route_step(
    interface: str, commands: List[str], vm: Optional[Vm], replaced: "Mapping[Tuple[object, ...], str]",
) -> Step:
    before, after = [], []
    for command in commands:
        line = command.partition(" ")[2]
        if line.startswith("no "):
            before.append(line[3:])
            continue
        route = parse_route(line)
        if route is not None and route.place in replaced:
            before.append(replaced[route.place])
        after.append(line)
    why = f"{vm.name} is {vm.announcement}" if vm else f"no VM on {interface} any more"
    return Step(why, f"FRR routes of {interface}", tuple(before), tuple(after), tuple(commands))
