# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest is told of its network: network-config, version 2, for cloud-init's NoCloud data source.

https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v2.html
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

# Not `default`: cloud-init 22 refuses it when it writes for anything but netplan.
DEFAULT_ROUTE = {4: "0.0.0.0/0", 6: "::/0"}


class _Dumper(yaml.SafeDumper):
    """Strings that YAML 1.1 could take for something else are quoted: a MAC such as 12:34:56:12:34:56 is a number."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists too, as people do."""
        super().increase_indent(flow, False)


def _show_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if ":" in text else None)


_Dumper.add_representer(str, _show_text)


def network_config(
    nics: Iterable[Mapping[str, Any]],
    gateway: Mapping[str, str | None],
    mtu: int = 1500,
    nameservers: Sequence[str] = (),
    search: Sequence[str] = (),
) -> str:
    """Return the text of network-config for a VM.

    nics: its network cards, as the filter vm_interfaces returns them: nic, mac, addresses, and mtu if it has its own.
    gateway: ipv4 and ipv6, which lie outside of every subnet of the guest, so routes are on-link. The first card of a
    family has the default route. Raises ValueError naming a family without gateway.

    A link-local gateway is told by `gateway6`, which all renderers know; of `::/0` cloud-init 22 makes `::/64`.
    """
    ethernets: dict[str, Any] = {}
    routed: set[int] = set()
    for nic in sorted(nics, key=lambda each: each.get("nic", 0)):
        number = nic.get("nic", 0)
        addresses = [ipaddress.ip_address(address) for address in nic["addresses"]]
        routes: list[dict[str, Any]] = []
        gateway6 = {}
        for version in sorted({address.version for address in addresses} - routed):
            via = gateway.get(f"ipv{version}")
            if not via:
                raise ValueError(f"nic {number} has an IPv{version} address, and gateway has no ipv{version}")
            routed.add(version)
            if ipaddress.ip_address(via).is_link_local and version == 6:
                gateway6 = {"gateway6": str(via)}
            else:
                routes.append({"to": DEFAULT_ROUTE[version], "via": str(via), "on-link": True})
        ethernets[f"nic{number}"] = {
            "match": {"macaddress": nic["mac"].lower()},
            "set-name": f"eth{number}",
            "mtu": nic.get("mtu") or mtu,
            "dhcp4": False,
            "dhcp6": False,
            "accept-ra": False,
            "addresses": [f"{address}/{address.max_prefixlen}" for address in addresses],
            **gateway6,
            **({"routes": routes} if routes else {}),
            **_resolver(nameservers, search),
        }
    text: str = yaml.dump({"version": 2, "ethernets": ethernets}, Dumper=_Dumper, sort_keys=False)
    return text


def _resolver(nameservers: Sequence[str], search: Sequence[str]) -> dict[str, Any]:
    """Return who answers names; cards all have it, as the guest may have any of them up."""
    told = {"addresses": [str(ipaddress.ip_address(each)) for each in nameservers], "search": list(search)}
    told = {key: value for key, value in told.items() if value}
    return {"nameservers": told} if told else {}
