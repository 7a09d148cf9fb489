# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Labs whose hosts begin with the disks that those of another lab had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from vmlab import Lab
from vmlab.commands import run_command

pytestmark = pytest.mark.lab
SMALL = Path(__file__).with_name("small.yml")
CHANGES = """
echo changed > /etc/motd
rm /etc/securetty /etc/debian_version 2>/dev/null || true
rm -r /etc/apt && mkdir /etc/apt && echo only > /etc/apt/mine
"""


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that begins where another has ended."""
    folder = tmp_path_factory.mktemp("saved")
    first = Lab.up(SMALL, f"s{os.getpid()}")
    try:
        first.exec("left", ["sh", "-euc", CHANGES])
        first.save(folder)
    finally:
        first.down()
    lab = Lab.up(SMALL, f"a{os.getpid()}", saved=folder)
    yield lab
    lab.down()


def shell(lab: Lab, script: str) -> str:
    return lab.exec("left", ["sh", "-euc", script]).stdout


def test_what_hosts_wrote_and_removed_is_so_from_the_beginning(again: Lab) -> None:
    assert shell(again, "cat /etc/motd; ls /etc/apt; ls /etc/debian_version 2>&1 || true").splitlines()[:2] == [
        "changed", "mine"]
    assert "No such file" in shell(again, "ls /etc/debian_version 2>&1 || true")


def test_boot_commands_and_the_labs_own_keys_are_there(again: Lab) -> None:
    assert "boot_net0" in shell(again, "ip link")
    ssh = ["ssh", "-F", again.state.key.parent / "config", "-o", "BatchMode=yes", "root@left", "uname", "-n"]
    assert run_command(ssh).stdout == "left\n"


def test_a_replaced_host_is_bare(again: Lab) -> None:
    again.host_replace("left")
    assert shell(again, "cat /etc/motd; ls /etc/debian_version") == "welcome/etc/debian_version\n"
    assert "mine" not in shell(again, "ls /etc/apt")
