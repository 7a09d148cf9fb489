#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: frr_neighbor
short_description: BGP neighbours and peer-groups of a running FRR
version_added: 0.1.0
description:
  - Adds, changes and removes BGP neighbours, peer-groups and listen ranges, in one call, by the difference to the
    running configuration. FRR is never restarted, and sessions that are not changed keep their up-time.
  - What is listed is exact for every kind of statement this module has an option for; other statements of the same
    neighbour, and neighbours and peer-groups that are not listed, are left alone, unless O(purge).
  - A new peer-group is complete, filters included, before a neighbour joins it; a new neighbour outside a peer-group
    is shut until its filters stand.
  - The configuration is saved, also when an earlier run was killed before it saved.
  - A peer-group's AS cannot be changed in place in FRR; the group is made again then, with its neighbours.
options:
  asn:
    description:
      - AS number of this BGP instance, as one number. C(router bgp) is made when it is missing; that another AS runs
        is refused.
    type: int
    required: true
  vrf:
    description:
      - VRF of the instance; the default one when absent.
    type: str
  peer_groups:
    description:
      - Peer-groups.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the peer-group.
        type: str
        required: true
      listen_ranges:
        description:
          - Prefixes from which neighbours are accepted without being named. Absent means that they are left alone, an
            empty list that there are none. See also O(listen_limit).
        type: list
        elements: str
      remote_as: &remote_as
        description:
          - AS number, V(internal) or V(external).
        type: str
      password: &password
        description:
          - Password of TCP MD5 (RFC 2385). It stands in no command line and in no output. A changed one resets the
            session.
        type: str
      timers: &timers
        description:
          - Timers, in seconds. FRR uses the session's new ones from the next time it comes up.
        type: dict
        suboptions:
          keepalive:
            description:
              - Between keepalives; at most a third of RV(ignore:hold).
            type: int
          hold:
            description:
              - Until a silent neighbour is given up.
            type: int
          connect:
            description:
              - Between attempts to connect.
            type: int
      bfd: &bfd
        description:
          - Whether BFD (RFC 5880) watches the session.
        type: bool
        default: false
      bfd_profile: &bfd_profile
        description:
          - BFD profile; implies BFD.
        type: str
      bfd_check_control_plane: &bfd_check_control_plane
        description:
          - Whether a BFD failure together with a graceful restart counts as a failed forwarding plane only. FRR 10
            needs it for restarts without loss; with 8.4 a dead neighbour's routes stay too long.
        type: bool
        default: false
      ttl_security: &ttl_security
        description:
          - The neighbour is at most so many hops away (GTSM, RFC 5082).
        type: int
      ebgp_multihop: &ebgp_multihop
        description:
          - The external neighbour may be so many hops away.
        type: int
      update_source: &update_source
        description:
          - Own address, or the interface that has it.
          - Leave it out with BFD on FRR 10.2 and 10.3.0, which then start BFD as multihop and open no session until
            it is up; an FRR 8 on the other side starts BFD, for one hop, only when the session is up.
        type: str
      description: &description
        description:
          - One line of description.
        type: str
      shutdown: &shutdown
        description:
          - Whether the session is kept down.
        type: bool
        default: false
      passive: &passive
        description:
          - Whether the other side opens the session.
        type: bool
        default: false
      extended_nexthop: &extended_nexthop
        description:
          - Whether IPv4 routes may have an IPv6 next hop (RFC 8950).
        type: bool
        default: false
      families: &families
        description:
          - Address families of the session. Those not listed are not active.
          - A neighbour in a peer-group has the group's, and lists only what differs.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Address family.
            type: str
            required: true
            choices: [ipv4 unicast, ipv6 unicast, l2vpn evpn, ipv4 multicast, ipv6 multicast, ipv4 labeled-unicast,
              ipv6 labeled-unicast, ipv4 vpn, ipv6 vpn]
          activate:
            description:
              - Whether routes of this family are exchanged.
            type: bool
            default: true
          route_reflector_client:
            description:
              - Whether the neighbour is a client of this route reflector (RFC 4456).
            type: bool
            default: false
          route_map_in:
            description:
              - Route-map for what comes. It must exist.
            type: str
          route_map_out:
            description:
              - Route-map for what goes. It must exist.
            type: str
          prefix_list_in:
            description:
              - Prefix-list for what comes.
            type: str
          prefix_list_out:
            description:
              - Prefix-list for what goes.
            type: str
          maximum_prefix:
            description:
              - The session is shut down when it brings more prefixes.
            type: int
          maximum_prefix_threshold:
            description:
              - Percentage of RV(ignore:maximum_prefix) from which FRR warns; 75 when absent.
            type: int
          maximum_prefix_restart:
            description:
              - Minutes after which a session shut down for its number of prefixes is tried again.
            type: int
          maximum_prefix_warning_only:
            description:
              - Whether FRR only warns.
            type: bool
            default: false
          next_hop_self:
            description:
              - Whether this host is the next hop of what it passes on; V(force) also for reflected routes.
            type: str
            choices: ["no", "yes", force]
            default: "no"
          send_community:
            description:
              - V(default) sends communities of all kinds, which is FRR's default.
            type: str
            choices: [default, none]
            default: default
          soft_reconfiguration:
            description:
              - Whether what the neighbour sent is kept as it came.
            type: bool
            default: false
          addpath_tx_all_paths:
            description:
              - Whether all paths are sent, not only the best (RFC 7911).
            type: bool
            default: false
      state: &state
        description:
          - Whether it is there.
        type: str
        choices: [present, absent]
        default: present
  neighbors:
    description:
      - Neighbours.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description:
          - IPv4 or IPv6 address.
        type: str
        required: true
      peer_group:
        description:
          - Peer-group that the neighbour is in. What the group says need not be said again.
        type: str
      remote_as: *remote_as
      password: *password
      timers: *timers
      bfd: *bfd
      bfd_profile: *bfd_profile
      bfd_check_control_plane: *bfd_check_control_plane
      ttl_security: *ttl_security
      ebgp_multihop: *ebgp_multihop
      update_source: *update_source
      description: *description
      shutdown: *shutdown
      passive: *passive
      extended_nexthop: *extended_nexthop
      families: *families
      state: *state
  listen_limit:
    description:
      - How many neighbours may come from listen ranges in all. FRR's default is 100, silently.
    type: int
  purge:
    description:
      - Whether peer-groups whose name begins with O(purge_prefix), and neighbours in them, go when they are not listed.
        Neighbours that come from listen ranges are no configuration.
    type: bool
    default: false
  purge_prefix:
    description:
      - Peer-groups whose name begins so are ours.
    type: str
    default: VMC-
  save:
    description:
      - Whether FRR saves its configuration, when the saved one lacks something of this.
    type: bool
    default: true
  wait:
    description:
      - Seconds until every listed neighbour is Established; 0 does not wait. The module fails with what FRR says of
        those that are not. Neighbours with O(neighbors[].shutdown) are not waited for. Nothing is waited for in check
        mode.
    type: int
    default: 0
  wait_for:
    description:
      - V(any) is content when one neighbour of each peer-group is Established.
    type: str
    choices: [all, any]
    default: all
extends_documentation_fragment:
  - vmcluster.network.attributes.changes_frr
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.frr_config
  - module: vmcluster.network.frr_neighbor_info
"""

EXAMPLES = r"""
- name: Sessions to both route reflectors are up
  vmcluster.network.frr_neighbor:
    asn: 65010
    peer_groups:
      - name: VMC-RR-V4
        remote_as: internal
        password: "{{ vault_bgp_password }}"
        timers: {keepalive: 3, hold: 9, connect: 5}
        bfd_profile: VMC-BFD
        ttl_security: 1
        families:
          - name: ipv4 unicast
            route_map_in: VMC-NODE-IN
            route_map_out: VMC-NODE-OUT
            maximum_prefix: 10000
    neighbors:
      - {address: 10.20.0.21, peer_group: VMC-RR-V4, description: rr1}
      - {address: 10.20.0.22, peer_group: VMC-RR-V4, description: rr2}
    purge: true
    wait: 30

- name: The reflector takes any node of the underlay
  vmcluster.network.frr_neighbor:
    asn: 65010
    listen_limit: 200
    peer_groups:
      - name: VMC-alpha-V4
        remote_as: internal
        listen_ranges: [10.20.0.0/24]
        families:
          - {name: ipv4 unicast, route_reflector_client: true, route_map_in: VMC-RR-alpha-IN}

- name: A neighbour is gone
  vmcluster.network.frr_neighbor:
    asn: 65010
    neighbors:
      - {address: 10.20.0.99, state: absent}
"""

RETURN = r"""
actions:
  description: What is done and why, one line each.
  returned: always
  type: list
  elements: str
  sample: ["neighbor 10.20.0.22: is missing"]
commands:
  description: Lines written to FRR, or that would be; passwords masked.
  returned: always
  type: list
  elements: str
  sample: ["router bgp 65010", " neighbor 10.20.0.22 peer-group VMC-RR-V4", "exit"]
saved:
  description: Whether the configuration was saved.
  returned: always
  type: bool
  sample: true
hints:
  description: What FRR said without refusing anything.
  returned: always
  type: list
  elements: str
  sample: []
sessions:
  description: The sessions waited for, as M(vmcluster.network.frr_neighbor_info) tells them.
  returned: when O(wait) is above 0
  type: list
  elements: dict
  sample: []
"""

import time
from typing import Any, Dict, List, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import frr_delta, frr_state, vtysh
from ansible_collections.vmcluster.network.plugins.module_utils.apply import ApplyError
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor import plan_neighbors
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor_input import ARGUMENTS, check_options
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of

POLL = 0.3  # seconds between looks at sessions


def run(options: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Read, plan, apply, report."""
    problems = check_options(options)
    if problems:
        raise ValueError("\n".join(problems))

    def planner(text: str) -> Sequence[Step]:
        return plan_neighbors(text, options, check_names=False)

    found = frr_delta.read_frr(predict=check_mode)
    steps = plan_neighbors(found.running, options, check_names=not check_mode)
    saving = frr_delta.plan_saving(found, planner) if options["save"] else ()
    hints: List[str] = []
    result: Dict[str, Any] = {}
    if not check_mode:
        passwords = frr_state.read_md5_failures(_netstat())
        hints = frr_delta.apply_delta(found.running, planner)
        if saving:
            frr_delta.apply_saving(planner)
        if options["wait"]:
            result["sessions"] = wait_for_sessions(options, passwords)
    result.update(report([*steps, *saving], hints, bool(saving) and not check_mode))
    return result


def report(steps: Sequence[Step], hints: Sequence[str], saved: bool) -> Dict[str, Any]:
    """Return the module's result, with every secret masked."""
    diff = diff_of(steps)  # the planner has masked it
    commands = [vtysh.mask_secrets(line) for line in frr_delta.lines_of(steps)]
    return {"changed": bool(steps), "actions": reasons_of(steps), "commands": commands, "diff": diff,
            "hints": list(hints), "saved": saved}


def wait_for_sessions(options: Mapping[str, Any], passwords: Mapping[str, int]) -> List[Dict[str, Any]]:
    """Wait, at most options.wait seconds, until the listed sessions are Established; return them.

    passwords: the kernel's counters of password failures from before the change. Raises vtysh.FrrError saying what
    FRR says of the sessions that are not up.
    """
    command = f"show bgp{frr_state.in_vrf(options['vrf'])} neighbors json"
    groups = frr_state.waited_for(options)
    end = time.monotonic() + options["wait"]
    while True:
        sessions = frr_state.read_sessions(vtysh.show_json(command))
        waiting = [frr_state.not_established(sessions, group) for group in groups]
        if not any(waiting):
            break
        if options["wait_for"] == "any" and all(len(down) < len(group) for down, group in zip(waiting, groups)):
            break
        if time.monotonic() > end:
            raise vtysh.FrrError(
                _complaint(options, sessions, [address for down in waiting for address in down], passwords)
            )
        time.sleep(POLL)
    listed = {address for group in groups for address in group}
    return [session for session in sessions if session["address"] in listed]


def _complaint(
        options: Mapping[str, Any], sessions: Sequence[Mapping[str, Any]], down: Sequence[str],
        passwords: Mapping[str, int]) -> str:
    known = {session["address"]: session for session in sessions}
    lines = [f"{len(down)} of the listed sessions are not Established after {options['wait']} s:"]
    for address in down[:20]:
        version = "ipv6" if ":" in address else "ip"
        route = vtysh.show_json(f"show {version} route{frr_state.in_vrf(options['vrf'])} {address} json")
        lines.append(frr_state.describe_session(address, known.get(address), frr_state.has_own_route(route)))
    if len(down) > 20:
        lines.append(f"and {len(down) - 20} more")
    lines += frr_state.describe_md5(passwords, frr_state.read_md5_failures(_netstat()))
    return "\n".join(lines)


def _netstat() -> str:
    with open("/proc/net/netstat", encoding="ascii") as stream:
        return stream.read()


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (vtysh.FrrError, ApplyError, ValueError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
