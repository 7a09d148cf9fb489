# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs in every Python of a host: keeps the bytecode of what is imported from zip files, as Python does for all else.

Found by the hash of the source, and the kind of Python. Standard library only, and little of it: all programs wait.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import zipimport
from importlib._bootstrap_external import _RAW_MAGIC_NUMBER  # type: ignore[attr-defined]

FOLDER = "/var/cache/vmlab-bytecode"

_compile = zipimport._compile_source  # type: ignore[attr-defined]


def compile_once(pathname: str, source: bytes) -> object:
    """Return the code object of a source, compiled unless it was before."""
    name = f"{FOLDER}/{sys.implementation.cache_tag}-{_imp.source_hash(_RAW_MAGIC_NUMBER, source).hex()}"
    try:
        with open(name, "rb") as kept:
            code = marshal.loads(kept.read())
        _imp._fix_co_filename(code, pathname)  # type: ignore[attr-defined]
        return code
    except (OSError, ValueError, EOFError, TypeError):
        code = _compile(pathname, source)
    draft = f"{name}.{os.urandom(8).hex()}"
    try:
        with open(draft, "wb") as new:
            new.write(marshal.dumps(code))
        os.rename(draft, name)
    except OSError:  # who may not write there has compiled for itself
        pass
    return code


zipimport._compile_source = compile_once  # type: ignore[attr-defined]
