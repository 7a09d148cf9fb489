# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what Ansible knows, the plan and the results of info modules, to what verification compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..module_utils.frr_state import is_in_kernel
from .verify_model import Cluster, Evidence, Host, Peer, Report

GROUP_OF_ROLE = {
    "ipfabric": "nodes",
    "switching": "nodes",
    "routing": "nodes",
    "route_reflector": "route_reflectors",
    "core_gateway": "core_gateways",
}
WITHOUT_BGP = ("switching", "routing")

RESULTS = {
    "found_host": ("sessions", "interfaces", "migrations", "maintenance", "routes", "problems"),
    "found_node": ("interfaces", "maintenance"),
    "found_network": ("actions",),
    "found_guests": ("guests",),
    "found_routes": ("routes",),
    "found_junos": ("sessions", "routes"),
}
"""The variables in which playbooks register the info modules' results, the later counting more, and the evidence that
each may hold."""


def read_hosts(plan: Mapping[str, Any]) -> list[Host]:
    """Return the hosts that are ours to configure, with the sessions that their plan holds."""
    return [_read_host(name, roles, plan) for name, roles in plan["hosts"].items()]


def _read_host(name: str, roles: Mapping[str, Any], plan: Mapping[str, Any]) -> Host:
    groups = frozenset(GROUP_OF_ROLE[role] for role in roles)
    clusters = frozenset(
        cluster
        for cluster, described in plan["clusters"].items()
        if any(name in described[group] for group in groups)
    )
    peers = {peer for role, variables in roles.items() for peer in _read_peers(role, variables)}
    underlay = plan["underlay"][name]
    next_hops = {version: underlay[f"ipv{version}"] for version in (4, 6) if underlay[f"ipv{version}"]}
    ordered = tuple(sorted(peers, key=lambda peer: (peer.name, peer.address)))
    return Host(name, groups, clusters, ordered, next_hops, any(role in WITHOUT_BGP for role in roles))


def _read_peers(role: str, variables: Mapping[str, Any]) -> Iterable[Peer]:
    for peer in _peers_of(role, variables):
        for family in ("ipv4", "ipv6"):
            if peer.get(family):
                yield Peer(peer["name"], peer[family])


def _peers_of(role: str, variables: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if role in WITHOUT_BGP:
        return []
    if role == "ipfabric":
        return list(variables["ipfabric_reflectors"])
    if role == "core_gateway":
        return [peer for cluster in variables["core_gateway_clusters"] for peer in cluster["reflectors"]]
    clients = [peer for cluster in variables["route_reflector_clusters"] for peer in cluster["clients"]]
    return [*clients, *variables["route_reflector_peers"], *variables["route_reflector_core_gateways"]]


def read_clusters(plan: Mapping[str, Any]) -> list[Cluster]:
    """Return what verification needs of each cluster."""
    return [
        Cluster(
            name=name,
            communities=frozenset(described["communities"]),
            prefixes=tuple(pool["prefix"] for pool in described["pools"]),
            declared=frozenset(vm["name"] for vm in described["vms"]),
            register_host=(described["register"] or {}).get("host", ""),
            guests={
                vm["name"]: (vm.get("guest") or {}).get("state", "running")
                for vm in described["vms"]
                if "driver" in vm and vm["nic"] == 0
            },
        )
        for name, described in plan["clusters"].items()
    ]


def read_evidence(results: Mapping[str, Mapping[str, Any]], registers: Iterable[Mapping[str, Any]] = ()) -> Evidence:
    """Return the evidence of each host.

    results: by host, its registered results; one that failed or is absent gives no evidence. registers: the results of
    ip_pool_info, each with the `item` it was asked with, whose `host` keeps the register.
    """
    evidence = {
        host: {
            kind: _read_result(kind, found[variable])
            for variable, kinds in RESULTS.items()
            if _is_answer(found, variable)
            for kind in kinds
            if found[variable].get(kind) is not None
        }
        for host, found in results.items()
    }
    for register in registers:
        evidence.setdefault(register["item"]["host"], {}).setdefault("leases", []).extend(register.get("leases", ()))
    return evidence


def _is_answer(found: Mapping[str, Any], variable: str) -> bool:
    result = found.get(variable)
    return isinstance(result, Mapping) and not any(result.get(key) for key in ("failed", "skipped", "unreachable"))


def _read_result(kind: str, result: Mapping[str, Any]) -> Any:
    if kind != "routes":
        return result[kind]
    kernel = result.get("kernel")
    return [_read_route(route, kernel) for route in result["routes"]]


def _read_route(route: Mapping[str, Any], kernel: Mapping[str, Any] | None) -> dict[str, Any]:
    best: Mapping[str, Any] = next((path for path in route["paths"] if path["best"]), {})
    return {
        "prefix": route["prefix"],
        "next_hop": best.get("next_hop"),
        "communities": best.get("communities", ()),
        "large_communities": best.get("large_communities", ()),
        "installed": route.get("active", True) if kernel is None else _has_installed(kernel, route["prefix"]),
    }


def _has_installed(kernel: Mapping[str, Any], prefix: str) -> bool:
    return any(map(is_in_kernel, kernel.get(prefix, ())))


def describe_report(report: Report) -> dict[str, Any]:
    """Return a report as JSON values, with the lines of the table that operators read."""
    return {
        "agrees": not report.differences,
        "hosts": list(report.hosts),
        "vms": list(report.vms),
        "differences": [
            {"host": found.host, "what": found.what, "remedy": found.remedy} for found in report.differences
        ],
        "table": [*_table_of_hosts(report), "", *_table_of_vms(report), "", *_lines_of_differences(report)],
    }


def _table_of_hosts(report: Report) -> list[str]:
    rows = [
        (
            row["host"],
            ", ".join([*row["roles"], *([row["maintenance"]] if row["maintenance"] else [])]),
            f"{row['sessions']}/{row['sessions_expected']}" if row["reachable"] else "no answer",
            str(row["routes"]),
        )
        for row in report.hosts
    ]
    return _align([("host", "role", "sessions", "routes"), *rows])


def _table_of_vms(report: Report) -> list[str]:
    rows = [
        (
            row["vm"],
            row["cluster"],
            row["node"],
            row["state"],
            "yes" if row["agrees"] else "NO",
            " ".join(row["addresses"]),
        )
        for row in report.vms
    ]
    return _align([("vm", "cluster", "node", "state", "agrees", "addresses"), *rows])


def _lines_of_differences(report: Report) -> list[str]:
    if not report.differences:
        return ["no differences: register, nodes, reflectors and core gateways agree"]
    return [f"{found.host}: {found.what}; remedy: {found.remedy}" for found in report.differences]


def _align(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
