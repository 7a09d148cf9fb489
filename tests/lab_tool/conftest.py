# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from vmlab import Lab

SMALL = Path(__file__).with_name("small.yml")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: boots hosts of the lab; needs root and lab/requirements-apt.txt")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A small lab of this test module's own."""
    lab = Lab.up(SMALL, f"t{os.getpid()}")
    try:
        yield lab
    finally:
        lab.down()
