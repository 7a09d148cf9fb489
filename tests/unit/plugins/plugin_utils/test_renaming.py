# SPDX-License-Identifier: GPL-3.0-or-later
"""Another name for a VM: what each is asked for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.renaming import plan_renaming

MAC = "02:00:00:00:00:10"
GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:00:00:00:00:01"}
LEASE = {"owner": "alpha/web1", "pool": "public4", "address": "203.0.113.10", "holder": "node1"}


def interface(vm: str = "web1", **changes: Any) -> dict[str, Any]:
    return {"vm": vm, "nic": 0, "interface": f"{vm}_net0", "addresses": ["203.0.113.10"], "prefixes": [], "mac": MAC,
            "kind": "tap", "owner": 0, "multi_queue": False, "mtu": 1500, "announcement": "announced",
            "carrier": False, "driver": "libvirt", "bridge": None, **changes}


def guest(running: bool = False, name: str = "web1", driver: str = "libvirt") -> dict[str, Any]:
    return {"name": name, "driver": driver, "running": running}


def renaming(
    leases: list[dict[str, Any]], interfaces: list[dict[str, Any]], guests: list[dict[str, Any]], new: str = "shop1",
    declared: str = "db1", node: str = "node1", **options: Any
) -> dict[str, Any]:
    alpha = {"nodes": ["node1", "node2"], "vms": [{"name": declared}], "gateway": GATEWAY}
    found = {"interfaces": interfaces, "migrations": options.pop("migrations", [])}
    return plan_renaming({"clusters": {"alpha": alpha}}, leases, found, guests, ("web1", new), node, **options)


def test_interfaces_guest_and_leases_get_the_new_name_and_keep_addresses_and_mac() -> None:
    part = renaming([LEASE], [interface()], [guest()])
    old, new = part["vms"]
    assert part["mistakes"] == [] and old == {"name": "web1", "nic": 0, "state": "absent"}
    assert (new["name"], new["mac"], new["addresses"], new["driver"]) == ("shop1", MAC, ["203.0.113.10"], "libvirt")
    assert "bridge" not in new and new["owner"] == "0"
    assert part["renamed"]["domains"] == [{
        "name": "shop1", "was": "web1", "state": "present", "adopt": True, "nics": [{"nic": 0, "mac": MAC}]}]
    assert part["renamed"]["seeds"] == [{"name": "shop1", "was": "web1", "state": "renamed"}]
    assert part["leases"] == [
        {"owner": "alpha/web1", "state": "absent"}, {**LEASE, "owner": "alpha/shop1", "state": "present"}]


def test_further_cards_keep_their_numbers() -> None:
    second = {**LEASE, "owner": "alpha/web1#1", "address": "203.0.113.11"}
    part = renaming([LEASE, second], [interface(), interface(nic=1, addresses=["203.0.113.11"])], [guest()])
    owners = [lease["owner"] for lease in part["leases"]]
    assert owners == ["alpha/web1", "alpha/web1#1", "alpha/shop1", "alpha/shop1#1"]
    assert [nic["nic"] for nic in part["renamed"]["domains"][0]["nics"]] == [0, 1]


def test_a_guest_that_runs_is_stopped_and_started_if_that_is_asked_for() -> None:
    part = renaming([LEASE], [interface(carrier=True, driver="lxc", kind="veth")], [guest(True, driver="lxc")],
                    restart=True)
    assert part["stopped"]["containers"] == [{"name": "web1", "state": "stopped", "adopt": True}]
    assert part["renamed"]["containers"][0]["state"] == "running" and part["renamed"]["seeds"] == []


def test_an_interrupted_renaming_goes_on() -> None:
    part = renaming([LEASE], [interface("shop1")], [guest(name="shop1")])
    assert part["mistakes"] == [] and part["leases"][1]["owner"] == "alpha/shop1"
    part = renaming([LEASE], [interface("shop1")], [guest()], restart=True)
    assert part["renamed"]["domains"][0]["state"] == "running", "the interrupted run has stopped it"
    assert part["stopped"]["domains"] == []


def test_nothing_is_asked_of_other_nodes_nor_of_what_others_run() -> None:
    assert renaming([LEASE], [], [], node="node2")["vms"] == []
    part = renaming([LEASE], [interface(driver=None)], [])
    assert part["vms"] and part["renamed"] == {"domains": [], "containers": [], "lxd_containers": [], "seeds": []}


@pytest.mark.parametrize(("interfaces", "guests", "options", "said"), [
    ([interface()], [guest()], {"new": "web1"}, "web1 is the name that it has"),
    ([interface()], [guest()], {"new": "shop.1"}, "'shop.1' has characters that are not allowed"),
    ([interface()], [guest()], {"declared": "web1"}, "web1 is declared in the inventory"),
    ([], [], {}, "the node has no interface of web1"),
    ([interface(carrier=True)], [guest(True)], {}, "a guest runs on web1_net0: stop it, or say restart=true"),
    ([interface(carrier=True, driver=None)], [], {"restart": True}, "a guest runs on web1_net0: stop it"),
    ([interface("shop1", addresses=["203.0.113.99"]), interface(nic=1)], [], {}, "shop1_net0 is that of another VM"),
    ([interface()], [guest()], {"migrations": [{"vm": "web1"}]}, "web1 migrates: finish that first"),
])
def test_what_cannot_be_is_refused_and_nothing_else_is_said(
    interfaces: list[dict[str, Any]], guests: list[dict[str, Any]], options: dict[str, Any], said: str
) -> None:
    part = renaming([LEASE], interfaces, guests, **options)
    (mistake,) = part["mistakes"]
    assert mistake.startswith(said) and part["vms"] == []


def test_a_name_that_the_register_knows_is_refused() -> None:
    taken = {**LEASE, "owner": "alpha/shop1", "address": "203.0.113.11"}
    assert renaming([LEASE, taken], [interface()], [guest()])["mistakes"] == [
        "the register has leases of shop1 already: choose another name"]


def test_a_name_that_the_driver_does_not_take_is_refused_before_the_interface_has_it() -> None:
    container = {"driver": "lxd", "kind": "veth"}
    part = renaming([LEASE], [interface(**container)], [guest(driver="lxd")], new="shop_1")
    assert part["mistakes"] == [
        "'shop_1' is no name of a container of LXD: use letters, digits and '-', first a letter, not '-' at the end"]
    assert renaming([LEASE], [interface(**container)], [guest(driver="lxd")], new="shop-1")["mistakes"] == []
    assert renaming([LEASE], [interface()], [guest()], new="shop_1")["mistakes"] == []
