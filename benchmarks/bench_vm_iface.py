#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attaching VMs to a node: one call of fabric_vm_iface, against the floor and against a loop of one-VM calls.

The floor is what the kernel and FRR need for the same lines: bare `ip -batch` (interfaces, addresses, neighbours) and
one `vtysh -f` (routes), measured in the same host in the same run. It writes no sysctls and no records, saves nothing
and checks nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from _report import Figure, median, print_table, write_report
from vmlab import Lab
from vmlab.module_calls import AS_JSON
from vmlab.playbooks import playbook_command, playbook_environment
from vmlab.state import CHECKOUT
from vmlab.stories import unique_lab_name

SYSTEMS = {"bookworm": "FRR 8.4", "trixie": "FRR 10.3"}
NUMBERS = (1, 100, 1000)
LOOPED = 20
GATEWAY = {"ipv4": "10.255.255.1", "ipv6": "fe80::1", "mac": "02:56:4d:12:34:56"}
DAEMONS = "zebra=yes\nstaticd=yes\nbgpd=yes\nvtysh_enable=yes\n" + "".join(
    f'{daemon}_options="-A 127.0.0.1"\n' for daemon in ("zebra", "mgmtd", "bgpd", "staticd"))
HOST = {
    "packages": ["frr", "frr-pythontools"],
    "interfaces": {"eth0": {"network": "underlay"}},
    "files": {"/etc/frr/daemons": {"content": DAEMONS, "owner": "frr", "mode": "640"}},
}
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - vmcluster.network.fabric_vm_iface: {gateway: "{{ gateway }}", vms: "{{ vms }}", purge: true}
      when: not looped
    - vmcluster.network.fabric_vm_iface: {gateway: "{{ gateway }}", vms: ["{{ item }}"]}
      loop: "{{ vms }}"
      loop_control: {label: "{{ item.name }}"}
      when: looped
"""

COLUMNS = {
    "vms": "VMs", "floor_ip_s": "ip -batch", "floor_vtysh_s": "vtysh -f", "floor_s": "floor", "call_s": "one call",
    "ratio_to_floor": "times floor", "ratio_to_loop": "loop times call", "second_call_s": "second call",
    "removal_s": "removal",
}


class Node:
    """One lab host, and what is measured on it."""

    def __init__(self, lab: Lab, name: str, folder: Path) -> None:
        self.lab, self.name, self.folder = lab, name, folder
        self.playbook = folder / "play.yml"
        self.playbook.write_text(PLAY)
        self.inventory = folder / "hosts.json"
        self.inventory.write_text(json.dumps({"all": {"hosts": {name: {
            "ansible_connection": "lab_host", "ansible_python_interpreter": "/usr/bin/python3",
            "lab_timeout": 300}}}}))

    def attach(self, vms: Sequence[dict[str, Any]], looped: bool = False) -> float:
        """Seconds of the task that brings the node to these VMs: all in one call, or looped over."""
        variables = self.folder / "vars.json"
        variables.write_text(json.dumps({"gateway": GATEWAY, "vms": vms, "looped": looped}))
        done = subprocess.run(
            playbook_command(str(self.playbook), "-e", f"@{variables}", inventory=[self.inventory]),
            env={**playbook_environment(self.lab.name), **AS_JSON}, cwd=CHECKOUT, capture_output=True, text=True,
            check=False)
        if done.returncode:
            told = [line.strip() for line in done.stdout.splitlines() if '"msg"' in line]
            raise SystemExit("\n".join([f"{self.name}: attaching {len(vms)} VMs failed", *told, done.stderr[-1000:]]))
        task = json.loads(done.stdout)["plays"][0]["tasks"][1 if looped else 0]["task"]["duration"]
        return (datetime.fromisoformat(task["end"]) - datetime.fromisoformat(task["start"])).total_seconds()

    def keep_lines(self) -> None:
        """Keep the lines that made what is attached now, for floor()."""
        self.lab.exec(self.name, ["sh", "-c", r"""
            cd /tmp && cat > lines.py <<'EOF'
import glob, json
records = [json.load(open(path)) for path in sorted(glob.glob("/var/lib/vmcluster/interfaces/*.json"))]
print("\n".join(line for phase in ("create", "configure") for record in records for line in record[phase]))
EOF
            python3 lines.py > ip.lines; vtysh -c 'show running-config' | grep -E '^ip(v6)? route' > frr.lines"""])

    def floor(self) -> tuple[float, float]:
        """Seconds of `ip -batch` and of `vtysh -f` with the kept lines, on a node that has no VMs, before and after."""
        told = self.lab.exec(self.name, ["bash", "-c", """
            TIMEFORMAT=%R; time ip -batch /tmp/ip.lines
            time vtysh -f /tmp/frr.lines > /tmp/frr.out 2>&1"""], timeout=300)
        seconds = [float(word) for word in told.stderr.split()]
        self.attach([])
        return seconds[0], seconds[1]


def make_vms(number: int) -> list[dict[str, Any]]:
    """VMs with an address of each family."""
    return [{"name": f"vm{at}", "mac": f"02:00:00:00:{at >> 8:02x}:{at & 255:02x}",
             "addresses": [f"198.18.{at >> 8}.{at & 255}", f"2001:db8:1::{at:x}"]} for at in range(1, number + 1)]


def measure(node: Node, numbers: Sequence[int], runs: int) -> list[dict[str, float]]:
    """All figures of one node; each is the median of some runs."""
    empty = median([node.attach([]) for _run in range(runs + 1)][1:])
    figures = []
    for number in numbers:
        vms = make_vms(number)
        floors, first, second, removal = [], [], [], []
        for _run in range(runs):
            first.append(node.attach(vms))
            second.append(node.attach(vms))
            node.keep_lines()
            removal.append(node.attach([]))
            floors.append(node.floor())
        floor = median([sum(each) for each in floors])
        call = median(first)
        figures.append({
            "vms": number, "empty_call_s": empty, "floor_ip_s": median([each[0] for each in floors]),
            "floor_vtysh_s": median([each[1] for each in floors]), "floor_s": floor, "call_s": call,
            "second_call_s": median(second), "removal_s": median(removal), "ratio_to_floor": call / floor})
    looped = node.attach(make_vms(LOOPED), looped=True) / LOOPED
    node.attach([])
    for each in figures:
        each["loop_s_per_vm"] = looped
        each["ratio_to_loop"] = looped * each["vms"] / each["call_s"]
    return figures


@contextlib.contextmanager
def lab_of(system: str, folder: Path) -> Iterator[Node]:
    """A lab of one node of this system, gone afterwards."""
    topology = folder / f"{system}.yml"
    topology.write_text(json.dumps({
        "networks": {"underlay": {"kind": "switch"}}, "hosts": {"node1": {"system": system, **HOST}}}))
    lab = Lab.up(topology, name=unique_lab_name("benchvm"))
    try:
        yield Node(lab, "node1", folder)
    finally:
        lab.down()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="of which the median is taken (default 3)")
    parser.add_argument("--numbers", type=int, nargs="+", default=NUMBERS, help="of VMs (default 1 100 1000)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="of the node (all)")
    options = parser.parse_args()
    report: dict[str, Any] = {"runs": options.runs, "looped": LOOPED, "systems": {}}
    for system in options.systems:
        with tempfile.TemporaryDirectory() as folder, lab_of(system, Path(folder)) as node:
            figures = report["systems"][system] = measure(node, options.numbers, options.runs)
        print_table(
            f"{SYSTEMS[system]} ({system}): seconds to attach VMs, median of {options.runs}; an empty call takes "
            f"{figures[0]['empty_call_s']:.2f}, a loop {figures[0]['loop_s_per_vm']:.2f} per VM (measured on {LOOPED})",
            list(COLUMNS.values()), [[each[key] for key in COLUMNS] for each in figures])
    write_report("bench_vm_iface", report, [
        figure for system, own in report["systems"].items() for each in own for figure in claim(system, each)])


def claim(system: str, figures: dict[str, float]) -> Iterator[Figure]:
    """What is claimed of attaching so many VMs to a node of this system."""
    what = f"attaching {figures['vms']} VMs, {SYSTEMS[system]}"
    yield Figure(what, figures["call_s"], "s", beside="ip -batch and vtysh -f", other=figures["floor_s"])
    yield Figure(what, figures["call_s"], "s", beside="a loop of one-VM calls",
                 other=figures["loop_s_per_vm"] * figures["vms"])


if __name__ == "__main__":
    main()
