# SPDX-License-Identifier: GPL-3.0-or-later
"""The question whether core gateways have routes, as attach_vm.yml asks it, of a host that cannot answer."""

import sys
from pathlib import Path

TASKS = Path(__file__).parents[2] / "playbooks" / "tasks" / "wait_for_routes.yml"
PLAYBOOK = f"""
- hosts: localhost
  gather_facts: false
  vars:
    ansible_python_interpreter: {sys.executable}
    routes_witnesses: [localhost]
    junos_gateways: []
    routes_prefixes: [203.0.113.10/32]
    routes_expect: absent
    routes_wait: 0
  tasks:
    - block:
        - ansible.builtin.include_tasks: {TASKS}
      rescue:
        - ansible.builtin.debug:
            msg: "NOT KNOWN: {{{{ ansible_failed_result.results[0].msg }}}}"
"""


def test_a_gateway_that_cannot_answer_is_no_gateway_without_routes(run_ansible, tmp_path):
    """Else an address would be given back that the gateway may still route to a node."""
    playbook, inventory = tmp_path / "ask.yml", tmp_path / "hosts.yml"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    inventory.write_text("core_gateways: {hosts: {localhost: {ansible_connection: local}}}", encoding="utf-8")
    told = run_ansible("ansible-playbook", "-i", str(inventory), str(playbook), PATH="/usr/bin:/bin")
    assert "NOT KNOWN: FRR is not installed" in told, told
