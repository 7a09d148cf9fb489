# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probe against losses made on purpose."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from vmlab import Lab, LabError
from vmlab.state import CHECKOUT

pytestmark = pytest.mark.lab
DROP = "nft add table inet loss; nft 'add chain inet loss in {type filter hook input priority 0; policy drop;}'"


def test_what_nothing_disturbs_loses_nothing(lab: Lab) -> None:
    with lab.probe("left", "right", rate=1000) as probe:
        time.sleep(1)
    for direction in probe.result().directions.values():
        assert direction.sent >= 950
        assert (direction.lost, direction.duplicates, direction.reordered) == (0, 0, 0)


def test_a_loss_in_one_direction_is_counted_in_that_one(lab: Lab) -> None:
    with lab.probe("left", "right", rate=1000, family=6) as probe:
        time.sleep(0.3)
        lab.exec("right", ["sh", "-ec", f"{DROP}; sleep 0.3; nft delete table inet loss"])
        time.sleep(0.3)
    result = probe.result()
    assert result.there and result.back
    assert result.back.lost == 0
    assert 250 < result.there.lost < 1000
    assert result.there.longest_gap_ms == pytest.approx(result.there.lost, abs=30)
    assert sum(outage.lost for outage in result.there.outages) == result.there.lost


def test_a_target_may_be_an_address(lab: Lab) -> None:
    lab.exec("right", ["ip", "addr", "replace", "203.0.113.9/32", "dev", "lo"])
    for address in ("10.20.0.2", "fd20::2", "203.0.113.9"):
        with lab.probe("left", address, rate=100) as probe:
            time.sleep(0.1)
        assert probe.result().lost == 0
    with pytest.raises(LabError, match="nothing in lab"):
        lab.probe("left", "203.0.113.77")


def test_a_route_that_is_missing_is_a_loss_and_no_crash(lab: Lab) -> None:
    lab.exec("right", ["ip", "addr", "replace", "fd99::1/128", "dev", "lo"])
    with lab.probe("left", "fd99::1", rate=100, direction="there") as probe:
        time.sleep(0.2)
    there = probe.result().there
    assert there and there.sent == there.lost == there.unsent > 10


def test_the_command_prints_json(lab: Lab) -> None:
    argv = [sys.executable, str(CHECKOUT / "lab" / "lab"), "--name", lab.name, "probe", "left", "right"]
    argv += ["--for", "300ms", "--rate", "500", "--direction", "back", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, stdin=subprocess.DEVNULL)
    told = json.loads(done.stdout)
    assert list(told) == ["back"]
    assert told["back"]["sent"] >= 100
    assert told["back"]["lost"] == 0
