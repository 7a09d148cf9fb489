# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters on VMs; each is documented in a YAML file of its name beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils import consoles, guests, renaming
from ..plugin_utils import vms as functions


def lease_requests(
    clusters: Mapping[str, Any], vms: Iterable[Mapping[str, Any]] = (), declared: bool = True, state: str = "present"
) -> list[dict[str, Any]]:
    return functions.lease_requests(clusters, vms, declared=declared, state=state)


def vm_interfaces(
    vms: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    leases: Iterable[Mapping[str, Any]],
    node: str | None = None,
    state: str = "present",
) -> Any:
    try:
        nodes = functions.vm_interfaces(vms, leases, state, node)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    return nodes if node is None else nodes.get(node, [])


def vms_of_node(
    vms: Iterable[Mapping[str, Any]], leases: Iterable[Mapping[str, Any]], node: str, only_new: bool = False
) -> list[Mapping[str, Any]]:
    return functions.vms_of_node(vms, leases, node, only_new)


def announced_prefixes(
    interfaces: Iterable[Mapping[str, Any]], vms: Iterable[Mapping[str, Any]] | None = None
) -> list[str]:
    return functions.announced_prefixes(interfaces, vms)


def unknown_vms(
    interfaces: Iterable[Mapping[str, Any]], leases: Iterable[Mapping[str, Any]], cluster: str, node: str
) -> list[dict[str, Any]]:
    return functions.unknown_vms(interfaces, leases, cluster, node)


def vm_guests(
    vms: Iterable[Mapping[str, Any]],
    interfaces: Iterable[Mapping[str, Any]],
    gateway: Mapping[str, str | None] | None = None,
    mtu: int = 1500,
    state: str = "running",
) -> dict[str, list[dict[str, Any]]]:
    try:
        return guests.vm_guests(vms, interfaces, gateway, mtu, state)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def vm_console(
    clusters: Mapping[str, Any], leases: Iterable[Mapping[str, Any]], vm: str, cluster: str | None = None
) -> dict[str, Any]:
    try:
        return consoles.vm_console(clusters, leases, vm, cluster)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def console_link(console: Mapping[str, Any], token: str) -> str:
    return consoles.console_link(console, token)


def vm_renaming(
    plan: Mapping[str, Any],
    leases: Iterable[Mapping[str, Any]],
    interfaces: Mapping[str, Any],
    guests_there: Iterable[Mapping[str, Any]],
    old: str,
    new: str,
    node: str,
    restart: bool = False,
) -> dict[str, Any]:
    return renaming.plan_renaming(plan, leases, interfaces, guests_there, (old, new), node, restart)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "announced_prefixes": announced_prefixes,
            "console_link": console_link,
            "lease_requests": lease_requests,
            "unknown_vms": unknown_vms,
            "vm_console": vm_console,
            "vm_guests": vm_guests,
            "vm_interfaces": vm_interfaces,
            "vm_renaming": vm_renaming,
            "vms_of_node": vms_of_node,
        }
