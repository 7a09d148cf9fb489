# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a change is asked of the host's files and sysctls before it is confirmed."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import host_verify
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import HostPlan


def test_a_file_that_is_not_as_it_was_to_be_written_is_found(tmp_path):
    right, torn, gone, left = (tmp_path / name for name in ("right", "torn", "gone", "left"))
    right.write_text("new\n")
    torn.write_text("ne")
    left.write_text("operator's\n")
    files = {str(right): {"text": "new\n", "mode": 0o644}, str(torn): {"text": "new\n", "mode": 0o644},
             str(gone): None, str(left): None, str(tmp_path / "never"): {"text": "", "mode": 0o644}}
    assert host_verify.find_unwritten(files) == [
        f"file {path} is not as it was to be written" for path in (torn, left, tmp_path / "never")]


@pytest.mark.parametrize(("of_all", "told"), [("2", True), ("1", False), ("0", False)])
def test_a_strict_rp_filter_that_a_looser_one_of_all_overrules_is_told(tmp_path, monkeypatch, of_all, told):
    (tmp_path / "rp_filter").write_text(f"{of_all}\n")
    monkeypatch.setattr(host_verify, "ALL_RP_FILTER", str(tmp_path / "rp_filter"))
    plan = HostPlan(sysctls={"net.ipv4.conf.br1.rp_filter": "1", "net.ipv4.conf.br1.arp_ignore": "8"})
    found = host_verify.find_overruled(plan)
    assert [line.partition(" ")[0] for line in found] == ["net.ipv4.conf.br1.rp_filter"] * told
