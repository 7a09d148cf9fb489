# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a running FRR for its sessions and routes, again until they are as expected or time is over."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Mapping, Optional

from ansible_collections.vmcluster.network.plugins.module_utils import frr_state, vtysh, waiting


def ask_sessions(
        vrf: Optional[str] = None, groups: Optional[Collection[str]] = None, wait: float = 0) -> List[Dict[str, Any]]:
    """Return the sessions, see frr_neighbor_info for the keys; those in peer-groups only, when these are given.

    wait: seconds that those which nobody shut down may take to be Established. Raises vtysh.FrrError.
    """
    command = f"show bgp{frr_state.in_vrf(vrf)} neighbors json"

    def ask() -> List[Dict[str, Any]]:
        sessions = frr_state.read_sessions(vtysh.show_json(command))
        return [session for session in sessions if groups is None or session["peer_group"] in groups]

    return waiting.ask_until(ask, _are_up, wait)


def _are_up(sessions: List[Dict[str, Any]]) -> bool:
    return all(session["state"] in (frr_state.ESTABLISHED, "Shutdown") for session in sessions)


def ask_routes(options: Mapping[str, Any], wait: float = 0) -> Dict[str, Any]:
    """Return routes as frr_route_info does, whose options these are.

    wait: seconds that `prefixes` may take until they are as `expect` says. Raises vtysh.FrrError, ValueError.
    """
    wanted = frr_state.Wanted(options["prefixes"], options["within"])
    vrf = frr_state.in_vrf(options["vrf"])
    return waiting.ask_until(
        lambda: _ask_routes(options, wanted, vrf), lambda found: not found.get("unexpected"),
        wait if options["expect"] else 0)


def _ask_routes(options: Mapping[str, Any], wanted: frr_state.Wanted, vrf: str) -> Dict[str, Any]:
    routes: List[Dict[str, Any]] = []
    for command in frr_state.bgp_commands(wanted, vrf):
        routes += frr_state.read_bgp_routes(vtysh.show_json(command), wanted)
    found: Dict[str, Any] = {"routes": frr_state.without_doubles(routes)}
    if options["kernel"]:
        kernel: Dict[str, Any] = {}
        for command in frr_state.kernel_commands(wanted, vrf):
            kernel.update(frr_state.read_kernel_routes(vtysh.show_json(command), wanted))
        found["kernel"] = kernel
    if options["expect"]:
        hops = options.get("next_hops")
        counted = [route for route in found["routes"] if not hops or route["next_hop"] in hops]
        found["unexpected"] = frr_state.unexpected_prefixes(
            options["prefixes"] or [], counted, found.get("kernel"), options["expect"] == "present")
    return found
