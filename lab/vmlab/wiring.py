# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The wires between hosts: switches in a namespace of the lab's own, and a cable from each of their ports to a host.

A cable is a veth pair that is made when a host is switched on and deleted when it goes off, so that a host always
starts with clean interfaces, whatever became of the former ones. Its MAC address stays the same.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json

from .commands import run_command, run_ip_batch
from .netns import make_netns, named_netns, remove_netns
from .state import LabState
from .topology import Host, Interface, Network, Topology


def list_ports(topology: Topology) -> list[tuple[str, Interface]]:
    """Every port of every host in the order in which they are numbered."""
    return [(host.name, port) for host in topology.hosts.values() for port in host.interfaces]


def port_name(topology: Topology, host: str, interface: str) -> str:
    """What the switch's end of a cable is called."""
    number = next(i for i, (name, port) in enumerate(list_ports(topology)) if (name, port.name) == (host, interface))
    return f"port{number}"


def bridge_name(topology: Topology, network: str) -> str:
    """What a network's switch is called."""
    return f"switch{list(topology.networks).index(network)}"


def interface_mac(host: str, interface: str) -> str:
    """A MAC address that is the same in every lab and after every reboot."""
    digest = hashlib.sha256(f"{host} {interface}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def make_switches(state: LabState, topology: Topology) -> None:
    """Make the namespace of the switches, and in it one switch per network."""
    make_netns(state.wires_netns)
    # An address of the lab's own is on one network, and answers on no other.
    seat = ["nsenter", f"--net={named_netns(state.wires_netns)}"]
    run_command([*seat, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"])
    # A wire's switch hands link-local frames (LLDP) on; 802.1D reserves the three that can't be.
    run_ip_batch(
        (
            line
            for network in topology.networks.values()
            for name in [bridge_name(topology, network.name)]
            for line in (
                f"link add {name} mtu {network.mtu} type bridge mcast_snooping 0 forward_delay 0"
                + (" group_fwd_mask 0xfff8" if network.kind == "wire" else ""),
                f"link set {name} alias {network.name} up",
                *(address_line(address, name) for address in network.lab_addresses),
            )
        ),
        namespace=state.wires_netns,
    )


def address_line(address: str, interface: str) -> str:
    """The `ip` line that adds an address which may be used at once."""
    return f"addr add {address} dev {interface}" + (" nodad" if ":" in address else "")


def connect_host(state: LabState, topology: Topology, host: Host) -> None:
    """Give the host a fresh network namespace, a cable for each of its ports, and its addresses and routes.

    A host with a network configuration of its own gets the cables alone.
    """
    disconnect_host(state, topology, host)
    netns = state.host_netns(host.name)
    make_netns(netns)
    outside: list[str] = []
    inside: list[str] = [address_line(address, "lo") for address in host.loopback]
    for port in host.interfaces:
        network = topology.networks[port.network]
        name = port_name(topology, host.name, port.name)
        cable = f"type veth peer name {port.name} netns {netns} mtu {network.mtu}"
        is_up = "" if network.kind == "wire" else " up"
        outside += [
            f"link add {name} mtu {network.mtu} {cable} address {interface_mac(host.name, port.name)}",
            f"link set {name} master {bridge_name(topology, port.network)} alias {host.name}.{port.name}{is_up}",
        ]
        inside += [address_line(address, port.name) for address in port.addresses]
    run_ip_batch(outside, namespace=state.wires_netns)
    if host.own_network:
        set_wires(state, topology, host)
        return
    # Link-local addresses are to be usable at once as well.
    for port in host.interfaces:
        run_command(
            ["nsenter", f"--net={named_netns(netns)}", "sysctl", "-qw", f"net.ipv6.conf.{port.name}.accept_dad=0"]
        )
    inside += [f"link set {port.name} up" for port in host.interfaces]
    run_ip_batch(inside, namespace=netns)
    set_wires(state, topology, host)
    for route in host.routes:
        family = "-6" if ipaddress.ip_address(route.via).version == 6 else "-4"
        run_command(["ip", family, "-n", netns, "route", "add", route.to, "via", route.via])


def disconnect_host(state: LabState, topology: Topology, host: Host) -> None:
    """Pull the host's cables and drop its network namespace; nothing happens where there are none."""
    unplug_host(state, topology, host)
    remove_netns(state.host_netns(host.name))


def unplug_host(state: LabState, topology: Topology, host: Host) -> None:
    """Pull the host's cables, where they are plugged in."""
    if named_netns(state.wires_netns).exists():
        names = [port_name(topology, host.name, port.name) for port in host.interfaces]
        run_ip_batch([f"link del {name}" for name in names], namespace=state.wires_netns, force=True)
        set_wires(state, topology, host)


def set_wires(state: LabState, topology: Topology, host: Host) -> None:
    """Carry the link state through the host's wires: an end is up when both ends are plugged in."""
    wires = [network for network in topology.networks.values() if network.kind == "wire"]
    touched = [wire for wire in wires if any(port.network == wire.name for port in host.interfaces)]
    if not touched:
        return
    there = {link["ifname"] for link in json.loads(run_command(["ip", "-j", "-n", state.wires_netns, "link"]).stdout)}
    lines = []
    for wire in touched:
        plugged = [name for name in wire_ends(topology, wire) if name in there]
        lines += [f"link set {name} {'up' if len(plugged) == 2 else 'down'}" for name in plugged]
    # By force: the host at the other end may go off in the same moment.
    run_ip_batch(lines, namespace=state.wires_netns, force=True)


def wire_ends(topology: Topology, wire: Network) -> list[str]:
    """What a wire's two switch ports are called."""
    return [port_name(topology, name, port.name) for name, port in list_ports(topology) if port.network == wire.name]
