# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with consoles: who serves them, and where VNC displays listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .cluster import JUNOS, Cluster, Console, Host
from .findings import Findings, Place
from .read_console import VNC_ADDRESS
from .values import Address, shown


def check_consoles(
    findings: Findings, hosts: Mapping[str, Host], clusters: Sequence[Cluster], known_hosts: frozenset[str]
) -> None:
    """Record what is wrong with the consoles of each cluster and between them. known_hosts: all of the inventory."""
    first: dict[str, tuple[Cluster, Console]] = {}
    taken: dict[Address, str] = {}
    for cluster in clusters:
        for name in cluster.nodes:
            if name in hosts:
                _check_vnc_address(Place(findings, name, VNC_ADDRESS), cluster, hosts[name], taken)
        if cluster.console is not None:
            place = Place(findings, cluster.where, "cluster.console")
            _check_host(place, cluster.console.host, hosts, known_hosts)
            other, console = first.setdefault(cluster.console.host, (cluster, cluster.console))
            if (console.name, console.port) != (cluster.console.name, cluster.console.port):
                place.mistake(
                    f"name or port differs from that of {other.where}, which the same host serves",
                    "make them alike: a host has one name and port for consoles",
                )


def _check_host(place: Place, name: str, hosts: Mapping[str, Host], known_hosts: frozenset[str]) -> None:
    if name not in known_hosts and name != "localhost":
        place.at("host").mistake(f"{shown(name)} is not a host of the inventory", "name one that Ansible can reach")
    elif name in hosts and (hosts[name].external or hosts[name].platform == JUNOS):
        place.at("host").mistake(f"{name} can't serve web pages for us", "name a Linux host that Ansible can reach")


def _check_vnc_address(place: Place, cluster: Cluster, host: Host, taken: dict[Address, str]) -> None:
    address = host.vnc_address
    if address is None:
        if cluster.console is not None and VNC_ADDRESS not in host.mistaken:
            place.mistake(
                f"is missing although {cluster.where} has a console",
                "give the node's address in the management network",
            )
        return
    pool = cluster.find_pool(address)
    if pool is not None:
        place.mistake(f"{address} is in pool {pool.name}, which VMs reach", "give one of the management network")
    elif taken.setdefault(address, host.name) != host.name:
        place.mistake(f"{address} is that of {taken[address]} too", "give each node its own")
