# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what it takes to have FRR's daemons running; pure."""

from __future__ import annotations

from typing import FrozenSet, List, NamedTuple, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils.frr_host import DAEMONS_FILE, STOP_ORDER_FILE
from ansible_collections.vmcluster.network.plugins.module_utils.plan import Step

BEGIN, END = "# BEGIN vmcluster.network", "# END vmcluster.network"
# Daemons that have no session with anybody.
LOCAL_DAEMONS = frozenset(("zebra", "mgmtd", "staticd", "watchfrr"))

START, RESTART = "start daemons", "restart all"

# All daemons are told to stop at once (FRR's frrcommon.sh). A zebra that outlives the others by a moment takes out of
# the kernel what they had it install, `-r` or not (seen with 8.4.4 and 10.3); one that is killed leaves all there.
# watchfrr goes before it, as it would start it again.
STOP_ORDER = """\
# vmcluster.network: zebra ends before the daemons whose routes it keeps in the kernel
[Service]
ExecStop=
ExecStop=-/bin/sh -c 'kill "$$(cat /run/frr/watchfrr.pid)"; kill -KILL "$$(cat /run/frr/zebra.pid)"'
ExecStop=/bin/sh -c 'exec /usr/lib*/frr/frrinit.sh stop'
"""


class Found(NamedTuple):
    """What a host has. version: of the FRR that runs, empty when none does; running: its daemons. integrated: whether
    it saves its whole configuration in one file. stop_order: the content of STOP_ORDER_FILE."""

    file: str
    active: bool
    enabled: bool
    version: str
    running: FrozenSet[str]
    integrated: bool
    stop_order: str


class Wanted(NamedTuple):
    """Daemons to run, zebra's options to add, and the least version."""

    daemons: Tuple[str, ...]
    zebra_options: str
    version: str


def plan_steps(found: Found, wanted: Wanted) -> Tuple[str, Tuple[Step, ...]]:
    """Return the text of DAEMONS_FILE, and all steps in the order in which they are run."""
    text, steps = plan_file(found.file, wanted)
    return text, (*steps, *plan_stop_order(found, wanted), *plan_unit(found), *plan_daemons(found, wanted))


def plan_file(found: str, wanted: Wanted) -> Tuple[str, Tuple[Step, ...]]:
    """Return the text of DAEMONS_FILE with our block, and the step that writes it. The operator's lines stay."""
    block = [BEGIN, "# Added to the lines above, which are the operator's."]
    block += [f"{daemon}=yes" for daemon in wanted.daemons]
    if wanted.zebra_options:
        block.append(f'zebra_options="$zebra_options {wanted.zebra_options}"')
    block.append(END)
    lines = found.splitlines()
    first, last = (lines.index(mark) if mark in lines else -1 for mark in (BEGIN, END))
    there = lines[first:last + 1] if -1 < first < last else []
    if there == block:
        return found, ()
    lines = [*lines[:first], *block, *lines[last + 1:]] if there else [*lines, *block]
    why = "has other lines of ours" if there else "does not enable our daemons"
    return "\n".join(lines) + "\n", (Step(why, DAEMONS_FILE, tuple(there), tuple(block)),)


def plan_stop_order(found: Found, wanted: Wanted) -> Tuple[Step, ...]:
    """Return the step that writes or removes STOP_ORDER_FILE; its command is the content, none to remove it."""
    text = STOP_ORDER if {"-r", "--retain"} & set(wanted.zebra_options.split()) else ""
    if found.stop_order == text:
        return ()
    why = "does not stop zebra first" if text else "stops zebra first, and zebra keeps no routes"
    return (Step(why, STOP_ORDER_FILE, tuple(found.stop_order.splitlines()), tuple(text.splitlines()), (text,)),)


def plan_unit(found: Found) -> Tuple[Step, ...]:
    """Return the steps after which the unit runs, and starts at boot."""
    return tuple(
        Step(why, "unit frr", (), (f"({word})",), ("systemctl", word, "frr"))
        for wrong, why, word in ((not found.enabled, "does not start at boot", "enable"),
                                 (not found.active, "does not run", "start")) if wrong)


def plan_daemons(found: Found, wanted: Wanted) -> Tuple[Step, ...]:
    """Return the step that starts daemons which do not run; a unit that does not run starts with all of them."""
    missing = [daemon for daemon in wanted.daemons if daemon not in found.running]
    if not missing or not found.active:
        return ()
    word = START if speaks_to_others(found) else RESTART
    return (Step("does not run", f"daemon {', '.join(missing)}", (), tuple(f"({each})" for each in missing), (word,)),)


def speaks_to_others(found: Found) -> bool:
    """Tell whether FRR runs a routing protocol, so that a restart of the whole would cost sessions."""
    return bool(found.running - LOCAL_DAEMONS)


def check_frr(found: Found, wanted: Wanted) -> List[str]:
    """Return why the FRR that runs cannot be used; empty when it can, or when none runs."""
    mistakes = []
    if found.version and _numbers(found.version) < _numbers(wanted.version):
        mistakes.append(f"FRR {found.version} runs here, {wanted.version} or newer is needed (see frr_source)")
    if found.version and not found.integrated:
        mistakes.append("FRR saves its configuration in several files: take `no service integrated-vtysh-config` out "
                        "of /etc/frr/vtysh.conf, so that it is in /etc/frr/frr.conf whole")
    return mistakes


def _numbers(version: str) -> List[int]:
    return [int(part) for part in version.split(".") if part]
