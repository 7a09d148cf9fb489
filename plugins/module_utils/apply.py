# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that changes a host: run a command that writes, write a file whole or not at all, set a sysctl."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import subprocess
import tempfile
import time
from typing import Iterator, Mapping, Optional, Sequence

SYNC_EACH_UP_TO = 8  # files; more are cheaper to sync with their file system
SYNC_TIMEOUT = 600.0
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ApplyError(Exception):
    """A change was refused by the host; the message holds the command and what it said, never its input."""


def run_command(argv: Sequence[str], stdin: str = "", timeout: float = 120) -> str:
    """Run a command and return its standard output.

    argv holds no secret: these go by `stdin` or by a private file. timeout is in seconds.
    Raises ApplyError when the command is missing, fails or takes too long.
    """
    environment = {"PATH": PROGRAM_PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            list(argv), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", timeout=timeout, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApplyError(f"{' '.join(argv)}: {error}") from error
    if done.returncode:
        said = "\n".join(part.strip() for part in (done.stderr, done.stdout) if part.strip())
        raise ApplyError(f"{' '.join(argv)}: exit code {done.returncode}: {said}")
    return done.stdout


def write_file(path: str, text: str, mode: Optional[int] = 0o644) -> None:
    """Write a file whole or not at all (also after a crash); directories on the way are made.

    mode: None leaves mode and owner of a file that is there as they are.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=folder, prefix=".vmcluster-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            if mode is None:
                there = os.stat(path)
                os.fchown(stream.fileno(), there.st_uid, there.st_gid)
                mode = there.st_mode
            os.fchmod(stream.fileno(), stat.S_IMODE(mode))
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def write_files(folder: str, texts: Mapping[str, str]) -> None:
    """Write files of one folder, by name, each whole or not at all (also after a crash)."""
    if len(texts) <= SYNC_EACH_UP_TO:
        for name, text in texts.items():
            write_file(f"{folder}/{name}", text)
        return
    os.makedirs(folder, exist_ok=True)
    for name, text in texts.items():
        with open(f"{folder}/.{name}.draft", "w", encoding="utf-8") as stream:
            stream.write(text)
    run_command(["sync", "-f", folder], timeout=SYNC_TIMEOUT)
    for name in texts:
        os.replace(f"{folder}/.{name}.draft", f"{folder}/{name}")


def write_sysctl(path: str, value: str) -> None:
    """Set what the kernel has at a path below /proc/sys. Raises ApplyError."""
    try:
        handle = os.open(f"/proc/sys/{path}", os.O_WRONLY)
        try:
            os.write(handle, value.encode("ascii"))
        finally:
            os.close(handle)
    except OSError as error:
        raise ApplyError(f"sysctl {path} = {value}: {error.strerror}") from error


def remove_file(path: str) -> None:
    """Remove a file; its absence is fine."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def host_lock(path: str, wait: float, what: str) -> Iterator[None]:
    """Keep other calls on this host out that take the same lock.

    what: what such a call does, for the ApplyError that is raised when it takes longer than `wait` seconds.
    """
    with open(path, "w", encoding="utf-8") as stream:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise ApplyError(f"another call {what} for more than {wait:.0f} s (it holds {path}): wait for it, "
                                     f"or end it") from error
                time.sleep(0.05)
        yield


@contextlib.contextmanager
def private_file(text: str, suffix: str = "", folder: Optional[str] = None) -> Iterator[str]:
    """Lend a file that only its owner may read, for input that may hold a secret; it is gone afterwards."""
    handle, path = tempfile.mkstemp(prefix="vmcluster-", suffix=suffix, dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        yield path
    finally:
        remove_file(path)
