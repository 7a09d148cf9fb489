# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each host has to be, as golden files: tests/unit/clusters/<case>/plan.yml, beside its inventory.

Cases without an inventory of their own have that of the same name in inventories/.

A plan is meant to change: read the difference, then write the new file with
`VMCLUSTER_WRITE_PLANS=1 .venv/bin/pytest tests/unit/plugins/plugin_utils/test_plans.py`.
"""

import json
import os
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.plugin_utils.inventory import check_inventory
from ansible_collections.vmcluster.network.plugins.plugin_utils.plans import plan_clusters, summarize_clusters

CLUSTERS = Path(__file__).parents[2] / "clusters"
INVENTORIES = Path(__file__).parents[4] / "inventories"
# The lab's inventory is of the checkout alone, so it is not where ansible-test runs what a built collection has.
CASES = sorted(path.name for path in CLUSTERS.iterdir() if path.is_dir()
               and (path.name != "lab" or (INVENTORIES / "lab").exists()))


def inventory_of(case):
    own = CLUSTERS / case / "inventory.yml"
    return own if own.exists() else INVENTORIES / case


@pytest.mark.parametrize("case", CASES)
def test_an_inventory_gives_the_plan_that_was_agreed_on(case, read_inventory):
    checked = check_inventory(*read_inventory(inventory_of(case)))
    assert checked.mistakes == ()
    plan = {**plan_clusters(checked.model), "warnings": list(checked.warnings)}
    golden = CLUSTERS / case / "plan.yml"
    if os.environ.get("VMCLUSTER_WRITE_PLANS"):
        golden.write_text(yaml.dump(plan, Dumper=_Plain, sort_keys=False, width=120), encoding="utf-8")
    assert plan == yaml.safe_load(golden.read_text(encoding="utf-8"))


class _Plain(yaml.SafeDumper):
    """Writes no anchors, and lists as yamllint likes them: a plan is read by people."""

    def increase_indent(self, flow=False, indentless=False):
        super().increase_indent(flow, False)

    def ignore_aliases(self, data):
        return True


@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_plain_json(case, read_inventory):
    plan = plan_clusters(check_inventory(*read_inventory(inventory_of(case))).model)
    assert json.loads(json.dumps(plan)) == plan


def test_hosts_that_others_configure_have_no_plan_but_are_peers(read_inventory):
    plan = plan_clusters(check_inventory(*read_inventory(inventory_of("external_hosts"))).model)
    assert sorted(plan["hosts"]) == ["node1", "rr1"]
    assert [peer["name"] for peer in plan["hosts"]["node1"]["ipfabric"]["ipfabric_reflectors"]] == ["rr1", "bird-rr"]
    reflector = plan["hosts"]["rr1"]["route_reflector"]
    assert [peer["name"] for peer in reflector["route_reflector_peers"]] == ["bird-rr"]
    assert [peer["name"] for peer in reflector["route_reflector_core_gateways"]] == ["bird-core"]


@pytest.mark.parametrize("case", CASES)
def test_every_session_is_planned_at_both_ends(case, read_inventory):
    plan = plan_clusters(check_inventory(*read_inventory(inventory_of(case))).model)
    sessions = set(_sessions(plan))
    assert bool(sessions) == any(cluster["type"] == "ipfabric" for cluster in plan["clusters"].values())
    for host, peer, address in sessions:
        family = "ipv6" if ":" in address else "ipv4"
        other_end = (peer, host, plan["underlay"][host][family])
        assert peer not in plan["hosts"] or other_end in sessions or _listens(plan, peer)


def _listens(plan, host):
    return bool(plan["hosts"][host].get("route_reflector", {}).get("route_reflector_listen_ranges"))


def _sessions(plan):
    for host, roles in plan["hosts"].items():
        for variables in roles.values():
            for value in variables.values():
                yield from ((host, peer, address) for peer, address in _peers_in(value))


def _peers_in(value):
    """Yield (name, address) of every peer in a variable; a peer is what has a name and an underlay address."""
    if isinstance(value, list):
        for element in value:
            yield from _peers_in(element)
    elif isinstance(value, dict):
        if "name" in value:
            yield from ((value["name"], value[family]) for family in ("ipv4", "ipv6") if family in value)
        for element in value.values():
            yield from _peers_in(element)


@pytest.mark.parametrize("case", CASES)
def test_passwords_are_nowhere_but_in_the_settings_of_sessions_and_of_a_login(case, read_inventory):
    checked = check_inventory(*read_inventory(inventory_of(case)))
    passwords = {cluster.bgp.password for cluster in checked.model.clusters.values()}
    passwords |= {host.junos.password for host in checked.model.hosts.values() if host.junos}
    passwords -= {None, ""}
    plan = plan_clusters(checked.model)
    for roles in plan["hosts"].values():
        for variables in roles.values():
            for name in variables:
                if name.endswith(("_bgp", "_junos")):
                    variables[name] = None
    told = [json.dumps(plan), *summarize_clusters(checked.model), repr(checked.model)]
    assert not [text for text in told for password in passwords if password in text]
