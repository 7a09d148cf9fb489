# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node's part in a migration: what is in the way, what is armed, and the agent's files."""

import ast
import json

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import vm_migration_plan, vm_migration_unit
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Link
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_plan import Found, Migration, Way
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_state import Under

RECORD = {"kind": "tap", "announcement": "announced", "mac": "02:00:00:00:00:10",
          "addresses": ["203.0.113.10", "2001:db8:1::10"], "prefixes": ["203.0.113.64/28", "2001:db8:1:8::/64"]}
LINK = Link("web1_net0", "tap", up=True, carrier=True)
WAYS = {"10.20.0.12": Way("eth0", 1500), "fd20::12": Way("eth0", 1500)}
SOURCE = Migration("web1", 0, "source", "node2", {"ipv4": "10.20.0.11", "ipv6": "fd20::11"},
                   {"ipv4": "10.20.0.12", "ipv6": "fd20::12"}, tuple(RECORD["addresses"]), 1500, "secret", 0)
TARGET = SOURCE._replace(role="target", port=7770)
GOOD = Found(records={"web1_net0": RECORD}, links={"web1_net0": LINK}, under={}, ways=WAYS, files={},
             announced=frozenset({"web1_net0"}), sessions=frozenset({"ipv4", "ipv6"}))


def under(role="source", other="node2", state="armed", key="secret", runs=True):
    prefixes = {"203.0.113.10/32": None, "2001:db8:1::10/128": None}
    record = {"role": role, "other": other, "key": key, "prefixes": prefixes}
    return {"web1_net0": Under(record, {"state": state}, runs)}


def names(mistakes):
    return [mistake.split(": ")[1] for mistake in mistakes]


@pytest.mark.parametrize("end", [SOURCE, TARGET])
def test_a_node_that_has_all_takes_part(end):
    assert vm_migration_plan.check_preparing(GOOD, [end]) == []


@pytest.mark.parametrize(("name", "end", "changes"), [
    ("NotHere", SOURCE, {"records": {}}),
    ("NotRunning", SOURCE, {"links": {"web1_net0": LINK._replace(carrier=False)}}),
    ("NotAnnounced", SOURCE, {"announced": frozenset()}),
    ("NotAnnounced", SOURCE, {"records": {"web1_net0": {**RECORD, "announcement": "withdrawn"}}}),
    ("Container", SOURCE, {"records": {"web1_net0": {**RECORD, "kind": "veth"}}}),
    ("NoSessions", TARGET, {"sessions": frozenset({"ipv4"})}),
    ("NoFrr", TARGET, {"frr": "FRR does not run", "sessions": frozenset()}),
    ("MtuTooSmall", TARGET, {"ways": {**WAYS, "10.20.0.12": Way("eth0", 1400)}}),
    ("RoutedUnderlay", SOURCE, {"ways": {**WAYS, "fd20::12": Way("eth0", 1500, "fd20::1")}}),
    ("NoWay", SOURCE, {"ways": {"10.20.0.12": WAYS["10.20.0.12"]}}),
    ("NoUnderlayAddress", SOURCE._replace(peer={"ipv4": "10.20.0.12", "ipv6": None}), {}),
    ("MigrationUnderWay", SOURCE, {"under": under(other="node3")}),
    ("MigrationUnderWay", SOURCE, {"under": under(role="target")}),
])
def test_what_is_in_the_way_has_a_name(name, end, changes):
    mistakes = vm_migration_plan.check_preparing(GOOD._replace(**changes), [end])
    assert names(mistakes) == [name] and mistakes[0].startswith("LiveMigrationRefused: ")


def test_a_migration_that_expired_is_in_nobodys_way():
    found = GOOD._replace(under=under(other="node3", state="expired"))
    assert vm_migration_plan.check_preparing(found, [SOURCE]) == []


def test_the_agent_is_told_every_prefix_and_what_it_is_routed_through():
    (step,) = vm_migration_plan.plan_arming(GOOD, [SOURCE], deadline=1000.0)
    word, interface, text = step.commands[0].split(" ", 2)
    record = json.loads(text)
    assert (word, interface, record["uplink"], record["deadline"]) == ("arm", "web1_net0", "eth0", 1000.0)
    assert record["prefixes"] == {
        "203.0.113.10/32": None, "2001:db8:1::10/128": None,
        "203.0.113.64/28": "203.0.113.10", "2001:db8:1:8::/64": "2001:db8:1::10"}


def test_no_step_shows_the_key():
    (step,) = vm_migration_plan.plan_arming(GOOD, [SOURCE], deadline=1000.0)
    assert "secret" not in " ".join((step.why, step.thing, *step.before, *step.after))


@pytest.mark.parametrize(("found", "armed_again"), [
    (under(), False), (under(runs=False), True), (under(key="of another run"), True), (under(state="expired"), True),
    (under(state="left", runs=False), False), (under(state="cut", key="of another run"), False),
])
def test_what_is_armed_stays_and_what_has_moved_is_left(found, armed_again):
    assert bool(vm_migration_plan.plan_arming(GOOD._replace(under=found), [SOURCE], 1000.0)) == armed_again


@pytest.mark.parametrize(("end", "state", "carrier", "done"), [
    (TARGET, "armed", True, False), (TARGET, "arrived", True, False), (TARGET, "announced", True, True),
    (SOURCE, "armed", True, False), (SOURCE, "cut", False, False), (SOURCE, "left", True, False),
    (SOURCE, "left", False, True), (SOURCE, "expired", False, True),
])
def test_a_guest_has_moved_when_the_agent_says_so_and_the_source_has_none(end, state, carrier, done):
    found = GOOD._replace(under=under(end.role, state=state), links={"web1_net0": LINK._replace(carrier=carrier)})
    assert (vm_migration_plan.not_arrived(found, [end]) == []) == done


def test_only_what_has_not_moved_is_taken_back():
    assert vm_migration_plan.check_aborting(GOOD._replace(under=under()), [SOURCE]) == []
    assert names(vm_migration_plan.check_aborting(GOOD._replace(under=under(state="left")), [SOURCE])) == ["HasMoved"]


def test_overrides_stay_until_frrs_own_routes_do_the_same():
    there = {"203.0.113.10/32": ("eth0", "10.20.0.12"), "2001:db8:1::10/128": ("eth0", "fd20::12")}
    found = GOOD._replace(under=under(), routes=there)
    assert vm_migration_plan.not_settled(found, [SOURCE]) == []
    late = {**there, "2001:db8:1::10/128": ("web1_net0", None)}
    assert len(vm_migration_plan.not_settled(found._replace(routes=late), [SOURCE])) == 1
    assert len(vm_migration_plan.not_settled(found._replace(under=under("target"), routes=late), [TARGET])) == 1


def test_the_agents_files_import_only_python_and_each_other():
    files = vm_migration_unit.agent_files("/usr/bin/python3")
    modules = {path.rsplit("/", 1)[1][:-3] for path in files if path.endswith(".py")}
    assert len(modules) == 3
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)) if path.endswith(".py") else ():
            if isinstance(node, ast.ImportFrom) and node.module.startswith("ansible"):
                assert node.module.rpartition(".")[2] in modules, path


def test_an_installed_agent_is_left_and_one_of_another_version_is_written_again():
    there = vm_migration_unit.agent_files("/usr/bin/python3")
    assert vm_migration_unit.plan_agent(there, "/usr/bin/python3") == ()
    old = {**there, vm_migration_unit.UNIT_PATH: "old"}
    (step,) = vm_migration_unit.plan_agent(old, "/usr/bin/python3")
    assert [command.split(" ")[0] for command in step.commands] == ["write", "reload"]
