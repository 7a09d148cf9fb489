# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemctl and vtysh print, read as what a host has of FRR."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.frr_host import (
    find_outdated,
    read_answers,
    read_system,
    read_unit,
    turns_forwarding_off,
)

DEBIAN_12 = """FRRouting 8.4.4 (rr1) on Linux(6.1.0).
Copyright 1996-2005 Kunihiro Ishiguro, et al.
Building configuration...

Current configuration:
!
frr version 8.4.4
service integrated-vtysh-config
!
end
 zebra bgpd watchfrr staticd bfdd
"""


def test_version_and_daemons_are_read():
    assert read_answers(DEBIAN_12) == {
        "version": "8.4.4", "daemons": ["bfdd", "bgpd", "staticd", "watchfrr", "zebra"], "integrated_config": True}


def test_a_configuration_in_several_files_is_seen():
    shown = DEBIAN_12.replace("service integrated", "no service integrated")
    assert read_answers(shown)["integrated_config"] is False


def test_a_development_version_is_read_as_far_as_it_is_a_number():
    assert read_answers(DEBIAN_12.replace("FRRouting 8.4.4", "FRRouting 10.5-dev"))["version"] == "10.5"


def test_an_frr_that_does_not_answer_has_neither_version_nor_daemons():
    assert read_answers("") == {"version": "", "daemons": [], "integrated_config": True}


@pytest.mark.parametrize(("shown", "active", "enabled"), [
    ("ActiveState=active\nUnitFileState=enabled\n", True, True),
    ("ActiveState=inactive\nUnitFileState=disabled\n", False, False),
    ("ActiveState=inactive\nUnitFileState=\n", False, False),
    ("", False, False),
])
def test_the_unit_is_read(shown, active, enabled):
    assert read_unit(shown) == {"active": active, "enabled": enabled}


@pytest.mark.parametrize(("saved", "expected"), [
    ("hostname a\nno ip forwarding\nno ipv6 forwarding\n", True),
    ("no ipv6 forwarding\n", True),
    ("ip forwarding\n! no ip forwarding\n", False),
    ("", False),
])
def test_a_saved_configuration_that_turns_forwarding_off_is_seen(saved, expected):
    assert turns_forwarding_off(saved) is expected


@pytest.mark.parametrize("text, expected", [
    ('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n', ("debian", "12", "bookworm", "debian")),
    ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n', ("ubuntu", "24", "noble", "debian")),
    ('ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', ("almalinux", "9", "", "redhat")),
    ('ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="8.10"\n', ("rhel", "8", "", "redhat")),
    ("ID=arch\n", ("arch", "", "", "")),
    ("", ("", "", "", "")),
])
def test_the_operating_system_is_read(text, expected):
    told = read_system(text)
    assert (told["id"], told["major"], told["codename"], told["family"]) == expected


def test_daemons_whose_file_was_replaced_are_told_and_those_that_are_gone_are_not(tmp_path):
    programs = {"bgpd": "/usr/lib/frr/bgpd (deleted)", "zebra": "/usr/lib/frr/zebra"}
    for number, (name, program) in enumerate(programs.items()):
        (tmp_path / f"{name}.pid").write_text(f"{number}\n")
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "exe").symlink_to(program)
    (tmp_path / "bfdd.pid").write_text("99\n")
    assert find_outdated(str(tmp_path / "*.pid"), str(tmp_path)) == ["bgpd"]
