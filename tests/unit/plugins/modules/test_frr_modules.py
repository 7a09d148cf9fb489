# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules for FRR answer when the host itself fails: a process, options in, JSON out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.vmcluster.network.plugins.modules import frr_config

COLLECTIONS = Path(frr_config.__file__).parents[5]
FULL_DISK = """
from ansible_collections.vmcluster.network.plugins.modules import {module}

def run(*_options):
    raise OSError(28, "No space left on device", "/tmp/vmcluster-x.conf")

{module}.run = run
{module}.main()
"""


@pytest.mark.parametrize(("module", "options"), [
    ("frr_config", {"text": "bfd"}), ("frr_neighbor", {"asn": 65010}), ("frr_bgp", {"text": "bfd", "asn": 65010}),
    ("frr_daemons", {}),
])
def test_a_disk_that_is_full_is_told_and_is_no_crash(module, options):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK.format(module=module)], input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        text=True, capture_output=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(COLLECTIONS), *sys.path])})
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    assert said["failed"] and "No space left on device" in said["msg"] and "Traceback" not in done.stderr
