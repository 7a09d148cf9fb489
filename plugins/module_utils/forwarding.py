# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what a node needs of its kernel to route its VMs, without locking itself out."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step

SYSCTL_FILE = "/etc/sysctl.d/90-vmcluster-forwarding.conf"
FORMER_FILE = "/etc/sysctl.d/90-vmcluster-ipfabric.conf"
"""What SYSCTL_FILE was called before it was of routing nodes too. It would be read after that at boot."""
# Thousands of VMs need as many entries in the neighbour tables (the kernel's defaults: 128, 512, 1024).
NEIGHBOUR_LIMITS = {"gc_thresh1": 4096, "gc_thresh2": 16384, "gc_thresh3": 32768}
PROXIES = {"proxy_arp": "ipv4", "proxy_ndp": "ipv6"}
"""Sysctls of an uplink that answers for VMs, by family."""
ALL_RP_FILTER = "net/ipv4/conf/all/rp_filter"
# Ports of a bridge that are a VM's or a container's end; one with the node's own interfaces alone is no hindrance.
VM_PORTS = ("tun", "veth", "macvtap")
HEADER = """\
# Made by vmcluster.network (module fabric_forwarding)
# A node routes. With forwarding on, only accept_ra = 2 keeps an interface listening to router advertisements, so it
# comes first.
# rp_filter 2: packets may come in by the uplink from a source that another interface leads to. The greater of all's and
# an interface's counts: with 2 for all, as Ubuntu has it, VMs could send from any address.
"""


class Link(NamedTuple):
    """An interface: its kind (tun, veth, …; empty: a network card), and the bridge that it is a port of, if any."""

    name: str
    mtu: int
    kind: str = ""
    bridge: str = ""


def read_links(dump: Sequence[Mapping[str, Any]]) -> Dict[str, Link]:
    """Return the interfaces in a dump of `ip -d -j link show`."""
    return {entry["ifname"]: _read_link(entry) for entry in dump if entry.get("ifname")}


def _read_link(entry: Mapping[str, Any]) -> Link:
    info = entry.get("linkinfo", {})
    bridge = entry.get("master", "") if info.get("info_slave_kind") == "bridge" else ""
    return Link(entry["ifname"], entry.get("mtu", 0), info.get("info_kind", ""), bridge)


def read_routers_heard(dump: Sequence[Mapping[str, Any]]) -> Tuple[str, ...]:
    """Return the interfaces of default routes in a dump of `ip -6 -j route show table all proto ra`."""
    routes = [route for route in dump if route.get("dst") == "default"]
    ways = [way for route in routes for way in (route, *route.get("nexthops", ()))]
    return tuple(dict.fromkeys(way["dev"] for way in ways if way.get("dev")))


def sysctl_paths(uplink: str, routers_heard: Sequence[str], proxies: Sequence[str] = ()) -> Tuple[str, ...]:
    """Return the sysctls that matter, in the order in which they are set. proxies: those of PROXIES that are wanted."""
    listening = dict.fromkeys((uplink, *routers_heard))
    return (
        *(f"net/ipv6/conf/{interface}/accept_ra" for interface in listening),
        "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", f"net/ipv4/conf/{uplink}/rp_filter", ALL_RP_FILTER,
        *(f"net/{PROXIES[name]}/conf/{uplink}/{name}" for name in proxies),
        *(f"net/{family}/neigh/default/{limit}" for family in ("ipv4", "ipv6") for limit in NEIGHBOUR_LIMITS))


def check_host(links: Mapping[str, Link], uplink: str, mtu: int) -> List[str]:
    """Return why a host cannot be a node that routes its VMs; empty when it can."""
    mistakes = [
        f"bridge {link.bridge} has the VM port {link.name}. An IP fabric has no bridges: move or detach that VM, or "
        "leave this host out of the cluster" for link in links.values() if link.bridge and link.kind in VM_PORTS]
    if uplink not in links:
        mistakes.append(f"there is no interface {uplink}: name the one that leads to the reflectors as `uplink` "
                        "(underlay_interface in the inventory)")
    elif links[uplink].mtu < mtu:
        mistakes.append(f"the MTU of uplink {uplink} is {links[uplink].mtu}, that of VM interfaces {mtu}: raise the "
                        "first or lower the second")
    return mistakes


def plan_forwarding(found: Mapping[str, str], saved: Optional[str], former: Optional[str] = None) -> Tuple[Step, ...]:
    """Compare what the kernel does, and will do after a boot, with what a node needs; pure.

    found: values of the sysctl_paths that this kernel has, in their order. saved, former: the texts of SYSCTL_FILE and
    FORMER_FILE; None when there is none.
    """
    wanted = {path: _wanted_value(path, value) for path, value in found.items()}
    steps = []
    text = HEADER + "".join(f"{_key(path)} = {value}\n" for path, value in wanted.items())
    if saved != text:
        why = "is missing" if saved is None else "differs"
        steps.append(Step(why, SYSCTL_FILE, tuple((saved or "").splitlines()), tuple(text.splitlines()), (text,)))
    if former is not None:
        steps.append(Step(f"is called {SYSCTL_FILE} now", FORMER_FILE, tuple(former.splitlines()), (), ("",)))
    differing = [path for path, value in wanted.items() if found[path] != value]
    if differing:
        steps.append(Step("does not route as a node does", "kernel",
                          tuple(f"{_key(path)} = {found[path]}" for path in differing),
                          tuple(f"{_key(path)} = {wanted[path]}" for path in differing),
                          tuple(f"{path} {value}" for path, value in wanted.items())))
    return tuple(steps)


def _wanted_value(path: str, found: str) -> str:
    name = path.rpartition("/")[2]
    if name == "accept_ra":
        # 1 means "unless forwarding". With 0 nobody listens, or a program that minds no forwarding (networkd,
        # NetworkManager): left alone.
        return "2" if int(found) > 0 else "0"
    if path == ALL_RP_FILTER:
        return "0" if found == "2" else found
    if name in NEIGHBOUR_LIMITS:
        return str(max(int(found), NEIGHBOUR_LIMITS[name]))
    return "2" if name == "rp_filter" else "1"


def _key(path: str) -> str:
    """Return a path as sysctl.d(5) spells it: dots between its parts, so a dot in an interface's name is a slash."""
    return path.translate(str.maketrans("/.", "./"))
