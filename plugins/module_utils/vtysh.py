# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FRR's shell: read what runs and what is saved, write a delta to a running FRR, save it.

FRR is never restarted. A delta goes by a private file, since it may hold a session's password and argv can be read by
every user of the host.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from typing import Any, FrozenSet, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply

SAVED_CONFIG = "/etc/frr/frr.conf"
APPLY_TIMEOUT = 600  # seconds; 10,000 statics take about 9
READ_TIMEOUT = 60
SAVE_TIMEOUT = 60  # an interrupted `write memory` keeps FRR's writer busy until its child has ended
SAVE_PAUSE = 0.3
MASK = "********"

# Which daemon takes a statement. vtysh drops statements of a daemon that does not run without a word (measured, 8.4
# and 10.3).
DAEMON_OF = (
    ("router bgp", "bgpd"), ("bgp ", "bgpd"), ("bfd", "bfdd"), ("ip route ", "staticd"), ("ipv6 route ", "staticd"),
    ("router ospf6", "ospf6d"), ("router ospf", "ospfd"), ("router isis", "isisd"),
)
SECRET = re.compile(r"(?P<before>\b(?:password|key-string|authentication-key|md5)\s+)\S.*", re.IGNORECASE)
REFUSED_LINE = re.compile(r"^line (?P<number>\d+): (?P<said>.*)$")
# What vtysh 10 tells about its own work.
CHATTER = re.compile(
    r"^(\[\d+\|\w+\] (sending configuration|done|Configuration file.*)|Configuration file\[.*"
    r"|Waiting for children to finish applying config\.\.\.)$")


class FrrError(Exception):
    """FRR cannot do what was asked; the message says what it said and names the remedy."""


class FrrMissing(FrrError):
    """FRR is not installed on this host."""


class FrrNotRunning(FrrError):
    """FRR is installed and none of its daemons answers."""


class DaemonNotRunning(FrrError):
    """FRR runs, but without a daemon that the configuration needs."""


class FrrRefused(FrrError):
    """FRR refused a statement."""


def is_installed() -> bool:
    """Tell whether FRR's shell is on this host."""
    return shutil.which("vtysh", path=apply.PROGRAM_PATH) is not None


def read_running_config() -> str:
    """Return `show running-config`. Raises FrrMissing, FrrNotRunning."""
    return _read("show running-config")


def read_saved_config(path: str = SAVED_CONFIG) -> str:
    """Return the text FRR starts with; empty when there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def read_daemons() -> FrozenSet[str]:
    """Return the names of the daemons that answer vtysh."""
    return frozenset(_read("show daemons").split())


def show_json(command: str) -> Any:
    """Return what `show … json` prints, parsed. Raises FrrError when FRR prints something else (an unknown command,
    an error)."""
    said = _read(command)
    try:
        return json.loads(said) if said.strip() else {}
    except ValueError as error:
        raise FrrError(f"vtysh: {command}: {said.strip()[:500] or error}") from error


def require_daemons(lines: Iterable[str], running: FrozenSet[str]) -> None:
    """Raise DaemonNotRunning when a statement needs a daemon that does not run."""
    needed = {daemon for line in lines for daemon in [daemon_of(line)] if daemon}
    absent = sorted(needed - running)
    if absent:
        raise DaemonNotRunning(
            f"FRR runs without {', '.join(absent)}, which this configuration needs: set {absent[0]}=yes in "
            "/etc/frr/daemons and start it (role vmcluster.network.frr does so: frr_daemons)"
        )


def daemon_of(line: str) -> Optional[str]:
    """Return the daemon that takes a statement of the top level; None when it is not known or any daemon does."""
    statement = line[3:] if line.startswith("no ") else line
    for start, daemon in DAEMON_OF:
        if statement == start or statement.startswith(start if start.endswith(" ") else start + " "):
            return daemon
    return None


def apply_config(lines: Sequence[str]) -> List[str]:
    """Write configuration lines to the running FRR and return what it said that is no refusal (hints, warnings).

    Nothing is written when `vtysh --dryrun` finds a line it does not know. Raises FrrRefused naming each refused line
    and what FRR said: those after it may have been taken, so the caller reads back. Not saved: see save_config.
    """
    with apply.private_file("\n".join(lines) + "\n", suffix=".conf") as path:
        _raise_refusals(lines, _feed(["--dryrun", "-f", path]), "nothing was changed")
        return _raise_refusals(
            lines, _feed([*_no_fork(), "-f", path]), "the other lines were taken, and nothing was saved"
        )


def save_config() -> None:
    """Have FRR write its running configuration to /etc/frr/frr.conf; waits while somebody else's writing is under
    way."""
    end = time.monotonic() + SAVE_TIMEOUT
    while True:
        said = _feed(["-c", "write memory"])
        if "[OK]" in said:
            return
        if "already in progress" not in said or time.monotonic() > end:
            raise FrrError(f"vtysh: write memory: {said.strip()}")
        time.sleep(SAVE_PAUSE)


def mask_secrets(text: str) -> str:
    """Return text with every password and key in it masked."""
    return "\n".join(SECRET.sub(lambda found: found.group("before") + MASK, line) for line in text.split("\n"))


def _read(command: str) -> str:
    """Run one show command. It changes nothing, so it does not go through apply."""
    if not is_installed():
        raise FrrMissing("FRR is not installed on this host (no vtysh): install it, role vmcluster.network.frr does so")
    environment = {"PATH": apply.PROGRAM_PATH, "LC_ALL": "C", "VTYSH_PAGER": "cat"}
    try:
        done = subprocess.run(
            ["vtysh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", timeout=READ_TIMEOUT, env=environment, check=False)
    except subprocess.TimeoutExpired as error:
        raise FrrError(f"vtysh: {command}: no answer within {READ_TIMEOUT} s") from error
    except OSError as error:
        raise FrrError(f"vtysh: {command}: {error}") from error
    if "failed to connect to any daemons" in done.stdout + done.stderr:
        raise FrrNotRunning("FRR is installed and not running: `systemctl start frr`, and see `journalctl -u frr`; "
                            "vtysh must be run by root or by a member of group frrvty")
    if done.returncode:
        raise FrrError(f"vtysh: {command}: {mask_secrets((done.stderr + done.stdout).strip())[:500]}")
    return done.stdout


def _feed(arguments: Sequence[str]) -> str:
    """Run a vtysh that writes; return all it printed in the order it was printed, which ties FRR's words to a line.

    The exit code says too little (0 with refused lines on 8.4), so it is not asked.
    """
    try:
        return apply.run_command(
            ["sh", "-c", 'vtysh "$@" 2>&1 || test "$?" -lt 126', "vtysh", *arguments], timeout=APPLY_TIMEOUT)
    except apply.ApplyError as error:
        raise FrrError(mask_secrets(str(error))) from error


def _no_fork() -> Tuple[str, ...]:
    """vtysh 10 feeds each daemon by a process of its own: refusals then come several times and in any order."""
    return ("--no-fork",) if "--no-fork" in _feed(["--help"]) else ()


def _raise_refusals(lines: Sequence[str], said: str, state: str) -> List[str]:
    """Sort vtysh's output into hints, which are returned, and refusals, which are raised."""
    hints: List[str] = []
    refusals: List[str] = []
    pending: List[str] = []
    for text in said.split("\n"):
        text = text.strip()
        if not text or CHATTER.match(text):
            continue
        refused = REFUSED_LINE.match(text)
        if not refused:
            pending.append(text)
            continue
        number = int(refused.group("number"))
        line = lines[number - 1].strip() if number <= len(lines) else "?"
        if line.startswith("exit") and number > 1:
            # The shell took the line before for one of an outer context, and left this one to do so.
            refusals.append(f"`{lines[number - 2].strip()}`: % This does not belong in its context")
        else:
            refusals.append(f"`{line}`: {' '.join(pending) or refused.group('said')}")
        pending = []
    if any(text.startswith("%") for text in pending):
        refusals.append(" ".join(dict.fromkeys(pending)))
    else:
        hints = pending
    if refusals:
        raise FrrRefused(mask_secrets("FRR refused " + "; ".join(dict.fromkeys(refusals)) + f" ({state})"))
    return [mask_secrets(hint) for hint in hints]
