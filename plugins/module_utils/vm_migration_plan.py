# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan one node's part in migrations: what is in the way, and what is to be done. Pure; reading and doing is
vm_migration.py."""

from __future__ import annotations

import json
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Link
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_state import Under
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import interface_name
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import family_of

REFUSED = "LiveMigrationRefused"
MOVED = {"source": ("left", "expired"), "target": ("announced",)}
"""States in which the guest has moved, as far as a node's agent has to do with it."""


class Migration(NamedTuple):
    """One interface's migration as this node is asked to take part in it. own, peer: underlay addresses by `ipv4`,
    `ipv6`."""

    name: str
    nic: int
    role: str
    other: str
    own: Mapping[str, Optional[str]]
    peer: Mapping[str, Optional[str]]
    addresses: Tuple[str, ...]
    mtu: int
    key: str
    port: int

    @property
    def interface(self) -> str:
        """The interface's name on both nodes."""
        return interface_name(self.name, self.nic)[0]

    @property
    def families(self) -> FrozenSet[str]:
        """`ipv4`, `ipv6`: those of the VM's addresses."""
        return frozenset(f"ipv{family_of(address)}" for address in self.addresses)


class Way(NamedTuple):
    """How a node reaches another: interface, its MTU, and the router between them if there is one."""

    interface: str
    mtu: int
    gateway: Optional[str] = None


class Found(NamedTuple):
    """What the node has. records: of VM interfaces. announced: interfaces that FRR has a route with tag 770 to.
    ways: by the other node's address. sessions: families with an established BGP session. routes: by prefix, the
    `(interface, gateway)` of the kernel's route in FRR's table. frr: why FRR cannot be used, or an empty text.
    maintenance: as frr_maintenance has it."""

    records: Mapping[str, Mapping[str, Any]]
    links: Mapping[str, Link]
    under: Mapping[str, Under]
    ways: Mapping[str, Way]
    files: Mapping[str, Optional[str]]
    announced: FrozenSet[str] = frozenset()
    sessions: FrozenSet[str] = frozenset()
    routes: Mapping[str, Tuple[str, Optional[str]]] = {}
    frr: str = ""
    maintenance: str = ""


def refuse(name: str, text: str) -> str:
    """Return a refusal, by its name."""
    return f"{REFUSED}: {name}: {text}"


def check_preparing(found: Found, wanted: Sequence[Migration]) -> List[str]:
    """Return every reason why the node cannot take part."""
    mistakes = [refuse("NoFrr", found.frr)] if found.frr else []
    for each in wanted:
        mistakes += _check_under_way(found, each) + _check_ways(found, each)
        mistakes += _check_source(found, each) if each.role == "source" else _check_target(found, each)
    return list(dict.fromkeys(mistakes))


def _check_under_way(found: Found, each: Migration) -> List[str]:
    under = found.under.get(each.interface)
    if under is None or under.state.get("state") == "expired" or is_same(under, each):
        return []
    record = under.record
    ends = ("to", "from") if record["role"] == "source" else ("from", "to")
    return [refuse("MigrationUnderWay", f"{each.name} migrates {ends[0]} {record['other']} already: finish that with "
                                        "migrate_vm, or take it back with abort_migration")]


def is_same(under: Under, each: Migration) -> bool:
    """Tell whether a migration that is under way is the one asked for."""
    return (under.record["role"], under.record["other"]) == (each.role, each.other)


def _check_ways(found: Found, each: Migration) -> List[str]:
    mistakes = []
    for family in sorted(each.families):
        address = each.peer.get(family)
        way = found.ways.get(address or "")
        if not address:
            mistakes.append(refuse("NoUnderlayAddress", f"{each.other} has no underlay_{family}: {each.name} needs it"))
        elif way is None:
            mistakes.append(refuse("NoWay", f"there is no route to {each.other} ({address})"))
        elif way.gateway:
            mistakes.append(refuse("RoutedUnderlay", f"{each.other} ({address}) is behind {way.gateway}, so packets "
                                                     "cannot be sent on to it: stop the VM and attach it there"))
        elif way.mtu < each.mtu:
            mistakes.append(refuse("MtuTooSmall", f"{way.interface} has MTU {way.mtu}, {each.name} has {each.mtu}: "
                                                  "raise the first"))
    return mistakes


def _check_source(found: Found, each: Migration) -> List[str]:
    record, link = found.records.get(each.interface), found.links.get(each.interface)
    if record is None or link is None:
        return [refuse("NotHere", f"{each.name} has no interface {each.interface} here: attach it first")]
    mistakes = []
    if record["kind"] != "tap":
        mistakes.append(refuse("Container", f"{each.name} is a container behind {record['kind']} {each.interface}, and "
                                            "only virtual machines migrate live: stop it, attach it there"))
    if record["announcement"] != "announced" or each.interface not in found.announced:
        routes = "routes" if each.interface in found.announced else "no route"
        mistakes.append(refuse("NotAnnounced", f"{each.name} is {record['announcement']} here, and FRR has {routes} to "
                                               "it: run site.yml"))
    if not link.carrier:
        mistakes.append(refuse("NotRunning", f"{each.interface} has no carrier: a VM that is off moves with detach_vm "
                                             "and attach_vm"))
    return mistakes


def _check_target(found: Found, each: Migration) -> List[str]:
    if found.maintenance:
        return [refuse("NodeDrained", f"this node is {found.maintenance}, so {each.name} would be preferred where it "
                                      "is: run undrain_node first")]
    missing = sorted(each.families - found.sessions)
    if missing and not found.frr:
        return [refuse("NoSessions", f"no established BGP session for {', '.join(missing)}, so nobody would learn of "
                                     f"{each.name} here")]
    return []


def record_of(found: Found, each: Migration, deadline: float) -> Dict[str, Any]:
    """Return the record that the agent works from. deadline: by the monotonic clock."""
    vm = found.records[each.interface]
    first: Dict[int, str] = {}
    for address in vm["addresses"]:
        first.setdefault(family_of(address), address)
    prefixes: Dict[str, Optional[str]] = {f"{each}/{128 if ':' in each else 32}": None for each in vm["addresses"]}
    prefixes.update({prefix: first[family_of(prefix)] for prefix in vm["prefixes"]})
    way = next(found.ways[address] for address in each.peer.values() if address and address in found.ways)
    return {
        "vm": each.name, "nic": each.nic, "interface": each.interface, "role": each.role, "other": each.other,
        "own": dict(each.own), "peer": dict(each.peer), "uplink": way.interface, "mac": vm["mac"],
        "prefixes": prefixes, "key": each.key, "port": each.port, "deadline": deadline,
    }


def plan_arming(found: Found, wanted: Sequence[Migration], deadline: float) -> Tuple[Step, ...]:
    """Return the steps that arm the node: `arm IFACE RECORD`. What has moved already is left."""
    steps = []
    for each in wanted:
        under = found.under.get(each.interface)
        name = under.state.get("state") if under else None
        if under is not None and is_same(under, each) and (
                name in ("left", "arrived", "announced", "cut")
                or (name == "armed" and under.runs and under.record["key"] == each.key)):
            continue
        verb = "leaves for" if each.role == "source" else "comes from"
        if each.interface in found.records and any(address in found.ways for address in each.peer.values()):
            text = json.dumps(record_of(found, each, deadline))
        else:
            text = ""  # predicted only: the interface will be there
        steps.append(Step(f"{each.name} {verb} {each.other}", f"migration {each.interface}",
                          after=(f"{each.role}, {each.other}",), commands=(f"arm {each.interface} {text}",)))
    return tuple(steps)


def check_aborting(found: Found, wanted: Sequence[Migration]) -> List[str]:
    """Return why migrations cannot be taken back: the guest runs on the target."""
    moved = [each for each in wanted if each.interface in found.under
             and found.under[each.interface].state.get("state") in ("arrived", "announced", "left")]
    return [refuse("HasMoved", f"{each.name} has moved already: finish with migrate_vm")
            for each in moved]


def plan_disarming(found: Found, wanted: Sequence[Migration], why: str) -> Tuple[Step, ...]:
    """Return the steps that end migrations on the node: `disarm IFACE`."""
    return tuple(Step(f"{each.name} {why}", f"migration {each.interface}", (f"{each.role}, {each.other}",), (),
                      (f"disarm {each.interface}",))
                 for each in wanted if each.interface in found.under)


def not_arrived(found: Found, wanted: Sequence[Migration]) -> List[str]:
    """Return what is missing until the guests have moved, as far as this node knows."""
    missing = []
    for each in wanted:
        under, link = found.under.get(each.interface), found.links.get(each.interface)
        name = under.state.get("state") if under else None
        if under is not None and name not in MOVED[each.role]:
            missing.append(f"{each.name}: the agent of {each.interface} is {name or 'not armed'}"
                           + ("" if under.runs else " and does not run: see journalctl -u vmcluster-migration@*"))
        elif under is None and each.role == "target" and not (link and link.carrier):
            missing.append(f"{each.name}: no migration is armed for {each.interface}, and no guest is attached to it")
        elif each.role == "source" and link is not None and link.carrier:
            missing.append(f"{each.name}: a guest is still attached to {each.interface} here")
    return missing


def not_settled(found: Found, wanted: Sequence[Migration]) -> List[str]:
    """Return the prefixes for which FRR's own routes do not do yet what the overrides do: lead to the other node from
    the source, to the interface on the target."""
    missing = []
    for each in wanted:
        under = found.under.get(each.interface)
        for prefix in under.record["prefixes"] if under else ():
            interface, gateway = found.routes.get(prefix, ("", None))
            peer = each.peer.get(f"ipv{family_of(prefix)}")
            if (gateway != peer) if each.role == "source" else (interface != each.interface):
                missing.append(f"{prefix} of {each.name} leads to {gateway or interface or 'nowhere'}")
    return missing
