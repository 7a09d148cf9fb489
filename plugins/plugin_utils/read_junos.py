# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the variables of a Junos core gateway: how it is reached and changed, which names things have there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from .cluster import Junos, JunosGroup
from .findings import Place
from .values import (
    is_readable,
    kind_of,
    quote_remedy,
    read_choice,
    read_flag,
    read_integer,
    read_mapping,
    read_text,
    shown,
)

JUNOS_PREFIX = "core_gateway_junos_"
MATCH_KEY = "core_gateway_match"
MATCHES = ("host", "orlonger")

LOGIN_KEYS = ("ansible_host", "ansible_port", "ansible_user", "ansible_password", "ansible_ssh_private_key_file")
"""Ansible's own variables, which say here what they say of every host."""

SETTINGS = (
    "confirm established groups host_key_checking logical_system routing_instance ssh_config timeout wait"
).split()
"""What there is of `core_gateway_junos_*`."""

_FAMILIES = ("ipv4", "ipv6")
_GROUP_KEYS = ("name", "import_policy", "export_policy")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", re.ASCII)


def read_junos(place: Place, variables: Mapping[str, object]) -> Junos:
    """Return what is said of a Junos gateway, with defaults where nothing is or a mistake. place: the host."""
    _check_names(place, variables)
    default = Junos(place.where)

    def at(key: str) -> tuple[Place, object]:
        return place.at(key), variables.get(key)

    def setting(key: str) -> tuple[Place, object]:
        return at(f"{JUNOS_PREFIX}{key}")

    junos = Junos(
        host=_read_host(*at("ansible_host")) or place.where,
        port=_number(*at("ansible_port"), high=65535) or default.port,
        user=_text(*at("ansible_user")),
        password=_read_password(*at("ansible_password")),
        private_key_file=_text(*at("ansible_ssh_private_key_file")),
        ssh_config=_text(*setting("ssh_config")),
        host_key_checking=_flag(*setting("host_key_checking"), default.host_key_checking),
        timeout=_number(*setting("timeout"), high=3600, unit=" seconds") or default.timeout,
        # Junos: 1 through 65535 minutes, at `commit confirmed`.
        confirm=_number(*setting("confirm"), high=65535, unit=" minutes") or default.confirm,
        wait=_number(*setting("wait"), high=86400, unit=" seconds") or default.wait,
        established=_choice(*setting("established"), ("all", "any")) or default.established,
        match=_choice(*at(MATCH_KEY), MATCHES) or default.match,
        logical_system=_name(*setting("logical_system")),
        routing_instance=_name(*setting("routing_instance")),
        **_read_groups(*setting("groups"), default),
    )
    _check_wait(place.at(f"{JUNOS_PREFIX}wait"), junos)
    if junos.match == "orlonger":
        place.at(MATCH_KEY).warning(
            "orlonger takes whole pools, and asks for no community", "use host, once the gateway's operator agrees"
        )
    return junos


def _check_names(place: Place, variables: Mapping[str, object]) -> None:
    for name in variables:
        key = name.removeprefix(JUNOS_PREFIX)
        if key == name or key in SETTINGS:
            continue
        near = difflib.get_close_matches(key, SETTINGS, n=1)
        remedy = f"did you mean {JUNOS_PREFIX}{near[0]}?" if near else "such are " + ", ".join(SETTINGS)
        place.at(shown(name).strip("'")).mistake("unknown variable", remedy)


def _check_wait(place: Place, junos: Junos) -> None:
    if junos.wait >= junos.confirm * 60:
        place.mistake(
            f"{junos.wait} seconds are not less than the {junos.confirm} minutes of {JUNOS_PREFIX}confirm",
            "or Junos would roll back while it is still being verified: lower it, or raise the minutes",
        )


def _text(place: Place, value: object) -> str:
    return "" if value is None else read_text(place, value) or ""


def _number(place: Place, value: object, high: int, unit: str = "") -> int | None:
    return None if value is None else read_integer(place, value, 1, high, unit)


def _flag(place: Place, value: object, otherwise: bool) -> bool:
    found = None if value is None else read_flag(place, value)
    return otherwise if found is None else found


def _choice(place: Place, value: object, choices: tuple[str, ...]) -> str | None:
    return None if value is None else read_choice(place, value, choices)


def _read_host(place: Place, value: object) -> str:
    """Return the name or address to connect to. PyEZ takes an IPv6 address for a name."""
    text = _text(place, value)
    if ":" in text:
        place.mistake(
            f"{shown(text)} is no name and no IPv4 address",
            f"give an IPv6 address a name, in DNS or in {JUNOS_PREFIX}ssh_config",
        )
        return ""
    return text


def _read_password(place: Place, value: object) -> str:
    """Return the login's password. Nothing of it is ever shown."""
    if value is None or not is_readable(place, value):
        return ""
    if not isinstance(value, str):
        place.mistake(f"is {kind_of(value)}, must be text", quote_remedy(value))
        return ""
    return value


def _name(place: Place, value: object) -> str:
    text = _text(place, value)
    if text and not _NAME.fullmatch(text):
        place.mistake(f"{shown(text)} is not a name that Junos takes", "use letters, digits, '_', '.', '-', at most 63")
        return ""
    return text


def _read_groups(place: Place, value: object, default: Junos) -> dict[str, JunosGroup]:
    """Return the names of both families' groups and policies; policies not named are named after the group."""
    fields = read_mapping(place, value, _FAMILIES) if value is not None else None
    groups = {
        family: _read_group(place.at(family), (fields or {}).get(family), getattr(default, family))
        for family in _FAMILIES
    }
    _check_groups(place, groups)
    return groups


def _check_groups(place: Place, groups: Mapping[str, JunosGroup]) -> None:
    """Each family has a group and an import policy of its own; what exports nothing may be one policy for all."""
    ipv4, ipv6 = (groups[family] for family in _FAMILIES)
    if ipv4.name == ipv6.name:
        place.at("ipv6.name").mistake(f"{ipv6.name} is ipv4's too", "each family has sessions of its own")
    elif ipv4.import_policy == ipv6.import_policy:
        place.at("ipv6.import_policy").mistake(f"{ipv6.import_policy} is ipv4's too", "each family has its own filters")
    for family, imported in ((family, group.import_policy) for family, group in groups.items()):
        if imported in (ipv4.export_policy, ipv6.export_policy):
            place.at(f"{family}.import_policy").mistake(
                f"{imported} is an export policy too", "name a policy of its own: the other lets nothing pass"
            )


def _read_group(place: Place, value: object, default: JunosGroup) -> JunosGroup:
    fields = read_mapping(place, value, _GROUP_KEYS) if value is not None else None
    names = {key: _name(place.at(key), (fields or {}).get(key)) for key in _GROUP_KEYS}
    name = names["name"] or default.name
    return JunosGroup(name, names["import_policy"] or f"{name}-IN", names["export_policy"] or f"{name}-OUT")
