#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: junos_bgp_group_info
short_description: BGP sessions of a Junos router, and the routes they brought
version_added: 0.1.0
description:
  - Tells the BGP sessions of groups, and the routes that were accepted over them. Changes nothing, and locks nothing.
  - Routes are asked for by neighbour, so a router with the whole Internet's table is asked for ours alone.
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
  - vmcluster.network.junos
options:
  groups:
    description:
      - Groups to tell of; all when left out, which on a border router is much.
    type: list
    elements: str
  prefixes:
    description:
      - Tell of these prefixes exactly. Together with O(within), of both; when neither is given, of all.
    type: list
    elements: str
  within:
    description:
      - Tell of all prefixes inside these.
    type: list
    elements: str
  expect:
    description:
      - With V(present), every one of O(prefixes) is to have an active route. With V(absent), none of them is to have
        one. RV(unexpected) tells those for which it is otherwise.
    type: str
    choices: [present, absent]
  next_hops:
    description:
      - With O(expect=present), a route counts only when its next hop is one of these.
    type: list
    elements: str
  wait:
    description:
      - Wait up to so many seconds until all sessions are Established and it is as O(expect) says; with V(absent) the
        sessions are not waited for. What is found then is told either way.
    type: float
    default: 0
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.junos_bgp_group
  - module: vmcluster.network.frr_neighbor_info
  - module: vmcluster.network.frr_route_info
"""

EXAMPLES = r"""
- name: The gateway has the VM's route
  vmcluster.network.junos_bgp_group_info:
    host: mx1.example.net
    user: automation
    groups: [VMC-RR-V4, VMC-RR-V6]
    prefixes: [203.0.113.10/32]
    expect: present
    wait: 10
  delegate_to: localhost
  register: gateway
  failed_when: gateway.unexpected | length > 0
"""

RETURN = r"""
sessions:
  description: One entry per session, sorted by address.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: Address of the neighbour.
      type: str
      sample: 10.20.0.21
    group:
      description: Group it is in.
      type: str
      sample: VMC-RR-V4
    description:
      description: Its description, if any.
      type: str
      sample: rr1
    remote_as:
      description: Its AS number.
      type: int
      sample: 65010
    state:
      description: State of the session (RFC 4271).
      type: str
      sample: Established
    flaps:
      description: How often it was lost.
      type: int
      sample: 0
    last_reset:
      description: Why it was last reset, in Junos's words.
      type: str
      sample: HoldTime
    instance:
      description: Routing instance.
      type: str
      sample: master
    tables:
      description: By routing table, how many prefixes were C(received), C(accepted), and are C(active).
      type: dict
      sample: {"inet.0": {"received": 5, "accepted": 5, "active": 5}}
routes:
  description: BGP routes that were accepted over these sessions, sorted by prefix.
  returned: always
  type: list
  elements: dict
  contains:
    prefix:
      description: The prefix.
      type: str
      sample: 203.0.113.10/32
    next_hop:
      description: Next hop as BGP has it.
      type: str
      sample: 10.20.0.11
    active:
      description: Whether it is the route that is used, against those of other protocols too.
      type: bool
      sample: true
    paths:
      description: All paths, each with C(best), C(next_hop), C(communities) and C(large_communities).
      type: list
      elements: dict
      sample: []
unexpected:
  description: Those of O(prefixes) for which it is not as O(expect) says.
  returned: when O(expect) is given
  type: list
  elements: str
  sample: []
"""

import ipaddress
from typing import Any, Dict, List, Mapping

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmcluster.network.plugins.module_utils import junos_input, junos_state, junos_verify, waiting
from ansible_collections.vmcluster.network.plugins.module_utils.frr_state import Wanted
from ansible_collections.vmcluster.network.plugins.module_utils.junos_error import JunosError
from ansible_collections.vmcluster.network.plugins.module_utils.junos_session import (
    PYEZ_MISSING,
    JunosSession,
    open_session,
)
from ansible_collections.vmcluster.network.plugins.module_utils.junos_wanted import Place

POLL = 0.5  # seconds between looks
ARGUMENTS: Dict[str, Any] = dict(
    junos_input.CONNECTION, **junos_input.PLACE,
    groups={"type": "list", "elements": "str"},
    prefixes={"type": "list", "elements": "str"},
    within={"type": "list", "elements": "str"},
    expect={"type": "str", "choices": ["present", "absent"]},
    next_hops={"type": "list", "elements": "str"},
    wait={"type": "float", "default": 0},
)


def run(options: Dict[str, Any]) -> Dict[str, Any]:
    """Read, report."""
    with open_session(options, [options["password"] or ""]) as session:
        return waiting.ask_until(lambda: read(session, options), lambda result: will_do(result, options),
                                 options["wait"], POLL)


def read(session: JunosSession, options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return sessions and routes as they are now."""
    place = Place(options["logical_system"], options["routing_instance"])
    names = options["groups"]
    sessions = [
        found for found in junos_verify.read_sessions(session, place)
        if names is None or found["group"] in names]
    routes: List[Dict[str, Any]] = []
    for version in (4, 6):
        addresses = [found["address"] for found in sessions if version_of(found["address"]) == version]
        routes += junos_verify.read_routes(session, place, version, addresses)
    wanted = Wanted(options["prefixes"], options["within"])
    told = [route for route in junos_state.best_routes(routes) if wanted.has(route["prefix"])]
    result: Dict[str, Any] = {"changed": False, "sessions": sessions, "routes": told}
    if options["expect"]:
        result["unexpected"] = find_unexpected(told, options)
    return result


def find_unexpected(routes: List[Dict[str, Any]], options: Mapping[str, Any]) -> List[str]:
    """Return the prefixes for which it is not as expected."""
    is_wanted = options["expect"] == "present"
    next_hops = options["next_hops"] if is_wanted else None
    active = {route["prefix"] for route in routes
              if route["active"] and (not next_hops or route["next_hop"] in next_hops)}
    prefixes = [str(ipaddress.ip_network(prefix)) for prefix in options["prefixes"] or []]
    return [prefix for prefix in prefixes if (prefix in active) is not is_wanted]


def will_do(result: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Tell whether there is nothing to wait for."""
    established = all(session["state"] == "Established" for session in result["sessions"])
    return (established or options["expect"] == "absent") and not result.get("unexpected")


def version_of(address: str) -> int:
    """Return the IP version of an address."""
    return 6 if ":" in address else 4


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if PYEZ_MISSING:
        module.fail_json(msg=missing_required_lib("junos-eznc"), exception=PYEZ_MISSING)
    options = junos_input.complete_connection(module.params)
    problems = junos_input.check_connection(options)
    for key in ("prefixes", "within"):
        problems += junos_input.check_prefixes(key, options[key] or [])
    if problems:
        module.fail_json(msg="\n".join(problems))
    try:
        module.exit_json(**run(options))
    except JunosError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
