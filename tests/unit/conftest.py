# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets plain pytest import this collection as Ansible does; ansible-test brings a plugin of its own that does it."""

import os
from pathlib import Path

COLLECTIONS = Path(__file__).parents[2] / "collections"


def install_collection_finder() -> None:
    """Make `ansible_collections.*` importable from this checkout first, then from the installed bundle."""
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    _AnsibleCollectionFinder(paths=[str(COLLECTIONS)], scan_sys_paths=True)._install()


if "ANSIBLE_CONTROLLER_MIN_PYTHON_VERSION" not in os.environ:  # set by ansible-test
    install_collection_finder()
