# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One end of a migration on its node: what is known of it, what is set for it, and how that is undone."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import re
import socket
import subprocess
import time
from typing import Any, Dict, Iterator, List

from ansible_collections.vmcluster.network.plugins.module_utils.vm_migration_kernel import (
    INBOUND_TABLE,
    TABLE,
    Kernel,
    family_of,
)

RUN_FOLDER = "/run/vmcluster/migrations"
INTERFACE_FOLDER = "/var/lib/vmcluster/interfaces"
SAVED_CONFIG = "/etc/frr/frr.conf"
FRR_TIMEOUT = 60  # seconds
CARRIER_WAIT = 2.0  # seconds; the kernel tells of a loss of carrier once a second at most
INSTALL_WAIT = 3.0  # seconds until zebra has put routes into the kernel


def run_program(*argv: str) -> str:
    """Return what a program says, whether it succeeds or not."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              encoding="utf-8", errors="replace", timeout=FRR_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"% {error}"
    return done.stdout


def run_vtysh(*commands: str) -> str:
    """Return what FRR's shell says, whether it likes the commands or not."""
    return run_program("vtysh", *(word for command in commands for word in ("-c", command)))


class Files:
    """What is known of one interface's migration: the record that the module wrote, the state that the agent keeps."""

    def __init__(self, interface: str, folder: str = RUN_FOLDER) -> None:
        self.folder, self.interface = folder, interface
        self.record_path, self.state_path, self.socket_path = (
            os.path.join(folder, interface + end) for end in (".json", ".state", ".sock"))

    def read_record(self) -> Dict[str, Any]:
        """Return the record; OSError when there is none."""
        with open(self.record_path, encoding="utf-8") as stream:
            record: Dict[str, Any] = json.load(stream)
        return record

    def read_state(self) -> Dict[str, Any]:
        """Return the state, empty when there is none."""
        try:
            with open(self.state_path, encoding="utf-8") as stream:
                state: Dict[str, Any] = json.load(stream)
        except FileNotFoundError:
            return {}
        return state

    def write_state(self, state: Dict[str, Any]) -> None:
        """Write the state whole or not at all."""
        with open(self.state_path + ".draft", "w", encoding="utf-8") as stream:
            json.dump(state, stream)
        os.replace(self.state_path + ".draft", self.state_path)

    def others(self) -> List[str]:
        """Return the interfaces that migrate beside this one."""
        names = (os.path.basename(path)[:-5] for path in glob.glob(os.path.join(self.folder, "*.json")))
        return sorted(name for name in names if name != self.interface)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other agents of the node out, while rules come or go."""
        with open(os.path.join(self.folder, ".lock"), "w", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


class End:
    """One end of a migration: what is set on this node, and undone again."""

    def __init__(self, files: Files, kernel: Kernel) -> None:
        self.files, self.kernel = files, kernel
        self.record = files.read_record()
        self.interface: str = self.record["interface"]
        self.state: Dict[str, Any] = {"since": {}, **files.read_state()}

    def enter(self, name: str) -> None:
        """Note that a state was reached."""
        self.state["state"] = name
        self.state["since"][name] = time.monotonic()
        self.files.write_state(self.state)

    def put_rules(self) -> None:
        """Have the tables looked up; they are empty, but for migrations."""
        with self.files.lock():
            for family in sorted({family_of(prefix) for prefix in self.record["prefixes"]}):
                self.kernel.put_rule(family, TABLE)
                self.kernel.put_rule(family, INBOUND_TABLE, self.record["uplink"])

    def drop_rules(self) -> None:
        """Remove the rules, unless another interface migrates."""
        for family in () if self.files.others() else (int(socket.AF_INET), int(socket.AF_INET6)):
            self.kernel.drop_rule(family, TABLE)
            self.kernel.drop_rule(family, INBOUND_TABLE, self.record["uplink"])

    def send_to_peer(self) -> None:
        """Have the VM's packets go to the other node."""
        for prefix in self.record["prefixes"]:
            peer = self.record["peer"]["ipv6" if ":" in prefix else "ipv4"]
            self.kernel.put_route(TABLE, prefix, peer, self.record["uplink"])

    def deliver_here(self, table: int) -> None:
        """Have the VM's packets go to its interface; prefixes that are routed through it by the VM's address."""
        for prefix, via in self.record["prefixes"].items():
            self.kernel.put_route(table, prefix, via, self.interface, onlink=bool(via))

    def empty(self, *tables: int) -> None:
        """Remove the VM's routes from tables."""
        for table in tables:
            for prefix in self.record["prefixes"]:
                self.kernel.drop_route(table, prefix)

    def filter_sources(self, strictly: bool) -> None:
        """Set rp_filter of the interface: as its record says, or loosely: while FRR's route to the VM leads elsewhere,
        the strict one takes the VM's own packets for forged ones."""
        path = f"net/ipv4/conf/{self.interface}/rp_filter"
        value = "2"
        if strictly:
            with open(f"{INTERFACE_FOLDER}/{self.interface}.json", encoding="utf-8") as stream:
                value = json.load(stream)["sysctls"].get(path, "1")
        with open(f"/proc/sys/{path}", "w", encoding="utf-8") as stream:
            stream.write(value)

    def heed_carrier(self, heed: bool) -> None:
        """Let FRR withdraw the VM when its interface loses carrier, or not. Raises OSError when FRR refuses."""
        line = "link-detect" if heed else "no link-detect"
        there = os.path.exists(f"/sys/class/net/{self.interface}")
        gone = () if there or not heed else (f"no interface {self.interface}",)
        said = run_vtysh("configure terminal", f"interface {self.interface}", line, "exit", *gone)
        if "%" in said or "failed" in said.lower():
            raise OSError(f"FRR: interface {self.interface}: {line}: {said.strip()}")

    def renew_routes(self) -> None:
        """Have FRR install its routes to the interface again. The kernel drops them, and the next hops that they share,
        when carrier is lost; zebra, told not to heed it, believes that they are there, and writing the routes anew does
        not help. So carrier goes once more, for as long as it takes zebra to hear of it."""
        run_program("ip", "link", "set", "dev", self.interface, "carrier", "off")
        end = time.monotonic() + CARRIER_WAIT
        while read_text(f"/sys/class/net/{self.interface}/operstate").strip() != "down" and time.monotonic() < end:
            time.sleep(0.01)
        run_program("ip", "link", "set", "dev", self.interface, "carrier", "on")

    def has_lost_routes(self) -> bool:
        """Tell whether the kernel lacks a route to the VM's interface in FRR's table."""
        def lacks(prefix: str) -> bool:
            family = "-6" if ":" in prefix else "-4"
            return not run_program("ip", family, "route", "show", "exact", prefix, "dev", self.interface).strip()

        return any(map(lacks, self.record["prefixes"]))

    def undo(self) -> None:
        """Take back what was set; what is gone already is fine."""
        if self.record["role"] == "target":
            with contextlib.suppress(OSError):
                self.filter_sources(strictly=True)
        else:
            self.give_back_to_frr()
        self.empty(TABLE, INBOUND_TABLE)

    def give_back_to_frr(self) -> None:
        """Have FRR heed the source's carrier again, and have its routes in the kernel if there is one."""
        with contextlib.suppress(OSError):  # an FRR that does not run has forgotten it
            self.heed_carrier(True)
        carrier = read_text(f"/sys/class/net/{self.interface}/carrier").strip() == "1"
        if carrier and self.has_lost_routes():
            self.renew_routes()
            end = time.monotonic() + INSTALL_WAIT
            while self.has_lost_routes() and time.monotonic() < end:
                time.sleep(0.02)
        saved = rf"^interface {re.escape(self.interface)}\n(?: .*\n)* no link-detect$"
        if re.search(saved, read_text(SAVED_CONFIG), re.MULTILINE):
            run_vtysh("write memory")

    def disarm(self) -> None:
        """End the migration here: what was set, record and state are gone."""
        self.undo()
        with self.files.lock():
            self.drop_rules()
            for path in (self.files.socket_path, self.files.state_path, self.files.record_path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def read_text(path: str) -> str:
    """Return a file's text, empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
