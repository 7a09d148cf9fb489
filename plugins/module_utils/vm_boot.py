# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot unit that restores VM interfaces from their records, before the network, FRR and hypervisors start: its
texts, and the plan that installs it."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import RECORD_FOLDER

UNIT_NAME = "vmcluster-interfaces.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT_NAME}"
ENABLED_PATH = f"/etc/systemd/system/multi-user.target.wants/{UNIT_NAME}"
SCRIPT_PATH = "/usr/local/sbin/vmcluster-restore-interfaces"
"""A folder whose files SELinux lets systemd run."""

LATE_UNIT_NAME = "vmcluster-interfaces-late.service"
LATE_UNIT_PATH = f"/etc/systemd/system/{LATE_UNIT_NAME}"
LATE_ENABLED_PATH = f"/etc/systemd/system/multi-user.target.wants/{LATE_UNIT_NAME}"

PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python")

# DefaultDependencies=no: with cloud-init, sysinit.target comes after the network, and a unit that waits for
# sysinit.target and wants to be before network-pre.target would make a ring.
UNIT = f"""\
# Installed by the Ansible module vmcluster.network.fabric_vm_iface; changes here are lost.
[Unit]
Description=Network interfaces of VMs (vmcluster.network)
DefaultDependencies=no
Conflicts=shutdown.target
Wants=network-pre.target
After=local-fs.target systemd-modules-load.service systemd-sysctl.service systemd-tmpfiles-setup-dev.service
Before=network-pre.target shutdown.target frr.service
Before=libvirtd.service virtqemud.service libvirt-guests.service
Before=lxc.service lxc-net.service lxd.service snap.lxd.daemon.service incus.service
RequiresMountsFor={RECORD_FOLDER}
ConditionDirectoryNotEmpty={RECORD_FOLDER}

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=300
ExecStart={SCRIPT_PATH}

[Install]
WantedBy=multi-user.target
"""

LATE_UNIT = f"""\
# Installed by the Ansible module vmcluster.network.fabric_vm_iface; changes here are lost.
[Unit]
Description=Network interfaces of VMs are on their bridges (vmcluster.network)
After={UNIT_NAME} systemd-networkd.service NetworkManager.service networking.service
RequiresMountsFor={RECORD_FOLDER}
ConditionDirectoryNotEmpty={RECORD_FOLDER}

[Service]
Type=oneshot
TimeoutStartSec=120
ExecStart={SCRIPT_PATH} late

[Install]
WantedBy=multi-user.target
"""

SCRIPT = '''\
"""Make the network interfaces of VMs as their records say; run at boot, and harmless at any time.

With the argument `late`: what needs interfaces that this host's network manager makes, as soon as these are there.

Installed by the Ansible module vmcluster.network.fabric_vm_iface; changes here are lost.
A record that cannot be read is skipped, told, and makes the exit code 1; the others are restored.
"""
import glob
import json
import os
import subprocess
import sys
import time

FOLDER = "@FOLDER@"
LATE_WAIT = 60.0  # seconds that the network manager may take


def complain(said):
    sys.stderr.write("<3>" + said + "\\n")  # journald takes <3> for an error
    return 1


def read_record(path):
    with open(path) as stream:
        record = json.load(stream)
    if record["interface"] + ".json" != os.path.basename(path):
        raise ValueError("is the record of " + repr(record["interface"]))
    texts = record["create"] + record["configure"] + list(record["sysctls"]) + list(record["sysctls"].values())
    texts += [line for lines in record.get("late", {}).values() for line in lines]
    if not all(isinstance(text, str) and "\\n" not in text for text in texts):
        raise ValueError("has lines that are no text")
    return record


def run_ip(lines):
    if not lines:
        return 0
    text = "\\n".join(lines) + "\\n"
    done = subprocess.run(["ip", "-force", "-batch", "-"], input=text, universal_newlines=True)
    return complain("ip -batch: some lines failed, see above") if done.returncode else 0


def write_sysctl(path, value):
    try:
        with open("/proc/sys/" + path, "w") as stream:
            stream.write(value)
    except OSError as error:
        return complain("sysctl " + path + ": " + str(error))
    return 0


def read_records():
    failed, records = 0, []
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        try:
            records.append(read_record(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            failed |= complain(path + ": skipped: " + type(error).__name__ + ": " + str(error))
    return failed, records


def is_there(name):
    return os.path.exists("/sys/class/net/" + name)


def run_late():
    failed, records = read_records()
    waiting = [(name, line) for each in records for name, lines in each.get("late", {}).items() for line in lines]
    end = time.monotonic() + LATE_WAIT
    while waiting:
        failed |= run_ip([line for name, line in waiting if is_there(name)])
        waiting = [(name, line) for name, line in waiting if not is_there(name)]
        if waiting and time.monotonic() > end:
            return complain("not there in time: " + ", ".join(sorted({name for name, _line in waiting})))
        if waiting:
            time.sleep(0.1)
    return failed


def main():
    if sys.argv[1:] == ["late"]:
        return run_late()
    failed, records = read_records()
    absent = [each for each in records if not is_there(each["interface"])]
    failed |= run_ip([line for each in absent for line in each["create"]])
    there = [each for each in records if is_there(each["interface"])]
    for each in there:
        for path, value in each["sysctls"].items():
            failed |= write_sysctl(path, value)
    failed |= run_ip([line for each in there for line in each["configure"]])
    print("%d of %d VM interfaces made, %d were there" % (len(there) - len(records) + len(absent), len(absent),
                                                          len(records) - len(absent)))
    return failed


if __name__ == "__main__":
    sys.exit(main())
'''


class FoundBoot(NamedTuple):
    """What the node has of the boot unit: texts, None where there is no such file. systemd: whether it runs here."""

    systemd: bool
    python: str
    unit: Optional[str] = None
    script: Optional[str] = None
    enabled: bool = False
    late_unit: Optional[str] = None
    late_enabled: bool = False


def script_text(python: str) -> str:
    """Return the script for a node's Python (3.6 or later)."""
    return f"#!{python}\n" + SCRIPT.replace("@FOLDER@", RECORD_FOLDER)


def plan_boot(found: FoundBoot, late: bool = False) -> Tuple[Step, ...]:
    """Return the steps that install the boot unit, and (late) the one behind the network; none where systemd does not
    run.

    A step's commands begin with `write PATH TEXT`, `reload` or `enable UNIT`.
    """
    if not found.systemd:
        return ()
    steps: List[Step] = []
    files = [(SCRIPT_PATH, found.script, script_text(found.python)), (UNIT_PATH, found.unit, UNIT)]
    units = [(UNIT_NAME, found.enabled)]
    if late:
        files.append((LATE_UNIT_PATH, found.late_unit, LATE_UNIT))
        units.append((LATE_UNIT_NAME, found.late_enabled))
    for path, there, text in files:
        if there != text:
            why = "VM interfaces are not restored at boot" if there is None else "is of another version"
            commands = (f"write {path} {text}", *(("reload",) if path != SCRIPT_PATH else ()))
            before, after = tuple((there or "").splitlines()), tuple(text.splitlines())
            steps.append(Step(why, f"file {path}", before, after, commands))
    for name, enabled in units:
        if not enabled:
            steps.append(Step("is not enabled", f"unit {name}", ("disabled",), ("enabled",), (f"enable {name}",)))
    return tuple(steps)
