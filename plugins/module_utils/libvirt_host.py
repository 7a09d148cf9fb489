# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's libvirt, by its Python binding: reading its domains, and carrying out what was planned for them."""

from __future__ import annotations

import contextlib
import os
import traceback
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmcluster.network.plugins.module_utils import answer
from ansible_collections.vmcluster.network.plugins.module_utils.guest_options import GUEST, STOP_TIMEOUT
from ansible_collections.vmcluster.network.plugins.module_utils.libvirt_domain import (
    FoundDomain,
    Nic,
    Wanted,
    check_wanted,
    read_attached,
    read_xml,
)
from ansible_collections.vmcluster.network.plugins.module_utils.libvirt_plan import plan_domain
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of
from ansible_collections.vmcluster.network.plugins.module_utils.waiting import ask_until

UNPLUG_WAIT = 20  # seconds; a guest that answers does so in one

LIBVIRT_IMPORT_ERROR: Optional[str]
try:
    import libvirt
except ImportError:
    LIBVIRT_IMPORT_ERROR = traceback.format_exc()
else:
    LIBVIRT_IMPORT_ERROR = None

ARGUMENT_SPEC: Dict[str, Any] = {
    "uri": {"type": "str", "default": "qemu:///system"},
    "stop_timeout": STOP_TIMEOUT,
    "domains": {"type": "list", "elements": "dict", "required": True, "options": {
        **GUEST,
        "vcpus": {"type": "int"},
        "memory": {"type": "int"},
        "machine": {"type": "str"},
        "accelerator": {"type": "str", "choices": ["auto", "kvm", "qemu"], "default": "auto"},
        "disks": {"type": "list", "elements": "dict", "options": {
            "path": {"type": "str", "required": True},
            "format": {"type": "str", "default": "qcow2"},
            "bus": {"type": "str", "choices": ["virtio", "scsi", "sata", "ide"], "default": "virtio"},
            "readonly": {"type": "bool", "default": False},
        }},
        "boot": {"type": "dict", "options": {
            "kernel": {"type": "str", "required": True}, "initrd": {"type": "str"}, "cmdline": {"type": "str"}}},
        "nics": {"type": "list", "elements": "dict", "options": {
            "nic": {"type": "int", "default": 0}, "mac": {"type": "str"}, "queues": {"type": "int", "default": 0}}},
        "vnc": {"type": "bool"},
    }},
}


class HostError(Exception):
    """libvirt cannot be reached, or refuses."""


def answer_module(module: AnsibleModule, work: Callable[[Mapping[str, Any], bool], Dict[str, Any]]) -> None:
    """Have a module's work done that needs libvirt; see answer.answer_module."""
    if LIBVIRT_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("libvirt"), exception=LIBVIRT_IMPORT_ERROR)
    answer.answer_module(module, work)


def run(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Bring domains into the state asked for; return what exit_json (or, with `failed`, fail_json) tells."""
    wanted, mistakes = check_wanted(params["domains"])
    if mistakes:
        return _refuse(mistakes)
    try:
        with connection(params["uri"]) as host:
            plans, mistakes = _plan(host, wanted)
            if mistakes:
                return _refuse(mistakes)
            failures = [] if check_mode else _apply(host, plans, params["stop_timeout"])
            found = _read(host, [each.domain.name for each in wanted])
    except HostError as error:
        return {"failed": True, "changed": not check_mode, "msg": str(error)}
    steps = [step for plan in plans.values() for step in plan]
    answer = {"changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
              "domains": [describe(found[name]) for name in sorted(found)],
              "restart_needed": _restart_needed(plans, found)}
    return {**answer, "failed": True, "msg": "; ".join(failures)} if failures else answer


def describe(found: FoundDomain) -> Dict[str, Any]:
    """Return what is told of a domain."""
    domain = found.domain
    return {"name": domain.name, "running": found.running, "autostart": bool(domain.autostart), "ours": found.ours,
            "vcpus": domain.vcpus, "memory": domain.memory, "disks": [disk.path for disk in domain.disks or ()],
            "interfaces": [nic.interface for nic in domain.nics or ()]}


def read_guests(uri: str, required: bool) -> List[Dict[str, Any]]:
    """Return what guest_info tells of domains that are ours or on interfaces that are there without libvirt.

    Raises HostError when libvirt does not answer and is required.
    """
    if LIBVIRT_IMPORT_ERROR:
        if required:
            raise HostError("the node has no Python binding of libvirt: install the package python3-libvirt")
        return []
    try:
        with connection(uri) as host:
            names = [domain.name() for domain in host.listAllDomains(0)]
            found = _read(host, names)
            return [_describe_guest(each) for each in found.values() if each.ours or each.domain.nics]
    except HostError:
        if required:
            raise
        return []


def _describe_guest(found: FoundDomain) -> Dict[str, Any]:
    return {"name": found.domain.name, "driver": "libvirt", "running": found.running,
            "autostart": bool(found.domain.autostart), "ours": found.ours,
            "nics": _describe_nics(found.domain.nics or ()),
            "attached": None if found.attached is None else _describe_nics(found.attached)}


def _describe_nics(nics: Sequence[Nic]) -> List[Dict[str, str]]:
    return [{"interface": nic.interface, "mac": nic.mac} for nic in nics]


def _refuse(mistakes: Sequence[str]) -> Dict[str, Any]:
    listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {mistake}" for mistake in mistakes)])
    return {"failed": True, "changed": False, "msg": listed, "mistakes": list(mistakes)}


@contextlib.contextmanager
def connection(uri: str) -> Iterator[Any]:
    """A connection to libvirt; what libvirt raises in the block is a HostError."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # else it prints beside the module's answer
    host = None
    try:
        host = libvirt.open(uri)
        yield host
    except libvirt.libvirtError as error:
        raise HostError(f"libvirt at {uri}: {error}") from error
    finally:
        if host is not None:
            host.close()


def find_domain(host: Any, name: str) -> Any:
    """Return libvirt's domain of a name, None where there is none."""
    try:
        return host.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _read(host: Any, names: Iterable[str]) -> Dict[str, FoundDomain]:
    found = {}
    for name in names:
        domain = find_domain(host, name)
        if domain is not None:
            flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE if domain.isPersistent() else 0
            autostart = bool(domain.isPersistent() and domain.autostart())
            running = bool(domain.isActive())
            told = read_xml(domain.XMLDesc(flags), autostart, running)
            found[name] = told._replace(attached=read_attached(domain.XMLDesc(0)) if running else None)
    return found


def _plan(host: Any, wanted: Sequence[Wanted]) -> Tuple[Dict[str, Tuple[Step, ...]], List[str]]:
    found = _read(host, [name for each in wanted for name in (each.domain.name, each.was) if name])
    plans: Dict[str, Tuple[Step, ...]] = {}
    mistakes: List[str] = []
    for each in wanted:
        name = each.domain.name
        steps, wrong = plan_domain(each, found.get(name), _accelerator(each.accelerator), found.get(each.was))
        plans[each.domain.name] = steps
        mistakes += wrong
    return plans, mistakes


def _accelerator(asked: str) -> str:
    if asked != "auto":
        return asked
    return "kvm" if os.path.exists("/dev/kvm") else "qemu"


def _apply(host: Any, plans: Mapping[str, Sequence[Step]], stop_timeout: int) -> List[str]:
    """Carry out the plans; one domain's failure does not stop the others. Guests to be stopped are told so together."""
    stopping = [name for name, steps in plans.items() for step in steps if "stop" in step.commands]
    for name in stopping:
        _ask_to_stop(find_domain(host, name))
    failures = []
    for name, steps in plans.items():
        try:
            for step in steps:
                for command in step.commands:
                    _carry_out(host, name, command, stop_timeout)
        except libvirt.libvirtError as error:
            failures.append(f"domain {name}: {error}")
    return failures


def _carry_out(host: Any, name: str, command: str, stop_timeout: int) -> None:
    verb, _space, rest = command.partition(" ")
    if verb == "define":
        host.defineXMLFlags(rest, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        return
    if verb == "rename":
        find_domain(host, rest).rename(name, 0)
        return
    domain = find_domain(host, name)
    if domain is None:
        return
    if verb == "stop":
        _stop(domain, stop_timeout)
    elif verb == "start":
        domain.create()
    elif verb == "plug":
        _plug(domain, rest)
    elif verb == "unplug":
        _unplug(domain, rest)
    elif verb == "autostart":
        domain.setAutostart(rest == "on")
    elif verb == "remove" and domain.isPersistent():
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
                             | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)


def _ask_to_stop(domain: Any) -> None:
    """Press the guest's power button; a guest that cannot be asked is ended later."""
    with contextlib.suppress(libvirt.libvirtError):
        domain.shutdown()


def _stop(domain: Any, timeout: int) -> None:
    """Wait until a guest that was asked to has shut down; one that has not in time is ended."""
    if ask_until(domain.isActive, lambda active: not active, timeout):
        with contextlib.suppress(libvirt.libvirtError):  # it may have gone this moment
            domain.destroy()
        if domain.isActive():
            domain.destroy()


def _plug(domain: Any, xml: str) -> None:
    """Give a domain that runs a card, as long as it has a slot for it; else it has the card after its next start."""
    with contextlib.suppress(libvirt.libvirtError):
        domain.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _unplug(domain: Any, xml: str) -> None:
    """Take a card from a domain that runs. The guest lets go of it, or has it until its next start."""
    with contextlib.suppress(libvirt.libvirtError):
        domain.detachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    (gone,) = read_attached(f"<domain><devices>{xml}</devices></domain>") or ()
    ask_until(lambda: read_attached(domain.XMLDesc(0)) or (), lambda attached: gone not in attached, UNPLUG_WAIT)


def _restart_needed(plans: Mapping[str, Sequence[Step]], found: Mapping[str, FoundDomain]) -> List[str]:
    """Return the domains that ran all the while, and so have what was defined only after their next start; cards that
    they have by now are no reason."""
    return [name for name, steps in sorted(plans.items())
            if name in found and found[name].running and _waits_for_start(steps, found[name])]


def _waits_for_start(steps: Sequence[Step], found: FoundDomain) -> bool:
    verbs = {command.partition(" ")[0] for step in steps for command in step.commands}
    if not verbs & {"define", "plug", "unplug"} or verbs & {"start", "stop"}:
        return False
    lines = [line for step in steps for line in (*step.before, *step.after)]
    return found.attached != found.domain.nics or not all(line.startswith("nic: ") for line in lines)
