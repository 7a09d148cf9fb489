# SPDX-License-Identifier: GPL-3.0-or-later
"""What lab tests share: the lab's package on the path, names that no other run has, and bounded waits."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "lab"))

from vmlab import Lab  # noqa: E402


def unique_lab_name(story: str) -> str:
    """A lab's name that no other run on this machine has."""
    return f"{story}{os.getpid()}"


def wait_until(found: Callable[[], object], seconds: float, what: str, pause: float = 0.05) -> float:
    """Wait until `found()` is true; returns the seconds it took, fails the test after `seconds`."""
    began = time.monotonic()
    while not found():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(pause)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def standard_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The standard topology, bare, for one test module; taken down whatever happens."""
    lab = Lab.up(name=unique_lab_name(Path(request.node.fspath).stem.removeprefix("test_").replace("_", "")[:8]))
    yield lab
    lab.down()
