# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From role variables to the groups of a Junos gateway."""

from ansible_collections.vmcluster.network.plugins.plugin_utils.junos_groups import junos_groups

BGP = {
    "password": "",
    "timers": {"keepalive": 3, "hold": 9},
    "bfd": {"interval": 300, "multiplier": 3},
    "ttl_security": True,
    "graceful_restart": True,
    "max_prefixes": 10000,
}
SOURCE = {"ipv4": "10.20.0.1", "ipv6": "fd20::1"}
NAMES = {
    "ipv4": {"name": "VM", "import_policy": "VM", "export_policy": "reject-all"},
    "ipv6": {"name": "VMC-RR-V6", "import_policy": "VMC-RR-V6-IN", "export_policy": "VMC-RR-V6-OUT"},
}
RR1 = {"name": "rr1", "ipv4": "10.20.0.21", "ipv6": "fd20::21"}
RR2 = {"name": "rr2", "ipv4": "10.20.0.22"}
V4 = {"prefix": "203.0.113.0/24", "length": 32}
V6 = {"prefix": "2001:db8:1::/64", "length": 128}


def cluster(name, prefixes, reflectors):
    return {"name": name, "communities": [f"65010:{len(name)}"], "prefixes": prefixes, "reflectors": reflectors}


def test_a_family_has_its_group_with_the_neighbours_and_prefixes_of_that_family():
    ipv4, ipv6 = junos_groups([cluster("alpha", [V4, V6], [RR1, RR2])], BGP, SOURCE, NAMES)
    assert ipv4 == {
        "name": "VM",
        "import_policy": "VM",
        "export_policy": "reject-all",
        "family": "ipv4",
        "local_address": "10.20.0.1",
        "neighbors": [
            {"address": "10.20.0.21", "description": "rr1"}, {"address": "10.20.0.22", "description": "rr2"}],
        "password": None,
        "hold_time": 10,
        "bfd": {"interval": 300, "multiplier": 3},
        "ttl_security": True,
        "graceful_restart": True,
        "prefix_limit": 10000,
        "accept": [{"name": "alpha", "communities": ["65010:5"], "prefixes": [V4]}],
    }
    assert (ipv6["name"], ipv6["family"], ipv6["local_address"]) == ("VMC-RR-V6", "ipv6", "fd20::1")
    assert ipv6["neighbors"] == [{"address": "fd20::21", "description": "rr1"}]
    assert ipv6["accept"] == [{"name": "alpha", "communities": ["65010:5"], "prefixes": [V6]}]


def test_a_reflector_of_two_clusters_is_one_neighbour_and_takes_what_both_may_announce():
    (ipv4,) = junos_groups([cluster("a", [V4], [RR2]), cluster("bb", [V4], [RR2])], BGP, SOURCE, NAMES)
    assert [neighbor["description"] for neighbor in ipv4["neighbors"]] == ["rr2"]
    assert [entry["name"] for entry in ipv4["accept"]] == ["a", "bb"]


def test_a_cluster_without_prefixes_of_a_family_announces_nothing_of_it():
    _ipv4, ipv6 = junos_groups([cluster("alpha", [V4], [RR1])], BGP, SOURCE, NAMES)
    assert ipv6["accept"] == []


def test_what_is_switched_off_is_not_asked_for():
    (group,) = junos_groups([cluster("alpha", [V4], [RR2])], {**BGP, "bfd": False, "password": "x"}, {}, NAMES)
    assert (group["bfd"], group["password"], group["local_address"]) == (None, "x", None)


def test_a_hold_time_is_not_below_what_junos_takes():
    for hold, wanted in ((3, 10), (10, 10), (90, 90)):
        bgp = {**BGP, "timers": {"keepalive": hold // 3, "hold": hold}}
        (group,) = junos_groups([cluster("alpha", [V4], [RR2])], bgp, SOURCE, NAMES)
        assert group["hold_time"] == wanted
