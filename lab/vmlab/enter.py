# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a command is run inside a host or a guest. Standard library only: Ansible's connection plugin uses it."""

from __future__ import annotations

from .errors import LabError
from .state import LabState

ENVIRONMENT = (
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "SHELL=/bin/bash",
    "LANG=C.UTF-8",
    "TERM=dumb",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)


def host_prefix(state: LabState, host: str) -> list[str]:
    """What stands before a command for it to run in the host; a LabError when the host isn't there to enter.

    The command dies with the process that started it, though it lives in the host's pid namespace.
    """
    if not state.is_up():
        raise LabError(f"lab {state.name} is not up; run: lab/lab up")
    if not state.host_folder(host).is_dir():
        raise LabError(f"no host {host!r} in lab {state.name}; `lab/lab status` shows those there are")
    record = state.read_host(host)
    if record.leader is None or record.actual_phase not in ("booting", "up", "stopping"):
        raise LabError(f"host {host} is {record.actual_phase}; run: lab/lab host start {host}")
    if not record.leader.is_alive():
        raise LabError(f"host {host} is going down or rebooting; wait, or see: lab/lab status")
    return [
        "nsenter",
        f"--target={record.leader.pid}",
        *("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"),
        "--",
        *("setpriv", "--pdeathsig", "KILL"),
        *("env", "-i", *ENVIRONMENT),
    ]


def guest_prefix(state: LabState, vm: str) -> list[str]:
    """What stands before a command for it to run in a guest."""
    record = state.read_guest(vm)
    if record is None:
        raise LabError(f"no host or guest {vm!r} in lab {state.name}; `lab/lab status` shows those there are")
    if record.agent is None or not record.agent.is_alive():
        raise LabError(f"guest {vm} is not running; run: lab/lab guest start {vm}")
    if record.phase != "running":
        raise LabError(f"guest {vm} is {record.phase}; see: lab/lab status")
    if record.kind == "qemu":
        raise LabError(f"guest {vm} has a kernel of its own, which runs no commands from here")
    return [
        *("nsenter", f"--target={record.agent.pid}", "--net", "--mount", "--"),
        *("setpriv", "--pdeathsig", "KILL"),
        *("chroot", str(state.folder / "guests" / vm / "root")),
        *("env", "-i", *ENVIRONMENT),
    ]


def command_prefix(state: LabState, name: str) -> list[str]:
    """What stands before a command for it to run in the host or guest of this name."""
    if state.read_guest(name) is not None:
        return guest_prefix(state, name)
    return host_prefix(state, name)


def network_prefix(state: LabState, name: str) -> list[str]:
    """What stands before one of this machine's commands for it to run in the host's or guest's network only."""
    guest = state.read_guest(name)
    if guest is not None and guest.agent is not None:
        guest_prefix(state, name)
        return ["nsenter", f"--net=/proc/{guest.agent.pid}/ns/net", "--"]
    host_prefix(state, name)
    return ["nsenter", f"--net=/run/netns/{state.host_netns(name)}", "--"]
