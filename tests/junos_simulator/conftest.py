# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the Junos simulator share: a simulator, and PyEZ connected to it. No code of the collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from jnpr.junos import Device
from jnpr.junos.utils.config import Config
from junos_simulator.testing import Simulator, running
from vmlab.state import CHECKOUT

CONFIGURATION = (CHECKOUT / "lab" / "topologies" / "files" / "core-junos.conf").read_text()
Connect = Callable[..., Device]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: boots hosts of the lab; needs root and lab/requirements-apt.txt")


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One simulator without FRR for all tests; a minute lasts half a second."""
    folder = tmp_path_factory.mktemp("simulator")
    with running(folder, configuration=CONFIGURATION, minute=0.5) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: Simulator) -> Simulator:
    """The simulator, as a new one: its first configuration, an empty history, nobody's lock."""
    process.order("forget")
    return process


@pytest.fixture
def connect(simulator: Simulator) -> Iterator[Connect]:
    """A function that opens a session; all are closed at the end."""
    with ExitStack() as sessions:
        yield lambda **options: sessions.enter_context(make_device(simulator, **options))


@pytest.fixture
def open_device() -> Connect:
    """A function that makes a device of any simulator, which `with` opens and closes."""
    return make_device


@pytest.fixture
def config(connect: Connect) -> Config:
    """The configuration of a device, by PyEZ, not locked."""
    return Config(connect())


def make_device(simulator: Simulator, **options: Any) -> Device:
    """A device as PyEZ sees it, not open yet; the user's password is the one of the settings."""
    user = options.setdefault("user", "automation")
    if "ssh_private_key_file" not in options:
        options.setdefault("passwd", simulator.settings["users"][user].get("password", ""))
    return Device(host=simulator.address, port=simulator.port, gather_facts=False, look_for_keys=False,
                  allow_agent=False, ssh_config=str(Path("/dev/null")), **options)
