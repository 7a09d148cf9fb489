# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that configure guests: what is planned, and what is shown of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.vmcluster.network.plugins.module_utils.cloud_init_seed import (
    check_seeds,
    keep_instance,
    plan_seed,
    read_texts,
    run,
)


def entry(**keys: Any) -> dict[str, Any]:
    return {"name": "web1", "state": "present", "network_config": "version: 2\n", **keys}


def test_a_disk_that_is_as_asked_for_needs_nothing() -> None:
    (seed,), _mistakes = check_seeds([entry()])
    assert [step.why for step in plan_seed(seed, None, "/seeds")] == ["web1 has no disk"]
    assert plan_seed(seed, seed.texts, "/seeds") == ()


def test_what_changes_is_named_and_user_data_is_not_shown() -> None:
    (old,), _mistakes = check_seeds([entry(user_data="password: old")])
    (new,), _mistakes = check_seeds([entry(user_data="password: new", network_config="version: 3\n")])
    (step,) = plan_seed(new, old.texts, "/seeds")
    assert step.why == "network-config, user-data changes"
    assert step.after == ("network-config:", "  version: 3", "user-data:", "  (not shown)")


def test_the_guest_stays_the_same_when_its_network_changes() -> None:
    (old,), _mistakes = check_seeds([entry()])
    (new,), _mistakes = check_seeds([entry(network_config="version: 3\n")])
    assert old.texts and new.texts and old.texts["meta-data"] == new.texts["meta-data"]


def test_mistakes_are_told_together() -> None:
    _found, mistakes = check_seeds([entry(name="../etc"), entry(network_config=None), entry()])
    assert len(mistakes) == 3


def test_a_disk_without_its_texts_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "web1.iso").touch()
    (seed,), _mistakes = check_seeds([entry()])
    assert plan_seed(seed, read_texts(str(tmp_path), "web1"), str(tmp_path))


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    told = run({"folder": str(tmp_path / "seeds"), "seeds": [entry()]}, True)
    assert told["changed"] and not list(tmp_path.iterdir())


def test_a_disk_gets_another_name_with_its_texts_and_the_guest_stays_the_same(tmp_path: Path) -> None:
    (tmp_path / "web1").mkdir()
    (tmp_path / "web1.iso").touch()
    (tmp_path / "web1" / "meta-data").write_text("instance-id: web1\nlocal-hostname: web1\n")
    renamed = {"name": "shop1", "was": "web1", "state": "renamed"}
    assert run({"folder": str(tmp_path), "seeds": [renamed]}, check_mode=False)["changed"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop1", "shop1.iso"]
    assert not run({"folder": str(tmp_path), "seeds": [renamed]}, check_mode=False)["changed"]
    (seed,), _mistakes = check_seeds([entry(name="shop1")])
    kept = keep_instance(seed, read_texts(str(tmp_path), "shop1"))
    assert kept.texts and kept.texts["meta-data"] == "instance-id: web1\nlocal-hostname: shop1\n"
