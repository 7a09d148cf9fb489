# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The statements that the Junos simulator knows: their kinds, keys and values. What isn't here is a syntax error.

The hierarchy follows Juniper's CLI reference; XML element names are those of the Junos XML API.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Check = Callable[[str], str]


@dataclass(frozen=True)
class Statement:
    """One kind of statement.

    kind: block, list (a block with a key), leaf (one value), values (a list of values) or flag (no value).
    keys: names of a list's keys in XML; matches: how a route-filter may match, and whether that takes a value.
    is_inline: written on its parent's line when it has one simple child. is_line: written on one line always;
    `positional` is then the child whose name is left out. is_kept: means something when empty.
    is_ordered: a list whose order the user decides. is_keyed_by_element: a list whose key is an element's name in XML
    (`family inet`). check: what is wrong with a value, or nothing.
    """

    kind: str
    children: Mapping[str, Statement] = field(default_factory=lambda: MappingProxyType({}))
    keys: tuple[str, ...] = ()
    matches: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    is_inline: bool = False
    is_line: bool = False
    positional: str = ""
    is_kept: bool = False
    is_ordered: bool = False
    is_keyed_by_element: bool = False
    is_secret: bool = False
    check: Check = lambda _value: ""


def anything(_value: str) -> str:
    """No complaint."""
    return ""


def number(low: int, high: int) -> Check:
    """A check that a value is a number in a range."""

    def check(value: str) -> str:
        if not value.isascii() or not value.isdigit():
            return f"invalid numeric value: '{value}'"
        return "" if low <= int(value) <= high else f"Value {value} is not within range ({low}..{high})"

    return check


def hold_time(value: str) -> str:
    """Complain about what is no hold time: RFC 4271 has 0 or at least 3 seconds."""
    return number(3, 65535)(value) if value != "0" else ""


def choice(*allowed: str) -> Check:
    """A check that a value is one of some words."""
    return lambda value: "" if value in allowed else "syntax error"


def address(value: str) -> str:
    """Complain about what is no IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"invalid ip address or hostname: '{value}'"
    return ""


def interface_address(value: str) -> str:
    """Complain about what is no address with prefix length."""
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        return f"invalid ip address or hostname: '{value}'"
    return ""


def prefix(value: str) -> str:
    """Complain about what is no prefix; Junos clears no host bits."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return f"invalid prefix: '{value}'"
    return ""


def autonomous_system(value: str) -> str:
    """Complain about what is no AS number in plain notation."""
    return number(1, 4294967295)(value)


def block(children: Mapping[str, Statement] | None = None, *, inline: bool = False, kept: bool = False) -> Statement:
    """A block of statements."""
    return Statement("block", children or {}, is_inline=inline, is_kept=kept)


def line(positional: str, children: Mapping[str, Statement]) -> Statement:
    """A block that is written on one line."""
    return Statement("block", children, is_line=True, positional=positional, is_kept=True)


def named(
    children: Mapping[str, Statement] | None = None, *, key: str = "name", ordered: bool = True, inline: bool = False,
    check: Check = anything,
) -> Statement:
    """A list of blocks with a key each."""
    return Statement("list", children or {}, keys=(key,), is_ordered=ordered, is_inline=inline, is_kept=True,
                     check=check)


def family(children: Mapping[str, Statement]) -> Statement:
    """The statements of `family inet` and `family inet6`."""
    return Statement("list", children, keys=("",), is_kept=True, is_keyed_by_element=True,
                     check=choice("inet", "inet6"))


def leaf(check: Check = anything) -> Statement:
    """A statement with one value."""
    return Statement("leaf", check=check)


def secret() -> Statement:
    """A statement with a value that is shown scrambled."""
    return Statement("leaf", is_secret=True)


def values(check: Check = anything) -> Statement:
    """A statement with any number of values."""
    return Statement("values", check=check, is_ordered=True)


def flag() -> Statement:
    """A statement without a value."""
    return Statement("flag")


ROUTE_FILTER = Statement(
    "list", keys=("address",), check=prefix, is_kept=True, is_ordered=True,
    matches={"exact": False, "longer": False, "orlonger": False, "upto": True, "through": True,
             "prefix-length-range": True},
)

ACTIONS = block({
    "metric": leaf(number(0, 4294967295)),
    "local-preference": leaf(number(0, 4294967295)),
    # `community add NAME`: the operation and the name are the key.
    "community": Statement("list", keys=("choice-ident", "choice-value"), is_ordered=True, is_kept=True),
    "next-hop": leaf(),
    "accept": flag(),
    "reject": flag(),
    "next": leaf(choice("term", "policy")),
}, inline=True)

CONDITIONS = block({
    "family": leaf(choice("inet", "inet6")),
    "protocol": values(choice("bgp", "static", "direct", "local", "aggregate", "ospf", "isis", "rip")),
    "rib": leaf(),
    "neighbor": values(address),
    "instance": leaf(),
    "as-path": values(),
    "community": values(),
    "prefix-list": named(),
    "prefix-list-filter": Statement("list", keys=("list_name",), is_kept=True, is_ordered=True,
                                    matches={"exact": False, "longer": False, "orlonger": False}),
    "route-filter": ROUTE_FILTER,
    "tag": values(number(0, 4294967295)),
    "metric": leaf(number(0, 4294967295)),
    "local-preference": leaf(number(0, 4294967295)),
    "next-hop": values(address),
    "policy": leaf(),
    "interface": values(),
}, inline=True)

POLICY_OPTIONS = block({
    "prefix-list": named({"": named(check=prefix)}),
    "policy-statement": named({
        "term": named({"from": CONDITIONS, "to": CONDITIONS, "then": ACTIONS}),
        "from": CONDITIONS,
        "then": ACTIONS,
    }),
    "community": named({"invert-match": flag(), "members": values()}, inline=True),
    "as-path": named({"path": leaf()}),
})

STATIC_ROUTE = named({
    "discard": flag(),
    "reject": flag(),
    "receive": flag(),
    "next-hop": values(address),
    "preference": leaf(number(0, 4294967295)),
    "metric": leaf(number(0, 4294967295)),
    "tag": leaf(number(0, 4294967295)),
    "community": values(),
    "no-readvertise": flag(),
}, inline=True, check=prefix)
STATIC = block({"route": STATIC_ROUTE})

ROUTING_OPTIONS = block({
    "router-id": leaf(address),
    "autonomous-system": line("as-number", {"as-number": leaf(autonomous_system), "loops": leaf(number(1, 10)),
                                            "asdot-notation": flag()}),
    "graceful-restart": block({"disable": flag(), "restart-duration": leaf(number(120, 900))}, kept=True),
    "static": STATIC,
    "rib": named({"static": STATIC}),
    "forwarding-table": block({"export": values()}),
})

LIMIT = block({
    "maximum": leaf(number(1, 4294967295)),
    "teardown": line("limit-threshold", {
        "limit-threshold": leaf(number(1, 100)),
        "idle-timeout": line("timeout", {"timeout": leaf(number(1, 2400)), "forever": flag()}),
    }),
})
UNICAST = block({"accepted-prefix-limit": LIMIT, "prefix-limit": LIMIT}, kept=True)
FAMILY = family({"unicast": UNICAST})

BGP_OPTIONS: dict[str, Statement] = {
    "type": leaf(choice("internal", "external")),
    "description": leaf(),
    "local-address": leaf(address),
    "hold-time": leaf(hold_time),
    "passive": flag(),
    "log-updown": flag(),
    "ttl": leaf(number(1, 255)),
    "multihop": block({"ttl": leaf(number(1, 255)), "no-nexthop-change": flag()}, kept=True),
    "preference": leaf(number(0, 4294967295)),
    "local-preference": leaf(number(0, 4294967295)),
    "import": values(),
    "family": FAMILY,
    "authentication-key": secret(),
    "export": values(),
    "cluster": leaf(address),
    "peer-as": leaf(autonomous_system),
    "local-as": line("as-number", {"as-number": leaf(autonomous_system), "loops": leaf(number(1, 10)),
                                   "private": flag(), "no-prepend-global-as": flag()}),
    "graceful-restart": block({
        "disable": flag(), "restart-time": leaf(number(1, 600)), "stale-routes-time": leaf(number(1, 600))}, kept=True),
    "bfd-liveness-detection": block({
        "version": leaf(choice("0", "1", "automatic")),
        "minimum-interval": leaf(number(1, 255000)),
        "minimum-receive-interval": leaf(number(1, 255000)),
        "multiplier": leaf(number(1, 255)),
        "transmit-interval": block({"minimum-interval": leaf(number(1, 255000))}),
        "session-mode": leaf(choice("automatic", "single-hop", "multihop")),
        "holddown-interval": leaf(number(0, 255000)),
    }),
    "multipath": block({"multiple-as": flag()}, kept=True),
    "tcp-mss": leaf(number(1, 4096)),
    "allow": values(),
}
NEIGHBOR = named(BGP_OPTIONS, check=address)
GROUP = named({**BGP_OPTIONS, "neighbor": NEIGHBOR})
BGP = block({**BGP_OPTIONS, "group": GROUP})
PROTOCOLS = block({
    "bgp": BGP,
    "lldp": block({"interface": named({"disable": flag()})}),
    "bfd": block({"traceoptions": block({"flag": values()})}),
})

UNIT = named({
    "description": leaf(),
    "family": family({"address": named({"primary": flag(), "preferred": flag()}, check=interface_address),
                      "mtu": leaf(number(256, 9500))}),
}, check=number(0, 1073741823))
INTERFACES = named({"description": leaf(), "mtu": leaf(number(256, 9500)), "disable": flag(), "unit": UNIT})

SYSTEM = block({
    "host-name": leaf(),
    "domain-name": leaf(),
    "time-zone": leaf(),
    "root-authentication": block({"encrypted-password": leaf()}),
    "login": block({"user": named({"uid": leaf(), "class": leaf(), "full-name": leaf(),
                                   "authentication": block({"encrypted-password": leaf(), "ssh-ed25519": named(),
                                                            "ssh-rsa": named()})})}),
    "services": block({
        "ssh": block({"root-login": leaf()}, kept=True),
        "netconf": block({"ssh": block({"port": leaf(number(1, 65535))}, kept=True), "rfc-compliant": flag()}),
    }),
    "commit": block({"persist-groups-inheritance": flag(), "synchronize": flag()}),
    "syslog": block({"host": named({"any": leaf()})}),
    "ntp": block({"server": named()}),
})

INSTANCE = named({
    "description": leaf(),
    "instance-type": leaf(choice("virtual-router", "vrf", "no-forwarding")),
    "interface": named(),
    "routing-options": ROUTING_OPTIONS,
    "protocols": PROTOCOLS,
})
LOGICAL_SYSTEM = named({
    "interfaces": block({"": INTERFACES}),
    "policy-options": POLICY_OPTIONS,
    "routing-instances": block({"": INSTANCE}),
    "routing-options": ROUTING_OPTIONS,
    "protocols": PROTOCOLS,
})

# A list under the name "" has no word of its own: `interfaces { ge-0/0/0 { ... } }`. XML_NAMES has its element.
XML_NAMES = {"interfaces": "interface", "routing-instances": "instance", "prefix-list": "prefix-list-item"}

ROOT = block({
    "version": leaf(),
    "logical-systems": block({"": LOGICAL_SYSTEM}),
    "system": SYSTEM,
    "chassis": block({"aggregated-devices": block({"ethernet": block({"device-count": leaf(number(1, 2000))})})}),
    "interfaces": block({"": INTERFACES}),
    "snmp": block({"location": leaf(), "contact": leaf()}),
    "policy-options": POLICY_OPTIONS,
    "routing-instances": block({"": INSTANCE}),
    "routing-options": ROUTING_OPTIONS,
    "protocols": PROTOCOLS,
})
