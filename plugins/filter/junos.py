# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for Junos gateways; each is documented in a YAML file of its name beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..plugin_utils import junos_groups as functions


def junos_groups(
    clusters: Sequence[Mapping[str, Any]],
    bgp: Mapping[str, Any],
    source: Mapping[str, str],
    names: Mapping[str, Mapping[str, str]],
) -> list[dict[str, Any]]:
    return functions.junos_groups(clusters, bgp, source, names)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"junos_groups": junos_groups}
