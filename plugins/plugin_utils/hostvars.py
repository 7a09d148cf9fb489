# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading groups and hosts' variables out of Ansible as plain values; what cannot be templated becomes Unreadable."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleUndefinedVariable

from .cluster import JUNOS
from .read_hosts import CLUSTER_KEY, HOST_KEYS
from .read_junos import JUNOS_PREFIX, LOGIN_KEYS
from .values import Unreadable

Template = Callable[[Any], Any]

_DEPTH = 12  # a description has six levels
_REASON_LENGTH = 160


def read_groups(groups: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Return an inventory's groups as plain values."""
    return {_plain_key(name): [_plain_key(host) for host in hosts] for name, hosts in groups.items()}


def read_hostvars(
    hosts: Iterable[str],
    raw_variables: Callable[[str], Mapping[str, Any]],
    templating: Callable[[Mapping[str, Any]], Template],
) -> dict[str, dict[str, object]]:
    """Return the variables of hosts that are ours, as plain values.

    raw_variables: gives all variables of a host, untemplated; asked once per host. templating: gives the function that
    templates a value with such variables. Hosts that share a `cluster` description share what was read of its VMs,
    which are templated for the first of them: else a hundred nodes with ten thousand VMs would take a million steps.
    How Ansible logs in is read of Junos gateways alone: a password may cost a question to somebody's vault.
    """
    shared: dict[int, tuple[object, object]] = {}
    found = {}
    for host in hosts:
        raw = raw_variables(host)
        template = templating(raw)
        names = [name for name in raw if name in HOST_KEYS or str(name).startswith(("underlay_", JUNOS_PREFIX))]
        found[host] = {str(name): read_plain(raw[name], template) for name in names}
        if found[host].get("core_gateway_platform") == JUNOS:
            found[host].update((name, read_plain(raw[name], template)) for name in LOGIN_KEYS if name in raw)
        if CLUSTER_KEY in raw:
            found[host][CLUSTER_KEY] = _read_cluster(raw[CLUSTER_KEY], template, shared)
    return found


def _read_cluster(raw: Any, template: Template, shared: dict[int, tuple[object, object]]) -> object:
    if not isinstance(raw, Mapping):
        return read_plain(raw, template)
    cluster = {}
    for key, value in raw.items():
        if key == "vms":
            # The raw value is kept, so that no other can get its identity.
            if id(value) not in shared:
                shared[id(value)] = (value, read_plain(value, template))
            cluster["vms"] = shared[id(value)][1]
        else:
            cluster[read_plain(key, template)] = read_plain(value, template)
    return cluster


def read_answers(hosts: Iterable[str], hostvars: Any) -> dict[str, Mapping[str, Any]]:
    """Return by node what it said of its VMs: `found_interfaces`, registered of fabric_vm_iface_info.

    hostvars are read raw, as a result holds nothing to be templated.
    """
    told = {host: hostvars.raw_get(host).get("found_interfaces") for host in hosts}
    return {host: answer for host, answer in told.items() if isinstance(answer, Mapping) and "interfaces" in answer}


def read_plain(value: Any, template: Template, depth: int = 0) -> Any:
    """Return a value of built-in types alone, templated; Unreadable stands for each part that cannot be templated."""
    if depth > _DEPTH:
        return Unreadable("it is nested too deeply")
    if isinstance(value, Mapping):
        return {_plain_key(key): read_plain(element, template, depth + 1) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [read_plain(element, template, depth + 1) for element in value]
    if isinstance(value, str) and not _may_be_template(value) or isinstance(value, (bool, int, float, type(None))):
        return _plain_scalar(value)
    try:
        result = template(value)
        if isinstance(result, (Mapping, list, tuple)):
            return read_plain(result, _as_it_is, depth + 1)
        return _plain_scalar(result)
    except Exception as error:  # templates raise whatever filters and lookups raise
        return Unreadable(_reason(error))


def _may_be_template(text: str) -> bool:
    return "{{" in text or "{%" in text or "{#" in text


def _as_it_is(value: Any) -> Any:
    return value


def _plain_key(key: Any) -> Any:
    return str.__str__(key) if isinstance(key, str) else key


def _plain_scalar(value: Any) -> Any:
    """Return a value without the tags that Ansible hangs on its strings and numbers."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime.date):  # YAML makes dates of what looks like them; no variable of ours is one
        return datetime.date(value.year, value.month, value.day)
    return value


def _reason(error: BaseException) -> str:
    """Return why a value could not be read. Only messages that cannot hold a value's content are passed on."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AnsibleUndefinedVariable):
            return " ".join(str(cause).split())[:_REASON_LENGTH]
        if "Vault" in type(cause).__name__:  # the class differs between releases of ansible-core, and is internal
            return "the vault could not be decrypted"
        cause = cause.__cause__
    return f"its template fails: {type(error).__name__}"
