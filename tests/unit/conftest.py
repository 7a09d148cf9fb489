# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets plain pytest import this collection as Ansible does; ansible-test brings a plugin of its own that does it.

Tests marked `alone` measure time. ansible-test runs everything side by side, so they are left to `make test`, which
runs them when nothing else does.
"""

import os
from pathlib import Path

COLLECTIONS = Path(__file__).parents[2] / "collections"
BY_ANSIBLE_TEST = "ANSIBLE_CONTROLLER_MIN_PYTHON_VERSION" in os.environ


def install_collection_finder():
    """Make `ansible_collections.*` importable from this checkout first, then from the installed bundle."""
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    _AnsibleCollectionFinder(paths=[str(COLLECTIONS)], scan_sys_paths=True)._install()


def pytest_configure(config):
    """Tell ansible-test, which does not read pyproject.toml, the project's marker."""
    config.addinivalue_line("markers", "alone: measures time, so runs when nothing else does")


def pytest_collection_modifyitems(config, items):
    """Leave out what measures time where it could not."""
    measuring = [item for item in items if BY_ANSIBLE_TEST and item.get_closest_marker("alone")]
    if measuring:
        config.hook.pytest_deselected(items=measuring)
        items[:] = [item for item in items if item not in measuring]


if not BY_ANSIBLE_TEST:
    install_collection_finder()
