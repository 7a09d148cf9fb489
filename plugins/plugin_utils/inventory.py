# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door to the model: an inventory's groups and variables in, clusters with all mistakes and warnings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .check_addresses import check_addresses
from .check_clusters import check_clusters
from .check_consoles import check_consoles
from .check_hosts import check_hosts
from .check_nodes import check_nodes
from .check_vms import check_vms
from .cluster import GROUPS, NODES, Cluster, Host, Model
from .findings import Findings, Place
from .read_cluster import read_cluster
from .read_hosts import CLUSTER_KEY, read_host
from .read_requests import read_asked_vms, read_leaving_vms, read_migrations
from .values import kind_of

Groups = Mapping[str, Sequence[str]]
HostVars = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Checked:
    """What an inventory says. model is None where there are mistakes."""

    model: Model | None
    mistakes: tuple[str, ...]
    warnings: tuple[str, ...]


def check_inventory(
    groups: Groups, hostvars: HostVars, vms: object = (), migrate: object = (), *, detach: bool = False
) -> Checked:
    """Return the model of an inventory, or every mistake in it.

    groups: names of hosts by group (`all` too, where it is known). hostvars: by host, its variables that are ours
    (HOST_KEYS and `cluster`), as plain values; Unreadable where one could not be templated. vms, migrate: the options
    of `cluster_plan`; detach: vms are to go, so that their names are enough. Takes time in proportion to hosts and
    VMs, never raises for what it is given.
    """
    findings = Findings()
    hosts = _read_hosts(findings, groups, hostvars)
    clusters = _read_clusters(findings, groups, hostvars, hosts)
    read_vms = read_leaving_vms if detach else read_asked_vms
    asked = read_vms(Place(findings, "request", "vms"), vms, clusters)
    read_migrations(Place(findings, "request", "migrate"), migrate, clusters)
    check_hosts(findings, groups, hosts, clusters)
    known_hosts = frozenset(groups.get("all", ())) | set(hostvars)
    check_clusters(findings, hosts, clusters, known_hosts)
    check_consoles(findings, hosts, clusters, known_hosts)
    check_addresses(findings, hosts, clusters)
    check_nodes(findings, hosts, clusters)
    check_vms(findings, clusters, () if detach else asked)
    model = Model({cluster.name: cluster for cluster in clusters}, hosts, asked) if not findings.mistakes else None
    return Checked(model, tuple(findings.mistake_lines()), tuple(findings.warning_lines()))


def _read_hosts(findings: Findings, groups: Groups, hostvars: HostVars) -> dict[str, Host]:
    hosts: dict[str, Host] = {}
    for group in GROUPS:
        for name in groups.get(group, ()):
            if name not in hosts:
                hosts[name] = read_host(Place(findings, name), group, hostvars.get(name, {}))
    return hosts


def _read_clusters(
    findings: Findings, groups: Groups, hostvars: HostVars, hosts: dict[str, Host]
) -> tuple[Cluster, ...]:
    """Return one cluster per description that nodes see."""
    clusters = []
    for description, nodes in _gather_descriptions(findings, groups, hostvars):
        cluster = read_cluster(Place(findings, nodes[0], CLUSTER_KEY), description, nodes, groups, hosts)
        if cluster is not None:
            clusters.append(cluster)
    return tuple(clusters)


def _gather_descriptions(findings: Findings, groups: Groups, hostvars: HostVars) -> list[tuple[object, list[str]]]:
    """Return each different `cluster` with the nodes that see it; two with the same name are a mistake."""
    found: list[tuple[object, list[str]]] = []
    for node in groups.get(NODES, ()):
        description = hostvars.get(node, {}).get(CLUSTER_KEY)
        if description is None:
            Place(findings, node, CLUSTER_KEY).mistake("is missing", "set it in the group_vars of the node's group")
            continue
        for other, nodes in found:
            if other is description or other == description:
                nodes.append(node)
                break
            if _same_name(other, description):
                Place(findings, node, CLUSTER_KEY).mistake(
                    f"differs from that of {nodes[0]} in {_differing_keys(other, description)}, under the same name",
                    "describe the cluster once, in the group_vars of one group",
                )
                nodes.append(node)
                break
        else:
            found.append((description, [node]))
    return found


def _same_name(one: object, other: object) -> bool:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    name = one.get("name")
    return isinstance(name, str) and name == other.get("name")


def _differing_keys(one: object, other: object) -> str:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return kind_of(other)
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return ", ".join(sorted(key for key in keys if isinstance(key, str))) or "its keys"
