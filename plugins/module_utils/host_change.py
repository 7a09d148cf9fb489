# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a host's network as a record on the host, and the script and unit that carry it out or take it back.

Texts and data only; doing is host_apply.py. The script needs no Ansible and no controller.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.host_files import Commands, Files
from ansible_collections.vmcluster.network.plugins.module_utils.host_read import Kernel

FOLDER = "/var/lib/vmcluster/host-network"
CHANGE_PATH = f"{FOLDER}/change.json"
APPLIED_PATH = f"{FOLDER}/applied.json"
OUTCOME_PATH = f"{FOLDER}/outcome.json"
LOCK_PATH = "/run/vmcluster-host-network.lock"
SCRIPT_PATH = "/usr/local/sbin/vmcluster-host-network"
"""A folder whose files SELinux lets systemd run."""

UNIT = "vmcluster-host-network"
BOOT_UNIT_NAME = f"{UNIT}-boot.service"
BOOT_UNIT_PATH = f"/etc/systemd/system/{BOOT_UNIT_NAME}"
BOOT_ENABLED_PATH = f"/etc/systemd/system/multi-user.target.wants/{BOOT_UNIT_NAME}"
RETURN_TIME = 20  # seconds that the way back may take; the timer goes off so much earlier

# Generators have run already when units start, so the script lets netplan generate again; managers start later.
BOOT_UNIT = f"""\
# Installed by the Ansible module vmcluster.network.host_network; changes here are lost.
[Unit]
Description=Take back a change of the host's network that was not confirmed (vmcluster.network)
DefaultDependencies=no
Conflicts=shutdown.target
Wants=network-pre.target
After=local-fs.target
Before=network-pre.target shutdown.target cloud-init-local.service
Before=systemd-networkd.service NetworkManager.service networking.service
RequiresMountsFor={FOLDER} /usr/local/sbin
ConditionPathExists={CHANGE_PATH}

[Service]
Type=oneshot
TimeoutStartSec=60
ExecStart={SCRIPT_PATH} boot

[Install]
WantedBy=multi-user.target
"""

SCRIPT = '''\
"""Carry out a change of this host's network, or take it back: apply ID | rollback WHO [ID] | boot.

Installed by the Ansible module vmcluster.network.host_network; changes here are lost.
The change is a record in @FOLDER@, which goes last: what is interrupted is taken back at boot.
"""
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time

CHANGE, APPLIED, OUTCOME = "@CHANGE@", "@APPLIED@", "@OUTCOME@"
LOCK, UNIT = "@LOCK@", "@UNIT@"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Seconds: after which a command hangs, for the manager to bring addresses back, for the kernel.
COMMAND_TIME, SETTLE_TIME, KERNEL_TIME = 60, 6, 3
# Seconds for all commands of the way back together; a host that is not back then gets more of them: it may only be
# slow, and nobody else can help one that is cut off.
RETURN_TIMES = 10, 60, 120
failures = []
deadline = [float("inf")]


def complain(said):
    failures.append(said)
    sys.stderr.write("<4>" + said + "\\n")  # journald takes <4> for a warning


def run(argv, text=None):
    left = max(1, min(COMMAND_TIME, deadline[0] - time.monotonic()))
    try:
        done = subprocess.run(argv, input=text or "", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=left,
                              encoding="utf-8", errors="replace", env={"PATH": PATH, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired) as error:
        complain(" ".join(argv) + ": " + str(error))
        return ""
    if done.returncode:
        complain(" ".join(argv) + ": exit code %d: " % done.returncode + done.stdout.strip()[-400:])
    return done.stdout


def write_file(path, text, mode):
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=folder, prefix=".vmcluster-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except OSError:
        os.unlink(draft)
        raise


def remove_file(path):
    if os.path.lexists(path):
        os.unlink(path)


def put_files(files):
    """Return whether all are as they should be, also after a power cut. What goes makes room for what comes."""
    before = len(failures)
    for path in sorted(files, key=lambda each: (files[each] is not None, each)):
        try:
            if files[path] is None:
                remove_file(path)
            elif not is_there(path, files[path]):
                write_file(path, files[path]["text"], files[path]["mode"])
            sync_folder(path)
        except OSError as error:
            complain(path + ": " + str(error))
    return len(failures) == before


def is_there(path, file):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read() == file["text"] and os.fstat(stream.fileno()).st_mode & 0o7777 == file["mode"]
    except OSError:
        return False


def sync_folder(path):
    try:
        handle = os.open(os.path.dirname(path), os.O_RDONLY)
    except FileNotFoundError:  # then nothing is to be kept there
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_sysctls(values, wait):
    end = time.monotonic() + wait
    for path in sorted(values):
        while not os.path.exists("/proc/sys/" + path) and time.monotonic() < end:
            time.sleep(0.1)
        try:
            with open("/proc/sys/" + path, "w") as stream:
                stream.write(values[path])
        except OSError as error:
            if wait:
                complain("sysctl " + path + ": " + str(error))


def delete_links(names):
    for name in names:
        if os.path.exists("/sys/class/net/" + name):
            run(["ip", "link", "del", "dev", name])


def go(side, wait):
    for argv in side["leave"]:
        run(argv)
    whole = put_files(side["files"])
    delete_links(side["delete"])
    put_sysctls(side["before"], 0)
    for argv in side["enter"]:
        run(argv)
    # NetworkManager makes a link again that it misses, until it has read the new files.
    delete_links(side["delete"])
    put_sysctls(side["sysctls"], wait)
    return whole


def missing(state):
    found = set()
    for entry in json.loads(run(["ip", "-j", "addr", "show"]) or "[]"):
        found.update([entry["ifname"] + " there", "%s in %s" % (entry["ifname"], entry.get("master"))])
        if "UP" in entry.get("flags", []):
            found.add(entry["ifname"] + " up")
        for each in entry.get("addr_info", []):
            found.add("%s %s/%s" % (entry["ifname"], each.get("local"), each.get("prefixlen")))
    for family in "-4", "-6":
        for entry in json.loads(run(["ip", "-j", family, "route", "show", "default"]) or "[]"):
            found.add("%s default %s" % (entry.get("dev"), entry.get("gateway")))
    return [each for each in state["expect"] if each not in found]


def settle(state):
    """Wait for the old interfaces and addresses; what the manager does not bring is set without it."""
    end = time.monotonic() + SETTLE_TIME
    left = missing(state)
    while left and time.monotonic() < end:
        time.sleep(0.2)
        left = missing(state)
    if left:
        complain("not back by itself, so set with ip: " + ", ".join(left))
        lines = [line for name, line in state.get("make", []) if not os.path.exists("/sys/class/net/" + name)]
        run(["ip", "-force", "-batch", "-"], "".join(line + "\\n" for line in lines + state["ip"]))
        end = time.monotonic() + KERNEL_TIME
        left = missing(state)
        while left and time.monotonic() < end:
            time.sleep(0.1)
            left = missing(state)
    return left


def go_back(change):
    """Return whether all files are as before, and the addresses and routes that are not."""
    for seconds in RETURN_TIMES:
        deadline[0] = time.monotonic() + seconds
        whole = go(change["rollback"], 0)
        deadline[0] = float("inf")  # the kernel, which is all that is asked from here on, keeps nobody waiting
        left = settle(change["state"])
        if not left:
            break
    return whole, left


def read_change():
    try:
        with open(CHANGE, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def stop(change, *units):
    for unit in units:  # which need not be there any more
        subprocess.call(["systemctl", "stop", UNIT + unit % change["id"]], stderr=subprocess.DEVNULL)


def is_armed(change):
    return subprocess.call(["systemctl", "is-active", "--quiet", UNIT + "-rollback-%s.timer" % change["id"]]) == 0


def finish(change, who, left, whole):
    """Tell what has become of the change. Its record stays while a file is not as before: the next boot tries again."""
    told = {"id": change["id"], "outcome": "rolled back", "by": who, "failures": failures, "missing": left}
    try:
        write_file(OUTCOME, json.dumps(told), 0o600)
    except OSError as error:
        complain(OUTCOME + ": " + str(error))
    remove_file(APPLIED)
    if whole:
        remove_file(CHANGE)


def main():
    verb, who, name = (sys.argv + ["", "", ""])[1:4]
    name = who if verb == "apply" else name
    change = read_change()
    if verb == "rollback" and change is not None and name in ("", change["id"]):
        stop(change, "-apply-%s.timer", "-apply-%s.service")
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        change = read_change()
        if change is None or name not in ("", change["id"]):
            print("nothing to do")
        elif verb == "apply" and not is_armed(change):  # nothing is begun without a way back
            complain("not begun: the timer of the way back has gone off already")
            finish(change, "timer", [], True)
        elif verb == "apply":
            go(change["apply"], KERNEL_TIME)
            write_file(APPLIED, json.dumps({"id": change["id"], "failures": failures}), 0o600)
        elif verb == "rollback":
            whole, left = go_back(change)
            if who != "timer":
                stop(change, "-rollback-%s.timer")
            finish(change, who, left, whole)
        else:
            whole = put_files(change["rollback"]["files"])
            for argv in change["boot"]:
                run(argv)
            finish(change, "boot", [], whole)


if __name__ == "__main__":
    main()
'''


class Side(NamedTuple):
    """One direction of a change: files to put, commands, links to delete, sysctls to set by path under /proc/sys.

    before: sysctls to set before the manager enters the configuration.
    """

    files: Files
    commands: Commands
    delete: Tuple[str, ...] = ()
    sysctls: Mapping[str, str] = {}
    before: Mapping[str, str] = {}


class FoundHelp(NamedTuple):
    """What the host has of script and unit: texts, None where there is no such file."""

    python: str
    script: Optional[str] = None
    unit: Optional[str] = None
    enabled: bool = False


def script_text(python: str) -> str:
    """Return the script for a host's Python (3.6 or later)."""
    text = SCRIPT
    for word, value in (("FOLDER", FOLDER), ("CHANGE", CHANGE_PATH), ("APPLIED", APPLIED_PATH),
                        ("OUTCOME", OUTCOME_PATH), ("LOCK", LOCK_PATH), ("UNIT", UNIT)):
        text = text.replace(f"@{word}@", value)
    return f"#!{python}\n{text}"


def make_record(
        name: str, there: Side, back: Side, boot: Commands, kernel: Kernel, touched: "set[str]") -> Dict[str, Any]:
    """Return the record of a change; touched: interfaces whose present addresses and routes are the old state."""
    return {"id": name, "apply": _side(there), "rollback": _side(back), "boot": [list(argv) for argv in boot.enter],
            "state": _state(kernel, touched)}


# In the order in which they can be made: a VLAN may stand on a bond or bridge.
_MAKE = {
    "bridge": "link add name {link.name} address {link.current_mac} type bridge",
    "bond": "link add name {link.name} address {link.current_mac} type bond mode {link.mode} miimon 100",
    "vlan": "link add link {link.link} name {link.name} type vlan id {link.id}",
}


def _side(side: Side) -> Dict[str, Any]:
    files = {path: None if file is None else {"text": file.text, "mode": file.mode}
             for path, file in side.files.items()}
    return {"files": files, "leave": [list(argv) for argv in side.commands.leave],
            "enter": [list(argv) for argv in side.commands.enter], "delete": list(side.delete),
            "sysctls": dict(side.sysctls), "before": dict(side.before)}


def _state(kernel: Kernel, touched: "set[str]") -> Dict[str, Any]:
    """The interfaces, addresses and default routes that must be back, and `ip` lines that set them when nothing else
    does; those that make an interface by its name."""
    links = [link for name, link in kernel.links.items() if name in touched]
    expect, lines = [], []
    for link in links:
        expect += [f"{link.name} in {link.master}" if link.master else f"{link.name} there"]
        expect += [f"{link.name} up"] if link.up else []
        lines.append(f"link set dev {link.name} {f'master {link.master}' if link.master else 'nomaster'}")
        lines.append(f"link set dev {link.name} {'up' if link.up else 'down'}")
        for address in link.addresses:
            if not address.startswith("fe80:"):
                expect.append(f"{link.name} {address}")
                lines.append(f"addr replace {address} dev {link.name}" + (" nodad" if ":" in address else ""))
    for route in kernel.routes:
        if route.dev in touched and route.protocol != "kernel":
            via = f" via {route.via} onlink" if route.via else ""
            metric = f" metric {route.metric}" if route.metric else ""
            lines.append(f"route replace {route.to}{via} dev {route.dev}{metric}")
            if route.to in ("0.0.0.0/0", "::/0"):
                expect.append(f"{route.dev} default {route.via or None}")
    made = sorted((link for link in links if link.kind in _MAKE), key=lambda link: list(_MAKE).index(link.kind))
    make = [[link.name, _MAKE[link.kind].format(link=link)] for link in made]
    return {"expect": expect, "make": make, "ip": lines}
