# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Start a Junos simulator: `python -m junos_simulator --settings FILE`, with lab/ on the path."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from .database import CommitError
from .device import Backend, Device, NoBackend, Settings, read_settings
from .frr import FrrBackend
from .server import Server
from .tree import ConfigurationError


async def run(settings: Settings) -> None:
    """Serve until the process is told to end."""
    server = Server(Device(settings, make_backend(settings)))
    await server.start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()


def make_backend(settings: Settings) -> Backend:
    """The backend that the settings name."""
    if settings.backend == "none":
        return NoBackend()
    if settings.backend == "frr":
        return FrrBackend(settings.enter)
    raise ConfigurationError(f"no backend {settings.backend}")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="junos_simulator", description="A Junos simulator for tests; it is no Junos.")
    parser.add_argument("--settings", type=Path, required=True, help="JSON file; device.py tells its keys")
    parser.add_argument("--debug", action="store_true", help="log every RPC")
    options = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if options.debug else logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        asyncio.run(run(read_settings(options.settings)))
    except CommitError as error:
        print(f"junos_simulator: {error}:", *(f"{each.path} {each.message}" for each in error.complaints), sep="\n  ",
              file=sys.stderr)
        return 1
    except ConfigurationError as error:
        print(f"junos_simulator: {error.path} {error.message} {error.element}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
