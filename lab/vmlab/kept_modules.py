# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules as Ansible packs them, and as Python compiles them, kept for all labs and all runs of playbooks.

Ansible packs a module once per run, and Python keeps no bytecode of what it imports from a pack: tests, which call the
same modules thousands of times, would spend a third of their time on that. Packs are found by the sources that they are
made of, bytecode by the source that it is of, as Python finds its own.

Tests ask for this, and the benchmark on emulated machines: what the others and the demo measure is what users have.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path

from .roots import cache_folder, provide_folder, recipe_hash
from .state import CHECKOUT
from .supervisor import BYTECODE

SWITCH = "VMCLUSTER_LAB_KEEPS_MODULES"
HOOK = Path(__file__).with_name("bytecode.py")
ON_HOSTS = "usr/lib/python3/dist-packages"
KEPT = 6 * 3600.0  # seconds that packs are kept after a run began with them, and bytecode after it was written
SOURCES = ("plugins/modules", "plugins/module_utils")


def switch_environment() -> dict[str, str]:
    """What the environment of all that runs tests has in it."""
    return {SWITCH: "1", "ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "lab" / "callback_plugins")}


def bytecode_layer() -> list[Path]:
    """The layer over a host's root with which its Python keeps bytecode; none where nobody asks for it."""
    if not os.environ.get(SWITCH):
        return []
    layer = cache_folder() / f"bytecode-{recipe_hash(HOOK.read_text())}"
    provide_folder(layer, lambda draft: build_layer(draft / "root"), lambda _what: None)
    remove_old(layer / BYTECODE)
    return [layer]


def build_layer(root: Path) -> None:
    """Make the layer: what Python runs when it starts, and the folder that all hosts share."""
    packages = root / ON_HOSTS
    packages.mkdir(parents=True)
    shutil.copyfile(HOOK, packages / "vmlab_bytecode.py")
    (packages / "vmlab_bytecode.pth").write_text("import vmlab_bytecode\n")
    (root / BYTECODE).mkdir(parents=True)


def packs_folder() -> Path:
    """Where the packs are of the modules as they are now; those that nobody has used for long go."""
    from importlib.metadata import version  # slow to import, and `lab/lab ssh-proxy` need not wait for it

    made_of = hashlib.sha256(f"{version('ansible-core')} {version('ansible')}".encode())
    for source in SOURCES:
        for path in sorted((CHECKOUT / source).rglob("*.py")):
            found = path.stat()
            made_of.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    kept = cache_folder().with_name("modules") / made_of.hexdigest()[:16]
    if not kept.exists():
        remove_old(kept.parent)
        kept.mkdir(parents=True, exist_ok=True)
    os.utime(kept)
    return kept


def remove_old(folder: Path) -> None:
    """Remove what has been in a folder for long; others may do the same at this moment."""
    for old in folder.glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > KEPT:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
