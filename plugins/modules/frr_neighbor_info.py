#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_neighbor_info
short_description: State of the BGP sessions of a running FRR
version_added: 0.1.0
description:
  - Tells every BGP session with its state, up-time, prefixes per address family, and why it was last reset. Changes
    nothing.
options:
  vrf:
    description:
      - VRF of the BGP instance; the default one when absent.
    type: str
  peer_groups:
    description:
      - Tell only of sessions in these peer-groups; all when absent.
    type: list
    elements: str
  wait:
    description:
      - Wait up to so many seconds until all these sessions are Established, but for those that are shut down. What is
        found then is told, whether they are or not.
    type: float
    default: 0
extends_documentation_fragment:
  - vmcluster.network.attributes.reads_only
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_neighbor
"""

EXAMPLES = r"""
- name: Sessions are known
  vmcluster.network.frr_neighbor_info:
  register: bgp

- name: All sessions are established
  ansible.builtin.assert:
    that: bgp.sessions | rejectattr('state', 'eq', 'Established') | length == 0
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
    peer_group:
      description: Peer-group it is in, if any.
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
    router_id:
      description: Its router id; 0.0.0.0 before it said so.
      type: str
      sample: 10.20.0.21
    state:
      description: State of the session (RFC 4271), or V(Shutdown) when it is shut down by configuration.
      type: str
      sample: Established
    uptime:
      description: Seconds since it was established; 0 when it is not.
      type: int
      sample: 3600
    families:
      description: By address family, prefixes C(accepted) and C(sent), and the C(maximum) that is allowed, if any.
      type: dict
      sample: {"ipv4 unicast": {"accepted": 5, "sent": 2, "maximum": 10000}}
    connections_established:
      description: How often it was established since FRR started. It tells a reset that the up-time hides.
      type: int
      sample: 1
    connections_dropped:
      description: How often it was lost.
      type: int
      sample: 0
    last_reset:
      description: Why it was last reset, in FRR's words.
      type: str
      sample: Hold Timer Expired
    last_notification:
      description: The last notification received or sent, in FRR's words.
      type: str
      sample: Cease/Administrative Shutdown
    bfd:
      description: State of its BFD session, if it has one.
      type: str
      sample: Up
    dynamic:
      description: Whether it came from a listen range.
      type: bool
      sample: false
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_ask, vtysh

ARGUMENTS: Dict[str, Any] = {
    "vrf": {"type": "str"},
    "peer_groups": {"type": "list", "elements": "str"},
    "wait": {"type": "float", "default": 0},
}


def run(options: Dict[str, Any]) -> Dict[str, Any]:
    """Read, report."""
    return {"changed": False, "sessions": frr_ask.ask_sessions(options["vrf"], options["peer_groups"], options["wait"])}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params))
    except (vtysh.FrrError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
