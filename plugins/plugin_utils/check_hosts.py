# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with groups and hosts: roles, underlay addresses, router ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .cluster import CORE_GATEWAYS, GROUPS, IPFABRIC, NODES, ROUTE_REFLECTORS, Cluster, Host
from .findings import Findings, Place

_ONE_OF = {NODES: "node", ROUTE_REFLECTORS: "route reflector", CORE_GATEWAYS: "core gateway"}


def check_hosts(
    findings: Findings, groups: Mapping[str, Sequence[str]], hosts: Mapping[str, Host], clusters: Sequence[Cluster]
) -> None:
    """Record what is wrong with groups and hosts."""
    fabrics = [cluster for cluster in clusters if cluster.type == IPFABRIC]
    without_bgp = {node for cluster in clusters if cluster.type != IPFABRIC for node in cluster.nodes}
    _check_groups(findings, groups, GROUPS if fabrics or not clusters else (NODES,))
    _check_single_role(findings, groups)
    _check_distinct(findings, hosts.values())
    for cluster in fabrics:
        _check_families(findings, hosts, cluster)
        _check_mtu(findings, hosts, cluster)
    _check_router_ids(findings, [host for host in hosts.values() if host.name not in without_bgp])
    _check_used(findings, groups, clusters)


def _check_groups(findings: Findings, groups: Mapping[str, Sequence[str]], needed: Iterable[str]) -> None:
    for group in needed:
        if not groups.get(group):
            what = "has no hosts" if group in groups else "is missing"
            remedy = f"put the cluster's {_ONE_OF[group]}s into it"
            if group != NODES:
                remedy += f", those that others configure with {group[:-1]}_platform: external"
            Place(findings, f"group {group}").mistake(what, remedy)


def _check_single_role(findings: Findings, groups: Mapping[str, Sequence[str]]) -> None:
    """One host has one FRR, and each role lays out all of its BGP instance."""
    first: dict[str, str] = {}
    for group in GROUPS:
        for name in groups.get(group, ()):
            if first.setdefault(name, group) != group:
                Place(findings, name).mistake(
                    f"is in the groups {first[name]} and {group}", "a host has one role: take it out of one of them"
                )


def _check_distinct(findings: Findings, hosts: Iterable[Host]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for host in hosts:
        values = [("underlay_ipv4", host.ipv4), ("underlay_ipv6", host.ipv6), ("router_id", host.router_id)]
        for key, value in values:
            if not value:
                continue
            text = str(value)
            other = seen.setdefault((key, text), host.name)
            # A router id that defaults to an address that is there twice is told once, with the address.
            told = key == "router_id" and str(host.ipv4) == text and seen.get(("underlay_ipv4", text)) == other
            if other != host.name and not told:
                Place(findings, host.name, key).mistake(f"{value} is that of {other} too", "give each host its own")


def _check_router_ids(findings: Findings, hosts: Iterable[Host]) -> None:
    """Record hosts without a router id, unless their missing address has been told already."""
    told = {(mistake.where, mistake.key) for mistake in findings.mistakes}
    for host in hosts:
        known = host.router_id or host.external or host.mistaken & {"router_id", "underlay_ipv4"}
        if not known and (host.name, "underlay_ipv4") not in told:
            Place(findings, host.name, "router_id").mistake(
                "is missing, and there is no underlay_ipv4 to take it from", "give one"
            )


def _check_families(findings: Findings, hosts: Mapping[str, Host], cluster: Cluster) -> None:
    """Each family has its own sessions, so each host of a cluster needs an address of every family its pools use."""
    place = Place(findings, cluster.where, "cluster.route_reflectors")
    for version in cluster.versions:
        reason = f"is missing although {cluster.where} has IPv{version} pools"
        for name in (*cluster.nodes, *cluster.core_gateways):
            if name in hosts and hosts[name].lacks(version):
                Place(findings, name, f"underlay_ipv{version}").mistake(reason, "give its address in the underlay")
        able = [name for name in cluster.route_reflectors if name in hosts and not hosts[name].lacks(version)]
        if not able and cluster.route_reflectors:
            place.mistake(
                f"none has an IPv{version} address, which the pools need", f"give underlay_ipv{version} to at least one"
            )
        elif len(able) == 1 and len(cluster.route_reflectors) > 1:
            place.warning(
                f"{able[0]} alone has an IPv{version} address: without it all IPv{version} routes are lost",
                "give an address to a second one",
            )
    if len(cluster.route_reflectors) == 1:
        place.warning(f"{cluster.route_reflectors[0]} is alone: without it all routes are lost", "add a second one")


def _check_mtu(findings: Findings, hosts: Mapping[str, Host], cluster: Cluster) -> None:
    for name in (*cluster.nodes, *cluster.core_gateways):
        host = hosts.get(name)
        if host is not None and not host.external and host.mtu < cluster.mtu:
            Place(findings, name, "underlay_mtu").mistake(
                f"{host.mtu} is smaller than the MTU {cluster.mtu} of VMs in {cluster.where}",
                f"raise it to {cluster.mtu} or more, or lower cluster.mtu",
            )


def _check_used(findings: Findings, groups: Mapping[str, Sequence[str]], clusters: Sequence[Cluster]) -> None:
    used = {name for cluster in clusters for name in (*cluster.route_reflectors, *cluster.core_gateways)}
    for group in (ROUTE_REFLECTORS, CORE_GATEWAYS):
        for name in groups.get(group, ()):
            if clusters and name not in used:
                Place(findings, name).warning(
                    f"is in the group {group}, but no cluster uses it",
                    f"name it in {group} of a cluster, or take it out of the group",
                )
