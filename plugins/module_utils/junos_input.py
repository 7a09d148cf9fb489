# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What junos_bgp_group takes, and everything that can be wrong with it before the device is contacted; all mistakes
are told together."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Any, Dict, List, Mapping, Optional

from ansible.module_utils.basic import env_fallback

# Policies of Junos have at most 255 characters; what is not a letter, digit, `_`, `.` or `-` would have to be quoted.
NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$")
COMMUNITY = re.compile(r"^(\d{1,5}):(\d{1,5})$")
LARGE_COMMUNITY = re.compile(r"^(\d{1,10}):(\d{1,10}):(\d{1,10})$")
KEY_LENGTH = 126  # of `authentication-key`; Juniper's YANG modules
HIGHEST = 4294967295

# The environment's variables are those that AWX's credential of type Network sets.
CONNECTION: Dict[str, Any] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 830},
    "user": {"type": "str", "fallback": (env_fallback, ["ANSIBLE_NET_USERNAME"])},
    "password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["ANSIBLE_NET_PASSWORD"])},
    "private_key_file": {"type": "path", "fallback": (env_fallback, ["ANSIBLE_NET_SSH_KEYFILE"])},
    "ssh_config": {"type": "path"},
    "host_key_checking": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 30},
}
PLACE: Dict[str, Any] = {"logical_system": {"type": "str"}, "routing_instance": {"type": "str"}}
PREFIX = {"prefix": {"type": "str", "required": True}, "length": {"type": "int"}}
ACCEPT = {
    "name": {"type": "str", "required": True},
    "communities": {"type": "list", "elements": "str", "default": []},
    "prefixes": {"type": "list", "elements": "dict", "default": [], "options": PREFIX},
}
GROUP: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "family": {"type": "str", "choices": ["ipv4", "ipv6"], "required": True},
    "local_address": {"type": "str"},
    "neighbors": {"type": "list", "elements": "dict", "required": True, "options": {
        "address": {"type": "str", "required": True}, "description": {"type": "str"}}},
    "password": {"type": "str", "no_log": True},
    "hold_time": {"type": "int"},
    "bfd": {"type": "dict", "options": {
        "interval": {"type": "int", "default": 300}, "multiplier": {"type": "int", "default": 3}}},
    "ttl_security": {"type": "bool", "default": False},
    "graceful_restart": {"type": "bool", "default": True},
    "prefix_limit": {"type": "int"},
    "import_policy": {"type": "str"},
    "export_policy": {"type": "str"},
    "accept": {"type": "list", "elements": "dict", "required": True, "options": ACCEPT},
}
ARGUMENTS: Dict[str, Any] = dict(
    CONNECTION, **PLACE,
    asn={"type": "int", "required": True},
    groups={"type": "list", "elements": "dict", "default": [], "options": GROUP},
    match={"type": "str", "choices": ["host", "orlonger"], "default": "host"},
    discard={"type": "list", "elements": "str", "default": []},
    purge={"type": "bool", "default": False},
    purge_prefix={"type": "str", "default": "VMC-"},
    confirm={"type": "int", "default": 5},
    expect={"type": "dict", "options": {
        "established": {"type": "str", "choices": ["all", "any", "none"], "default": "all"},
        "prefixes": {"type": "list", "elements": "str", "default": []}}},
    wait={"type": "int", "default": 30},
    comment={"type": "str", "default": "vmcluster.network"},
)


def complete_connection(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the options with nothing for an empty text: an inventory says so of what it does not know."""
    return {key: None if value == "" else value for key, value in options.items()}


def complete_options(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the options with what is not said: policies are named after their group, addresses and prefixes stand in
    the form that Junos shows."""
    result = complete_connection(options)
    result["groups"] = [_complete_group(group) for group in result["groups"] or []]
    result["discard"] = [_canonical(prefix) for prefix in result["discard"] or []]
    expect = result["expect"] or {"established": "all", "prefixes": []}
    result["expect"] = dict(expect, prefixes=[_canonical(prefix) for prefix in expect["prefixes"] or []])
    return result


def check_options(options: Mapping[str, Any]) -> List[str]:
    """Return every mistake in a completed module call, each naming list index and key; empty when there is none."""
    problems = check_connection(options) + _asn_problems(options["asn"])
    for index, group in enumerate(options["groups"]):
        problems += _group_problems(f"groups[{index}]", group)
    problems += _policy_problems(options["groups"])
    problems += _double_problems("groups", "name", [group["name"] for group in options["groups"]])
    problems += _double_problems(
        "groups", "neighbour", [peer["address"] for group in options["groups"] for peer in group["neighbors"]])
    problems += check_prefixes("discard", options["discard"])
    problems += check_prefixes("expect.prefixes", options["expect"]["prefixes"])
    problems += _expect_problems(options)
    if options["purge"] and not options["purge_prefix"]:
        problems.append("purge_prefix: must not be empty, else every group of the device would be purged")
    if options["comment"] is not None and not _is_one_line(options["comment"], 200):
        problems.append("comment: must be one line of 1 to 200 printable characters")
    return problems


def check_connection(options: Mapping[str, Any]) -> List[str]:
    """Return every mistake in how the device is reached and where on it the work is."""
    problems = []
    host = options["host"] or ""
    try:
        if ipaddress.ip_address(host).version == 6:
            problems.append(
                f"host: {host}: PyEZ takes no IPv6 address; give it a name, in DNS or as a Host of ssh_config")
    except ValueError:
        if not re.match(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", host):
            problems.append(f"host: {host!r} is no host name")
    for key, low, high in (("port", 1, 65535), ("timeout", 1, 3600)):
        if not low <= options[key] <= high:
            problems.append(f"{key}: {options[key]} is not between {low} and {high}")
    for key in ("private_key_file", "ssh_config"):
        if options[key] is not None and not os.path.isfile(os.path.expanduser(options[key])):
            problems.append(f"{key}: there is no file {options[key]} on the host this module runs on")
    for key in PLACE:
        if options[key] is not None and not NAME.match(options[key]):
            problems.append(f"{key}: {options[key]!r} is no name of Junos")
    return problems


def check_prefixes(place: str, prefixes: List[str]) -> List[str]:
    """Return every mistake in a list of prefixes."""
    return [problem for index, prefix in enumerate(prefixes)
            for problem in _prefix_problems(f"{place}[{index}]", prefix)]


def secrets_of(options: Mapping[str, Any]) -> List[str]:
    """Return every secret of a module call, none of which may be shown."""
    own = [options.get("password"), *(group["password"] for group in options.get("groups") or [])]
    return [secret for secret in own if secret]


def _complete_group(group: Mapping[str, Any]) -> Dict[str, Any]:
    result = complete_connection(group)
    result["import_policy"] = result["import_policy"] or f"{result['name']}-IN"
    result["export_policy"] = result["export_policy"] or f"{result['name']}-OUT"
    result["local_address"] = result["local_address"] and _canonical(result["local_address"])
    result["neighbors"] = [dict(peer, address=_canonical(peer["address"]), description=peer["description"] or None)
                           for peer in result["neighbors"] or []]
    result["accept"] = [
        dict(entry, prefixes=[dict(item, prefix=_canonical(item["prefix"])) for item in entry["prefixes"] or []],
             communities=entry["communities"] or [])
        for entry in result["accept"] or []]
    return result


def _canonical(text: str) -> str:
    """Return an address or prefix as Junos shows it; what is none stays as it is, for the check to tell."""
    try:
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        return text


def _asn_problems(asn: int) -> List[str]:
    if not 1 <= asn <= HIGHEST - 1 or asn in (23456, 65535):
        return [f"asn: {asn} is no AS number that can be used: 1 to {HIGHEST - 1}, neither 23456 nor 65535"]
    return []


def _group_problems(place: str, group: Mapping[str, Any]) -> List[str]:
    problems = []
    version = 6 if group["family"] == "ipv6" else 4
    wrong = [key for key in ("name", "import_policy", "export_policy") if not NAME.match(group[key] or "")]
    for key in wrong[:1] if wrong[:1] == ["name"] else wrong:  # the policies' names may be made of the group's
        problems.append(f"{place}.{key}: {group[key]!r} is no name: letters, digits, `_`, `.` or `-`, up to 255")
    if not group["neighbors"]:
        problems.append(f"{place}.neighbors: a group of Junos needs a neighbour; leave the group out to remove it")
    for index, peer in enumerate(group["neighbors"]):
        problems += _address_problems(f"{place}.neighbors[{index}].address", peer["address"], version)
        if peer["description"] is not None and not _is_one_line(peer["description"], 255):
            problems.append(f"{place}.neighbors[{index}].description: must be one line of printable characters")
    if group["local_address"] is not None:
        problems += _address_problems(f"{place}.local_address", group["local_address"], version)
    problems += _number_problems(place, group) + _key_problems(f"{place}.password", group["password"])
    for index, entry in enumerate(group["accept"]):
        problems += _accept_problems(f"{place}.accept[{index}]", entry)
    return problems + _double_problems(f"{place}.accept", "name", [entry["name"] for entry in group["accept"]])


def _number_problems(place: str, group: Mapping[str, Any]) -> List[str]:
    problems = []
    hold = group["hold_time"]
    if hold is not None and (not 0 <= hold <= 65535 or hold in (1, 2)):
        problems.append(f"{place}.hold_time: {hold} is not 0 or 3 to 65535 seconds (RFC 4271, 4.2)")
    if group["prefix_limit"] is not None and not 1 <= group["prefix_limit"] <= HIGHEST:
        problems.append(f"{place}.prefix_limit: {group['prefix_limit']} is not between 1 and {HIGHEST}")
    for key, high in (("interval", 255000), ("multiplier", 255)):
        if group["bfd"] is not None and not 1 <= group["bfd"][key] <= high:
            problems.append(f"{place}.bfd.{key}: {group['bfd'][key]} is not between 1 and {high}")
    return problems


def _key_problems(place: str, key: Optional[str]) -> List[str]:
    """The value is never repeated in a message."""
    if key is None:
        return []
    if not 1 <= len(key) <= KEY_LENGTH:
        return [f"{place}: must have 1 to {KEY_LENGTH} characters"]
    if not re.match(r"^[\x21-\x7e]+$", key) or re.match(r"^\$\d\$", key):
        return [f"{place}: may have printable ASCII characters only, no blank, and not begin like a scrambled one "
                "($9$)"]
    return []


def _accept_problems(place: str, entry: Mapping[str, Any]) -> List[str]:
    problems = []
    if not NAME.match(entry["name"]):
        problems.append(f"{place}.name: {entry['name']!r} is no name of Junos")
    for index, community in enumerate(entry["communities"]):
        if not _is_community(community):
            problems.append(f"{place}.communities[{index}]: {community!r} is no community: write 65010:100, or "
                            "4200000001:1:100 (large)")
    for index, item in enumerate(entry["prefixes"]):
        here = f"{place}.prefixes[{index}]"
        wrong = _prefix_problems(f"{here}.prefix", item["prefix"])
        problems += wrong
        if not wrong and item["length"] is not None:
            network = ipaddress.ip_network(item["prefix"])
            if not network.prefixlen <= item["length"] <= network.max_prefixlen:
                problems.append(f"{here}.length: {item['length']} is not between {network.prefixlen} and "
                                f"{network.max_prefixlen}")
    return problems


def _policy_problems(groups: List[Dict[str, Any]]) -> List[str]:
    """Each group has its own import policy; one that lets nothing out may serve all."""
    imports = [group["import_policy"] for group in groups]
    problems = _double_problems("groups", "import_policy", imports)
    for index, group in enumerate(groups):
        if group["export_policy"] in imports:
            problems.append(f"groups[{index}].export_policy: {group['export_policy']} is an import policy too, and "
                            "would announce what it lets in")
    return problems


def _expect_problems(options: Mapping[str, Any]) -> List[str]:
    problems = []
    if not 1 <= options["confirm"] <= 65535:  # Junos CLI reference, `commit confirmed`
        problems.append(f"confirm: {options['confirm']} is not between 1 and 65535 minutes")
    elif options["wait"] >= options["confirm"] * 60:
        problems.append(f"wait: {options['wait']} seconds are not less than the {options['confirm']} minutes of "
                        "confirm: Junos would roll back while it is verified")
    if options["wait"] < 1:
        problems.append(f"wait: {options['wait']} is not a number of seconds above 0: a change is verified, then "
                        "confirmed")
    return problems


def _address_problems(place: str, text: str, version: int) -> List[str]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return [f"{place}: {text!r} is no IP address"]
    if address.version != version:
        return [f"{place}: {text} is no IPv{version} address, which the group's family asks for"]
    if address.is_multicast or address.is_unspecified or address.is_link_local or text == "255.255.255.255":
        return [f"{place}: {text} is not the address of one host, known beyond its link"]
    return []


def _prefix_problems(place: str, text: str) -> List[str]:
    try:
        if "/" not in text:
            raise ValueError(text)
        ipaddress.ip_network(text)
    except ValueError:
        return [f"{place}: {text!r} is no prefix: write address/length without host bits"]
    return []


def _is_community(text: str) -> bool:
    for form, highest in ((COMMUNITY, 65535), (LARGE_COMMUNITY, HIGHEST)):
        found = form.match(text)
        if found:
            return all(int(part) <= highest for part in found.groups())
    return False


def _is_one_line(text: str, longest: int) -> bool:
    return 1 <= len(text) <= longest and text.isprintable() and text == " ".join(text.split())


def _double_problems(place: str, key: str, values: List[str]) -> List[str]:
    doubles = sorted({value for value in values if values.count(value) > 1})
    return [f"{place}: {key} {value} is there more than once" for value in doubles]
