# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a VM's interface is made: `ip -batch` lines and sysctls, used alike by the module and, from its record, at
boot."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import KERNEL, Vm, family_of, peer_name

RECORD_VERSION = 1
RECORD_FOLDER = "/var/lib/vmcluster/interfaces"

GROUP = 770
"""Link group of every VM interface, so that one firewall rule can mean all of them."""

ALIAS_MARK = "vmcluster:"

ANNOUNCEMENTS: Dict[str, Optional[int]] = {"announced": 770, "withdrawn": 772, "standby": None}
"""Route tag per announcement; None: no route."""

ELEVATED_TAG = 771
"""Announced with elevated preference, set on a node during a migration."""

OUR_TAGS = (770, ELEVATED_TAG, 772)

ROUTE_PROTOCOL = "77"
"""Marks the kernel's routes that are ours (rtnetlink(7), rtm_protocol; no name in iproute2's list)."""

# Set before the interface is up. forwarding: an interface that does not forward is of no use to its VM. rp_filter and
# arp_ignore: the strictest of `all` and the interface counts. No DAD: the gateway's address is on many interfaces on
# purpose.
SYSCTLS: Tuple[Tuple[str, str], ...] = (
    ("ipv4.forwarding", "1"), ("ipv4.rp_filter", "1"), ("ipv4.arp_ignore", "1"), ("ipv4.proxy_arp", "0"),
    ("ipv4.accept_redirects", "0"), ("ipv4.send_redirects", "0"), ("ipv4.accept_source_route", "0"),
    ("ipv6.disable_ipv6", "0"), ("ipv6.forwarding", "1"), ("ipv6.accept_ra", "0"), ("ipv6.autoconf", "0"),
    ("ipv6.accept_redirects", "0"), ("ipv6.accept_dad", "0"), ("ipv6.dad_transmits", "0"), ("ipv6.proxy_ndp", "0"),
)


def alias_of(name: str, nic: int) -> str:
    """Return the alias that marks an interface as a VM's."""
    return f"{ALIAS_MARK}{name}/{nic}"


def gateway_addresses(vm: Vm) -> "Dict[str, str]":
    """Return the interface's own addresses, with length, and the words that set each.

    A link-local gateway has a /64: without that route the node could not answer a guest's link-local address.
    """
    addresses = {}
    if vm.gateway.ipv4:
        addresses[f"{vm.gateway.ipv4}/32"] = "noprefixroute"
    if vm.gateway.ipv6:
        if vm.gateway.ipv6.startswith("fe80:"):
            addresses[f"{vm.gateway.ipv6}/64"] = "nodad"
        else:
            addresses[f"{vm.gateway.ipv6}/128"] = "nodad noprefixroute"
    return addresses


def sysctls_of(vm: Vm) -> "Dict[str, str]":
    """Return every sysctl of the interface: path below /proc/sys, and value. Without an IPv6 gateway IPv6 is switched
    off."""
    values = {} if vm.bridge else dict(SYSCTLS)
    if not vm.gateway.ipv6:
        values = {key: value for key, value in values.items() if key.startswith("ipv4.")}
        values["ipv6.disable_ipv6"] = "1"
    values.update(vm.sysctls)
    return {f"net/{key[:4]}/conf/{vm.interface}/{key[5:]}": value for key, value in values.items()}


def create_lines(vm: Vm) -> Tuple[str, ...]:
    """Return the lines that make the interface, not yet up.

    The MAC comes with the interface or right behind it: udev gives a tap a MAC of its own unless one was set by then
    (systemd.link(5), MACAddressPolicy=persistent). The owner is always set: a tap without one is open to every user.
    """
    name = vm.interface
    if vm.kind == "tap":
        queues = " multi_queue" if vm.multi_queue else ""
        lines = [f"tuntap add dev {name} mode tap user {vm.owner}{queues}",
                 f"link set dev {name} address {vm.gateway.mac}"]
    else:
        lines = [f"link add dev {name} mtu {vm.mtu} address {vm.gateway.mac} type veth "
                 f"peer name {peer_name(name)} mtu {vm.mtu} address {vm.mac}"]
    if vm.altname:
        lines.append(f"link property add dev {name} altname {vm.altname}")
    return tuple(lines)


def configure_lines(vm: Vm) -> Tuple[str, ...]:
    """Return the lines that bring the interface into its state; running them again changes nothing.

    The MAC first: changing it drops the neighbours, permanent ones too. Up last: then the VM's route comes alive.
    """
    name = vm.interface
    lines = [f"link set dev {name} {link_words(vm)}"]
    lines += [f"address replace {address} dev {name} {words}" for address, words in gateway_addresses(vm).items()]
    lines += [neighbour_line(vm, address) for address in neighbours_of(vm)]
    lines.append(f"link set dev {name} up")
    lines += [kernel_route_line(vm, prefix, via) for prefix, via in kernel_routes(vm).items()]
    return tuple(lines)


def neighbours_of(vm: Vm) -> Tuple[str, ...]:
    """Return the addresses that are permanent neighbours on the interface; on a bridge there are none."""
    return () if vm.bridge else vm.addresses


def kernel_routes(vm: Vm) -> "Dict[str, str]":
    """Return the kernel's own routes to a VM, prefix to next hop (empty: the VM itself)."""
    if vm.bridge or vm.routes != KERNEL:
        return {}
    routes = {f"{address}/{_length(address)}": "" for address in vm.addresses}
    routes.update({prefix: _first_of_family(vm, prefix) for prefix in vm.prefixes})
    return routes


def kernel_route_line(vm: Vm, prefix: str, via: str) -> str:
    """Return the line of one route of the kernel's; the interface must be up."""
    return f"route replace {prefix}{f' via {via} onlink' if via else ''} dev {vm.interface} proto {ROUTE_PROTOCOL}"


def late_lines(vm: Vm) -> "Dict[str, List[str]]":
    """Return, by the interface that they need and that the host's network manager makes, the lines to run then."""
    if vm.bridge:
        return {vm.bridge: [f"link set dev {vm.interface} master {vm.bridge}"]}
    if vm.proxy_ndp:
        addresses = [address for address in vm.addresses if family_of(address) == 6]
        return {vm.proxy_ndp: [proxy_line(address, vm.proxy_ndp) for address in addresses]} if addresses else {}
    return {}


def proxy_line(address: str, interface: str, verb: str = "replace") -> str:
    """Return the line by which an interface answers for an address, or does no more (`del`)."""
    return f"neigh {verb} proxy {address} dev {interface}"


def link_words(vm: Vm) -> str:
    """Return the words of `ip link set` for all that is set in one. No link-local address of its own: it would be the
    same on all VM interfaces of all nodes, as their MAC is."""
    no_link_local = "addrgenmode none " if vm.gateway.ipv6 else ""
    return f"address {vm.gateway.mac} mtu {vm.mtu} {no_link_local}group {GROUP} alias {alias_of(vm.name, vm.nic)}"


def neighbour_line(vm: Vm, address: str) -> str:
    """Return the line of one permanent neighbour: the guest is never asked for its MAC, and cannot change it."""
    return f"neigh replace {address} lladdr {vm.mac} dev {vm.interface} nud permanent"


def route_lines(vm: Vm) -> Tuple[str, ...]:
    """Return the FRR static routes of a VM in its announcement.

    Prefixes go by the VM's first address of their family, `onlink`: so they need no other route to be resolved by.
    """
    tag = ANNOUNCEMENTS[vm.announcement]
    if tag is None or vm.bridge or vm.routes == KERNEL:
        return ()
    lines = [f"{_word(each)} route {each}/{_length(each)} {vm.interface} tag {tag}" for each in vm.addresses]
    for prefix in vm.prefixes:
        via = _first_of_family(vm, prefix)
        lines.append(f"{_word(prefix)} route {prefix} {via} {vm.interface} tag {tag} onlink")
    return tuple(lines)


def _first_of_family(vm: Vm, prefix: str) -> str:
    return next(address for address in vm.addresses if family_of(address) == family_of(prefix))


def record_text(vm: Vm) -> str:
    """Return the record of a VM's interface: what was asked for, and what makes it."""
    record = {
        "version": RECORD_VERSION, "vm": vm.name, "nic": vm.nic, "interface": vm.interface, "altname": vm.altname,
        "kind": vm.kind, "owner": vm.owner, "multi_queue": vm.multi_queue, "addresses": vm.addresses,
        "prefixes": vm.prefixes, "mac": vm.mac, "mtu": vm.mtu, "gateway": vm.gateway._asdict(),
        "announcement": vm.announcement,
        **({"bridge": vm.bridge} if vm.bridge else {}),
        **({"driver": vm.driver} if vm.driver else {}),
        **({"routes": vm.routes} if kernel_routes(vm) else {}),
        "create": create_lines(vm), "sysctls": sysctls_of(vm), "configure": configure_lines(vm),
        **({"late": late_lines(vm)} if late_lines(vm) else {}),
    }
    # One line per key, for people; json.dumps would indent the lists too, by Python code that takes four times as long.
    return "{\n" + ",\n".join(f' "{key}": {json.dumps(value)}' for key, value in record.items()) + "\n}\n"


def parse_record(text: str) -> "Optional[Dict[str, Any]]":
    """Return a record as a dictionary; None for a text that is none (torn, or of a later version)."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("version") != RECORD_VERSION:
        return None
    return record if isinstance(record.get("addresses"), list) else None


def _word(text: str) -> str:
    return "ipv6" if family_of(text) == 6 else "ip"


def _length(address: str) -> int:
    return 128 if family_of(address) == 6 else 32
