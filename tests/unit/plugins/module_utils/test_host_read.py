# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Ansible's connection comes from, read as a module reads it on a host."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.path[:0] = %r
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=%r, scan_sys_paths=False)._install()
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import read_connection
print(read_connection())
"""


def read_in_child(collections, said, *wrapper):
    environment = {"PATH": os.environ["PATH"], **({"SSH_CONNECTION": said} if said else {})}
    done = subprocess.run([*wrapper, sys.executable, "-c", PROGRAM % (sys.path, [collections])], capture_output=True,
                          text=True, check=True, timeout=60, env=environment)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def collections():
    import ansible_collections.vmcluster.network.plugins.module_utils.host_read as module

    return module.__file__.rpartition("/ansible_collections/")[0]


@pytest.mark.parametrize("said", ["192.0.2.9 50000 192.0.2.11 22", "::ffff:192.0.2.9 50000 ::ffff:192.0.2.11 22"])
def test_the_connection_is_known_by_what_sshd_says(collections, said):
    assert read_in_child(collections, said) == "Connection(client='192.0.2.9', server='192.0.2.11')"


def test_a_link_local_connection_is_known_without_its_zone(collections):
    told = read_in_child(collections, "fe80::9%eth0 50000 fe80::1%eth0 22")
    assert told == "Connection(client='fe80::9', server='fe80::1')"


def test_the_connection_is_known_where_sudo_has_dropped_the_variable(collections):
    shell = ["sh", "-c", 'env -u SSH_CONNECTION "$@"; true', "sudo"]
    told = read_in_child(collections, "192.0.2.9 50000 192.0.2.11 22", *shell)
    assert told == "Connection(client='192.0.2.9', server='192.0.2.11')"
