# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, spans, and the options that ask for pools and leases."""

import random

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import PoolError
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_pool, read_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_spans import (
    FreeSpans,
    Span,
    count_addresses,
    family_of,
    holds_address,
    merge_spans,
    read_address,
    read_span,
    subtract_spans,
    write_address,
    write_spans,
)


@pytest.mark.parametrize("text", ["0.0.0.0", "203.0.113.7", "255.255.255.255", "::", "::1", "2001:db8::a"])
def test_an_address_is_written_as_it_was_read(text):
    assert write_address(read_address(text)) == text
    assert family_of(read_address(text)) == (6 if ":" in text else 4)


@pytest.mark.parametrize("text", ["", "203.0.113", "203.0.113.256", "fe80::1%eth0", "::ffff:203.0.113.7", "web1"])
def test_what_is_not_a_plain_address_is_refused(text):
    with pytest.raises(ValueError):
        read_address(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7-203.0.113.9", "203.0.113.7-203.0.113.9"),
        ("203.0.113.7 - 203.0.113.7", "203.0.113.7"),
        ("203.0.113.8/29", "203.0.113.8-203.0.113.15"),
        ("2001:db8::/126", "2001:db8::-2001:db8::3"),
    ],
)
def test_a_span_is_an_address_a_range_or_a_prefix(text, written):
    assert write_spans([read_span(text)]) == written


@pytest.mark.parametrize("text", ["203.0.113.9-203.0.113.7", "203.0.113.1-2001:db8::1", "203.0.113.9/29", "-", "a-b"])
def test_a_span_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        read_span(text)


def spans_of(numbers):
    return merge_spans(Span(number, number) for number in numbers)


def test_spans_behave_as_sets_of_numbers():
    dice = random.Random(1)
    for _round in range(500):
        some, others = (set(dice.choices(range(40), k=dice.randrange(30))) for _two in range(2))
        spans, holes = spans_of(some), spans_of(others)
        assert subtract_spans(spans, holes) == spans_of(some - others)
        assert merge_spans([*spans, *holes]) == spans_of(some | others)
        assert count_addresses(spans) == len(some)
        assert all(holds_address(spans, number) == (number in some) for number in range(40))


def test_free_spans_behave_as_a_set_and_know_their_changes():
    dice = random.Random(2)
    for _round in range(200):
        free = set(dice.choices(range(30), k=dice.randrange(30)))
        rows = set(spans_of(free))
        found = FreeSpans({"p": rows})
        for _step in range(dice.randrange(40)):
            number = dice.randrange(30)
            what = dice.choice(["take", "give", "pick"])
            if what == "take":
                assert found.take("p", number) == (number in free)
                free.discard(number)
            elif what == "pick":
                assert found.pick("p") == min(free, default=None)
                free.discard(min(free, default=None))
            elif number not in free:
                found.give("p", number)
                free.add(number)
            assert found.count("p") == len(free)
        gone, come = found.changes()
        assert rows - {span for _pool, span in gone} | {span for _pool, span in come} == set(spans_of(free))


@pytest.mark.parametrize(
    ("prefix", "usable"),
    [
        ("203.0.113.0/24", "203.0.113.1-203.0.113.254"),
        ("203.0.113.0/30", "203.0.113.1-203.0.113.2"),
        ("203.0.113.0/31", "203.0.113.0-203.0.113.1"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("2001:db8::/64", "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"),
        ("2001:db8::/126", "2001:db8::1-2001:db8::3"),
        ("2001:db8::/127", "2001:db8::-2001:db8::1"),
        ("2001:db8::7/128", "2001:db8::7"),
    ],
)
def test_a_whole_prefix_leaves_out_what_no_host_may_have(prefix, usable):
    assert write_spans(read_pool("p", prefix).allowed) == usable


def test_ranges_are_taken_as_written_and_exclusions_leave_them():
    pool = read_pool("p", "203.0.113.0/24", ("203.0.113.8/30", "203.0.113.0", "203.0.113.10-203.0.113.20"),
                     ("203.0.113.9", "203.0.113.200"))
    assert write_spans(pool.allowed) == "203.0.113.0,203.0.113.8,203.0.113.10-203.0.113.20"
    assert pool.size == 13


def test_the_same_definition_in_other_words_is_equal():
    assert read_pool("p", "2001:0DB8::/64", (), ("2001:db8::1/128", "2001:db8::2")) == read_pool(
        "p", "2001:db8::/64", ("2001:db8::1-2001:db8::ffff:ffff:ffff:ffff",), ("2001:db8::1-2001:db8::2",))


@pytest.mark.parametrize(
    ("definition", "part"),
    [
        ({"prefix": "203.0.113.5/24"}, "write 203.0.113.0/24"),
        ({"prefix": "203.0.113.5"}, "write 203.0.113.5/32"),
        ({"prefix": "203.0.113.0/33"}, "write it like"),
        ({"prefix": "web"}, "write it like"),
        ({"prefix": "::/0"}, "IPv4-mapped"),
        ({"prefix": "::ffff:203.0.113.0/120"}, "IPv4-mapped"),
        ({"prefix": "203.0.113.0/24", "ranges": ["203.0.112.255-203.0.113.9"]}, "is not inside 203.0.113.0/24"),
        ({"prefix": "203.0.113.0/24", "ranges": ["2001:db8::1"]}, "is not inside 203.0.113.0/24"),
        ({"prefix": "203.0.113.0/24", "exclude": ["203.0.114.1"]}, "is not inside 203.0.113.0/24"),
        ({"prefix": "203.0.113.0/24", "exclude": ["web1"]}, "exclude: 'web1'"),
        ({"prefix": "203.0.113.0/24", "exclude": ["203.0.113.0/24"]}, "leave at least one"),
    ],
)
def test_a_pool_that_is_wrong_is_named_with_a_remedy(definition, part):
    with pytest.raises(PoolError) as caught:
        read_request([{"name": "p", **definition}], [])
    assert "pools[0] (pool p)" in str(caught.value)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("lease", "part"),
    [
        ({"owner": "", "pool": "p"}, "owner ''"),
        ({"owner": "a b", "pool": "p"}, "owner 'a b'"),
        ({"owner": "a" * 256, "pool": "p"}, "1 to 255"),
        ({"owner": "a\x00", "pool": "p"}, "printable"),
        ({"owner": "a", "pool": "p", "holder": ""}, "holder ''"),
        ({"owner": "a"}, "pool is missing"),
        ({"owner": "a", "pool": "p", "address": "203.0.113.256"}, "write one address"),
        ({"owner": "a", "address": "203.0.113.1", "state": "absent"}, "name the pool too"),
    ],
)
def test_a_lease_that_is_wrong_is_named_with_a_remedy(lease, part):
    with pytest.raises(PoolError) as caught:
        read_request([], [{"owner": "fine", "pool": "p"}, lease])
    assert "leases[1]" in str(caught.value)
    assert part in str(caught.value)


def test_nothing_is_asked_for_twice_in_one_call():
    with pytest.raises(PoolError) as caught:
        read_request(
            [{"name": "p", "prefix": "203.0.113.0/24"}, {"name": "p", "prefix": "203.0.114.0/24"}],
            [
                {"owner": "a", "pool": "p"},
                {"owner": "a", "pool": "p", "state": "absent"},
                {"owner": "b", "pool": "p", "address": "203.0.113.1"},
                {"owner": "c", "pool": "p", "address": "203.0.113.1"},
                {"owner": "d", "pool": "p"},
                {"owner": "d", "state": "absent"},
            ])
    said = caught.value.mistakes
    assert len(said) == 4
    assert said[0].startswith("pools: p is defined more than once")
    assert "leases[1] (a, pool p): leases[0] (a, pool p) asks for the same lease" in said[1]
    assert "leases[3] (c, pool p): leases[2] (b, pool p) asks for 203.0.113.1 too" in said[2]
    assert "leases[4] (d, pool p): leases[5] (d) releases every lease" in said[3]


def test_all_mistakes_are_told_together():
    with pytest.raises(PoolError) as caught:
        read_request([{"name": "p", "prefix": "x", "ranges": []}, {"name": "q r", "prefix": "10.0.0.0/8"}],
                     [{"owner": "", "address": "y"}])
    assert len(caught.value.mistakes) == 5
