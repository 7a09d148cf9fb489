# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind vmcluster.network.host_network: documented in plugins/modules/host_network.py.

The module starts a change on the host; this comes back over a new connection and lets the host test and confirm it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

MODULE = "vmcluster.network.host_network"
FOLDER = "/var/lib/vmcluster/host-network"
# A connection that hears nothing for so long is dead: it may have lost its host in the middle of an answer.
ALIVE_OPTIONS = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"
PAUSE = 0.5  # seconds between two tries to connect
GRACE = 60.0  # seconds, after the old state should be back, in which the host has to answer


class ActionModule(ActionBase):
    """Change a host's network, come back, confirm."""

    TRANSFERS_FILES = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the steps of the module one after the other."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._hear_soon()
        told = self._start(task_vars)
        started = time.monotonic()
        change = told.get("change")
        within = told.pop("confirm_within", 0)
        result.update(told)
        if told.get("failed") or not change:
            return result
        confirmed = self._confirm(task_vars, change, started + within)
        result.update(tried=confirmed.get("tried", ["a new connection from the controller"]),
                      wrong=confirmed.get("wrong", []), outcome=confirmed.get("outcome", "no connection"))
        if confirmed.get("outcome") == "confirmed":
            return result
        return self._tell_return(task_vars, change, result, started + within + GRACE)

    def _start(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Start the change; one that is still open on the host, of a run that has died, goes back first."""
        told = self._step(task_vars, "change")
        deadline = time.monotonic() + told.get("seconds", 0) + GRACE
        while told.get("waiting_for"):
            if time.monotonic() >= deadline:
                return {"failed": True, "msg": f"Change {told['waiting_for']} is still open on the host: see {FOLDER}"}
            time.sleep(PAUSE)
            self._reconnect()
            with contextlib.suppress(AnsibleConnectionFailure):  # the way back may cut it
                told = self._step(task_vars, "change")
        return told

    def _confirm(self, task_vars: dict[str, Any] | None, change: str, deadline: float) -> dict[str, Any]:
        """Wait until the host has carried the change out, and let it test; by a connection made after that."""
        while True:
            told = self._try(task_vars, "outcome", change, deadline)
            if told.get("applied"):
                return self._try(task_vars, "confirm", change, deadline)
            if told.get("outcome") != "pending" or time.monotonic() >= deadline:
                return told
            time.sleep(PAUSE)

    def _tell_return(
        self, task_vars: dict[str, Any] | None, change: str, result: dict[str, Any], deadline: float
    ) -> dict[str, Any]:
        """Wait until the host has gone back, and say what was tried."""
        told: Mapping[str, Any] = {"outcome": "pending"}
        while told.get("outcome") in ("pending", "no connection") and time.monotonic() < deadline:
            told = self._try(task_vars, "outcome", change, deadline)
            time.sleep(PAUSE)
        result.update(failed=True, outcome=told.get("outcome", "unknown"), changed=told.get("outcome") != "rolled back")
        unasked = "the host booted in the middle" if told.get("by") == "boot" else "no connection to the host in time"
        wrong = result["wrong"] or [unasked]
        lines = ["The change was not confirmed.", "Tried: " + "; ".join(result["tried"]), "Wrong: " + "; ".join(wrong)]
        if told.get("outcome") == "rolled back":
            lines.append(f"The host has gone back to its old state (by its {told.get('by')}).")
            lines += [f"Still missing: {each}" for each in told.get("missing", ())]
            lines += [f"On the way back: {each}" for each in told.get("failures", ())]
        else:
            lines.append(f"The host does not tell that it has gone back: look at {FOLDER} on it.")
        result["msg"] = "\n".join(lines)
        return result

    def _try(self, task_vars: dict[str, Any] | None, step: str, change: str, deadline: float) -> dict[str, Any]:
        """Run a step over a new connection; try until the deadline. No connection is an outcome."""
        while True:
            try:
                self._reconnect()
                told = self._step(task_vars, step, change)
                if not told.get("failed"):
                    return told
                last = {"outcome": "failed", "wrong": [str(told.get("msg") or told)]}
            except AnsibleConnectionFailure as error:
                last = {"outcome": "no connection", "wrong": [f"no connection: {error}"]}
            if time.monotonic() >= deadline:
                return last
            time.sleep(PAUSE)

    def _step(self, task_vars: dict[str, Any] | None, step: str, change: str = "") -> dict[str, Any]:
        arguments = {**self._task.args, "step": step, **({"change": change} if change else {})}
        told: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        told.pop("invocation", None)
        return told

    def _reconnect(self) -> None:
        """Drop the connection, that of a ControlMaster too."""
        with contextlib.suppress(AttributeError, AnsibleConnectionFailure):
            self._connection.reset()

    def _hear_soon(self) -> None:
        """Let SSH notice a dead connection in seconds; other connections are bounded by themselves."""
        if self._connection.transport == "ssh":
            extra = self._connection.get_option("ssh_extra_args") or ""
            self._connection.set_option("ssh_extra_args", f"{extra} {ALIVE_OPTIONS}".strip())
