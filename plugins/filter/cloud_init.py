# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for cloud-init; each is documented in a YAML file of its name beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils import cloud_init as functions


def cloud_init_network_config(
    nics: Iterable[Mapping[str, Any]],
    gateway: Mapping[str, str | None],
    mtu: int = 1500,
    nameservers: Sequence[str] = (),
    search: Sequence[str] = (),
) -> str:
    try:
        return functions.network_config(nics, gateway, mtu, nameservers, search)
    except ValueError as error:
        raise AnsibleFilterError(f"cloud_init_network_config: {error}") from error


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"cloud_init_network_config": cloud_init_network_config}
