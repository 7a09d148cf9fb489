# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Running the machine's own tools, each with a bound on its time."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .errors import LabError


def run_command(
    argv: Sequence[str | Path],
    *,
    text_in: str | None = None,
    check: bool = True,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run argv and return what it printed; a failure or more than `timeout` seconds is a LabError."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=text_in if text_in is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=env,
        )
    except FileNotFoundError as missing:
        raise LabError(f"{words[0]} is not installed; lab/requirements-apt.txt lists what the lab needs") from missing
    except subprocess.TimeoutExpired as late:
        raise LabError(f"{' '.join(words)} did not end within {timeout:.0f} s") from late
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(words)} ended with {done.returncode}: {said}")
    return done


def run_ip_batch(lines: Iterable[str], *, namespace: str | None = None, force: bool = False) -> None:
    """Carry out `ip` command lines in one process, inside a named network namespace when one is given.

    With `force` a line that fails does not stop those after it, and is no error.
    """
    text = "".join(line + "\n" for line in lines)
    if not text:
        return
    argv = ["ip"]
    if namespace:
        argv += ["-n", namespace]
    if force:
        argv += ["-force"]
    run_command([*argv, "-batch", "-"], text_in=text, check=not force)
