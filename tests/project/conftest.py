# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the repository as a whole share; they ask Ansible itself, with this checkout's collection."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def run_ansible() -> Callable[..., str]:
    """Run one of Ansible's programs in the checkout, and return what it prints."""

    def run(program: str, *arguments: str, **variables: str) -> str:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        done = subprocess.run([str(Path(sys.executable).parent / program), *arguments], cwd=ROOT, text=True,
                              env={**settings, "ANSIBLE_NOCOLOR": "1", **variables}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
