# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a VM's name to where its console is. All pure, on plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .names import lease_owner

Entry = dict[str, Any]


def vm_console(
    clusters: Mapping[str, Any], leases: Iterable[Mapping[str, Any]], vm: str, cluster: str | None = None
) -> Entry:
    """Return `{cluster, node, vnc_port, console}` of a VM: the node that holds its leases, the port that is declared.

    clusters: as `cluster_plan` returns them; leases: of all registers; cluster: where several have a VM of this name.
    vnc_port is 0 where libvirt is to be asked. Raises ValueError when the VM is not on a node, or its cluster has no
    console.
    """
    holders = {lease["owner"]: lease["holder"] for lease in leases if lease.get("holder")}
    found = {name: holders[owner] for name in clusters if (owner := lease_owner(name, vm, 0)) in holders}
    if cluster is not None:
        found = {name: node for name, node in found.items() if name == cluster}
    if not found:
        raise ValueError(f"{vm} is on no node{f' of {cluster}' if cluster else ''}, by the register: attach it first")
    if len(found) > 1:
        raise ValueError(f"{vm} is in the clusters {' and '.join(sorted(found))}: name one, -e vm_cluster=...")
    ((name, node),) = found.items()
    console = clusters[name].get("console")
    if console is None:
        raise ValueError(f"cluster {name} has no console: describe cluster.console, and run configure_console")
    declared = [each for each in clusters[name]["vms"] if each["name"] == vm and each["nic"] == 0]
    return {"cluster": name, "node": node, "vnc_port": sum(each.get("vnc_port", 0) for each in declared),
            "console": console}


def console_link(console: Mapping[str, Any], token: str) -> str:
    """Return the link that opens a console. The token is in the fragment, which browsers do not send with a request."""
    name = f"[{console['name']}]" if ":" in console["name"] else console["name"]
    port = "" if console["port"] == 443 else f":{console['port']}"
    return f"https://{name}{port}/#{token}"
