# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a core gateway's role variables to the BGP groups that junos_bgp_group is asked for. Pure, on plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Entry = dict[str, Any]

FAMILIES = ("ipv4", "ipv6")

LEAST_HOLD_TIME = 10
"""Seconds: what the documentation of most Junos releases allows. A session has the smaller one of its two ends."""


def junos_groups(
    clusters: Sequence[Mapping[str, Any]],
    bgp: Mapping[str, Any],
    source: Mapping[str, str],
    names: Mapping[str, Mapping[str, str]],
) -> list[Entry]:
    """Return a group for each family that reflectors have addresses of.

    clusters, bgp, source: `core_gateway_clusters`, `_bgp`, `_source` of the role, with all settings; names: by family,
    `name`, `import_policy` and `export_policy`.
    """
    groups = []
    for family in FAMILIES:
        neighbors = _neighbors(clusters, family)
        if neighbors:
            groups.append(
                {
                    **names[family],
                    "family": family,
                    "local_address": source.get(family) or None,
                    "neighbors": neighbors,
                    **_settings(bgp),
                    "accept": [entry for cluster in clusters for entry in _accept(cluster, family)],
                }
            )
    return groups


def _neighbors(clusters: Iterable[Mapping[str, Any]], family: str) -> list[Entry]:
    """Return the reflectors of all clusters; one that serves several has one session."""
    found = {
        reflector[family]: reflector["name"]
        for cluster in clusters
        for reflector in cluster["reflectors"]
        if reflector.get(family)
    }
    return [{"address": address, "description": name} for address, name in found.items()]


def _settings(bgp: Mapping[str, Any]) -> Entry:
    return {
        "password": bgp["password"] or None,
        "hold_time": max(bgp["timers"]["hold"], LEAST_HOLD_TIME),
        "bfd": bgp["bfd"] or None,
        "ttl_security": bgp["ttl_security"],
        "graceful_restart": bgp["graceful_restart"],
        "prefix_limit": bgp["max_prefixes"],
    }


def _accept(cluster: Mapping[str, Any], family: str) -> Iterable[Entry]:
    """Yield what a cluster may announce of a family, if it has prefixes of it."""
    prefixes = [dict(each) for each in cluster["prefixes"] if (":" in each["prefix"]) == (family == "ipv6")]
    if prefixes:
        yield {"name": cluster["name"], "communities": list(cluster["communities"]), "prefixes": prefixes}
