# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs the guests while a node is drained: it moves each as soon as both of its nodes are armed for that."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

from .lab import Lab
from .migrations import agent_folder, agent_state, move_guest

PAUSE = 0.05


class Hypervisors:
    """Moves guests of a node in the background, as `with` lasts. most: how many were armed at the same time."""

    def __init__(self, lab: Lab, node: str) -> None:
        self.lab, self.node = lab, node
        self.moved: Counter[str] = Counter()
        self.most = 0
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Hypervisors:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.ended.set()
        self.thread.join()
        if self.error is not None:
            raise self.error

    def _watch(self) -> None:
        try:
            while not self.ended.is_set():
                self._move_what_is_armed()
                time.sleep(PAUSE)
        except BaseException as error:
            self.error = error

    def _move_what_is_armed(self) -> None:
        armed = self._armed()
        self.most = max(self.most, len(armed))
        for vm, target in armed.items():
            if agent_state(self.lab, target, vm) == "armed":
                move_guest(self.lab, vm, target)
                self.moved[target] += 1

    def _armed(self) -> dict[str, str]:
        """Where the VMs go that are armed on the node and run there still."""
        found = {}
        here = {guest.vm for guest in self.lab.guests() if guest.node == self.node}
        for path in agent_folder(self.lab, self.node).glob("*.json"):
            record = json.loads(path.read_text())
            if record["vm"] in here and agent_state(self.lab, self.node, record["vm"]) == "armed":
                found[record["vm"]] = record["other"]
        return found
