# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of mistake, as data: a small change to a right inventory, and all that is said of it."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.plugin_utils.inventory import check_inventory
from ansible_collections.vmcluster.network.plugins.plugin_utils.values import Unreadable

MISTAKES = Path(__file__).parents[2] / "mistakes"
RIGHTS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(MISTAKES.glob("*.yaml"))}
CASES = [
    pytest.param({"file": path.stem, **case}, id=f"{path.stem}: {case['sentence']}")
    for path in sorted(MISTAKES.glob("*.yml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


def changed_inventory(case):
    """Return the right inventory with a case's changes; a path is like `alpha.pools[0].prefix`.

    The cases of switching.yml and routing.yml are about inventories of their own.
    """
    right = f"right_{case.get('file')}"
    inventory = copy.deepcopy(RIGHTS[right if right in RIGHTS else "right_inventory"])
    for path, value in case.get("change", {}).items():
        parent, key = find_parent(inventory, path)
        parent[key] = read_value(value)
    for path in case.get("remove", []):
        parent, key = find_parent(inventory, path)
        del parent[key]
    return inventory


def find_parent(inventory, path):
    *keys, last = [int(key) if key.isdigit() else key for key in re.findall(r"[^.\[\]]+", path)]
    for key in keys:
        inventory = inventory[key]
    return inventory, last


def read_value(value):
    """Return a value of a case; `{unreadable: why}` stands for a variable that could not be templated."""
    return Unreadable(value["unreadable"]) if isinstance(value, dict) and set(value) == {"unreadable"} else value


def check_case(case):
    inventory = changed_inventory(case)
    hostvars = inventory["hosts"]
    for cluster, nodes in inventory["nodes_of"].items():
        for node in nodes:
            hostvars.setdefault(node, {})["cluster"] = inventory[cluster]
    return check_inventory(inventory["groups"], hostvars, **inventory["request"])


def test_the_right_inventory_has_no_mistakes():
    checked = check_case({})
    assert (checked.mistakes, checked.warnings) == ((), ())
    assert set(checked.model.clusters) == {"alpha", "beta"}


@pytest.mark.parametrize("kind", ["switching", "routing"])
def test_the_right_inventory_of_each_other_type_has_no_mistakes(kind):
    checked = check_case({"file": kind})
    assert (checked.mistakes, checked.warnings) == ((), ())
    assert [cluster.type for cluster in checked.model.clusters.values()] == [kind]


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told_with_its_place_and_remedy_and_nothing_else_is(case):
    checked = check_case(case)
    assert list(checked.mistakes) == case.get("mistakes", [])
    assert list(checked.warnings) == case.get("warnings", [])
    assert (checked.model is None) == bool(checked.mistakes)


def test_there_are_many_kinds_of_mistakes_and_each_is_a_sentence_of_its_own():
    sentences = [parameter.values[0]["sentence"] for parameter in CASES]
    assert len(sentences) == len(set(sentences)) >= 60


def test_all_mistakes_are_told_together():
    changes = {"alpha.asn": 0, "beta.community": "x", "hosts.core.router_id": "0.0.0.0", "alpha.vms[0].node": "node9"}
    assert len(check_case({"change": changes}).mistakes) == len(changes)


@pytest.mark.parametrize("case", CASES)
def test_no_message_holds_the_password(case):
    checked = check_case(case)
    assert "correct-horse" not in "\n".join((*checked.mistakes, *checked.warnings))
