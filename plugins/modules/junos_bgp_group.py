#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: junos_bgp_group
short_description: BGP groups of a Junos router towards route reflectors, with their policies
version_added: 0.1.0
description:
  - Makes BGP groups, their policies and communities, and discard routes exactly as listed, by the difference to what is
    configured. What does not differ is not touched, so sessions that are not changed are not reset.
  - In one session, exclusive lock, load, Junos's own diff, commit check, C(commit confirmed), verification by RPC, and
    the commit that confirms; or C(rollback 1) and commit at once when the verification fails. When the session or the
    controller is lost in between, Junos rolls back by itself, and the next run completes.
  - With nothing to change, nothing is locked, loaded, checked or committed, and the history has no new entry.
  - Somebody else's commit that waits for its confirmation is never confirmed; the module fails then. One of its own,
    left by a run that was killed, is verified and confirmed when it is still what is wanted, and taken back first when
    it is not. Own ones are known by O(comment) and the routing instance.
  - It owns the groups and policies it is given by name, communities named O(purge_prefix) and the name of the cluster,
    and static discard routes with tag 773. Of a group it owns the statements it has options for; others, C(log-updown)
    for one, are the operator's. C(autonomous-system) and C(router-id) are the whole router's, and are never changed.
  - A group made by hand is taken over by its name and those of its policies, O(groups[].import_policy) and
    O(groups[].export_policy). A policy that something else refers to is not changed; a group that is external, or holds
    another AS, is refused.
extends_documentation_fragment:
  - vmcluster.network.junos
options:
  asn:
    description:
      - AS number of the clusters. C(routing-options autonomous-system), of the instance or else of its system, must be
        it.
    type: int
    required: true
  groups:
    description:
      - BGP groups, each with sessions of one family to route reflectors of the own AS.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the group.
        type: str
        required: true
      family:
        description:
          - Family of the sessions and of the routes they bring.
        type: str
        choices: [ipv4, ipv6]
        required: true
      local_address:
        description:
          - Own address of the sessions. It is not added to a group made by hand that is there without, whose sessions
            it would reset.
        type: str
      neighbors:
        description:
          - The route reflectors.
        type: list
        elements: dict
        required: true
        suboptions:
          address:
            description:
              - IPv4 or IPv6 address, as the family says.
            type: str
            required: true
          description:
            description:
              - One line of description.
            type: str
      password:
        description:
          - Password of TCP MD5 (RFC 2385), C(authentication-key). It stands in no output. Junos shows it scrambled with
            another salt each time; the module compares what it says. A changed one resets the sessions.
        type: str
      hold_time:
        description:
          - Seconds until a silent neighbour is given up; the smaller one of both sides counts. Junos recommends not
            less than 20 without C(precision-timers). Junos's default is 90.
        type: int
      bfd:
        description:
          - BFD (RFC 5880), as on one segment (C(session-mode single-hop)). None when it is left out.
        type: dict
        suboptions:
          interval:
            description:
              - Milliseconds between packets, sent and received.
            type: int
            default: 300
          multiplier:
            description:
              - So many packets lost in a row end the session.
            type: int
            default: 3
      ttl_security:
        description:
          - Whether packets are sent with TTL 255 (C(multihop ttl 255)), which neighbours with GTSM (RFC 5082) ask for.
            Without, Junos sends internal sessions' packets with 64.
          - Junos does not look at the TTL of what comes in; that takes a firewall filter on the loopback interface
            (C(ttl-except 255)).
        type: bool
        default: false
      graceful_restart:
        description:
          - Whether routes of a restarting neighbour are kept meanwhile, which Junos does by default.
        type: bool
        default: true
      prefix_limit:
        description:
          - A session that brings more prefixes, accepted or not, is torn down for 5 minutes. From 80 percent on Junos
            logs. No limit when it is left out.
        type: int
      import_policy:
        description:
          - Name of the policy for what comes; the group's name with C(-IN) when left out. Each group has its own.
        type: str
      export_policy:
        description:
          - Name of the policy for what goes, which rejects everything; the group's name with C(-OUT) when left out.
        type: str
      accept:
        description:
          - What is accepted, one term of the policy for each cluster. Everything else is rejected.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description:
              - Name of the cluster.
            type: str
            required: true
          communities:
            description:
              - Communities that a route must carry, all of them; V(65010:100), or V(4200000001:1:100) for a large one.
            type: list
            elements: str
            default: []
          prefixes:
            description:
              - Prefixes the cluster's routes are in. Those of the other family are left out. They should not overlap.
            type: list
            elements: dict
            default: []
            suboptions:
              prefix:
                description:
                  - The prefix.
                type: str
                required: true
              length:
                description:
                  - The least length of a route inside it; host routes only when left out.
                type: int
  match:
    description:
      - V(host) accepts routes of at least the given length that carry the communities.
      - V(orlonger) accepts the prefix and all within it, without communities, as VMmanager's documented recipe does. A
        node can take a whole pool then. A new group is written with C(peer-as) as there, not C(type internal).
    type: str
    choices: [host, orlonger]
    default: host
  discard:
    description:
      - Prefixes to discard packets for that have no more specific route, so that they do not go back to where they came
        from. Made as static routes with tag 773. A discard route of the operator's own is left as it is.
    type: list
    elements: str
    default: []
  purge:
    description:
      - Whether groups, policies and communities whose names begin with O(purge_prefix), and static routes with tag 773,
        go when they are not listed. What others refer to is kept, and told in RV(kept).
    type: bool
    default: false
  purge_prefix:
    description:
      - Names that begin so are ours.
    type: str
    default: VMC-
  confirm:
    description:
      - Minutes after which Junos rolls back unless the change was confirmed.
    type: int
    default: 5
  expect:
    description:
      - What must be so before a change is confirmed. That nothing but what O(groups[].accept) lists was accepted from
        the neighbours is always verified.
    type: dict
    suboptions:
      established:
        description:
          - Sessions that must be Established, V(all) neighbours, V(any) one of each group, or V(none) before reflectors
            are there.
        type: str
        choices: [all, any, none]
        default: all
      prefixes:
        description:
          - Prefixes that must have an active BGP route.
        type: list
        elements: str
        default: []
  wait:
    description:
      - Seconds the verification may take; less than O(confirm).
    type: int
    default: 30
  comment:
    description:
      - Text in Junos's commit log, followed by the module's name and the routing instance.
    type: str
    default: vmcluster.network
attributes:
  check_mode:
    description: Locks, loads, diffs, has the candidate checked, and discards it.
    support: full
  diff_mode:
    description: Shows Junos's own patch (C(show | compare)), passwords masked.
    support: full
author:
  - The vmcluster.network authors (@vmcluster)
seealso:
  - module: vmcluster.network.junos_bgp_group_info
"""

EXAMPLES = r"""
- name: The core gateway learns the cluster's routes from both reflectors
  vmcluster.network.junos_bgp_group:
    host: mx1.example.net
    user: automation
    private_key_file: ~/.ssh/automation
    asn: 65010
    groups:
      - name: VMC-RR-V4
        family: ipv4
        local_address: 10.20.0.1
        neighbors:
          - {address: 10.20.0.21, description: rr1}
          - {address: 10.20.0.22, description: rr2}
        password: "{{ vault_bgp_password }}"
        bfd: {interval: 300, multiplier: 3}
        ttl_security: true
        prefix_limit: 10000
        accept:
          - name: alpha
            communities: ["65010:100"]
            prefixes: [{prefix: 203.0.113.0/24, length: 32}]
    discard: [203.0.113.0/24]
    purge: true
    expect: {prefixes: [203.0.113.10/32]}
  delegate_to: localhost

- name: A group made by hand after VMmanager's recipe is taken over, with filters as there
  vmcluster.network.junos_bgp_group:
    host: mx1.example.net
    ssh_config: files/ssh_config          # with a ProxyCommand by the jump host
    asn: 65010
    match: orlonger
    groups:
      - name: VM
        family: ipv4
        import_policy: VM
        export_policy: reject-all
        neighbors: [{address: 10.20.0.21}]
        accept:
          - {name: isp-ipv4, prefixes: [{prefix: 203.0.113.0/24}]}
  delegate_to: localhost
"""

RETURN = r"""
actions:
  description: What differs and why, one line for each object.
  returned: always
  type: list
  elements: str
  sample: ["policy VMC-RR-V4-IN: differs"]
commands:
  description: Lines loaded, or that would be; passwords masked.
  returned: always
  type: list
  elements: str
  sample: ["set protocols bgp group VMC-RR-V4 neighbor 10.20.0.22 description rr2"]
kept:
  description: What is left as it is although it is not wanted, and why; and keys that cannot be compared.
  returned: always
  type: list
  elements: str
  sample: []
hints:
  description: What is worth knowing of commits that wait for their confirmation, and of what Junos shows otherwise.
  returned: always
  type: list
  elements: str
  sample: []
commit:
  description: The commit; C(confirmed) says whether there was one that stays.
  returned: always
  type: dict
  sample: {"confirmed": true, "comment": "vmcluster.network: junos_bgp_group of master", "minutes": 5}
groups:
  description: What C(show bgp group NAME detail) tells of the listed groups after a change.
  returned: when something was changed
  type: list
  elements: dict
  sample:
    - name: VMC-RR-V4
      type: Internal
      import_policy: VMC-RR-V4-IN
      export_policy: VMC-RR-V4-OUT
      peers: 2
      established: 2
      addresses: [10.20.0.21, 10.20.0.22]
      tables: {inet.0: {received: 5, accepted: 5, active: 5}}
missing:
  description: What was wrong when a change was verified.
  returned: when a change was not confirmed
  type: list
  elements: str
  sample: ["the session to 10.20.0.21 of group VMC-RR-V4 is Active"]
rolled_back:
  description: Whether the change was taken back at once. If not, Junos does it by itself, and the message says when.
  returned: when a change was not confirmed
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmcluster.network.plugins.module_utils import junos_input, junos_run
from ansible_collections.vmcluster.network.plugins.module_utils.junos_change import ChangeFailed
from ansible_collections.vmcluster.network.plugins.module_utils.junos_error import JunosError
from ansible_collections.vmcluster.network.plugins.module_utils.junos_session import PYEZ_MISSING


def main() -> None:
    module = AnsibleModule(argument_spec=junos_input.ARGUMENTS, supports_check_mode=True)
    if PYEZ_MISSING:
        module.fail_json(msg=missing_required_lib("junos-eznc"), exception=PYEZ_MISSING)
    options = junos_input.complete_options(module.params)
    problems = junos_input.check_options(options)
    if problems:
        module.fail_json(msg="\n".join(problems))
    try:
        result = junos_run.run(options, module.check_mode)
        for warning in [*result["hints"], *result["kept"]]:
            module.warn(warning)
        module.exit_json(**result)
    except ChangeFailed as error:
        patch = error.facts["diff"]["prepared"].strip("\n")  # Ansible shows no diff of a task that failed
        module.fail_json(msg=f"{error}\nThe change was:\n{patch}" if patch else str(error), **error.facts)
    except JunosError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
