# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that dies: who notices when, its VMs elsewhere, its return; and nodes that go and come for good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vmlab import Lab
from vmlab.cluster import NODES, Cluster, reset_sessions
from vmlab.playbooks import PlaybookRun
from vmlab.stories import unique_lab_name, wait_until

pytestmark = pytest.mark.lab

RUN = 900.0  # seconds a playbook may take on a loaded machine
VMS = {"web1": "node1", "web2": "node2", "day2": "node2", "web3": "node3"}
MAC = "02:00:00:00:00:d2"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lab = Lab.up(Path(__file__).with_name("node_death.yml"), name=unique_lab_name("death"))
    try:
        built = Cluster(lab)
        built.play("site.yml", timeout=RUN)
        macs = {"day2": {"mac": MAC}}
        built.attach(*({"name": vm, "node": node, **macs.get(vm, {})} for vm, node in VMS.items()), timeout=RUN)
        addresses = [each for vm, node in VMS.items() for each in built.start_guests(node, vm)[vm]]
        built.wait_for_answer("ext", addresses, 60)
        yield built
    finally:
        lab.down()


def addresses_of(cluster: Cluster, vm: str) -> list[str]:
    return [address for owner, _pool, address, _holder in cluster.leases() if owner == f"alpha/{vm}"]


def holder_of(cluster: Cluster, vm: str) -> str:
    (holder,) = {holder for owner, _pool, _address, holder in cluster.leases() if owner == f"alpha/{vm}"}
    return holder


def next_hops(cluster: Cluster, vm: str) -> set[str]:
    """The nodes that the core's kernel sends a VM's packets to, by the last part of their addresses."""
    return {f"node{route['gateway'][-1]}" for address in addresses_of(cluster, vm)
            for route in cluster.kernel_routes(address)}


def is_up(cluster: Cluster, node: str) -> bool:
    return all(each.state == "Established" for each in cluster.sessions(node).values())


def evacuate(cluster: Cluster, *arguments: str, check: bool = True, **extra: object) -> PlaybookRun:
    more = {"node": "node2", "evacuate_vms": [{"name": "day2", "mac": MAC}], **extra}
    return cluster.play("evacuate_node.yml", *arguments, extra=more, check=check, timeout=RUN)


def test_a_node_that_lives_is_not_evacuated_and_neither_is_one_that_nobody_calls_dead(cluster: Cluster) -> None:
    for extra, name in (({}, "NotConfirmed"), ({"confirm_dead": "node1"}, "NotConfirmed"),
                        ({"confirm_dead": "node2"}, "Answers")):
        run = evacuate(cluster, check=False, **extra)
        assert run.returncode != 0 and f"EvacuationRefused: {name}: " in run.output, run.output
        assert run.changed == 0


def test_the_core_has_no_route_to_a_dead_node_any_more_within_seconds_of_bfd_alone(cluster: Cluster) -> None:
    addresses = addresses_of(cluster, "web2")
    began = time.monotonic()
    cluster.lab.host_kill("node2")
    for address in addresses:
        cluster.wait_for_no_route(address, 30)
    gone = time.monotonic() - began
    print(f"node2 died: its routes are gone from the core after {gone:.3f} s")
    assert gone < 3, "BFD's 0.75 s and what a busy machine adds; hold time and graceful restart take 9 s and more"


def test_a_dead_nodes_vms_are_announced_elsewhere(cluster: Cluster) -> None:
    leases, config = cluster.leases(), cluster.running_config("rr1")
    predicted = evacuate(cluster, "--check", "--diff", confirm_dead="node2")
    assert predicted.recap["rr1"]["changed"] > 0 and "web2_net0" in predicted.output, predicted.output
    assert (cluster.leases(), cluster.running_config("rr1")) == (leases, config)
    run = evacuate(cluster, confirm_dead="node2")
    for vm in ("web2", "day2"):
        home = holder_of(cluster, vm)
        assert home in ("node1", "node3"), run.output
        cluster.lab.guest_del(vm)
        cluster.start_guests(home, vm)
        cluster.wait_for_answer("ext", addresses_of(cluster, vm), 60)
        assert next_hops(cluster, vm) == {home}
    assert cluster.records(holder_of(cluster, "day2"))["day2"]["mac"] == MAC


def test_when_it_comes_back_it_announces_nothing_of_that_and_site_yml_does_not_let_it(cluster: Cluster) -> None:
    cluster.lab.host_start("node2")
    ghost = {**cluster.records("node2")["web2"], "addresses": addresses_of(cluster, "web2")}
    cluster.start_guest("node2", "ghost", ghost)
    address = addresses_of(cluster, "web2")[0]
    wait_until(lambda: "static" in cluster.shell("node2", f"vtysh -c 'show ip route {address}' || true"), 60,
               "FRR of node2 would announce web2")
    run = cluster.play("site.yml", "-e", "verify_wait=1", check=False, timeout=RUN)
    assert run.returncode != 0 and "undrain_node" in run.output, run.output
    assert "Established" not in {each.state for each in cluster.sessions("node2").values()}
    assert next_hops(cluster, "web2") == {holder_of(cluster, "web2")}
    cluster.wait_for_answer("ext", addresses_of(cluster, "web2"))


def test_undrained_it_is_a_node_as_any_without_the_vms_that_have_gone(cluster: Cluster, tmp_path: Path) -> None:
    refused = cluster.play("undrain_node.yml", extra={"node": "node2"}, check=False, timeout=RUN)
    assert refused.returncode != 0 and "Stop them here first" in refused.output and refused.changed == 0, refused.output
    cluster.lab.guest_del("ghost")
    cluster.play("undrain_node.yml", extra={"node": "node2"}, timeout=RUN)
    assert is_up(cluster, "node2") and cluster.records("node2") == {}
    report = cluster.verify(tmp_path / "report.json", timeout=RUN)
    assert report["agrees"], report["differences"]


NEWER_FRR = r"""
cd /var/lib/vmcluster-lab/packages
rm -rf /tmp/newer
dpkg-deb -R frr_8*.deb /tmp/newer
sed -i 's/^Version: .*/&+lab1/' /tmp/newer/DEBIAN/control
dpkg-deb -Znone -b /tmp/newer frr_newer.deb
{ echo; cat /tmp/newer/DEBIAN/control; echo "Filename: ./frr_newer.deb"; echo "Size: $(stat -c %s frr_newer.deb)"
  echo "SHA256: $(sha256sum frr_newer.deb | cut -d' ' -f1)"; echo; } >> Packages
"""


def test_frr_is_upgraded_host_by_host_and_the_first_that_is_not_well_or_not_drained_ends_it(cluster: Cluster) -> None:
    def upgrade(*hosts: str, check: bool = True):  # type: ignore[no-untyped-def]
        return cluster.play("upgrade_frr.yml", extra={"upgrade_hosts": hosts}, check=check, timeout=RUN)

    def version(host: str) -> str:
        return cluster.shell(host, "dpkg-query -W -f '${Version}' frr")

    def running(host: str) -> str:
        return cluster.shell(host, "readlink /proc/$(cat /run/frr/bgpd.pid)/exe").strip()

    old = version("rr1")
    for host in ("rr1", "rr2", "node1", "node2"):
        cluster.shell(host, NEWER_FRR)
    refused = upgrade("rr2", "node1", "node2", check=False)
    assert refused.returncode != 0 and "UpgradeRefused: CarriesVms: node1 " in refused.output, refused.output
    assert [version(host) for host in ("rr2", "node1", "node2")] == [f"{old}+lab1", old, old]
    upgrade("node2")
    assert version("node2") == f"{old}+lab1" and is_up(cluster, "node2") and is_up(cluster, "rr2")
    assert {running(host) for host in ("rr2", "node2")} == {"/usr/lib/frr/bgpd"}, "no daemon of the old package runs on"
    cluster.shell("node3", "systemctl stop frr")
    refused = upgrade("rr1", "node2", check=False)
    assert refused.returncode != 0 and "UpgradeRefused: SessionsDown: rr1 " in refused.output, refused.output
    assert version("rr1") == old and "node2" not in refused.recap
    cluster.shell("node3", "systemctl start frr")
    wait_until(lambda: is_up(cluster, "node3"), 60, "node3 has its sessions again")


def test_an_empty_node_is_removed_and_added_and_no_other_session_is_reset(cluster: Cluster, tmp_path: Path) -> None:
    keys = tmp_path / "known_hosts"
    keys.write_text("".join(f"{node} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}\n" for node in NODES))
    refused = cluster.play("remove_node.yml", extra={"node": "node1"}, check=False, timeout=RUN)
    assert "DrainRefused: NotEmpty: node1 has " in refused.output and refused.changed == 0, refused.output
    others = {key: each for key, each in cluster.all_sessions().items()
              if key[0] != "node2" and key[1] not in ("10.20.0.12", "fd20::12")}
    cluster.play("remove_node.yml", extra={"node": "node2", "known_hosts": str(keys)}, timeout=RUN)
    assert cluster.sessions("node2") == {}
    assert not {"10.20.0.12", "fd20::12"} & {*cluster.sessions("rr1"), *cluster.sessions("rr2")}
    assert [line.split()[0] for line in keys.read_text().splitlines()] == ["node1", "node3"]
    cluster.play("add_node.yml", extra={"node": "node2"}, timeout=RUN)
    assert is_up(cluster, "node2")
    assert reset_sessions(others, cluster.all_sessions()) == {}
