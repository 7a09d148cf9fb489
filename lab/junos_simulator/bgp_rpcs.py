# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The RPCs about BGP and BFD: Junos's elements with FRR's figures."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from .messages import build, tell
from .translate import FAMILIES, Levels, Neighbor, translate
from .tree import Node

Answer = list[etree._Element]
Ask = Callable[..., Awaitable[list[Any]]]
Handler = Callable[[Ask, Node, etree._Element], Awaitable[Answer]]
TABLES = {4: "inet.0", 6: "inet6.0"}
FRR_FAMILY = {4: ("ipv4", "ip"), 6: ("ipv6", "ipv6")}
STATES = {"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}


@dataclass(frozen=True)
class Counts:
    """A neighbour's prefixes in one table."""

    received: int = 0
    accepted: int = 0
    active: int = 0
    advertised: int = 0


@dataclass(frozen=True)
class Peer:
    """A neighbour as it is configured, and as FRR sees it."""

    neighbor: Neighbor
    group: Node
    levels: Levels
    seen: dict[str, Any]
    counts: dict[int, Counts]
    local_as: str

    @property
    def state(self) -> str:
        told = str(self.seen.get("bgpState", "Idle"))
        return told if told in STATES else "Idle"

    @property
    def type(self) -> str:
        return "Internal" if self.neighbor.remote_as == self.local_as else "External"

    def endpoint(self, side: str) -> str:
        """An address with its port, as Junos writes it once there is a connection."""
        port = self.seen.get(f"port{side}")
        address = str(self.seen.get(f"host{side}") or (self.neighbor.address if side == "Foreign" else ""))
        return f"{address}+{port}" if port else address


async def read_peers(ask: Ask, running: Node) -> list[Peer]:
    """All neighbours of the active configuration."""
    plan = translate(running)
    bgp = running.find("protocols", "bgp")
    if bgp is None or not plan.neighbors:
        return []
    seen, routes4, routes6, table4, table6 = await asyncio.gather(*(
        ask_one(ask, command) for command in (
            "show bgp neighbors json", "show ip route bgp json", "show ipv6 route bgp json",
            "show bgp ipv4 unicast json", "show bgp ipv6 unicast json")))
    active = {4: count_active(routes4, table4), 6: count_active(routes6, table6)}
    peers = []
    for group in bgp.active("group"):
        for node in group.active("neighbor"):
            neighbor = plan.neighbors[node.key]
            told = seen.get(node.key, {})
            counts = {version: await count(ask, node.key, told, version, active[version])
                      for version in neighbor.families}
            peers.append(Peer(neighbor, group, Levels((node, group, bgp), ()), told, counts, plan.asn))
    return peers


async def ask_one(ask: Ask, command: str) -> Any:
    """FRR's answer to one command."""
    return (await ask(command))[0]


def count_active(routes: dict[str, Any], table: dict[str, Any]) -> dict[str, int]:
    """How many routes of each neighbour are in use: BGP's best, and chosen among all protocols."""
    used = {prefix for prefix, entries in routes.items() if any(entry.get("selected") for entry in entries)}
    found: dict[str, int] = {}
    for prefix, paths in table.get("routes", {}).items():
        for path in paths:
            if prefix in used and path.get("bestpath"):
                found[path["peerId"]] = found.get(path["peerId"], 0) + 1
    return found


async def count(ask: Ask, address: str, seen: dict[str, Any], version: int, active: dict[str, int]) -> Counts:
    """A neighbour's prefixes in a table. Those that policies reject are received too."""
    if seen.get("bgpState") != "Established":
        return Counts()
    family = FRR_FAMILY[version][0]
    told = seen.get("addressFamilyInfo", {}).get(f"{family}Unicast", {})
    received = await ask_one(ask, f"show bgp {family} neighbors {address} received-routes json")
    return Counts(received.get("totalPrefixCounter", 0), told.get("acceptedPrefixCounter", 0), active.get(address, 0),
                  told.get("sentPrefixCounter", 0))


def write_rib(version: int, counts: Counts) -> etree._Element:
    """A neighbour's or group's prefixes in a table."""
    return build("bgp-rib", ("name", TABLES[version]), ("active-prefix-count", counts.active),
                 ("received-prefix-count", counts.received), ("accepted-prefix-count", counts.accepted),
                 ("suppressed-prefix-count", 0), ("advertised-prefix-count", counts.advertised))


def write_options(peer: Peer) -> etree._Element:
    """What is configured for a session, as far as `show bgp` tells of it."""
    options = build("bgp-option-information",
                    ("export-policy", " ".join(peer.levels.read_values("export"))),
                    ("import-policy", " ".join(peer.levels.read_values("import"))))
    tell(options, "address-families", " ".join(
        f"{name}-unicast" for name, version in FAMILIES.items() if version in peer.neighbor.families))
    tell(options, "local-address", peer.levels.read("local-address"))
    tell(options, "holdtime", peer.levels.read("hold-time", "90"))
    if peer.levels.find("authentication-key"):
        etree.SubElement(options, "authentication-configured")
    return options


async def get_neighbors(ask: Ask, running: Node, rpc: etree._Element) -> Answer:
    """<get-bgp-neighbor-information>."""
    wanted = (rpc.findtext("neighbor-address") or "").strip()
    information = etree.Element("bgp-information")
    for peer in await read_peers(ask, running) if is_master(rpc) else ():
        if wanted in ("", peer.neighbor.address):
            information.append(write_peer(peer))
    return [information]


def write_peer(peer: Peer) -> etree._Element:
    """A neighbour in detail."""
    seen = peer.seen
    element = build("bgp-peer", ("peer-address", peer.endpoint("Foreign")), ("peer-as", peer.neighbor.remote_as),
                    ("local-address", peer.endpoint("Local")), ("local-as", peer.local_as),
                    ("description", peer.levels.nodes[0].read("description")), ("peer-group", peer.neighbor.group),
                    ("peer-cfg-rti", "master"), ("peer-fwd-rti", "master"), ("peer-type", peer.type),
                    ("peer-state", peer.state), ("flap-count", seen.get("connectionsDropped", 0)))
    if seen.get("lastResetDueTo"):
        tell(element, "last-error", str(seen["lastResetDueTo"]))
    element.append(write_options(peer))
    if peer.state == "Established":
        tell(element, "peer-id", str(seen.get("remoteRouterId", "")))
        tell(element, "local-id", str(seen.get("localRouterId", "")))
        tell(element, "active-holdtime", seen.get("bgpTimerHoldTimeMsecs", 0) // 1000)
        tell(element, "keepalive-interval", seen.get("bgpTimerKeepAliveIntervalMsecs", 0) // 1000)
        for version, counts in peer.counts.items():
            element.append(write_rib(version, counts))
        messages = seen.get("messageStats", {})
        tell(element, "input-messages", messages.get("totalRecv", 0))
        tell(element, "output-messages", messages.get("totalSent", 0))
    return element


async def get_groups(ask: Ask, running: Node, rpc: etree._Element) -> Answer:
    """<get-bgp-group-information>; all of it is told, with `detail` or without."""
    wanted = (rpc.findtext("group-name") or "").strip()
    information = etree.Element("bgp-group-information")
    peers = await read_peers(ask, running) if is_master(rpc) else []
    names = list(dict.fromkeys(peer.neighbor.group for peer in peers))
    for index, name in enumerate(names):
        if wanted in ("", name):
            information.append(write_group(index, name, [peer for peer in peers if peer.neighbor.group == name]))
    return [information]


def write_group(index: int, name: str, peers: list[Peer]) -> etree._Element:
    """A group with its neighbours and their prefixes together."""
    established = [peer for peer in peers if peer.state == "Established"]
    element = build("bgp-group", ("type", peers[0].type), ("peer-as", peers[0].neighbor.remote_as),
                    ("local-as", peers[0].local_as), ("name", name), ("group-index", index), write_options(peers[0]),
                    ("peer-count", len(peers)), ("established-count", len(established)))
    for peer in peers:
        tell(element, "peer-address", peer.endpoint("Foreign"))
    for version in sorted({version for peer in established for version in peer.counts}):
        element.append(write_rib(version, add_counts([peer.counts[version] for peer in established
                                                      if version in peer.counts])))
    return element


def add_counts(counts: list[Counts]) -> Counts:
    """Some neighbours' prefixes together."""
    return Counts(*(sum(getattr(each, name) for each in counts)
                    for name in ("received", "accepted", "active", "advertised")))


async def get_summary(ask: Ask, running: Node, rpc: etree._Element) -> Answer:
    """<get-bgp-summary-information>."""
    peers = await read_peers(ask, running) if is_master(rpc) else []
    down = sum(peer.state != "Established" for peer in peers)
    information = build("bgp-information", ("group-count", len({peer.neighbor.group for peer in peers})),
                        ("peer-count", len(peers)), ("down-peer-count", down))
    for version, table in TABLES.items():
        total = add_counts([peer.counts[version] for peer in peers if version in peer.counts])
        information.append(build("bgp-rib", ("name", table), ("total-prefix-count", total.received),
                                 ("active-prefix-count", total.active), ("suppressed-prefix-count", 0)))
    for peer in peers:
        messages = peer.seen.get("messageStats", {})
        element = build("bgp-peer", ("peer-address", peer.neighbor.address), ("peer-as", peer.neighbor.remote_as),
                        ("input-messages", messages.get("totalRecv", 0)),
                        ("output-messages", messages.get("totalSent", 0)),
                        ("flap-count", peer.seen.get("connectionsDropped", 0)),
                        ("elapsed-time", str(peer.seen.get("bgpTimerUpString", "never"))),
                        ("description", peer.levels.nodes[0].read("description")), ("peer-state", peer.state))
        for version, counts in peer.counts.items() if peer.state == "Established" else ():
            element.append(write_rib(version, counts))
        information.append(element)
    return [information]


async def get_bfd(ask: Ask, _running: Node, _rpc: etree._Element) -> Answer:
    """<get-bfd-session-information>."""
    information = etree.Element("bfd-session-information")
    sessions = await ask_one(ask, "show bfd peers json")
    for session in sessions:
        address = ipaddress.ip_address(session["peer"])
        information.append(build(
            "bfd-session", ("session-neighbor", str(address)), ("session-state", session["status"].capitalize()),
            ("session-detection-time", f"{session['detect-multiplier'] * session['receive-interval'] / 1000:.3f}"),
            ("session-transmission-interval", f"{session['transmit-interval'] / 1000:.3f}"),
            ("session-adaptive-multiplier", session["detect-multiplier"])))
    for name, number in (("sessions", len(sessions)), ("clients", len(sessions))):
        tell(information, name, number)
    return [information]


def is_master(rpc: etree._Element) -> bool:
    """Whether an RPC is about the device itself: no other instance or logical system carries anything here."""
    return (rpc.findtext("instance") or "master").strip() == "master" and rpc.find("logical-system") is None


HANDLERS: dict[str, Handler] = {
    "get-bgp-neighbor-information": get_neighbors,
    "get-bgp-group-information": get_groups,
    "get-bgp-summary-information": get_summary,
    "get-bfd-session-information": get_bfd,
}
