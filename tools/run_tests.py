# SPDX-License-Identifier: GPL-3.0-or-later
"""Run every check and test of the project, and close with one table of what ran, how many passed, and how long.

    .venv/bin/python tools/run_tests.py                      everything (make test)
    .venv/bin/python tools/run_tests.py --only ruff,unit     some steps
    .venv/bin/python tools/run_tests.py --group lint         the steps of a group: lint, test, lab

Two steps run beside each other: at first one that works on this machine only and one that boots a lab, then two labs.
Tests marked `alone` measure time, so they run when the others are done. A step that fails stops no other, but makes the
exit code 1. What a step prints is in reports/<step>.log, and is shown when the step fails.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from results import Counts, Result, count_junit, format_closing, format_duration
from steps import ROOT, Step, find_steps
from vmlab.state import BASE as LABS  # which steps.py has put on the path

REPORTS = ROOT / "reports"
HEARTBEAT = 60.0  # seconds between two signs of life of a long step
GRACE = 60.0  # seconds a step has to tidy up after it was asked to end
TAIL = 300  # lines of a failed step's output that are shown


class Waiting:
    """Steps that several lanes take from, each step once."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = deque(steps)

    def __iter__(self) -> Iterator[Step]:
        with contextlib.suppress(IndexError):  # deque.popleft is atomic
            while True:
                yield self._steps.popleft()


class Runner:
    """Runs steps, tells what happens, and leaves nothing running."""

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ending = threading.Event()
        self._voice = threading.Lock()

    def say(self, text: str) -> None:
        """Print whole lines, whichever lane they come from."""
        with self._voice:
            print(text, flush=True)

    def tell(self, mark: str, name: str, what: str = "") -> None:
        """Print one line about a step, with the time."""
        self.say(f"{time.strftime('%H:%M:%S')} {mark:5} {name}{': ' if what else ''}{what}")

    def run_lane(self, steps: Iterable[Step]) -> None:
        """Run the steps one after the other."""
        for step in steps:
            if self.ending.is_set():
                return
            self.tell("begin", step.name)
            began = time.monotonic()
            code, why, processor = self._run_step(step)
            result = self._read_result(step, code, why, time.monotonic() - began)._replace(processor=processor)
            self.results[step.name] = result
            self.tell("ok" if result.ok else "FAIL", step.name, result.summary)
            if not result.ok:
                self.say(read_tail(self.log_of(step), step.name))

    def log_of(self, step: Step) -> Path:
        """Return where the output of a step goes."""
        return REPORTS / f"{step.name}.log"

    def _run_step(self, step: Step) -> tuple[int, str, float]:
        """Run the step; return its exit code, why it was ended before its time, and its seconds of processor time."""
        environment = {**os.environ, **step.environment, "PYTHONUNBUFFERED": "1"}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        if step.junit is not None:
            remove_old(step.junit)
        with open(self.log_of(step), "wb") as log:
            process = subprocess.Popen(step.argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.running[step.name] = process
        try:
            why = self._wait(step, process)
            processor = read_processor_time(process.pid)
        finally:
            end_group(process)
            del self.running[step.name]
            if step.uses_lab:
                self._take_labs_down(step, process.pid)
        return process.returncode, why, processor

    def _wait(self, step: Step, process: subprocess.Popen[bytes]) -> str:
        """Wait for the step's end; return why it is to be ended before, or nothing. Its exit code is not asked for."""
        began = time.monotonic()
        last_sign = began
        while True:
            if has_ended(process.pid, within=1):
                return "interrupted" if self.ending.is_set() else ""
            now = time.monotonic()
            if self.ending.is_set():
                return "interrupted"
            if now - began > step.timeout:
                return f"did not end within {format_duration(step.timeout)}"
            if now - last_sign >= HEARTBEAT:
                last_sign = now
                self.tell("..", step.name, f"{format_duration(now - began)}: {read_last_line(self.log_of(step))}")

    def _take_labs_down(self, step: Step, pid: int) -> None:
        """Take down the labs that a step has left behind: the one it was given, and those named by its pid."""
        left = {step.environment.get("VMCLUSTER_LAB", "")}
        with contextlib.suppress(OSError):
            left |= {folder.name for folder in LABS.iterdir() if folder.name.endswith(str(pid))}
        for name in sorted(name for name in left if name and (LABS / name).exists()):
            self.tell("..", step.name, f"left lab {name} behind; taking it down")
            subprocess.run([str(ROOT / "lab" / "lab"), "--name", name, "down"], stdin=subprocess.DEVNULL,
                           timeout=120, check=False)

    def _read_result(self, step: Step, code: int, why: str, seconds: float) -> Result:
        if step.junit is not None:
            counts = count_junit(step.junit)
            if code == 5 and step.may_be_empty and not why:  # pytest: nothing was selected
                code = 0
            elif not counts.total and not why:
                why = "ran no test"
        else:
            counts = Counts(passed=int(code == 0))
        if (code or why) and not counts.failed:
            counts = Counts(counts.passed, counts.failed + 1, counts.skipped)
        return Result(step.name, counts, seconds, why)

    def end(self) -> None:
        """End all running steps, politely first, and wait for them."""
        self.ending.set()
        for process in list(self.running.values()):
            end_group(process)


def has_ended(pid: int, within: float) -> bool:
    """Wait at most so many seconds for a child's end; say whether it has ended."""
    ended = os.pidfd_open(pid)
    try:
        return bool(select.select([ended], [], [], within)[0])
    finally:
        os.close(ended)


def read_processor_time(pid: int) -> float:
    """Return the processor seconds of a child whose exit code nobody has asked for, with all that it waited for.

    A lab's hosts are not among these.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a step's processes by their group: ^C first, so that tests tidy up, SIGKILL after a while."""
    for number, patience in ((signal.SIGINT, GRACE), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None and not group_lives(process.pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        limit = time.monotonic() + patience
        while time.monotonic() < limit and (process.poll() is None or group_lives(process.pid)):
            time.sleep(0.05)


def group_lives(group: int) -> bool:
    """Say whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def remove_old(junit: Path) -> None:
    """Remove what an earlier run has reported, so that it is not counted again."""
    for path in junit.glob("*.xml") if junit.is_dir() else [junit]:
        path.unlink(missing_ok=True)


def read_lines(log: Path) -> list[str]:
    """Return what a step has printed so far."""
    return log.read_text(encoding="utf-8", errors="replace").splitlines()


def read_last_line(log: Path) -> str:
    """Return the last thing a step has said."""
    said = [line.strip() for line in read_lines(log)[-20:] if line.strip()]
    return said[-1][:100] if said else ""


def read_tail(log: Path, name: str) -> str:
    """Return the end of a step's output, framed."""
    lines = read_lines(log)
    cut = [f"... {len(lines) - TAIL} more lines in {log.relative_to(ROOT)}"] if len(lines) > TAIL else []
    return "\n".join([f"----- {name}", *cut, *lines[-TAIL:], f"----- end of {name}"])


@contextlib.contextmanager
def ends_on_signals(runner: Runner) -> Iterator[None]:
    """End the steps when this program is asked to end."""

    def on_signal(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        yield
    except KeyboardInterrupt:
        runner.say("interrupted: ending what runs")
        runner.end()


def run_lanes(runner: Runner, steps: list[Step]) -> None:
    """Run the two lanes beside each other, then what must run alone."""
    here, labs = ([step for step in steps if step.lane == lane] for lane in ("here", "lab"))
    waiting = Waiting(labs)  # taken from by both: whichever has nothing else to do takes the next
    threads = [threading.Thread(target=runner.run_lane, args=(lane,)) for lane in (chain(here, waiting), waiting)]
    try:
        with ends_on_signals(runner):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for lane in ("alone", "last"):
                runner.run_lane(step for step in steps if step.lane == lane)
    finally:
        for thread in threads:
            thread.join()


def main() -> int:
    """Run what is asked for; 0 when all of it passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="STEP,...", help="names of steps")
    parser.add_argument("--group", choices=("lint", "test", "lab"), help="a group of steps")
    parser.add_argument("--list", action="store_true", help="list the steps")
    options = parser.parse_args()
    steps = find_steps()
    known = {step.name for step in steps}
    wanted = set(options.only.split(",")) if options.only else known
    if wanted - known:
        parser.error(f"no such step: {', '.join(sorted(wanted - known))}; there are {', '.join(sorted(known))}")
    chosen = [step for step in steps if step.name in wanted and options.group in (None, step.group)]
    if options.list:
        print("\n".join(f"{step.group:5} {step.name}" for step in chosen))
        return 0
    REPORTS.mkdir(exist_ok=True)
    runner, began = Runner(), time.monotonic()
    run_lanes(runner, chosen)
    missing = Counts(failed=1)
    results = [runner.results.get(step.name) or Result(step.name, missing, 0.0, "did not run") for step in chosen]
    print(format_closing(results, time.monotonic() - began))
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
