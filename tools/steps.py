# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a test run: what there is to check, how it is called, and beside what it may run."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))
from vmlab.kept_modules import switch_environment

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"
BIN = Path(sys.executable).parent
UNIT_TESTS = ("tests/unit", "tests/project")
SCENARIOS = ROOT / "extensions" / "molecule"


@dataclass(frozen=True)
class Step:
    """One command that checks something.

    group: lint, test or lab. lane: `here` and `lab` run beside each other, then `alone`, then `last`; when `here`
    is done, its place takes from `lab` too.
    junit: the file or folder with its test cases; a step without is one test. timeout: seconds.
    may_be_empty: that no test was selected is no mistake.
    """

    name: str
    group: str
    lane: str
    argv: tuple[str, ...]
    junit: Path | None = None
    timeout: float = 600.0
    may_be_empty: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def uses_lab(self) -> bool:
        """Whether the step boots hosts."""
        return self.group == "lab"


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a program of .venv."""
    return (str(BIN / name), *arguments)


def script(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a program in tools/."""
    return (sys.executable, str(ROOT / "tools" / name), *arguments)


def find_steps() -> list[Step]:
    """Return all steps, those of a lane in the order in which they run."""
    return [*lint_steps(), *test_steps(), *lab_steps(), links_step()]


def lint_steps() -> Iterator[Step]:
    """Yield what reads the code without running it."""
    commands = {
        "ruff": tool("ruff", "check", "--no-cache", "--output-format=concise", "."),
        "mypy": tool("mypy"),
        "yamllint": tool("yamllint", "--strict", "."),
        "ansible-lint": tool("ansible-lint", "--offline", "--nocolor"),
        "changelog": tool("antsibull-changelog", "lint"),
        "docs": script("build_docs.py"),
    }
    for name, argv in commands.items():
        yield Step(name, "lint", "here", argv)


def test_steps() -> Iterator[Step]:
    """Yield what runs the code on this machine, without a lab."""
    yield pytest_step("unit", "test", "here", *UNIT_TESTS, "-m", "not alone")
    yield pytest_step("unit-alone", "test", "alone", *UNIT_TESTS, "-m", "alone", may_be_empty=True)
    # Its tests wait for answers most of the time, each for those of a simulator of its own.
    yield pytest_step("junos", "test", "here", "tests/junos", "-n", "4")
    yield pytest_step("junos-simulator", "test", "here", "tests/junos_simulator", "-m", "not lab")
    for command, options in (("sanity", ("--junit",)), ("units", ())):
        yield Step(f"ansible-test-{command}", "test", "here", script("run_ansible_test.py", command, *options),
                   REPORTS / "ansible-test" / command, timeout=900)


def lab_steps() -> Iterator[Step]:
    """Yield what boots hosts, the long ones first: each file of tests, tests of the lab itself, each scenario."""
    for path in sorted((ROOT / "tests" / "lab").glob("test_*.py"), key=lambda path: -path.stat().st_size):
        name = f"lab-{path.stem.removeprefix('test_').replace('_', '-')}"
        lane = "alone" if "mark.alone" in path.read_text(encoding="utf-8") else "lab"
        yield pytest_step(name, "lab", lane, str(path.relative_to(ROOT)))
    yield pytest_step("junos-simulator-lab", "lab", "lab", "tests/junos_simulator", "-m", "lab")
    if holds_tests("tests/lab_tool"):
        yield pytest_step("lab-tool", "lab", "lab", "tests/lab_tool")
    for scenario in sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml")):
        yield Step(f"molecule-{scenario}", "lab", "lab", tool("molecule", "test", "--scenario-name", scenario),
                   timeout=900, environment=molecule_environment(scenario))


def links_step() -> Step:
    """Return the check that no tool has put a copy of the collection in the place of the links to it."""
    listing = 'changes=$(git status --porcelain collections) && echo "$changes" && test -z "$changes"'
    return Step("links", "test", "last", ("/bin/sh", "-c", listing))


def pytest_step(name: str, group: str, lane: str, *arguments: str, may_be_empty: bool = False) -> Step:
    """Return a step that runs pytest and counts its tests."""
    junit = REPORTS / f"{name}.xml"
    options = ("-p", "no:cacheprovider", f"--junit-xml={junit}")
    return Step(name, group, lane, tool("pytest", *options, *arguments), junit, timeout=1500, may_be_empty=may_be_empty)


def molecule_environment(scenario: str) -> dict[str, str]:
    """Return the environment that gives a scenario's run a lab and a folder of its own."""
    short = hashlib.sha256(scenario.encode()).hexdigest()[:4]
    return {
        **switch_environment(),
        "VMCLUSTER_LAB": f"m{short}-{os.getpid()}",  # a lab's name has 16 characters at most
        "MOLECULE_EPHEMERAL_DIRECTORY": str(ROOT / ".cache" / "molecule" / scenario),
        "PY_COLORS": "0",
        "ANSIBLE_NOCOLOR": "1",
    }


def holds_tests(folder: str) -> bool:
    """Say whether there is a test in a folder."""
    return any((ROOT / folder).glob("**/test_*.py"))
