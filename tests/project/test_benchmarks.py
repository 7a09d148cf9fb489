# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the benchmarks: one that fails stops no other, and an interrupted run is gone on with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WORKS = """
import sys
sys.path.insert(0, {folder!r})
import _report
_report.REPORTS = __import__("pathlib").Path({reports!r})
_report.REPORTS.with_name("ran").open("a").write("{name} ")
{more}
_report.write_report("bench_{name}", {{}}, [_report.Figure("it works", 0.5, "s", other=2.0, beside="a floor")])
"""


@pytest.fixture
def run_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """run_all.py on benchmarks of ours: `quick` works, `wrong` fails until a file `mended` is there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _report
    import run_all
    import run_tests

    reports = tmp_path / "reports"
    condition = f"assert __import__('os').path.exists({str(tmp_path / 'mended')!r})"
    for name, more in {"wrong": condition, "quick": ""}.items():
        text = WORKS.format(folder=str(BENCHMARKS), reports=str(reports), name=name, more=more)
        (tmp_path / f"bench_{name}.py").write_text(text)
    for module in (run_all, run_tests, _report):
        monkeypatch.setattr(module, "REPORTS", reports)
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "NAMES", ("wrong", "quick"))
    monkeypatch.setattr(run_all, "BEGUN", reports / "bench.begun")
    monkeypatch.setattr(run_all, "TABLE", reports / "bench.md")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["run_all.py", *arguments])
        return run_all.main()

    yield run
    for module in ("run_all", "_report"):
        sys.modules.pop(module, None)


def test_a_benchmark_that_fails_stops_no_other_and_one_that_was_done_is_not_begun_again(
    run_all: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = tmp_path / "ran"
    assert run_all() == 1
    assert ran.read_text() == "wrong quick "
    assert "not done: wrong" in capsys.readouterr().out
    (tmp_path / "mended").touch()
    assert run_all("--resume") == 0
    assert ran.read_text() == "wrong quick wrong "
    told = json.loads((tmp_path / "reports" / "bench_quick.json").read_text())
    assert told["claimed"][0]["figure"] == 0.5 and told["machine"]["cpus"]
    assert "| it works | 0.50 s |  | a floor | 2 | 0.25 |  |" in (tmp_path / "reports" / "bench.md").read_text()
    assert run_all() == 0
    assert ran.read_text() == "wrong quick wrong wrong quick "


def test_every_benchmark_is_listed_with_its_claim() -> None:
    page = (BENCHMARKS / "README.md").read_text()
    missing = [path.name for path in BENCHMARKS.glob("bench_*.py") if f"| `{path.name}` |" not in page]
    assert not missing
