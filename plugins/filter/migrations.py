# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters on migrations; each is documented in a YAML file of its name beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..plugin_utils import migrations as functions


def with_ports(ends: Iterable[Mapping[str, Any]], results: Iterable[Any]) -> list[dict[str, Any]]:
    return functions.with_ports(ends, results)


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"with_ports": with_ports}
