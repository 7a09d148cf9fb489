# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's network shall be: interfaces, addresses, routes and sysctls, read from a module's options and checked.

Pure; what the host has comes as data. docs/design.md, "Changing a host's own network", has the format.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

KINDS = ("port", "bridge", "bond", "vlan")
BOND_MODES = ("active-backup", "802.3ad", "balance-xor", "balance-rr", "broadcast", "balance-tlb", "balance-alb")
DEFAULTS = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_PCI = re.compile(r"(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_SYSCTL = re.compile(r"net[./][A-Za-z0-9_./-]+")
_CONF = re.compile(r"(net([./])ipv[46]\2conf\2)(.+)\2([a-z0-9_]+)")


class Route(NamedTuple):
    """A route: to (a prefix), via (a gateway), whether the gateway counts as on-link, metric, source; unreachable: what
    no longer prefix leads to ends here."""

    to: str
    via: str = ""
    on_link: bool = False
    metric: Optional[int] = None
    source: str = ""
    unreachable: bool = False

    @property
    def family(self) -> int:
        return ipaddress.ip_network(self.to).version


class Interface(NamedTuple):
    """One interface of the plan. master: the bridge or bond that it is a port of."""

    name: str
    kind: str = "port"
    ports: Tuple[str, ...] = ()
    link: str = ""
    id: int = 0
    mode: str = "active-backup"
    mac: str = ""
    mtu: Optional[int] = None
    addresses: Tuple[str, ...] = ()
    dhcp4: bool = False
    routes: Tuple[Route, ...] = ()
    nameservers: Tuple[str, ...] = ()
    accept_ra: bool = False
    link_local: bool = True
    master: str = ""

    def addresses_of(self, family: int) -> Tuple[str, ...]:
        return tuple(each for each in self.addresses if ipaddress.ip_interface(each).version == family)

    def routes_of(self, family: int) -> Tuple[Route, ...]:
        return tuple(route for route in self.routes if route.family == family)

    @property
    def has_ipv6(self) -> bool:
        """Whether IPv6 runs on it at all."""
        return not self.master and (self.link_local or self.accept_ra or bool(self.addresses_of(6)))


class HostPlan(NamedTuple):
    """All that is ours on a host; interfaces are in the order in which they can be made."""

    interfaces: Tuple[Interface, ...] = ()
    sysctls: Mapping[str, str] = {}

    @property
    def names(self) -> Tuple[str, ...]:
        return tuple(interface.name for interface in self.interfaces)

    @property
    def made(self) -> Tuple[str, ...]:
        """The interfaces that the plan makes: all that are no NICs."""
        return tuple(interface.name for interface in self.interfaces if interface.kind != "port")


class Nic(NamedTuple):
    """What of an interface on the host a plan is checked against. master: the bridge or bond that has it; link: what it
    stands on."""

    name: str
    mac: str = ""
    pci: str = ""
    physical: bool = False
    master: str = ""
    carrier: bool = False
    link: str = ""


class Connection(NamedTuple):
    """Where Ansible's connection comes from, and the host's address that it comes to."""

    client: str
    server: str


def read_plan(
        options: Mapping[str, Any], nics: Mapping[str, Nic], connection: Optional[Connection] = None,
        stays: Optional[Mapping[str, Sequence[str]]] = None) -> Tuple[HostPlan, List[str]]:
    """Return the plan and all that is wrong with it.

    options: `interfaces` and `sysctls` as the module takes them. nics: the host's interfaces by name. stays: addresses
    with length of interfaces that are not touched.
    """
    mistakes: List[str] = []
    listed = [_read_interface(each, nics, mistakes) for each in options.get("interfaces") or ()]
    interfaces = _complete(listed, nics)
    plan = HostPlan(_in_order(interfaces), _read_sysctls(options.get("sysctls") or {}, nics, mistakes))
    mistakes += _check_names(listed)
    mistakes += _check_wiring(plan, nics)
    mistakes += _check_addresses(plan)
    mistakes += _check_taken(plan, stays or {})
    if not mistakes and connection is not None:
        mistakes += check_connection(plan, connection, [each for there in (stays or {}).values() for each in there])
    return plan, mistakes


def find_port(said: str, nics: Mapping[str, Nic]) -> Optional[str]:
    """Return the name of the interface that a name, a MAC address or a PCI path means; None when there is none."""
    key = said.lower()
    if _MAC.fullmatch(key):
        found = [nic.name for nic in nics.values() if nic.physical and nic.mac == key]
        return found[0] if len(found) == 1 else None
    if _PCI.fullmatch(key):
        return next((nic.name for nic in nics.values() if nic.pci and nic.pci.endswith(key)), None)
    return said


def _read_interface(said: Mapping[str, Any], nics: Mapping[str, Nic], mistakes: List[str]) -> Interface:
    kind = said.get("kind") or "port"
    name = said["name"]
    if kind == "port":
        name = _port_name(name, nics, mistakes)
    ports = tuple(_port_name(port, nics, mistakes) for port in said.get("ports") or ())
    link = _port_name(said["link"], nics, mistakes) if said.get("link") else ""
    place = f"interface {said['name']}"
    addresses = tuple(_read_address(place, each, mistakes) for each in said.get("addresses") or ())
    routes = [_read_route(place, each, mistakes) for each in said.get("routes") or ()]
    mac = (said.get("mac") or "").lower()
    if mac and not _MAC.fullmatch(mac):
        mistakes.append(f"{place}: {mac!r} is no MAC address")
    for server in said.get("nameservers") or ():
        _check_address(f"{place}: nameservers", server, mistakes)
    return Interface(
        name=name, kind=kind, ports=ports, link=link, id=said.get("id") or 0,
        mode=said.get("mode") or "active-backup", mac=mac, mtu=said.get("mtu"), addresses=addresses,
        dhcp4=bool(said.get("dhcp4")), routes=tuple(route for route in routes if route is not None),
        nameservers=tuple(said.get("nameservers") or ()), accept_ra=bool(said.get("accept_ra")),
        link_local=said.get("link_local") is not False)


def _port_name(said: str, nics: Mapping[str, Nic], mistakes: List[str]) -> str:
    name = find_port(said, nics)
    if name is None:
        mistakes.append(f"{said}: no NIC, or more than one, has this MAC address or PCI path: see show_interfaces")
    return name or said


def _read_address(place: str, said: str, mistakes: List[str]) -> str:
    try:
        address = ipaddress.ip_interface(said)
    except ValueError as error:
        mistakes.append(f"{place}: addresses: {error}")
        return "0.0.0.0/32"
    if "/" not in said:
        mistakes.append(f"{place}: {said} has no prefix length: give ADDRESS/LENGTH")
    return str(address)


def _read_route(place: str, said: Mapping[str, Any], mistakes: List[str]) -> Optional[Route]:
    via = said.get("via") or ""
    if via and not _check_address(f"{place}: routes: via", via, mistakes):
        return None
    to = said["to"]
    if to == "default":
        if not via:
            mistakes.append(f"{place}: a default route needs a gateway: set via")
            return None
        to = DEFAULTS[f"ipv{ipaddress.ip_address(via).version}"]
    try:
        network = ipaddress.ip_network(to)
    except ValueError as error:
        mistakes.append(f"{place}: routes: {error}")
        return None
    if via and ipaddress.ip_address(via).version != network.version:
        mistakes.append(f"{place}: route to {to} by {via}: two families")
        return None
    source = said.get("source") or ""
    if source and not _check_address(f"{place}: routes: source", source, mistakes):
        return None
    if said.get("unreachable") and (via or source):
        mistakes.append(f"{place}: route to {to} is unreachable, so it has neither via nor source")
        return None
    return Route(
        str(network), via, bool(said.get("on_link")), said.get("metric"), source, bool(said.get("unreachable")))


def _check_address(place: str, said: str, mistakes: List[str]) -> bool:
    try:
        ipaddress.ip_address(said)
    except ValueError as error:
        mistakes.append(f"{place}: {error}")
        return False
    return True


def _read_sysctls(said: Mapping[str, Any], nics: Mapping[str, Nic], mistakes: List[str]) -> Dict[str, str]:
    found = {}
    for key, value in said.items():
        named = _name_in_sysctl(key, nics, mistakes)
        if not _SYSCTL.fullmatch(named):
            mistakes.append(f"sysctls: {key!r} is no sysctl of the network (net.…)")
        found[named] = str(value)
    return found


def _name_in_sysctl(key: str, nics: Mapping[str, Nic], mistakes: List[str]) -> str:
    """Return the key with the name of the interface that it says by MAC address or PCI path."""
    match = _CONF.fullmatch(key)
    if match is None:
        return key
    head, dot, said, last = match.groups()
    return f"{head}{_port_name(said, nics, mistakes)}{dot}{last}"


def _complete(listed: Sequence[Interface], nics: Mapping[str, Nic]) -> List[Interface]:
    """Add ports that a bridge or bond names and the list does not, with its MTU, and say of every port whose it is.

    Bridges and bonds get the MAC address of the NIC that they stand on: udev would make one up (systemd.link,
    MACAddressPolicy), which no switch port or DHCP server of the operator knows.
    """
    masters = {port: each.name for each in listed for port in each.ports}
    sizes = {each.name: each.mtu for each in listed}
    added = [Interface(port, mtu=sizes[master]) for port, master in masters.items() if port not in sizes]
    made = {each.name: each for each in listed if each.kind != "port"}
    complete = []
    for each in (*listed, *added):
        nic = _first_nic(each.name, made) if each.kind in ("bridge", "bond") else ""
        mac = each.mac or (nics[nic].mac if nic in nics else "")
        complete.append(each._replace(mac=mac, master=masters.get(each.name, "")))
    return complete


def _first_nic(name: str, made: Mapping[str, Interface]) -> str:
    """Return the NIC that an interface stands on, by first ports and by links of VLANs; empty where it has none."""
    for _step in made:  # so that a ring, which the check tells, ends
        if name in made:
            name = next(iter(made[name].ports), made[name].link)
    return "" if name in made else name


def _in_order(interfaces: Iterable[Interface]) -> Tuple[Interface, ...]:
    """NICs first, then what stands on them; a ring, which the check tells, keeps its order."""
    left = sorted(interfaces, key=lambda each: KINDS.index(each.kind))
    done: List[Interface] = []
    while left:
        there = {each.name for each in done}
        ready = [each for each in left if not _needs(each, left) - there] or left
        done += ready
        left = [each for each in left if each not in ready]
    return tuple(done)


def _needs(interface: Interface, among: Iterable[Interface]) -> Set[str]:
    return {each.name for each in among} & {*interface.ports, interface.link}


def _check_names(listed: Sequence[Interface]) -> Iterator[str]:
    seen: Set[str] = set()
    for each in listed:
        if not _NAME.fullmatch(each.name):
            yield f"interface {each.name!r}: a name has at most 15 letters, digits, '_', '-' or '.'"
        if each.name in seen:
            yield f"interface {each.name} is there twice"
        seen.add(each.name)


def _check_wiring(plan: HostPlan, nics: Mapping[str, Nic]) -> Iterator[str]:
    users: Dict[str, str] = {}
    for each in plan.interfaces:
        place = f"interface {each.name}"
        if each.kind == "port" and each.name not in nics:
            yield f"{place}: the host has no such NIC; it has {', '.join(_physical(nics)) or 'none'}"
        if each.kind != "port" and each.name in nics and nics[each.name].physical:
            yield f"{place}: is a NIC of the host, no {each.kind}"
        if each.ports and each.kind not in ("bridge", "bond"):
            yield f"{place}: a {each.kind} has no ports"
        if each.kind == "bond" and not each.ports:
            yield f"{place}: a bond has ports"
        if each.kind == "vlan" and not (each.link and 1 <= each.id <= 4094):
            yield f"{place}: a vlan has a link and an id from 1 to 4094"
        if each.kind == "vlan" and each.link not in nics and each.link not in plan.names:
            yield f"{place}: there is no interface {each.link} that it could stand on"
        for port in each.ports:
            if port in users:
                yield f"{place}: {port} is a port of {users[port]} already"
            users[port] = each.name
            if port == each.name:
                yield f"{place}: is a port of itself"
            holder = nics[port].master if port in nics else ""
            if holder and holder not in plan.names:
                yield f"{place}: {port} is a port of {holder}, which is not in the plan: list it, or take {port} out"
        if each.master and (each.addresses or each.dhcp4 or each.routes or each.accept_ra):
            yield f"{place}: is a port of {each.master}, so addresses and routes belong there"
        if each.mtu is not None and not 576 <= each.mtu <= 65535:
            yield f"{place}: mtu {each.mtu} is not between 576 and 65535"
        for lower in (other for other in plan.interfaces if other.name in (*each.ports, each.link)):
            if each.mtu and each.kind != "bond" and (lower.mtu or each.mtu) < each.mtu:
                yield f"{place}: mtu {each.mtu} is greater than {lower.mtu} of {lower.name}, which it stands on"
    for nic in nics.values():
        if nic.link in plan.names and nic.name not in plan.names and nics[nic.link].physical:
            yield f"interface {nic.link}: {nic.name} stands on it and is not in the plan: list it too"


def _physical(nics: Mapping[str, Nic]) -> List[str]:
    return sorted(nic.name for nic in nics.values() if nic.physical)


def _check_addresses(plan: HostPlan) -> Iterator[str]:
    owners: Dict[str, str] = {}
    for each in plan.interfaces:
        for address in each.addresses:
            bare = address.partition("/")[0]
            if bare in owners:
                yield f"interface {each.name}: {bare} is on {owners[bare]} too"
            owners[bare] = each.name
    for each in plan.interfaces:
        networks = [ipaddress.ip_interface(address).network for address in each.addresses]
        for route in each.routes:
            if route.via in owners:
                yield f"interface {each.name}: gateway {route.via} is the host's own address"
            elif route.via and not _is_near(route, networks, each):
                yield (f"interface {each.name}: gateway {route.via} is in none of its subnets: put it right, or say "
                       f"on_link: true")
            if route.source and route.source not in owners:
                yield f"interface {each.name}: source {route.source} is no address of the plan"


def _check_taken(plan: HostPlan, stays: Mapping[str, Sequence[str]]) -> Iterator[str]:
    holders = {address.partition("/")[0]: name for name, addresses in stays.items() for address in addresses}
    for each in plan.interfaces:
        for address in each.addresses:
            holder = holders.get(address.partition("/")[0])
            if holder:
                yield (f"interface {each.name}: {address} is on {holder}, which is not in the plan and would keep it: "
                       f"list {holder} without it")


def _is_near(route: Route, networks: Sequence[Any], interface: Interface) -> bool:
    gateway = ipaddress.ip_address(route.via)
    if route.on_link or gateway.is_link_local or (interface.dhcp4 and gateway.version == 4):
        return True
    return any(gateway in network for network in networks if network.version == gateway.version)


def check_connection(plan: HostPlan, connection: Connection, stays: Iterable[str]) -> List[str]:
    """Return why Ansible's connection could not come again when the plan is carried out; stays: addresses that stay."""
    server, client = ipaddress.ip_address(connection.server), ipaddress.ip_address(connection.client)
    if server.is_loopback or client.is_loopback:
        return []
    if any(ipaddress.ip_interface(address).ip == server for address in stays):
        return []  # it comes by an interface that is not touched; its way back is as it was
    addresses = [ipaddress.ip_interface(each) for interface in plan.interfaces for each in interface.addresses]
    dynamic = any(each.dhcp4 if server.version == 4 else each.accept_ra for each in plan.interfaces)
    if all(address.ip != server for address in addresses) and not dynamic:
        return [f"Ansible's connection comes to {server}, which the plan leaves on no interface: keep it in the plan "
                f"(to renumber, first add the new address, then change ansible_host, then remove the old one)"]
    ways = [address.network for address in addresses]
    ways += [ipaddress.ip_network(route.to) for each in plan.interfaces for route in each.routes
             if not route.unreachable]
    if not dynamic and all(client not in way for way in ways if way.version == client.version):
        return [f"Ansible's connection comes from {client}, to which the plan has no route: add one, or a default one"]
    return []
