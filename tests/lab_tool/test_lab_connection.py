# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible's way into the lab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from vmlab import Lab
from vmlab.state import CHECKOUT

pytestmark = pytest.mark.lab
INVENTORY = """
all:
  hosts: {left: {}, right: {}, spare: {}}
  vars: {ansible_connection: lab_host, ansible_python_interpreter: /usr/bin/python3}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text(INVENTORY)
    return path


def run_module(
    lab: Lab, inventory: Path, host: str, module: str, arguments: str, **environment: str
) -> tuple[int, str]:
    ansible = Path(sys.executable).with_name("ansible")
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(inventory.parent),
        "LANG": "C.UTF-8",
        "VMCLUSTER_LAB": lab.name,
        "ANSIBLE_CONNECTION_PLUGINS": str(CHECKOUT / "lab" / "connection_plugins"),
        **environment,
    }
    argv = [str(ansible), "-i", str(inventory), host, "-m", module, "-a", arguments]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=120, env=settings, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("pipelining", ["0", "1"])
def test_modules_run_with_pipelining_and_without(lab: Lab, inventory: Path, pipelining: str) -> None:
    code, said = run_module(
        lab, inventory, "left:right", "ansible.builtin.command", "uname -n", ANSIBLE_PIPELINING=pipelining
    )
    assert code == 0, said
    assert "left | CHANGED | rc=0 >>\nleft" in said
    assert "right | CHANGED | rc=0 >>\nright" in said


def test_files_are_copied_in_and_out_whole(lab: Lab, inventory: Path, tmp_path: Path) -> None:
    source = tmp_path / "it's a file"
    source.write_bytes(bytes(range(256)) * 100)
    code, said = run_module(lab, inventory, "left", "ansible.builtin.copy", f'src="{source}" dest="/root/it\'s here"')
    assert code == 0, said
    code, said = run_module(
        lab, inventory, "left", "ansible.builtin.fetch", f'src="/root/it\'s here" dest={tmp_path}/back flat=true'
    )
    assert code == 0, said
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_ansible_reboots_a_host_and_finds_it_again(lab: Lab, inventory: Path) -> None:
    boots = lab.host_record("right").boots
    code, said = run_module(lab, inventory, "right", "ansible.builtin.reboot", "reboot_timeout=60")
    assert code == 0, said
    assert lab.host_record("right").boots == boots + 1


def test_a_host_that_is_off_is_unreachable_with_the_remedy(lab: Lab, inventory: Path) -> None:
    code, said = run_module(lab, inventory, "spare", "ansible.builtin.ping", "")
    assert code != 0
    assert "host spare is off; run: lab/lab host start spare" in said


def test_a_command_that_hangs_is_given_up(lab: Lab, inventory: Path) -> None:
    inventory.write_text(INVENTORY.replace("vars: {", "vars: {lab_timeout: 2, "))
    code, said = run_module(lab, inventory, "left", "ansible.builtin.raw", "sleep 60")
    assert code != 0
    assert "did not end within 2 s" in said


def test_ansibles_own_timeout_is_for_connecting_and_ends_no_command(lab: Lab, inventory: Path) -> None:
    code, said = run_module(lab, inventory, "left", "ansible.builtin.command", "sleep 2", ANSIBLE_TIMEOUT="1")
    assert code == 0, said


def test_a_delegated_task_runs_on_the_host_it_is_delegated_to(lab: Lab, inventory: Path) -> None:
    play = inventory.with_name("play.yml")
    play.write_text("""
- hosts: left
  gather_facts: false
  tasks:
    - ansible.builtin.command: uname -n
      delegate_to: "{{ item }}"
      loop: [right, left]
      register: told
    - ansible.builtin.assert:
        that: told.results | map(attribute='stdout') == ['right', 'left']
""")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(play)],
        capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
        env={**os.environ, "VMCLUSTER_LAB": lab.name,
             "ANSIBLE_CONNECTION_PLUGINS": str(CHECKOUT / "lab" / "connection_plugins")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
