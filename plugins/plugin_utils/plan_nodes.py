# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes of switching and routing clusters have to be, as variables of their roles: docs/design.md, "Switching and
routing clusters"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .check_nodes import PORT_OF
from .cluster import DEFAULT_MTU, Cluster, Host, Port, SwitchedNetwork
from .read_ports import ADDITIONAL_PORT, UPLINK
from .read_switching import vlan_bridge

Plan = dict[str, Any]

ISOLATION = {"arp_ignore": "8", "rp_filter": "1"}


def plan_switching(cluster: Cluster, host: Host) -> Plan:
    """Return the variables of role switching for a node."""
    ports = {UPLINK: host.uplink, ADDITIONAL_PORT: host.additional}
    interfaces: list[Plan] = []
    for network in cluster.networks:
        port = ports[PORT_OF[network.name]]
        if port is not None:
            interfaces += _network_interfaces(network, port, cluster.mtu)
    _add_nameservers(interfaces, host)
    # Bridges without an address, and what only carries VLANs: frames without a tag reach the node itself there.
    silent = [each["name"] for each in interfaces if each.get("link_local") is False]
    return {
        "switching_interfaces": interfaces,
        "switching_sysctls": {key: value for name in silent for key, value in _isolation(name).items()},
        "switching_mtu": cluster.mtu,
    }


def _network_interfaces(network: SwitchedNetwork, port: Port, mtu: int) -> list[Plan]:
    """Return the interfaces of a network: port or bond, the network's bridge, and those of each VLAN of VMs."""
    sized = {"mtu": mtu} if mtu > DEFAULT_MTU else {}
    wire = port.nics[0]
    # What only carries VLANs is as silent as a bridge without an address.
    silent: Plan = {"link_local": False} if network.vlan and len(port.nics) == 1 else {}
    interfaces: list[Plan] = [{"name": nic, "kind": "port", **sized, **silent} for nic in port.nics]
    if len(port.nics) > 1:
        wire = f"{network.bridge}b"
        bond = {"name": wire, "kind": "bond", "ports": list(port.nics), "mode": network.bond_mode, **sized}
        interfaces.append({**bond, **({"link_local": False} if network.vlan else {})})
    for vlan in (network.vlan, *network.vlans):
        lower = f"{network.bridge}t{vlan}" if vlan else wire
        if vlan:
            interfaces.append({"name": lower, "kind": "vlan", "link": wire, "id": vlan, **sized})
        own = vlan == network.vlan
        bridge = network.bridge if own else vlan_bridge(network.bridge, vlan)
        described = {"name": bridge, "kind": "bridge", "ports": [lower], **sized}
        interfaces.append({**described, **(_own(port) if own and port.addresses else {"link_local": False})})
    return interfaces


def _own(port: Port, on_link: bool = False) -> Plan:
    """Return a node's own addresses and default routes on an interface."""
    routes = [
        {"to": "default", "via": str(gateway), **({"on_link": True} if on_link and _is_far(port, gateway) else {})}
        for gateway in port.gateways
    ]
    return {"addresses": [str(address) for address in port.addresses], "routes": routes}


def _is_far(port: Port, gateway: Any) -> bool:
    return not gateway.is_link_local and not any(gateway in address.network for address in port.addresses)


def _add_nameservers(interfaces: Iterable[Plan], host: Host) -> None:
    """Give the name servers to the first interface with an address of the node."""
    first = next((each for each in interfaces if each.get("addresses")), None)
    if first is not None and host.nameservers:
        first["nameservers"] = [str(address) for address in host.nameservers]


def _isolation(interface: str) -> dict[str, str]:
    """Return sysctls by which a node without an address on an interface says and takes nothing there.

    Without arp_ignore 8 it would answer for the addresses of its other interfaces, and take packets to them.
    """
    # A PCI path has dots of its own: written with slashes, as sysctl.d(5) says.
    dot = "/" if "." in interface else "."
    return {dot.join(("net", "ipv4", "conf", interface, key)): value for key, value in ISOLATION.items()}


def _ends(host: Host, proxy_ndp: bool) -> list[Plan]:
    """Return routes by which packets to addresses of the node that no VM has end there, and do not go back.

    A single address is its VM's route alone. What is on the wire has no end: the node's own subnet, with proxy NDP all.
    """
    own = [] if host.uplink is None else [*(each.ip for each in host.uplink.addresses), *host.uplink.gateways]
    return [
        {"to": str(pool.prefix), "unreachable": True}
        for pool in host.pools
        if pool.span.size > 1 and not (proxy_ndp and pool.version == 6) and not any(each in pool.prefix for each in own)
    ]


def plan_routing(cluster: Cluster, host: Host, gateway: Plan) -> Plan:
    """Return the variables of role routing for a node. gateway: that of its VMs."""
    provider = cluster.provider
    if provider is None or host.uplink is None:
        raise AssertionError(f"{host.name}: check_nodes.py lets no routing cluster without them pass")
    sized = {"mtu": provider.mtu} if provider.mtu != DEFAULT_MTU else {}
    interfaces: list[Plan] = [
        {"name": host.uplink.nics[0], "kind": "port", **sized, **_own(host.uplink, provider.on_link)}
    ]
    interfaces[0]["routes"] += _ends(host, provider.proxy_ndp)
    _add_nameservers(interfaces, host)
    return {
        "routing_interfaces": interfaces,
        "routing_gateway": gateway,
        "routing_mtu": cluster.mtu,
        "routing_proxy_arp": provider.proxy_arp,
        "routing_proxy_ndp": host.uplink.nics[0] if provider.proxy_ndp else "",
    }
