# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with nodes of switching and routing clusters: ports, own addresses, gateways, pools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .check_vms import gives_out
from .cluster import ADDITIONAL, MAIN, Cluster, Host, Port, span_of
from .findings import Findings, Place
from .read_ports import ADDITIONAL_PORT, MANAGEMENT_PORT, POOLS, UPLINK
from .values import Address, Network

PORT_OF = {MAIN: UPLINK, ADDITIONAL: ADDITIONAL_PORT}
"""By network of a switching cluster: what the variables of the node's port in it begin with."""


def check_nodes(findings: Findings, hosts: Mapping[str, Host], clusters: Sequence[Cluster]) -> None:
    """Record what is wrong with the nodes of each cluster that has no BGP."""
    taken: dict[Address, str] = {}
    for cluster in clusters:
        for host in (hosts[name] for name in cluster.nodes if name in hosts):
            place = Place(findings, host.name)
            if cluster.networks:
                _check_switching(place, cluster, host)
            elif cluster.provider is not None:
                _check_routing(place, cluster, host)
            else:
                continue
            _check_ports(place, host)
            _check_bridge_names(place, cluster, host)
            _check_own_addresses(place, cluster, host, taken)
            _check_default_routes(place, cluster, host)
            _check_guests(findings, cluster, host)
        _check_networks(findings, cluster)


def ports_of(host: Host) -> Iterator[tuple[str, Port]]:
    """Yield what a port's variables begin with, and the port."""
    for name, port in ((UPLINK, host.uplink), (ADDITIONAL_PORT, host.additional)):
        if port is not None:
            yield name, port


def _check_networks(findings: Findings, cluster: Cluster) -> None:
    if not cluster.pools_complete:
        return
    for network in cluster.networks:
        if not any(pool.network == network.name for pool in cluster.pools):
            Place(findings, cluster.where, "cluster.pools").mistake(
                f"none is of network {network.name}", f"give it one with network: {network.name}"
            )


def _check_switching(place: Place, cluster: Cluster, host: Host) -> None:
    ports = dict(ports_of(host))
    for network in cluster.networks:
        name = PORT_OF[network.name]
        port = ports.get(name)
        if port is None:
            place.at(f"{name}_port").mistake(
                f"is missing although {cluster.where} has network {network.name}", "name the NIC that leads there"
            )
        elif network.isolated:
            _check_isolated(place, name, port, host, network.name)
        elif not port.addresses and port.complete and name == UPLINK:
            place.at(f"{name}_addresses").mistake(
                f"is missing although network {network.name} is not isolated",
                f"give the node's address with its length, or set networks.{network.name}.isolated: true",
            )
    if host.additional is not None and cluster.network(ADDITIONAL) is None:
        place.at(f"{ADDITIONAL_PORT}_port").mistake(
            f"{cluster.where} has no additional network", "describe it in cluster.networks, or leave the port out"
        )
    _refuse_pools(place, host)
    isolated = all(not port.addresses for port in ports.values())
    if ports and isolated and not host.management_port and all(network.isolated for network in cluster.networks):
        place.at(MANAGEMENT_PORT).mistake(
            "is missing, and no bridge has an address of the node", "name the NIC that the node is reached by"
        )


def _check_isolated(place: Place, name: str, port: Port, host: Host, network: str) -> None:
    for what in ("addresses", "gateways"):
        if getattr(port, what):
            place.at(f"{name}_{what}").mistake(
                f"network {network} is isolated: the node has no address on it",
                f"leave it out, or set networks.{network}.isolated: false",
            )
    if host.management_port and host.management_port in port.nics:
        place.at(f"{name}_port").mistake(
            f"{host.management_port} is the management port, and network {network} is isolated: the node would be lost",
            "choose another NIC",
        )


def _refuse_pools(place: Place, host: Host) -> None:
    if host.pools:
        place.at(POOLS).mistake("addresses belong to the cluster here", "give them in cluster.pools")


def _check_routing(place: Place, cluster: Cluster, host: Host) -> None:
    if host.uplink is None:
        place.at(f"{UPLINK}_port").mistake("is missing", "name the NIC that leads to the provider")
    elif not host.uplink.addresses and host.uplink.complete:
        place.at(f"{UPLINK}_addresses").mistake("is missing", "give the node's own address, such as 198.51.100.7/32")
    elif len(host.uplink.nics) > 1:
        place.at(f"{UPLINK}_port").mistake("is a list", "name one NIC: a rented node has no bond")
    elif cluster.provider is not None and cluster.provider.proxy_ndp and ":" in "".join(host.uplink.nics):
        place.at(f"{UPLINK}_port").mistake(
            "is no name, and the provider needs proxy NDP, which is for an interface's name", "give the NIC's name"
        )
    if host.additional is not None:
        place.at(f"{ADDITIONAL_PORT}_port").mistake("a routing cluster has one network", "leave the port out")
    if cluster.provider is not None and cluster.mtu > cluster.provider.mtu:
        Place(place.findings, cluster.where, "cluster.mtu").mistake(
            f"{cluster.mtu} is greater than the MTU {cluster.provider.mtu} of the provider's network",
            f"lower it to {cluster.provider.mtu}, or leave it out",
        )
    if not host.pools and host.pools_complete:
        place.at(POOLS).mistake("is missing", "give the addresses that the provider routes to this node")


def _check_ports(place: Place, host: Host) -> None:
    """A NIC is on one wire. That it is told twice by other words (name and MAC) the node alone can know."""
    users: dict[str, str] = {}
    named = [(f"{name}_port", nic) for name, port in ports_of(host) for nic in port.nics]
    isolated_told = {finding.key for finding in place.findings.mistakes if finding.where == place.where}
    if host.management_port:
        named.append((MANAGEMENT_PORT, host.management_port))
    for key, nic in named:
        first = users.setdefault(nic, key)
        if first is not key and not (key == MANAGEMENT_PORT and first in isolated_told):
            place.at(key).mistake(f"{nic} is used for {first} already", "name another NIC")


def _check_bridge_names(place: Place, cluster: Cluster, host: Host) -> None:
    bridges = {network.bridge for network in cluster.networks if network.bridge}
    for name, port in ports_of(host):
        for nic in bridges & {*port.nics}:
            place.at(f"{name}_port").mistake(f"{nic} is a bridge of {cluster.where}", "name the NIC below it")
    if host.management_port in bridges:
        place.at(MANAGEMENT_PORT).mistake(
            f"{host.management_port} is a bridge of {cluster.where}", "name the NIC that the node is reached by"
        )


def _check_default_routes(place: Place, cluster: Cluster, host: Host) -> None:
    """A node has one default route per family, and not by an address that VMs have as their gateway."""
    first: dict[int, str] = {}
    for name, port in ports_of(host):
        for index, gateway in enumerate(port.gateways):
            here = place.at(f"{name}_gateways[{index}]")
            other = first.setdefault(gateway.version, str(gateway))
            if other != str(gateway) or (index and gateway in port.gateways[:index]):
                here.mistake(f"{other} is the node's IPv{gateway.version} gateway already", "leave one per family")
            if not gateway.is_link_local:  # each interface has link-local addresses of its own
                _check_not_of_vms(here, cluster, gateway)
    known = first or host.management_port or not any(port.addresses for _name, port in ports_of(host))
    if not known and all(port.complete for _name, port in ports_of(host)):
        place.at(f"{UPLINK}_gateways").warning(
            "is missing, and no port has a gateway: a default route that the node has by these ports goes",
            "name the router",
        )


def _check_own_addresses(place: Place, cluster: Cluster, host: Host, taken: dict[Address, str]) -> None:
    on_link = cluster.provider is not None and cluster.provider.on_link
    seen: set[Address] = set()
    for name, port in ports_of(host):
        for index, own in enumerate(port.addresses):
            here = place.at(f"{name}_addresses[{index}]")
            other = taken.setdefault(own.ip, host.name)
            if other != host.name:
                here.mistake(f"{own.ip} is that of {other} too", "give each node its own")
            elif own.ip in seen:
                here.mistake(f"{own.ip} is there twice", "leave one")
            elif _is_no_hosts(own.ip, own.network):
                here.mistake(f"{own.ip} is the first or last of {own.network}, which no host has", "correct it")
            seen.add(own.ip)
            _check_not_of_vms(here, cluster, own.ip)
            _check_not_given_out(here, cluster, own.ip)
        for index, gateway in enumerate(port.gateways):
            here = place.at(f"{name}_gateways[{index}]")
            _check_not_given_out(here, cluster, gateway)
            near = gateway.is_link_local or any(gateway in own.network for own in port.addresses)
            if any(own.ip == gateway for own in port.addresses):
                here.mistake(f"{gateway} is the node's own address", "give the router's")
            elif any(_is_no_hosts(gateway, own.network) for own in port.addresses):
                here.mistake(f"{gateway} is the first or last of the node's subnet, which no host has", "correct it")
            elif not port.complete:
                continue
            elif not near and not on_link:
                here.mistake(f"{gateway} is in none of the node's subnets", f"correct it, or {name}_addresses")
            elif all(own.version != gateway.version for own in port.addresses):
                here.mistake(f"the node has no IPv{gateway.version} address", f"add one to {name}_addresses")


def _check_not_of_vms(place: Place, cluster: Cluster, address: Address) -> None:
    """With the first VM a gateway of the node's would be the node itself, and the node lost."""
    if cluster.provider is not None and address in (each for _key, each in cluster.gateway.addresses()):
        place.mistake(
            f"{address} is cluster.gateway too, which every VM interface of the node has",
            "choose another cluster.gateway: a private address that nothing else uses",
        )


def _is_no_hosts(address: Address, network: Network) -> bool:
    """Whether it is an IPv4 subnet's own or its broadcast address (RFC 3021: two addresses are two hosts)."""
    if address.version != 4 or network.version != 4 or network.prefixlen > 30:
        return False
    return address in (network.network_address, network.broadcast_address)


def _check_not_given_out(place: Place, cluster: Cluster, address: Address) -> None:
    pool = cluster.find_pool(address)
    if pool is not None and gives_out(pool, span_of(address)):
        place.mistake(f"{address} may be given to a VM by pool {pool.name}", f"add {address} to exclude of the pool")


def _check_guests(findings: Findings, cluster: Cluster, host: Host) -> None:
    """A guest that has the MAC of a NIC would take its frames."""
    macs: Iterable[str] = {nic for _name, port in ports_of(host) for nic in (*port.nics, host.management_port)}
    for vm in cluster.vms:
        if vm.node == host.name and vm.mac in macs:
            Place(findings, vm.where, f"{vm.key}.mac").mistake(
                f"{vm.mac} is that of a NIC of {host.name}", "give the guest another"
            )
