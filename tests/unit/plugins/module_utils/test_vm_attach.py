# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for a VM's interface, and what its record has already."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.vm_attach import keep_mac

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
