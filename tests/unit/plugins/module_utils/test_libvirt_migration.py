# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt is asked to move: what runs here and an agent waits for, and nothing else."""

from __future__ import annotations

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.libvirt_migration import (
    Found,
    Move,
    plan_cancelling,
    plan_moving,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_state import Under

WEB1 = Move("web1", ("web1_net0", "web1_net1"), "node2", "10.20.0.12")
RUNS, MOVES, GONE = Found(True, False), Found(True, True), Found(False, False)


def under(state="armed", role="source", runs=True):
    return Under({"role": role}, {"state": state}, runs)


ARMED = {"web1_net0": under(), "web1_net1": under("cut")}


def test_a_domain_that_runs_here_moves_once_agents_wait_for_all_its_cards():
    steps, mistakes = plan_moving([WEB1], {"web1": RUNS}, ARMED)
    assert [step.commands for step in steps] == [("web1",)] and mistakes == []
    assert steps[0].why == "moves to node2"


def test_a_migration_that_an_interrupted_run_began_is_gone_on_with():
    steps, _mistakes = plan_moving([WEB1], {"web1": MOVES}, ARMED)
    assert steps[0].why == "goes on to node2"


def test_a_domain_that_does_not_run_here_is_left_alone():
    assert plan_moving([WEB1], {"web1": GONE}, {}) == ((), [])


@pytest.mark.parametrize("second", [None, under(runs=False), under(role="target"), under("expired")])
def test_a_domain_does_not_move_before_agents_wait_for_all_its_cards(second):
    agents = {"web1_net0": under(), **({"web1_net1": second} if second else {})}
    _steps, mistakes = plan_moving([WEB1], {"web1": RUNS}, agents)
    assert mistakes == ["web1: no agent waits for web1_net1 to leave: run migrate_vm, which arms it"]


def test_in_check_mode_nothing_is_armed_and_the_move_is_told_all_the_same():
    steps, mistakes = plan_moving([WEB1], {"web1": RUNS}, None)
    assert len(steps) == 1 and mistakes == []


def test_only_what_is_on_its_way_is_cancelled():
    assert plan_cancelling([WEB1], {"web1": RUNS}) == ()
    (step,) = plan_cancelling([WEB1], {"web1": MOVES})
    assert step.commands == ("web1",)
