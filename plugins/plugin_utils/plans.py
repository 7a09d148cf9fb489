# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each host has to be, as variables of its role: docs/design.md, "Roles and their variables"."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from .cluster import EXTERNAL, IPFABRIC, ROUTING, SWITCHING, Bgp, Cluster, Host, Junos, Model, Pool, Vm
from .plan_nodes import plan_routing, plan_switching
from .read_guests import LIBVIRT
from .read_switching import vlan_bridge

Plan = dict[str, Any]

LINUX = "linux"
"""The platform of a node without FRR."""


def plan_clusters(model: Model) -> Plan:
    """Return what playbooks work with, as plain JSON values.

    clusters: by name, all that is known of a cluster but its password; hosts: by host, `{role: {variable: value}}`, for
    hosts that are ours to configure; underlay: by host, its addresses and group; vms: those asked for.
    Only `<role>_bgp` of hosts holds the password, and `core_gateway_junos` that of a login.
    """
    without_bgp = {node for cluster in model.clusters.values() if cluster.type != IPFABRIC for node in cluster.nodes}
    return {
        "clusters": {name: describe_cluster(cluster) for name, cluster in model.clusters.items()},
        "hosts": plan_hosts(model),
        "underlay": {name: _describe_host(host, without_bgp) for name, host in model.hosts.items()},
        "vms": [describe_vm(vm, model.clusters[vm.cluster]) for vm in model.vms],
    }


def plan_hosts(model: Model) -> dict[str, Plan]:
    """Return `{host: {role: {variable: value}}}`. Hosts that others configure, or that no cluster uses, have none."""
    hosts: dict[str, Plan] = {}
    reflectors = _clusters_by_host(model, "route_reflectors")
    gateways = _clusters_by_host(model, "core_gateways")
    for cluster in model.clusters.values():
        for node in cluster.nodes:
            hosts[node] = {cluster.type: _plan_node(model, cluster, model.hosts[node])}
    for name, clusters in reflectors.items():
        if not model.hosts[name].external:
            hosts[name] = {"route_reflector": _plan_reflector(model, clusters, model.hosts[name])}
    for name, clusters in gateways.items():
        if not model.hosts[name].external:
            hosts[name] = {"core_gateway": _plan_gateway(model, clusters, model.hosts[name])}
    return hosts


def _clusters_by_host(model: Model, key: str) -> dict[str, list[Cluster]]:
    found: dict[str, list[Cluster]] = {}
    for cluster in model.clusters.values():
        for name in getattr(cluster, key):
            found.setdefault(name, []).append(cluster)
    return found


def _plan_node(model: Model, cluster: Cluster, host: Host) -> Plan:
    if cluster.type == SWITCHING:
        return plan_switching(cluster, host)
    if cluster.type == ROUTING:
        return plan_routing(cluster, host, _gateway(cluster))
    return {
        **_plan_instance("ipfabric", cluster, host),
        "ipfabric_cluster": _cluster_entry(cluster),
        "ipfabric_reflectors": _peers(model, cluster.route_reflectors, cluster.versions),
        "ipfabric_gateway": _gateway(cluster),
        "ipfabric_mtu": cluster.mtu,
        "ipfabric_uplink": host.interface,
    }


def _plan_reflector(model: Model, clusters: Sequence[Cluster], host: Host) -> Plan:
    bgp = clusters[0].bgp
    return {
        **_plan_instance("route_reflector", clusters[0], host),
        "route_reflector_cluster_id": host.router_id,
        "route_reflector_clusters": [_reflected_cluster(model, cluster, host) for cluster in clusters],
        "route_reflector_peers": _shared_peers(model, clusters, "route_reflectors", host),
        "route_reflector_core_gateways": _shared_peers(model, clusters, "core_gateways", host),
        "route_reflector_listen_ranges": [str(prefix) for prefix in bgp.listen_ranges] if bgp.listen else [],
        "route_reflector_listen_limit": bgp.listen_limit,
        "route_reflector_evpn": bgp.evpn,
    }


def _reflected_cluster(model: Model, cluster: Cluster, host: Host) -> Plan:
    """Return a cluster entry with its clients; with listen ranges, none is known by name."""
    nodes = () if cluster.bgp.listen else cluster.nodes
    return {**_cluster_entry(cluster), "clients": _peers(model, nodes, _versions_of(host, cluster.versions))}


def _versions_of(host: Host, versions: Iterable[int]) -> list[int]:
    """Return those IP versions that a reflector has an address of; only one of them needs each."""
    return [version for version in versions if host.address(version) is not None]


def _plan_gateway(model: Model, clusters: Sequence[Cluster], host: Host) -> Plan:
    return {
        "core_gateway_platform": host.platform,
        **_plan_instance("core_gateway", clusters[0], host),
        "core_gateway_clusters": [
            {**_cluster_entry(cluster), "reflectors": _peers(model, cluster.route_reflectors, cluster.versions)}
            for cluster in clusters
        ],
        "core_gateway_aggregates": [
            str(pool.prefix) for cluster in clusters if cluster.aggregates for pool in cluster.pools
        ],
        **(_plan_junos(host.junos) if host.junos else {}),
    }


def _plan_junos(junos: Junos) -> Plan:
    login = ("host", "port", "user", "password", "private_key_file", "ssh_config", "host_key_checking", "timeout")
    change = ("logical_system", "routing_instance", "confirm", "established", "wait")
    return {
        "core_gateway_match": junos.match,
        "core_gateway_junos": {
            "connection": {key: getattr(junos, key) for key in login},
            "groups": {"ipv4": asdict(junos.ipv4), "ipv6": asdict(junos.ipv6)},
            **{key: getattr(junos, key) for key in change},
        },
    }


def _plan_instance(role: str, cluster: Cluster, host: Host) -> Plan:
    source = {f"ipv{version}": host.address(version) for version in cluster.versions}
    return {
        f"{role}_asn": cluster.asn,
        f"{role}_router_id": host.router_id,
        f"{role}_source": {family: str(address) for family, address in source.items() if address is not None},
        f"{role}_bgp": _bgp(cluster.bgp),
    }


def _bgp(bgp: Bgp) -> Plan:
    return {
        "password": bgp.password or "",
        "timers": {"keepalive": bgp.keepalive, "hold": bgp.hold},
        "bfd": {"interval": bgp.bfd.interval, "multiplier": bgp.bfd.multiplier} if bgp.bfd else False,
        "ttl_security": bgp.ttl_security,
        "graceful_restart": bgp.graceful_restart,
        "max_prefixes": bgp.max_prefixes,
    }


def _cluster_entry(cluster: Cluster) -> Plan:
    return {
        "name": cluster.name,
        "communities": list(cluster.communities),
        "prefixes": [{"prefix": str(pool.prefix), "length": pool.shortest_prefix} for pool in cluster.pools],
    }


def _gateway(cluster: Cluster) -> Plan:
    gateway = cluster.gateway
    return {
        "ipv4": str(gateway.ipv4) if gateway.ipv4 is not None else None,
        "ipv6": str(gateway.ipv6) if gateway.ipv6 is not None else None,
        "mac": gateway.mac,
    }


def _peers(model: Model, names: Iterable[str], versions: Sequence[int]) -> list[Plan]:
    """Return peers with their addresses of some families; a host without any of these is left out."""
    peers = []
    for name in names:
        addresses = {f"ipv{version}": model.hosts[name].address(version) for version in versions}
        found = {key: str(address) for key, address in addresses.items() if address is not None}
        if found:
            peers.append({"name": name, **found})
    return peers


def _shared_peers(model: Model, clusters: Sequence[Cluster], key: str, host: Host) -> list[Plan]:
    """Return the other hosts of some clusters, each with the families of those clusters that it serves."""
    versions: dict[str, set[int]] = {}
    for cluster in clusters:
        for name in getattr(cluster, key):
            if name != host.name:
                versions.setdefault(name, set()).update(cluster.versions)
    return [
        peer
        for name, needed in versions.items()
        for peer in _peers(model, (name,), _versions_of(host, sorted(needed)))
    ]


def describe_cluster(cluster: Cluster) -> Plan:
    """Return a cluster as plain values, without its password. Without BGP there is no `asn` and no `bgp`."""
    settings = _bgp(cluster.bgp)
    del settings["password"]
    return {
        **_cluster_entry(cluster),
        "type": cluster.type,
        **({"asn": cluster.asn} if cluster.type == IPFABRIC else {}),
        "gateway": None if cluster.type == SWITCHING else _gateway(cluster),
        "families": [f"ipv{version}" for version in cluster.versions],
        "pools": [_describe_pool(pool) for pool in cluster.pools],
        "mtu": cluster.mtu,
        **({"bgp": settings} if cluster.type == IPFABRIC else {}),
        "register": {"host": cluster.register.host, "path": cluster.register.path} if cluster.register else None,
        "nodes": list(cluster.nodes),
        "route_reflectors": list(cluster.route_reflectors),
        "core_gateways": list(cluster.core_gateways),
        "vms": [describe_vm(vm, cluster) for vm in cluster.vms],
        **({"console": asdict(cluster.console)} if cluster.console is not None else {}),
        **({"vm_driver": cluster.vm_driver} if cluster.vm_driver != EXTERNAL else {}),
    }


def _describe_pool(pool: Pool) -> Plan:
    return {
        "name": pool.name,
        "prefix": str(pool.prefix),
        "ranges": [str(each) for each in pool.ranges],
        "exclude": [str(each) for each in pool.exclude],
    }


def _describe_host(host: Host, without_bgp: Collection[str]) -> Plan:
    return {
        "group": host.group,
        "platform": LINUX if host.name in without_bgp else host.platform,
        "router_id": host.router_id,
        "ipv4": str(host.ipv4) if host.ipv4 is not None else None,
        "ipv6": str(host.ipv6) if host.ipv6 is not None else None,
        **({"vnc_address": str(host.vnc_address)} if host.vnc_address is not None else {}),
    }


def describe_vm(vm: Vm, cluster: Cluster) -> Plan:
    """Return a VM as plain values. asked: by pool, the addresses it asks for; the register gives the others."""
    network = cluster.network(vm.network)
    asked = {pool.name: str(address) for address in vm.addresses if (pool := cluster.find_pool(address)) is not None}
    return {
        "cluster": vm.cluster,
        "name": vm.name,
        "nic": vm.nic,
        "node": vm.node,
        "pools": list(vm.pools),
        "asked": asked,
        "prefixes": [str(prefix) for prefix in vm.prefixes],
        "mac": vm.mac,
        "kind": vm.kind,
        "owner": vm.owner,
        "announcement": vm.announcement,
        **({"bridge": vlan_bridge(network.bridge, vm.vlan)} if network is not None else {}),
        **({"driver": vm.driver, "guest": _describe_guest(vm, cluster)} if vm.driver != EXTERNAL else {}),
        **({"vnc_port": vm.vnc_port} if vm.vnc_port else {}),
    }


def _describe_guest(vm: Vm, cluster: Cluster) -> Plan | None:
    """Return what a guest is to have; a domain that is ours has a VNC display where there is a console to show it."""
    shows = vm.guest is not None and vm.driver == LIBVIRT and cluster.console is not None and not vm.guest.get("adopt")
    return {"vnc": True, **vm.guest} if shows and vm.guest is not None else vm.guest


def summarize_clusters(model: Model, warnings: Sequence[str] = ()) -> list[str]:
    """Return a few lines for people: what each cluster consists of, and what deserves their attention."""
    lines = []
    for cluster in model.clusters.values():
        pools = ", ".join(f"{pool.name} {pool.prefix}" for pool in cluster.pools)
        lines += [
            f"cluster {cluster.name} ({cluster.type}): {_summarize_way(cluster)}",
            f"  nodes: {_count_names(cluster.nodes)}",
            *_summarize_bgp(cluster),
            f"  pools: {pools}",
            f"  declared VMs: {len({vm.name for vm in cluster.vms})}",
        ]
    if model.vms:
        lines.append("asked for: " + _count_names([f"{vm.cluster}/{vm.name} on {vm.node}" for vm in model.vms]))
    return lines + [f"warning: {line}" for line in warnings]


def _summarize_way(cluster: Cluster) -> str:
    if cluster.type == IPFABRIC:
        return f"AS {cluster.asn}, community {' '.join(cluster.communities)}"
    if cluster.type == ROUTING:
        return "routes on each node, for addresses that belong to it"
    said = (f"{each.name} on {each.bridge}{' (isolated)' if each.isolated else ''}" for each in cluster.networks)
    return "networks " + ", ".join(said)


def _summarize_bgp(cluster: Cluster) -> list[str]:
    if cluster.type != IPFABRIC:
        return []
    return [
        f"  route reflectors: {_count_names(cluster.route_reflectors)}",
        f"  core gateways: {_count_names(cluster.core_gateways)}",
    ]


def _count_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{len(names)} ({shown})" if names else "none"
