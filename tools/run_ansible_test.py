# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test on a copy of this checkout: it wants a path that ends in ansible_collections/vmcluster/network.

    .venv/bin/python tools/run_ansible_test.py sanity
    .venv/bin/python tools/run_ansible_test.py units                      with the oldest and the newest Python here
    .venv/bin/python tools/run_ansible_test.py units --python 3.11        with this one

The copy holds what the collection consists of: the files that git tracks or would add, less galaxy.yml's build_ignore.
ansible-test's environments and downloads are kept in .cache/ansible-test, the user's home is not touched.
Its JUnit files end up in reports/ansible-test/<command>/.
"""

from __future__ import annotations

import configparser
import fcntl
import fnmatch
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import ansible_test
import setup
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
    settings = Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py"
    versions = re.findall(r"\bpip='([0-9.]+)'", settings.read_text(encoding="utf-8"))
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in versions:
        shutil.copyfile(ROOT / "tools" / "get_pip.py", cache / f"get_pip_{version.replace('.', '_')}.py")


def search_path() -> str:
    """Return PATH, with .venv first, and pyenv's Pythons before the shims that start only one of them."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    folders = [str(VENV_BIN), *map(str, sorted(versions.glob("3.*/bin"))), os.environ["PATH"]]
    return os.pathsep.join(folders)


def run_sanity(collection: Path, options: list[str]) -> int:
    """Run the sanity tests; those that look at every Python find them on PATH."""
    return run_ansible_test(collection, "sanity", *options)


def run_units(collection: Path, options: list[str]) -> int:
    """Run the unit tests, unless options say otherwise with the oldest and the newest Python here. Step `unit` runs
    them with the project's own."""
    if options:
        return run_ansible_test(collection, "units", *options)
    codes = [run_ansible_test(collection, "units", "--python", version, "--python-interpreter", str(python))
             for version, python in make_unit_pythons().items()]
    return max(codes)


def run_ansible_test(collection: Path, *arguments: str) -> int:
    """Run ansible-test in a copy of the collection, and return its exit code."""
    environment = dict(os.environ, PATH=search_path(), HOME=str(HOME), XDG_CONFIG_HOME=str(HOME / ".config"))
    command = [sys.executable, str(VENV_BIN / "ansible-test"), *arguments]
    return subprocess.run(command, cwd=collection, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def make_unit_pythons() -> dict[str, Path]:
    """Return the oldest and the newest Python here that ansible-test knows, each able to run unit tests."""
    from ansible_test._util.target.common import constants

    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    known = (*constants.REMOTE_ONLY_PYTHON_VERSIONS, *constants.CONTROLLER_PYTHON_VERSIONS)  # oldest first
    found = [(version, sys.executable if version == own else shutil.which(f"python{version}", path=search_path()))
             for version in known]
    here = [(version, base) for version, base in found if base]
    return {version: Path(base) if version == own else
            make_unit_venv(version, base, version in constants.CONTROLLER_PYTHON_VERSIONS)
            for version, base in (here[0], here[-1])}


def make_unit_venv(version: str, base: str, controller: bool) -> Path:
    """Return the Python of a kept environment that holds what unit tests need; ansible itself comes from .venv."""
    data = Path(ansible_test.__file__).parent / "_data" / "requirements"
    lists = [data / "units.txt", ROOT / "tests" / "unit" / "requirements.txt"]
    lists += [data / "ansible.txt"] if controller else []
    wanted = hashlib.sha256(b"\n".join(path.read_bytes() for path in lists)).hexdigest()
    folder = HOME / f"unit-python{version}"
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    environment = setup.uv_environment(Path(sys.executable))
    requirements = [part for path in lists for part in ("--requirement", str(path))]
    for arguments in (["venv", "--clear", "--python", base, str(folder)],
                      ["pip", "install", "--python", str(python), *requirements]):
        subprocess.run([str(VENV_BIN / "uv"), *arguments, "--quiet"], env=environment, check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def main() -> int:
    """Run one ansible-test at a time in a checkout, as they share environments, and keep its reports."""
    commands = {"sanity": run_sanity, "units": run_units}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        print(f"usage: run_ansible_test.py {'|'.join(commands)} [OPTION...]", file=sys.stderr)
        return 2
    command, options = sys.argv[1], sys.argv[2:]
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / "lock", "w", encoding="utf-8") as lock, tempfile.TemporaryDirectory(prefix="vmcluster-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_pip_config()
        write_get_pip()
        collection = Path(folder) / "ansible_collections" / "vmcluster" / "network"
        collection.mkdir(parents=True)
        copy_collection(collection)
        code = commands[command](collection, options)
        keep_reports(collection, REPORTS / command)
    return code


def keep_reports(collection: Path, reports: Path) -> None:
    """Copy the JUnit files of a run to where they outlive the copy of the collection."""
    shutil.rmtree(reports, ignore_errors=True)
    made = collection / "tests" / "output" / "junit"
    if made.is_dir():
        shutil.copytree(made, reports)


if __name__ == "__main__":
    sys.exit(main())
