# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verification works with: hosts and clusters as planned, evidence as told, differences as found."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Peer:
    """A BGP session that a host's plan holds: with whom, at which address."""

    name: str
    address: str


@dataclass(frozen=True)
class Host:
    """A host of the plan: roles, sessions, and by family the address that routes to its VMs have as next hop.

    own_network: whether its own network is planned too.
    """

    name: str
    roles: frozenset[str]
    clusters: frozenset[str]
    peers: tuple[Peer, ...] = ()
    next_hops: Mapping[int, str] = field(default_factory=dict)
    own_network: bool = False

    @property
    def cluster(self) -> str:
        """The one cluster that a node belongs to."""
        (name,) = self.clusters
        return name


@dataclass(frozen=True)
class Cluster:
    """What verification needs of a cluster: its routes' communities, its pools' prefixes, its declared VMs.

    guests: by declared VM that a driver runs, the state of its guest that is declared.
    """

    name: str
    communities: frozenset[str]
    prefixes: tuple[str, ...]
    declared: frozenset[str] = frozenset()
    register_host: str = ""
    guests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """Something that is not as it ought to be: where, what, and what to do about it."""

    host: str
    what: str
    remedy: str
    vm: tuple[str, str] | None = None  # (cluster, name) of the VM it is about


class UnfinishedMigration(Difference):
    """A migration under way or interrupted; whatever else differs of its VM follows from it."""


@dataclass(frozen=True)
class Vm:
    """A VM as its node carries it. prefixes: all that is routed to it; addresses: of these, those that are leased."""

    name: str
    node: str
    cluster: str
    prefixes: tuple[str, ...]
    addresses: tuple[str, ...]
    announcement: str
    carrier: bool

    @property
    def is_announced(self) -> bool:
        """Whether the fabric ought to have its routes: announced, and a hypervisor is attached to the interface."""
        return self.announcement in ("announced", "elevated") and self.carrier


@dataclass(frozen=True)
class Report:
    """The outcome: differences, and the rows of the table that operators read."""

    differences: tuple[Difference, ...]
    hosts: tuple[dict[str, Any], ...]
    vms: tuple[dict[str, Any], ...]


Evidence = Mapping[str, Mapping[str, Any]]
"""By host: `sessions`, `routes`, `interfaces`, `leases`, `guests` of the info modules, absent when not asked;
`actions`: what host_network would change; `maintenance`: as frr_maintenance has it; `problems`: by one of these, why
the host could not tell it."""


def host_prefix(address: str) -> str:
    """Return an address or prefix in canonical form with its length: 203.0.113.1 is 203.0.113.1/32."""
    return str(ipaddress.ip_network(address, strict=False))
