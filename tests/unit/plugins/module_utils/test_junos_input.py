# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in a call of junos_bgp_group, all told before the device is contacted."""

import copy

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.vmcluster.network.plugins.module_utils.junos_input import (
    ARGUMENTS,
    check_options,
    complete_options,
    secrets_of,
)

GROUP = {"name": "VMC-RR-V4", "family": "ipv4", "neighbors": [{"address": "10.20.0.21"}],
         "accept": [{"name": "alpha", "communities": ["65010:100"], "prefixes": [{"prefix": "203.0.113.0/24"}]}]}


def filled(specification, values):
    """Check options and fill in defaults as Ansible does."""
    checked = ArgumentSpecValidator(specification).validate(values)
    assert not checked.error_messages
    return checked.validated_parameters


def completed(*groups, **values):
    return complete_options(filled(ARGUMENTS, {"asn": 65010, "host": "mx1", "groups": list(groups), **values}))


def changed(**values):
    return dict(copy.deepcopy(GROUP), **values)


def test_a_right_call_has_no_mistakes():
    assert check_options(completed(GROUP, discard=["203.0.113.0/24", "2001:db8::/32"])) == []


def test_what_is_not_said_is_filled_in_and_empty_texts_are_none():
    options = completed(changed(password="", neighbors=[{"address": "10.20.0.21", "description": ""}]), user="",
                        ssh_config="", logical_system="")
    group = options["groups"][0]
    assert (group["import_policy"], group["export_policy"]) == ("VMC-RR-V4-IN", "VMC-RR-V4-OUT")
    assert (group["password"], options["user"], options["ssh_config"], options["logical_system"]) == (None,) * 4
    assert group["neighbors"][0]["description"] is None
    assert options["expect"] == {"established": "all", "prefixes": []}


def test_addresses_stand_as_junos_shows_them():
    v6 = changed(family="ipv6", neighbors=[{"address": "FD20:0:0::21"}])
    options = completed(v6, discard=["2001:DB8:0::/64"], expect={"prefixes": ["2001:DB8::1/128"]})
    assert options["groups"][0]["neighbors"][0]["address"] == "fd20::21"
    assert options["discard"] == ["2001:db8::/64"]
    assert options["expect"]["prefixes"] == ["2001:db8::1/128"]


@pytest.mark.parametrize(("values", "told"), [
    ({"asn": 0}, "asn: 0"),
    ({"asn": 65535}, "asn: 65535"),
    ({"host": "mx 1"}, "host: 'mx 1' is no host name"),
    ({"host": "2001:db8::1"}, "takes no IPv6 address"),
    ({"port": 0}, "port: 0"),
    ({"timeout": 0}, "timeout: 0"),
    ({"ssh_config": "/no/such/file"}, "ssh_config: there is no file /no/such/file"),
    ({"private_key_file": "/no/such/key"}, "private_key_file: there is no file"),
    ({"logical_system": "a b"}, "logical_system"),
    ({"discard": ["203.0.113.1/24"]}, "discard[0]: '203.0.113.1/24' is no prefix"),
    ({"discard": ["203.0.113.1"]}, "discard[0]"),
    ({"expect": {"prefixes": ["nowhere"]}}, "expect.prefixes[0]"),
    ({"confirm": 0}, "confirm: 0"),
    ({"confirm": 1, "wait": 60}, "wait: 60 seconds are not less than the 1 minutes of confirm"),
    ({"wait": 0}, "wait: 0"),
    ({"purge": True, "purge_prefix": ""}, "purge_prefix"),
    ({"comment": "two\nlines"}, "comment"),
])
def test_a_mistake_in_the_call_is_told_with_its_key(values, told):
    problems = check_options(completed(GROUP, **values))
    assert len(problems) == 1 and told in problems[0], problems


@pytest.mark.parametrize(("values", "told"), [
    ({"name": "-x"}, "groups[0].name"),
    ({"import_policy": "a b"}, "groups[0].import_policy"),
    ({"neighbors": []}, "groups[0].neighbors: a group of Junos needs a neighbour"),
    ({"neighbors": [{"address": "fd20::21"}]}, "fd20::21 is no IPv4 address"),
    ({"neighbors": [{"address": "224.0.0.1"}]}, "not the address of one host"),
    ({"neighbors": [{"address": "10.0.0.1", "description": "a\nb"}]}, "groups[0].neighbors[0].description"),
    ({"neighbors": [{"address": "10.0.0.1"}, {"address": "10.0.0.1"}]}, "neighbour 10.0.0.1 is there more than once"),
    ({"local_address": "x"}, "groups[0].local_address"),
    ({"hold_time": 2}, "groups[0].hold_time: 2"),
    ({"prefix_limit": 0}, "groups[0].prefix_limit: 0"),
    ({"bfd": {"interval": 0}}, "groups[0].bfd.interval: 0"),
    ({"bfd": {"multiplier": 256}}, "groups[0].bfd.multiplier: 256"),
    ({"export_policy": "VMC-RR-V4-IN"}, "is an import policy too"),
    ({"accept": [{"name": "a b"}]}, "groups[0].accept[0].name"),
    ({"accept": [{"name": "a"}, {"name": "a"}]}, "name a is there more than once"),
    ({"accept": [{"name": "a", "communities": ["65010"]}]}, "groups[0].accept[0].communities[0]"),
    ({"accept": [{"name": "a", "communities": ["70000:1"]}]}, "is no community"),
    ({"accept": [{"name": "a", "prefixes": [{"prefix": "203.0.113.0/24", "length": 23}]}]}, "not between 24 and 32"),
    ({"accept": [{"name": "a", "prefixes": [{"prefix": "203.0.113.0"}]}]}, "accept[0].prefixes[0].prefix"),
])
def test_a_mistake_in_a_group_is_told_with_its_place(values, told):
    problems = check_options(completed(changed(**values)))
    assert len(problems) == 1 and told in problems[0], problems


@pytest.mark.parametrize("key", ["with blank", "t\xf6tal", "$9$LbHX-wg4Z", "x" * 127])
def test_a_key_that_cannot_be_one_is_told_without_showing_it(key):
    problems = check_options(completed(changed(password=key)))
    assert len(problems) == 1 and problems[0].startswith("groups[0].password") and key not in problems[0]


def test_two_groups_may_not_share_an_import_policy_and_may_share_what_exports_nothing():
    first = changed(import_policy="IN", export_policy="reject-all")
    second = changed(name="B", neighbors=[{"address": "10.20.0.22"}], export_policy="reject-all")
    assert check_options(completed(first, second)) == []
    told = check_options(completed(first, dict(second, import_policy="IN")))
    assert told == ["groups: import_policy IN is there more than once"]


def test_all_mistakes_are_told_together():
    assert len(check_options(completed(changed(hold_time=1, neighbors=[]), asn=0, confirm=0))) == 4


def test_every_secret_is_known():
    assert secrets_of(completed(changed(password="a"), changed(name="B"), password="b")) == ["b", "a"]
