# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository is a collection that a clone and an AWX project find, and its files about itself agree."""

import json
import re
import subprocess
from pathlib import Path

import ansible.release
import pytest
import yaml
from packaging.specifiers import SpecifierSet

PARTS = ["README.md", "galaxy.yml", "meta", "playbooks", "plugins", "roles"]
LINKS = "collections/ansible_collections/vmcluster/network"


def read_yaml(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tracked_files(root):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [root / name for name in listed.split("\0") if name and (root / name).is_file()]


def host_modules(root):
    """Modules that run on hosts; an action plugin of the same name runs on the controller instead."""
    actions = {path.stem for path in (root / "plugins" / "action").glob("*.py")}
    return sorted({path.stem for path in (root / "plugins" / "modules").glob("*.py")} - actions - {"__init__"})


def test_the_collection_folder_holds_relative_links_to_every_part_and_nothing_else(root):
    folder = root / LINKS
    assert sorted(path.name for path in folder.iterdir()) == PARTS
    for name in PARTS:
        link = folder / name
        assert link.is_symlink() and not link.readlink().is_absolute()
        assert link.resolve() == root / name


def test_a_clone_finds_its_own_collection(root, run_ansible):
    listed = json.loads(run_ansible("ansible-galaxy", "collection", "list", "vmcluster.network", "--format", "json"))
    version = read_yaml(root / "galaxy.yml")["version"]
    assert listed[str(root / "collections" / "ansible_collections")] == {"vmcluster.network": {"version": version}}


def test_every_module_has_documentation_that_ansible_reads(root, run_ansible):
    modules = sorted(path.stem for path in (root / "plugins" / "modules").glob("*.py"))
    shown = json.loads(run_ansible("ansible-doc", "--json", *(f"vmcluster.network.{name}" for name in modules)))
    assert sorted(shown) == [f"vmcluster.network.{name}" for name in modules]


# AWX puts its own folders before those that the project's ansible.cfg names.
@pytest.mark.parametrize("paths", ["", "requirements_collections:collections:/usr/share/ansible/collections"],
                         ids=["clone", "AWX project"])
def test_playbooks_are_read_with_all_roles_and_modules(root, run_ansible, paths):
    variables = {"ANSIBLE_COLLECTIONS_PATH": paths} if paths else {}
    playbooks = sorted(path for path in [root / "site.yml", *(root / "playbooks").glob("*.yml")] if path.exists())
    assert playbooks
    run_ansible("ansible-playbook", "--syntax-check", "-i", "inventories/lab", *map(str, playbooks), **variables)


def test_awx_installs_what_galaxy_yml_depends_on(root):
    required = read_yaml(root / "collections" / "requirements.yml")["collections"]
    assert {item["name"]: item["version"] for item in required} == read_yaml(root / "galaxy.yml")["dependencies"]


def test_every_collection_that_is_used_is_depended_on(root):
    used = set()
    for folder in ("roles", "playbooks"):
        for path in (root / folder).rglob("*.yml"):
            found = re.findall(r"^[\s-]*([a-z_0-9]+\.[a-z_0-9]+)\.[a-z_0-9]+:", path.read_text(encoding="utf-8"), re.M)
            used.update(found)
    assert used - {"ansible.builtin", "vmcluster.network"} == set(read_yaml(root / "galaxy.yml")["dependencies"])


def test_the_action_group_holds_every_module_that_runs_on_hosts(root):
    assert read_yaml(root / "meta" / "runtime.yml")["action_groups"]["vmcluster"] == host_modules(root)


def test_requires_ansible_admits_the_ansible_of_this_run(root):
    wanted = SpecifierSet(read_yaml(root / "meta" / "runtime.yml")["requires_ansible"])
    assert ansible.release.__version__ in wanted


def configured_hosts():
    """Hosts of the package registries that this machine is configured to use."""
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    said = [path.read_text(encoding="utf-8", errors="replace") for path in sources if path.is_file()]
    for argv in (["pip", "config", "list"], ["npm", "config", "get", "registry"]):
        try:
            said.append(subprocess.run(argv, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL,
                                       stdin=subprocess.DEVNULL, check=False, timeout=60).stdout)
        except OSError:
            continue
    return {host for host in re.findall(r"://(?:[^/\s@]*@)?([^/\s:'\"]+)", "\n".join(said)) if "." in host}


def test_no_file_names_a_package_registry_or_a_path_of_one_machine(root):
    # Written so that this file does not hold what it looks for.
    registries = {f"{name}.org" for name in ("pypi", "pythonhosted", "deb.debian", "npmjs")} | configured_hosts()
    places = [f"/{path}" for path in ("work/", "root/.pyenv", "tmp/bash_jobs", "opt/pypi")]
    pattern = re.compile("|".join([rf"(?<![\w}}.-]){re.escape(place)}" for place in places]
                                  + [re.escape(host) for host in sorted(registries)]))
    found = []
    for path in tracked_files(root):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(root)}:{number}: {line.strip()[:100]}")
    assert found == []
