# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From VMs and their interfaces to what a node's hypervisors are asked for."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmcluster.network.plugins.plugin_utils.guests import vm_guests

NOTHING: dict[str, list[Any]] = {"domains": [], "seeds": [], "containers": [], "lxd_containers": []}
GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1"}


def vm(name: str = "web1", nic: int = 0, **keys: Any) -> dict[str, Any]:
    guest = {"memory": 512, "disks": [{"path": "/web1"}]}
    return {"name": name, "nic": nic, "driver": "libvirt", "guest": guest, **keys}


def interface(name: str = "web1", nic: int = 0, **keys: Any) -> dict[str, Any]:
    return {
        "vm": name, "nic": nic, "mac": f"02:00:00:00:00:{nic:02d}", "addresses": [f"203.0.113.{10 + nic}"], **keys}


def test_a_guest_has_its_seed_as_last_disk_and_a_card_per_interface() -> None:
    told = vm_guests([vm()], [interface(nic=1), interface()], GATEWAY, 1500)
    (domain,) = told["domains"]
    assert domain == {
        "name": "web1", "state": "running", "memory": 512, "autostart": True,
        "disks": [{"path": "/web1"},
                  {"path": "/var/lib/vmcluster/seeds/web1.iso", "format": "raw", "readonly": True}],
        "nics": [{"nic": 0, "mac": "02:00:00:00:00:00"}, {"nic": 1, "mac": "02:00:00:00:00:01"}]}
    (seed,) = told["seeds"]
    assert seed["name"] == "web1" and "203.0.113.10/32" in seed["network_config"]


def test_vms_that_others_run_and_vms_of_other_nodes_are_left_alone() -> None:
    others = {key: value for key, value in vm("db1").items() if key != "driver"}
    told = vm_guests([others, vm("elsewhere")], [interface("db1")], GATEWAY, 1500)
    assert told == NOTHING


def test_a_vm_without_description_is_a_domain_to_be_adopted_and_has_no_seed() -> None:
    told = vm_guests([vm(guest=None)], [interface()], GATEWAY, 1500)
    assert told["seeds"] == []
    assert told["domains"][0]["adopt"] is True and "disks" not in told["domains"][0]


def test_a_seed_is_left_out_where_it_is_not_wanted() -> None:
    told = vm_guests([vm(guest={"memory": 512, "seed": False})], [interface()], GATEWAY, 1500)
    assert told["seeds"] == [] and "disks" not in told["domains"][0]


def test_an_adopted_domain_whose_disks_are_not_listed_keeps_them() -> None:
    told = vm_guests([vm(guest={"adopt": True, "seed": True})], [interface()], GATEWAY, 1500)
    assert "disks" not in told["domains"][0]


def test_what_is_asked_for_goes_before_what_is_there() -> None:
    asked = {**interface(), "addresses": ["203.0.113.99"]}
    (seed,) = vm_guests([vm()], [asked, interface()], GATEWAY, 1500)["seeds"]
    assert "203.0.113.99/32" in seed["network_config"] and "203.0.113.10/32" not in seed["network_config"]


def test_a_guest_goes_when_all_its_interfaces_do_and_loses_a_card_when_one_does() -> None:
    both = [interface(driver="libvirt"), interface(nic=1, driver="libvirt")]
    assert vm_guests([vm(nic=1)], both, None, 1500, "absent") == {**NOTHING, "domains": [
        {"name": "web1", "state": "present", "adopt": True, "nics": [{"nic": 0, "mac": "02:00:00:00:00:00"}]}]}
    told = vm_guests([vm(), vm(nic=1)], both, None, 1500, "absent")
    assert told["domains"] == [{"name": "web1", "state": "absent", "adopt": True}]
    assert told["seeds"] == [{"name": "web1", "state": "absent"}]


def test_what_runs_a_vm_that_goes_is_what_its_record_says() -> None:
    other = {key: value for key, value in vm().items() if key != "driver"}
    assert vm_guests([other], [interface(driver="libvirt")], None, 1500, "absent")["domains"]
    assert vm_guests([vm()], [interface(driver="lxc")], None, 1500, "absent")["containers"]
    assert vm_guests([vm()], [interface()], None, 1500, "absent") == NOTHING
    assert vm_guests([vm()], [], None, 1500, "absent")["domains"], "nothing is recorded any more: as it is asked for"


def test_a_further_card_is_all_that_is_told_of_a_vm_that_is_asked_for_without_its_first() -> None:
    told = vm_guests([vm(nic=1)], [interface(), interface(nic=1)], GATEWAY, 1500)
    assert told == {**NOTHING, "domains": [{"name": "web1", "state": "present", "adopt": True, "nics": [
        {"nic": 0, "mac": "02:00:00:00:00:00"}, {"nic": 1, "mac": "02:00:00:00:00:01"}]}]}


def test_a_container_on_a_bridge_configures_itself() -> None:
    (container,) = vm_guests([vm(driver="lxc", guest={"rootfs": "/srv/web1"})], [interface()], None, 1500)["containers"]
    assert container["nics"] == [{"nic": 0, "addresses": [], "gateway": {}}]


def test_a_guest_that_is_described_as_stopped_does_not_start_with_the_node_either() -> None:
    (domain,) = vm_guests([vm(guest={"memory": 512, "state": "stopped"})], [interface()], None, 1500)["domains"]
    assert (domain["state"], domain["autostart"]) == ("stopped", False)


def test_a_container_has_addresses_and_gateway_itself_and_goes_like_a_domain() -> None:
    told = vm_guests([vm(driver="lxc", guest={"rootfs": "/srv/web1"})], [interface()], {**GATEWAY, "mac": "02:…"}, 1500)
    assert told == {**NOTHING, "containers": [{
        "name": "web1", "state": "running", "rootfs": "/srv/web1", "autostart": True,
        "nics": [{"nic": 0, "addresses": ["203.0.113.10"], "gateway": GATEWAY}]}]}
    told = vm_guests([vm(driver="lxc")], [interface(driver="lxc")], None, 1500, "absent")
    assert told == {**NOTHING, "containers": [{"name": "web1", "state": "absent", "adopt": True}]}
