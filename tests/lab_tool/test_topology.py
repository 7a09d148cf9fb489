# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from vmlab.errors import LabError
from vmlab.state import CHECKOUT
from vmlab.topology import build_topology, find_problems, merge, read_topology

GOOD: dict[str, Any] = {
    "networks": {"lan": {}, "cable": {"kind": "wire"}},
    "hosts": {
        "a": {
            "system": "bookworm",
            "interfaces": {
                "eth0": {"network": "lan", "addresses": ["10.20.0.1/24"]},
                "eth1": {"network": "cable"},
            },
        },
        "b": {"system": "trixie", "loopback": ["fd22::1/128"], "interfaces": {"eth0": {"network": "cable"}}},
    },
}


def change(path: str, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    inner = changed
    for part in parents:
        inner = inner[part]
    inner[last] = value
    return changed


def test_a_good_topology_has_no_problems() -> None:
    assert list(find_problems(GOOD)) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("speed", 1, "speed: unknown key"),
        ("networks", None, "networks and hosts: both must be mappings"),
        ("hosts", {}, "networks and hosts: both must be mappings"),
        ("networks.lan", {"kind": "hub"}, "networks.lan.kind: 'hub' is neither switch nor wire"),
        ("networks.lan", {"mut": 9000}, "networks.lan.mut: unknown key"),
        ("hosts.b.interfaces", {}, "networks.cable: a wire has two ends, this one has 1: a.eth1"),
        ("hosts.b.system", "sid", "hosts.b.system: 'sid' is none of bookworm, trixie"),
        ("hosts.b.colour", "red", "hosts.b.colour: unknown key"),
        ("hosts.b.autostart", "no", "hosts.b.autostart: must be true or false"),
        ("hosts.b.own_network", 1, "hosts.b.own_network: must be true or false"),
        ("hosts.b.enable", ["networkd"], "hosts.b.enable: 'networkd' is no name of a unit"),
        ("hosts.b.loopback", ["fd22::1"], "hosts.b.loopback: 'fd22::1': has no prefix length"),
        ("hosts.b.loopback", ["10.20.0.1/32"], "10.20.0.1 is also at hosts.a.interfaces.eth0"),
        ("hosts.b.routes", [{"to": "default"}], "a route has the keys to and via"),
        ("hosts.b.routes", [{"to": "10.0.0.1/8", "via": "10.20.0.1"}], "has host bits set"),
        ("hosts.b.junos", "system { host-name b; }", "hosts.b.junos: give a mapping with content or source"),
        ("hosts.b.files", {"etc/motd": ""}, "'etc/motd' must be an absolute path"),
        ("hosts.b.files", {"/../etc/motd": ""}, "must be an absolute path"),
        ("hosts.b.files", {"/etc/motd": {"mode": "600"}}, "give the content"),
        ("hosts.b.packages", ["frr; reboot"], "is no Debian package name"),
        ("hosts.B_", {"system": "trixie"}, "hosts.B_: a host name has"),
        ("hosts.b.interfaces.eth0.network", "lan2", "hosts.b.interfaces.eth0.network: must be one of lan, cable"),
    ],
)
def test_a_mistake_is_named_with_its_place(path: str, value: object, problem: str) -> None:
    assert any(problem in found for found in find_problems(change(path, value)))


def test_all_mistakes_are_told_together() -> None:
    broken = change("hosts.a.system", "sid")
    broken["hosts"]["b"]["loopback"] = ["x"]
    with pytest.raises(LabError, match=r"(?s)hosts\.a\.system.*hosts\.b\.loopback"):
        build_topology(broken, "test")


def test_a_topology_extends_another_and_null_removes(tmp_path: Path) -> None:
    (tmp_path / "content").write_text("hello")
    (tmp_path / "base.yml").write_text(
        "networks: {lan: }\n"
        "hosts:\n"
        "  a: {system: bookworm, files: {/etc/x: x, /etc/y: {source: content}}}\n"
        "  b: {system: bookworm}\n"
    )
    (tmp_path / "more.yml").write_text("extends: base.yml\nhosts: {a: {system: trixie, files: {/etc/x: }}, b: }\n")
    topology = read_topology(tmp_path / "more.yml")
    assert list(topology.hosts) == ["a"]
    assert topology.hosts["a"].system == "trixie"
    assert [(file.path, file.content) for file in topology.hosts["a"].files] == [("/etc/y", "hello")]


def test_a_topology_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.yml").write_text("extends: loop.yml\n")
    with pytest.raises(LabError, match="extends itself"):
        read_topology(tmp_path / "loop.yml")


def test_merging_leaves_the_base_as_it_was() -> None:
    base = {"a": {"b": 1}}
    merge(base, {"a": {"b": 2}})
    assert base == {"a": {"b": 1}}


@pytest.mark.parametrize("name", ["standard.yml", "bird.yml"])
def test_the_topologies_that_come_with_the_lab_are_sound(name: str) -> None:
    hosts = read_topology(CHECKOUT / "lab" / "topologies" / name).hosts
    assert list(hosts) == ["node1", "node2", "node3", "node4", "rr1", "rr2", "core", "ext"]
    assert not hosts["node4"].autostart
    # Both versions of FRR take every part that a role can put them in.
    assert {hosts[node].system for node in ("node1", "node3")} == {"bookworm", "trixie"}
    assert {hosts[reflector].system for reflector in ("rr1", "rr2")} == {"bookworm", "trixie"}
