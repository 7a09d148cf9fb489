# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every register of leases must do, whatever keeps it: a backend is tested by an entry in BACKENDS."""

import contextlib
import ipaddress
import random

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import Lease, PoolError, Snapshot
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import (
    answer_request,
    describe_snapshot,
    find_faults,
)
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_pool, read_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_spans import (
    ADDRESS_LAST,
    Span,
    read_address,
    write_address,
)
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import open_register
from ansible_collections.vmcluster.network.plugins.module_utils.plan import diff_of

BACKENDS = {"sqlite": lambda folder: open_register(str(folder / "leases.sqlite"))}

SMALL = {"name": "small", "prefix": "203.0.113.0/29"}           # .1 to .6
PUBLIC6 = {"name": "public6", "prefix": "2001:db8:1::/64"}


@pytest.fixture(params=sorted(BACKENDS))
def register(request, tmp_path):
    with contextlib.closing(BACKENDS[request.param](tmp_path)) as opened:
        yield opened


def ask(register, leases=(), pools=(), other_holder="refuse", keep=True):
    """Ask, and hold the register to its invariants afterwards."""
    try:
        return answer_request(register, read_request(pools, leases, other_holder), now=1, keep=keep)
    finally:
        assert find_faults(register.read_snapshot()) == []


def refused(register, leases=(), pools=(), other_holder="refuse"):
    """Ask for what can't be; nothing may have changed. Returns the reasons."""
    before = register.read_snapshot()
    with pytest.raises(PoolError) as caught:
        ask(register, leases, pools, other_holder)
    assert register.read_snapshot() == before
    return caught.value.mistakes


def want(owner, pool="small", **more):
    return {"owner": owner, "pool": pool, **more}


def addresses(outcome):
    return [answer["address"] for answer in outcome.answers]


def leased(register):
    return {(lease.owner, lease.pool): write_address(lease.address) for lease in register.read_snapshot().leases}


def test_an_owner_gets_an_address_of_each_family_and_the_same_ones_again(register):
    both = [want("alpha/web1"), want("alpha/web1", "public6")]
    first = ask(register, both, [SMALL, PUBLIC6])
    assert addresses(first) == ["203.0.113.1", "2001:db8:1::1"]
    assert first.answers[0] == {
        "owner": "alpha/web1", "pool": "small", "address": "203.0.113.1", "family": 4, "holder": None, "new": True,
        "state": "present", "outside": False}
    again = ask(register, both, [SMALL, PUBLIC6])
    assert addresses(again) == addresses(first)
    assert [answer["new"] for answer in again.answers] == [False, False]
    assert again.steps == ()


def test_answers_come_in_the_order_asked(register):
    outcome = ask(
        register, [want("c"), want("a", address="203.0.113.2"), want("b"), want("d", state="absent")], [SMALL])
    assert [(answer["owner"], answer["address"]) for answer in outcome.answers] == [
        ("c", "203.0.113.1"), ("a", "203.0.113.2"), ("b", "203.0.113.3"), ("d", None)]


def test_the_pool_may_have_been_defined_by_an_earlier_call(register):
    ask(register, (), [SMALL])
    assert addresses(ask(register, [want("a")])) == ["203.0.113.1"]


def test_a_pool_that_nobody_defined_is_named_with_those_there_are(register):
    ask(register, (), [SMALL])
    assert refused(register, [want("a", "smal")]) == (
        "leases[0] (a, pool smal): there is no pool smal; define it in pools, or name one of: small",)


def test_a_full_pool_fails_and_names_size_and_use(register):
    ask(register, [want(f"vm{at}") for at in range(5)], [SMALL])
    said = refused(register, [want("new1"), want("new2"), want("vm1")])
    assert said == (
        "leases[1] (new2, pool small): pool small is full: size 6, in use 5, new ones asked for 2; "
        "release leases or widen the pool",)
    ask(register, [want("new1")])
    assert "size 6, in use 6, new ones asked for 1" in refused(register, [want("new2")])[0]


def test_excluded_addresses_are_not_leased(register):
    pool = {**SMALL, "exclude": ["203.0.113.1-203.0.113.3", "203.0.113.5"]}
    assert addresses(ask(register, [want("a"), want("b")], [pool])) == ["203.0.113.4", "203.0.113.6"]
    assert "full: size 2, in use 2" in refused(register, [want("c")])[0]


def test_an_asked_for_address_is_leased_and_asked_for_again_without_change(register):
    assert addresses(ask(register, [want("a"), want("b", address="203.0.113.1")], [SMALL])) == [
        "203.0.113.2", "203.0.113.1"]
    assert ask(register, [want("b", address="203.0.113.1"), want("a")]).steps == ()


def test_an_asked_for_address_that_cannot_be_had_says_why(register):
    pool = {**SMALL, "exclude": ["203.0.113.5"]}
    ask(register, [want("a", holder="node1"), want("b")], [pool, PUBLIC6])
    said = refused(register, [
        want("c", address="203.0.113.1"),
        want("b", address="203.0.113.4"),
        want("d", address="203.0.113.5"),
        want("e", address="203.0.113.7"),
        want("f", address="2001:db8:1::5"),
        want("g", address="2001:db8:2::5", pool="public6"),
    ])
    assert [line.partition(": ")[2] for line in said] == [
        "it has 203.0.113.2 in pool small, not 203.0.113.4; release 203.0.113.2 first, or ask without an address",
        "203.0.113.1 is leased to a (pool small, held by node1); ask for another, or release that lease",
        "203.0.113.5 is excluded from pool small; ask for another, or take it out of exclude",
        "203.0.113.7 is not in pool small (203.0.113.0/29, 203.0.113.1-203.0.113.6); ask for one that is",
        "2001:db8:1::5 is not in pool small (203.0.113.0/29, 203.0.113.1-203.0.113.6); ask for one that is",
        "2001:db8:2::5 is not in pool public6 (2001:db8:1::/64, 2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff); "
        "ask for one that is",
    ]


def test_all_or_nothing_is_leased_released_and_defined(register):
    ask(register, [want("a", holder="node1"), want("b", holder="node1")], [SMALL])
    said = refused(
        register,
        [want("new"), want("a", state="absent"), want("b", holder="node2"), want("c", "nowhere")],
        [{**SMALL, "exclude": ["203.0.113.3"]}, PUBLIC6])
    assert len(said) == 2
    assert said[0].startswith("leases[2] (b, pool small): 203.0.113.2 is held by node1")
    assert said[1].startswith("leases[3] (c, pool nowhere): there is no pool nowhere")


def test_a_released_address_is_free_at_once_and_releasing_again_changes_nothing(register):
    ask(register, [want("a"), want("b")], [SMALL])
    outcome = ask(register, [want("new", address="203.0.113.1"), want("a", state="absent")])
    assert addresses(outcome) == ["203.0.113.1", "203.0.113.1"]
    assert [answer["state"] for answer in outcome.answers] == ["present", "absent"]
    again = ask(register, [want("a", state="absent"), want("x", "nowhere", state="absent"), {
        "owner": "nobody", "state": "absent"}])
    assert again.steps == ()
    assert addresses(again) == [None, None, None]
    assert leased(register) == {("b", "small"): "203.0.113.2", ("new", "small"): "203.0.113.1"}


def test_a_release_without_pool_releases_all_leases_of_the_owner(register):
    ask(register, [want("a"), want("a", "public6"), want("ab")], [SMALL, PUBLIC6])
    outcome = ask(register, [{"owner": "a", "state": "absent"}])
    assert sorted(addresses(outcome)) == ["2001:db8:1::1", "203.0.113.1"]
    assert leased(register) == {("ab", "small"): "203.0.113.2"}


def test_a_release_that_names_another_holder_or_address_fails(register):
    ask(register, [want("a", holder="node1"), want("b")], [SMALL])
    said = refused(register, [
        want("a", state="absent", holder="node2", address="203.0.113.4"), want("b", state="absent", holder="node2")])
    assert [line.partition(": ")[2] for line in said] == [
        "it has 203.0.113.1 in pool small, not 203.0.113.4; name the address it has, or none",
        "203.0.113.1 is held by node1, not node2; release it there, or name no holder",
        "203.0.113.2 is held by nobody, not node2; release it there, or name no holder",
    ]
    ask(register, [want("a", state="absent", holder="node1", address="203.0.113.1"), want("b", state="absent")])
    assert leased(register) == {}


def test_a_lease_has_one_holder_until_it_is_moved(register):
    ask(register, [want("a", holder="node1")], [SMALL])
    assert ask(register, [want("a")]).answers[0]["holder"] == "node1"
    assert refused(register, [want("a", holder="node2")]) == (
        "leases[0] (a, pool small): 203.0.113.1 is held by node1, and one VM is attached in one place; "
        "detach it from node1, or set other_holder to move if it shall be on node2",)
    refused(register, [want("a", holder="node2", other_holder="refuse")], other_holder="move")
    kept = ask(register, [want("a", holder="node2", other_holder="keep")])
    assert kept.answers[0]["holder"] == "node1" and not kept.steps
    moved = ask(register, [want("a", holder="node2", other_holder="move")])
    assert (moved.answers[0]["holder"], moved.answers[0]["new"]) == ("node2", False)
    assert ask(register, [want("a", holder="node3")], other_holder="move").answers[0]["holder"] == "node3"
    assert ask(register, [want("a", holder="node3")]).steps == ()


def test_a_lease_without_holder_gets_the_one_that_is_told(register):
    ask(register, [want("a")], [SMALL])
    outcome = ask(register, [want("a", holder="node1")])
    assert [step.why for step in outcome.steps] == ["has a holder now"]
    assert register.read_snapshot().leases[0].holder == "node1"


def test_the_same_definition_in_other_words_changes_nothing(register):
    ask(register, (), [{**SMALL, "ranges": ["203.0.113.2", "203.0.113.3-203.0.113.4"], "exclude": ["203.0.113.3"]}])
    again = {**SMALL, "ranges": ["203.0.113.2-203.0.113.4"], "exclude": ["203.0.113.3/32"]}
    assert ask(register, (), [again]).steps == ()


def test_a_pool_that_shrinks_keeps_its_leases_and_says_which_are_outside(register):
    ask(register, [want("a"), want("b"), want("c")], [SMALL])
    narrow = {**SMALL, "ranges": ["203.0.113.2-203.0.113.5"], "exclude": ["203.0.113.3"]}
    outcome = ask(register, [want("c")], [narrow])
    assert outcome.warnings == (
        "pool small does not hand out any more, but they stay leased until they are released: "
        "203.0.113.1 (a), 203.0.113.3 (c)",
        "c keeps 203.0.113.3, which pool small does not hand out any more")
    assert outcome.answers[0]["outside"]
    assert ask(register, [want("b")], [narrow]).warnings == ()
    ask(register, [want("a", state="absent"), want("c", state="absent")])
    assert addresses(ask(register, [want("d"), want("e")])) == ["203.0.113.4", "203.0.113.5"]
    assert "size 3, in use 3" in refused(register, [want("f")])[0]
    assert addresses(ask(register, [want("f")], [SMALL])) == ["203.0.113.1"]


def test_a_pool_may_take_over_addresses_that_another_gave_up_while_they_are_leased(register):
    ask(register, [want("a"), want("b")], [SMALL])
    ask(register, (), [
        {**SMALL, "ranges": ["203.0.113.4-203.0.113.6"]},
        {"name": "next", "prefix": "203.0.113.0/30", "ranges": ["203.0.113.1-203.0.113.3"]}])
    assert addresses(ask(register, [want("x", "next")])) == ["203.0.113.3"]
    assert "leased to a (pool small" in refused(register, [want("y", "next", address="203.0.113.1")])[0]
    ask(register, [want("a", state="absent")])
    assert addresses(ask(register, [want("y", "next")])) == ["203.0.113.1"]


def test_pools_that_share_an_address_are_refused(register):
    ask(register, (), [SMALL])
    said = refused(register, (), [
        {"name": "a", "prefix": "203.0.113.0/24"}, {"name": "b", "prefix": "203.0.113.6/32"}, PUBLIC6])
    assert [line.partition(",")[0] for line in said] == [
        "pools a and b both have 203.0.113.6", "pools a and small both have 203.0.113.1-203.0.113.6"]
    beside = {"name": "a", "prefix": "203.0.113.0/24", "exclude": ["203.0.113.0/29"]}
    assert addresses(ask(register, [want("x", "a")], [beside])) == ["203.0.113.8"]


def test_a_pool_with_leases_keeps_its_family(register):
    ask(register, [want("a")], [SMALL])
    assert "has 1 leases and can't become 2001:db8::/64" in refused(
        register, (), [{"name": "small", "prefix": "2001:db8::/64"}])[0]
    ask(register, [want("a", state="absent")])
    assert addresses(ask(register, [want("a")], [{"name": "small", "prefix": "2001:db8::/64"}])) == ["2001:db8::1"]


def test_a_prediction_is_what_happens_then_and_changes_nothing(register):
    ask(register, [want("a", holder="node1")], [SMALL])
    before = register.read_snapshot()
    request = [want("b"), want("a", holder="node2", other_holder="move"), want("b", "public6")]
    predicted = ask(register, request, [PUBLIC6], keep=False)
    assert register.read_snapshot() == before
    assert ask(register, request, [PUBLIC6]) == predicted
    assert diff_of(predicted.steps) == {
        "before": "# pool public6: is new\n# lease a: moves to another holder\n203.0.113.1 pool small holder node1\n"
                  "# lease b: is new\n# lease b: is new\n",
        "after": "# pool public6: is new\n"
                 "2001:db8:1::/64 ranges 2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff exclude none\n"
                 "# lease a: moves to another holder\n203.0.113.1 pool small holder node2\n"
                 "# lease b: is new\n203.0.113.2 pool small holder none\n"
                 "# lease b: is new\n2001:db8:1::1 pool public6 holder none\n"}


def test_a_register_is_described_with_what_its_pools_have_left(register):
    ask(register, [want("a", holder="node1"), want("b", holder="node2"), want("a", "public6")], [SMALL, PUBLIC6])
    said = describe_snapshot(register.read_snapshot(), {"owner": "a", "pool": "small"})
    assert said["pools"] == [
        {"name": "public6", "family": 6, "prefix": "2001:db8:1::/64",
         "ranges": ["2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff"], "exclude": [], "size": 2**64 - 1,
         "in_use": 1, "free": 2**64 - 2},
        {"name": "small", "family": 4, "prefix": "203.0.113.0/29", "ranges": ["203.0.113.1-203.0.113.6"], "exclude": [],
         "size": 6, "in_use": 2, "free": 4}]
    assert said["leases"] == [
        {"owner": "a", "pool": "small", "address": "203.0.113.1", "family": 4, "holder": "node1", "outside": False,
         "leased_at": 1}]
    assert [lease["owner"] for lease in describe_snapshot(register.read_snapshot(), {"holder": "node2"})["leases"]] == [
        "b"]


def test_the_highest_address_of_all_can_be_leased_and_released(register):
    last = write_address(ADDRESS_LAST)
    ask(register, [want("a", "end", address=last)], [{"name": "end", "prefix": f"{last[:-2]}00/120"}])
    ask(register, [want("a", "end", state="absent")])
    assert len(register.read_snapshot().free["end"]) == 1


def test_the_faults_of_a_register_are_found():
    pool = read_pool("p", "203.0.113.0/29")
    first = read_address("203.0.113.1")
    lease = Lease("a", "p", first, None, 1)
    free = (Span(first, first + 1), Span(first + 2, first + 3))
    assert find_faults(Snapshot((pool,), (lease, lease._replace(owner="b")), {"p": free})) == [
        "203.0.113.1 is leased twice",
        "pool p has free ranges that overlap or touch",
        "pool p: 203.0.113.5-203.0.113.6 is neither leased nor free",
        "pool p: 203.0.113.1 is free, and leased or outside the pool"]


class Model:
    """Leases and pools as plain sets, with the rules told once more in the slowest way."""

    def __init__(self):
        self.pools = {}
        self.leases = {}

    def answer(self, pools, leases):
        """Return the leases that are there afterwards, or None for a call that must fail."""
        allowed = {**self.pools, **{pool["name"]: numbers_of(pool) for pool in pools}}
        for name in allowed:
            if any(allowed[name] & allowed[other] for other in allowed if other != name):
                return None
        after = {key: value for key, value in self.leases.items() if not any(
            lease["owner"] == key[0] and lease["pool"] in (key[1], None)
            for lease in leases if lease["state"] == "absent")}
        present = [lease for lease in leases if lease["state"] == "present"]
        for lease in sorted(present, key=lambda lease: lease["address"] is None):
            key = lease["owner"], lease["pool"]
            asked = lease["address"] and int(ipaddress.ip_address(lease["address"]))
            if key not in after:
                free = allowed[lease["pool"]] - set(after.values())
                if asked and asked not in free or not free:
                    return None
                after[key] = asked or min(free)
            elif asked and asked != after[key]:
                return None
        self.pools, self.leases = allowed, after
        return after


def numbers_of(pool):
    hosts = {int(host) for host in ipaddress.ip_network(pool["prefix"]).hosts()}
    gone = {int(ipaddress.ip_address(text)) for text in pool["exclude"]}
    return hosts - gone


def random_call(dice, owners, pools):
    """Return a call that asks nothing twice: pools to define and leases to have or release."""
    defined = []
    for name in pools:
        if dice.random() < 0.15:
            prefix = ipaddress.ip_network(dice.choice(pools[name]))
            hosts = list(prefix.hosts())
            exclude = dice.sample(hosts, dice.randrange(len(hosts) // 2))
            defined.append({"name": name, "prefix": str(prefix), "exclude": [str(host) for host in exclude]})
    leases = []
    for owner in dice.sample(owners, dice.randrange(1, 6)):
        kind = dice.random()
        if kind < 0.1:
            leases.append({"owner": owner, "pool": None, "address": None, "state": "absent"})
            continue
        for name in dice.sample(sorted(pools), dice.randrange(1, len(pools) + 1)):
            if kind < 0.4:
                leases.append({"owner": owner, "pool": name, "address": None, "state": "absent"})
                continue
            asked = str(dice.choice(list(ipaddress.ip_network(pools[name][0]).hosts())))
            if dice.random() < 0.8 or any(lease["address"] == asked for lease in leases):
                asked = None
            leases.append({"owner": owner, "pool": name, "address": asked, "state": "present"})
    return defined, leases


@pytest.mark.parametrize("seed", range(6))
def test_random_calls_come_to_what_plain_sets_say(register, seed):
    dice = random.Random(seed)
    owners = [f"vm{at}" for at in range(16)]
    pools = {"one": ["10.0.0.0/28", "10.0.0.0/27"], "two": ["10.0.0.32/28", "10.0.0.16/28"], "three": ["10.0.0.64/29"]}
    first = [{"name": name, "prefix": prefixes[0], "exclude": []} for name, prefixes in pools.items()]
    model = Model()
    model.answer(first, [])
    ask(register, (), first)
    calls = {"done": 0, "refused": 0}
    for _call in range(150):
        defined, leases = random_call(dice, owners, pools)
        after = model.answer(defined, leases)
        if after is None:
            refused(register, leases, defined)
            calls["refused"] += 1
        else:
            ask(register, leases, defined)
            calls["done"] += 1
        assert leased(register) == {key: str(ipaddress.ip_address(value)) for key, value in model.leases.items()}
    assert min(calls.values()) > 20, calls
