#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Announcing a VM: how long until the core gateway's kernel has its route, against a static route typed into FRR.

Both happen in turn on the same interface of the same node, in the standard data centre of the lab. Kernels are watched
by netlink in the hosts' network namespaces, all with this machine's monotonic clock. Measured is also how long after a
VM's death (its tap loses carrier) the core gateway's kernel has lost the route.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _data_centre import data_centre
from _report import Figure, median, print_table, write_report
from vmlab import Lab
from vmlab.enter import network_prefix
from vmlab.module_calls import AS_JSON
from vmlab.playbooks import playbook_command, playbook_environment, run_playbook
from vmlab.state import CHECKOUT

NODE, CORE, VM = "node1", "core", "web1"
INTERFACE, MAC = f"{VM}_net0", "02:00:00:00:00:c9"
GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:56:4d:12:34:56"}
OURS = {4: "203.0.113.201", 6: "2001:db8:1::c9"}
FLOOR = {4: "203.0.113.202", 6: "2001:db8:1::ca"}
PLAY = f"""
- hosts: {NODE}
  gather_facts: false
  tasks:
    - vmcluster.network.fabric_vm_iface: &call
        gateway: {json.dumps(GATEWAY)}
        vms: [{{name: {VM}, mac: "{MAC}", addresses: {json.dumps(list(OURS.values()))}, announcement: announced}}]
    - vmcluster.network.fabric_vm_iface:
        gateway: {json.dumps(GATEWAY)}
        vms: [{{name: {VM}, mac: "{MAC}", addresses: {json.dumps(list(OURS.values()))}, announcement: standby}}]
"""
PATIENCE = 30.0  # seconds that an event may take

# linux/rtnetlink.h and linux/if.h
NEWLINK, NEWROUTE, DELROUTE = 16, 24, 25
GROUPS = 0x1 | 0x40 | 0x400  # links, IPv4 routes, IPv6 routes
MAIN_TABLE, RTA_DST, IFLA_IFNAME, LOWER_UP = 254, 1, 3, 0x10000

Event = tuple[float, str, str]  # when (time.monotonic), what (route, no route, carrier, no carrier), of what


def watch_kernel() -> None:
    """Print an event a line: what happens to routes and carriers in this network namespace, until the input ends."""
    watched = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    watched.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    watched.bind((0, GROUPS))
    print("ready", flush=True)
    while sys.stdin not in select.select([watched, sys.stdin], [], [])[0]:
        received = watched.recv(1 << 16)
        now = time.monotonic()
        for what, of in read_messages(received):
            print(json.dumps([now, what, of]), flush=True)


def read_messages(received: bytes) -> Iterator[tuple[str, str]]:
    """What a netlink datagram tells of routes of the main table, and of links."""
    at = 0
    while at + 16 <= len(received):
        length, kind = struct.unpack_from("IH", received, at)
        body, at = received[at + 16:at + length], at + (length + 3 & ~3)
        if kind == NEWLINK:
            flags = struct.unpack_from("I", body, 8)[0]
            name = dict(read_attributes(body[16:])).get(IFLA_IFNAME, b"")
            yield "carrier" if flags & LOWER_UP else "no carrier", name.rstrip(b"\0").decode()
        elif kind in (NEWROUTE, DELROUTE) and body[4] == MAIN_TABLE:
            address = dict(read_attributes(body[12:])).get(RTA_DST)
            if address:
                yield "route" if kind == NEWROUTE else "no route", str(ipaddress.ip_address(address))


def read_attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes (type, value) at the end of a netlink message."""
    at = 0
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("HH", body, at)
        if length < 4:
            return
        yield kind & 0x3FFF, body[at + 4:at + length]
        at += length + 3 & ~3


class Watch:
    """What happens in the kernel of one host, as it happens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.events: list[Event] = []
        self.process = process
        self.more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self.more:
                self.events.append(tuple(json.loads(line)))
                self.more.notify_all()

    def when(self, what: str, of: str, since: float) -> float:
        """When this first happened after some moment; waits until it does."""
        def found() -> float | None:
            return next((at for at, *event in self.events if event == [what, of] and at >= since), None)

        with self.more:
            if not self.more.wait_for(lambda: found() is not None, PATIENCE):
                raise SystemExit(f"{of}: {what!r} not within {PATIENCE:.0f} s")
            at = found()
        assert at is not None
        return at


@contextmanager
def watching(lab: Lab, host: str) -> Iterator[Watch]:
    """Watch the kernel of a host."""
    with subprocess.Popen([*network_prefix(lab.state, host), sys.executable, __file__, "--watch"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            process.stdout.readline()
            yield Watch(process)
        finally:
            process.stdin.close()


class Story:
    """A data centre with a VM on a node, and what is measured there."""

    def __init__(self, lab: Lab, node: Watch, core: Watch, folder: Path) -> None:
        self.lab, self.node, self.core = lab, node, core
        self.playbook = folder / "play.yml"
        self.playbook.write_text(PLAY)

    def call(self) -> list[tuple[float, float]]:
        """Run the play: announce, take back. Begin and end of each call, by the monotonic clock."""
        done = subprocess.run(
            playbook_command(str(self.playbook)), env={**playbook_environment(self.lab.name), **AS_JSON},
            cwd=CHECKOUT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-1000:])
        offset = time.time() - time.monotonic()
        durations = [task["task"]["duration"] for task in json.loads(done.stdout)["plays"][0]["tasks"]]
        return [(read_time(each["start"]) - offset, read_time(each["end"]) - offset) for each in durations]

    def type(self, *lines: str) -> tuple[float, float]:
        """Type lines into FRR's shell on the node. Begin and end."""
        began = time.monotonic()
        self.lab.exec(NODE, ["vtysh", *(word for line in ("configure terminal", *lines) for word in ("-c", line))])
        return began, time.monotonic()

    def measure_announcement(self) -> dict[str, dict[str, float]]:
        """One round: announced and taken back by us, then by hand. Milliseconds, by "who family"."""
        announce, take_back = self.call()
        statements = [f"ip route {FLOOR[4]}/32 {INTERFACE} tag 770", f"ipv6 route {FLOOR[6]}/128 {INTERFACE} tag 770"]
        figures = {}
        for family, address in OURS.items():
            figures[f"ours v{family}"] = self.trace(address, announce, take_back)
        for (family, address), statement in zip(FLOOR.items(), statements, strict=True):
            typed = self.type(statement)
            self.core.when("route", address, typed[0])
            figures[f"floor v{family}"] = self.trace(address, typed, self.type(f"no {statement}"))
        return figures

    def trace(self, address: str, announced: tuple[float, float], withdrawn: tuple[float, float]) -> dict[str, float]:
        """What the kernels saw of an address."""
        node = self.node.when("route", address, announced[0])
        core = self.core.when("route", address, announced[0])
        node_lost = self.node.when("no route", address, withdrawn[0])
        core_lost = self.core.when("no route", address, withdrawn[0])
        return {
            "from_node_ms": (core - node) * 1e3, "from_start_ms": (core - announced[0]) * 1e3,
            "from_end_ms": (core - announced[1]) * 1e3, "withdrawn_from_node_ms": (core_lost - node_lost) * 1e3,
        }

    def measure_death(self) -> dict[str, float]:
        """Kill the guest and start it again: milliseconds from its tap's carrier to the core's kernel."""
        began = time.monotonic()
        self.lab.guest_kill(VM)
        dark = self.node.when("no carrier", INTERFACE, began)
        lost = {family: self.core.when("no route", address, began) for family, address in OURS.items()}
        again = time.monotonic()
        self.lab.guest_start(VM)
        light = self.node.when("carrier", INTERFACE, again)
        found = {family: self.core.when("route", address, again) for family, address in OURS.items()}
        return {**{f"lost v{family}": (at - dark) * 1e3 for family, at in lost.items()},
                **{f"found v{family}": (at - light) * 1e3 for family, at in found.items()}}

    def attach(self) -> None:
        """Make the interface, announced, with a running guest behind it."""
        only_first = self.playbook.with_name("attach.yml")
        only_first.write_text(PLAY[:PLAY.rindex("    - vmcluster")])
        run_playbook(self.lab.name, str(only_first), timeout=600)
        began = time.monotonic()
        if not any(guest.vm == VM for guest in self.lab.guests()):
            self.lab.guest_add(NODE, VM, addresses=list(OURS.values()), gateway4=GATEWAY["ipv4"],
                               gateway6=GATEWAY["ipv6"], mac=MAC)
        for address in OURS.values():
            self.core.when("route", address, began)


def read_time(stamp: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(stamp).timestamp()


def summarize(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Median and worst of each figure."""
    return {who: {figure: {"median": median([each[who][figure] for each in rounds]),
                           "worst": max(each[who][figure] for each in rounds)}
                  for figure in rounds[0][who]} for who in rounds[0]}


def report(rounds: Sequence[dict[str, dict[str, float]]], deaths: Sequence[dict[str, float]]) -> None:
    """Print and write what was measured."""
    figures = summarize(rounds)
    ratios = {f"v{family}": figures[f"ours v{family}"]["from_node_ms"]["median"]
              / figures[f"floor v{family}"]["from_node_ms"]["median"] for family in OURS}
    print_table(
        f"ms until the core's kernel has, or has lost, the route: median (worst) of {len(rounds)} rounds",
        ["", "from the node's kernel", "from the call's begin", "from the call's end", "withdrawn: from node's kernel"],
        [[who, *(f"{each['median']:.1f} ({each['worst']:.1f})" for each in row.values())]
         for who, row in figures.items()])
    print("(ours from its end is negative when the route is at the core before the call has checked and saved all)")
    print("ratio, ours to the floor, from kernel to kernel: "
          + ", ".join(f"{family} {ratio:.2f}" for family, ratio in ratios.items()))
    ends = {what: {"median": median([each[what] for each in deaths]), "worst": max(each[what] for each in deaths)}
            for what in deaths[0]}
    print_table(f"ms from a tap's carrier until the core's kernel has lost, or has, the route: {len(deaths)} deaths",
                ["", "median", "worst"], [[what, each["median"], each["worst"]] for what, each in ends.items()])
    claimed = [Figure(f"announcement, IPv{family}: from the node's kernel to the core's",
                      *pick(figures[f"ours v{family}"]["from_node_ms"]), "static route typed into vtysh",
                      figures[f"floor v{family}"]["from_node_ms"]["median"]) for family in OURS]
    claimed += [Figure(f"a VM dies: from its tap's carrier to the core's kernel, IPv{family}",
                       *pick(ends[f"lost v{family}"])) for family in OURS]
    write_report("bench_announce", {"rounds": len(rounds), "announce": figures, "ratios": ratios,
                                    "deaths": len(deaths), "death": ends}, claimed)


def pick(figure: dict[str, float]) -> tuple[float, str, float]:
    """Median, unit, worst."""
    return figure["median"], "ms", figure["worst"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=12, help="of each way of announcing (default 12)")
    parser.add_argument("--deaths", type=int, default=10, help="of the guest (default 10)")
    parser.add_argument("--watch", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        watch_kernel()
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lab = stack.enter_context(data_centre("benchann")).lab
        node, core = (stack.enter_context(watching(lab, host)) for host in (NODE, CORE))
        story = Story(lab, node, core, folder)
        story.attach()
        deaths = [story.measure_death() for _death in range(options.deaths)]
        story.call()
        rounds = [story.measure_announcement() for _round in range(options.rounds)]
        report(rounds, deaths)


if __name__ == "__main__":
    main()
