# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migrations by libvirt, run on the source: its event of the guest's STOP goes straight to the agents.

libvirt migrates from daemon to daemon (peer to peer), so that a controller that dies does not stop it.
https://libvirt.org/migration.html
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import threading
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import libvirt_host
from ansible_collections.vmcluster.network.plugins.module_utils.libvirt_host import HostError
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_agent import hurry
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_end import Files
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_state import Under, read_under_way
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import interface_name
from ansible_collections.vmcluster.network.plugins.module_utils.waiting import ask_until

with contextlib.suppress(ImportError):  # the module tells of it
    import libvirt

TRANSPORTS = {"ssh": "qemu+ssh://root@{}/system", "tls": "qemu+tls://{}/system", "tcp": "qemu+tcp://{}/system"}
RESERVE = 5.0  # seconds before an agent's deadline in which libvirt takes back what has not moved
CANCEL_WAIT = 30.0  # seconds

ARGUMENT_SPEC: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["moved", "cancelled"], "default": "moved"},
    "uri": {"type": "str", "default": "qemu:///system"},
    "transport": {"type": "str", "choices": sorted(TRANSPORTS), "default": "ssh"},
    "parallel": {"type": "int", "default": 2},
    "wait": {"type": "float"},
    "domains": {"type": "list", "elements": "dict", "required": True, "options": {
        "name": {"type": "str", "required": True},
        "nics": {"type": "list", "elements": "int", "default": [0]},
        "other": {"type": "str", "required": True},
        "address": {"type": "str", "required": True},
    }},
}


class Move(NamedTuple):
    """One VM that is to move. other: the node that it goes to; address: what that node's libvirt is reached by."""

    name: str
    interfaces: Tuple[str, ...]
    other: str
    address: str


class Found(NamedTuple):
    """What libvirt knows of a domain. under_way: it migrates already."""

    running: bool
    under_way: bool


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Move domains, or cancel what is on its way; return what exit_json (or, with `failed`, fail_json) tells."""
    wanted = [Move(each["name"], tuple(interface_name(each["name"], nic)[0] for nic in each["nics"]), each["other"],
                   each["address"]) for each in params["domains"]]
    try:
        if not check_mode:
            _start_event_loop()
        with libvirt_host.connection(params["uri"]) as host:
            found = {each.name: _read(host, each.name) for each in wanted}
            if params["state"] == "cancelled":
                steps = plan_cancelling(wanted, found)
                return _report(steps, [] if check_mode else _cancel(host, steps), [])
            agents = None if check_mode or params["wait"] is not None else read_under_way()
            steps, mistakes = plan_moving(wanted, found, agents)
            if mistakes:
                listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {each}" for each in mistakes)])
                return {"failed": True, "changed": False, "msg": listed, "mistakes": mistakes}
            moving = [each for each in wanted if any(each.name in step.commands for step in steps)]
            if check_mode or not moving:
                return _report(steps, [], [])
            deadline = None if params["wait"] is None else time.monotonic() + params["wait"]
            with concurrent.futures.ThreadPoolExecutor(params["parallel"]) as pool:
                moves = list(pool.map(lambda each: _Moving(host, each, params["transport"], deadline).run(), moving))
            return _report(steps, [move["failed"] for move in moves if "failed" in move], moves)
    except HostError as error:
        return {"failed": True, "changed": not check_mode, "msg": str(error)}


def _read(host: Any, name: str) -> Found:
    domain = libvirt_host.find_domain(host, name)
    running = domain is not None and bool(domain.isActive())
    return Found(running, running and domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)


def plan_moving(
        wanted: Sequence[Move], found: Mapping[str, Found], under: Optional[Mapping[str, Under]]
) -> Tuple[Tuple[Step, ...], List[str]]:
    """Return the steps that move domains, `NAME` each, and why some cannot. A domain that does not run here needs none:
    it has moved, or whoever waits for it on the target will tell.

    under: migrations that agents are armed for, by interface; None where there are none, or not yet.
    """
    steps, mistakes = [], []
    for each in wanted:
        if not found[each.name].running:
            continue
        mistakes += [f"{each.name}: no agent waits for {name} to leave: run migrate_vm, which arms it"
                     for name in each.interfaces if under is not None and not _is_armed(under.get(name))]
        why = f"goes on to {each.other}" if found[each.name].under_way else f"moves to {each.other}"
        steps.append(Step(why, f"domain {each.name}", ("runs here",), (f"runs on {each.other}",), (each.name,)))
    return tuple(steps), mistakes


def _is_armed(under: Optional[Under]) -> bool:
    return (under is not None and under.runs and under.record["role"] == "source"
            and under.state.get("state") in ("armed", "cut", "left"))


def plan_cancelling(wanted: Sequence[Move], found: Mapping[str, Found]) -> Tuple[Step, ...]:
    """Return the steps that cancel migrations, `NAME` each."""
    return tuple(Step(f"does not move to {each.other}", f"domain {each.name}", (), (), (each.name,))
                 for each in wanted if found[each.name].under_way)


def _cancel(host: Any, steps: Sequence[Step]) -> List[str]:
    names = [name for step in steps for name in step.commands]
    for name in names:
        with contextlib.suppress(libvirt.libvirtError):  # it may be over this moment
            host.lookupByName(name).abortJob()
    late = ask_until(lambda: [name for name in names if _read(host, name).under_way], lambda left: not left,
                     CANCEL_WAIT)
    return [f"{name}: libvirt has not ended its migration" for name in late]


def _report(steps: Sequence[Step], failures: Sequence[str], moves: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    answer = {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
              "domains": [move for move in moves if "failed" not in move]}
    return {**answer, "failed": True, "msg": "\n".join(failures)} if failures else answer


def _start_event_loop() -> None:
    """Have libvirt's events read while the module waits; before the first connection, or it has none."""
    libvirt.virEventRegisterDefaultImpl()

    def read_events() -> None:
        hurry()
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=read_events, daemon=True).start()


class _Moving:
    """One migration: begun, or joined where libvirt is at it already, and its events told to the agents.

    deadline: when it is taken back; None where agents have one.
    """

    def __init__(self, host: Any, move: Move, transport: str, deadline: Optional[float]) -> None:
        self.host, self.move, self.transport, self.deadline = host, move, transport, deadline
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.pause_ms: Optional[int] = None

    def run(self) -> Dict[str, Any]:
        """Migrate and return what it took; `failed` says why the guest stays."""
        began = time.monotonic()
        name = self.move.name
        try:
            domain = self.host.lookupByName(name)
            seconds = self.seconds_left()
            if not seconds:
                return {"name": name, "failed": f"{name} stays here: the time for it is over, run migrate_vm again"}
            readers = ((libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self.hear),
                       (libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, self.note))
            numbers = [self.host.domainEventRegisterAny(domain, event, reader, None) for event, reader in readers]
            timer = threading.Timer(seconds, self.give_up, (domain,))
            timer.daemon = True
            timer.start()
            try:
                if domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
                    self.join(domain)
                else:
                    self.migrate(domain)
            finally:
                timer.cancel()
                for number in numbers:
                    self.host.domainEventDeregisterAny(number)
        except libvirt.libvirtError as error:
            return {"name": name, "failed": f"{name}: libvirt does not move it to {self.move.other}: {error}"}
        return {"name": name, "other": self.move.other, "seconds": round(time.monotonic() - began, 3),
                "pause_ms": self.pause_ms}

    def migrate(self, domain: Any) -> None:
        """Move the domain, memory and definition, over the network that its address is in."""
        flags = (libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_PERSIST_DEST
                 | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE)
        address = self.move.address
        host = f"[{address}]" if ":" in address else address
        parameters = {}
        if self.transport == "ssh":
            flags |= libvirt.VIR_MIGRATE_TUNNELLED  # memory goes the way of the orders, unreadable
        else:
            # Told, so that no name is looked up: a resolver that does not answer makes a guest's pause longer.
            parameters[libvirt.VIR_MIGRATE_PARAM_URI] = f"tcp://{host}"
            flags |= libvirt.VIR_MIGRATE_TLS if self.transport == "tls" else 0
        domain.migrateToURI3(TRANSPORTS[self.transport].format(host), parameters, flags)

    def join(self, domain: Any) -> None:
        """Wait for a migration that an interrupted run has begun."""
        def is_over() -> bool:
            try:
                return not domain.isActive() or domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE
            except libvirt.libvirtError:
                return True

        ask_until(is_over, bool, self.seconds_left() + CANCEL_WAIT)
        if libvirt_host.find_domain(self.host, self.move.name) is not None and domain.isActive():
            raise libvirt.libvirtError("the migration that was under way has failed; run it again")

    def hear(self, _host: Any, _domain: Any, event: int, detail: int, _opaque: Any) -> None:
        """libvirt tells of STOP and of a guest that goes on here."""
        if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED and detail == libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED:
            self.tell(b"stopped")
        elif event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
            self.tell(b"running")

    def tell(self, word: bytes) -> None:
        """Tell the agents; one that is gone has done its part."""
        for interface in self.move.interfaces:
            with contextlib.suppress(OSError):
                self.control.sendto(word, Files(interface).socket_path)

    def note(self, _host: Any, _domain: Any, parameters: Mapping[str, Any], _opaque: Any) -> None:
        """libvirt tells of the migration's figures, when it has gone well."""
        self.pause_ms = parameters.get("downtime")

    def seconds_left(self) -> float:
        """How long this may take yet; as long as the agents wait, but for a reserve."""
        if self.deadline is not None:
            return max(0.0, self.deadline - time.monotonic())
        under = read_under_way()
        deadlines = [under[name].record["deadline"] for name in self.move.interfaces if name in under]
        return max(0.0, min(deadlines, default=0.0) - RESERVE - time.monotonic())

    def give_up(self, domain: Any) -> None:
        """Have libvirt take the migration back, before the agents do."""
        with contextlib.suppress(libvirt.libvirtError):
            domain.abortJob()
