# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's variables: the specification documents them, the defaults agree with it, and a host's plan fits it."""

import json
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PLANNED = [role for role in ROLES if (ROOT / "playbooks" / "vars" / f"{role}.yml").exists()]
PLAYBOOK = """
- hosts: nodes:route_reflectors:core_gateways
  gather_facts: false
  tasks:
    - vmcluster.network.cluster_plan:
      register: plan
      run_once: true
    - ansible.builtin.copy:
        content: "{{{{ plan.hosts | to_json }}}}"
        dest: "{answer}"
        mode: "0600"
      vars: {{ansible_connection: local, ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
      run_once: true
"""


def read_yaml(*path):
    file = ROOT.joinpath(*path)
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None


def options_of(role):
    return read_yaml("roles", role, "meta", "argument_specs.yml")["argument_specs"]["main"].get("options", {})


def passed_on(role):
    """The role's variables that playbooks/vars hands over."""
    return {name for name in read_yaml("playbooks", "vars", f"{role}.yml")
            if name.startswith(f"{role}_") and name != f"{role}_plan"}


@pytest.fixture(scope="module")
def plans(run_ansible, tmp_path_factory):
    """The plan of every host of inventories of all kinds; a host of the same name has the plans of all of them."""
    folder = tmp_path_factory.mktemp("plan")
    playbook, answer, found = folder / "plan.yml", folder / "plan.json", {}
    playbook.write_text(PLAYBOOK.format(answer=answer), encoding="utf-8")
    for inventory in ("lab", "ipfabric_juniper", "switching_public", "routing_rented"):
        run_ansible("ansible-playbook", "-i", f"inventories/{inventory}", str(playbook))
        for host, plan in json.loads(answer.read_text(encoding="utf-8")).items():
            found.setdefault(host, {}).update(plan)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_what_it_is_for_and_what_it_takes(role):
    assert (ROOT / "roles" / role / "README.md").is_file()
    assert read_yaml("roles", role, "meta", "argument_specs.yml")["argument_specs"]["main"]["short_description"]


@pytest.mark.parametrize("role", ROLES)
def test_the_defaults_of_a_role_are_those_of_its_specification(role):
    specified = {name: option["default"] for name, option in options_of(role).items() if "default" in option}
    assert (read_yaml("roles", role, "defaults", "main.yml") or {}) == specified


@pytest.mark.parametrize("role", ROLES)
def test_the_variables_of_a_role_begin_with_its_name(role):
    assert [name for name in options_of(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", PLANNED)
def test_playbooks_hand_a_role_what_the_plan_has_for_it(role, plans):
    planned = {name for host in plans.values() for name in host.get(role, {})}
    assert planned
    assert planned <= passed_on(role) <= set(options_of(role))


@pytest.mark.parametrize("role", PLANNED)
def test_every_plan_of_a_role_fits_its_specification(role, plans):
    validator = ArgumentSpecValidator(options_of(role))
    for host, plan in plans.items():
        if role in plan:
            assert validator.validate(plan[role]).error_messages == [], host
