# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bytecode and packs of modules that labs keep for each other: never of another source than the one that is there."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vmlab import Lab, kept_modules
from vmlab.kept_modules import bytecode_layer, packs_folder, switch_environment
from vmlab.playbooks import run_playbook
from vmlab.state import CHECKOUT
from vmlab.supervisor import BYTECODE

SMALL = Path(__file__).with_name("small.yml")
HOSTS = ("left", "right")  # of different Pythons
INVENTORY = """
all:
  hosts: {left: {}, right: {}}
  vars: {ansible_connection: lab_host, ansible_python_interpreter: /usr/bin/python3}
"""
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - vmcluster.network.fabric_vm_iface_info:
"""
# Imports a module from a zip file, as Ansible's modules import what they need.
IMPORT = """
import sys, zipfile
with zipfile.ZipFile("/tmp/answer.zip", "w") as packed:
    packed.writestr("answer.py", sys.argv[1])
sys.path.insert(0, "/tmp/answer.zip")
import answer
print(answer.ANSWER, answer.answer.__code__.co_filename)
"""


@pytest.fixture(scope="module", autouse=True)
def switched_on() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in switch_environment().items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def lab(switched_on: None) -> Iterator[Lab]:
    lab = Lab.up(SMALL, f"k{os.getpid()}")
    yield lab
    lab.down()


def source(answer: str) -> str:
    return f"ANSWER = {answer!r}\ndef answer(): pass\n"


def kept_of(answer: str) -> list[Path]:
    """What is kept of sources with this word in them."""
    return [path for path in (bytecode_layer()[0] / BYTECODE).iterdir() if answer.encode() in path.read_bytes()]


@pytest.mark.lab
@pytest.mark.parametrize("host", HOSTS)
def test_bytecode_is_kept_for_all_hosts_and_never_that_of_another_source(lab: Lab, host: str) -> None:
    first, second = (f"{word} {host} {time.time_ns()}" for word in ("one", "two"))
    for answer in (first, first, second, first):
        said = lab.exec(host, ["python3", "-c", IMPORT, source(answer)]).stdout
        assert said == f"{answer} /tmp/answer.zip/answer.py\n"
    assert len(kept_of(first)) == len(kept_of(second)) == 1
    kept = kept_of(first)[0]
    kept.write_bytes(kept.read_bytes().replace(b"one", b"its"))
    assert lab.exec(host, ["python3", "-c", IMPORT, source(first)]).stdout.startswith("its "), "it is really used"
    kept.write_bytes(kept.read_bytes()[:-9])
    assert lab.exec(host, ["python3", "-c", IMPORT, source(first)]).stdout.startswith("one "), "unless it is broken"


@pytest.mark.lab
def test_the_second_run_of_a_playbook_packs_no_module_and_leaves_the_packs(lab: Lab, tmp_path: Path) -> None:
    inventory, play = tmp_path / "hosts.yml", tmp_path / "play.yml"
    inventory.write_text(INVENTORY)
    play.write_text(PLAY)
    packs = []
    for _run in range(2):
        run_playbook(lab.name, str(play), inventory=[inventory])
        found = [path for path in packs_folder().iterdir() if "vm_iface_info" in path.name and path.suffix != ".lock"]
        packs.append([(path, path.stat().st_ino) for path in found])
    assert len(packs[0]) == 1 and packs[0] == packs[1]


def test_another_source_has_other_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in kept_modules.SOURCES:
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    monkeypatch.setattr(kept_modules, "CHECKOUT", tmp_path)
    before = packs_folder()
    assert packs_folder() == before
    with open(tmp_path / "plugins" / "module_utils" / "frr_text.py", "a") as changed:
        changed.write("\n")
    after = packs_folder()
    assert after != before
    for made in (before, after):
        made.rmdir()


def test_without_being_asked_labs_have_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kept_modules.SWITCH)
    assert bytecode_layer() == []
