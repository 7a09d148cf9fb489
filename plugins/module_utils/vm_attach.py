# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module fabric_vm_iface: read, plan, apply, report."""

from __future__ import annotations

import contextlib
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import (
    apply,
    iproute,
    vm_boot,
    vm_iface_apply,
    vm_iface_read,
    vm_route,
    vtysh,
)
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step, diff_of, reasons_of
from ansible_collections.vmcluster.network.plugins.module_utils.vm_iface import (
    Found,
    check_bridges,
    check_found,
    plan_interfaces,
    plan_records,
    plan_routes,
    unwanted_interfaces,
)
from ansible_collections.vmcluster.network.plugins.module_utils.vm_name import interface_name
from ansible_collections.vmcluster.network.plugins.module_utils.vm_recipe import late_lines, parse_record
from ansible_collections.vmcluster.network.plugins.module_utils.vm_spec import (
    FRR,
    KERNEL,
    Vm,
    Wanted,
    check_wanted,
    peer_name,
)

ARGUMENT_SPEC: Dict[str, Any] = {
    "gateway": {"type": "dict", "options": {
        "ipv4": {"type": "str"}, "ipv6": {"type": "str"}, "mac": {"type": "str", "required": True}}},
    "mtu": {"type": "int", "default": 1500},
    "owner": {"type": "str", "default": "root"},
    "sysctls": {"type": "dict", "default": {}},
    "routes": {"type": "str", "choices": [FRR, KERNEL], "default": FRR},
    "proxy_ndp": {"type": "str", "default": ""},
    "vms": {"type": "list", "elements": "dict", "default": [], "options": {
        "name": {"type": "str", "required": True},
        "nic": {"type": "int", "default": 0},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "prefixes": {"type": "list", "elements": "str", "default": []},
        "mac": {"type": "str"},
        "keep_mac": {"type": "bool", "default": False},
        "bridge": {"type": "str"},
        "kind": {"type": "str", "choices": ["tap", "veth"], "default": "tap"},
        "owner": {"type": "str"},
        "driver": {"type": "str", "choices": ["libvirt", "lxc", "lxd"]},
        "multi_queue": {"type": "bool", "default": False},
        "mtu": {"type": "int"},
        "sysctls": {"type": "dict", "default": {}},
        "announcement": {"type": "str", "choices": ["announced", "standby", "withdrawn"], "default": "announced"},
    }},
    "purge": {"type": "bool", "default": False},
}

SETTLE_TRIES = 3  # udev may give a tap another MAC while it is being made: what was set is read again, and repaired


class Result(NamedTuple):
    """What the module answers: values for exit_json, warnings, and why it failed (empty: it did not)."""

    values: Dict[str, Any]
    warnings: Tuple[str, ...] = ()
    failed: str = ""


class Plan(NamedTuple):
    """All steps of one call, in the order they are run; records of interfaces that go are removed last."""

    boot: Tuple[Step, ...]
    records: Tuple[Step, ...]
    routes: Tuple[Step, ...]
    interfaces: Tuple[Step, ...]
    saving: Tuple[Step, ...]

    def steps(self) -> Tuple[Step, ...]:
        """Return all that changes the node, but for records that go last."""
        return (*self.boot, *self.records, *self.interfaces, *self.routes, *self.saving)


def attach_vms(params: Mapping[str, Any], check_mode: bool) -> Result:
    """Bring the node's VM interfaces into the state asked for; in check mode, tell what that would take."""
    named = {params["owner"], *(vm["owner"] for vm in params["vms"] if vm.get("owner"))}
    params = {**params, "vms": _keep_macs(params["vms"])}
    wanted, mistakes = check_wanted(params, vm_iface_read.read_owners(named))
    if mistakes:
        return _refused(mistakes)
    try:
        with contextlib.nullcontext() if check_mode else vm_iface_apply.node_lock():
            return _attach(wanted, params["purge"], check_mode)
    except (apply.ApplyError, vtysh.FrrError, iproute.ReadError, OSError) as error:
        return Result({"changed": not check_mode}, failed=str(error))


def _keep_macs(entries: Sequence[Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """Return what is asked for with the MACs that are recorded, where these are to stay."""
    if not any(entry.get("keep_mac") for entry in entries):
        return list(entries)
    records = vm_iface_read.read_records()
    return [keep_mac(entry, records) for entry in entries]


def keep_mac(entry: Mapping[str, Any], records: Mapping[str, str]) -> Mapping[str, Any]:
    """Return an entry with the MAC of its VM's record, if it is to have that and there is one."""
    if not entry.get("keep_mac"):
        return entry
    record = parse_record(records.get(interface_name(entry["name"], entry["nic"])[0], "")) or {}
    is_its = (record.get("vm"), record.get("nic")) == (entry["name"], entry["nic"])
    return {**entry, "mac": record["mac"]} if is_its and record.get("mac") else entry


def _attach(wanted: Wanted, purge: bool, check_mode: bool) -> Result:
    frr = vm_route.read_frr()
    found = vm_iface_read.read_found(wanted.present, frr.running)
    boot = vm_iface_read.read_boot()
    mistakes = check_found(found, wanted, purge)
    plan, foreign = _plan(found, frr, boot, wanted, purge)
    mistakes += [f"FRR: `{line}` is there without a tag of this collection: remove it, or give the VM another address"
                 for line in foreign]
    if not check_mode:
        mistakes += check_bridges(found, wanted)
        mistakes += _check_frr(frr, plan.routes) if plan.routes else []
    mistakes += check_service(frr.maintenance, found, wanted)
    if mistakes:
        return _refused(mistakes)
    warnings = _warnings(found, boot, wanted)
    failed = "" if check_mode else _apply(plan, found, wanted, purge)
    return Result(_report(plan, found, wanted, purge), warnings, failed)


def _plan(
    found: Found, frr: vm_route.FoundFrr, boot: vm_boot.FoundBoot, wanted: Wanted, purge: bool,
) -> Tuple[Plan, Tuple[str, ...]]:
    routes, foreign = plan_routes(found, wanted, purge)
    saving: Tuple[Step, ...] = ()
    if routes or not frr.wrong:
        saving = vm_route.plan_saving(vm_route.running_after(frr.running, routes), frr.saved, told=bool(routes))
    late = any(map(late_lines, wanted.present))
    return Plan(
        boot=vm_boot.plan_boot(boot, late) if wanted.present else (), records=plan_records(found, wanted, purge),
        routes=routes, interfaces=plan_interfaces(found, wanted, purge), saving=saving), foreign


def _check_frr(frr: vm_route.FoundFrr, steps: Sequence[Step]) -> List[str]:
    if frr.wrong:
        return [frr.wrong]
    try:
        vtysh.require_daemons(_route_lines(steps, "withdraw") + _route_lines(steps, "route"), vtysh.read_daemons())
    except vtysh.DaemonNotRunning as error:
        return [str(error)]
    return []


def _apply(plan: Plan, found: Found, wanted: Wanted, purge: bool) -> str:
    """Run the plan; return what failed, or an empty text. Order: see vm_iface_apply."""
    vm_iface_apply.apply_boot(plan.boot)
    vm_iface_apply.write_records(plan.records)
    vm_route.write_routes(_route_lines(plan.routes, "withdraw"))
    groups = {link.group for link in found.links.values()}
    failures = vm_iface_apply.apply_interfaces(plan.interfaces, groups)
    broken = {failure.interface for failure in failures}
    after, unsettled = _settle(found, wanted, groups, broken) if plan.interfaces else (found, [])
    vm_route.write_routes(_route_lines(plan.routes, "route", broken))
    sound = tuple(vm for vm in wanted.present if vm.interface not in broken)
    missing = vm_route.wait_for_routes(vm_route.expected_routes(sound, after.links))
    if plan.routes or plan.saving:
        frr = vm_route.read_frr()
        after = after._replace(routes=frr.running)
        left, _foreign = plan_routes(after, wanted._replace(present=sound), purge and not broken)
        if left:
            return "FRR did not take: " + "; ".join(reasons_of(left)[:20])
        if vm_route.plan_saving(frr.running, frr.saved):
            vtysh.save_config()
    vm_iface_apply.forget_records(plan.records)
    wrong = [failure.said for failure in failures] + unsettled
    wrong += [f"FRR has `{route.line}`, but zebra has not: see `show ip route {route.prefix}`" for route in missing]
    return "; ".join(wrong[:20])


def _settle(found: Found, wanted: Wanted, groups: "set[str]", broken: "set[str]") -> Tuple[Found, List[str]]:
    """Read the interfaces again and repair what has changed behind our back; return what is there and what stays
    wrong."""
    sound = Wanted(tuple(vm for vm in wanted.present if vm.interface not in broken), wanted.absent)
    for _attempt in range(SETTLE_TRIES):
        found = vm_iface_read.read_found(sound.present, found.routes)
        steps = plan_interfaces(found, sound)
        if not steps:
            return found, []
        vm_iface_apply.apply_interfaces(steps, groups)
    return found, reasons_of(steps)


def _route_lines(steps: Sequence[Step], word: str, passed_over: Collection[str] = ()) -> List[str]:
    return [command.partition(" ")[2] for step in steps if step.thing.rpartition(" ")[2] not in passed_over
            for command in step.commands if command.startswith(word + " ")]


def _refused(mistakes: Sequence[str]) -> Result:
    listed = "\n".join(["nothing was changed; to be put right first:", *(f"- {mistake}" for mistake in mistakes)])
    return Result({"changed": False, "mistakes": list(mistakes)}, failed=listed)


def check_service(maintenance: str, found: Found, wanted: Wanted) -> List[str]:
    """Refuse VMs that come to a node out of service. One that it carries, maybe by another name, stays there."""
    records = {name: parse_record(text) or {} for name, text in found.records.items()}
    carried = {address for record in records.values() for address in record.get("addresses", ())}
    come = {vm.name for vm in wanted.present if vm.announcement == "announced" and vm.interface not in records
            and not carried.intersection(vm.addresses)}
    if not maintenance or not come:
        return []
    return [f"NodeDrained: this node is {maintenance} (drain_node), and would come to carry {', '.join(sorted(come))}: "
            "name another node, or put this one into service (undrain_node)"]


def _warnings(found: Found, boot: vm_boot.FoundBoot, wanted: Wanted) -> Tuple[str, ...]:
    warnings = []
    if wanted.present and not boot.systemd:
        warnings.append("systemd does not run here: VM interfaces are not restored at boot")
    for vm in wanted.present:
        link = found.links.get(vm.interface)
        if link is not None and not link.persistent:
            warnings.append(f"{vm.interface} goes away with the guest that uses it, since it is not persistent: "
                            f"let the hypervisor use an interface that is there (libvirt: managed='no')")
        if vm.altname and not found.altnames_work:
            warnings.append(f"this kernel has no altnames, as Linux 5.5 has: {vm.interface} is not also {vm.altname}")
    return tuple(warnings)


def _report(plan: Plan, found: Found, wanted: Wanted, purge: bool) -> Dict[str, Any]:
    steps = plan.steps()
    return {
        "changed": bool(steps), "actions": reasons_of(steps), "diff": diff_of(steps),
        "interfaces": [_report_vm(vm) for vm in wanted.present],
        "removed": list(unwanted_interfaces(found, wanted, purge)),
    }


def _report_vm(vm: Vm) -> Dict[str, Any]:
    return {
        "vm": vm.name, "nic": vm.nic, "interface": vm.interface, "altname": vm.altname,
        "peer": peer_name(vm.interface) if vm.kind == "veth" else None, "kind": vm.kind,
        "addresses": list(vm.addresses), "prefixes": list(vm.prefixes), "mac": vm.mac, "mtu": vm.mtu,
        "announcement": vm.announcement, "bridge": vm.bridge or None,
    }
