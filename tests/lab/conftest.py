# SPDX-License-Identifier: GPL-3.0-or-later
"""What lab tests share; `vmlab.stories` has the functions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from vmlab import Lab
from vmlab.cluster import Cluster
from vmlab.kept_modules import switch_environment
from vmlab.sites import configured_cluster
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name


def pytest_configure(config: pytest.Config) -> None:
    # Lets tests import this collection as Ansible does.
    _AnsibleCollectionFinder(paths=[str(CHECKOUT / "collections")], scan_sys_paths=True)._install()
    os.environ.update(switch_environment())
    config.addinivalue_line("markers", "lab: boots hosts of the lab; needs root and lab/requirements-apt.txt")


def name_of(request: pytest.FixtureRequest) -> str:
    """A short name for the lab of a test module."""
    return Path(request.node.fspath).stem.removeprefix("test_").replace("_", "")[:8]


@pytest.fixture(scope="module")
def standard_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The standard topology, bare, for one test module; taken down whatever happens."""
    lab = Lab.up(name=unique_lab_name(name_of(request)))
    yield lab
    lab.down()


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The standard topology with the cluster as site.yml leaves it, for one test module."""
    with configured_cluster(name_of(request)) as cluster:
        yield cluster
