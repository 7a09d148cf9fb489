# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading variables as Ansible has them: templates, vaults, tags."""

import datetime

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.hostvars import read_groups, read_hostvars, read_plain
from ansible_collections.vmcluster.network.plugins.plugin_utils.inventory import check_inventory
from ansible_collections.vmcluster.network.plugins.plugin_utils.values import Unreadable

INVENTORY = """
all:
  vars:
    site: {asn: 65010, suffix: 100}
    cluster:
      name: alpha
      type: ipfabric
      asn: "{{ site.asn }}"
      community: "{{ site.asn }}:{{ site.suffix }}"
      gateway: {ipv4: 10.255.255.1}
      pools: "{{ [{'name': 'public4', 'prefix': '203.0.113.0/24'}] }}"
      bgp:
        password: %s
      register: {host: "{{ groups.route_reflectors[0] }}"}
      vms: [{name: web1, node: "{{ groups.nodes | first }}"}]
  children:
    nodes: {hosts: {node1: {underlay_ipv4: 10.20.0.11}, node2: {underlay_ipv4: "10.20.0.{{ 10 + 2 }}"}}}
    route_reflectors: {hosts: {rr1: {underlay_ipv4: 10.20.0.21}, rr2: {underlay_ipv4: 10.20.0.22}}}
    core_gateways: {hosts: {core: {underlay_ipv4: 10.20.0.1}}}
"""

VAULTED = """!vault |
          $ANSIBLE_VAULT;1.1;AES256
          36663132613264613037653866653630336331656361363163643634383865643030613031313766
          3163313963313133643630353733643166303234386362640a353563613364616635643435663661
          32383838663636643331633830663834313439386161376532653437313361383637316463653163
          3464616135393262630a646433353733643434363964396138346233376436393239373962323763
          3833
"""


@pytest.fixture(name="read")
def fixture_read(tmp_path, read_inventory):
    def read(password):
        path = tmp_path / "hosts.yml"
        path.write_text(INVENTORY % password, encoding="utf-8")
        return read_inventory(path)

    return read


def only_plain(value):
    """Return whether a value consists of built-in types alone, without the tags that Ansible hangs on them."""
    if value.__class__ is dict:
        return all(only_plain(key) and only_plain(element) for key, element in value.items())
    if value.__class__ is list:
        return all(only_plain(element) for element in value)
    return value.__class__ in (str, int, float, bool, type(None), Unreadable)


def test_templates_are_followed_and_what_comes_out_is_plain(read):
    groups, hostvars = read("correct-horse")
    assert only_plain(groups)
    assert only_plain(hostvars)
    checked = check_inventory(groups, hostvars)
    assert checked.mistakes == ()
    cluster = checked.model.clusters["alpha"]
    assert (cluster.asn, cluster.communities, cluster.register.host) == (65010, ("65010:100",), "rr1")
    assert [vm.node for vm in cluster.vms] == ["node1"]
    assert checked.model.hosts["node2"].router_id == "10.20.0.12"


def test_a_variable_that_is_not_defined_is_a_mistake_at_its_key(read):
    checked = check_inventory(*read('"{{ vault_bgp_password }}"'))
    assert checked.mistakes == (
        "cluster alpha: cluster.bgp.password: cannot be read ('vault_bgp_password' is undefined): "
        "define the variable, or give the vault's password",
    )


def test_a_vault_that_cannot_be_decrypted_is_a_mistake_at_its_key(read):
    checked = check_inventory(*read(VAULTED))
    assert checked.mistakes == (
        "cluster alpha: cluster.bgp.password: cannot be read (the vault could not be decrypted): "
        "define the variable, or give the vault's password",
    )


def test_a_template_that_fails_is_a_mistake_without_what_it_worked_on(read):
    checked = check_inventory(*read("\"{{ 'correct-horse' | from_json }}\""))
    (mistake,) = checked.mistakes
    assert mistake.startswith("cluster alpha: cluster.bgp.password: cannot be read (its template fails: ")
    assert "correct-horse" not in mistake


def test_a_description_that_is_shared_is_read_once_however_many_nodes_see_it():
    description = {"name": "alpha", "vms": [{"name": f"vm{number}", "node": "{{ x }}"} for number in range(50)]}
    asked = []

    def templating(variables):
        return lambda value: asked.append(value) or "node1"

    hosts = [f"node{number}" for number in range(20)]
    found = read_hostvars(hosts, lambda host: {"cluster": {**description, "asn": "{{ y }}"}}, templating)
    assert len(asked) == 50 + 20
    assert all(found[host]["cluster"]["vms"] is found["node1"]["cluster"]["vms"] for host in hosts)


def test_each_host_is_asked_for_its_variables_once():
    asked = []
    read_hostvars(["node1", "node2"], lambda host: asked.append(host) or {}, lambda variables: str)
    assert asked == ["node1", "node2"]


def test_a_value_that_contains_itself_ends():
    knot = []
    knot.append(knot)
    assert "nested too deeply" in repr(read_plain(knot, str))


def test_groups_are_plain():
    assert read_groups({"nodes": ("node1",)}) == {"nodes": ["node1"]}


def test_dates_and_other_things_of_yaml_are_told_by_their_kind(read):
    groups, hostvars = read("2024-01-01")
    checked = check_inventory(groups, hostvars)
    assert checked.mistakes == (
        "cluster alpha: cluster.bgp.password: is a date, must be text: write plain text",
    )
    assert isinstance(hostvars["node1"]["cluster"]["bgp"]["password"], datetime.date)


def test_how_ansible_logs_in_is_read_of_junos_gateways_alone(tmp_path, read_inventory):
    """A password may be a lookup that asks somebody's vault, once for each of a thousand nodes."""
    text = (INVENTORY % "x").replace("  vars:\n", "  vars:\n    ansible_password: \"{{ 'of all' ~ ' hosts' }}\"\n", 1)
    path = tmp_path / "hosts.yml"
    path.write_text(text.replace("10.20.0.1}", "10.20.0.1, core_gateway_platform: junos}"), encoding="utf-8")
    _groups, hostvars = read_inventory(path)
    assert {host for host, variables in hostvars.items() if "ansible_password" in variables} == {"core"}
    assert hostvars["core"]["ansible_password"] == "of all hosts"
