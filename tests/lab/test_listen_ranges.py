# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster whose reflectors accept nodes by listen ranges: built, limited, verified, grown without a touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.cluster import Cluster, read_description, reset_sessions
from vmlab.playbooks import INVENTORY

pytestmark = pytest.mark.lab

REFLECTORS = ("rr1", "rr2")
# Three nodes, two families each: six sessions come to a reflector, and a seventh is one too many.
LISTEN = {"listen": True, "listen_ranges": ["10.20.0.0/28", "fd20::/64"], "listen_limit": 6}


def describe(**changes: Any) -> dict[str, Any]:
    bgp = read_description()["cluster"]["bgp"]
    return read_description(bgp={**bgp, **LISTEN, **changes})


@pytest.fixture(scope="module")
def cluster(standard_lab: Lab) -> Cluster:
    built = Cluster(standard_lab)
    built.play("site.yml", extra=describe())
    built.attach({"name": "web1", "node": "node1"}, {"name": "web2", "node": "node3"}, extra=describe())
    for node, vm in (("node1", "web1"), ("node3", "web2")):
        built.wait_for_answer("ext", built.start_guests(node, vm)[vm])
    return built


def dynamic(cluster: Cluster, reflector: str) -> set[str]:
    """The neighbours that a reflector has not by name."""
    shown = json.loads(cluster.lab.exec(reflector, ["vtysh", "-c", "show bgp summary json"]).stdout)
    return {address for family in shown.values() for address, peer in family.get("peers", {}).items()
            if peer.get("dynamicPeer")}


def test_nodes_come_by_their_range_and_the_cluster_is_verified(cluster: Cluster, tmp_path: Path) -> None:
    for reflector in REFLECTORS:
        assert dynamic(cluster, reflector) == {
            f"{net}{node}" for net in ("10.20.0.", "fd20::") for node in (11, 12, 13)}
        config = cluster.running_config(reflector)
        assert " bgp listen limit 6\n" in config and " neighbor 10.20.0.11 " not in config
    report = cluster.verify(tmp_path / "report.json", extra=describe())
    assert report["returncode"] == 0, report["output"]
    before = cluster.all_sessions()
    run = cluster.play("site.yml", extra=describe())
    assert run.changed == 0
    assert reset_sessions(before, cluster.all_sessions()) == {}


def test_too_small_a_limit_and_a_node_outside_the_ranges_are_refused_before_anything_is_done(cluster: Cluster) -> None:
    run = cluster.play("site.yml", extra=describe(listen_limit=5), check=False)
    assert run.returncode != 0 and "5 is too small for the 6 sessions that a reflector has" in run.output
    run = cluster.play("site.yml", extra=describe(listen_ranges=["10.20.0.0/29", "fd20::/64"]), check=False)
    assert run.returncode != 0 and "10.20.0.11 is outside cluster.bgp.listen_ranges" in run.output
    assert all(" bgp listen limit 6\n" in cluster.running_config(reflector) for reflector in REFLECTORS)


def test_a_fourth_node_is_kept_out_by_the_limit_and_comes_in_when_it_is_raised(
    cluster: Cluster, tmp_path: Path
) -> None:
    overlay = tmp_path / "node4.json"
    overlay.write_text(json.dumps({"nodes": {"hosts": {"node4": {
        "underlay_ipv4": "10.20.0.14", "underlay_ipv6": "fd20::14"}}}}))
    cluster.lab.host_start("node4")
    wider = Cluster(cluster.lab, INVENTORY, overlay)
    before = cluster.all_sessions()
    raised = describe(listen_limit=8)
    wider.play("site.yml", "--limit", "node4", extra=raised, check=False)
    own = wider.sessions("node4")
    assert set(own) == {f"{net}{reflector}" for net in ("10.20.0.", "fd20::") for reflector in (21, 22)}
    assert not any(session.state == "Established" for session in own.values()), own
    assert all(len(dynamic(wider, reflector)) == 6 for reflector in REFLECTORS)
    wider.play("site.yml", "--limit", "node4,route_reflectors", extra=raised)
    assert all(session.state == "Established" for session in wider.sessions("node4").values())
    assert reset_sessions(before, cluster.all_sessions()) == {}
