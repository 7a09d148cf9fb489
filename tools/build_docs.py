# SPDX-License-Identifier: GPL-3.0-or-later
"""Check pictures and the documentation of modules and roles, and build its HTML pages in docs/_build/html.

Needs no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLLECTION = "vmcluster.network"
COLLECTIONS = ROOT / "collections"
BUILD = ROOT / "docs" / "_build"
SPHINX = ROOT / "tools" / "sphinx"


def docs_environment() -> dict[str, str]:
    """Return an environment in which this checkout's collection is the one that is found."""
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS))
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    return environment


def pictures_command() -> list[str]:
    """Return what finds pictures that are not drawn from their sources as they are."""
    return [sys.executable, str(ROOT / "tools" / "draw_pictures.py"), "--check"]


def lint_command() -> list[str]:
    """Return what finds mistakes in the documentation, references to what is not there among them."""
    folder = COLLECTIONS / "ansible_collections" / Path(*COLLECTION.split("."))
    return ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "dependent",
            "--skip-rstcheck", str(folder)]


def build_commands(pages: Path) -> list[list[str]]:
    """Return what writes the pages as reStructuredText and makes HTML of them; a warning is a failure."""
    return [
        ["antsibull-docs", "--config-file", str(SPHINX / "antsibull-docs.cfg"), "collection", "--cleanup", "everything",
         "--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir", str(pages), COLLECTION],
        ["sphinx-build", "-q", "-W", "--keep-going", "-c", str(SPHINX), str(pages), str(BUILD / "html")],
    ]


def main() -> int:
    """Lint, then build; the first failure ends it."""
    shutil.rmtree(BUILD, ignore_errors=True)
    pages = BUILD / "rst"
    pages.mkdir(parents=True, mode=0o755)
    pages.chmod(0o755)  # antsibull-docs refuses a folder that others may write to
    for command in (pictures_command(), lint_command(), *build_commands(pages)):
        code = subprocess.run(command, env=docs_environment(), stdin=subprocess.DEVNULL, check=False).returncode
        if code:
            print(f"failed: {' '.join(command)}", file=sys.stderr)
            return code
    print(f"{(BUILD / 'html' / 'index.html').relative_to(ROOT)} is built")
    return 0


if __name__ == "__main__":
    sys.exit(main())
