# SPDX-License-Identifier: GPL-3.0-or-later
"""On the machine of tests/lab/test_switching_trunk.py: what would host_network change, and carrying that out.

Started as `python3 trunk_change.py PLAN [ID]`: prints what differs, one line of JSON. With an ID the change is put down
as the module does, and carried out by the script that it installs; it is not confirmed.
"""

import json
import subprocess
import sys

sys.path.insert(0, "/root/collections")
from ansible_collections.vmcluster.network.plugins.module_utils import host_change, host_run
from ansible_collections.vmcluster.network.plugins.module_utils.host_network import make_change

with open(sys.argv[1], encoding="utf-8") as stream:
    reading = host_run._read({**json.load(stream), "manager": "ifupdown"})
print(json.dumps([step.why + " " + step.thing for step in reading.change.steps]))
if sys.argv[2:]:
    record = make_change(sys.argv[2], reading.found, reading.plan, reading.change)
    with open(host_change.CHANGE_PATH, "w", encoding="utf-8") as stream:
        json.dump(record, stream)
    subprocess.run([host_change.SCRIPT_PATH, "apply", sys.argv[2]], check=True)
