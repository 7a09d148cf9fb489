# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that configure guests (cloud-init's NoCloud): an ISO image per guest, and beside it its texts."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import check_vm_name

PARTS = ("meta-data", "network-config", "user-data")
NO_USER_DATA = "#cloud-config\n{}\n"

# Volume label and file names: https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
LABEL = "cidata"
MAKERS = (("genisoimage",), ("mkisofs",), ("xorriso", "-as", "mkisofs"))

SEED_FOLDER = "/var/lib/vmcluster/seeds"

ARGUMENT_SPEC: Dict[str, Any] = {
    "folder": {"type": "path", "default": SEED_FOLDER},
    "seeds": {"type": "list", "elements": "dict", "required": True, "options": {
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "renamed", "absent"], "default": "present"},
        "was": {"type": "str"},
        "network_config": {"type": "str"},
        "user_data": {"type": "str", "no_log": True},
        "instance_id": {"type": "str"},
        "hostname": {"type": "str"},
    }},
}


class Seed(NamedTuple):
    """A disk that is wanted: the texts by part, None for one that is to go.

    was: the name that it may still have, and all that changes then. same_guest: it keeps the instance-id that is there.
    """

    name: str
    texts: Optional[Mapping[str, str]]
    was: str = ""
    same_guest: bool = False


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring the disks into the state asked for; return what exit_json (or, with `failed`, fail_json) tells."""
    seeds, mistakes = check_seeds(params["seeds"])
    maker = find_maker()
    if not maker and not check_mode and any(seed.texts for seed in seeds):
        mistakes.append("the node has nothing to make ISO images with: install genisoimage or xorriso")
    if mistakes:
        listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {each}" for each in mistakes)])
        return {"failed": True, "changed": False, "msg": listed, "mistakes": mistakes}
    folder = params["folder"]
    seeds = [keep_instance(seed, read_texts(folder, seed.name)) for seed in seeds]
    plans = [(seed, _plan(seed, folder)) for seed in seeds]
    steps = [step for _seed, plan in plans for step in plan]
    try:
        for seed in [seed for seed, plan in plans if plan] if not check_mode else ():
            if seed.was:
                rename_seed(seed, folder)
            else:
                write_seed(seed, folder, maker)
    except (apply.ApplyError, OSError) as error:
        return {"failed": True, "changed": True, "msg": str(error)}
    return {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
            "seeds": {seed.name: image_path(folder, seed.name) for seed in seeds if seed.texts}}


def check_seeds(entries: Sequence[Mapping[str, Any]]) -> Tuple[List[Seed], List[str]]:
    """Return what is wanted, and all mistakes."""
    seeds: List[Seed] = []
    mistakes: List[str] = []
    for index, entry in enumerate(entries):
        name, present = entry["name"], entry["state"] == "present"
        wrong = check_vm_name(name)
        if wrong:
            mistakes.append(f"seeds[{index}].name: {name!r} {wrong}")
        if any(seed.name == name for seed in seeds):
            mistakes.append(f"seeds[{index}].name: {name!r} is there twice: leave one")
        if entry["state"] == "renamed" and not entry.get("was"):
            mistakes.append(f"seeds[{index}].was: is missing: give the former name")
        if present and not entry.get("network_config"):
            mistakes.append(f"seeds[{index}].network_config: is missing: see the filter cloud_init_network_config")
        was = entry.get("was") or "" if entry["state"] == "renamed" else ""
        seeds.append(Seed(name, _texts(entry) if present else None, was, present and not entry.get("instance_id")))
    return seeds, mistakes


def keep_instance(seed: Seed, found: Optional[Mapping[str, str]]) -> Seed:
    """Return a seed with the instance-id that its guest has: that stays when a VM gets another name."""
    first, _newline, _rest = (found or {}).get("meta-data", "").partition("\n")
    if not seed.same_guest or seed.texts is None or not first.startswith("instance-id: "):
        return seed
    rest = seed.texts["meta-data"].partition("\n")[2]
    return seed._replace(texts={**seed.texts, "meta-data": f"{first}\n{rest}"})


def _plan(seed: Seed, folder: str) -> Tuple[Step, ...]:
    if not seed.was:
        return plan_seed(seed, read_texts(folder, seed.name), folder)
    if read_texts(folder, seed.was) is None or read_texts(folder, seed.name) is not None:
        return ()
    old, new = image_path(folder, seed.was), image_path(folder, seed.name)
    return (Step(f"is called {seed.was}", new, (old,), (new,)),)


def rename_seed(seed: Seed, folder: str) -> None:
    """Give a disk another name. The image comes last, so that an interrupted call is finished by the next."""
    if os.path.isdir(f"{folder}/{seed.was}"):
        os.rename(f"{folder}/{seed.was}", f"{folder}/{seed.name}")
    os.rename(image_path(folder, seed.was), image_path(folder, seed.name))


def _texts(entry: Mapping[str, Any]) -> Dict[str, str]:
    """A guest that sees another instance-id makes itself anew, host keys and all: it depends on the name alone."""
    instance = entry.get("instance_id") or entry["name"]
    return {
        "meta-data": f"instance-id: {instance}\nlocal-hostname: {entry.get('hostname') or entry['name']}\n",
        "network-config": entry.get("network_config") or "",
        "user-data": entry.get("user_data") or NO_USER_DATA,
    }


def find_maker() -> Tuple[str, ...]:
    """Return the command that makes ISO images, empty where the node has none."""
    return next((words for words in MAKERS if shutil.which(words[0], path=apply.PROGRAM_PATH)), ())


def image_path(folder: str, name: str) -> str:
    """Return where a guest's disk is."""
    return f"{folder}/{name}.iso"


def read_texts(folder: str, name: str) -> Optional[Dict[str, str]]:
    """Return the texts that a disk was made of; None where there is no disk."""
    found = {}
    if not os.path.exists(image_path(folder, name)):
        return None
    for part in PARTS:
        try:
            with open(f"{folder}/{name}/{part}", encoding="utf-8") as stream:
                found[part] = stream.read()
        except FileNotFoundError:
            found[part] = ""
    return found


def plan_seed(seed: Seed, found: Optional[Mapping[str, str]], folder: str) -> Tuple[Step, ...]:
    """Return the steps for one disk. What user-data says is not shown: it may hold secrets."""
    thing = image_path(folder, seed.name)
    if seed.texts is None:
        return (Step(f"{seed.name} has a disk", thing),) if found is not None else ()
    changed = [part for part in PARTS if (found or {}).get(part) != seed.texts[part]]
    if not changed:
        return ()
    before = [line for part in changed for line in _show(part, (found or {}).get(part, ""))]
    after = [line for part in changed for line in _show(part, seed.texts[part])]
    why = f"{seed.name} has no disk" if found is None else f"{', '.join(changed)} changes"
    return (Step(why, thing, tuple(before), tuple(after)),)


def _show(part: str, text: str) -> List[str]:
    lines = text.splitlines() if part != "user-data" else ["(not shown)"]
    return [f"{part}:", *(f"  {line}" for line in lines)] if text else []


def write_seed(seed: Seed, folder: str, maker: Sequence[str]) -> None:
    """Make or remove a disk. The texts come last, so that an interrupted call is finished by the next."""
    image = image_path(folder, seed.name)
    if seed.texts is None:
        shutil.rmtree(f"{folder}/{seed.name}", ignore_errors=True)
        apply.remove_file(image)
        return
    os.makedirs(folder, exist_ok=True)
    draft = tempfile.mkdtemp(dir=folder, prefix=".draft-")  # for its owner only
    try:
        for part in PARTS:
            apply.write_file(f"{draft}/{part}", seed.texts[part], 0o600)
        argv = [*maker, "-quiet", "-output", f"{draft}/image", "-volid", LABEL, "-joliet", "-rock"]
        apply.run_command([*argv, *(f"{draft}/{part}" for part in PARTS)])
        os.chmod(f"{draft}/image", 0o600)
        os.replace(f"{draft}/image", image)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    for part in PARTS:
        apply.write_file(f"{folder}/{seed.name}/{part}", seed.texts[part], 0o600)
    os.chmod(f"{folder}/{seed.name}", 0o700)
