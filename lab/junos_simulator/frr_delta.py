# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From one plan for FRR to another: the lines to give to vtysh, and the sessions to reset because Junos would."""

from __future__ import annotations

from collections.abc import Iterator

from .translate import FrrPlan, Neighbor

FAMILY = {4: "ipv4", 6: "ipv6"}
NFT_TABLE = "junos_simulator"


def write_delta(old: FrrPlan, new: FrrPlan) -> list[str]:
    """The lines that bring FRR from one plan to another. What is pointed to comes first and goes last."""
    lines = [line for name, content in new.lists.lines.items() if name not in old.lists.lines for line in content]
    for name, profile in new.bfd_profiles.items():
        if name not in old.bfd_profiles:
            lines += ["bfd", f" profile {name}", *(f"  {line}" for line in profile), " exit", "exit"]
    for name, route_map in new.route_maps.items():
        if name not in old.route_maps:
            lines += route_map.lines
    lines += [f"no {route}" for route in old.static_routes if route not in new.static_routes]
    lines += [route for route in new.static_routes if route not in old.static_routes]
    lines += write_bgp(old, new)
    lines += [f"no route-map {name}" for name in old.route_maps if name not in new.route_maps]
    gone = [name for name in old.bfd_profiles if name not in new.bfd_profiles]
    if gone:
        lines += ["bfd", *(f" no profile {name}" for name in gone), "exit"]
    return lines + [old.lists.removals[name] for name in old.lists.lines if name not in new.lists.lines]


def write_bgp(old: FrrPlan, new: FrrPlan) -> list[str]:
    """The lines about BGP; another AS number is another instance."""
    if old.asn != new.asn:
        lines = [f"no router bgp {old.asn}"] if old.asn else []
        return lines + (write_instance(FrrPlan(), new) if new.asn else [])
    return write_instance(old, new) if new.asn else []


def write_instance(old: FrrPlan, new: FrrPlan) -> list[str]:
    """The lines inside `router bgp`."""
    lines = write_statements(old.instance, new.instance, "")
    for address, neighbor in old.neighbors.items():
        if address not in new.neighbors or new.neighbors[address].remote_as != neighbor.remote_as:
            lines.append(f"no neighbor {address}")
    families: dict[int, list[str]] = {4: [], 6: []}
    for version, content in families.items():
        content += write_statements(old.redistributions.get(version, {}), new.redistributions.get(version, {}), "")
    for address, neighbor in new.neighbors.items():
        known = old.neighbors.get(address)
        if known is None or known.remote_as != neighbor.remote_as:
            known = None
            lines.append(f"neighbor {address} remote-as {neighbor.remote_as}")
        lines += write_statements(known.session if known else {}, neighbor.session, f"neighbor {address} ")
        for version, content in families.items():
            content += write_family(known, neighbor, version)
    for version, content in families.items():
        if content:
            lines += [f"address-family {FAMILY[version]} unicast", *(f" {line}" for line in content),
                      "exit-address-family"]
    return [f"router bgp {new.asn}", *(f" {line}" for line in lines), "exit"] if lines else []


def write_family(old: Neighbor | None, new: Neighbor, version: int) -> Iterator[str]:
    """The lines about a neighbour in an address family. Filters come before it is activated."""
    before = old.families.get(version, {}) if old else {}
    after = new.families.get(version, {})
    lines = write_statements(before, after, f"neighbor {new.address} ")
    yield from sorted(lines, key=lambda line: line.endswith(" activate"))


def write_statements(old: dict[str, str], new: dict[str, str], prefix: str) -> list[str]:
    """The lines that set what is new or other, and unset what is gone; a new value takes the old one's place."""
    lines = [negate(f"{prefix}{line}") for what, line in old.items() if what not in new]
    return lines + [f"{prefix}{line}" for what, line in new.items() if old.get(what) != line]


def negate(line: str) -> str:
    """The line that undoes a line; without its profile BFD would stay."""
    line = line.partition(" profile ")[0] if " bfd profile " in line else line
    return line.removeprefix("no ") if line.startswith("no ") else f"no {line}"


def find_resets(old: FrrPlan, new: FrrPlan) -> list[str]:
    """Neighbours whose session Junos resets and FRR would not: another group, hold time, way to restart, families."""
    return [address for address, neighbor in new.neighbors.items()
            if address in old.neighbors and old.neighbors[address].reset_key != neighbor.reset_key]


def write_nft(plan: FrrPlan) -> str:
    """The nftables rules that give packets of sessions the TTL that Junos would give them."""
    rules = []
    for address, neighbor in plan.neighbors.items():
        if neighbor.ttl is not None:
            protocol, what = ("ip6", "hoplimit") if ":" in address else ("ip", "ttl")
            rules += [f"{protocol} daddr {address} tcp {side} 179 {protocol} {what} set {neighbor.ttl}"
                      for side in ("dport", "sport")]
    chain = "\n".join(["type filter hook output priority mangle;", *rules])
    return (f"add table inet {NFT_TABLE}\ndelete table inet {NFT_TABLE}\n"
            f"table inet {NFT_TABLE} {{\nchain output {{\n{chain}\n}}\n}}\n")
