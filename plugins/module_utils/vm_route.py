# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FRR's side of a VM interface: static routes with our tags, read, written, seen to be alive, saved."""

from __future__ import annotations

import time
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import vtysh
from ansible_collections.vmcluster.network.plugins.module_utils.frr_maintenance import read_maintenance, read_mark
from ansible_collections.vmcluster.network.plugins.module_utils.frr_static import StaticRoute
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Link, parse_route
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import OUR_TAGS, route_lines
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import Vm

ALIVE_WAIT = 5.0  # seconds until zebra has a route whose interface has carrier; measured: below 0.2 for one, 2 for 1000
POLL = 0.05
TRIES = 5
NOT_THERE_YET = "does not exist in"
"""What staticd says of an interface that zebra has not told it of yet."""


class FoundFrr(NamedTuple):
    """FRR on the node: static routes that run, those that are saved; why it cannot be used, or an empty text; whether
    the node is out of service, as frr_maintenance has it."""

    running: Tuple[str, ...] = ()
    saved: Tuple[str, ...] = ()
    wrong: str = ""
    maintenance: str = ""


def read_frr() -> FoundFrr:
    """Return what FRR has of static routes. FRR that is missing or does not run is a finding, not an error."""
    saved = _static_lines(vtysh.read_saved_config())
    try:
        running = vtysh.read_running_config()
    except (vtysh.FrrMissing, vtysh.FrrNotRunning) as error:
        return FoundFrr((), saved, str(error), read_mark())
    return FoundFrr(_static_lines(running), saved, maintenance=read_maintenance(running) or read_mark())


def plan_saving(running: Iterable[str], saved: Iterable[str], told: bool = False) -> Tuple[Step, ...]:
    """Return the step that saves FRR's configuration, when routes of ours that run and those that are saved differ.

    told: other steps show these routes already, this one shall not repeat them.
    """
    runs, stands = _ours(running), _ours(saved)
    if set(runs) == set(stands):
        return ()
    before = tuple(sorted(line for meaning, line in stands.items() if meaning not in runs))
    after = tuple(sorted(line for meaning, line in runs.items() if meaning not in stands))
    if told:
        before = after = ()
    return (Step("routes are saved", f"file {vtysh.SAVED_CONFIG}", before, after, ("save",)),)


def running_after(running: Sequence[str], steps: Iterable[Step]) -> Tuple[str, ...]:
    """Return the static routes that will run once the steps are done."""
    routes = {route.place: route.line for route in map(parse_route, running) if route is not None}
    for command in (command for step in steps for command in step.commands):
        line = command.partition(" ")[2]
        gone = line.startswith("no ")
        route = parse_route(line[3:] if gone else line)
        if route is not None and gone:
            routes.pop(route.place, None)
        elif route is not None:
            routes[route.place] = route.line
    return tuple(routes.values())


def write_routes(lines: Sequence[str]) -> List[str]:
    """Write route lines to the running FRR; return what it remarked. Interfaces made just now may not be known to
    staticd yet: these lines are written again, for a bounded time. Raises vtysh.FrrError."""
    if not lines:
        return []
    for attempt in range(1, TRIES + 1):
        try:
            return vtysh.apply_config(lines)
        except vtysh.FrrRefused as error:
            if NOT_THERE_YET not in str(error) or attempt == TRIES:
                raise
            time.sleep(attempt * 0.2)
    return []


def expected_routes(vms: Iterable[Vm], links: Mapping[str, Link]) -> Dict[str, StaticRoute]:
    """Return per prefix the routes that zebra must have: those of interfaces that are up and have carrier."""
    expected = {}
    for vm in vms:
        link = links.get(vm.interface)
        if link is not None and link.up and link.carrier:
            for route in map(parse_route, route_lines(vm)):
                if route is not None:
                    expected[route.prefix] = route
    return expected


def missing_routes(expected: Mapping[str, StaticRoute], tables: Iterable[Mapping[str, Any]]) -> Tuple[StaticRoute, ...]:
    """Return the expected routes that zebra's tables (`show ip route static json`) do not have alive, by interface and
    tag."""
    there: Dict[str, FrozenSet[Tuple[str, int]]] = {}
    for table in tables:
        for prefix, entries in table.items():
            there[prefix] = frozenset((hop.get("interfaceName", ""), entry.get("tag", 0)) for entry in entries
                                      for hop in entry.get("nexthops", ()) if hop.get("active"))
    return tuple(route for prefix, route in expected.items()
                 if (route.interface, route.tag) not in there.get(prefix, ()))


def wait_for_routes(expected: Mapping[str, StaticRoute]) -> Tuple[StaticRoute, ...]:
    """Wait until zebra has all expected routes; write those again that stay away. Returns those that never came."""
    missing = _wait(expected)
    if missing:
        lines = [line for route in missing for line in (f"no {route.line}", route.line)]
        write_routes(lines)
        missing = _wait(expected)
    return missing


def _wait(expected: Mapping[str, StaticRoute]) -> Tuple[StaticRoute, ...]:
    deadline = time.monotonic() + ALIVE_WAIT
    while True:
        missing = missing_routes(expected, _read_tables(expected))
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(POLL)


def _read_tables(expected: Mapping[str, StaticRoute]) -> List[Mapping[str, Any]]:
    families = {"ipv6" if ":" in prefix else "ip" for prefix in expected}
    return [vtysh.show_json(f"show {family} route static json") for family in sorted(families)]


def _static_lines(text: str) -> Tuple[str, ...]:
    """Return the static routes of the top level: those of a VRF are indented."""
    return tuple(line for line in text.splitlines() if line.startswith(("ip route ", "ipv6 route ")))


def _ours(lines: Iterable[str]) -> Dict[Tuple[object, ...], str]:
    routes = [_parse(line) for line in lines if " tag 77" in line]
    return {route.meaning: route.line for route in routes if route is not None and route.tag in OUR_TAGS}


def _parse(line: str) -> Optional[StaticRoute]:
    try:
        return parse_route(line)
    except ValueError:
        return None  # a saved file may hold lines that FRR does not take
