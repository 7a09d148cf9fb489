# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of options that modules which write FRR's configuration share."""

from __future__ import annotations


class ModuleDocFragment:
    """`vmcluster.network.frr.statements`, `.neighbors` and `.save`."""

    STATEMENTS = r"""
options:
  text:
    description:
      - Statements as C(show running-config) lays them out, the content of a context indented.
      - C(no X) means that X must not be there.
      - C(neighbor) statements and C(bgp listen range) are refused here, see M(vmcluster.network.frr_neighbor).
      - Entries of prefix- and community-lists may leave out C(seq). Where all entries of a list have the same action,
        they are compared as a set, whatever their numbers.
    type: str
    required: true
  prefix:
    description:
      - Names that begin so are ours. Empty means that no name is, so nothing is removed.
    type: str
    default: ""
  owned_tags:
    description:
      - Static routes (C(ip route), C(ipv6 route)) with one of these tags are ours.
    type: list
    elements: int
    default: []
"""

    NEIGHBORS = r"""
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
      state:
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
      state:
        description:
          - Whether it is there.
          - With V(fenced) a neighbour that is there is shut down, in a way that V(present) leaves alone, until
            V(readmitted) takes that away. Its other statements and options are not looked at.
        type: str
        choices: [present, absent, fenced, readmitted]
        default: present
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
"""

    SAVE = r"""
options:
  save:
    description:
      - Whether FRR saves its configuration, when the saved one lacks something of this.
    type: bool
    default: true
"""
