# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ip_pool_alloc and ip_pool_info as they are run on a host: a process, options in, JSON out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.vmcluster.network.plugins.modules import ip_pool_alloc, ip_pool_info

COLLECTIONS = Path(ip_pool_alloc.__file__).parents[5]
NAME = "ansible_collections.vmcluster.network.plugins.modules."
POOL = {"name": "public4", "prefix": "203.0.113.0/29", "exclude": ["203.0.113.2"]}


def run(module, **options):
    """Run a module and return its exit code and its result."""
    done = subprocess.run(
        [sys.executable, "-m", NAME + module], input=json.dumps({"ANSIBLE_MODULE_ARGS": options}), text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(COLLECTIONS), *sys.path])},
        check=False, timeout=60)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "vmcluster" / "leases.sqlite")


def test_a_vm_gets_its_address_and_the_same_again(path):
    wanted = {"path": path, "pools": [POOL], "leases": [{"owner": "alpha/web1", "pool": "public4", "holder": "node1"}]}
    code, first = run("ip_pool_alloc", **wanted)
    assert (code, first["changed"], first["actions"]) == (
        0, True, ["pool public4: is new", "lease alpha/web1: is new"])
    lease = {"owner": "alpha/web1", "pool": "public4", "address": "203.0.113.1", "family": 4, "holder": "node1",
             "new": True, "outside": False, "state": "present"}
    assert first["leases"] == [lease]
    code, second = run("ip_pool_alloc", **wanted)
    assert (code, second["changed"], second["actions"]) == (0, False, [])
    assert second["leases"] == [{**lease, "new": False}]
    assert second["diff"] == {"before": "", "after": ""}


def test_check_mode_predicts_and_makes_nothing(path):
    code, result = run("ip_pool_alloc", path=path, pools=[POOL], leases=[{"owner": "a", "pool": "public4"}],
                       _ansible_check_mode=True, _ansible_diff=True)
    assert (code, result["changed"], result["leases"][0]["address"]) == (0, True, "203.0.113.1")
    assert "203.0.113.1 pool public4 holder none\n" in result["diff"]["after"]
    assert not os.path.exists(os.path.dirname(path))


def test_every_reason_of_a_failure_is_told(path):
    run("ip_pool_alloc", path=path, pools=[POOL], leases=[{"owner": "a", "pool": "public4", "holder": "node1"}])
    code, result = run("ip_pool_alloc", path=path, leases=[
        {"owner": "a", "pool": "public4", "holder": "node2"}, {"owner": "b", "pool": "public4", "address": "10.0.0.1"}])
    assert code == 1
    assert result["failed"]
    assert [line.partition(":")[0] for line in result["mistakes"]] == [
        "leases[0] (a, pool public4)", "leases[1] (b, pool public4)"]
    assert result["msg"] == "\n".join(result["mistakes"])


def test_leases_that_are_outside_their_pool_are_warned_of(path):
    run("ip_pool_alloc", path=path, pools=[POOL], leases=[{"owner": "a", "pool": "public4"}])
    _code, result = run("ip_pool_alloc", path=path, pools=[{**POOL, "exclude": ["203.0.113.1"]}])
    assert "203.0.113.1 (a)" in json.dumps(result["warnings"])


def test_info_tells_pools_and_the_leases_asked_for(path):
    run("ip_pool_alloc", path=path, pools=[POOL], leases=[
        {"owner": owner, "pool": "public4", "holder": f"node-of-{owner}"} for owner in ("a", "b")])
    code, result = run("ip_pool_info", path=path, holder="node-of-b")
    assert (code, result["changed"], result["exists"], result["faults"]) == (0, False, True, [])
    assert result["pools"] == [{
        "name": "public4", "family": 4, "prefix": "203.0.113.0/29", "ranges": ["203.0.113.1-203.0.113.6"],
        "exclude": ["203.0.113.2"], "size": 5, "in_use": 2, "free": 3}]
    assert [(lease["owner"], lease["address"]) for lease in result["leases"]] == [("b", "203.0.113.3")]


def test_info_of_a_register_that_is_missing_is_empty_and_makes_none(path):
    code, result = run("ip_pool_info", path=path)
    assert code == 0
    assert {key: result[key] for key in ("exists", "pools", "leases", "faults")} == {
        "exists": False, "pools": [], "leases": [], "faults": []}
    assert not os.path.exists(os.path.dirname(path))


def test_info_refuses_a_file_that_is_no_register(tmp_path):
    (tmp_path / "other").write_text("something else")
    code, result = run("ip_pool_info", path=str(tmp_path / "other"))
    assert code == 1
    assert "is not a register of leases" in result["msg"]


@pytest.mark.parametrize("module", [ip_pool_alloc, ip_pool_info])
def test_the_documentation_has_every_option_as_the_module_takes_it(module):
    def plain(options, nested):
        keys = ("type", "elements", "required", "default", "choices")
        return {
            name: {**{key: option[key] for key in keys if key in option},
                   **({"options": plain(option[nested], nested)} if nested in option else {})}
            for name, option in options.items()}

    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert plain(documented, "suboptions") == plain(module.ARGUMENT_SPEC, "options")


def test_the_documentation_of_what_is_returned_is_complete(path):
    options = {"path": path, "pools": [POOL], "leases": [{"owner": "a", "pool": "public4"}]}
    for name, module in (("ip_pool_alloc", ip_pool_alloc), ("ip_pool_info", ip_pool_info)):
        documented = yaml.safe_load(module.RETURN)
        _code, result = run(name, **(options if name == "ip_pool_alloc" else {"path": path}))
        always = {"changed", "invocation", "diff", "warnings", "deprecations"}
        assert set(result) - always == set(documented) - {"mistakes"}
        for key in ("leases", "pools"):
            if key in documented:
                assert set(result[key][0]) == set(documented[key]["contains"]) == set(documented[key]["sample"][0])
