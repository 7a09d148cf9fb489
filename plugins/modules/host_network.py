#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) vmcluster.network contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_network
short_description: Change a host's own network without losing the host
description:
  - Sets up interfaces, bridges, bonds, VLANs, addresses and routes of a host through the manager that the host uses
    already, which is systemd-networkd, netplan, NetworkManager or ifupdown.
  - The change is carried out by the host itself. A timer on the host brings the old state back unless the change is
    confirmed. After the change Ansible comes back over a new connection, the host tests gateways and addresses, and
    only then the timer is stopped. A reboot in between brings the old state back too.
  - Interfaces that are listed are wholly this module's, and what the operator has for them is set aside. Interfaces
    that are not listed any more go back to what the operator has for them. All others are left alone.
  - An action plugin runs the steps. Where it is missing, a change is started and goes back, as nobody confirms it.
version_added: 0.1.0
author:
  - The vmcluster.network developers (@vmcluster)
options:
  interfaces:
    description: All interfaces that are to be this module's. An empty list takes back whatever it has set up.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the interface. A NIC may be named by its MAC address or PCI path too.
        type: str
        required: true
      kind:
        description: V(port) is a NIC that the host has; the others are made.
        type: str
        choices: [port, bridge, bond, vlan]
        default: port
      ports:
        description:
          - Ports of a bridge or bond, NICs by name, MAC address or PCI path.
          - One that is not listed as an interface is added, with the MTU of the bridge or bond.
        type: list
        elements: str
        default: []
      link:
        description: The interface that a V(vlan) stands on.
        type: str
      id:
        description: VLAN, 1 to 4094.
        type: int
      mode:
        description: Mode of a V(bond).
        type: str
        choices: [active-backup, 802.3ad, balance-xor, balance-rr, broadcast, balance-tlb, balance-alb]
        default: active-backup
      mac:
        description: MAC address. A bridge or bond has by default that of its NIC, so the network knows the host again.
        type: str
      mtu:
        description: MTU in bytes. Without it, the manager's or driver's own.
        type: int
      addresses:
        description: Addresses of the host with length.
        type: list
        elements: str
        default: []
      dhcp4:
        description: Whether to ask for an IPv4 address by DHCP.
        type: bool
        default: false
      routes:
        description: Routes by this interface.
        type: list
        elements: dict
        default: []
        suboptions:
          to:
            description: A prefix, or V(default).
            type: str
            required: true
          via:
            description: The gateway.
            type: str
          on_link:
            description: The gateway is on the wire although it is in no subnet of the interface, as with rented hosts.
            type: bool
            default: false
          metric:
            description: Metric. Without it, the manager's own.
            type: int
          source:
            description: Address that the host uses for what it sends this way.
            type: str
          unreachable:
            description:
              - What no longer prefix leads to ends here, as unreachable. By its default route a host that routes would
                send it back to its router, and that one to the host again.
            type: bool
            default: false
      nameservers:
        description: Addresses of name servers.
        type: list
        elements: str
        default: []
      accept_ra:
        description: Whether to take addresses and routes from IPv6 router advertisements.
        type: bool
        default: false
      link_local:
        description:
          - Whether the interface has an IPv6 link-local address.
          - Without it, and without any IPv6 address, IPv6 is off on it. Ports of a bridge or bond never have one.
        type: bool
        default: true
  sysctls:
    description: Sysctls of the network, set now and at boot, keys as in sysctl.d(5).
    type: dict
    default: {}
  manager:
    description: Who manages the interfaces of the plan. V(auto) finds it out, or fails when that cannot be said.
    type: str
    choices: [auto, netplan, nm, networkd, ifupdown]
    default: auto
  gateways_answer:
    description: Whether every gateway in O(interfaces[].routes) has to answer after the change.
    type: bool
    default: true
  timeout:
    description:
      - Seconds after which the old state is back when the change is not confirmed, 30 at least.
      - The timer goes off 20 seconds earlier, which are for the way back.
    type: int
    default: 90
  step:
    description: Used by the action plugin. V(change) plans and starts, V(confirm) tests and confirms, V(outcome) reads.
    type: str
    choices: [change, confirm, outcome]
    default: change
  change:
    description: Used by the action plugin. The change that O(step) is about.
    type: str
attributes:
  action:
    description: The action plugin runs the module on the host several times.
    support: full
  check_mode:
    description: Tells what would be changed.
    support: full
  diff_mode:
    description: Tells every file that is written or removed, and the lines of an operator's file that are set aside.
    support: full
seealso:
  - module: vmcluster.network.host_interfaces_info
requirements:
  - iproute2
  - systemd
"""

EXAMPLES = r"""
- name: The host's address is on a bridge
  vmcluster.network.host_network:
    interfaces:
      - name: br0
        kind: bridge
        ports: [eth0]
        addresses: [192.0.2.11/24, "2001:db8::11/64"]
        routes:
          - {to: default, via: 192.0.2.1}
          - {to: default, via: "fe80::1"}

- name: A rented host has its address on the NIC, and a gateway outside its subnet
  vmcluster.network.host_network:
    interfaces:
      - name: "0000:01:00.0"
        addresses: [203.0.113.7/32]
        routes:
          - {to: default, via: 198.51.100.1, on_link: true}

- name: The network is the operator's alone again
  vmcluster.network.host_network:
    interfaces: []
"""

RETURN = r"""
manager:
  description: Who manages the network of this host.
  returned: unless refused
  type: str
  sample: systemd-networkd
interfaces:
  description: Names of all interfaces in the plan, ports included.
  returned: unless refused
  type: list
  elements: str
  sample: [eth0, br0]
actions:
  description: What was changed and why, or would be in check mode.
  returned: unless refused
  type: list
  elements: str
  sample: ["file /etc/systemd/network/05-vmcluster-br0.network: is missing"]
tried:
  description: The tests that the host had to pass before the change was confirmed.
  returned: when something was changed
  type: list
  elements: str
  sample: ["gateway 192.0.2.1 answers"]
wrong:
  description: What was wrong, when the old state came back.
  returned: when something was changed
  type: list
  elements: str
  sample: ["gateway 192.0.2.1 does not answer on br0"]
outcome:
  description: What has become of the change.
  returned: when something was changed
  type: str
  sample: confirmed
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import host_run


def main() -> None:
    module = AnsibleModule(
        argument_spec=host_run.ARGUMENT_SPEC, supports_check_mode=True,
        required_if=[("step", "confirm", ["change"]), ("step", "outcome", ["change"])])
    told = host_run.run(module.params, module.check_mode)
    if told.pop("failed", False):
        module.fail_json(**told)
    module.exit_json(**told)


if __name__ == "__main__":
    main()
