# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of guests: records and hypervisors that agree have no difference, each way of disagreeing is told."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.verify_guests import guest_differences
from ansible_collections.vmcluster.network.plugins.plugin_utils.verify_model import Cluster, Host

MAC = "02:00:00:00:00:10"
NODES = tuple(Host(name, frozenset({"nodes"}), frozenset({"alpha"})) for name in ("node1", "node2"))
CARD = {"interface": "web1_net0", "mac": MAC}


def interface(**changes: Any) -> dict[str, Any]:
    return {"vm": "web1", "nic": 0, "interface": "web1_net0", "mac": MAC, "driver": "libvirt", "carrier": True,
            "announcement": "announced", **changes}


def guest(**changes: Any) -> dict[str, Any]:
    return {"name": "web1", "driver": "libvirt", "running": True, "autostart": True, "ours": True, "nics": [CARD],
            "attached": [CARD], **changes}


def differences(
    interfaces: list[dict[str, Any]], guests: list[dict[str, Any]] | None, others: list[dict[str, Any]] | None = None,
    declared: str | None = None,
) -> list[str]:
    alpha = Cluster("alpha", frozenset(), (), guests={"web1": declared} if declared else {})
    node1 = {"interfaces": interfaces, **({} if guests is None else {"guests": guests})}
    evidence = {"node1": node1, "node2": {"interfaces": [], "guests": others or []}}
    return [f"{each.host}: {each.what}" for each in guest_differences(NODES, {"alpha": alpha}, evidence)]


def test_a_guest_that_runs_on_its_interface_agrees_and_so_does_one_that_is_stopped() -> None:
    assert differences([interface()], [guest()], declared="running") == []
    assert differences([interface(carrier=False)], [guest(running=False, attached=None)]) == []
    assert differences([interface(carrier=False)], [guest(running=False, attached=None)], declared="stopped") == []


def test_vms_that_others_run_are_not_looked_for() -> None:
    assert differences([interface(driver=None)], []) == []
    assert differences([interface(driver=None)], None) == []
    assert differences([interface(driver=None)], [guest(ours=False)]) == []


@pytest.mark.parametrize(("interfaces", "guests", "declared", "said"), [
    ([interface()], [], None, "libvirt has no domain web1, whose interface is here"),
    ([interface()], None, None, "could not tell what its hypervisors run"),
    ([interface(driver="lxc")], [guest(ours=False)], None, "lxc has no container web1, whose interface is here"),
    ([interface()], [guest(nics=[], attached=[])], None, "domain web1 has no card on web1_net0"),
    ([interface()], [guest(nics=[{**CARD, "mac": "02:00:00:00:00:99"}], attached=None)], None,
     f"domain web1 has a card with MAC 02:00:00:00:00:99 on web1_net0, which is recorded with {MAC}"),
    ([interface(), interface(nic=1, interface="web1_net1")], [guest()], None, "domain web1 has no card on web1_net1"),
    ([interface()], [guest(nics=[CARD, {**CARD, "interface": "web1_net1"}], attached=None)], None,
     "domain web1 has a card on web1_net1, which its records do not have"),
    ([interface()], [guest(attached=[])], None, "domain web1 runs with other cards than it is defined with"),
    ([interface(carrier=False)], [guest()], None, "domain web1 runs, and nothing uses web1_net0"),
    ([interface()], [guest(running=False, attached=None)], None,
     "domain web1 does not run, and something else uses web1_net0"),
    ([interface(carrier=False)], [guest(running=False, attached=None)], "running",
     "domain web1 does not run, and is declared running"),
    ([interface()], [guest()], "stopped", "domain web1 runs, and is declared stopped"),
    ([], [guest()], None, "libvirt's domain web1 runs, and no node has an interface of it"),
    ([interface(driver=None)], [guest()], None, "libvirt's domain web1 runs, and the VM's record does not say so"),
])
def test_what_does_not_agree_is_told(
    interfaces: list[dict[str, Any]], guests: list[dict[str, Any]] | None, declared: str | None, said: str
) -> None:
    assert differences(interfaces, guests, declared=declared) == [f"node1: {said}"]


def test_a_guest_in_two_places_is_told_and_one_that_its_operator_keeps_stopped_elsewhere_is_not() -> None:
    twice = guest(running=False, attached=None)
    assert differences([interface()], [guest()], [twice]) == [
        "node2: libvirt's domain web1 is defined here, and the VM is on node1"]
    assert differences([interface()], [guest()], [guest(ours=False)]) == [
        "node2: libvirt's domain web1 runs here, and the VM is on node1"]
    assert differences([interface()], [guest()], [{**twice, "ours": False}]) == []
