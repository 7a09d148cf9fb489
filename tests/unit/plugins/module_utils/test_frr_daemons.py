# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to have FRR's daemons running."""

from ansible_collections.vmcluster.network.plugins.module_utils.frr_daemons import (
    RESTART,
    START,
    STOP_ORDER,
    Found,
    Wanted,
    check_frr,
    plan_file,
    plan_steps,
)

WANTED = Wanted(("bgpd", "bfdd"), "-r -K 60", "8.4")
OPERATORS = 'bgpd=no\nzebra_options="  -A 127.0.0.1"\n'
TEXT, _STEPS = plan_file(OPERATORS, WANTED)
RUNS = Found(TEXT, True, True, "8.4.4", frozenset(("zebra", "staticd", "watchfrr", "bgpd", "bfdd")), True,
             STOP_ORDER)


def commands(found, wanted=WANTED):
    return [step.commands for step in plan_steps(found, wanted)[1]]


def test_a_host_that_has_all_is_left_alone():
    assert plan_steps(RUNS, WANTED) == (TEXT, ())


def test_the_block_comes_after_the_operators_lines_which_stay():
    assert TEXT.startswith(OPERATORS)
    assert TEXT.endswith('bgpd=yes\nbfdd=yes\nzebra_options="$zebra_options -r -K 60"\n# END vmcluster.network\n')


def test_a_block_with_other_lines_is_replaced_where_it_stands():
    text, (step,) = plan_file(TEXT + "ospfd=yes\n", Wanted(("bgpd",), "", "8.4"))
    assert text.startswith(OPERATORS) and text.endswith("\nbgpd=yes\n# END vmcluster.network\nospfd=yes\n")
    assert "bfdd=yes" in step.before and "bfdd=yes" not in text


def test_a_file_without_a_last_line_end_gets_its_block_on_a_line_of_its_own():
    assert "\n# BEGIN vmcluster.network\n" in plan_file("bgpd=no", WANTED)[0]


def test_a_missing_daemon_is_started_beside_a_routing_protocol_and_by_a_restart_where_there_is_none():
    assert commands(RUNS._replace(running=RUNS.running - {"bfdd"})) == [(START,)]
    assert commands(RUNS._replace(running=RUNS.running - {"bfdd", "bgpd"})) == [(RESTART,)]
    assert commands(RUNS._replace(running=frozenset(("zebra", "mgmtd", "staticd", "ospfd")))) == [(START,)]


def test_a_unit_that_does_not_run_starts_with_all_its_daemons():
    stopped = RUNS._replace(active=False, enabled=False, version="", running=frozenset())
    assert commands(stopped) == [("systemctl", "enable", "frr"), ("systemctl", "start", "frr")]


def test_an_older_frr_and_one_with_several_files_are_mistakes():
    assert check_frr(RUNS, WANTED) == check_frr(RUNS._replace(version="10.3"), WANTED) == []
    assert check_frr(RUNS._replace(version="8.1"), WANTED)[0].startswith("FRR 8.1 runs here, 8.4 or newer is needed")
    assert "vtysh.conf" in check_frr(RUNS._replace(integrated=False), WANTED)[0]
    assert check_frr(RUNS._replace(version="", running=frozenset()), WANTED) == []


def test_zebra_is_stopped_first_where_it_is_to_keep_its_routes():
    assert commands(RUNS._replace(stop_order="")) == [(STOP_ORDER,)]
    text, _steps = plan_file(OPERATORS, WANTED._replace(zebra_options=""))
    assert commands(RUNS._replace(file=text), WANTED._replace(zebra_options="")) == [("",)]
    assert commands(RUNS._replace(file=text, stop_order=""), WANTED._replace(zebra_options="")) == []
