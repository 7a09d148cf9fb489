# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading `cluster.networks` of a switching cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .cluster import ADDITIONAL, MAIN, NETWORKS, SwitchedNetwork
from .findings import Place
from .values import read_choice, read_flag, read_integer, read_list, read_mapping, read_text, shown

NETWORK_KEYS = ("bridge", "isolated", "vlan", "vlans", "bond_mode")
BOND_MODES = ("802.3ad", "active-backup", "balance-xor")
VLAN_MAXIMUM = 4094

_BRIDGE = re.compile(r"[a-z][a-z0-9_-]{0,8}", re.ASCII)
_KERNELS_NAMES = ("all", "default", "lo")
"""Sysctls of `all` are of every interface."""
_DEFAULT_BRIDGES = {MAIN: "br0", ADDITIONAL: "br1"}


def read_networks(place: Place, value: object) -> tuple[SwitchedNetwork, ...]:
    """Return the networks of a cluster, the main one first."""
    fields = read_mapping(place, value, NETWORKS)
    if fields is None:
        return ()
    # A network that has nothing to say (`main:`) has no value, and is there all the same.
    names = [name for name in NETWORKS if isinstance(value, Mapping) and name in value]
    if MAIN not in names:
        place.at(MAIN).mistake("is missing", "describe the network that VMs are in by default, {} with defaults alone")
    networks = tuple(_read_network(place.at(name), name, fields.get(name, {})) for name in names)
    _check_bridges(place, networks)
    return networks


def _read_network(place: Place, name: str, value: object) -> SwitchedNetwork:
    fields = read_mapping(place, value, NETWORK_KEYS) or {}
    isolated = read_flag(place.at("isolated"), fields.get("isolated", name == ADDITIONAL))
    mode = read_choice(place.at("bond_mode"), fields.get("bond_mode", BOND_MODES[0]), BOND_MODES)
    return SwitchedNetwork(
        name=name,
        bridge=_read_bridge(place.at("bridge"), fields.get("bridge", _DEFAULT_BRIDGES[name])),
        isolated=isolated is True,
        vlan=read_vlan(place.at("vlan"), fields["vlan"]) if "vlan" in fields else 0,
        vlans=_read_vlans(place.at("vlans"), fields.get("vlans", [])),
        bond_mode=mode or BOND_MODES[0],
    )


def _read_bridge(place: Place, value: object) -> str:
    """Return a bridge's name that leaves room for what is named after it: `br0v4094`."""
    name = read_text(place, value)
    if name is not None and (name in _KERNELS_NAMES or not _BRIDGE.fullmatch(name)):
        place.mistake(f"{shown(name)} is not a bridge's name here", "use a-z, 0-9, '_', '-', first a letter, at most 9")
        return ""
    return name or ""


def read_vlan(place: Place, value: object) -> int:
    """Return a VLAN's number (IEEE 802.1Q: 1 to 4094), 0 when it is none."""
    return read_integer(place, value, 1, VLAN_MAXIMUM) or 0


def _read_vlans(place: Place, value: object) -> tuple[int, ...]:
    found: list[int] = []
    for index, element in enumerate(read_list(place, value) or []):
        vlan = read_vlan(place.item(index), element)
        if vlan and vlan in found:
            place.item(index).mistake(f"{vlan} is there twice", "leave one")
        elif vlan:
            found.append(vlan)
    return tuple(found)


def _check_bridges(place: Place, networks: tuple[SwitchedNetwork, ...]) -> None:
    """Names that are derived from bridges must not meet: `br0v1` is the bridge of VLAN 1 of `br0`."""
    seen: dict[str, str] = {}
    for network in networks:
        for name in (vlan_bridge(network.bridge, vlan) for vlan in (0, *network.vlans) if network.bridge):
            if seen.setdefault(name, network.name) != network.name:
                place.at(network.name).at("bridge").mistake(
                    f"{name} is a bridge of network {seen[name]} too", "give each network a bridge of its own"
                )
        if network.vlan and network.vlan in network.vlans:
            place.at(network.name).at("vlans").mistake(
                f"{network.vlan} is the VLAN of the network itself", "take it out: VMs are in it without asking"
            )


def vlan_bridge(bridge: str, vlan: int) -> str:
    """Return the name of the bridge on which VMs are that ask for a VLAN; without one, that of the network."""
    return f"{bridge}v{vlan}" if vlan else bridge
