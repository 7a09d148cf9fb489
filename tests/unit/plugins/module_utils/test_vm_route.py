# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FRR's side of VM interfaces: what is saved, what zebra must have, what is told of it."""

from ansible_collections.vmcluster.network.plugins.module_utils import vm_info, vm_recipe, vm_route
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Found, Link
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import Gateway, Vm

GATEWAY = Gateway("10.255.255.1", "fe80::1", "02:56:4d:12:34:56")
WEB1 = Vm("web1", 0, "web1_net0", None, "tap", 0, False, ("203.0.113.10",), (), "02:00:00:00:00:10", 1500, (),
          "announced", GATEWAY)
LINE = "ip route 203.0.113.10/32 web1_net0 tag 770"
ATTACHED = {"web1_net0": Link("web1_net0", "tap", up=True, carrier=True, alias="vmcluster:web1/0")}


def table(tag=770, interface="web1_net0", active=True):
    """As FRR 8.4.4 and 10.3 print `show ip route static json`, without what does not matter here."""
    return {"203.0.113.10/32": [{"protocol": "static", "tag": tag, "installed": True, "nexthops": [
        {"fib": True, "directlyConnected": True, "interfaceName": interface, "active": active}]}]}


def test_what_runs_and_is_saved_is_not_saved_again():
    assert vm_route.plan_saving([LINE], [LINE, "ip route 192.0.2.0/24 blackhole"]) == ()


def test_another_spelling_in_the_saved_file_is_the_same_route():
    assert vm_route.plan_saving([LINE], ["ip route 203.0.113.10/32 web1_net0 1 tag 770"]) == ()


def test_a_route_that_is_not_saved_is_saved():
    (step,) = vm_route.plan_saving([LINE], [])
    assert (step.after, step.commands) == ((LINE,), ("save",))


def test_the_operators_unsaved_routes_are_no_reason_to_save():
    assert vm_route.plan_saving(["ip route 192.0.2.0/24 blackhole", "ip route 10.0.0.0/8 10.1.1.1 tag 7700"], []) == ()


def test_what_will_run_is_known_beforehand():
    steps = [Step("", "", commands=("route ip route 203.0.113.10/32 web1_net0 tag 772",
                                    "withdraw no ip route 203.0.113.9/32 web9_net0 tag 770"))]
    running = (LINE, "ip route 203.0.113.9/32 web9_net0 tag 770", "ip route 192.0.2.0/24 blackhole")
    assert set(vm_route.running_after(running, steps)) == {
        "ip route 203.0.113.10/32 web1_net0 tag 772", "ip route 192.0.2.0/24 blackhole"}


def test_zebra_must_have_the_routes_of_interfaces_with_carrier_only():
    assert list(vm_route.expected_routes([WEB1], ATTACHED)) == ["203.0.113.10/32"]
    assert vm_route.expected_routes([WEB1], {"web1_net0": Link("web1_net0", "tap", up=True)}) == {}
    assert vm_route.expected_routes([WEB1._replace(announcement="standby")], ATTACHED) == {}


def test_a_route_is_missing_until_interface_and_tag_are_right():
    expected = vm_route.expected_routes([WEB1], ATTACHED)
    assert vm_route.missing_routes(expected, [table()]) == ()
    for other in ({}, table(tag=772), table(interface="web2_net0"), table(active=False)):
        assert [route.line for route in vm_route.missing_routes(expected, [other])] == [LINE]


def describe(routes=(LINE,), saved=(LINE,), records=None, names=None):
    records = {"web1_net0": vm_recipe.record_text(WEB1)} if records is None else records
    node = Found(ATTACHED, {"web1_net0": frozenset(["10.255.255.1/32"])}, {}, {}, records, tuple(routes))
    return vm_info.describe_interfaces(node, saved, names)


def test_info_tells_record_kernel_and_frr():
    (told,) = describe()
    assert told["vm"] == "web1"
    assert told["addresses"] == ["203.0.113.10"]
    assert (told["announcement"], told["announced_as"]) == ("announced", "announced")
    assert (told["recorded"], told["exists"], told["carrier"], told["saved"]) == (True, True, True, True)


def test_info_tells_where_they_disagree():
    (told,) = describe(routes=["ip route 203.0.113.10/32 web1_net0 tag 771"])
    assert (told["announced_as"], told["saved"]) == ("elevated", False)
    (told,) = describe(routes=[], saved=[])
    assert (told["announced_as"], told["saved"]) == ("standby", True)


def test_info_knows_an_interface_without_record_by_its_alias():
    (told,) = describe(records={})
    assert (told["vm"], told["nic"], told["recorded"], told["addresses"]) == ("web1", 0, False, [])


def test_info_tells_whose_a_damaged_record_is_when_the_interface_is_gone_as_well():
    told = {each["interface"]: each for each in describe(records={"web7_net3": "{damaged", "stray": ""})}
    assert (told["web7_net3"]["vm"], told["web7_net3"]["nic"], told["web7_net3"]["exists"]) == ("web7", 3, False)
    assert (told["stray"]["vm"], told["stray"]["nic"]) == ("stray", 0)


def test_info_can_be_asked_for_some():
    assert describe(names=["web2"]) == []
    assert len(describe(names=["web1"])) == 1
