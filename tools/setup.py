# SPDX-License-Identifier: GPL-3.0-or-later
"""Install what development and tests need: system packages (as root, on Debian and its kin) and `.venv` from the lock.

    python3 tools/setup.py           both
    python3 tools/setup.py --venv    only .venv

Needs Python 3.8 to run, and finds a Python 3.11 or newer on PATH for `.venv`. Nothing is done, in less than a second,
where all is there already.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.txt"
STAMP = VENV / ".lock"
OLDEST = (3, 11)
PYTHON_NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
PACKAGE_LISTS = (ROOT / "tools" / "requirements-apt.txt", ROOT / "lab" / "requirements-apt.txt")


class SetupError(Exception):
    """What is missing, and what the reader can do about it."""


def read_packages(lists: tuple[Path, ...] = PACKAGE_LISTS) -> list[str]:
    """Return the names of the Debian packages that are asked for: one a line, `#` begins a comment."""
    names: list[str] = []
    for path in lists:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        names += [line.split("#")[0].strip() for line in lines]
    return sorted({name for name in names if name})


def read_installed(names: list[str]) -> set[str]:
    """Return those of the named packages that dpkg has installed."""
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *names]
    answer = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    pairs = (line.split() for line in answer.stdout.splitlines())
    return {pair[0] for pair in pairs if pair[1:] == ["installed"]}


def install_packages() -> None:
    """Install the Debian packages that are missing, or say how."""
    wanted = read_packages()
    if not shutil.which("dpkg-query"):
        print(f"setup: not a Debian system; tests in the lab need what these packages hold: {' '.join(wanted)}")
        return
    installed = read_installed(wanted)
    missing = [name for name in wanted if name not in installed]
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        print(f"setup: tests in the lab need more packages: sudo apt-get update && sudo {' '.join(install)}")
        return
    print(f"setup: installing {' '.join(missing)}", flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for argv in (["apt-get", "update", "--quiet=2"], install):
        run(argv, environment)


def find_python() -> str:
    """Return the path of a Python that is new enough, the first on PATH."""
    probe = "import sys; print(sys.executable, *sys.version_info[:2])"
    for name in PYTHON_NAMES:
        path = shutil.which(name)
        if not path:
            continue
        answer = subprocess.run([path, "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True, check=False)
        words = answer.stdout.split()
        if answer.returncode == 0 and (int(words[-2]), int(words[-1])) >= OLDEST:
            return " ".join(words[:-2])
    raise SetupError("no Python 3.11 or newer on PATH; Debian 12 and Ubuntu 24.04 have one (python3-venv)")


def works(program: Path) -> bool:
    """Say whether a program of .venv starts."""
    try:
        return subprocess.run([str(program), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              check=False).returncode == 0
    except OSError:
        return False


def read_pin(name: str) -> str:
    """Return the lines of the lock that pin one package: its version and hashes."""
    found = re.search(rf"^{re.escape(name)}==.*(?:\n .*)*", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise SetupError(f"{LOCK.name} does not pin {name}")
    return found.group(0) + "\n"


def uv_environment(python: Path) -> dict[str, str]:
    """Return the environment for uv: what pip is configured to use (index, certificates), as uv calls it."""
    environment = dict(os.environ)
    answer = subprocess.run([str(python), "-m", "pip", "config", "list"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, check=False)
    configured = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    for option, variable in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        for section in ("global", "install", ":env:"):
            value = configured.get(f"{section}.{option}", "").strip("'\"")
            if value:
                environment.setdefault(variable, value)
    return environment


def make_venv() -> None:
    """Bring `.venv` to what the lock says; in place, so whoever uses it meanwhile loses nothing that the lock holds."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    python, uv = VENV / "bin" / "python", VENV / "bin" / "uv"
    usable = works(python) and works(uv)
    if usable and STAMP.exists() and STAMP.read_text(encoding="utf-8").strip() == wanted:
        return
    print(f"setup: making {VENV.name} from {LOCK.name}", flush=True)
    if not usable:
        run([find_python(), "-m", "venv", "--clear", str(VENV)])
        only_uv = CACHE / "uv.txt"
        only_uv.write_text(read_pin("uv"), encoding="utf-8")
        run([str(python), "-m", "pip", "install", "-qq", "--requirement", str(only_uv)])
    # Compiled at once: where PYTHONDONTWRITEBYTECODE is set, every run of Ansible would compile what it imports.
    run([str(uv), "pip", "sync", "--quiet", "--compile-bytecode", "--python", str(python), str(LOCK)],
        uv_environment(python))
    draft = STAMP.with_suffix(".draft")
    draft.write_text(wanted + "\n", encoding="utf-8")
    draft.replace(STAMP)


def run(argv: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command whose output the reader sees; SetupError when it fails."""
    if subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, check=False).returncode:
        raise SetupError(f"failed: {' '.join(argv)}")


def main() -> int:
    """Set up what is asked for; one run at a time in a checkout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venv", action="store_true", help="only .venv, no system packages")
    options = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "setup.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not options.venv:
                install_packages()
            make_venv()
        except SetupError as error:
            print(f"setup: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
