# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for a Junos core gateway: from a configuration that was found to the lines that make the difference."""

import copy
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.vmcluster.network.plugins.module_utils.junos_input import ARGUMENTS, complete_options
from ansible_collections.vmcluster.network.plugins.module_utils.junos_plan import plan_gateway, wanted_objects
from ansible_collections.vmcluster.network.plugins.module_utils.junos_text import Config, read_configuration
from ansible_collections.vmcluster.network.plugins.module_utils.junos_wanted import Place

POLICY = "policy-options policy-statement "
GROUP = "protocols bgp group "
ALPHA = {"name": "alpha", "communities": ["65010:100"], "prefixes": [
    {"prefix": "203.0.113.0/24", "length": 32}, {"prefix": "2001:db8:1::/64", "length": 128}]}
BETA = {"name": "beta", "communities": ["65010:200", "4200000001:1:200"],
        "prefixes": [{"prefix": "198.51.100.0/24", "length": 28}]}
V4 = {"name": "VMC-RR-V4", "family": "ipv4", "neighbors": [
    {"address": "10.20.0.21", "description": "rr1"},
    {"address": "10.20.0.22", "description": "rr2"}], "accept": [ALPHA]}
V6 = {"name": "VMC-RR-V6", "family": "ipv6", "neighbors": [{"address": "fd20:0:0::21"}], "accept": [ALPHA]}
FULL = dict(V4, local_address="10.20.0.1", password="lc", hold_time=10, bfd={}, ttl_security=True, prefix_limit=10000)
AS = "<routing-options><autonomous-system><as-number>65010</as-number></autonomous-system></routing-options>"
ADOPTED = {"name": "VM", "import_policy": "VM", "export_policy": "reject-all", "neighbors": [{"address": "10.20.0.21"}]}
# VMmanager's documented recipe, as an operator typed it.
RECIPE = (Path(__file__).parents[2] / "junos" / "recipe.xml").read_text(encoding="utf-8")


def filled(specification, values):
    """Check options and fill in defaults as Ansible does."""
    checked = ArgumentSpecValidator(specification).validate(values)
    assert not checked.error_messages
    return checked.validated_parameters


def options(*groups, **values):
    return complete_options(filled(ARGUMENTS, {"asn": 65010, "host": "mx1", "groups": list(groups), **values}))


def device(text=""):
    return read_configuration(ElementTree.fromstring(f"<configuration>{AS}{text}</configuration>"))


def configured(*groups, foreign=None, **values):
    """A device on which these options were carried out before; foreign: further statements."""
    wanted = options(*groups, **values)
    place = Place(wanted["logical_system"], wanted["routing_instance"])
    statements = {("routing-options", "autonomous-system"): ("65010",)}
    for base in (place.instance, place.system):
        statements[base + ("routing-options", "autonomous-system")] = ("65010",)
    for group in wanted_objects(Config({}, frozenset(), frozenset()), wanted, place).values():
        statements.update(group)
    return config_of({**statements, **(foreign or {})})


def config_of(statements):
    """A configuration of these statements; a list's word without a name is no place of its own."""
    words = {"group", "neighbor", "policy-statement", "term", "route", "route-filter", "import", "export", "members",
             "protocol", "logical-systems", "routing-instances", "rib"}
    parts = {where[:size] for where in statements for size in range(1, len(where) + 1)}
    nodes = {part for part in parts if part in statements or not (part[-1] in words or "route-filter" in part)}
    return Config(statements, frozenset(nodes), frozenset())


def changed(group, **values):
    return dict(copy.deepcopy(group), **values)


def lines(found, *groups, **values):
    plan = plan_gateway(found, options(*groups, **values))
    assert plan.problems == ()
    return plan.lines


def problems(found, *groups, **values):
    return list(plan_gateway(found, options(*groups, **values)).problems)


def test_a_gateway_without_anything_gets_the_whole_of_a_group():
    name = "VMC-RR-V4"
    unicast = f"set {GROUP}{name} family inet unicast prefix-limit "
    assert lines(device(), FULL, discard=["203.0.113.0/24", "2001:db8:1::/64"]) == [
        "set policy-options community VMC-alpha members 65010:100",
        f"set {POLICY}{name}-OUT then reject",
        f"set {POLICY}{name}-IN term alpha from protocol bgp",
        f"set {POLICY}{name}-IN term alpha from community VMC-alpha",
        f"set {POLICY}{name}-IN term alpha from route-filter 203.0.113.0/24 prefix-length-range /32-/32",
        f"set {POLICY}{name}-IN term alpha then accept",
        f"set {POLICY}{name}-IN then reject",
        "set routing-options static route 203.0.113.0/24 discard",
        "set routing-options static route 203.0.113.0/24 tag 773",
        "set routing-options rib inet6.0 static route 2001:db8:1::/64 discard",
        "set routing-options rib inet6.0 static route 2001:db8:1::/64 tag 773",
        f"set {GROUP}{name} type internal",
        f"set {GROUP}{name} local-address 10.20.0.1",
        f"set {GROUP}{name} hold-time 10",
        f"set {GROUP}{name} import {name}-IN",
        f"set {GROUP}{name} export {name}-OUT",
        f"set {GROUP}{name} authentication-key lc",
        unicast + "maximum 10000",
        unicast + "teardown 80 idle-timeout 5",
        f"set {GROUP}{name} multihop ttl 255",
        f"set {GROUP}{name} bfd-liveness-detection minimum-interval 300",
        f"set {GROUP}{name} bfd-liveness-detection multiplier 3",
        f"set {GROUP}{name} bfd-liveness-detection session-mode single-hop",
        f"set {GROUP}{name} neighbor 10.20.0.21",
        f"set {GROUP}{name} neighbor 10.20.0.21 description rr1",
        f"set {GROUP}{name} neighbor 10.20.0.22",
        f"set {GROUP}{name} neighbor 10.20.0.22 description rr2",
    ]


@pytest.mark.parametrize("groups", [(V4,), (V4, V6), (FULL,), (changed(V4, accept=[ALPHA, BETA]), V6)])
@pytest.mark.parametrize("values", [
    {}, {"match": "orlonger"}, {"purge": True, "discard": ["203.0.113.0/24"]}, {"routing_instance": "red"},
    {"logical_system": "one"}, {"logical_system": "one", "routing_instance": "red", "purge": True}])
def test_what_is_there_already_is_not_touched(groups, values):
    assert lines(configured(*groups, **values), *groups, **values) == []


def test_each_family_has_its_own_sessions_and_its_own_prefixes():
    written = lines(device(), V4, V6)
    filters = f"{POLICY}VMC-RR-V6-IN term alpha from route-filter "
    assert f"set {filters}2001:db8:1::/64 prefix-length-range /128-/128" in written
    assert f"set {GROUP}VMC-RR-V6 neighbor fd20::21" in written
    assert f"set {GROUP}VMC-RR-V6 family inet6 unicast" in written
    assert not [line for line in written if "V4-IN" in line and "2001" in line]
    assert len([line for line in written if "members" in line]) == 1


def test_a_cluster_without_prefixes_of_a_family_has_no_term_there():
    written = lines(device(), changed(V6, accept=[BETA]))
    assert [line for line in written if "V6-IN" in line] == [
        f"set {POLICY}VMC-RR-V6-IN then reject", f"set {GROUP}VMC-RR-V6 import VMC-RR-V6-IN"]


@pytest.mark.parametrize(("prefix", "length"), [("203.0.113.0/25", 32), ("203.0.113.0/24", 30)])
def test_of_a_changed_prefix_or_length_the_old_filter_goes(prefix, length):
    pool = changed(ALPHA, prefixes=[{"prefix": prefix, "length": length}])
    filters = f"{POLICY}VMC-RR-V4-IN term alpha from route-filter "
    assert lines(configured(V4), changed(V4, accept=[pool])) == [
        f"delete {filters}203.0.113.0/24 prefix-length-range /32-/32",
        f"set {filters}{prefix} prefix-length-range /{length}-/32"]


def test_a_changed_community_is_replaced_and_not_added_to():
    entry = changed(ALPHA, communities=["65010:101"])
    assert lines(configured(V4), changed(V4, accept=[entry])) == [
        "delete policy-options community VMC-alpha members 65010:100",
        "set policy-options community VMC-alpha members 65010:101"]


def test_a_second_cluster_is_a_term_more_with_all_its_communities_in_one():
    assert lines(configured(V4), changed(V4, accept=[ALPHA, BETA])) == [
        "set policy-options community VMC-beta members 65010:200",
        "set policy-options community VMC-beta members large:4200000001:1:200",
        f"set {POLICY}VMC-RR-V4-IN term beta from protocol bgp",
        f"set {POLICY}VMC-RR-V4-IN term beta from community VMC-beta",
        f"set {POLICY}VMC-RR-V4-IN term beta from route-filter 198.51.100.0/24 prefix-length-range /28-/32",
        f"set {POLICY}VMC-RR-V4-IN term beta then accept"]


def test_a_cluster_that_is_gone_takes_its_term_along_and_with_purge_its_community():
    found = configured(changed(V4, accept=[ALPHA, BETA]))
    assert lines(found, V4) == [f"delete {POLICY}VMC-RR-V4-IN term beta"]
    assert lines(found, V4, purge=True) == [
        f"delete {POLICY}VMC-RR-V4-IN term beta", "delete policy-options community VMC-beta"]


def test_a_neighbour_that_is_gone_is_deleted_and_the_others_are_not_touched():
    assert lines(configured(FULL), changed(FULL, neighbors=FULL["neighbors"][:1])) == [
        f"delete {GROUP}VMC-RR-V4 neighbor 10.20.0.22"]


def test_what_is_asked_for_no_more_is_deleted_as_a_whole():
    assert lines(configured(FULL), V4) == [
        f"delete {GROUP}VMC-RR-V4 local-address",
        f"delete {GROUP}VMC-RR-V4 hold-time",
        f"delete {GROUP}VMC-RR-V4 authentication-key",
        f"delete {GROUP}VMC-RR-V4 family inet unicast prefix-limit",
        f"delete {GROUP}VMC-RR-V4 multihop",
        f"delete {GROUP}VMC-RR-V4 bfd-liveness-detection",
        f"set {GROUP}VMC-RR-V4 family inet unicast"]


def test_a_limit_that_goes_leaves_the_family():
    limited = changed(V6, prefix_limit=10)
    assert lines(configured(limited), V6) == [
        f"delete {GROUP}VMC-RR-V6 family inet6 unicast prefix-limit", f"set {GROUP}VMC-RR-V6 family inet6 unicast"]


def test_a_family_that_is_not_the_groups_goes():
    more = {("protocols", "bgp", "group", "VMC-RR-V6", "family", "inet", "unicast"): ()}
    assert lines(configured(V6, foreign=more), V6) == [f"delete {GROUP}VMC-RR-V6 family inet"]


def test_a_changed_value_is_set_and_nothing_else():
    assert lines(configured(FULL), changed(FULL, hold_time=30, bfd={"interval": 500})) == [
        f"set {GROUP}VMC-RR-V4 hold-time 30",
        f"set {GROUP}VMC-RR-V4 bfd-liveness-detection minimum-interval 500"]


def test_a_changed_limit_is_set_as_one_line():
    teardown = {("protocols", "bgp", "group", "VMC-RR-V4", "family", "inet", "unicast", "prefix-limit", "teardown"): ()}
    assert lines(configured(FULL, foreign=teardown), FULL) == [
        f"set {GROUP}VMC-RR-V4 family inet unicast prefix-limit teardown 80 idle-timeout 5"]


def test_a_filter_added_behind_ours_is_taken_away():
    hole = {("protocols", "bgp", "group", "VMC-RR-V4", "import", "ALLOW-ALL"): (),
            ("protocols", "bgp", "group", "VMC-RR-V4", "neighbor", "10.20.0.21", "import", "ALLOW-ALL"): ()}
    assert lines(configured(V4, foreign=hole), V4) == [
        f"delete {GROUP}VMC-RR-V4 import ALLOW-ALL",
        f"delete {GROUP}VMC-RR-V4 neighbor 10.20.0.21 import ALLOW-ALL"]


def test_statements_of_other_kinds_in_a_group_are_the_operators():
    own = {("protocols", "bgp", "group", "VMC-RR-V4", "log-updown"): (),
           ("protocols", "bgp", "group", "VMC-RR-V4", "neighbor", "10.20.0.21", "tcp-mss"): ("1400",)}
    assert lines(configured(V4, foreign=own), V4) == []


def test_a_key_that_says_the_same_is_not_set_again():
    key = {("protocols", "bgp", "group", "VMC-RR-V4", "authentication-key"): ("$9$LbHX-wg4Z",)}
    assert lines(configured(FULL, foreign=key), FULL) == []
    assert lines(configured(FULL, foreign=key), changed(FULL, password="other")) == [
        f"set {GROUP}VMC-RR-V4 authentication-key other"]


def test_a_key_that_cannot_be_read_is_set_again_and_that_is_told():
    key = {("protocols", "bgp", "group", "VMC-RR-V4", "authentication-key"): ("$8$aes",)}
    plan = plan_gateway(configured(FULL, foreign=key), options(FULL))
    assert plan.lines == [f"set {GROUP}VMC-RR-V4 authentication-key lc"]
    assert "master password" in plan.kept[0]


def test_graceful_restart_is_turned_off_and_on_again():
    off = changed(V4, graceful_restart=False)
    assert lines(configured(V4), off) == [f"set {GROUP}VMC-RR-V4 graceful-restart disable"]
    assert lines(configured(off), V4) == [f"delete {GROUP}VMC-RR-V4 graceful-restart"]


def test_purge_removes_what_carries_our_name_or_tag_and_nothing_else():
    foreign = {("protocols", "bgp", "group", "INTERNET", "type"): ("external",),
               ("policy-options", "policy-statement", "FROM-PROVIDER", "then", "accept"): (),
               ("routing-options", "static", "route", "0.0.0.0/0", "next-hop", "198.18.0.2"): (),
               ("routing-options", "static", "route", "192.0.2.0/24", "discard"): ()}
    found = configured(V4, V6, foreign=foreign, discard=["203.0.113.0/24", "2001:db8:1::/64"])
    assert lines(found, V4) == []
    assert lines(found, V4, purge=True, discard=["203.0.113.0/24"]) == [
        f"delete {GROUP}VMC-RR-V6", f"delete {POLICY}VMC-RR-V6-OUT", f"delete {POLICY}VMC-RR-V6-IN",
        "delete routing-options rib inet6.0 static route 2001:db8:1::/64"]
    assert lines(found, purge=True) == [
        f"delete {GROUP}VMC-RR-V4", f"delete {GROUP}VMC-RR-V6",
        f"delete {POLICY}VMC-RR-V4-OUT", f"delete {POLICY}VMC-RR-V4-IN", f"delete {POLICY}VMC-RR-V6-OUT",
        f"delete {POLICY}VMC-RR-V6-IN", "delete policy-options community VMC-alpha",
        "delete routing-options static route 203.0.113.0/24",
        "delete routing-options rib inet6.0 static route 2001:db8:1::/64"]


def test_what_others_refer_to_is_kept_with_all_it_needs_and_told():
    foreign = {("protocols", "bgp", "group", "PEERS", "import", "( VMC-RR-V4-IN && MORE )"): ()}
    plan = plan_gateway(configured(V4, foreign=foreign), options(purge=True))
    assert plan.lines == [f"delete {GROUP}VMC-RR-V4", f"delete {POLICY}VMC-RR-V4-OUT"]
    assert len(plan.kept) == 2
    assert "policy VMC-RR-V4-IN" in plan.kept[0] and "group PEERS import" in plan.kept[0]
    assert "community VMC-alpha" in plan.kept[1]


def test_a_policy_that_others_refer_to_is_not_changed():
    found = device(RECIPE.replace("<export>reject-all</export>\n    <neighbor>", "<import>VM</import>\n    <neighbor>"))
    told = problems(found, changed(V4, name="VM", import_policy="VM", export_policy="reject-all"))
    assert len(told) == 1 and "policy VM differs" in told[0] and "group INTERNET import" in told[0]


def test_the_recipe_is_taken_over_without_touching_group_and_session():
    parity = changed(V4, **ADOPTED, accept=[changed(ALPHA, name="isp-ipv4")])
    assert lines(device(RECIPE), parity, match="orlonger") == []


def test_the_recipe_taken_over_and_made_strict_changes_the_policy_alone():
    written = lines(device(RECIPE), changed(V4, **ADOPTED))
    assert written[:2] == ["set policy-options community VMC-alpha members 65010:100",
                           f"delete {POLICY}VM term isp-ipv4"]
    assert all(line.split()[1:4] == ["policy-options", "policy-statement", "VM"] for line in written[1:])


def test_what_would_reset_sessions_for_nothing_is_not_added_to_a_group_made_by_hand():
    parity = changed(V4, **ADOPTED, accept=[changed(ALPHA, name="isp-ipv4")], local_address="10.20.0.1", hold_time=90)
    assert lines(device(RECIPE), parity, match="orlonger") == []
    ours = changed(V4, local_address="10.20.0.1", hold_time=30)
    assert lines(configured(V4), ours) == [
        f"set {GROUP}VMC-RR-V4 local-address 10.20.0.1", f"set {GROUP}VMC-RR-V4 hold-time 30"]


def test_parity_writes_the_recipe():
    recipe = changed(V4, **ADOPTED, accept=[changed(ALPHA, name="isp-ipv4")])
    assert sorted(lines(device(), recipe, match="orlonger")) == sorted([
        f"set {POLICY}VM term isp-ipv4 from protocol bgp",
        f"set {POLICY}VM term isp-ipv4 from route-filter 203.0.113.0/24 orlonger",
        f"set {POLICY}VM term isp-ipv4 then accept",
        f"set {POLICY}VM then reject",
        f"set {POLICY}reject-all then reject",
        f"set {GROUP}VM import VM",
        f"set {GROUP}VM export reject-all",
        f"set {GROUP}VM peer-as 65010",
        f"set {GROUP}VM neighbor 10.20.0.21"])


def test_a_new_neighbour_of_a_group_whose_neighbours_have_their_own_peer_as_gets_one_too():
    shown = RECIPE.replace("<peer-as>65010</peer-as>", "").replace(
        "<name>10.20.0.21</name>", "<name>10.20.0.21</name><peer-as>65010</peer-as>")
    group = changed(V4, **ADOPTED, accept=[changed(ALPHA, name="isp-ipv4")])
    assert lines(device(shown), group, match="orlonger") == []
    more = changed(group, neighbors=V4["neighbors"])
    assert f"set {GROUP}VM peer-as 65010" in lines(device(shown), more, match="orlonger")


def test_sessions_in_a_routing_instance_use_its_table_and_policies_of_the_system():
    written = lines(configured(routing_instance="red"), V4, V6, routing_instance="red", discard=["2001:db8:1::/64"])
    assert f"set routing-instances red {GROUP}VMC-RR-V4 type internal" in written
    assert f"set {POLICY}VMC-RR-V4-IN then reject" in written
    assert "set routing-instances red routing-options rib red.inet6.0 static route 2001:db8:1::/64 tag 773" in written


def test_a_logical_system_holds_everything():
    written = lines(configured(logical_system="one"), V4, logical_system="one", discard=["203.0.113.0/24"])
    assert written and all(line.startswith("set logical-systems one ") for line in written)


def test_the_as_number_is_checked_and_never_changed():
    other = read_configuration(ElementTree.fromstring(f"<configuration>{AS.replace('65010', '65011')}</configuration>"))
    assert "is 65011, and the cluster's AS is 65010" in problems(other, V4)[0]
    assert "set routing-options autonomous-system 65010" in problems(config_of({}), V4)[0]


@pytest.mark.parametrize(("written", "asn"), [("1.10", 65546), ("0.65010", 65010), ("4200000001", 4200000001)])
def test_an_as_number_written_as_two_is_the_same(written, asn):
    found = read_configuration(ElementTree.fromstring(f"<configuration>{AS.replace('65010', written)}</configuration>"))
    assert problems(found, V4, asn=asn) == []


def test_an_instance_without_its_own_as_number_has_the_systems():
    red = device("<routing-instances><instance><name>red</name><instance-type>virtual-router</instance-type></instance>"
                 "</routing-instances>")
    assert problems(red, V4, routing_instance="red") == []


def test_an_instance_or_logical_system_that_is_not_there_is_told():
    assert "no routing instance red" in problems(device(), V4, routing_instance="red")[0]
    assert "no logical system one" in problems(device(), V4, logical_system="one")[0]


def test_an_external_group_is_somebody_elses():
    told = problems(device(RECIPE), changed(V4, name="INTERNET"))
    assert "BGP group INTERNET is external" in told[0]


def test_a_neighbour_in_another_group_is_told_before_anything_is_done():
    told = problems(device(RECIPE), V4)
    assert len(told) == 1 and "10.20.0.21 is in BGP group VM" in told[0] and "delete protocols bgp group VM" in told[0]


def test_a_neighbour_may_move_from_a_group_that_is_purged():
    assert problems(configured(V4), changed(V4, name="VMC-NEW"), purge=True) == []
    assert problems(configured(V4), changed(V4, name="VMC-NEW")) != []


def test_a_discard_route_of_the_operators_is_left_to_him():
    route = ("routing-options", "static", "route", "203.0.113.0/24")
    assert lines(configured(foreign={route + ("discard",): ()}), discard=["203.0.113.0/24"], purge=True) == []
    told = problems(configured(foreign={route + ("next-hop", "10.0.0.1"): ()}), discard=["203.0.113.0/24"])
    assert "static route 203.0.113.0/24 is on the device and is not ours" in told[0]


def test_what_was_deactivated_is_activated_again_but_not_what_is_above():
    found = configured(V4)
    group = ("protocols", "bgp", "group", "VMC-RR-V4")
    inactive = {("protocols", "bgp"), group, group + ("neighbor", "10.20.0.22")}
    assert lines(found._replace(inactive=frozenset(inactive)), V4) == [
        f"activate {GROUP}VMC-RR-V4", f"activate {GROUP}VMC-RR-V4 neighbor 10.20.0.22"]


def test_each_step_says_what_and_why():
    found = configured(V4, V6)
    plan = plan_gateway(found, options(changed(V4, hold_time=9, accept=[ALPHA, BETA]), purge=True))
    assert [(step.thing, step.why) for step in plan.steps] == [
        ("community VMC-beta", "is missing"), ("policy VMC-RR-V4-IN", "differs"), ("BGP group VMC-RR-V4", "differs"),
        ("BGP group VMC-RR-V6", "is not wanted any more"), ("policy VMC-RR-V6-OUT", "is not wanted any more"),
        ("policy VMC-RR-V6-IN", "is not wanted any more")]
