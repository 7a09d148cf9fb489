# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for a VM's interface, and what its record has already."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.vm_attach import check_service, keep_mac

RECORDED, ASKED = "02:00:00:00:00:10", "02:00:00:00:00:99"
RECORD = json.dumps({"version": 1, "vm": "web1", "nic": 0, "mac": RECORDED, "addresses": []})


@pytest.mark.parametrize(("entry", "records", "mac"), [
    ({"keep_mac": True}, {"web1_net0": RECORD}, RECORDED),
    ({"keep_mac": False}, {"web1_net0": RECORD}, ASKED),
    ({"keep_mac": True, "nic": 1}, {"web1_net0": RECORD}, ASKED),
    ({"keep_mac": True}, {}, ASKED),
    ({"keep_mac": True}, {"web1_net0": "torn"}, ASKED),
    ({"keep_mac": True}, {"web1_net0": RECORD.replace("web1", "other")}, ASKED),
])
def test_a_mac_that_a_name_derives_gives_way_to_the_one_of_the_vms_own_record(
    entry: dict[str, object], records: dict[str, str], mac: str
) -> None:
    assert keep_mac({"name": "web1", "nic": 0, "mac": ASKED, **entry}, records)["mac"] == mac


@pytest.mark.parametrize(("interface", "address", "announcement", "refused"), [
    ("web2_net0", "203.0.113.11", "announced", True),
    ("web1_net0", "203.0.113.10", "announced", False),
    ("renamed_net0", "203.0.113.10", "announced", False),
    ("web2_net0", "203.0.113.11", "standby", False),
])
def test_a_node_out_of_service_takes_no_vm_that_it_does_not_carry(
    interface: str, address: str, announcement: str, refused: bool
) -> None:
    found: Any = SimpleNamespace(records={"web1_net0": RECORD.replace("[]", '["203.0.113.10"]')})
    vm = SimpleNamespace(name="vm", interface=interface, addresses=(address,), announcement=announcement)
    wanted: Any = SimpleNamespace(present=(vm,))
    assert check_service("", found, wanted) == []
    said = check_service("drained", found, wanted)
    assert bool(said) == refused and all(line.startswith("NodeDrained: ") for line in said)
