# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What frr_neighbor takes, and everything that can be wrong with it before FRR is touched; all mistakes are told
together."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, List, Mapping, Optional

FAMILIES = ("ipv4 unicast", "ipv6 unicast", "l2vpn evpn", "ipv4 multicast", "ipv6 multicast", "ipv4 labeled-unicast",
            "ipv6 labeled-unicast", "ipv4 vpn", "ipv6 vpn")
NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$")
# Words that FRR's commands have in places where a peer-group's or route-map's name stands (`clear bgp all`,
# `route-map X in`).
RESERVED_NAMES = frozenset(
    (
        "all",
        "any",
        "auto",
        "default",
        "external",
        "group",
        "in",
        "interface",
        "internal",
        "none",
        "no",
        "out",
        "peer-group",
        "permit",
        "deny",
        "soft",
        "vrf",
    )
)
RESERVED_AS = {
    0: "RFC 7607", 23456: "AS_TRANS, RFC 6793", 65535: "RFC 7300", 4294967295: "RFC 7300"}
PASSWORD_LENGTH = 80  # TCP_MD5SIG_MAXKEYLEN of Linux

TIMERS = {"keepalive": {"type": "int"}, "hold": {"type": "int"}, "connect": {"type": "int"}}
FAMILY = {
    "name": {"type": "str", "required": True, "choices": list(FAMILIES)},
    "activate": {"type": "bool", "default": True},
    "route_reflector_client": {"type": "bool", "default": False},
    "route_map_in": {"type": "str"},
    "route_map_out": {"type": "str"},
    "prefix_list_in": {"type": "str"},
    "prefix_list_out": {"type": "str"},
    "maximum_prefix": {"type": "int"},
    "maximum_prefix_threshold": {"type": "int"},
    "maximum_prefix_restart": {"type": "int"},
    "maximum_prefix_warning_only": {"type": "bool", "default": False},
    "next_hop_self": {"type": "str", "choices": ["no", "yes", "force"], "default": "no"},
    "send_community": {"type": "str", "choices": ["default", "none"], "default": "default"},
    "soft_reconfiguration": {"type": "bool", "default": False},
    "addpath_tx_all_paths": {"type": "bool", "default": False},
}
SESSION: Dict[str, Any] = {
    "remote_as": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "timers": {"type": "dict", "options": TIMERS},
    "bfd": {"type": "bool", "default": False},
    "bfd_profile": {"type": "str"},
    "bfd_check_control_plane": {"type": "bool", "default": False},
    "ttl_security": {"type": "int"},
    "ebgp_multihop": {"type": "int"},
    "update_source": {"type": "str"},
    "description": {"type": "str"},
    "shutdown": {"type": "bool", "default": False},
    "passive": {"type": "bool", "default": False},
    "extended_nexthop": {"type": "bool", "default": False},
    "families": {"type": "list", "elements": "dict", "options": FAMILY},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
ARGUMENTS: Dict[str, Any] = {
    "asn": {"type": "int", "required": True},
    "vrf": {"type": "str"},
    "peer_groups": {"type": "list", "elements": "dict", "default": [], "options": dict(
        SESSION, name={"type": "str", "required": True}, listen_ranges={"type": "list", "elements": "str"})},
    "neighbors": {"type": "list", "elements": "dict", "default": [], "options": dict(
        SESSION, address={"type": "str", "required": True}, peer_group={"type": "str"},
        state={"type": "str", "choices": ["present", "absent", "fenced", "readmitted"], "default": "present"})},
    "listen_limit": {"type": "int"},
    "purge": {"type": "bool", "default": False},
    "purge_prefix": {"type": "str", "default": "VMC-"},
    "save": {"type": "bool", "default": True},
    "wait": {"type": "int", "default": 0},
    "wait_for": {"type": "str", "choices": ["all", "any"], "default": "all"},
}


def check_options(options: Mapping[str, Any]) -> List[str]:
    """Return every mistake in a module call, each naming list index and key; empty when there is none."""
    problems = _asn_problems("asn", str(options["asn"]))
    if options["vrf"] is not None and not NAME.match(options["vrf"]):
        problems.append(f"vrf: {options['vrf']!r} is no name of a VRF")
    if options["listen_limit"] is not None and not 1 <= options["listen_limit"] <= 65535:
        problems.append(f"listen_limit: {options['listen_limit']} is not between 1 and 65535")
    if options["purge"] and not options["purge_prefix"]:
        problems.append("purge_prefix: must not be empty, else every peer-group would be purged")
    groups = {group["name"]: group for group in options["peer_groups"] if group["state"] == "present"}
    for index, group in enumerate(options["peer_groups"]):
        place = f"peer_groups[{index}]"
        problems += _name_problems(f"{place}.name", group["name"])
        problems += _prefix_problems(place, group["listen_ranges"] or [])
        problems += _session_problems(place, group)
    for index, neighbor in enumerate(options["neighbors"]):
        place = f"neighbors[{index}]"
        problems += _address_problems(f"{place}.address", neighbor["address"])
        problems += _session_problems(place, neighbor)
        problems += _membership_problems(place, neighbor, groups.get(neighbor["peer_group"]))
    problems += _double_problems("peer_groups", "name", [group["name"] for group in options["peer_groups"]])
    problems += _double_problems("neighbors", "address", [_same(peer["address"]) for peer in options["neighbors"]])
    ranges = [_same(prefix) for group in groups.values() for prefix in group["listen_ranges"] or []]
    return problems + _double_problems("peer_groups", "listen_ranges", ranges)


def _same(address: str) -> str:
    try:
        return str(ipaddress.ip_network(address, strict=False) if "/" in address else ipaddress.ip_address(address))
    except ValueError:
        return address


def _asn_problems(place: str, text: str) -> List[str]:
    if not re.match(r"^\d+$", text):
        return [f"{place}: {text!r} is no AS number: write 1 to 4294967294, as one number"]
    number = int(text)
    if number in RESERVED_AS:
        return [f"{place}: AS {number} is reserved ({RESERVED_AS[number]}): take another one, of 64512-65534 or "
                "4200000000-4294967294 for private use"]
    if number > 4294967295:
        return [f"{place}: AS {number} has more than 32 bits"]
    return []


def _name_problems(place: str, name: str) -> List[str]:
    if name.lower() in RESERVED_NAMES:
        return [f"{place}: {name!r} is a word of FRR's own commands: take another name"]
    if not NAME.match(name):
        return [f"{place}: {name!r} is no name: a letter, then up to 62 letters, digits, `_`, `.` or `-`"]
    return []


def _address_problems(place: str, text: str) -> List[str]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return [f"{place}: {text!r} is no IPv4 or IPv6 address"]
    if address.is_multicast or address.is_unspecified or text == "255.255.255.255":
        return [f"{place}: {text} is not the address of one host"]
    if address.version == 6 and address.is_link_local:
        return [f"{place}: {text} is link-local: FRR tells such neighbours by interface, which this module does not do"]
    return []


def _prefix_problems(place: str, prefixes: List[str]) -> List[str]:
    problems = []
    for index, prefix in enumerate(prefixes):
        try:
            if "/" not in prefix:
                raise ValueError(prefix)
            ipaddress.ip_network(prefix)
        except ValueError:
            problems.append(
                f"{place}.listen_ranges[{index}]: {prefix!r} is no prefix: write address/length without host bits"
            )
    return problems


def _session_problems(place: str, peer: Mapping[str, Any]) -> List[str]:
    problems = []
    remote_as = peer["remote_as"]
    if remote_as is not None and remote_as not in ("internal", "external"):
        problems += _asn_problems(f"{place}.remote_as", remote_as)
    problems += _password_problems(f"{place}.password", peer["password"])
    problems += _timer_problems(f"{place}.timers", peer["timers"] or {})
    for key, highest in (("ttl_security", 254), ("ebgp_multihop", 255)):
        if peer[key] is not None and not 1 <= peer[key] <= highest:
            problems.append(f"{place}.{key}: {peer[key]} is not between 1 and {highest}")
    if peer["ttl_security"] is not None and peer["ebgp_multihop"] is not None:
        problems.append(f"{place}: ttl_security and ebgp_multihop exclude one another (RFC 5082): keep one")
    if peer["description"] is not None and not _is_one_line(peer["description"], 240):
        problems.append(f"{place}.description: must be one line of 1 to 240 printable characters")
    if peer["update_source"] is not None and not re.match(r"^[A-Za-z0-9_.:-]+$", peer["update_source"]):
        problems.append(f"{place}.update_source: {peer['update_source']!r} is no address or interface")
    if peer["bfd_profile"] is not None:
        problems += _name_problems(f"{place}.bfd_profile", peer["bfd_profile"])
    for index, family in enumerate(peer["families"] or []):
        problems += _family_problems(f"{place}.families[{index}]", family)
    return problems + _double_problems(
        f"{place}.families", "name", [family["name"] for family in peer["families"] or []]
    )


def _password_problems(place: str, password: Optional[str]) -> List[str]:
    """The value is never repeated in a message."""
    if password is None:
        return []
    if not 1 <= len(password) <= PASSWORD_LENGTH:
        return [f"{place}: must have 1 to {PASSWORD_LENGTH} characters (TCP MD5, RFC 2385)"]
    if not re.match(r"^[\x21-\x7e]+$", password) or "?" in password:
        return [f"{place}: may have printable ASCII characters only, no blank and no question mark"]
    return []


def _timer_problems(place: str, timers: Mapping[str, Any]) -> List[str]:
    problems = []
    hold, keepalive, connect = timers.get("hold"), timers.get("keepalive"), timers.get("connect")
    if hold is not None and (hold not in range(65536) or hold in (1, 2)):
        problems.append(f"{place}.hold: {hold} is not 0 or 3 to 65535 seconds (RFC 4271, 4.2)")
    if keepalive is not None and hold is None:
        problems.append(f"{place}.hold: missing; FRR sets keepalive and hold together")
    if keepalive is not None and keepalive not in range(65536):
        problems.append(f"{place}.keepalive: {keepalive} is not between 0 and 65535 seconds")
    if connect is not None and connect not in range(1, 65536):
        problems.append(f"{place}.connect: {connect} is not between 1 and 65535 seconds")
    return problems


def _family_problems(place: str, family: Mapping[str, Any]) -> List[str]:
    problems = []
    for key in ("route_map_in", "route_map_out", "prefix_list_in", "prefix_list_out"):
        if family[key] is not None:
            problems += _name_problems(f"{place}.{key}", family[key])
    extras = [key for key in ("maximum_prefix_threshold", "maximum_prefix_restart") if family[key] is not None]
    if family["maximum_prefix"] is None and (extras or family["maximum_prefix_warning_only"]):
        problems.append(f"{place}.maximum_prefix: missing; {(extras or ['maximum_prefix_warning_only'])[0]} needs it")
    for key, highest in (
        ("maximum_prefix", 4294967295),
        ("maximum_prefix_threshold", 100),
        ("maximum_prefix_restart", 65535),
    ):
        if family[key] is not None and not 1 <= family[key] <= highest:
            problems.append(f"{place}.{key}: {family[key]} is not between 1 and {highest}")
    if family["maximum_prefix_restart"] is not None and family["maximum_prefix_warning_only"]:
        problems.append(f"{place}: maximum_prefix_restart and maximum_prefix_warning_only exclude one another")
    return problems


def _membership_problems(place: str, neighbor: Mapping[str, Any], group: Optional[Mapping[str, Any]]) -> List[str]:
    if neighbor["state"] != "present":
        return []
    if neighbor["peer_group"] is None and neighbor["remote_as"] is None:
        return [f"{place}.remote_as: missing; a neighbour outside a peer-group needs it"]
    if neighbor["peer_group"] is not None:
        problems = _name_problems(f"{place}.peer_group", neighbor["peer_group"])
        if group is not None and group["remote_as"] is not None and neighbor["remote_as"] is not None:
            problems.append(
                f"{place}.remote_as: peer-group {group['name']} has one already, and FRR lets no member differ"
            )
        return problems
    return []


def _is_one_line(text: str, longest: int) -> bool:
    return 1 <= len(text) <= longest and text.isprintable() and text == " ".join(text.split())


def _double_problems(place: str, key: str, values: List[str]) -> List[str]:
    doubles = sorted({value for value in values if values.count(value) > 1})
    return [f"{place}: {key} {value} is listed more than once" for value in doubles]
