# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with clusters as a whole, and between clusters that share reflectors or core gateways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from .cluster import JUNOS, Bgp, Cluster, Host, span_of
from .findings import Findings, Place
from .values import shown

_SHARED_BGP = tuple(item.name for item in fields(Bgp))
_KEY_OF = {"keepalive": "timers", "hold": "timers"}


def check_clusters(
    findings: Findings, hosts: Mapping[str, Host], clusters: Sequence[Cluster], known_hosts: frozenset[str]
) -> None:
    """Record what is wrong with each cluster and between them. known_hosts: every host of the inventory."""
    listening: Counter[str] = Counter()
    for cluster in clusters:
        _check_register(findings, hosts, cluster, known_hosts)
        _check_listen(findings, hosts, cluster, listening)
        if cluster.bgp.evpn and cluster.pools_complete and 4 not in cluster.versions:
            Place(findings, cluster.where, "cluster.bgp.evpn").mistake(
                "EVPN runs over IPv4 sessions, and the cluster has no IPv4 pool", "add an IPv4 pool, or set evpn: false"
            )
    for one, other in _sharing(clusters):
        _check_alike(findings, one, other)
        _check_set_apart(findings, one, other)
    _check_pool_names(findings, clusters)


def _check_register(
    findings: Findings, hosts: Mapping[str, Host], cluster: Cluster, known_hosts: frozenset[str]
) -> None:
    register = cluster.register
    if register is None:
        return
    place = Place(findings, cluster.where, "cluster.register.host")
    if register.host not in known_hosts and register.host != "localhost":
        place.mistake(f"{shown(register.host)} is not a host of the inventory", "name one that Ansible can reach")
    elif register.host in hosts and hosts[register.host].external:
        place.mistake(f"{register.host} is configured by others", "name a host that Ansible can reach")
    elif register.host in hosts and hosts[register.host].platform == JUNOS:
        place.mistake(f"{register.host} has no Python to keep leases with", "name a reflector or a node")


def _check_listen(findings: Findings, hosts: Mapping[str, Host], cluster: Cluster, listening: Counter[str]) -> None:
    """Reflectors that know nodes by listen ranges must let all of them in, in every family.

    listening: by reflector, the sessions that come from listen ranges; this cluster's are added.
    """
    bgp = cluster.bgp
    if not bgp.listen or not bgp.listen_ranges:
        return
    spans = [span_of(prefix) for prefix in bgp.listen_ranges]
    sessions = 0
    for name in cluster.nodes:
        for version in cluster.versions:
            address = hosts[name].address(version)
            if address is None:
                continue
            sessions += 1
            if not any(span.holds(span_of(address)) for span in spans):
                Place(findings, name, f"underlay_ipv{version}").mistake(
                    f"{address} is outside cluster.bgp.listen_ranges of {cluster.where}", "add its prefix to them"
                )
    listening.update(dict.fromkeys(cluster.route_reflectors, sessions))
    total = max((listening[name] for name in cluster.route_reflectors), default=0)
    if total > bgp.listen_limit:
        Place(findings, cluster.where, "cluster.bgp.listen_limit").mistake(
            f"{bgp.listen_limit} is too small for the {total} sessions that a reflector has",
            f"raise it to {total} or more",
        )


def _sharing(clusters: Sequence[Cluster]) -> Iterator[tuple[Cluster, Cluster]]:
    """Yield each cluster after the first of a host together with the first that uses that host, once per pair."""
    first: dict[str, Cluster] = {}
    seen = set()
    for cluster in clusters:
        for name in (*cluster.route_reflectors, *cluster.core_gateways):
            other = first.setdefault(name, cluster)
            if other is not cluster and (id(other), id(cluster)) not in seen:
                seen.add((id(other), id(cluster)))
                yield other, cluster


def _check_alike(findings: Findings, one: Cluster, other: Cluster) -> None:
    """A reflector has one BGP instance and one set of sessions among reflectors and core gateways."""
    place = Place(findings, other.where, "cluster")
    reason = f"differs from that of {one.where}, which shares reflectors or core gateways"
    if one.asn and other.asn and one.asn != other.asn:
        place.at("asn").mistake(f"{other.asn} {reason}", f"use {one.asn}, or give each cluster its own hosts")
    unused = () if one.bgp.listen or other.bgp.listen else ("listen_ranges", "listen_limit")
    differing = [key for key in _SHARED_BGP if getattr(one.bgp, key) != getattr(other.bgp, key) and key not in unused]
    keys = {_KEY_OF.get(key, key) for key in differing}
    for key in sorted(keys):
        place.at("bgp").at(key).mistake(reason, "make them alike, or give each cluster its own hosts")
    if other.bgp.listen and one.bgp.listen and set(one.route_reflectors) & set(other.route_reflectors):
        place.at("bgp").at("listen").warning(
            f"reflectors cannot tell nodes of {one.where} and {other.where} apart, and take routes of both from each",
            "set listen: false, or give each cluster its own reflectors",
        )


def _check_set_apart(findings: Findings, one: Cluster, other: Cluster) -> None:
    for community in sorted(set(one.communities) & set(other.communities)):
        Place(findings, other.where, "cluster.community").mistake(
            f"{community} is that of {one.where} too, which shares reflectors or core gateways",
            "give each cluster a community of its own",
        )


def _check_pool_names(findings: Findings, clusters: Sequence[Cluster]) -> None:
    """A register knows pools by their names alone."""
    first: dict[tuple[object, str], Cluster] = {}
    for cluster in clusters:
        if cluster.register is None:
            continue
        for pool in cluster.pools:
            other = first.setdefault((cluster.register, pool.name), cluster)
            if other is not cluster:
                Place(findings, pool.node or cluster.where, f"{pool.key}.name").mistake(
                    f"{pool.name} is a pool of {other.where} too, in the same register",
                    "rename it, or give the clusters registers of their own",
                )
