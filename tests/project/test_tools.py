# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of `make test` tells the truth: it counts, goes on after a failure, and leaves nothing running."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import run_tests
import setup
from results import Counts, Result, count_junit, format_closing
from steps import Step, find_steps

JUNIT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure>no</failure></testcase>
<testcase name="c"><error>oh</error><skipped/></testcase><testcase name="d"><skipped/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def runner(tmp_path, monkeypatch):
    monkeypatch.setattr(run_tests, "REPORTS", tmp_path)
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    monkeypatch.setattr(run_tests, "LABS", tmp_path / "labs")
    monkeypatch.setattr(run_tests, "GRACE", 0.5)
    return run_tests.Runner()


def shell_step(name, command, **settings):
    return Step(name, "test", "here", ("/bin/sh", "-c", command), **settings)


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] == "Z"
    except FileNotFoundError:
        return True


def test_passed_failed_and_skipped_cases_are_counted_once_each(tmp_path):
    (tmp_path / "one.xml").write_text(JUNIT, encoding="utf-8")
    (tmp_path / "two.xml").write_text(JUNIT, encoding="utf-8")
    assert count_junit(tmp_path / "one.xml") == Counts(passed=1, failed=2, skipped=1)
    assert count_junit(tmp_path) == Counts(passed=2, failed=4, skipped=2)
    assert count_junit(tmp_path / "none.xml") == Counts()


@pytest.mark.parametrize(("counts", "line"), [
    (Counts(3, 0, 0), "3 passed, 0 failed"),
    (Counts(3, 1, 2), "3 passed, 1 failed, 2 skipped"),
])
def test_the_last_line_is_one_that_ci_counts(counts, line):
    assert format_closing([Result("unit", counts, 1.0)], 61.0).splitlines()[-1] == line


def test_a_failing_step_stops_no_other_and_shows_what_it_said(runner, capsys):
    runner.run_lane([shell_step("bad", "echo because; exit 3"), shell_step("good", "true")])
    assert runner.results["bad"].counts == Counts(failed=1)
    assert runner.results["good"].counts == Counts(passed=1)
    said = capsys.readouterr().out
    assert "because" in said and re.search(r"FAIL +bad", said) and re.search(r"ok +good", said)


def test_a_step_is_told_with_the_processor_time_of_all_that_it_ran(runner):
    runner.run_lane([shell_step("busy", f"{sys.executable} -c 'sum(range(20_000_000))'; true"),
                     shell_step("idle", "sleep 0.3")])
    busy, idle = (runner.results[name] for name in ("busy", "idle"))
    assert busy.processor > 0.1 > idle.processor, (busy, idle)
    table = format_closing([busy._replace(processor=61.0), idle], 61.0).splitlines()
    assert re.search(r"busy .* 1 min 01 s ", table[3]), table


def test_a_step_that_ran_no_test_has_failed(runner, tmp_path):
    runner.run_lane([shell_step("empty", "true", junit=tmp_path / "empty.xml")])
    assert (runner.results["empty"].ok, runner.results["empty"].why) == (False, "ran no test")


def test_results_of_an_earlier_run_are_not_counted(runner, tmp_path):
    old = tmp_path / "old.xml"
    old.write_text(JUNIT, encoding="utf-8")
    runner.run_lane([shell_step("crash", "exit 1", junit=old)])
    assert runner.results["crash"].counts == Counts(failed=1)


def test_a_step_that_takes_too_long_is_ended_with_all_its_processes(runner, tmp_path):
    command = f"trap '' INT TERM; sleep 60 & echo $! > {tmp_path}/child; wait; wait"
    began = time.monotonic()
    runner.run_lane([shell_step("slow", command, timeout=0.1)])
    assert time.monotonic() - began < 30
    assert "did not end within" in runner.results["slow"].why
    assert is_gone((tmp_path / "child").read_text(encoding="utf-8").strip())


def test_every_step_has_a_name_of_its_own_and_a_lab_name_that_fits():
    steps = find_steps()
    assert len({step.name for step in steps}) == len(steps)
    assert all(len(step.environment.get("VMCLUSTER_LAB", "")) <= 16 for step in steps)


def test_a_lane_that_is_done_helps_the_other_and_no_step_runs_twice(runner, tmp_path):
    quick = shell_step("quick", f"echo quick >> {tmp_path}/ran")
    labs = [Step(f"lab{number}", "test", "lab", ("/bin/sh", "-c", f"echo lab{number} >> {tmp_path}/ran; sleep 0.5"))
            for number in range(6)]
    began = time.monotonic()
    run_tests.run_lanes(runner, [quick, *labs])
    assert time.monotonic() - began < 6 * 0.5  # what one lane alone would take
    assert sorted((tmp_path / "ran").read_text(encoding="utf-8").split()) == [*(step.name for step in labs), "quick"]


@pytest.mark.alone
def test_setting_up_again_does_nothing_and_takes_less_than_a_second():
    began = time.monotonic()
    done = subprocess.run([sys.executable, setup.__file__, "--venv"], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == ""
    assert time.monotonic() - began < 1


def test_a_package_list_may_have_comments_and_be_missing(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("# why\nfrr  # because\n\nbird2\n", encoding="utf-8")
    assert setup.read_packages((listed, tmp_path / "missing.txt")) == ["bird2", "frr"]


def test_uv_is_pinned_with_hashes_in_the_lock():
    pin = setup.read_pin("uv").splitlines()
    assert pin[0].startswith("uv==") and len(pin) > 2
    assert all("--hash=sha256:" in line for line in pin[1:])


def test_uv_asks_the_index_that_pip_is_configured_for(monkeypatch, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://mirror.invalid/simple\n", encoding="utf-8")
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert setup.uv_environment(Path(sys.executable))["UV_DEFAULT_INDEX"] == "https://mirror.invalid/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.invalid/simple")
    assert setup.uv_environment(Path(sys.executable))["UV_DEFAULT_INDEX"] == "https://other.invalid/simple"
    assert "UV_DEFAULT_INDEX" in os.environ
