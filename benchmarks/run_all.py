#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the benchmarks, and close with one table of what is claimed, beside its floors.

    .venv/bin/python benchmarks/run_all.py                    all of them (make bench)
    .venv/bin/python benchmarks/run_all.py --resume           those that an interrupted run has not done
    .venv/bin/python benchmarks/run_all.py --only announce    some
    .venv/bin/python benchmarks/run_all.py --page             no run: the table of the last into benchmarks/README.md

They run one after the other; only one that waits for timers of a minute runs beside some that a load does not mislead.
What a benchmark prints is in reports/bench_<name>.log and shown when it ends; its figures are in
reports/bench_<name>.json, the table in reports/bench.md. One that fails stops no other, but makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from _report import REPORTS, Figure, print_table, shown
from results import format_duration
from run_tests import Runner, ends_on_signals, read_tail
from steps import Step

HERE = Path(__file__).resolve().parent
NAMES = tuple(path.stem.removeprefix("bench_") for path in sorted(HERE.glob("bench_*.py")))
PATIENT = ("lockouts",)  # waits for timers most of the time, so these may run beside it:
BESIDE = ("nodes", "vm_iface", "ip_pool")  # asks what a load does; tells ratios to floors of the same minute
BEGUN = REPORTS / "bench.begun"  # when the run began that --resume goes on with
TABLE = REPORTS / "bench.md"
PAGE, HEADING = HERE / "README.md", "## Figures\n"
ABOUT = """Written by `run_all.py --page` from the last run. Benchmarks make a load of 1 to 5 themselves; more of it is
other work on the machine, which makes seconds longer and spoils moves.
"""
TIMEOUT = 2400.0  # seconds that one may take, on the slowest machine
COLUMNS = ("what", "median", "worst", "beside it", "its figure", "ratio", "spoilt")


def report_of(name: str) -> Path:
    """Where the figures of a benchmark are."""
    return REPORTS / f"bench_{name}.json"


def is_done(name: str) -> bool:
    """Whether a benchmark has reported since the run began."""
    return BEGUN.exists() and report_of(name).exists() and report_of(name).stat().st_mtime >= BEGUN.stat().st_mtime


def run(names: Sequence[str]) -> bool:
    """Run some benchmarks; whether all have ended well."""
    runner = Runner()
    steps = {name: Step(f"bench_{name}", "lab", "alone", (sys.executable, str(HERE / f"bench_{name}.py")),
                        timeout=TIMEOUT) for name in names}
    for name in names:
        report_of(name).unlink(missing_ok=True)
    lanes = [[steps[name] for name in lane if name in steps] for lane in (PATIENT, BESIDE)]
    threads = [threading.Thread(target=runner.run_lane, args=(lane,)) for lane in lanes]
    try:
        with ends_on_signals(runner):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            runner.run_lane(step for name, step in steps.items() if name not in (*PATIENT, *BESIDE))
    finally:
        for thread in threads:
            thread.join()
    for result in runner.results.values():
        if result.ok:  # what others have said was shown when they failed
            runner.say(read_tail(REPORTS / f"{result.name}.log", result.name))
    return len(runner.results) == len(names) and all(result.ok for result in runner.results.values())


def read_claims(names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any], list[Figure]]]:
    """What the benchmarks have reported: name, machine, figures."""
    for name in names:
        told = json.loads(report_of(name).read_text()) if report_of(name).exists() else {}
        if told.get("claimed"):
            yield name, told["machine"], [Figure(**each) for each in told["claimed"]]


def cells(figure: Figure) -> list[object]:
    """A line of the table."""
    unit = f" {figure.unit}" if figure.unit else ""
    return [figure.what, f"{shown(figure.figure)}{unit}", figure.worst, figure.beside, figure.other, figure.ratio,
            figure.spoilt]


def show(names: Sequence[str]) -> None:
    """Print the table, and write it to reports/bench.md."""
    lines = []
    for name, machine, figures in read_claims(names):
        rows = [cells(figure) for figure in figures]
        print_table(f"bench_{name}", COLUMNS, rows)
        lines += [
            f"\n`bench_{name}.py`, {machine['date']} UTC, {machine['cpus']} processors, "
            f"Linux {machine['kernel']}, load at its end {machine['load']:.1f}:\n",
            f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS),
            *(f"| {' | '.join(map(shown, row))} |" for row in rows)]
    TABLE.write_text("\n".join(lines).lstrip("\n") + "\n")
    print(f"\ntable: {TABLE.relative_to(HERE.parent)}")


def write_page() -> None:
    """Put the table at the end of benchmarks/README.md, in place of the one that is there."""
    told = PAGE.read_text().partition(HEADING)[0]
    PAGE.write_text(f"{told}{HEADING}{ABOUT}\n{TABLE.read_text()}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--resume", action="store_true", help="leave out what was done since the last run began")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--page", action="store_true", help="write the table of the last run into benchmarks/README.md")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(NAMES)
    if set(names) - set(NAMES):
        parser.error(f"there are {', '.join(NAMES)}")
    REPORTS.mkdir(exist_ok=True)
    if options.page:
        show(names)
        write_page()
        return 0
    if not options.resume or not BEGUN.exists():
        BEGUN.touch()
    began = time.monotonic()
    well = run([name for name in names if not (options.resume and is_done(name))])
    show(names)
    missing = [name for name in names if not is_done(name)]
    print(f"{len(names) - len(missing)} of {len(names)} benchmarks in {format_duration(time.monotonic() - began)}"
          + (f"; not done: {', '.join(missing)} (again with --resume; make bench RESUME=1)" if missing else ""))
    return 0 if well and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
