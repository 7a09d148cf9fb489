# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks planned for nodes of switching and routing clusters: host_network takes them, and every manager can."""

from pathlib import Path

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import (
    host_ifupdown,
    host_netplan,
    host_networkd,
    host_nm,
)
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import Nic, read_plan
from ansible_collections.vmcluster.network.plugins.plugin_utils.findings import Findings, Place
from ansible_collections.vmcluster.network.plugins.plugin_utils.inventory import check_inventory
from ansible_collections.vmcluster.network.plugins.plugin_utils.plans import plan_clusters
from ansible_collections.vmcluster.network.plugins.plugin_utils.read_pools import read_pools

CLUSTERS = Path(__file__).parents[2] / "clusters"
INVENTORIES = Path(__file__).parents[4] / "inventories"
CASES = ("switching_public", "switching_isolated", "switching_two_networks", "switching_trunk", "switching_vlans",
         "routing_rented")
NAMES = {"eth0": "", "eth1": "", "eth2": "52:54:00:00:00:03", "eth3": "", "enp134s0f1np1": ""}
NICS = {name: Nic(name, mac or f"02:00:00:00:00:0{number}", f"0000:03:00.{number}", physical=True)
        for number, (name, mac) in enumerate(NAMES.items())}


def planned(case, read_inventory):
    """Return by host the plan that host_network makes of what a node's role hands it."""
    own = CLUSTERS / case / "inventory.yml"
    checked = check_inventory(*read_inventory(own if own.exists() else INVENTORIES / case))
    found = {}
    for host, roles in plan_clusters(checked.model)["hosts"].items():
        ((role, variables),) = roles.items()
        options = {"interfaces": variables[f"{role}_interfaces"], "sysctls": variables.get(f"{role}_sysctls")}
        found[host], mistakes = read_plan(options, NICS)
        assert mistakes == [], host
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("manager", [host_networkd, host_netplan, host_nm, host_ifupdown])
def test_every_manager_can_have_the_planned_network(case, manager, read_inventory):
    for plan in planned(case, read_inventory).values():
        text = "\n".join(file.text for file in manager.render(plan).values())
        assert [name for name in plan.made if name not in text] == []


def test_trunk_ports_carry_vlans_to_bridges_of_their_own(read_inventory):
    plan = planned("switching_vlans", read_inventory)["node1"]
    interfaces = {each.name: each for each in plan.interfaces}
    assert set(interfaces) == {"eth0", "eth1", "br0b", "br0t10", "br0", "br0t100", "br0v100", "br0t200", "br0v200",
                               "eth2", "stor", "stort300", "storv300"}
    assert (interfaces["br0b"].ports, interfaces["br0b"].mode) == (("eth0", "eth1"), "802.3ad")
    assert (interfaces["br0t10"].link, interfaces["br0t10"].id, interfaces["br0"].ports) == ("br0b", 10, ("br0t10",))
    assert (interfaces["stort300"].link, interfaces["storv300"].ports) == ("eth2", ("stort300",))
    assert {each.mtu for each in plan.interfaces} == {9000}
    assert interfaces["br0"].addresses == ("203.0.113.11/24",)
    assert not [name for name, each in interfaces.items() if each.has_ipv6 and name != "br0"]


def test_a_node_says_nothing_to_frames_without_a_tag_where_all_that_it_has_is_in_vlans(read_inventory):
    for node, carrier in (("node1", "br0b"), ("node2", "enp134s0f1np1")):
        plan = planned("switching_vlans", read_inventory)[node]
        assert plan.sysctls[f"net.ipv4.conf.{carrier}.arp_ignore"] == "8", node


def test_only_a_bridge_with_an_address_of_the_node_speaks(read_inventory):
    for case in CASES[:4]:
        for plan in planned(case, read_inventory).values():
            for each in plan.interfaces:
                if each.kind == "bridge":
                    quiet = plan.sysctls.get(f"net.ipv4.conf.{each.name}.arp_ignore") == "8"
                    assert quiet == (not each.addresses) == (not each.has_ipv6), (case, each.name)


def default_name(node):
    findings = Findings()
    (pool,), _complete = read_pools(Place(findings, node, "routing_pools"), [{"prefix": "203.0.113.8/29"}], node=node)
    assert not findings.mistakes
    return pool.name


def test_a_node_s_pools_need_no_name_whatever_the_node_s_is():
    assert default_name("node1") == "node1-4"
    names = ["node1.example.net", "node1-example.net", "NODE1.example.net", "_1", "-", "x" * 60 + "1", "x" * 60 + "2"]
    assert len({default_name(node) for node in names}) == len(names)
    assert default_name("node1.example.net") == "node1-example-net-b318f7-4"
