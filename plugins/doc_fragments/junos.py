# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules for Junos share: how a device is reached, and where on it the work is."""

from __future__ import annotations


class ModuleDocFragment:
    """`vmcluster.network.junos`."""

    DOCUMENTATION = r"""
requirements:
  - junos-eznc (PyEZ) 2.8 or later, on the host the module runs on
notes:
  - The module speaks NETCONF over SSH by itself, so it runs on the controller (or any host that reaches the device),
    with C(connection=local) or C(delegate_to=localhost). In AWX it runs in the execution environment, which needs
    C(junos-eznc); ansible-builder takes it from this collection.
  - On the device, C(set system services netconf ssh), and a user whose class has the permissions C(view-configuration),
    C(configure), C(routing), C(routing-control) and, to see what others left uncommitted, C(view).
options:
  host:
    description:
      - Name or IPv4 address of the device; or a C(Host) of O(ssh_config). PyEZ takes no IPv6 address, so such a device
        needs a name.
    type: str
    required: true
  port:
    description:
      - Port that NETCONF listens on. A C(Port) of O(ssh_config) comes first.
    type: int
    default: 830
  user:
    description:
      - User to log in as. E(ANSIBLE_NET_USERNAME), which AWX's credential of type Network sets, then O(ssh_config),
        then the local user's name are taken when it is left out.
    type: str
  password:
    description:
      - Password, also of O(private_key_file). Without both, keys of the SSH agent and of C(~/.ssh) are tried.
      - E(ANSIBLE_NET_PASSWORD) is taken when it is left out.
    type: str
  private_key_file:
    description:
      - File with the private key, on the host the module runs on. E(ANSIBLE_NET_SSH_KEYFILE) is taken when it is left
        out.
    type: path
  ssh_config:
    description:
      - File in the form of OpenSSH's C(ssh_config), of which C(HostName), C(Port), C(User), C(IdentityFile),
        C(UserKnownHostsFile) and C(ProxyCommand) count. A jump host is C(ProxyCommand ssh -W %h:%p jump.example.net);
        C(ProxyJump) is not known to PyEZ, and refused.
      - C(~/.ssh/config) when it is left out and there is one.
    type: path
  host_key_checking:
    description:
      - Whether the device must have the host key that C(known_hosts) has of it. Without, whoever is in between may read
        the passwords and change what is configured.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait for the connection, and for each answer. Commits have ten minutes.
    type: int
    default: 30
  logical_system:
    description:
      - Logical system that everything is in; the router itself when it is left out.
    type: str
  routing_instance:
    description:
      - Routing instance that sessions and routes are in; the main one when it is left out. Policies and communities are
        the logical system's.
    type: str
"""
