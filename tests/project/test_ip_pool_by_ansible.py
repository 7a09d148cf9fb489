# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible carries ip_pool_alloc with all its parts to a host and runs it there."""

import json
import sys


def test_a_thousand_leases_are_predicted_then_had_then_unchanged(run_ansible, tmp_path):
    path = tmp_path / "leases.sqlite"
    leases = [{"owner": f"alpha/vm{at}", "pool": "wide"} for at in range(1000)]
    options = {"path": str(path), "pools": [{"name": "wide", "prefix": "10.0.0.0/8"}], "leases": leases}

    def run(module, options, *arguments):
        said = run_ansible(
            "ansible", "-i", "localhost,", "-c", "local", "localhost", "-m", f"vmcluster.network.{module}",
            "-a", json.dumps(options), *arguments, ANSIBLE_STDOUT_CALLBACK="json", ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
            ANSIBLE_PYTHON_INTERPRETER=sys.executable)
        return json.loads(said)["plays"][0]["tasks"][0]["hosts"]["localhost"]

    predicted = run("ip_pool_alloc", options, "--check")
    assert not path.exists()
    first = run("ip_pool_alloc", options)
    assert first["changed"]
    assert first["leases"] == predicted["leases"]
    assert first["leases"][-1]["address"] == "10.0.3.232"
    assert not run("ip_pool_alloc", options)["changed"]
    assert run("ip_pool_info", {"path": str(path)})["pools"][0]["in_use"] == 1000
