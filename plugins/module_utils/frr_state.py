# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What FRR says of its sessions and routes: parse its JSON (8.4 and 10), in our own words and units."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

# FRR's key -> the words of the configuration.
FAMILY_KEYS = {
    "ipv4Unicast": "ipv4 unicast", "ipv6Unicast": "ipv6 unicast", "l2VpnEvpn": "l2vpn evpn",
    "ipv4Multicast": "ipv4 multicast", "ipv6Multicast": "ipv6 multicast",
    "ipv4LabeledUnicast": "ipv4 labeled-unicast", "ipv6LabeledUnicast": "ipv6 labeled-unicast",
    "ipv4Vpn": "ipv4 vpn", "ipv6Vpn": "ipv6 vpn"}
ESTABLISHED = "Established"


def in_vrf(vrf: Optional[str]) -> str:
    """Return the words that put a `show bgp` command into a VRF."""
    return f" vrf {vrf}" if vrf else ""


def read_sessions(said: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Return the sessions of `show bgp [vrf X] neighbors json`, sorted by address; see frr_neighbor_info for the
    keys."""
    sessions = [
        _session(address, peer) for address, peer in said.items() if isinstance(peer, dict) and "bgpState" in peer
    ]
    return sorted(sessions, key=lambda session: _address_order(session["address"]))


def _session(address: str, peer: Mapping[str, Any]) -> Dict[str, Any]:
    families = {}
    for key, family in (peer.get("addressFamilyInfo") or {}).items():
        families[FAMILY_KEYS.get(key, key)] = {
            "accepted": family.get("acceptedPrefixCounter", 0), "sent": family.get("sentPrefixCounter", 0),
            "maximum": family.get("prefixAllowedMax")}
    established = peer["bgpState"] == ESTABLISHED
    return {
        "address": address,
        "peer_group": peer.get("peerGroup"),
        "description": peer.get("nbrDesc"),
        "remote_as": peer.get("remoteAs"),
        "router_id": peer.get("remoteRouterId"),
        "state": "Shutdown" if peer.get("adminShutDown") else peer["bgpState"],
        "uptime": peer.get("bgpTimerUpMsec", 0) // 1000 if established else 0,
        "families": families,
        "connections_established": peer.get("connectionsEstablished", 0),
        "connections_dropped": peer.get("connectionsDropped", 0),
        "last_reset": peer.get("lastResetDueTo"),
        "last_notification": peer.get("lastNotificationReason"),
        "bfd": (peer.get("peerBfdInfo") or {}).get("status"),
        "dynamic": bool(peer.get("dynamicPeer")),
    }


def _address_order(address: str) -> "tuple[int, int, str]":
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return (0, 0, address)
    return (parsed.version, int(parsed), "")


def not_established(sessions: Iterable[Mapping[str, Any]], addresses: Iterable[str]) -> List[str]:
    """Return those of the addresses whose session is not Established."""
    up = {str(session["address"]) for session in sessions if session["state"] == ESTABLISHED}
    return [address for address in addresses if address not in up]


def waited_for(options: Mapping[str, Any]) -> List[List[str]]:
    """Return the addresses of frr_neighbor's options whose sessions can come up, by peer-group; those without one
    alone."""
    shut = {group["name"] for group in options["peer_groups"] if group["shutdown"]}
    groups: Dict[str, List[str]] = {}
    for peer in options["neighbors"]:
        if peer["state"] == "present" and not peer["shutdown"] and peer["peer_group"] not in shut:
            address = str(ipaddress.ip_address(peer["address"]))
            groups.setdefault(peer["peer_group"] or address, []).append(address)
    return list(groups.values())


def has_own_route(said: Mapping[str, Any]) -> bool:
    """Tell from `show ip route A json` whether a route leads to A that is no default route."""
    return any(not prefix.endswith("/0") for prefix, routes in said.items() if isinstance(routes, list))


def describe_session(address: str, session: Optional[Mapping[str, Any]], has_route: bool) -> str:
    """Say in a sentence why a session is not Established, as far as FRR knows."""
    if session is None:
        return f"{address}: FRR does not know this neighbour"
    called = session["description"] or session["peer_group"] or f"AS {session['remote_as']}"
    facts = [f"{address} ({called}) is {session['state']}"]
    if session["state"] == "Shutdown":
        facts.append("it is shut down by configuration")
    elif not has_route:
        facts.append("there is no route to it, other than a default route that BGP may not be allowed to use "
                     "(ip nht resolve-via-default)")
    if session["last_notification"]:
        facts.append(f"last notification: {session['last_notification']}")
    if session["last_reset"]:
        facts.append(f"last reset: {session['last_reset']}")
    if session["bfd"] in ("Down", "Shutdown"):
        facts.append(f"BFD is {session['bfd'].lower()}")
        if session["state"] == "Idle":
            facts.append(
                "FRR 10.2 and 10.3.0 open no session while BFD is down (mended by FRR's pull request 18562); leave "
                "update_source out, with which they start BFD as multihop, or see to BFD on the other side"
            )
    if session["connections_established"] == 0:
        facts.append("it was never established")
    return ", ".join(facts)


# --- kernel's view of TCP MD5 -----------------------------------------------------------------------------------------

MD5_COUNTERS = {
    "TCPMD5NotFound": "came without the password that is set here",
    "TCPMD5Unexpected": "came with a password, and none is set here",
    "TCPMD5Failure": "came with another password than the one set here"}


def read_md5_failures(netstat: str) -> Dict[str, int]:
    """Return the kernel's counters of segments dropped for TCP MD5 (RFC 2385), from the text of /proc/net/netstat.
    FRR cannot see a wrong password: the kernel drops what it does not sign."""
    lines = [line.split() for line in netstat.splitlines() if line.startswith("TcpExt:")]
    if len(lines) < 2:
        return {}
    counters = dict(zip(lines[0][1:], lines[1][1:]))
    return {name: int(counters[name]) for name in MD5_COUNTERS if name in counters}


def describe_md5(before: Mapping[str, int], after: Mapping[str, int]) -> List[str]:
    """Say which kind of password failure happened between two readings."""
    return [f"{after[name] - before.get(name, 0)} TCP segments {meaning}" for name, meaning in MD5_COUNTERS.items()
            if after.get(name, 0) > before.get(name, 0)]


# --- routes -----------------------------------------------------------------------------------------------------------

def read_bgp_routes(said: Mapping[str, Any], wanted: "Wanted") -> List[Dict[str, Any]]:
    """Return the routes of `show bgp … json detail`, or of one prefix, sorted; see frr_route_info for the keys."""
    routes = said.get("routes", {said["prefix"]: said} if "prefix" in said else {})
    result = []
    for prefix, entry in routes.items():
        # FRR 10 has the paths below "paths"; FRR 8 a list of them with the prefix's own facts as its first element.
        paths = entry.get("paths", []) if isinstance(entry, dict) else entry
        if wanted.has(prefix):
            result.append(_route(prefix, [path for path in paths if "nexthops" in path or "origin" in path]))
    return sorted(result, key=lambda route: _prefix_order(route["prefix"]))


def _route(prefix: str, paths: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    told = [_path(path) for path in paths]
    best = next((path for path in told if path["best"]), None)
    return {"prefix": prefix, "next_hop": best["next_hop"] if best else None, "paths": told}


def _path(path: Mapping[str, Any]) -> Dict[str, Any]:
    best = path.get("bestpath")
    peer = path.get("peer") or {}
    hops = [hop for hop in path.get("nexthops") or [] if hop.get("ip")]
    used = [hop for hop in hops if hop.get("used")] or hops
    return {
        "best": bool(best.get("overall", best) if isinstance(best, dict) else best),
        "valid": bool(path.get("valid")),
        "next_hop": str(used[0]["ip"]) if used else None,
        "next_hops": [str(hop["ip"]) for hop in hops],
        "communities": _words(path.get("community")),
        "large_communities": _words(path.get("largeCommunity")),
        "local_preference": path.get("locPrf", path.get("localPref")),
        "metric": path.get("metric", path.get("med")),
        "weight": path.get("weight"),
        "as_path": _as_path(path.get("aspath")),
        "origin": path.get("origin"),
        "from": peer.get("peerId") or path.get("peerId"),
        "originator": path.get("originatorId"),
        "cluster_list": list((path.get("clusterList") or {}).get("list") or []),
        "tag": path.get("tag"),
    }


def _words(value: Any) -> List[str]:
    if isinstance(value, dict):
        listed = value.get("list")
        return [str(word) for word in listed] if listed else str(value.get("string") or "").split()
    return str(value or "").split()


def _as_path(value: Any) -> str:
    text = str(value.get("string") or "") if isinstance(value, dict) else str(value or "")
    return "" if text == "Local" else text


def read_kernel_routes(said: Mapping[str, Any], wanted: "Wanted") -> Dict[str, List[Dict[str, Any]]]:
    """Return prefix -> zebra's routes, of `show ip|ipv6 route json`: what of BGP's choice is in the kernel."""
    return {prefix: [_kernel_route(route) for route in routes] for prefix, routes in said.items()
            if isinstance(routes, list) and wanted.has(prefix)}


def _kernel_route(route: Mapping[str, Any]) -> Dict[str, Any]:
    hops = [{"address": hop.get("ip"), "interface": hop.get("interfaceName"), "active": bool(hop.get("active")),
             "discard": bool(hop.get("blackhole") or hop.get("reject") or hop.get("unreachable"))}
            for hop in route.get("nexthops") or []]
    return {"protocol": route.get("protocol"), "selected": bool(route.get("selected")),
            "installed": bool(route.get("installed")), "distance": route.get("distance"), "metric": route.get("metric"),
            "tag": route.get("tag"), "next_hops": hops}


def _prefix_order(prefix: str) -> "tuple[int, int, int]":
    address, _slash, length = prefix.partition("/")
    parsed = ipaddress.ip_address(address)
    return (parsed.version, int(parsed), int(length or 0))


class Wanted:
    """Which prefixes to tell of: those listed exactly, and those within networks. Neither given: all."""

    def __init__(self, prefixes: Optional[Iterable[str]], within: Optional[Iterable[str]]) -> None:
        """prefixes, within: None where not asked for. Raises ValueError for what is no prefix."""
        self.all = prefixes is None and within is None
        self.prefixes = {str(ipaddress.ip_network(prefix)) for prefix in prefixes or ()}
        self.within: List[Network] = [ipaddress.ip_network(network) for network in within or ()]

    def has(self, prefix: str) -> bool:
        """Tell whether a prefix, in canonical spelling, is asked for."""
        if self.all or prefix in self.prefixes:
            return True
        if not self.within:
            return False
        address, _slash, length = prefix.partition("/")
        parsed = ipaddress.ip_address(address)
        return any(parsed in network and int(length) >= network.prefixlen
                   for network in self.within if network.version == parsed.version)

    def families(self) -> "set[int]":
        """Return the IP versions that can match."""
        if self.all:
            return {4, 6}
        return {6 if ":" in prefix else 4 for prefix in self.prefixes} | {network.version for network in self.within}


# Each question costs a start of vtysh; above so many prefixes one question for the whole table is cheaper.
FEW = 8


def bgp_commands(wanted: Wanted, vrf: str) -> List[str]:
    """Return the `show bgp` commands whose answers hold all that is wanted."""
    if wanted.all or len(wanted.prefixes) + len(wanted.within) > FEW:
        return [f"show bgp{vrf} ipv{version} unicast json detail" for version in sorted(wanted.families())]
    exact = [
        f"show bgp{vrf} ipv{6 if ':' in prefix else 4} unicast {prefix} json" for prefix in sorted(wanted.prefixes)
    ]
    return exact + [f"show bgp{vrf} ipv{network.version} unicast {network} longer-prefixes json detail"
                    for network in wanted.within]


def kernel_commands(wanted: Wanted, vrf: str) -> List[str]:
    """Return the `show ip route` commands whose answers hold all that is wanted."""
    words = {4: "ip", 6: "ipv6"}
    if wanted.all or len(wanted.prefixes) + len(wanted.within) > FEW:
        return [f"show {words[version]} route{vrf} json" for version in sorted(wanted.families())]
    exact = [f"show {words[6 if ':' in prefix else 4]} route{vrf} {prefix} json" for prefix in sorted(wanted.prefixes)]
    return exact + [
        f"show {words[network.version]} route{vrf} {network} longer-prefixes json" for network in wanted.within
    ]


def without_doubles(routes: Sequence[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return routes told by several commands once, sorted by prefix."""
    once = {route["prefix"]: route for route in routes}
    return sorted(once.values(), key=lambda route: _prefix_order(route["prefix"]))


def unexpected_prefixes(
        prefixes: Iterable[str], routes: Iterable[Mapping[str, Any]], kernel: Optional[Mapping[str, Any]],
        present: bool,
) -> List[str]:
    """Return those prefixes that have no usable BGP route though they are to have one, or the other way round.

    kernel: zebra's routes by prefix; with them, a route counts when the kernel has it too.
    """
    usable = usable_prefixes(routes, kernel)
    return [prefix for prefix in prefixes if (str(ipaddress.ip_network(prefix)) in usable) != present]


def usable_prefixes(routes: Iterable[Mapping[str, Any]], kernel: Optional[Mapping[str, Any]]) -> "set[str]":
    """Return the prefixes that have a usable BGP route; kernel as for unexpected_prefixes."""
    usable = {route["prefix"] for route in routes if route["next_hop"]}
    if kernel is not None:
        usable &= {prefix for prefix, found in kernel.items() if any(is_in_kernel(route) for route in found)}
    return usable


def is_in_kernel(route: Mapping[str, Any]) -> bool:
    """Tell whether one of zebra's routes is BGP's, chosen, and in the kernel."""
    return route["protocol"] == "bgp" and bool(route["selected"]) and bool(route["installed"])
