# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module bridge_vm_migration: what is in the way of a migration between bridges, and when its guest has come."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import iproute, vm_iface_read
from ansible_collections.vmcluster.network.plugins.module_utils.vm_attach import Result
from ansible_collections.vmcluster.network.plugins.module_utils.vm_frames import announcements, question, send_frames
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import Link
from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_plan import refuse
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import interface_name
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import GROUP
from ansible_collections.vmcluster.network.plugins.module_utils.waiting import ask_until

ARGUMENT_SPEC: Dict[str, Any] = {
    "state": {"type": "str", "required": True, "choices": ["prepared", "arrived", "aborted"]},
    "migrations": {"type": "list", "elements": "dict", "required": True, "options": {
        "name": {"type": "str", "required": True},
        "nic": {"type": "int", "default": 0},
        "role": {"type": "str", "required": True, "choices": ["source", "target"]},
        "other": {"type": "str", "required": True},
        "bridge": {"type": "str", "required": True},
        "mac": {"type": "str", "required": True},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "mtu": {"type": "int", "default": 1500},
    }},
    "wait": {"type": "float", "default": 15},
}

LOOK_EVERY = 0.01  # seconds between two looks for a guest's first frame
ASK_EVERY = 1.0  # seconds between two questions to a guest that says nothing by itself
ANNOUNCE_AGAIN, ANNOUNCE_EVERY = 2, 0.1  # a frame may be lost

ENTRY_SIZE = 16
"""Of a bridge's forwarding table in /sys/class/net/*/brforward: struct __fdb_entry of linux/if_bridge.h."""


class Migration(NamedTuple):
    """One interface's migration as this node is asked to take part in it."""

    name: str
    nic: int
    role: str
    other: str
    bridge: str
    mac: str
    addresses: Tuple[str, ...]
    mtu: int

    @property
    def interface(self) -> str:
        """The interface's name on both nodes."""
        return interface_name(self.name, self.nic)[0]


def migrate_vms(params: Mapping[str, Any], check_mode: bool) -> Result:
    """Say whether the node can take part in migrations, or wait until their guests have come or gone."""
    wanted = [_read_migration(entry) for entry in params["migrations"]]
    try:
        if params["state"] == "prepared":
            return _prepare(wanted)
        if check_mode:
            return Result(_report(wanted))
        return {"arrived": _await, "aborted": _release}[params["state"]](wanted, params["wait"])
    except (iproute.ReadError, OSError) as error:
        return Result({"changed": False}, failed=str(error))


def _read_migration(entry: Mapping[str, Any]) -> Migration:
    values = {key: entry[key] for key in Migration._fields}
    return Migration(**{**values, "mac": entry["mac"].lower(), "addresses": tuple(entry["addresses"])})


def _prepare(wanted: Sequence[Migration]) -> Result:
    mistakes = check_preparing(_read_links(), wanted)
    if not mistakes:
        return Result(_report(wanted))
    listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {mistake}" for mistake in mistakes)])
    return Result({"changed": False, "mistakes": mistakes}, failed=listed)


def check_preparing(links: Mapping[str, Link], wanted: Sequence[Migration]) -> List[str]:
    """Return every reason why the node cannot take part."""
    mistakes = []
    for each in wanted:
        mistakes += _check_source(links, each) if each.role == "source" else _check_target(links, each)
    return list(dict.fromkeys(mistakes))


def _check_source(links: Mapping[str, Link], each: Migration) -> List[str]:
    link = links.get(each.interface)
    if link is None or not link.carrier:
        return [refuse("NotRunning", f"{each.name} has no running guest here: use detach_vm and attach_vm")]
    if link.kind != "tap":
        return [refuse("Container", f"{each.name} is a container behind {link.kind} {each.interface}, and only virtual "
                                    "machines migrate live: stop it, attach it there")]
    return []


def _check_target(links: Mapping[str, Link], each: Migration) -> List[str]:
    bridge = links.get(each.bridge)
    if bridge is None or bridge.kind != "bridge":
        return [refuse("NoBridge", f"there is no bridge {each.bridge} here for {each.name}: have it made (site.yml)")]
    wires = wires_of(links, each.bridge)
    if not any(links[wire].carrier for wire in wires):
        return [refuse("NoWire", f"{each.bridge} has no port with a carrier but those of VMs: nothing reaches "
                                 f"{each.name} here")]
    small = [links[name] for name in (each.bridge, *wires) if links[name].mtu < each.mtu]
    return [refuse("MtuTooSmall", f"{link.name} has MTU {link.mtu}, {each.name} has {each.mtu}: raise the first")
            for link in small]


def wires_of(links: Mapping[str, Link], bridge: str) -> List[str]:
    """Return a bridge's ports that are no VM's: the way to the other nodes."""
    return sorted(link.name for link in links.values() if link.master == bridge and link.group != str(GROUP))


def _release(wanted: Sequence[Migration], seconds: float) -> Result:
    """Refuse when guests stay on the interfaces of targets; what libvirt has ended goes in a moment."""
    targets = [each for each in wanted if each.role == "target"]
    there = ask_until(
        lambda: [each for each in targets if _has_carrier(each.interface)], lambda left: not left, seconds)
    refused = [refuse("HasMoved", f"{each.name} has a guest here: finish with migrate_vm, or end it") for each in there]
    return Result(_report(wanted), failed="; ".join(refused))


def _await(wanted: Sequence[Migration], seconds: float) -> Result:
    """Wait until guests have come, and announce each at once; until they have gone from a source."""
    deadline, asked = time.monotonic() + seconds, 0.0
    missing, arrived = list(wanted), []
    while True:
        happened = [each for each in missing if _has_happened(each)]
        missing = [each for each in missing if each not in happened]
        arrived += _announce(each for each in happened if each.role == "target")
        # A target whose interface has gone has no part any more: the migration is taken back.
        if all(map(_is_taken_back, missing)) or time.monotonic() >= deadline:
            break
        if time.monotonic() - asked > ASK_EVERY:
            asked = time.monotonic()
            _ask_guests(each for each in missing if each.role == "target")
        time.sleep(LOOK_EVERY)
    for _again in range(ANNOUNCE_AGAIN if arrived else 0):
        time.sleep(ANNOUNCE_EVERY)
        _announce(arrived)
    return Result(_report(wanted), failed="; ".join(map(_describe_missing, missing)))


def _has_happened(each: Migration) -> bool:
    if each.role == "source":
        return not _has_carrier(each.interface)
    return _is_learnt(each)


def _is_taken_back(each: Migration) -> bool:
    return each.role == "target" and not os.path.exists(f"/sys/class/net/{each.interface}")


def _describe_missing(each: Migration) -> str:
    if each.role == "source":
        return f"a guest is still attached to {each.interface} here: end it, {each.name} runs on {each.other}"
    if _is_taken_back(each):
        return f"{each.name} does not come from {each.other}: there is no {each.interface} here"
    return f"{each.name} has not come from {each.other}: no frame from {each.mac} was seen on {each.interface}"


def _has_carrier(interface: str) -> bool:
    try:
        with open(f"/sys/class/net/{interface}/carrier", encoding="ascii") as stream:
            return stream.read().strip() == "1"
    except OSError:  # it is gone, or down
        return False


def _is_learnt(each: Migration) -> bool:
    """Tell whether the bridge has had a frame from the guest by the VM's own interface."""
    try:
        with open(f"/sys/class/net/{each.interface}/brport/port_no", encoding="ascii") as stream:
            port = int(stream.read(), 16)
        with open(f"/sys/class/net/{each.bridge}/brforward", "rb", buffering=0) as table:
            return (bytes.fromhex(each.mac.replace(":", "")), port) in parse_learnt(table.read())
    except FileNotFoundError:
        return False


def parse_learnt(table: bytes) -> "set[Tuple[bytes, int]]":
    """Return (MAC, port's number) of what a bridge has learnt, of its forwarding table as the kernel gives it out."""
    rows = (table[at:at + ENTRY_SIZE] for at in range(0, len(table) - ENTRY_SIZE + 1, ENTRY_SIZE))
    return {(row[:6], row[6] | row[12] << 8) for row in rows if not row[7]}


def _announce(arrived: Iterable[Migration]) -> List[Migration]:
    """Tell the wire where VMs are now, by all their addresses, as if the guests did; return those told of."""
    told = list(arrived)
    links = _read_links() if told else {}
    for each in told:
        frames = announcements(each.mac, each.addresses)
        for wire in wires_of(links, each.bridge):
            with contextlib.suppress(OSError):  # one of several that is down
                send_frames(wire, frames)
    return told


def _ask_guests(missing: Iterable[Migration]) -> None:
    """Ask guests for their addresses, so that one that says nothing by itself is noticed when it runs."""
    links = _read_links()
    for each in missing:
        link = links.get(each.interface)
        if link is not None and link.carrier:
            with contextlib.suppress(OSError):  # it went just now
                send_frames(each.interface, [question(link.mac, address) for address in each.addresses])


def _read_links() -> Mapping[str, Link]:
    return vm_iface_read.parse_links(iproute.read_ip("-d", "link", "show"))


def _report(wanted: Sequence[Migration]) -> Dict[str, Any]:
    return {"changed": False, "migrations": [
        {"name": each.name, "nic": each.nic, "interface": each.interface, "role": each.role, "other": each.other}
        for each in wanted]}
