# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes a host: one call at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import apply


def test_a_lock_that_another_holds_is_waited_for_and_then_told_of(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with apply.host_lock(path, 0, "changes VM interfaces"):
        with pytest.raises(apply.ApplyError, match="another call changes VM interfaces for more than 0 s"):
            with apply.host_lock(path, 0, "changes VM interfaces"):
                raise AssertionError("two hold the lock")
    with apply.host_lock(path, 0, "changes VM interfaces"):
        assert Path(path).exists()


def test_what_a_command_says_in_another_encoding_is_no_crash() -> None:
    assert apply.run_command(["printf", "caf\\351 \\303\\251"]) == "caf\ufffd \u00e9"
