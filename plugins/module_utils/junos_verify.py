# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a gateway does what was asked: sessions, expected routes, and no others. Pure judgement, and the reading."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils import junos_state
from ansible_collections.vmcluster.network.plugins.module_utils.junos_wanted import Place, prefixes_of

SHOWN = 20  # of each kind of complaint


def read_evidence(session: Any, options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the sessions of the instance, and by group the routes that were accepted from its neighbours."""
    place = Place(options["logical_system"], options["routing_instance"])
    return {
        "sessions": read_sessions(session, place),
        "routes": {group["name"]: read_routes(
            session, place, 6 if group["family"] == "ipv6" else 4, [peer["address"] for peer in group["neighbors"]])
            for group in options["groups"]},
    }


def read_sessions(session: Any, place: Place) -> List[Dict[str, Any]]:
    """Return the BGP sessions of an instance. Not told which, Junos tells those of all; the main one's name is
    master."""
    found = junos_state.read_sessions(session.rpc(
        "get_bgp_neighbor_information", exact_instance=place.routing_instance, logical_system=place.logical_system))
    return [each for each in found if place.routing_instance or each["instance"] == "master"]


def read_groups(session: Any, place: Place, names: Sequence[str]) -> List[Dict[str, Any]]:
    """Return what `show bgp group NAME detail` tells of groups."""
    found = []
    for name in names:
        answer = session.rpc("get_bgp_group_information", group_name=name, detail=True,
                             exact_instance=place.routing_instance, logical_system=place.logical_system)
        found += [group for group in junos_state.read_groups(answer) if group["name"] == name]
    return found


def read_routes(session: Any, place: Place, version: int, neighbors: Sequence[str]) -> List[Dict[str, Any]]:
    """Return the routes that were accepted from neighbours. Asked for by neighbour: a core gateway may have a
    million."""
    found = []
    for address in neighbors:
        found += junos_state.read_routes(session.rpc(
            "get_route_information", table=place.table(version), source_gateway=address, detail=True,
            logical_system=place.logical_system))
    return found


def judge(evidence: Mapping[str, Any], options: Mapping[str, Any]) -> List[str]:
    """Return everything that is missing or too much; empty when the gateway does what was asked."""
    expect = options["expect"]
    sessions = {session["address"]: session for session in evidence["sessions"]}
    complaints: List[str] = []
    for group in options["groups"]:
        complaints += _judge_sessions(group, sessions, expect["established"])
        complaints += _judge_surplus(group, evidence["routes"][group["name"]], options["match"])
    active = {route["prefix"] for routes in evidence["routes"].values() for route in routes if route["active"]}
    missing = [prefix for prefix in expect["prefixes"] if prefix not in active]
    return complaints + _some([f"{prefix} is expected, and there is no active BGP route to it" for prefix in missing])


def _judge_sessions(group: Mapping[str, Any], sessions: Mapping[str, Mapping[str, Any]], established: str) -> List[str]:
    down = []
    for peer in group["neighbors"]:
        session = sessions.get(peer["address"], {"state": "unknown to BGP", "last_reset": ""})
        if session["state"] != "Established":
            reason = f" ({session['last_reset']})" if session["last_reset"] not in ("", "None") else ""
            down.append(f"the session to {peer['address']} of group {group['name']} is {session['state']}{reason}")
    enough = established == "none" or (established == "any" and len(down) < len(group["neighbors"]))
    return [] if enough else _some(down)


def _judge_surplus(group: Mapping[str, Any], routes: Iterable[Mapping[str, Any]], match: str) -> List[str]:
    is_host = match == "host"
    surplus = [(route["prefix"], route["next_hop"]) for route in routes if not _is_allowed(route, group, is_host)]
    return _some([
        f"{prefix} by {next_hop} was accepted by group {group['name']}, and no cluster may announce it"
        for prefix, next_hop in dict.fromkeys(surplus)])


def _is_allowed(route: Mapping[str, Any], group: Mapping[str, Any], host: bool) -> bool:
    network = ipaddress.ip_network(route["prefix"])
    carried = {*route["communities"], *route["large_communities"]}
    for entry in group["accept"]:
        if host and not carried.issuperset(entry["communities"]):
            continue
        for item in prefixes_of(entry, group["family"]):
            pool = ipaddress.ip_network(item["prefix"])
            shortest = pool.prefixlen if not host else item["length"] or pool.max_prefixlen
            if network.version == pool.version and network.prefixlen >= shortest and _is_within(network, pool):
                return True
    return False


def _is_within(network: Any, pool: Any) -> bool:
    return bool(network.subnet_of(pool))


def _some(complaints: List[str]) -> List[str]:
    more = len(complaints) - SHOWN
    return complaints[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
