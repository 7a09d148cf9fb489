# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where migrations stand, and what is left to do: from the register and what nodes say to each node's part. Pure.

docs/design.md, "Live migration", has the steps. An interrupted migration goes on by its nodes' records.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..module_utils.vm_migration_plan import refuse
from .bridged_migrations import under_way_on_bridges
from .cluster import ROUTING
from .migration_guests import add_departure, describe_guest, find_guest
from .names import lease_owner
from .read_guests import CONTAINER_DRIVERS, EXTERNAL_DRIVER
from .values import kind_of, shown

Entry = dict[str, Any]
Answers = Mapping[str, Mapping[str, Any]]
"""By node, what fabric_vm_iface_info returned; a node that gave no answer is absent."""


@dataclass(frozen=True)
class Migration:
    """One interface of a VM, from node to node. fresh: nothing has been armed yet, or not on both nodes. driver: what
    runs the VM; guest: its description, where it has one."""

    cluster: str
    name: str
    nic: int
    source: str
    target: str
    fresh: bool
    interface: Mapping[str, Any]
    driver: str = EXTERNAL_DRIVER
    guest: Entry | None = None


class Refused(ValueError):
    """What is asked for cannot be; the message names every reason."""


def plan_migrations(
    plan: Mapping[str, Any],
    asked: Iterable[Mapping[str, Any]],
    leases: Iterable[Mapping[str, Any]],
    found: Answers,
    *,
    abort: bool = False,
) -> list[Migration]:
    """Return what is to be done for each interface of the VMs asked for.

    plan: of cluster_plan. asked: `{name, node}`, `cluster` where names are not unique; to abort, node may be absent;
    `driver` and `guest` of a VM that is not declared. leases: of all registers. Raises Refused, also for entries that
    are none. Takes time in proportion to leases, interfaces and VMs asked for.
    """
    nics, told = _read_nics(leases), _Told(found)
    mistakes: list[str] = []
    migrations: dict[tuple[str, str, int], Migration] = {}
    for vm in _read_asked(asked):
        try:
            cluster = _find_cluster(plan, vm, nics, abort)
            for nic, holder in nics[cluster, vm["name"]].items():
                where = _Where(cluster, vm["name"], nic, holder, told)
                migration = where.to_abort() if abort else where.to_move(vm["node"])
                if migration is not None:
                    driver, guest = _find_driver(plan, cluster, vm, migration.interface)
                    migrations[cluster, vm["name"], nic] = replace(migration, driver=driver, guest=guest)
        except Refused as refused:
            mistakes += refused.args
    if mistakes:
        raise Refused("\n".join(dict.fromkeys(mistakes)))
    return list(migrations.values())


def _read_asked(asked: object) -> list[Mapping[str, Any]]:
    """Return the entries asked for, which nobody has checked yet."""
    text = "give a list of VMs, each with name and node, names in quotes where they are numbers"
    if not isinstance(asked, (list, tuple)):
        raise Refused(refuse("NotAVm", f"vms is {kind_of(asked)}: {text}"))
    for index, vm in enumerate(asked):
        name = vm.get("name") if isinstance(vm, Mapping) else None
        if not isinstance(vm, Mapping) or not name or not isinstance(name, str):
            raise Refused(refuse("NotAVm", f"vms[{index}] is {shown(vm)}: {text}"))
    return list(asked)


def _find_cluster(
    plan: Mapping[str, Any], vm: Mapping[str, Any], nics: Mapping[tuple[str, str], object], abort: bool
) -> str:
    """Return the cluster that the VM is in, which is to be that of the node it goes to."""
    name, node = vm["name"], vm.get("node")
    clusters: Mapping[str, Mapping[str, Any]] = plan["clusters"]
    homes = [each for each in clusters if (each, name) in nics and vm.get("cluster") in (None, each)]
    if not homes:
        raise Refused(refuse("UnknownVm", f"no register has a lease of {name}: attach it first"))
    if abort:
        return homes[0]
    if not node:
        raise Refused(refuse("MissingTarget", f"{name}: node is missing: name the node that the VM goes to"))
    goals = [each for each, described in clusters.items() if node in described["nodes"]]
    if not goals:
        raise Refused(refuse("MissingTarget", f"{name}: {node} is not a node of any cluster"))
    home = goals[0] if goals[0] in homes else homes[0]
    types = (clusters[home]["type"], clusters[goals[0]]["type"])
    if types[0] != types[1]:
        text = f"{name} is in {home} ({types[0]}), {node} in {goals[0]} ({types[1]})"
        raise Refused(refuse("UnlikeNetworkTypes", text))
    if home != goals[0]:
        raise Refused(refuse("OtherCluster", f"{name} is in {home}, {node} in {goals[0]}: a VM stays in its cluster"))
    if types[0] == ROUTING:
        raise Refused(refuse("RoutingCluster", f"{home} is of type routing, where addresses belong to nodes"))
    return home


def _find_driver(
    plan: Mapping[str, Any], cluster: str, vm: Mapping[str, Any], interface: Mapping[str, Any]
) -> tuple[str, Entry | None]:
    driver, guest, mistakes = find_guest(plan, cluster, vm, interface.get("driver"))
    if mistakes:
        raise Refused(*mistakes)
    if driver in CONTAINER_DRIVERS:
        text = f"{vm['name']} is a container, and only virtual machines migrate live: detach it, bring its files to "
        raise Refused(refuse("Container", f"{text}the other node, attach it there"))
    return driver, guest


def _read_nics(leases: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], dict[int, str]]:
    """Return, by cluster and VM, the node that holds the leases of each NIC, NICs in order."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for lease in leases:
        owner, _mark, nic = lease["owner"].partition("#")
        cluster, _slash, name = owner.partition("/")
        found.setdefault((cluster, name), {})[int(nic or 0)] = lease.get("holder") or ""
    return {vm: dict(sorted(holders.items())) for vm, holders in found.items()}


class _Told:
    """What nodes have told, by VM and NIC, then by node: interfaces and migrations."""

    def __init__(self, found: Answers) -> None:
        self.found = found
        self.interfaces: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
        self.migrations: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}
        for node, answer in found.items():
            for key, kept in (("interfaces", self.interfaces), ("migrations", self.migrations)):
                for each in answer[key]:
                    kept.setdefault((each["vm"], each["nic"]), {})[node] = each


class _Where:
    """What register and nodes say of one interface."""

    def __init__(self, cluster: str, name: str, nic: int, holder: str, told: _Told) -> None:
        self.cluster, self.name, self.nic, self.holder, self.found = cluster, name, nic, holder, told.found
        self.at = told.interfaces.get((name, nic), {})
        self.under_way = told.migrations.get((name, nic)) or under_way_on_bridges(self.at, holder)

    def migration(self, source: str, target: str, fresh: bool) -> Migration:
        interface = self.at.get(source) or self.at.get(target)
        if interface is None:
            raise Refused(refuse("NotHere", f"{source} has no interface of {self.name}: run site.yml, or attach_vm"))
        return Migration(self.cluster, self.name, self.nic, source, target, fresh, interface)

    def to_move(self, target: str) -> Migration:
        """Return the migration to a node, from where it stands."""
        if target not in self.found:
            raise Refused(refuse("MissingTarget", f"{self.name}: {target} does not answer"))
        there = self.under_way.get(target, {})
        source = there["other"] if there.get("role") == "target" else self.holder
        self._refuse_others(source, target)
        here = self.under_way.get(source, {})
        if there.get("role") == "target" and there["state"] != "expired":
            both = bool(here) and here["state"] != "expired"
            return self.migration(source, target, there["state"] == "armed" and not both)
        if self.holder == target:
            return self._left_over(target)
        if source not in self.found:
            where = source or "no node"
            raise Refused(refuse("SourceUnreachable", f"{self.name} is on {where}, which does not answer"))
        if out := self.found[target].get("maintenance"):
            text = f"{target} is {out}, so {self.name} would not stay there: undrain_node first, or name another node"
            raise Refused(refuse("NodeDrained", text))
        return self.migration(source, target, True)

    def _refuse_others(self, source: str, target: str) -> None:
        """Refuse when nodes say that the VM migrates from or to elsewhere, or did and is not finished."""
        for node, each in self.under_way.items():
            ends = (node, each["other"]) if each["role"] == "source" else (each["other"], node)
            is_this = ends == (source, target) or (self.holder == target and ends[1] == target)
            if each["state"] != "expired" and not is_this:
                text = f"{self.name} migrates from {ends[0]} to {ends[1]}"
                raise Refused(refuse("MigrationUnderWay", f"{text}: finish that with migrate_vm, or take it back with "
                                                          "abort_migration"))

    def _left_over(self, target: str) -> Migration:
        """Return what is left of a migration that the register has seen the end of: a source that is not cleaned, or a
        target without its normal announcement."""
        others = [
            node
            for node, each in self.at.items()
            if node != target and each["announcement"] != "standby" and not each["carrier"]
        ]
        others += [node for node, each in self.under_way.items() if each["role"] == "source"]
        here = self.at.get(target)
        if here is None or not (others or here["announcement"] == "standby"):
            raise Refused(refuse("SameNode", f"{self.name} is on {target} already"))
        return self.migration(others[0] if others else "", target, False)

    def to_abort(self) -> Migration | None:
        """Return the migration to take back; None where there is none."""
        for role in ("target", "source"):
            for node, each in self.under_way.items():
                if each["role"] == role:
                    source, target = (each["other"], node) if role == "target" else (node, each["other"])
                    return self.migration(source, target, False)
        return None


def describe_migrations(
    plan: Mapping[str, Any], migrations: Iterable[Migration], keys: Iterable[str]
) -> dict[str, Entry]:
    """Return each node's part. ends: as fabric_vm_migration takes them, of them those to make ready (`fresh_ends`);
    standby, announced, absent: as fabric_vm_iface takes VMs; prefixes and next_hops: what core gateways are to have;
    vms: as `lease_requests` takes them, of VMs that come. external: ends on a source whose guests others move; domains:
    as libvirt_migration takes them; guests, absent_guests: as vm_guests takes VMs, those that a driver runs and that
    come or go."""
    nodes: dict[str, Entry] = {}
    for migration, key in zip(migrations, keys, strict=False):
        ends = [(migration.source, "source", migration.target), (migration.target, "target", migration.source)]
        for node, role, other in ends:
            if node not in plan["underlay"]:
                continue
            part = nodes.setdefault(node, _no_part(plan, node))
            end = _describe_end(plan, migration, node, role, other, key)
            part[f"{role}s"].append(end)
            part[f"fresh_{role}s"] += [end] if migration.fresh else []
            guests = describe_guest(migration.name, migration.nic, migration.driver, migration.guest)
            part["guests" if role == "target" else "absent_guests"] += guests
            if role == "source":
                add_departure(part, end, migration.driver)
                part["absent"].append({"name": migration.name, "nic": migration.nic, "state": "absent"})
            else:
                _add_arrival(part, migration)
    return nodes


def _no_part(plan: Mapping[str, Any], node: str) -> Entry:
    lists: Entry = {
        key: []
        for key in (
            "sources", "targets", "fresh_sources", "fresh_targets", "absent", "standby", "announced", "prefixes", "vms",
            "external", "domains", "guests", "absent_guests",
        )
    }
    underlay = plan["underlay"][node]
    return {**lists, "next_hops": [underlay[key] for key in ("ipv4", "ipv6") if underlay[key]]}


def _add_arrival(part: Entry, migration: Migration) -> None:
    interface = migration.interface
    copied = ("nic", "addresses", "prefixes", "mac", "kind", "owner", "multi_queue", "mtu")
    vm = {"name": migration.name, **{key: interface[key] for key in copied}}
    vm.update({"driver": interface["driver"]} if interface.get("driver") else {})
    part["standby"] += [{**vm, "announcement": "standby"}] if migration.fresh else []
    part["announced"].append({**vm, "announcement": "announced"})
    part["prefixes"] += [str(ipaddress.ip_network(each)) for each in (*interface["addresses"], *interface["prefixes"])]
    part["vms"].append({"cluster": migration.cluster, "name": migration.name, "nic": migration.nic})


def _describe_end(
    plan: Mapping[str, Any], migration: Migration, node: str, role: str, other: str, key: str
) -> Entry:
    def underlay(name: str) -> Entry:
        addresses = plan["underlay"].get(name) or {}
        return {family: addresses.get(family) for family in ("ipv4", "ipv6")}

    return {
        "name": migration.name,
        "nic": migration.nic,
        "role": role,
        "other": other,
        "own": underlay(node),
        "peer": underlay(other),
        "addresses": list(migration.interface["addresses"]),
        "mtu": migration.interface["mtu"],
        "key": key,
    }


def lease_moves(
    plan: Mapping[str, Any], nodes: Mapping[str, Entry], leases: Iterable[Mapping[str, Any]]
) -> list[Entry]:
    """Return what to ask each register for, as `lease_requests` does: the leases of VMs that have come to a node."""
    comes = {
        lease_owner(vm["cluster"], vm["name"], vm["nic"]): (vm["cluster"], node)
        for node, part in nodes.items()
        for vm in part["vms"]
    }
    registers: dict[tuple[str, str], Entry] = {}
    for lease in leases:
        if lease["owner"] in comes:
            cluster, node = comes[lease["owner"]]
            where = plan["clusters"][cluster]["register"]
            register = registers.setdefault((where["host"], where["path"]), {**where, "pools": [], "leases": []})
            register["leases"].append(
                {"owner": lease["owner"], "pool": lease["pool"], "address": lease["address"], "holder": node}
            )
    for (host, path), register in registers.items():
        for described in plan["clusters"].values():
            if described["register"] == {"host": host, "path": path}:
                register["pools"] += [
                    {key: pool[key] for key in ("name", "prefix", "ranges", "exclude")} for pool in described["pools"]
                ]
    return [registers[key] for key in sorted(registers)]


def with_ports(ends: Iterable[Mapping[str, Any]], results: Iterable[Any]) -> list[Entry]:
    """Return the targets' ends with the ports that their sources' agents listen on.

    results: what fabric_vm_migration returned on sources when it armed them.
    """
    ports = {
        (each["name"], each["nic"]): each["port"]
        for result in results
        if isinstance(result, Mapping)
        for each in result.get("migrations") or ()
        if each["role"] == "source" and each["port"]
    }
    return [{**end, "port": ports.get((end["name"], end["nic"]), 0)} for end in ends]
