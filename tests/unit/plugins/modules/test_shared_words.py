# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What documentation has to repeat says the same: fragments reach no return values, nor options of list elements."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import yaml

MODULES = "ansible_collections.vmcluster.network.plugins.modules."


def read(module: str, text: str) -> Any:
    return yaml.safe_load(getattr(import_module(MODULES + module), text))


@pytest.mark.parametrize("module", ["frr_config", "frr_neighbor"])
def test_what_frr_bgp_returns_is_told_as_by_the_modules_whose_work_it_does(module: str) -> None:
    whole, part = read("frr_bgp", "RETURN"), read(module, "RETURN")
    for name in part:
        assert (whole[name]["type"], whole[name]["returned"]) == (part[name]["type"], part[name]["returned"]), name
    for name in ("actions", "commands", "saved", "hints"):
        assert whole[name]["description"] == part[name]["description"]


def test_domains_and_containers_are_told_of_in_the_same_words() -> None:
    domain = read("libvirt_domain", "DOCUMENTATION")["options"]["domains"]["suboptions"]
    container = read("lxc_container", "DOCUMENTATION")["options"]["containers"]["suboptions"]
    for name in ("name", "state", "was", "adopt"):
        kept = {key: value for key, value in domain[name].items() if key != "description"}
        assert kept == {key: value for key, value in container[name].items() if key != "description"}, name
    assert domain["name"] == container["name"]
    assert domain["nics"]["suboptions"]["nic"] == container["nics"]["suboptions"]["nic"]


def test_both_kinds_of_migration_are_told_of_in_the_same_words() -> None:
    bridge = read("bridge_vm_migration", "DOCUMENTATION")["options"]["migrations"]
    fabric = read("fabric_vm_migration", "DOCUMENTATION")["options"]["migrations"]
    assert bridge["description"] == fabric["description"]
    shared = bridge["suboptions"].keys() & fabric["suboptions"].keys()
    assert shared == {"name", "nic", "role", "other", "addresses", "mtu"}
    for name in shared - {"addresses"}:  # which an IP fabric needs and a bridge does not
        assert bridge["suboptions"][name] == fabric["suboptions"][name], name
