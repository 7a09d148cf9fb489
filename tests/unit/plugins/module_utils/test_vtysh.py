# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What FRR's shell says, against what vtysh 8.4.4 and 10.3 printed (tests/unit/frr)."""

from pathlib import Path

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import vtysh

DATA = Path(__file__).parents[2] / "frr"
VERSIONS = ("8.4.4", "10.3")


def sort_out(version, number):
    lines = (DATA / f"refused_{number}.conf").read_text().splitlines()
    return vtysh._raise_refusals(lines, (DATA / version / f"refused_{number}.txt").read_text(), "nothing was saved")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_line_that_frr_does_not_know_is_named(version):
    with pytest.raises(vtysh.FrrRefused, match=r"refused `nonsense here`: % Unknown command.*\(nothing was saved\)"):
        sort_out(version, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_refused_line_is_named_with_what_frr_said(version):
    with pytest.raises(vtysh.FrrRefused) as caught:
        sort_out(version, 5)
    said = str(caught.value)
    assert "`neighbor 10.20.0.29 peer-group NOPE`: % Configure the peer-group first; " in said
    assert "`neighbor 10.20.0.99 description hello`: % Specify remote-as or peer-group commands first; " in said
    assert "Invalid prefix range for 10.0.0.0/24" in said
    assert "- ip prefix-list VMC-A seq 20 permit 10.0.0.0/24 ge 8" in said


def test_a_line_in_the_wrong_context_is_named_rather_than_the_end_of_that_context():
    statement = "  no neighbor 10.0.0.1 send-community all"
    lines = ["router bgp 1", " address-family l2vpn evpn", statement, " exit-address-family"]
    with pytest.raises(vtysh.FrrRefused, match="`no neighbor 10.0.0.1 send-community all`: % This does not belong"):
        vtysh._raise_refusals(lines, "line 4: % Unknown command[28]:  exit-address-family\n", "")


def test_what_is_no_refusal_is_a_hint():
    hint = "Graceful restart configuration changed, reset all peers to take effect"
    said = f"[84|mgmtd] sending configuration\n\n{hint}\n[84|mgmtd] done\n"
    assert vtysh._raise_refusals([], said, "") == [hint]


def test_a_refused_password_is_not_repeated():
    said = "line 1: % Unknown command[25]:  neighbor 10.0.0.1 password s3cret x\n"
    with pytest.raises(vtysh.FrrRefused) as caught:
        vtysh._raise_refusals([" neighbor 10.0.0.1 password s3cret x"], said, "")
    assert "s3cret" not in str(caught.value) and vtysh.MASK in str(caught.value)


@pytest.mark.parametrize("line, masked", [
    (" neighbor 10.0.0.1 password s3cret", " neighbor 10.0.0.1 password ********"),
    ("  key-string s3cret", "  key-string ********"),
    ("enable password 8 s3cret", "enable password ********"),
    ("ip ospf message-digest-key 1 md5 s3cret", "ip ospf message-digest-key 1 md5 ********"),
    ("route-map VMC-X permit 10", "route-map VMC-X permit 10"),
])
def test_secrets_are_masked(line, masked):
    assert vtysh.mask_secrets(line) == masked


@pytest.mark.parametrize(
    "line, daemon",
    [
        ("router bgp 65010", "bgpd"),
        ("no router bgp 65010", "bgpd"),
        ("bgp route-map delay-timer 1", "bgpd"),
        ("bfd", "bfdd"),
        ("ip route 10.0.0.0/8 blackhole", "staticd"),
        ("no ipv6 route ::/0 eth0", "staticd"),
        ("router ospf6", "ospf6d"),
        ("route-map X permit 10", None),
        ("ip router-id 1.1.1.1", None),
        (" bfd", None),
    ],
)
def test_it_is_known_which_daemon_a_statement_needs(line, daemon):
    assert vtysh.daemon_of(line) == daemon


def test_a_daemon_that_does_not_run_is_named_with_the_remedy():
    with pytest.raises(vtysh.DaemonNotRunning, match="bgpd=yes in /etc/frr/daemons"):
        vtysh.require_daemons(["router bgp 1", " bgp router-id 1.1.1.1", "exit"], frozenset(("zebra", "staticd")))


def test_the_absence_of_a_saved_configuration_is_an_empty_one(tmp_path):
    assert vtysh.read_saved_config(str(tmp_path / "frr.conf")) == ""
