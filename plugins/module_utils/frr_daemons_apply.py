# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start FRR's daemons that /etc/frr/daemons enables and that do not run yet. Those that run are left running.

FRR's own way to do this is the first half of `frrinit.sh reload`: watchfrr alone is started again, with the new list of
daemons, and starts those that do not answer. Its second half applies /etc/frr/frr.conf with frr-reload.py: that drops
what an operator has not saved, and one bad line in the file stops every daemon (FRR 8.4). So only the first half is run
here, as systemd's reload of the unit: in a reload, and nowhere else, systemd follows the watchfrr that replaces its
main process.
"""

from __future__ import annotations

from typing import Iterable

from ansible_collections.vmcluster.network.plugins.module_utils import apply, vtysh, waiting
from ansible_collections.vmcluster.network.plugins.module_utils.frr_host import STOP_ORDER_FILE

START_WAIT = 10.0  # seconds; watchfrr's pid file is there before the daemons answer
DROP_IN = "/run/systemd/system/frr.service.d/vmcluster-start-daemons.conf"
SCRIPT = "/run/vmcluster-start-frr-daemons"
REPLACE_WATCHFRR = r"""#!/bin/bash
log_success_msg() { echo "$@"; }
log_warning_msg() { echo "$@" >&2; }
log_failure_msg() { echo "$@" >&2; }
for folder in /usr/lib/frr /usr/libexec/frr; do
  [ ! -r "$folder/frrcommon.sh" ] || . "$folder/frrcommon.sh"
done

# systemd tells the watchdog's interval to a unit's start command only: hand on what the first watchfrr was told.
pid=$(cat "$V_PATH/watchfrr.pid")
told=$(tr '\0' '\n' < "/proc/$pid/environ" | sed -n 's/^WATCHDOG_USEC=//p')
[ -z "$told" ] || export WATCHDOG_USEC="$told"

daemon_list daemons
watchfrr_options="$watchfrr_options $daemons"
daemon_stop watchfrr && daemon_start watchfrr || exit 1

# With cgroup version 1 a reload command has a cgroup of its own, which is emptied when the command ends.
pid=$(cat "$V_PATH/watchfrr.pid")
group=$(sed -n 's/^[0-9]*:name=systemd://p' "/proc/$pid/cgroup")
main=${group%/.control}
main=${main%/control}
if [ -d /sys/fs/cgroup/systemd ] && [ -n "$group" ] && [ "$group" != "$main" ]; then
  echo "$pid" > "/sys/fs/cgroup/systemd$main/tasks"
fi
"""


def set_stop_order(text: str) -> None:
    """Write the drop-in of FRR's unit, or remove it when there is no text. It counts from the next stop on."""
    if text:
        apply.write_file(STOP_ORDER_FILE, text)
    else:
        apply.remove_file(STOP_ORDER_FILE)
    apply.run_command(["systemctl", "daemon-reload"])


def restart_frr() -> None:
    """Restart FRR whole, so that zebra starts with its options; for where it speaks no routing protocol."""
    # The package's unit allows three starts in three minutes, and the installation was one.
    apply.run_command(["systemctl", "reset-failed", "frr"])
    apply.run_command(["systemctl", "restart", "frr"])


def start_daemons() -> None:
    """Start the daemons that do not run, and no other."""
    try:
        apply.write_file(SCRIPT, REPLACE_WATCHFRR, 0o755)
        apply.write_file(DROP_IN, f"[Service]\nExecReload=\nExecReload={SCRIPT}\n")
        apply.run_command(["systemctl", "daemon-reload"])
        apply.run_command(["systemctl", "reload", "frr"])
    finally:
        apply.remove_file(DROP_IN)
        apply.remove_file(SCRIPT)
        apply.run_command(["systemctl", "daemon-reload"])


def wait_for_daemons(daemons: Iterable[str]) -> None:
    """Wait until daemons answer. Raises ApplyError naming those that do not."""
    wanted = frozenset(daemons)
    missing = waiting.ask_until(lambda: wanted - _running(), lambda left: not left, START_WAIT)
    if missing:
        raise apply.ApplyError(
            f"not running after {START_WAIT:.0f} s: {', '.join(sorted(missing))}; what FRR says: journalctl -u frr")


def _running() -> "frozenset[str]":
    try:
        return vtysh.read_daemons()
    except vtysh.FrrError:
        return frozenset()
