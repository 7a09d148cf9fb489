# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of clusters: what an inventory says, read, with defaults filled in. docs/model.md has every key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address
from typing import Any

from .values import Address, Network

IPFABRIC, ROUTING, SWITCHING = "ipfabric", "routing", "switching"
TYPES = (IPFABRIC, ROUTING, SWITCHING)

MAIN, ADDITIONAL = "main", "additional"
NETWORKS = (MAIN, ADDITIONAL)

NODES, ROUTE_REFLECTORS, CORE_GATEWAYS = "nodes", "route_reflectors", "core_gateways"
GROUPS = (NODES, ROUTE_REFLECTORS, CORE_GATEWAYS)

FRR, JUNOS, EXTERNAL = "frr", "junos", "external"

DEFAULT_MTU = 1500


@dataclass(frozen=True)
class Range:
    """Addresses from first to last, both included, as numbers of one IP version."""

    version: int
    first: int
    last: int

    def __str__(self) -> str:
        first, last = (_address(self.version, number) for number in (self.first, self.last))
        return first if self.first == self.last else f"{first}-{last}"

    def holds(self, other: Range) -> bool:
        """Return whether all addresses of another range are in this one."""
        return self.version == other.version and self.first <= other.first and other.last <= self.last

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return self.last - self.first + 1


def span_of(value: Address | Network) -> Range:
    """Return all addresses of a prefix, or the one of an address."""
    if isinstance(value, (IPv4Network, IPv6Network)):
        return Range(value.version, int(value.network_address), int(value.broadcast_address))
    return Range(value.version, int(value), int(value))


def _address(version: int, number: int) -> str:
    # A small number is an IPv4 address to ip_address(); 16 bytes are not.
    return str(ip_address(number.to_bytes(4 if version == 4 else 16, "big")))


@dataclass(frozen=True)
class Gateway:
    """What every VM interface of a cluster has."""

    ipv4: Address | None
    ipv6: Address | None
    mac: str

    def addresses(self) -> tuple[tuple[str, Address], ...]:
        """Return (key, address) of those it has."""
        pairs = (("ipv4", self.ipv4), ("ipv6", self.ipv6))
        return tuple((key, address) for key, address in pairs if address is not None)


@dataclass(frozen=True)
class Pool:
    """Addresses that VMs may have.

    ranges: sorted, apart; exclude: sorted. shortest_prefix: prefixes of VMs inside the pool are at least so long.
    node: the only one whose VMs may have them (routing); network: that which they are of (switching); else empty.
    key: its place in the inventory, below the node or else the cluster.
    """

    name: str
    prefix: Network
    ranges: tuple[Range, ...]
    exclude: tuple[Range, ...]
    shortest_prefix: int
    index: int = 0
    node: str = ""
    network: str = ""
    key: str = ""

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.prefix.version

    @cached_property
    def span(self) -> Range:
        """All addresses of its prefix."""
        return span_of(self.prefix)


@dataclass(frozen=True)
class SwitchedNetwork:
    """A network of a switching cluster: on each node a bridge, through which VMs are on the wire.

    isolated: nodes have no address on it. vlan: the VLAN of the port that it travels in, 0 for none; vlans: those that
    single VMs may be in.
    """

    name: str
    bridge: str
    isolated: bool
    vlan: int = 0
    vlans: tuple[int, ...] = ()
    bond_mode: str = "802.3ad"


@dataclass(frozen=True)
class Provider:
    """What a provider's network asks of a rented node.

    on_link: the gateway is outside the node's subnet. proxy_arp, proxy_ndp: it looks for VMs' addresses on the wire.
    """

    on_link: bool = True
    mtu: int = DEFAULT_MTU
    proxy_arp: bool = False
    proxy_ndp: bool = False


@dataclass(frozen=True)
class Port:
    """How a node is on a wire: NICs by name, MAC address or PCI path (several are a bond), its addresses, gateways.

    complete: whether all its addresses could be read.
    """

    nics: tuple[str, ...]
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    gateways: tuple[Address, ...] = ()
    complete: bool = True


@dataclass(frozen=True)
class Bfd:
    """Intervals in milliseconds."""

    interval: int = 250
    multiplier: int = 3


@dataclass(frozen=True)
class Bgp:
    """Settings of all BGP sessions of a cluster; keepalive and hold in seconds."""

    password: str | None = None
    keepalive: int = 3
    hold: int = 9
    bfd: Bfd | None = Bfd()
    ttl_security: bool = True
    graceful_restart: bool = True
    max_prefixes: int = 10000
    listen: bool = False
    listen_ranges: tuple[Network, ...] = ()
    listen_limit: int = 200
    evpn: bool = False

    def __repr__(self) -> str:
        return "Bgp(...)"


@dataclass(frozen=True)
class Register:
    """Where leases are kept."""

    host: str
    path: str


@dataclass(frozen=True)
class Console:
    """Where VMs' consoles are served: by which host, under which name, and for how many seconds a link is good."""

    host: str
    name: str
    port: int = 443
    lifetime: int = 600


@dataclass(frozen=True)
class Vm:
    """One NIC of a VM; where and key: its place in the inventory, or in the list that a playbook was given.

    driver: what runs the VM; guest: what it is to have of that, told with its first NIC. vnc_port: TCP port of the VNC
    display of a VM that others run, 0 for none.
    """

    cluster: str
    name: str
    nic: int
    node: str
    pools: tuple[str, ...]
    addresses: tuple[Address, ...]
    prefixes: tuple[Network, ...]
    mac: str
    kind: str
    owner: str
    announcement: str
    where: str = ""
    key: str = ""
    network: str = ""
    vlan: int = 0
    driver: str = EXTERNAL
    guest: dict[str, Any] | None = None
    vnc_port: int = 0


@dataclass(frozen=True)
class Cluster:
    """One cluster. asn is 0 and name is empty where the inventory had a mistake there.

    where: how messages call it; pools_complete: whether all its pools could be read. networks: of a switching cluster;
    provider: of a routing one. These two have neither asn nor communities, reflectors or core gateways.
    """

    name: str
    where: str
    type: str
    asn: int
    communities: tuple[str, ...]
    gateway: Gateway
    pools: tuple[Pool, ...]
    mtu: int
    bgp: Bgp
    register: Register | None
    nodes: tuple[str, ...]
    route_reflectors: tuple[str, ...]
    core_gateways: tuple[str, ...]
    aggregates: bool
    pools_complete: bool = True
    vms: tuple[Vm, ...] = ()
    networks: tuple[SwitchedNetwork, ...] = ()
    provider: Provider | None = None
    vm_driver: str = EXTERNAL
    console: Console | None = None

    def network(self, name: str) -> SwitchedNetwork | None:
        """Return one of its networks."""
        return next((network for network in self.networks if network.name == name), None)

    def pools_for(self, node: str, network: str) -> tuple[Pool, ...]:
        """Return the pools that a VM on this node, in this network, may have addresses of."""
        return tuple(pool for pool in self.pools if pool.node in ("", node) and pool.network == network)

    @property
    def versions(self) -> tuple[int, ...]:
        """IP versions that its pools use, of 4 and 6."""
        return tuple(sorted({pool.version for pool in self.pools}))

    def find_pool(self, address: Address | Network) -> Pool | None:
        """Return the pool whose prefix holds an address, or the whole of a prefix."""
        wanted = span_of(address)
        return next((pool for pool in self.pools if pool.span.holds(wanted)), None)


@dataclass(frozen=True)
class JunosGroup:
    """Names on a Junos gateway: of a family's BGP group and of its policies."""

    name: str
    import_policy: str
    export_policy: str


@dataclass(frozen=True)
class Junos:
    """How a Junos gateway is reached and changed. timeout and wait in seconds, confirm in minutes.

    Text that is empty was not given. match: `host`, or `orlonger`: which routes inside the pools are taken.
    """

    host: str
    port: int = 830
    user: str = ""
    password: str = ""
    private_key_file: str = ""
    ssh_config: str = ""
    host_key_checking: bool = True
    timeout: int = 30
    confirm: int = 5
    wait: int = 30
    established: str = "all"
    match: str = "host"
    logical_system: str = ""
    routing_instance: str = ""
    ipv4: JunosGroup = JunosGroup("VMC-RR-V4", "VMC-RR-V4-IN", "VMC-RR-V4-OUT")
    ipv6: JunosGroup = JunosGroup("VMC-RR-V6", "VMC-RR-V6-IN", "VMC-RR-V6-OUT")

    def __repr__(self) -> str:
        return "Junos(...)"


@dataclass(frozen=True)
class Host:
    """A host of one of the three groups. mistaken: variables that it has, but with a mistake.

    uplink, additional, management_port, nameservers: a switching or routing node's own network; pools: addresses that
    belong to a routing node. vnc_address: where a node's VMs have their VNC displays.
    """

    name: str
    group: str
    ipv4: Address | None
    ipv6: Address | None
    router_id: str
    interface: str
    mtu: int
    platform: str
    junos: Junos | None = None
    uplink: Port | None = None
    additional: Port | None = None
    management_port: str = ""
    nameservers: tuple[Address, ...] = ()
    pools: tuple[Pool, ...] = ()
    pools_complete: bool = True
    vnc_address: Address | None = None
    mistaken: frozenset[str] = frozenset()

    @property
    def external(self) -> bool:
        """Whether others configure it."""
        return self.platform == EXTERNAL

    def address(self, version: int) -> Address | None:
        """Return its underlay address of an IP version."""
        return self.ipv4 if version == 4 else self.ipv6

    def lacks(self, version: int) -> bool:
        """Return whether nothing is said of its underlay address of an IP version."""
        return self.address(version) is None and f"underlay_ipv{version}" not in self.mistaken


@dataclass(frozen=True)
class Model:
    """All clusters by name, all hosts by name, and the VMs that a playbook was asked to attach."""

    clusters: dict[str, Cluster]
    hosts: dict[str, Host]
    vms: tuple[Vm, ...] = ()
