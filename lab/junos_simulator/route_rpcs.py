# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The RPC about routes: Junos's tables from zebra's, with BGP's attributes, and rejected routes as hidden ones."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from lxml import etree

from .bgp_rpcs import FRR_FAMILY, TABLES, Answer, Ask, ask_one, is_master
from .messages import RpcRefusal, build, tell
from .translate import translate
from .tree import Node

PROTOCOLS = {"bgp": ("BGP", 170), "static": ("Static", 5), "connected": ("Direct", 0)}
KNOWN = {"destination", "table", "protocol", "exact", "best", "active-path", "detail", "extensive", "brief", "terse",
         "all", "hidden", "peer", "source-gateway", "receive-protocol-name", "instance", "logical-system"}
CHUNK = 100


async def get_routes(ask: Ask, running: Node, rpc: etree._Element) -> Answer:
    """<get-route-information> with its choices of table, destination, protocol and detail."""
    for argument in rpc:
        if argument.tag not in KNOWN:
            raise RpcRefusal(f"Junos simulator has no option {argument.tag}", str(argument.tag))
    information = etree.Element("route-information")
    for version, table in TABLES.items() if is_master(rpc) else ():
        if (rpc.findtext("table") or table).strip() != table:
            continue
        routes = await read_table(ask, running, rpc, version)
        if routes:
            information.append(write_table(table, routes))
    return [information]


async def read_table(ask: Ask, running: Node, rpc: etree._Element, version: int) -> dict[str, list[etree._Element]]:
    """The entries of each destination of a table that an RPC asks for."""
    wants_hidden = rpc.find("hidden") is not None
    peer = (rpc.findtext("source-gateway") or rpc.findtext("peer") or "").strip()
    if wants_hidden:
        return await read_hidden(ask, running, rpc, version, peer)
    family, command = FRR_FAMILY[version]
    routes = await ask_one(ask, f"show {command} route json")
    paths = (await ask_one(ask, f"show bgp {family} unicast json")).get("routes", {})
    wanted = choose_prefixes(rpc, {*routes, *paths}, version)
    detail = rpc.find("detail") is not None or rpc.find("extensive") is not None
    details = await read_details(ask, family, [prefix for prefix in wanted if prefix in paths]) if detail else {}
    found = {}
    for prefix in wanted:
        entries = [*write_bgp_entries(prefix, routes.get(prefix, []), paths.get(prefix, []), details),
                   *write_other_entries(routes.get(prefix, []))]
        found[prefix] = [entry for entry in entries if is_entry_wanted(rpc, entry, peer)]
    return {prefix: entries for prefix, entries in found.items() if entries}


def sort_prefixes(prefixes: Iterable[str]) -> list[str]:
    """Prefixes in the order of a table."""
    return sorted(prefixes, key=lambda prefix: ipaddress.ip_network(prefix))


def choose_prefixes(rpc: etree._Element, prefixes: Iterable[str], version: int) -> list[str]:
    """The destinations that an RPC asks for: all, all inside a prefix, exactly one, or the best for an address."""
    found, told = sort_prefixes(prefixes), (rpc.findtext("destination") or "").strip()
    if not told:
        return found
    asked = ipaddress.ip_network(told, strict=False)
    if asked.version != version:
        return []
    if rpc.find("exact") is not None:
        return [prefix for prefix in found if ipaddress.ip_network(prefix) == asked]
    if "/" in told:
        return [prefix for prefix in found if is_inside(prefix, str(asked))]
    covering = [prefix for prefix in found if is_inside(str(asked), prefix)]
    return covering[-1:]


def is_inside(prefix: str, other: str) -> bool:
    """Whether a prefix is part of another one of its family."""
    return ipaddress.ip_network(prefix).subnet_of(ipaddress.ip_network(other))  # type: ignore[arg-type]


def is_entry_wanted(rpc: etree._Element, entry: etree._Element, peer: str) -> bool:
    """Whether an RPC asks for an entry of a destination."""
    protocol = (rpc.findtext("protocol") or rpc.findtext("receive-protocol-name") or "").strip()
    if protocol and entry.findtext("protocol-name", "").lower() != protocol.lower():
        return False
    if peer and entry.findtext("learned-from") != peer:
        return False
    only_active = rpc.find("active-path") is not None or rpc.find("best") is not None
    return not only_active or entry.find("current-active") is not None


async def read_details(ask: Ask, family: str, prefixes: list[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """BGP's attributes of each path, by prefix and neighbour; many prefixes in one question."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for start in range(0, len(prefixes), CHUNK):
        some = prefixes[start:start + CHUNK]
        answers = await ask(*(f"show bgp {family} unicast {prefix} json" for prefix in some))
        for answer in answers:  # one that has gone meanwhile has no answer
            found[answer.get("prefix", "")] = {
                path.get("peer", {}).get("peerId", ""): path for path in answer.get("paths", [])}
    return found


def write_bgp_entries(
    prefix: str, routes: list[dict[str, Any]], paths: list[dict[str, Any]], details: dict[str, dict[str, Any]]
) -> list[etree._Element]:
    """The entries of BGP, the active one first."""
    selected = any(route["protocol"] == "bgp" and route.get("selected") for route in routes)
    entries = []
    for path in sorted(paths, key=lambda path: not path.get("bestpath")):
        if not path.get("nexthops") or path.get("peerId") == "(unspec)":
            continue  # a route of this device itself, which BGP has from zebra
        entry = start_entry("bgp", bool(path.get("bestpath")) and selected)
        tell(entry, "local-preference", path.get("locPrf", 100))
        tell(entry, "learned-from", path["peerId"])
        tell(entry, "as-path", f"{path.get('path', '')} {path.get('origin', 'IGP')[0]}".strip())
        hops = [hop for hop in path["nexthops"] if hop.get("used")] or path["nexthops"]
        for hop in hops:
            entry.append(build("nh", build("selected-next-hop"), ("to", hop["ip"])))
        add_communities(entry, details.get(prefix, {}).get(path["peerId"], {}))
        entries.append(entry)
    return entries


def add_communities(entry: etree._Element, attributes: dict[str, Any]) -> None:
    """Append the communities of a path, the large ones as Junos writes them."""
    standard = attributes.get("community", {}).get("list", [])
    large = [f"large:{member}" for member in attributes.get("largeCommunity", {}).get("list", [])]
    if standard or large:
        entry.append(build("communities", *(("community", member) for member in [*standard, *large])))


def write_other_entries(routes: list[dict[str, Any]]) -> list[etree._Element]:
    """The entries of other protocols."""
    entries = []
    for route in routes:
        if route["protocol"] == "bgp":
            continue
        entry = start_entry(route["protocol"], bool(route.get("selected")))
        if route.get("tag"):
            tell(entry, "rt-tag", route["tag"])
        for hop in route.get("nexthops", []):
            if hop.get("blackhole") or hop.get("unreachable"):
                tell(entry, "nh-type", "Reject" if hop.get("reject") else "Discard")
            else:
                nh = build("nh", build("selected-next-hop"))
                tell(nh, "to", hop.get("ip", ""))
                tell(nh, "via", hop.get("interfaceName", ""))
                entry.append(nh)
        entries.append(entry)
    return entries


def start_entry(protocol: str, is_active: bool) -> etree._Element:
    """An entry with what all have."""
    name, preference = PROTOCOLS.get(protocol, (protocol.capitalize(), 255))
    entry = etree.Element("rt-entry")
    tell(entry, "active-tag", "*" if is_active else " ")
    if is_active:
        etree.SubElement(entry, "current-active")
        etree.SubElement(entry, "last-active")
    tell(entry, "protocol-name", name)
    tell(entry, "preference", preference)
    return entry


async def read_hidden(
    ask: Ask, running: Node, rpc: etree._Element, version: int, peer: str
) -> dict[str, list[etree._Element]]:
    """Routes that neighbours announce and policies reject."""
    found: dict[str, list[etree._Element]] = {}
    for address, neighbor in translate(running).neighbors.items():
        if version not in neighbor.families or peer not in ("", address):
            continue
        told = await ask_one(ask, f"show bgp {FRR_FAMILY[version][0]} neighbors {address} filtered-routes json")
        for prefix, path in told.get("receivedRoutes", {}).items():
            entry = start_entry("bgp", False)
            tell(entry, "learned-from", address)
            tell(entry, "hidden-reason", "Rejected by import policy")
            nh = build("nh", ("to", path.get("nextHop") or path.get("nextHopGlobal", "")))
            entry.append(nh)
            found.setdefault(prefix, []).append(entry)
    return {prefix: found[prefix] for prefix in choose_prefixes(rpc, found, version)}


def write_table(name: str, routes: dict[str, list[etree._Element]]) -> etree._Element:
    """A table with its destinations."""
    entries = [entry for each in routes.values() for entry in each]
    active = sum(entry.find("current-active") is not None for entry in entries)
    hidden = sum(entry.find("hidden-reason") is not None for entry in entries)
    table = build("route-table", ("table-name", name), ("destination-count", len(routes)),
                  ("total-route-count", len(entries)), ("active-route-count", active), ("holddown-route-count", 0),
                  ("hidden-route-count", hidden))
    for prefix, found in routes.items():
        table.append(build("rt", ("rt-destination", prefix), *found))
    return table


HANDLERS = {"get-route-information": get_routes}
