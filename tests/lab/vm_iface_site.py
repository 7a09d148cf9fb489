# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes, `old` with FRR 8.4 and `new` with FRR 10, on which fabric_vm_iface is called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vmlab import Lab
from vmlab.module_calls import ModuleCalls
from vmlab.stories import unique_lab_name

NODES = ("old", "new")
OPERATORS = ("ip route 192.0.2.0/24 blackhole", "ip route 198.51.100.0/24 10.20.0.1 tag 4711")
GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:56:4d:12:34:56"}
RECORDS = "/var/lib/vmcluster/interfaces"

WEB1 = {"name": "web1", "addresses": ["203.0.113.10", "2001:db8:1::10"], "mac": "02:00:00:00:00:10"}
LXC1 = {"name": "lxc1", "kind": "veth", "addresses": ["203.0.113.11", "2001:db8:1::11"],
        "prefixes": ["203.0.113.64/28", "2001:db8:2::/64"], "mac": "02:00:00:00:00:11"}


class Site(ModuleCalls):
    """The lab, calls of the module on its nodes, and what their kernels and FRR say."""

    def call(self, *vms: dict[str, Any], nodes: str = "all", flags: tuple[str, ...] = (), failed: bool = False,
             **options: Any) -> dict[str, dict[str, Any]]:
        """Call fabric_vm_iface on all nodes at once; return the result by node. Every node must fail if `failed`."""
        asked = {"gateway": GATEWAY, "vms": list(vms), **options}
        return self.module("fabric_vm_iface", asked, *flags, hosts=nodes, failed=failed)

    def changed(self, *vms: dict[str, Any], **options: Any) -> bool:
        """Call fabric_vm_iface; whether anything changed (it must be the same on all nodes)."""
        answers = {result["changed"] for result in self.call(*vms, **options).values()}
        assert len(answers) == 1
        return answers.pop()

    def info(self, node: str) -> dict[str, dict[str, Any]]:
        result = self.module("fabric_vm_iface_info", {}, hosts=node)[node]
        return {each["interface"]: each for each in result["interfaces"]}

    def run(self, node: str, *argv: str, check: bool = True) -> str:
        return self.lab.exec(node, argv, check=check).stdout

    def ip(self, node: str, *words: str) -> list[dict[str, Any]]:
        told = self.run(node, "ip", "-N", "-d", "-j", *words, check=False)
        return [each for each in json.loads(told or "[]") if each]

    def link(self, node: str, name: str) -> dict[str, Any] | None:
        return next(iter(self.ip(node, "link", "show", "dev", name)), None)

    def statics(self, node: str) -> set[str]:
        lines = self.run(node, "vtysh", "-c", "show running-config").splitlines()
        return {line for line in lines if line.startswith(("ip route", "ipv6 route"))}

    def saved(self, node: str) -> set[str]:
        lines = self.run(node, "cat", "/etc/frr/frr.conf").splitlines()
        return {line for line in lines if line.startswith(("ip route", "ipv6 route"))}

    def has_route(self, node: str, prefix: str) -> bool:
        family = "-6" if ":" in prefix else "-4"
        return bool(self.ip(node, family, "route", "show", prefix))

    def guest(self, node: str, vm: dict[str, Any], name: str = "", interface: str = "") -> str:
        """Start the VM's guest behind its interface; each node has its own, as all carry the same VMs here."""
        guest = name or f"{vm['name']}-{node}"
        self.lab.guest_add(node, guest, addresses=vm["addresses"], gateway4=GATEWAY["ipv4"], gateway6=GATEWAY["ipv6"],
                           mac=vm["mac"], interface=interface or f"{vm['name']}_net0")
        return guest

    def ping(self, host: str, target: str) -> None:
        self.run(host, "ping", "-c", "1", "-W", "2", target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    lab = Lab.up(Path(__file__).with_name("vm_iface.yml"), name=unique_lab_name("vmif"))
    try:
        yield Site(lab, tmp_path_factory.mktemp("vm_iface"), dict.fromkeys(NODES, {}))
    finally:
        lab.down()


@pytest.fixture(autouse=True)
def no_guests_left(site: Site) -> Iterator[None]:
    yield
    for guest in list(site.lab.guests()):
        site.lab.guest_del(guest.vm)
