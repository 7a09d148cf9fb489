# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot unit: when it is installed, and what its script makes of records."""

import json
import subprocess
import sys

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import vm_boot

PYTHON = "/usr/bin/python3"
INSTALLED = vm_boot.FoundBoot(True, PYTHON, vm_boot.UNIT, vm_boot.script_text(PYTHON), True)


def test_an_installed_unit_is_left():
    assert vm_boot.plan_boot(INSTALLED) == ()


def test_a_node_without_systemd_gets_none():
    assert vm_boot.plan_boot(vm_boot.FoundBoot(False, PYTHON)) == ()


def test_a_new_node_gets_script_and_unit_and_has_it_enabled():
    steps = vm_boot.plan_boot(vm_boot.FoundBoot(True, PYTHON))
    words = [command.split(" ")[0] for step in steps for command in step.commands]
    assert words == ["write", "write", "reload", "enable"]


def test_a_script_for_another_python_is_written_again():
    (step,) = vm_boot.plan_boot(INSTALLED._replace(python="/usr/libexec/platform-python"))
    assert step.commands[0].startswith(f"write {vm_boot.SCRIPT_PATH} #!/usr/libexec/platform-python\n")


@pytest.mark.parametrize("unit", ["network-pre.target", "frr.service", "libvirtd.service", "lxc.service"])
def test_the_unit_runs_before_the_network_frr_and_hypervisors(unit):
    before = [line[7:].split() for line in vm_boot.UNIT.splitlines() if line.startswith("Before=")]
    assert unit in sum(before, [])


@pytest.fixture
def node(tmp_path):
    """A folder of records, and an `ip` that writes down what it is fed."""
    records, tools = tmp_path / "records", tmp_path / "bin"
    records.mkdir()
    tools.mkdir()
    ip = tools / "ip"
    ip.write_text(f"#!/bin/sh\necho \"ip $*\" >> {tmp_path}/log\ncat >> {tmp_path}/log\n")
    ip.chmod(0o755)
    text = vm_boot.script_text(sys.executable).replace(vm_boot.RECORD_FOLDER, str(records))

    def run():
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=30,
                              env={"PATH": f"{tools}:/usr/bin:/bin"})
        log = tmp_path / "log"
        return done, log.read_text().splitlines() if log.exists() else []

    run.records = records
    return run


def write_record(node, name, **changes):
    record = {"interface": name, "create": [f"make {name}"], "sysctls": {}, "configure": [f"set {name}"], **changes}
    (node.records / f"{name}.json").write_text(json.dumps(record))


def test_what_is_there_is_configured_and_not_made_again(node):
    write_record(node, "lo")
    done, fed = node()
    assert (done.returncode, fed) == (0, ["ip -force -batch -", "set lo"])


def test_a_bad_record_is_told_and_the_others_are_restored(node):
    write_record(node, "lo")
    (node.records / "torn_net0.json").write_text('{"interface": "torn')
    (node.records / "list_net0.json").write_text("[]")
    write_record(node, "lines_net0", create=["link add\nlink del eth0"])
    (node.records / "other_net0.json").write_text((node.records / "lo.json").read_text())
    done, fed = node()
    assert done.returncode == 1
    for name in ("torn_net0", "list_net0", "lines_net0", "other_net0"):
        assert f"{name}.json: skipped" in done.stderr
    assert fed == ["ip -force -batch -", "set lo"]


def test_an_interface_that_could_not_be_made_is_not_configured(node):
    write_record(node, "web1_net0")
    done, fed = node()
    assert fed == ["ip -force -batch -", "make web1_net0"]
    assert "0 of 1 VM interfaces made" in done.stdout


def test_a_sysctl_that_is_not_there_is_told(node):
    write_record(node, "lo", sysctls={"net/ipv4/conf/lo/nonsense": "1"})
    done, _fed = node()
    assert done.returncode == 1
    assert "<3>sysctl net/ipv4/conf/lo/nonsense" in done.stderr


def test_no_records_no_work(node):
    done, fed = node()
    assert (done.returncode, fed) == (0, [])
