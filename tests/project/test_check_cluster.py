# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check as an operator runs it: ansible-playbook on inventories whose hosts nobody can reach."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLLECTIONS = ROOT / "collections"
DATACENTER = ROOT / "inventories" / "ipfabric_datacenter"
PASSWORD = "example-encrypt-yours"
CHECK = "vmcluster.network.check_cluster"


@pytest.fixture(name="play")
def fixture_play(tmp_path):
    (tmp_path / "ansible.cfg").write_text("", encoding="utf-8")

    def play(*arguments, playbook=CHECK, **environment):
        settings = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_INJECT_FACT_VARS": "false",
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            **environment,
        }
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(DATACENTER), playbook, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=settings, cwd=tmp_path, timeout=120, check=False
        )

    return play


def test_a_right_inventory_is_summed_up_and_no_host_is_asked(play):
    done = play()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cluster north (ipfabric): AS 65020, community 65020:10" in done.stdout
    assert "declared VMs: 2" in done.stdout
    assert "unreachable=0" in done.stdout


@pytest.mark.parametrize("options", ["--check --diff", "--limit core1", "--limit south", "--tags some"])
def test_the_check_is_the_same_with_the_options_people_use(play, options):
    done = play(*options.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cluster south" in done.stdout


def test_all_mistakes_are_readable_and_name_what_was_asked_for(play):
    asked = {"vms": [{"name": "Null0", "node": "north-kvm1"}, {"name": "web9", "node": "nowhere", "cluster": "north"}]}
    done = play("-e", json.dumps(asked), "-e", "underlay_mtu=1400")
    assert done.returncode == 2
    told = [line[2:] for line in (done.stdout + done.stderr).splitlines() if line.startswith("- ")]
    assert "request: vms[0].name: 'Null0' is a reserved name: refused, choose another" in told
    assert (
        "cluster north, VM web9: vms[1].node: 'nowhere' is not a node of cluster north: "
        "use one of north-kvm1, north-kvm2"
    ) in told
    assert any(line.startswith("core1: underlay_mtu: 1400 is smaller than") for line in told)


def test_one_vm_can_be_asked_for_in_short(play):
    done = play("-e", "vm=web9", "-e", "node=south-lxd1")
    assert "asked for: 1 (south/web9 on south-lxd1)" in done.stdout


def test_vms_that_leave_need_their_names_alone(play):
    done = play("-e", json.dumps({"vms": [{"name": "web1", "cluster": "north"}], "vms_state": "absent"}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asked for: 1 (north/web1 on north-kvm1)" in done.stdout


def test_warnings_are_shown_and_do_not_fail(play):
    done = play("-e", json.dumps({"underlay_ip4": "10.0.0.1"}))
    assert done.returncode == 0
    warning = "underlay_ip4: is not a variable of this collection: did you mean underlay_ipv4?"
    assert warning in " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("callback", ["ansible.builtin.default", "ansible.posix.json"])
@pytest.mark.parametrize("mistaken", [False, True])
def test_the_password_is_shown_at_no_verbosity_and_by_no_callback(play, tmp_path, callback, mistaken):
    log = tmp_path / "ansible.log"
    arguments = ["-vvvv", "-e", "underlay_mtu=1400"] if mistaken else ["-vvvv"]
    done = play(
        *arguments,
        ANSIBLE_STDOUT_CALLBACK=callback,
        ANSIBLE_LOG_PATH=str(log),
        ANSIBLE_CACHE_PLUGIN="ansible.builtin.jsonfile",
        ANSIBLE_CACHE_PLUGIN_CONNECTION=str(tmp_path / "facts"),
    )
    assert done.returncode == (2 if mistaken else 0)
    assert "The cluster description has no mistakes" in done.stdout
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in (done.stdout, done.stderr, *written) if PASSWORD in text]


PLAYBOOK = """
- hosts: nodes
  gather_facts: false
  tasks:
    - vmcluster.network.cluster_plan:
      register: vmcluster
      run_once: true
    - ansible.builtin.copy:
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
        content: "{{ seen | to_json }}"
      delegate_to: localhost
      vars:
        requests: "{{ vmcluster.clusters | vmcluster.network.lease_requests }}"
        leases: "{{ requests[0].leases | map('combine', {'address': '192.0.2.1'}) }}"
        seen:
          requests: "{{ requests }}"
          vms: "{{ vmcluster.clusters | vmcluster.network.vm_interfaces(leases, node=inventory_hostname) }}"
          password: "{{ vmcluster.hosts[inventory_hostname].ipfabric.ipfabric_bgp.password }}"
"""


def test_a_play_hands_plan_and_filters_to_every_host(play, tmp_path):
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    done = play(playbook=str(playbook))
    assert done.returncode == 0, done.stdout + done.stderr
    seen = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.json")}
    assert sorted(seen) == ["north-kvm1", "north-kvm2", "south-lxd1", "south-lxd2"]
    assert {host["password"] for host in seen.values()} == {PASSWORD}
    assert [request["host"] for request in seen["north-kvm1"]["requests"]] == ["reflector1"]
    assert [(vm["name"], vm["nic"]) for vm in seen["south-lxd1"]["vms"]] == [("router1", 0), ("router1", 1)]


def test_both_ways_to_name_vms_at_once_are_refused(play):
    done = play("-e", json.dumps({"vm": "web8", "vms": [{"name": "web9", "node": "south-lxd1"}]}))
    assert done.returncode == 2
    assert "vm and vms are both given" in done.stdout + done.stderr


@pytest.mark.parametrize(("playbook", "told", "message"), [
    ("undrain_node", "node=north-kvm9", "UnknownNode: 'north-kvm9'"),
    ("evacuate_node", "confirm_dead=north-kvm1", "UnknownNode: ''"),
    ("drain_node", "node=north-kvm1 drain=stopp", "drain is 'stopp': give migrate, withdraw or stop"),
    ("upgrade_frr", "upgrade_hosts=north-kvm11", "UpgradeRefused: UnknownHost: north-kvm11"),
])
def test_a_host_or_word_with_a_mistake_is_refused_and_is_no_success(play, playbook, told, message):
    done = play("-e", told, playbook=f"vmcluster.network.{playbook}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stdout + done.stderr
    assert "unreachable=1" not in done.stdout


def test_what_a_survey_leaves_empty_or_gives_as_text_is_understood(play):
    asked = json.dumps([{"name": "web9", "node": "south-lxd1", "nic": "1"}])
    done = play("-e", json.dumps({"vm": "", "node": "", "vms": asked}))
    assert "asked for: 1 (south/web9 on south-lxd1)" in done.stdout, done.stdout + done.stderr
