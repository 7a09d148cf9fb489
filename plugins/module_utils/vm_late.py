# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what ties a VM's interface to the host's network where FRR does not: bridge, routes of the kernel, proxy NDP.
Pure; part of vm_iface.py's plan."""

from __future__ import annotations

from typing import AbstractSet, Any, Iterator, Mapping, NamedTuple, Optional, Set, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import (
    kernel_route_line,
    kernel_routes,
    late_lines,
    proxy_line,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import Vm

Proxies = AbstractSet[Tuple[str, str]]
"""(address, interface that answers for it)."""


class Difference(NamedTuple):
    """What of an interface is not as wanted, the lines for the diff, and the commands that change it."""

    what: str
    before: str
    after: str
    commands: Tuple[str, ...]


def differ_bridge(vm: Vm, master: Optional[str]) -> Iterator[Difference]:
    """Yield the difference when the interface is not a port of its bridge."""
    if vm.bridge and master != vm.bridge:
        (line,) = late_lines(vm)[vm.bridge]
        yield Difference("bridge", f"master {master}" if master else "", f"master {vm.bridge}", (f"configure {line}",))


def differ_routes(vm: Vm, has: Mapping[str, str]) -> Iterator[Difference]:
    """Yield the differences of the kernel's routes to a VM; has: those of ours on its interface, prefix to next hop."""
    wanted = kernel_routes(vm)
    for prefix, via in wanted.items():
        if has.get(prefix) != via:
            line = kernel_route_line(vm, prefix, via)
            yield Difference("routes", "", line.replace("replace ", "", 1), (f"configure {line}",))
    for prefix in sorted(set(has) - set(wanted)):
        route = f"route {prefix} dev {vm.interface}"
        yield Difference("routes", route, "", (f"configure route del {prefix} dev {vm.interface}",))


def differ_proxies(vm: Vm, has: Proxies, record: Optional[Mapping[str, Any]]) -> Iterator[Difference]:
    """Yield the differences of proxy NDP for a VM; those that its record has and it does not need go."""
    wanted = _proxies_in(late_lines(vm))
    for address, interface in sorted(wanted - has):
        line = proxy_line(address, interface)
        yield Difference("proxy NDP", "", f"proxy {address} on {interface}", (f"configure {line}",))
    for address, interface in sorted((_proxies_in((record or {}).get("late", {})) - wanted) & has):
        line = proxy_line(address, interface, "del")
        yield Difference("proxy NDP", f"proxy {address} on {interface}", "", (f"configure {line}",))


def plan_silence(
    interface: str, owner: str, record: Optional[Mapping[str, Any]], has: Proxies,
) -> Iterator[Step]:
    """Yield the step that ends proxy NDP for a VM that goes; its routes go with its interface."""
    gone = sorted(_proxies_in((record or {}).get("late", {})) & has)
    if gone:
        yield Step(
            f"{owner} is not attached here any more", f"interface {interface}",
            before=tuple(f"proxy {address} on {name}" for address, name in gone),
            commands=tuple(f"configure {proxy_line(address, name, 'del')}" for address, name in gone))


def _proxies_in(late: Mapping[str, Any]) -> Set[Tuple[str, str]]:
    """Return the proxy entries that a record's late lines make."""
    return {(line.split()[3], name) for name, lines in late.items() for line in lines
            if line.startswith("neigh replace proxy ")}
