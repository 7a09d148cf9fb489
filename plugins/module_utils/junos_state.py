# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Junos's answers to RPCs say: sessions, groups, routes, the commit that waits for its confirmation.

Element names: Juniper's YANG modules for RPCs (github.com/Juniper/yang, 23.1R1, junos-rpc-bgp, -route, -system).
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

LARGE = "large:"


class Commit(NamedTuple):
    """A commit that Junos will take back unless it is confirmed."""

    user: str
    client: str
    time: str
    log: str
    comment: str

    def describe(self) -> str:
        """Return whose it is, for a person."""
        log = f", \"{self.log}\"" if self.log else ""
        return f"by {self.user} via {self.client} at {self.time}{log} ({self.comment})"

    def is_of(self, comment: str) -> bool:
        """Tell whether it is one of ours: with this comment, alone or with more behind a colon. That of routing
        instance `vm` is the beginning of that of `vm2`, which another run may be changing."""
        return self.log == comment or self.log.startswith(f"{comment}:")


def read_pending(answer: Any) -> Optional[Commit]:
    """Return the commit that waits for its confirmation, from get-commit-information, or nothing.

    The newest entry has `commit-confirmed` then. Its `comment`, "commit confirmed, rollback in 5mins", stays for ever,
    and says nothing about now.
    """
    for entry in _all(answer, "commit-history"):
        if _text(entry, "sequence-number") == "0" and _text(entry, "commit-confirmed"):
            return Commit(*(_text(entry, key) for key in ("user", "client", "date-time", "log", "comment")))
    return None


def read_sessions(answer: Any) -> List[Dict[str, Any]]:
    """Return the BGP sessions of get-bgp-neighbor-information, by address."""
    sessions = []
    for peer in _all(answer, "bgp-peer"):
        sessions.append({
            "address": _address(_text(peer, "peer-address")),
            "group": _text(peer, "peer-group") or _text(peer, "peer-group-name"),
            "description": _text(peer, "description"),
            "remote_as": _number(peer, "peer-as"),
            "state": _text(peer, "peer-state"),
            "flaps": _number(peer, "flap-count"),
            "last_reset": _text(peer, "last-flap-event") or _text(peer, "last-error"),
            "instance": _text(peer, "peer-cfg-rti") or "master",
            "tables": _tables(peer),
        })
    return sorted(sessions, key=lambda session: str(session["address"]))


def read_groups(answer: Any) -> List[Dict[str, Any]]:
    """Return the BGP groups of get-bgp-group-information, what `show bgp group detail` tells."""
    groups = []
    for group in _all(answer, "bgp-group"):
        if not _text(group, "name"):
            continue
        options = _first(group, "bgp-option-information")
        groups.append({
            "name": _text(group, "name"),
            "type": _text(group, "type"),
            "import_policy": _text(options, "import-policy"),
            "export_policy": _text(options, "export-policy"),
            "peers": _number(group, "peer-count"),
            "established": _number(group, "established-count"),
            "addresses": [_address(text) for text in _texts(group, "peer-address")],
            "tables": _tables(group),
        })
    return groups


def read_routes(answer: Any) -> List[Dict[str, Any]]:
    """Return the BGP routes of get-route-information with `detail`, one entry for each path.

    next_hop is BGP's own, which is resolved by other routes; active: whether it is the route that is used.
    """
    routes = []
    for route in _all(answer, "rt"):
        prefix, length = _text(route, "rt-destination"), _text(route, "rt-prefix-length")
        for entry in _children(route, "rt-entry"):
            if _text(entry, "protocol-name").upper() != "BGP":
                continue
            communities = [text for holder in _children(entry, "communities") for text in _texts(holder, "community")]
            routes.append({
                "prefix": prefix if "/" in prefix or not length else f"{prefix}/{length}",
                "active": _text(entry, "active-tag").startswith("*") or _first(entry, "current-active") is not None,
                "next_hop": _next_hop(entry),
                "communities": sorted(text for text in communities if re.match(r"^\d+:\d+$", text)),
                "large_communities": sorted(text[len(LARGE):] for text in communities if text.startswith(LARGE)),
            })
    return routes


def best_routes(routes: Iterable[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return one route for each prefix, the one that is used first, with all its paths."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for route in routes:
        paths = found.setdefault(str(route["prefix"]), [])
        paths.append({"best": route["active"], "next_hop": route["next_hop"], "communities": route["communities"],
                      "large_communities": route["large_communities"]})
    result = []
    for prefix, paths in sorted(found.items()):
        paths.sort(key=lambda path: not path["best"])
        result.append({"prefix": prefix, "next_hop": paths[0]["next_hop"], "active": paths[0]["best"], "paths": paths})
    return result


def _tables(element: Any) -> Dict[str, Dict[str, int]]:
    """Return by routing table how many prefixes came, were accepted, and are used."""
    counts = ("received", "accepted", "active")
    return {
        _text(rib, "name"): {count: _number(rib, f"{count}-prefix-count") for count in counts}
        for rib in _all(element, "bgp-rib") if _text(rib, "name")}


def _next_hop(entry: Any) -> str:
    for holder in ("protocol-nh", "nh"):
        for element in _children(entry, holder):
            if _text(element, "to"):
                return _text(element, "to").split("%")[0]
    return ""


def _address(text: str) -> str:
    """Return an address without the port that Junos shows of an open session: 10.20.0.21+179."""
    return text.partition("+")[0]


def _name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _all(element: Any, name: str) -> List[Any]:
    return [child for child in element.iter() if _name(child) == name] if _is_element(element) else []


def _children(element: Any, name: str) -> List[Any]:
    return [child for child in element if _name(child) == name] if _is_element(element) else []


def _first(element: Any, name: str) -> Any:
    return next(iter(_children(element, name)), None)


def _texts(element: Any, name: str) -> List[str]:
    return [(child.text or "").strip() for child in _all(element, name)]


def _text(element: Any, name: str) -> str:
    child = _first(element, name)
    return "" if child is None else (child.text or "").strip()


def _number(element: Any, name: str) -> int:
    text = _text(element, name)
    return int(text) if text.isdigit() else 0


def _is_element(element: Any) -> bool:
    """PyEZ answers True for an empty reply."""
    return element is not None and hasattr(element, "iter")
