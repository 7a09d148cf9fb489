#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: console_token
short_description: Tokens that open consoles of VMs
version_added: 0.1.0
description:
  - Makes a token by which a browser reaches the VNC display of one VM until it expires, on a host with role
    P(vmcluster.network.console#role); or withdraws all tokens of a VM. A token is 256 random bits.
  - The host keeps a token's SHA-256, in memory, and never the token, which is in the answer alone. Register that with
    C(no_log).
  - Each call with O(state=present) makes another token. Those that have expired are removed by any call.
  - A console that is open when its token expires or is withdrawn stays open.
options:
  folder:
    description: Where tokens are kept. Role P(vmcluster.network.console#role) makes it.
    type: path
    default: /run/vmcluster-console
  vm:
    description: Name of the VM.
    type: str
    required: true
  state:
    description: V(present), make a token. V(absent), withdraw those of the VM.
    type: str
    choices: [present, absent]
    default: present
  host:
    description: Address that the VNC display listens on. Needed with O(state=present).
    type: str
  port:
    description: TCP port of the VNC display. Needed with O(state=present).
    type: int
  desktop:
    description:
      - What the display calls itself, for example V(QEMU (web1\)). The token opens no display of another name, such as
        that of a VM that was started at the port after this one had ended. A display that asks for a password is not
        asked for its name.
    type: str
  lifetime:
    description: Seconds that the token is good for.
    type: int
    default: 600
attributes:
  check_mode:
    description: Predicts, and makes no token.
    support: full
  diff_mode:
    description: Shows what a token leads to, not the token.
    support: full
author:
  - The vmcluster.network developers (@vmcluster)
"""

EXAMPLES = r"""
- name: There is a token for the console of web1
  vmcluster.network.console_token:
    vm: web1
    host: 10.20.0.11
    port: 5900
  delegate_to: master
  register: console
  no_log: true
"""

RETURN = r"""
token:
  description: The token, for the path C(/websockify?token=).
  returned: with O(state=present), not in check mode
  type: str
  sample: 0f1e…
expires:
  description: When it expires.
  returned: with O(state=present), not in check mode
  type: str
  sample: "2026-11-22 05:10:00 UTC"
actions:
  description: What was changed and why, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["a token of web1: is asked for"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmcluster.network.plugins.module_utils import console_token
from ansible_collections.vmcluster.network.plugins.module_utils.answer import answer_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=console_token.ARGUMENT_SPEC, supports_check_mode=True,
        required_if=[("state", "present", ("host", "port"))])
    answer_module(module, console_token.run)


if __name__ == "__main__":
    main()
