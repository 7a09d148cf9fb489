# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for BGP neighbours, against what FRR 8.4.4 and 10.3 showed of a node (tests/unit/frr/*/node.conf)."""

from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.vmcluster.network.plugins.module_utils import frr_neighbor_input
from ansible_collections.vmcluster.network.plugins.module_utils.frr_delta import lines_of
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor import NeighborError, plan_neighbors
from ansible_collections.vmcluster.network.plugins.module_utils.frr_neighbor_input import ARGUMENTS, check_options
from ansible_collections.vmcluster.network.plugins.module_utils.frr_text import ConfigError
from ansible_collections.vmcluster.network.plugins.module_utils.plan import diff_of

DATA = Path(__file__).parents[2] / "frr"
VERSIONS = ("8.4.4", "10.3")
MAPS = "route-map IN permit 10\nexit\nroute-map OUT permit 10\nexit\n"
BGP = "router bgp 65010\n no bgp default ipv4-unicast\n"


def filled(specification, values):
    """Check options and fill in defaults as Ansible does."""
    checked = ArgumentSpecValidator(specification).validate(values)
    assert not checked.error_messages
    return checked.validated_parameters


def options(**values):
    return filled(ARGUMENTS, {"asn": 65010, **values})


def node(**changes):
    """The options that tests/unit/frr/*/node.conf came from."""
    maps = {"route_map_in": "VMC-NODE-IN", "route_map_out": "VMC-NODE-OUT", "maximum_prefix": 10000}
    ipv4 = {
        "name": "VMC-RR-V4",
        "remote_as": "65010",
        "password": "s3cretpw",
        "bfd_profile": "VMC-BFD",
        "ttl_security": 1,
        "timers": {"keepalive": 3, "hold": 9, "connect": 5},
        "description": "reflectors",
        "families": [{"name": "ipv4 unicast", "soft_reconfiguration": True, **maps}],
    }
    ipv6 = {"name": "VMC-RR-V6", "remote_as": "internal", "timers": {"keepalive": 3, "hold": 9, "connect": 5},
            "families": [{"name": "ipv6 unicast", "maximum_prefix_restart": 5, "next_hop_self": "yes",
                          "addpath_tx_all_paths": True, **maps}]}
    ipv4.update(changes)
    return options(peer_groups=[ipv4, ipv6], purge=True, neighbors=[
        {"address": "10.20.0.21", "peer_group": "VMC-RR-V4", "description": "rr1"},
        {"address": "fd20:0::21", "peer_group": "VMC-RR-V6", "description": "rr1"}])


def written(text, wanted, check_names=False):
    return [line.strip() for line in lines_of(plan_neighbors(text, wanted, check_names))]


def bgp(*lines):
    return MAPS + BGP + "".join(f" {line}\n" for line in lines) + "exit\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_frr_shows_of_a_node_is_what_was_asked_for(version):
    assert plan_neighbors((DATA / version / "node.conf").read_text(), node()) == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_one_changed_option_is_one_line(version):
    text = (DATA / version / "node.conf").read_text()
    assert written(text, node(timers={"keepalive": 5, "hold": 15, "connect": 5})) == [
        "router bgp 65010", "neighbor VMC-RR-V4 timers 5 15", "exit"]
    assert written(text, node(ttl_security=None, bfd_profile=None)) == [
        "router bgp 65010", "no neighbor VMC-RR-V4 bfd", "no neighbor VMC-RR-V4 ttl-security hops 1", "exit"]


@pytest.mark.parametrize("version", VERSIONS)
def test_one_more_neighbour_is_only_that_neighbour(version):
    wanted = node()
    wanted["neighbors"] += options(neighbors=[{"address": "10.20.0.22", "peer_group": "VMC-RR-V4"}])["neighbors"]
    assert written((DATA / version / "node.conf").read_text(), wanted) == [
        "router bgp 65010", "neighbor 10.20.0.22 peer-group VMC-RR-V4", "exit"]


@pytest.mark.parametrize("version", VERSIONS)
def test_purge_takes_our_groups_and_their_neighbours_only(version):
    text = (DATA / version / "everything.conf").read_text()
    lines = written(text, options(purge=True))
    assert lines == [
        "router bgp 65010",
        "no neighbor 10.20.0.22",
        "exit",
        "router bgp 65010",
        "no bgp listen range 10.30.0.0/16 peer-group VMC-RR-V4",
        "no neighbor VMC-RR-V4 peer-group",
        "exit",
    ]
    assert written(text, options()) == []


def test_a_group_is_complete_before_a_neighbour_joins_it():
    wanted = options(
        peer_groups=[{"name": "VMC-A", "remote_as": "65010", "password": "s3cret", "families": [
            {"name": "ipv4 unicast", "route_map_in": "IN", "route_map_out": "OUT"}]}],
        neighbors=[{"address": "10.0.0.1", "peer_group": "VMC-A", "description": "rr1"}])
    lines = written(bgp(), wanted)
    assert lines[1:3] == ["neighbor VMC-A peer-group", "neighbor VMC-A remote-as 65010"]
    joins = lines.index("neighbor 10.0.0.1 peer-group VMC-A")
    assert lines.index("neighbor VMC-A route-map IN in") < joins and lines.index("neighbor VMC-A activate") < joins


def test_a_neighbour_outside_a_group_is_shut_until_its_filters_stand():
    wanted = options(neighbors=[{"address": "10.0.0.1", "remote_as": "65020", "families": [
        {"name": "ipv4 unicast", "route_map_in": "IN"}]}])
    lines = written(bgp(), wanted)
    assert lines[1:3] == ["neighbor 10.0.0.1 remote-as 65020", "neighbor 10.0.0.1 shutdown"]
    assert lines[-2:] == ["no neighbor 10.0.0.1 shutdown", "exit"]
    assert lines.index("neighbor 10.0.0.1 route-map IN in") < len(lines) - 2


def test_statements_without_an_option_are_the_operators():
    text = bgp(
        "neighbor 10.0.0.1 remote-as 65020",
        "neighbor 10.0.0.1 weight 5",
        "neighbor 10.0.0.1 timers delayopen 3",
        "neighbor 10.0.0.1 solo",
        "neighbor 10.0.0.2 remote-as 65030",
    )
    assert written(text, options(neighbors=[{"address": "10.0.0.1", "remote_as": "65020"}])) == []


def test_a_substring_is_no_as():
    text = bgp("neighbor 10.0.0.1 remote-as 65001", "neighbor 10.0.0.10 remote-as 6500")
    assert written(text, options(neighbors=[{"address": "10.0.0.1", "remote_as": "6500"}])) == [
        "router bgp 65010", "neighbor 10.0.0.1 remote-as 6500", "exit"]


def test_another_as_on_the_host_is_refused():
    with pytest.raises(ConfigError, match="AS 65001"):
        plan_neighbors("router bgp 65001\nexit\n", options(asn=6500))


def test_a_missing_instance_is_made():
    assert written("", options(neighbors=[{"address": "10.0.0.1", "remote_as": "1"}]))[0] == "router bgp 65010"
    assert written("", options(neighbors=[{"address": "10.0.0.1", "state": "absent"}])) == []


def test_ipv4_is_active_by_default_unless_the_instance_says_no():
    text = "router bgp 65010\n neighbor 10.0.0.1 remote-as 1\nexit\n"
    with_ipv4 = options(neighbors=[{"address": "10.0.0.1", "remote_as": "1", "families": [{"name": "ipv4 unicast"}]}])
    without = options(neighbors=[{"address": "10.0.0.1", "remote_as": "1", "families": []}])
    assert written(text, with_ipv4) == []
    assert "no neighbor 10.0.0.1 activate" in written(text, without)
    assert written(bgp("neighbor 10.0.0.1 remote-as 1"), without) == []


def test_a_groups_as_changes_by_making_it_again_with_its_neighbours():
    text = bgp("neighbor VMC-A peer-group", "neighbor VMC-A remote-as 1", "neighbor 10.0.0.1 peer-group VMC-A",
               "neighbor 10.0.0.1 weight 5", "bgp listen range 10.9.0.0/16 peer-group VMC-A")
    wanted = options(peer_groups=[{"name": "VMC-A", "remote_as": "2", "listen_ranges": ["10.9.0.0/16"]}],
                     neighbors=[{"address": "10.0.0.1", "peer_group": "VMC-A"}])
    lines = written(text, wanted)
    assert lines[:3] == [
        "router bgp 65010",
        "no bgp listen range 10.9.0.0/16 peer-group VMC-A",
        "no neighbor VMC-A peer-group",
    ]
    for line in ("neighbor VMC-A remote-as 2", "neighbor 10.0.0.1 peer-group VMC-A", "neighbor 10.0.0.1 weight 5",
                 "bgp listen range 10.9.0.0/16 peer-group VMC-A"):
        assert line in lines[3:]
    wanted["neighbors"] = []
    with pytest.raises(NeighborError, match="10.0.0.1 in it is not listed"):
        plan_neighbors(text, wanted)


def test_a_neighbour_changes_group_by_being_made_again():
    text = bgp("neighbor A peer-group", "neighbor B peer-group", "neighbor 10.0.0.1 peer-group A")
    wanted = options(neighbors=[{"address": "10.0.0.1", "peer_group": "B"}])
    assert written(text, wanted) == ["router bgp 65010", "no neighbor 10.0.0.1", "exit",
                                     "router bgp 65010", "neighbor 10.0.0.1 peer-group B", "exit"]


def test_listen_ranges_are_exact_when_given_and_left_alone_when_not():
    text = bgp("neighbor A peer-group", "bgp listen range 10.1.0.0/16 peer-group A")
    exact = options(listen_limit=200, peer_groups=[{"name": "A", "listen_ranges": ["10.2.0.0/16"]}])
    assert written(text, exact) == [
        "router bgp 65010", "bgp listen limit 200", "exit", "router bgp 65010",
        "no bgp listen range 10.1.0.0/16 peer-group A", "bgp listen range 10.2.0.0/16 peer-group A", "exit"]
    assert written(text, options(listen_limit=100, peer_groups=[{"name": "A"}])) == []


def test_a_password_is_masked_in_the_diff_and_its_change_still_shows():
    text = bgp("neighbor 10.0.0.1 remote-as 1", "neighbor 10.0.0.1 password old-one")
    steps = plan_neighbors(text, options(neighbors=[{"address": "10.0.0.1", "remote_as": "1", "password": "new-one"}]))
    diff = diff_of(steps)
    assert "old-one" not in str(diff) and "new-one" not in str(diff) and "password ******** (new)" in diff["after"]
    assert diff["before"] != diff["after"] and steps[0].why == "password differs"
    gone = plan_neighbors(text, options(neighbors=[{"address": "10.0.0.1", "remote_as": "1"}]))
    assert [line.strip() for line in lines_of(gone)] == ["router bgp 65010", "no neighbor 10.0.0.1 password", "exit"]


def test_missing_route_maps_and_profiles_are_refused_by_place():
    group = {"name": "A", "remote_as": "1", "families": [{"name": "ipv4 unicast", "route_map_out": "NOPE"}]}
    with pytest.raises(NeighborError, match=r"peer_groups\[0\].families\[0\].route_map_out: FRR has no route-map NOPE"):
        plan_neighbors(bgp(), options(peer_groups=[group]))
    with pytest.raises(NeighborError, match=r"neighbors\[0\].bfd_profile"):
        plan_neighbors(bgp(), options(neighbors=[{"address": "10.0.0.1", "remote_as": "1", "bfd_profile": "P"}]))
    assert plan_neighbors(bgp(), options(peer_groups=[group]), check_names=False)


# --- mistakes

NEIGHBOUR = {"address": "10.0.0.1", "remote_as": "65010"}
MISTAKES = [
    ({"asn": 0}, "asn: AS 0 is reserved (RFC 7607)"),
    ({"asn": 4294967296}, "asn: AS 4294967296 has more than 32 bits"),
    (
        {"neighbors": [NEIGHBOUR, dict(NEIGHBOUR, address="10.0.0.300")]},
        "neighbors[1].address: '10.0.0.300' is no IPv4",
    ),
    ({"neighbors": [dict(NEIGHBOUR, address="10.0.0.1/24")]}, "neighbors[0].address"),
    ({"neighbors": [dict(NEIGHBOUR, address="224.0.0.5")]}, "not the address of one host"),
    ({"neighbors": [dict(NEIGHBOUR, address="fe80::1")]}, "link-local"),
    ({"neighbors": [NEIGHBOUR, NEIGHBOUR]}, "neighbors: address 10.0.0.1 is listed more than once"),
    ({"neighbors": [{"address": "10.0.0.1"}]}, "neighbors[0].remote_as: missing"),
    ({"neighbors": [dict(NEIGHBOUR, remote_as="0")]}, "neighbors[0].remote_as: AS 0 is reserved"),
    ({"neighbors": [dict(NEIGHBOUR, remote_as="1.10")]}, "neighbors[0].remote_as: '1.10' is no AS number"),
    ({"neighbors": [dict(NEIGHBOUR, remote_as="65535")]}, "AS 65535 is reserved"),
    ({"neighbors": [dict(NEIGHBOUR, password="a b")]}, "neighbors[0].password: may have printable ASCII"),
    ({"neighbors": [dict(NEIGHBOUR, password="x" * 81)]}, "neighbors[0].password: must have 1 to 80"),
    ({"neighbors": [dict(NEIGHBOUR, timers={"hold": 2})]}, "neighbors[0].timers.hold: 2 is not 0 or 3 to 65535"),
    ({"neighbors": [dict(NEIGHBOUR, timers={"keepalive": 3})]}, "timers.hold: missing"),
    ({"neighbors": [dict(NEIGHBOUR, ttl_security=255)]}, "ttl_security: 255 is not between 1 and 254"),
    ({"neighbors": [dict(NEIGHBOUR, ttl_security=1, ebgp_multihop=2)]}, "exclude one another"),
    ({"neighbors": [dict(NEIGHBOUR, description="two\nlines")]}, "description: must be one line"),
    (
        {"neighbors": [dict(NEIGHBOUR, families=[{"name": "ipv4 unicast", "maximum_prefix_restart": 5}])]},
        "neighbors[0].families[0].maximum_prefix: missing",
    ),
    (
        {"neighbors": [dict(NEIGHBOUR, families=[{"name": "ipv4 unicast", "route_map_in": "in"}])]},
        "families[0].route_map_in: 'in' is a word of FRR's own commands",
    ),
    (
        {"neighbors": [dict(NEIGHBOUR, families=[{"name": "ipv4 unicast"}, {"name": "ipv4 unicast"}])]},
        "listed more than once",
    ),
    ({"peer_groups": [{"name": "all"}]}, "peer_groups[0].name: 'all' is a word of FRR's own commands"),
    ({"peer_groups": [{"name": "10.0.0.1"}]}, "peer_groups[0].name: '10.0.0.1' is no name"),
    ({"peer_groups": [{"name": "a b"}]}, "is no name"),
    ({"peer_groups": [{"name": "A", "listen_ranges": ["10.0.0.1/24"]}]}, "peer_groups[0].listen_ranges[0]"),
    (
        {"peer_groups": [{"name": "A", "remote_as": "1"}], "neighbors": [dict(NEIGHBOUR, peer_group="A")]},
        "has one already",
    ),
    ({"purge": True, "purge_prefix": ""}, "purge_prefix: must not be empty"),
    ({"listen_limit": 0}, "listen_limit: 0"),
    ({"vrf": "a b"}, "vrf: 'a b'"),
]


@pytest.mark.parametrize("values, complaint", MISTAKES, ids=[complaint for _values, complaint in MISTAKES])
def test_a_mistake_is_told_with_its_place(values, complaint):
    assert any(complaint in problem for problem in check_options(options(**values))), check_options(options(**values))


def test_all_mistakes_are_told_together_and_no_password_among_them():
    problems = check_options(options(asn=0, neighbors=[dict(NEIGHBOUR, address="x", password="s3cret one")]))
    assert len(problems) == 3 and "s3cret" not in str(problems)


def test_good_input_has_no_mistakes():
    assert check_options(node()) == []
    assert frr_neighbor_input.ARGUMENTS["neighbors"]["options"]["password"]["no_log"]


def test_a_fence_around_an_evacuated_node_stays_until_it_is_readmitted():
    def asked(**more):
        return options(neighbors=[{"address": "10.0.0.1", **more}])

    wanted = asked(remote_as="65020", families=[{"name": "ipv4 unicast", "route_map_in": "IN"}])
    fence = "neighbor 10.0.0.1 shutdown message vmcluster fenced"
    opened = "\n".join([MAPS + BGP + " neighbor 10.0.0.1 remote-as 65020", " address-family ipv4 unicast",
                        "  neighbor 10.0.0.1 activate", "  neighbor 10.0.0.1 route-map IN in", " exit-address-family",
                        "exit", ""])
    fenced = opened.replace("remote-as 65020\n", f"remote-as 65020\n {fence}\n")
    assert fence in written(opened, asked(state="fenced"))
    assert plan_neighbors(fenced, asked(state="fenced")) == plan_neighbors(fenced, wanted) == ()
    assert f"no {fence}" in written(fenced, asked(state="readmitted"))
    assert plan_neighbors(opened, asked(state="readmitted")) == ()
    assert "no neighbor 10.0.0.1 shutdown" in written(fenced.replace("vmcluster fenced", "until tomorrow"), wanted)
    with pytest.raises(NeighborError, match="cannot be fenced"):
        plan_neighbors(MAPS + BGP + "exit\n", asked(state="fenced"))
