# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading one `cluster` description."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from .cluster import (
    CORE_GATEWAYS,
    DEFAULT_MTU,
    IPFABRIC,
    ROUTE_REFLECTORS,
    ROUTING,
    SWITCHING,
    TYPES,
    Bgp,
    Cluster,
    Gateway,
    Host,
    Pool,
    Provider,
    Register,
)
from .findings import Place
from .names import gateway_mac
from .read_bgp import read_asn, read_bgp, read_communities
from .read_console import read_console
from .read_guests import EXTERNAL_DRIVER, read_driver
from .read_pools import read_pools
from .read_routing import read_provider
from .read_switching import read_networks
from .read_vms import read_vms
from .values import (
    Address,
    is_host_address,
    read_address,
    read_choice,
    read_flag,
    read_integer,
    read_mac,
    read_mapping,
    read_text,
    read_texts,
    shown,
)

CLUSTER_KEYS = (
    "name type asn community gateway pools mtu bgp register route_reflectors core_gateways aggregates vms vm_driver"
    " console"
).split()

KEYS_OF_TYPE = {
    IPFABRIC: CLUSTER_KEYS,
    SWITCHING: "name type networks pools mtu register vms vm_driver console".split(),
    ROUTING: "name type provider gateway mtu register vms vm_driver console".split(),
}

DEFAULT_GATEWAY_IPV6 = "fe80::1"
DEFAULT_REGISTER_PATH = "/var/lib/vmcluster/leases.sqlite"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}", re.ASCII)
# Names of FRR objects hold the cluster's name where these words stand for others: VMC-RR-core-IN beside VMC-RR-CORE-IN.
_RESERVED_NAMES = ("core", "node", "peer", "rr")
_BRIDGE_KEYS = ("bridge", "bridges")


def read_cluster(
    place: Place, value: object, nodes: Sequence[str], groups: Mapping[str, Sequence[str]], hosts: Mapping[str, Host]
) -> Cluster | None:
    """Return a cluster with its VMs, or None when the value is no description at all.

    nodes: the hosts that see this description; groups: the inventory's groups, as default of reflectors and gateways;
    hosts: those of the groups, by name.
    """
    name = _read_name(place.at("name"), value.get("name")) if isinstance(value, Mapping) else ""
    if name:
        place = Place(place.findings, f"cluster {name}", place.key)
    said = value.get("type") if isinstance(value, Mapping) else None
    kind = said if isinstance(said, str) and said in TYPES else IPFABRIC
    others = [key for keys in KEYS_OF_TYPE.values() for key in keys if key not in KEYS_OF_TYPE[kind]]
    fields = read_mapping(place, value, KEYS_OF_TYPE[kind], refused=dict.fromkeys((*_BRIDGE_KEYS, *others)))
    if fields is None:
        return None
    _refuse_bridges(place, fields, kind)
    _refuse_others(place, fields, kind)
    _read_type(place.at("type"), fields.get("type"))
    if kind != IPFABRIC:
        return _read_without_bgp(place, fields, name, kind, [hosts[node] for node in nodes if node in hosts])
    asn = read_asn(place.at("asn"), fields.get("asn"))
    pools, complete = _read_pools(place.at("pools"), fields.get("pools"))
    versions = {pool.version for pool in pools}
    cluster = Cluster(
        name=name,
        where=place.where,
        type=kind,
        asn=asn,
        communities=read_communities(place.at("community"), fields.get("community"), asn),
        gateway=_read_gateway(place.at("gateway"), fields.get("gateway", {}), name, versions),
        pools=pools,
        pools_complete=complete,
        mtu=_read_mtu(place.at("mtu"), fields.get("mtu", DEFAULT_MTU), versions),
        bgp=read_bgp(place.at("bgp"), fields.get("bgp", {})),
        register=_read_register(place.at("register"), fields.get("register")),
        nodes=tuple(nodes),
        route_reflectors=_read_hosts(place, ROUTE_REFLECTORS, fields, groups),
        core_gateways=_read_hosts(place, CORE_GATEWAYS, fields, groups),
        aggregates=read_flag(place.at("aggregates"), fields.get("aggregates", True)) is not False,
        vm_driver=read_driver(place.at("vm_driver"), fields.get("vm_driver", EXTERNAL_DRIVER)),
        console=read_console(place.at("console"), fields["console"]) if "console" in fields else None,
    )
    return replace(cluster, vms=read_vms(place.at("vms"), fields.get("vms", []), cluster))


def _read_without_bgp(
    place: Place, fields: Mapping[str, object], name: str, kind: str, nodes: Sequence[Host]
) -> Cluster:
    """Return a cluster of type switching or routing."""
    networks = read_networks(place.at("networks"), fields.get("networks", {"main": {}})) if kind == SWITCHING else ()
    provider = _read_provider(place.at("provider"), fields.get("provider")) if kind == ROUTING else None
    pools, complete = _read_pools_of(place, fields, kind, nodes, tuple(network.name for network in networks))
    versions = {pool.version for pool in pools}
    gateway = Gateway(None, None, "")
    if kind == ROUTING:
        gateway = _read_gateway(place.at("gateway"), fields.get("gateway", {}), name, versions)
    mtu = fields.get("mtu", provider.mtu if provider else DEFAULT_MTU)
    cluster = Cluster(
        name=name,
        where=place.where,
        type=kind,
        asn=0,
        communities=(),
        gateway=gateway,
        pools=pools,
        pools_complete=complete,
        mtu=_read_mtu(place.at("mtu"), mtu, versions),
        bgp=Bgp(),
        register=_read_register(place.at("register"), fields.get("register")),
        nodes=tuple(node.name for node in nodes),
        route_reflectors=(),
        core_gateways=(),
        aggregates=False,
        networks=networks,
        provider=provider,
        vm_driver=read_driver(place.at("vm_driver"), fields.get("vm_driver", EXTERNAL_DRIVER)),
        console=read_console(place.at("console"), fields["console"]) if "console" in fields else None,
    )
    return replace(cluster, vms=read_vms(place.at("vms"), fields.get("vms", []), cluster))


def _read_provider(place: Place, value: object) -> Provider:
    if value is None:
        place.mistake("is missing", "name it (hetzner, ovh, myloc), or write {} for one that routes all to the node")
        return Provider()
    return read_provider(place, value)


def _read_pools_of(
    place: Place, fields: Mapping[str, object], kind: str, nodes: Sequence[Host], networks: tuple[str, ...]
) -> tuple[tuple[Pool, ...], bool]:
    """Return a cluster's pools: its own, or those of its nodes together."""
    if kind == ROUTING:
        pools = [pool for node in nodes for pool in node.pools]
        numbered = tuple(replace(pool, index=index) for index, pool in enumerate(pools))
        return numbered, all(node.pools_complete for node in nodes)
    if fields.get("pools") is None:
        return _read_pools(place.at("pools"), None)
    return read_pools(place.at("pools"), fields["pools"], networks=networks or ("main",))


def _read_name(place: Place, value: object) -> str:
    if value is None:
        place.mistake("is missing", "give the cluster a name, such as alpha")
        return ""
    name = read_text(place, value)
    if name is None:
        return ""
    if not _NAME.fullmatch(name):
        place.mistake(f"{shown(name)} is not a cluster's name", "use a-z, 0-9, '-', first a letter, at most 16")
        return ""
    if name in _RESERVED_NAMES:
        place.mistake(f"{shown(name)} is a reserved name", "choose another: FRR's objects are named after clusters")
        return ""
    return name


def _refuse_others(place: Place, fields: Mapping[str, object], kind: str) -> None:
    """Record keys that clusters of other types have."""
    for key in fields:
        types = [other for other, keys in KEYS_OF_TYPE.items() if key in keys]
        if types and kind not in types:
            remedy = "remove it"
            if key == "pools":
                remedy = "addresses belong to nodes here: give each node its routing_pools"
            place.at(key).mistake(f"is for clusters of type {' or '.join(types)}, this one is of type {kind}", remedy)


def _refuse_bridges(place: Place, fields: Mapping[str, object], kind: str) -> None:
    for key in _BRIDGE_KEYS:
        if key not in fields:
            continue
        if kind == SWITCHING:
            place.at(key).mistake("is not known", "name bridges in networks: {main: {bridge: br0}}")
        elif kind == ROUTING:
            place.at(key).mistake(
                "bridges are not supported on the nodes of a routing cluster",
                "remove it: each VM has an interface of its own, and no frame of a VM is on the wire",
            )
        else:
            place.at(key).mistake(
                "bridges are not supported on the nodes of an ipfabric cluster",
                "remove it: each VM has an interface of its own, without a bridge",
            )


def _read_type(place: Place, value: object) -> None:
    if value is None:
        place.mistake("is missing", "write type: ipfabric, or switching or routing")
        return
    read_choice(place, value, TYPES)


def _read_pools(place: Place, value: object) -> tuple[tuple[Pool, ...], bool]:
    if value is None:
        place.mistake("is missing", "give the cluster at least one pool of addresses")
        return (), False
    return read_pools(place, value)


def _read_gateway(place: Place, value: object, name: str, versions: set[int]) -> Gateway:
    """Return the gateway, with addresses of the families that pools use."""
    fields = read_mapping(place, value, ("ipv4", "ipv6", "mac")) or {}
    ipv4 = _read_gateway_address(place.at("ipv4"), fields["ipv4"], 4) if "ipv4" in fields else None
    ipv6 = _read_gateway_address(place.at("ipv6"), fields.get("ipv6", DEFAULT_GATEWAY_IPV6), 6)
    if 4 in versions and "ipv4" not in fields:
        place.at("ipv4").mistake(
            "is missing although the cluster has IPv4 pools",
            "give a private address outside all pools that nothing else uses, such as 10.255.255.1",
        )
    mac = read_mac(place.at("mac"), fields["mac"]) if "mac" in fields else None
    return Gateway(ipv4 if 4 in versions else None, ipv6 if 6 in versions else None, mac or gateway_mac(name))


def _read_gateway_address(place: Place, value: object, version: int) -> Address | None:
    address = read_address(place, value, version)
    if address is None:
        return None
    if address == ip_address("169.254.0.1"):
        place.mistake(
            "169.254.0.1 is the next hop that FRR uses itself for unnumbered neighbours",
            "choose another private address, such as 10.255.255.1",
        )
    elif not is_host_address(address):
        example = "10.255.255.1" if version == 4 else DEFAULT_GATEWAY_IPV6
        place.mistake(f"{address} is not an address that a gateway can have", f"use one such as {example}")
    else:
        return address
    return None


def _read_mtu(place: Place, value: object, versions: set[int]) -> int:
    """Return the MTU of VM interfaces: IPv6 needs 1280 (RFC 8200), IPv4 576 (RFC 791); a tap has 65521 at most."""
    mtu = read_integer(place, value, 576, 65521, " bytes")
    if mtu is not None and mtu < 1280 and 6 in versions:
        place.mistake(f"{mtu} is too small for IPv6", "use 1280 or more (RFC 8200)")
        return DEFAULT_MTU
    return mtu or DEFAULT_MTU


def _read_register(place: Place, value: object) -> Register | None:
    if value is None:
        place.mistake("is missing", "name the host that keeps the leases: register: {host: rr1}")
        return None
    fields = read_mapping(place, value, ("host", "path"))
    if fields is None:
        return None
    host = read_text(place.at("host"), fields["host"]) if "host" in fields else None
    if "host" not in fields:
        place.at("host").mistake("is missing", "name the host that keeps the leases")
    path = read_text(place.at("path"), fields.get("path", DEFAULT_REGISTER_PATH))
    if path is not None and not (path.startswith("/") and path.isprintable() and not path.endswith("/")):
        place.at("path").mistake(f"{shown(path)} is not a file's absolute path", f"write {DEFAULT_REGISTER_PATH}")
        path = None
    return Register(host, path) if host is not None and path is not None else None


def _read_hosts(
    place: Place, group: str, fields: Mapping[str, object], groups: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return the reflectors or core gateways of a cluster: those it names, else the whole group."""
    members = tuple(groups.get(group, ()))
    if group not in fields:
        return members
    here = place.at(group)
    names = read_texts(here, fields[group])
    if not names and fields[group] in ([], ()):
        here.mistake("is empty", f"name hosts of the group {group}, or leave the key out for all of them")
    found: list[str] = []
    for index, name in enumerate(names):
        if name in found:
            here.item(index).mistake(f"{shown(name)} is there twice", "leave one")
        elif name not in members:
            here.item(index).mistake(f"{shown(name)} is not in the group {group}", "name hosts of that group")
        else:
            found.append(name)
    return tuple(found)
