# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a cluster with what its hosts say of themselves: sessions, VMs, routes, leases.

Pure: `verify_cluster(expected, evidence)` takes what the plan says and what the `*_info` modules returned, and gives a
`Report`. It asks no host and knows no Ansible.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..module_utils.frr_maintenance import WITHDRAWN
from .verify_guests import guest_differences
from .verify_leases import lease_differences
from .verify_model import Cluster, Difference, Evidence, Host, Report, UnfinishedMigration, Vm, host_prefix


def verify_cluster(
    hosts: Iterable[Host], clusters: Iterable[Cluster], evidence: Evidence, asked: Collection[str] | None = None
) -> Report:
    """Return every difference between plan and evidence, and the tables of hosts and VMs.

    A host that was asked (None: all) and has no evidence is a difference; nothing is concluded of what such a host, or
    one that was not asked, may carry. A VM whose interface has no carrier (its hypervisor has
    not started it) ought to be announced nowhere, and is shown as waiting.
    """
    by_cluster = {cluster.name: cluster for cluster in clusters}
    by_host = {host.name: host for host in hosts}
    vms = tuple(_read_vms(by_host.values(), evidence))
    silent = frozenset(name for name, host in by_host.items() if not _has_told_vms(host, evidence))
    differences = _say_once(
        *_unfinished_migrations(by_host.values(), evidence),
        *_missing_evidence((host for host in by_host.values() if asked is None or host.name in asked), evidence),
        *_session_differences(by_host.values(), evidence),
        *_network_differences(by_host.values(), evidence),
        *_interface_differences(by_host.values(), evidence),
        *guest_differences(by_host.values(), by_cluster, evidence),
        *_twice_attached(vms),
        *_undeclared(vms, by_cluster.values(), by_host.values(), evidence),
        *lease_differences(vms, by_cluster.values(), evidence, silent),
        *_route_differences(vms, by_host, by_cluster, evidence, silent),
    )
    wrong = frozenset(difference.vm for difference in differences)
    return Report(
        differences=differences,
        hosts=tuple(_host_row(host, evidence) for host in by_host.values() if asked is None or host.name in asked),
        vms=tuple(_vm_row(vm, (vm.cluster, vm.name) not in wrong) for vm in vms),
    )


def _read_vms(hosts: Iterable[Host], evidence: Evidence) -> Iterator[Vm]:
    for host in hosts:
        if "nodes" not in host.roles:
            continue
        for found in evidence.get(host.name, {}).get("interfaces", ()):
            addresses = tuple(host_prefix(address) for address in found["addresses"])
            yield Vm(
                name=found["vm"] if not found.get("nic") else f"{found['vm']}#{found['nic']}",
                node=host.name,
                cluster=host.cluster,
                prefixes=(*addresses, *(host_prefix(prefix) for prefix in found.get("prefixes", ()))),
                addresses=addresses,
                announcement=_announcement_of(found, evidence[host.name].get("maintenance")),
                carrier=bool(found["carrier"]),
            )


def _announcement_of(found: Mapping[str, Any], maintenance: str | None) -> str:
    if maintenance == WITHDRAWN and found["announcement"] == "announced":
        return WITHDRAWN
    return "elevated" if found.get("announced_as") == "elevated" else str(found["announcement"])


def _has_told_vms(host: Host, evidence: Evidence) -> bool:
    return "nodes" not in host.roles or "interfaces" in evidence.get(host.name, {})


def _missing_evidence(hosts: Iterable[Host], evidence: Evidence) -> Iterator[Difference]:
    for host in hosts:
        if not evidence.get(host.name):
            yield Difference(
                host.name, "gave no answer", "see whether it is up and reachable; run with --limit without it"
            )
        for kind, reason in sorted(evidence.get(host.name, {}).get("problems", {}).items()):
            yield Difference(host.name, f"could not tell its {kind}: {reason}", "put that right, or run site.yml")


def _session_differences(hosts: Iterable[Host], evidence: Evidence) -> Iterator[Difference]:
    closed = {name for name, told in evidence.items() if told.get("maintenance") == WITHDRAWN}
    for host in hosts:
        if "sessions" not in evidence.get(host.name, {}) or host.name in closed:
            continue
        found = {session["address"]: session for session in evidence[host.name]["sessions"]}
        for peer in host.peers:
            session = found.get(peer.address)
            if peer.name in closed:
                continue
            if session is None:
                yield Difference(host.name, f"has no BGP session to {peer.name} ({peer.address})", "run site.yml")
            elif session["state"] == "Shutdown":
                yield Difference(
                    host.name,
                    f"session to {peer.name} ({peer.address}) is shut down here",
                    f"run undrain_node for {peer.name} if evacuate_node did that, and {peer.name} is well again",
                )
            elif session["state"] != "Established":
                reason = session.get("last_reset") or "no reason given"
                yield Difference(
                    host.name,
                    f"session to {peer.name} ({peer.address}) is {session['state']}: {reason}",
                    f"see that {peer.name} is up, reachable over the underlay, and configured by site.yml",
                )


def _network_differences(hosts: Iterable[Host], evidence: Evidence) -> Iterator[Difference]:
    """Tell where a node's own network is not as planned; `actions` are what host_network would do."""
    for host in hosts:
        found = evidence.get(host.name)
        if not host.own_network or not found:
            continue
        if "actions" not in found:
            yield Difference(host.name, "could not tell whether its network is as planned", "see above; run site.yml")
        for action in found.get("actions", ()):
            yield Difference(host.name, f"its network is not as planned: {action}", "run site.yml")


def _link_differences(host: Host, found: Mapping[str, Any], about: tuple[str, str]) -> Iterator[Difference]:
    """Tell what an interface lacks where FRR has no part in it: its bridge, the kernel's routes."""
    if found.get("on_bridge") is False:
        where = f"on {found['master']}" if found.get("master") else "on no bridge"
        yield Difference(
            host.name,
            f"interface {found['interface']} of VM {found['vm']} is {where}, not on {found['bridge']}",
            "run site.yml, or attach_vm for it again",
            about,
        )
    if found.get("kernel_routes") is not None:
        wanted = {host_prefix(address) for address in (*found["addresses"], *found["prefixes"])}
        for prefix in sorted(wanted - {host_prefix(prefix) for prefix in found["kernel_routes"]}):
            yield Difference(
                host.name, f"has no route to {prefix} of VM {found['vm']}", "run attach_vm for it again", about
            )


def _interface_differences(hosts: Iterable[Host], evidence: Evidence) -> Iterator[Difference]:
    for host in hosts:
        for found in evidence.get(host.name, {}).get("interfaces", ()):
            about = (host.cluster, found["vm"])
            if not found.get("exists", True):
                yield Difference(
                    host.name,
                    f"VM {found['vm']} has no interface {found['interface']}",
                    "run attach_vm for it again, or site.yml when it is declared",
                    about,
                )
            elif not found.get("recorded", True):
                yield Difference(
                    host.name,
                    f"interface {found['interface']} of VM {found['vm']} has no record, so no reboot brings it back",
                    "run attach_vm for it again, or detach_vm",
                    about,
                )
            else:
                yield from _link_differences(host, found, about)


def _say_once(*differences: Difference) -> tuple[Difference, ...]:
    """Tell of a migration that is not finished once, and of its VM nothing that follows from it."""
    moving = {each.vm: each for each in reversed(differences) if isinstance(each, UnfinishedMigration)}
    return (*moving.values(), *(each for each in differences if each.vm not in moving))


def _unfinished_migrations(hosts: Iterable[Host], evidence: Evidence) -> Iterator[Difference]:
    for host in hosts:
        for found in evidence.get(host.name, {}).get("migrations", ()):
            name = found["vm"] if not found.get("nic") else f"{found['vm']}#{found['nic']}"
            ends = (host.name, found["other"]) if found["role"] == "source" else (found["other"], host.name)
            yield UnfinishedMigration(
                host.name,
                f"VM {name} migrates from {ends[0]} to {ends[1]}, and that is not finished ({found['state']})",
                f"run migrate_vm -e vm={found['vm']} -e node={ends[1]} to finish it, or abort_migration",
                (host.cluster, name),
            )
        yield from _expected_on_bridges(host, evidence.get(host.name, {}).get("interfaces", ()))


def _expected_on_bridges(host: Host, interfaces: Iterable[Mapping[str, Any]]) -> Iterator[Difference]:
    for found in interfaces:
        if found.get("bridge") and found["announcement"] == "standby":
            name = found["vm"] if not found.get("nic") else f"{found['vm']}#{found['nic']}"
            yield UnfinishedMigration(
                host.name,
                f"VM {name} migrates to {host.name}, and that is not finished",
                f"run migrate_vm -e vm={found['vm']} -e node={host.name} to finish it, or abort_migration",
                (host.cluster, name),
            )


def _twice_attached(vms: Iterable[Vm]) -> Iterator[Difference]:
    seen: dict[tuple[str, str], Vm] = {}
    for vm in vms:
        if vm.announcement == "standby":
            continue
        first = seen.setdefault((vm.cluster, vm.name), vm)
        if first is not vm:
            yield Difference(
                vm.node,
                f"carries VM {vm.name}, which {first.node} carries too",
                "detach it where its hypervisor does not run it",
                (vm.cluster, vm.name),
            )


def _undeclared(
    vms: Iterable[Vm], clusters: Iterable[Cluster], hosts: Iterable[Host], evidence: Evidence
) -> Iterator[Difference]:
    carried = {(vm.cluster, vm.name) for vm in vms}
    for cluster in clusters:
        nodes = [host for host in hosts if "nodes" in host.roles and cluster.name in host.clusters]
        if not all(_has_told_vms(node, evidence) for node in nodes):
            continue  # one of the others may carry it
        for name in sorted(cluster.declared):
            if (cluster.name, name) not in carried:
                yield Difference(cluster.name, f"declared VM {name} is on no node", "run site.yml")


def _route_differences(
    vms: Iterable[Vm],
    hosts: Mapping[str, Host],
    clusters: Mapping[str, Cluster],
    evidence: Evidence,
    silent: Collection[str],
) -> Iterator[Difference]:
    unknown = {address for name in silent for address in hosts[name].next_hops.values()}
    announced = {(vm.cluster, prefix): vm for vm in vms if vm.is_announced for prefix in vm.prefixes}
    for host in hosts.values():
        if "routes" not in evidence.get(host.name, {}):
            continue
        found = {host_prefix(route["prefix"]): route for route in evidence[host.name]["routes"]}
        for (cluster, prefix), vm in announced.items():
            if cluster in host.clusters:
                yield from _compare_route(host, vm, prefix, found.get(prefix), hosts[vm.node], clusters[cluster])
        known = {prefix: route for prefix, route in found.items() if route["next_hop"] not in unknown}
        yield from _surplus_routes(host, known, {prefix for _cluster, prefix in announced}, clusters)


def _compare_route(
    host: Host, vm: Vm, prefix: str, route: Mapping[str, Any] | None, node: Host, cluster: Cluster
) -> Iterator[Difference]:
    about = (vm.cluster, vm.name)
    if route is None:
        yield Difference(
            host.name,
            f"has no route to {prefix} of VM {vm.name} on {vm.node}",
            "see the sessions; run site.yml",
            about,
        )
        return
    wanted = node.next_hops.get(version := ipaddress.ip_network(prefix).version, f"no IPv{version} underlay address")
    if wanted != route["next_hop"]:
        yield Difference(
            host.name,
            f"routes {prefix} of VM {vm.name} to {route['next_hop']}, not to {vm.node} ({wanted})",
            "find who else announces it; nothing but its node may",
            about,
        )
    missing = cluster.communities - {*route.get("communities", ()), *route.get("large_communities", ())}
    if missing:
        yield Difference(
            host.name,
            f"route to {prefix} lacks community {' '.join(sorted(missing))}",
            f"run site.yml on {vm.node}",
            about,
        )
    if "core_gateways" in host.roles and not route.get("installed", True):
        yield Difference(
            host.name,
            f"has the route to {prefix}, and does not forward by it",
            f"see that {wanted} is reachable on the underlay, and that no better route is there",
            about,
        )


def _surplus_routes(
    host: Host, found: Mapping[str, Mapping[str, Any]], announced: set[str], clusters: Mapping[str, Cluster]
) -> Iterator[Difference]:
    pools = [ipaddress.ip_network(prefix) for name in sorted(host.clusters) for prefix in clusters[name].prefixes]
    for prefix, route in found.items():
        if prefix in announced or not _is_within(prefix, pools):
            continue
        yield Difference(
            host.name,
            f"has a route to {prefix} by {route['next_hop']}, which no VM has",
            "remove it where it is announced; a route that stays although its VM is gone is a defect",
        )


def _is_within(prefix: str, pools: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    network = ipaddress.ip_network(prefix)
    return any(network.version == pool.version and network.subnet_of(pool) for pool in pools)  # type: ignore[arg-type]


def _host_row(host: Host, evidence: Evidence) -> dict[str, Any]:
    found = evidence.get(host.name, {})
    states = {session["address"]: session["state"] for session in found.get("sessions", ())}
    return {
        "host": host.name,
        "roles": sorted(host.roles),
        "reachable": bool(found),
        "sessions": sum(states.get(peer.address) == "Established" for peer in host.peers),
        "sessions_expected": len(host.peers),
        "routes": len(found.get("routes", ())),
        "maintenance": found.get("maintenance") or "",
    }


def _vm_row(vm: Vm, agrees: bool) -> dict[str, Any]:
    state = vm.announcement
    if vm.announcement in ("announced", "elevated") and not vm.carrier:
        state = "waiting"
    return {
        "vm": vm.name,
        "node": vm.node,
        "cluster": vm.cluster,
        "addresses": list(vm.prefixes),
        "state": state,
        "agrees": agrees,
    }
