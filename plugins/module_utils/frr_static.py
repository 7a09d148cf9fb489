# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FRR static routes (`ip route`, `ipv6 route`), owned by their tag: parse them, and plan which come and which go."""

from __future__ import annotations

import ipaddress
import socket
from typing import Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Tuple

# Words of `ip route` that take a value, and words that stand alone (FRR staticd/static_vty.c, 8.4 and 10.3).
VALUED = frozenset(("tag", "vrf", "table", "nexthop-vrf", "label", "color", "segments"))
FLAGS = frozenset(("onlink", "bfd"))
DISCARDS = frozenset(("blackhole", "reject", "Null0"))


class StaticRoute(NamedTuple):
    """One static route, whatever order its words were written in.

    prefix: in canonical spelling. gateway: address or None. interface: name or None. discard: blackhole, reject or
    Null0.
    tag: 0 when it has none. distance: 1 when it has none. options: everything else, sorted, as (word, value).
    line: the statement as it stood.
    """

    prefix: str
    gateway: Optional[str]
    interface: Optional[str]
    discard: Optional[str]
    tag: int
    distance: int
    options: FrozenSet[Tuple[str, str]]
    line: str

    @property
    def place(self) -> Tuple[object, ...]:
        """What FRR tells routes apart by. The tag is not part of it: writing the same route with another tag replaces
        it."""
        return (self.prefix, self.gateway, self.interface, self.discard, self.distance,
                frozenset(pair for pair in self.options if pair[0] in ("vrf", "table", "nexthop-vrf")))

    @property
    def meaning(self) -> Tuple[object, ...]:
        """All of the route but its spelling."""
        return self[:7]


class StaticPlan(NamedTuple):
    """Lines to write. add comes before remove, so that a route moves without a gap; foreign says which wanted routes
    stand there already with a tag that is not ours (somebody else's: nothing is written for these)."""

    add: Tuple[str, ...]
    remove: Tuple[str, ...]
    foreign: Tuple[str, ...]


def parse_static_route(line: str) -> Optional[StaticRoute]:
    """Return the route that a statement of the top level says; None when the statement is something else.

    Raises ValueError when it begins as a static route and is none.
    """
    words = line.split()
    if len(words) < 4 or words[1] != "route" or words[0] not in ("ip", "ipv6"):
        return None
    prefix = _canonical_prefix(words[2])
    gateway = interface = discard = None
    tag, distance = 0, 1
    options: List[Tuple[str, str]] = []
    rest = iter(words[3:])
    for word in rest:
        if word in VALUED:
            value = next(rest, "")
            if word == "tag":
                tag = int(value)
            else:
                options.append((word, value))
        elif word in FLAGS:
            options.append((word, ""))
        elif word in DISCARDS:
            discard = word
        elif word.isdigit():
            distance = int(word)
        elif gateway is None and interface is None and _is_address(word):
            gateway = _canonical_address(word)
        elif interface is None:
            interface = word
        else:
            options.append((word, ""))
    return StaticRoute(prefix, gateway, interface, discard, tag, distance, frozenset(options), " ".join(words))


def plan_static_routes(found: Iterable[str], wanted: Iterable[str], tags: Iterable[int]) -> StaticPlan:
    """Compare static routes of the running configuration with those wanted; pure, linear in the number of lines.

    found: statements of the top level (others than static routes are passed over). wanted: static routes, each with
    one of `tags`. Routes found with one of `tags` and not wanted go; routes with other tags are never touched.
    Raises ValueError for a wanted statement that is no static route, or whose tag is not one of `tags`.
    """
    ours = frozenset(tags)
    there: Dict[Tuple[object, ...], StaticRoute] = {}
    for line in found:
        if line.startswith(("ip route ", "ipv6 route ")):
            route = parse_static_route(line)
            if route is not None:
                there[route.place] = route
    add: List[str] = []
    foreign: List[str] = []
    kept = set()
    for line in wanted:
        route = parse_static_route(line)
        if route is None:
            raise ValueError(f"{line!r} is no static route")
        if route.tag not in ours:
            raise ValueError(f"{line!r} has tag {route.tag}, which is not among the owned ones {sorted(ours)}")
        kept.add(route.place)
        present = there.get(route.place)
        if present is not None and present.meaning == route.meaning:
            continue
        if present is not None and present.tag not in ours:
            foreign.append(present.line)
        else:
            add.append(route.line)
    remove = [f"no {route.line}" for place, route in there.items() if route.tag in ours and place not in kept]
    return StaticPlan(tuple(add), tuple(remove), tuple(foreign))


def _is_address(word: str) -> bool:
    """Tell an address from an interface name; a name has a letter and no colon, an IPv4 address has no letter."""
    return ":" in word or (word[0].isdigit() and word.count(".") == 3 and word.replace(".", "").isdigit())


def _canonical_address(word: str) -> str:
    """Return an address as FRR shows it; through inet_ntop, as FRR does, since ten thousand are to take no time."""
    family = socket.AF_INET6 if ":" in word else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, word))
    except OSError as error:
        raise ValueError(f"{word!r} is no address") from error


def _canonical_prefix(word: str) -> str:
    """FRR shows a prefix without host bits. Hosts' prefixes have none, and take the short way."""
    address, _slash, length = word.partition("/")
    if length == ("128" if ":" in address else "32"):
        return f"{_canonical_address(address)}/{length}"
    return str(ipaddress.ip_network(word, strict=False))
