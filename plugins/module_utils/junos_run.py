# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of junos_bgp_group, from options that are right to its result."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from ansible_collections.vmcluster.network.plugins.module_utils import junos_input, junos_verify
from ansible_collections.vmcluster.network.plugins.module_utils.junos_change import Orders, Outcome, change_device
from ansible_collections.vmcluster.network.plugins.module_utils.junos_error import JunosError
from ansible_collections.vmcluster.network.plugins.module_utils.junos_plan import Plan, plan_gateway
from ansible_collections.vmcluster.network.plugins.module_utils.junos_secret import mask_secrets
from ansible_collections.vmcluster.network.plugins.module_utils.junos_session import JunosSession, open_session
from ansible_collections.vmcluster.network.plugins.module_utils.junos_wanted import Place
from ansible_collections.vmcluster.network.plugins.module_utils.plan import reasons_of


def run(options: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Read, plan, apply, report.

    options: of junos_bgp_group, completed and checked. Raises ChangeFailed, with what was tried, and JunosError.
    """
    secrets = junos_input.secrets_of(options)
    orders = give_orders(options)
    with open_session(options, secrets) as session:
        outcome = change_device(session, orders, check_mode)
        groups = read_groups(session, options) if outcome.confirmed else []
    return report(outcome, orders, secrets, groups)


def give_orders(options: Dict[str, Any]) -> Orders:
    """Return what a change needs to know: how to plan it, and how to find out what is wrong after it."""
    place = Place(options["logical_system"], options["routing_instance"])

    def read_plan(session: JunosSession) -> Plan:
        return plan_gateway(session.read_config(place), options)

    def find_faults(session: JunosSession) -> List[str]:
        return junos_verify.judge(junos_verify.read_evidence(session, options), options)

    where = "/".join(filter(None, (place.logical_system, place.routing_instance or "master")))
    return Orders(read_plan, find_faults, f"{options['comment']}: junos_bgp_group of {where}", options["confirm"],
                  options["wait"])


def read_groups(session: JunosSession, options: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return what the device tells of the listed groups. The change stays, whether it tells or not."""
    place = Place(options["logical_system"], options["routing_instance"])
    try:
        return junos_verify.read_groups(session, place, [group["name"] for group in options["groups"]])
    except JunosError:
        return []


def report(
        outcome: Outcome, orders: Orders, secrets: Sequence[str], groups: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Return the module's result, with every secret masked."""
    return {
        "changed": outcome.changed, "actions": reasons_of(outcome.plan.steps),
        "commands": [mask_secrets(line, secrets) for line in outcome.plan.lines],
        "kept": list(outcome.plan.kept), "diff": {"prepared": outcome.diff}, "groups": groups,
        "commit": {"confirmed": outcome.confirmed, "comment": orders.comment, "minutes": orders.minutes},
        "hints": list(outcome.hints),
    }
