# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever an inventory says, the checks answer with mistakes, and what passes them can be planned."""

import copy
import datetime
import json
import operator
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.plugin_utils.inventory import check_inventory
from ansible_collections.vmcluster.network.plugins.plugin_utils.plans import plan_clusters, summarize_clusters
from ansible_collections.vmcluster.network.plugins.plugin_utils.values import Unreadable
from ansible_collections.vmcluster.network.plugins.plugin_utils.vms import lease_requests
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(__file__).parents[4] / ".cache" / "hypothesis")
RIGHT = yaml.safe_load((Path(__file__).parents[2] / "mistakes" / "right_inventory.yaml").read_text(encoding="utf-8"))
RIGHT["alpha"]["bgp"].update(timers={"keepalive": 3, "hold": 9}, bfd={"interval": 250}, listen_ranges=["10.0.0.0/8"])
RIGHT["alpha"]["pools"][0].update(ranges=["203.0.113.10-203.0.113.99"], exclude=["203.0.113.50", "203.0.113.64/28"])
RIGHT["alpha"]["vms"].append({"name": "web2", "nic": 1, "node": "node2", "addresses": ["203.0.113.11"], "prefixes": []})
RIGHT["request"]["vms"].append({"name": "web3", "node": "node1", "cluster": "alpha", "pools": ["alpha4"]})
RIGHT["request"]["migrate"].append({"vm": "web1", "node": "node2"})

WORDS = st.sampled_from(
    "web1 node1 rr1 core alpha beta alpha4 ipfabric routing 0.0.0.0/0 ::/0 10.20.0.11 fd20::11 fe80::1%eth0 "
    "::ffff:1.2.3.4 203.0.113.9-203.0.113.11 203.0.113.0/33 65010:100 4294967296:1 1:2:3 02:00:00:00:00:01 external "
    "junos tap {{x}}".split()
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 65535, 4294967295, 10**4000, -(10**400)]),
    st.floats(),
    st.text(max_size=20),
    st.text(alphabet="\x00\n\ud800é0:/.-% ", max_size=8),
    WORDS,
    st.just("x" * 3000),
    st.binary(max_size=4),
    st.just(Unreadable("'x' is undefined")),
    st.just(datetime.date(2024, 1, 1)),
    st.just(object()),
)
KEYS = st.one_of(WORDS, st.text(max_size=5), st.integers(), st.none(), st.sampled_from(["name", "prefix", "bgp"]))
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)), max_leaves=8
)


def all_paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, element in items:
        yield from all_paths(element, (*path, key))


# Ansible itself sees to it that groups are lists of names, and variables mappings.
PATHS = [path for path in all_paths(RIGHT) if len(path) > 1 and path[0] not in ("groups", "nodes_of")]
PATHS += [("alpha",), ("request", "vms"), ("request", "migrate")]


@st.composite
def broken_inventories(draw):
    inventory = copy.deepcopy(RIGHT)
    for _number in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PATHS))
        try:
            parent = inventory
            for key in path[:-1]:
                parent = parent[key]
            operator.getitem(parent, path[-1])
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken it away
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del parent[path[-1]]
        elif change == "add" and isinstance(parent[path[-1]], dict):
            parent[path[-1]][draw(KEYS)] = draw(VALUES)
        elif change == "add" and isinstance(parent[path[-1]], list):
            parent[path[-1]].append(draw(VALUES))
        else:
            parent[path[-1]] = draw(VALUES)
    return inventory


def check(inventory):
    hostvars = {name: variables for name, variables in inventory["hosts"].items() if isinstance(variables, dict)}
    for cluster, nodes in inventory["nodes_of"].items():
        for node in nodes:
            if cluster in inventory:
                hostvars.setdefault(node, {})["cluster"] = inventory[cluster]
    return check_inventory(inventory["groups"], hostvars, **inventory["request"])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(broken_inventories())
def test_a_broken_inventory_is_answered_with_readable_mistakes_or_can_be_planned(inventory):
    checked = check(inventory)
    for line in (*checked.mistakes, *checked.warnings):
        assert line.isprintable()
        assert line.count(": ") >= 2
        assert len(line) < 600
        assert "correct-horse" not in line
    if checked.model is None:
        assert checked.mistakes
    else:
        plan = plan_clusters(checked.model)
        assert json.loads(json.dumps(plan)) == plan
        assert summarize_clusters(checked.model, checked.warnings)
        lease_requests(plan["clusters"], plan["vms"])


def test_the_inventory_that_is_broken_here_is_right_to_begin_with():
    assert check(copy.deepcopy(RIGHT)).mistakes == ()


def wide_inventory(nodes, vms, pools):
    """Return groups and variables of a cluster of so many nodes, VMs and pools."""
    names = [f"node{number}" for number in range(nodes)]
    cluster = {
        **copy.deepcopy(RIGHT["alpha"]),
        "pools": [{"name": f"pool{number}", "prefix": f"10.{100 + number}.0.0/16"} for number in range(pools)],
        "vms": [
            {"name": f"vm{at}", "node": names[at % nodes], "addresses": [f"10.100.{at >> 8}.{at & 255}"]}
            for at in range(1, vms + 1)
        ],
        "bgp": {"max_prefixes": 100000},
    }
    hostvars = {name: {"cluster": cluster} for name in names}
    for number, name in enumerate([*names, "rr1", "rr2", "core"]):
        hostvars.setdefault(name, {})["underlay_ipv4"] = f"172.16.{number >> 8}.{number & 255}"
    return {"nodes": names, "route_reflectors": ["rr1", "rr2"], "core_gateways": ["core"]}, hostvars


def count_calls(function, *arguments):
    """Return how many calls of Python functions a call makes, which is the same on every machine."""
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        result = function(*arguments)
    finally:
        sys.setprofile(None)
    return calls, result


@pytest.mark.parametrize("grown", ["nodes", "vms", "pools"])
def test_the_work_of_a_check_grows_in_proportion(grown):
    sizes = {"nodes": 20, "vms": 200, "pools": 10}
    once, checked = count_calls(check_inventory, *wide_inventory(**sizes))
    assert checked.mistakes == ()
    twice, checked = count_calls(check_inventory, *wide_inventory(**{**sizes, grown: 2 * sizes[grown]}))
    assert checked.mistakes == ()
    assert twice / once < 2.1


@pytest.mark.parametrize("grown", ["nodes", "vms"])
def test_the_work_of_a_plan_grows_in_proportion(grown):
    sizes = {"nodes": 20, "vms": 200, "pools": 2}
    small = check_inventory(*wide_inventory(**sizes)).model
    large = check_inventory(*wide_inventory(**{**sizes, grown: 2 * sizes[grown]})).model
    once, _plan = count_calls(plan_clusters, small)
    twice, _plan = count_calls(plan_clusters, large)
    assert twice / once < 2.1
