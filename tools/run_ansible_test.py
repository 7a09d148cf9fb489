# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test on a copy of this checkout: it wants a path that ends in ansible_collections/vmcluster/network.

    .venv/bin/python tools/run_ansible_test.py sanity
    .venv/bin/python tools/run_ansible_test.py units --python default

The copy holds what the collection consists of: the files that git tracks or would add, less galaxy.yml's build_ignore.
ansible-test's environments and downloads are kept in .cache/ansible-test, the user's home is not touched.
Its JUnit files end up in reports/ansible-test/<command>/.
"""

from __future__ import annotations

import configparser
import fcntl
import fnmatch
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import yaml

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".cache" / "ansible-test"
REPORTS = ROOT / "reports" / "ansible-test"
VENV_BIN = Path(sys.executable).parent


@functools.cache
def read_build_ignore() -> tuple[str, ...]:
    """Return the patterns of what is in the repository but not in the collection."""
    return tuple(yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"])


def is_shipped(name: str) -> bool:
    """Say whether ansible-galaxy would put a file into the collection."""
    path = PurePosixPath(name)
    return bool(name) and not any(fnmatch.fnmatch(str(part), pattern) for part in (path, *path.parents)
                                  for pattern in read_build_ignore())


def copy_collection(target: Path) -> None:
    """Copy the files of this checkout to `target` and make that a git repository of its own."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in sorted(set(filter(is_shipped, listed.split("\0")))):
        source, copy = ROOT / name, target / name
        if not source.is_symlink() and not source.exists():
            continue  # removed here, not yet from the index
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)
    for argv in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *argv], cwd=target, check=True)


def write_pip_config() -> None:
    """Give the home of ansible-test what pip is configured to use: it passes no PIP_* variables on."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True,
                            check=False).stdout
    config = configparser.RawConfigParser()
    config.read_dict({"global": {"quiet": "1"}})
    for line in listed.splitlines():
        found = re.fullmatch(r"(?:global|:env:)\.([a-z-]+)='(.*)'", line)
        if found:
            config.set("global", found.group(1), found.group(2).replace("\\n", "\n"))
    folder = HOME / ".config" / "pip"
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "pip.conf", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # an index may hold a password
    with open(handle, "w", encoding="utf-8") as stream:
        config.write(stream)


def write_get_pip() -> None:
    """Put our get_pip.py where the running ansible-test keeps the script it would download."""
    import ansible_test

    settings = Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py"
    versions = re.findall(r"\bpip='([0-9.]+)'", settings.read_text(encoding="utf-8"))
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in versions:
        shutil.copyfile(ROOT / "tools" / "get_pip.py", cache / f"get_pip_{version.replace('.', '_')}.py")


def find_pythons() -> Iterator[str]:
    """Yield folders with a working python3.N, as PATH's own may be a shim that starts one version only."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for folder in sorted(versions.glob("3.*/bin")):
        yield str(folder)


def run(arguments: list[str]) -> int:
    """Run ansible-test with these arguments on a fresh copy, and return its exit code."""
    reports = REPORTS / arguments[0]
    environment = dict(os.environ, HOME=str(HOME), XDG_CONFIG_HOME=str(HOME / ".config"))
    environment["PATH"] = os.pathsep.join([str(VENV_BIN), *find_pythons(), os.environ["PATH"]])
    with tempfile.TemporaryDirectory(prefix="vmcluster-") as folder:
        collection = Path(folder) / "ansible_collections" / "vmcluster" / "network"
        collection.mkdir(parents=True)
        copy_collection(collection)
        command = [sys.executable, str(VENV_BIN / "ansible-test"), *arguments]
        done = subprocess.run(command, cwd=collection, env=environment, stdin=subprocess.DEVNULL, check=False)
        shutil.rmtree(reports, ignore_errors=True)
        made = collection / "tests" / "output" / "junit"
        if made.is_dir():
            shutil.copytree(made, reports)
    return done.returncode


def main() -> int:
    """One ansible-test at a time in a checkout: they share environments."""
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_pip_config()
        write_get_pip()
        return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
