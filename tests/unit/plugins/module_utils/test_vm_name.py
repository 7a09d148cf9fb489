# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of VMs and of their interfaces."""

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import check_vm_name, interface_name


def test_a_short_name_is_kept_and_has_no_altname():
    assert interface_name("sea_gold") == ("sea_gold_net0", None)
    assert interface_name("web1", 1) == ("web1_net1", None)


def test_ten_characters_are_the_longest_name_that_is_kept():
    assert interface_name("a" * 10) == ("aaaaaaaaaa_net0", None)


def test_a_longer_name_is_shortened_with_a_hash_and_kept_as_altname():
    assert interface_name("database-primary") == ("dat-f45iux_net0", "database-primary_net0")


@pytest.mark.parametrize("nic", [0, 9, 10, 99])
@pytest.mark.parametrize("vm", ["a", "web1", "a" * 9, "a" * 10, "a" * 11, "a" * 63])
def test_no_interface_name_is_longer_than_linux_allows(vm, nic):
    name, altname = interface_name(vm, nic)
    assert len(name) <= 15
    assert altname in (None, f"{vm}_net{nic}")
    assert check_vm_name(name) is None


def test_nics_of_a_vm_share_their_beginning():
    assert interface_name("database-primary", 1)[0] == "dat-f45iux_net1"


@pytest.mark.parametrize("name", ["web1", "Web_1-a", "1", "a" * 63])
def test_usual_names_are_accepted(name):
    assert check_vm_name(name) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("", "is empty"),
        ("a" * 64, "64 characters"),
        ("web.1", "characters that are not allowed"),
        ("web/1", "characters that are not allowed"),
        ("web%1", "characters that are not allowed"),
        ("web 1", "characters that are not allowed"),
        ("web1\n", "characters that are not allowed"),
        ("wéb", "characters that are not allowed"),
        ("wеb", "characters that are not allowed"),  # a Cyrillic letter
        ("-web", "characters that are not allowed"),
        ("_web", "characters that are not allowed"),
        ("all", "reserved"),
        ("lo", "reserved"),
        ("Null0", "reserved"),
        ("blackhole", "reserved"),
    ],
)
def test_names_that_a_kernel_or_frr_would_take_badly_are_refused(name, part):
    assert part in check_vm_name(name)
