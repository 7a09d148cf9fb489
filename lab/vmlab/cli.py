# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command line of the lab."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .enter import command_prefix
from .errors import LabError
from .guests import KINDS
from .lab import STANDARD, Lab, take_down
from .probe_report import format_result
from .progress import Progress
from .ssh_proxy import connect
from .state import LabState, default_lab_name
from .status import format_json, format_text

DESCRIPTION = "A data centre of systemd hosts on this machine, each in network namespaces of the lab's own."


def parse_duration(text: str) -> float:
    """Seconds from `10s`, `500ms`, `2m` or a bare number."""
    for unit, seconds in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("", 1.0)):
        if text.endswith(unit):
            try:
                return float(text.removesuffix(unit)) * seconds
            except ValueError:
                break
    raise argparse.ArgumentTypeError(f"{text!r} is no duration; say 10s, 500ms or 2m")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="lab/lab", description=DESCRIPTION)
    common = argparse.ArgumentParser(add_help=False)
    for target, default in ((parser, None), (common, argparse.SUPPRESS)):
        target.add_argument("--name", default=default, help="the lab's name (default: $VMCLUSTER_LAB, or by checkout)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[common], help="make the lab and boot its hosts")
    up.add_argument("--topology", type=Path, default=STANDARD, help="topology file (default: standard.yml)")
    up.add_argument("--mirror", default="", help="Debian mirror for roots (default: that of this machine's apt)")
    up.set_defaults(run=run_up)

    down = commands.add_parser("down", parents=[common], help="take the lab down, also after a crash")
    down.set_defaults(run=run_down)

    status = commands.add_parser("status", parents=[common], help="show hosts and guests")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=run_status)

    execute = commands.add_parser("exec", parents=[common], help="run a command in a host or guest")
    execute.add_argument("host", metavar="HOST")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    execute.set_defaults(run=run_exec)

    probe = commands.add_parser("probe", parents=[common], help="send numbered packets and report what is lost")
    probe.add_argument("source", metavar="FROM", help="host, guest or address")
    probe.add_argument("target", metavar="TO", help="host, guest or address")
    probe.add_argument("--rate", type=float, default=1000, help="packets a second, each way (default: 1000)")
    probe.add_argument("--for", dest="duration", type=parse_duration, help="such as 10s, 500ms, 2m (default: till ^C)")
    probe.add_argument("--direction", choices=["there", "back", "both"], default="both")
    probe.add_argument("--size", type=int, default=64, help="bytes of UDP payload (default: 64)")
    probe.add_argument("-6", dest="family", action="store_const", const=6, default=4, help="by IPv6")
    probe.add_argument("--json", action="store_true", help="as JSON")
    probe.set_defaults(run=run_probe)

    proxy = commands.add_parser(
        "ssh-proxy", parents=[common], help="connect standard input and output to a host's port (for ProxyCommand)"
    )
    proxy.add_argument("host", metavar="HOST")
    proxy.add_argument("port", metavar="PORT", type=int, nargs="?", default=22)
    proxy.set_defaults(run=run_ssh_proxy)

    host = commands.add_parser("host", parents=[common], help="switch a host on or off, reboot or replace it")
    host.add_argument("verb", choices=["start", "stop", "kill", "reboot", "replace"])
    host.add_argument("host", metavar="NAME")
    host.set_defaults(run=run_host)
    add_guest_parser(commands, common)
    return parser


def add_guest_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """The parsers of `guest add` and its kin."""
    guest = commands.add_parser("guest", help="guests behind the interfaces of a node")
    verbs = guest.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", parents=[common], help="start a new guest")
    add.add_argument("node", metavar="NODE")
    add.add_argument("vm", metavar="VM")
    add.add_argument("--address", action="append", default=[], help="may be repeated; /32 or /128 unless it says so")
    add.add_argument("--gateway4", default="", help="on-link default gateway")
    add.add_argument("--gateway6", default="", help="on-link default gateway")
    add.add_argument("--mac", default="", help="the guest's MAC address")
    add.add_argument("--nic", type=int, default=0, help="number in the interface's name VM_netN (default: 0)")
    add.add_argument("--interface", default="", help="the interface on the node when not VM_netN")
    add.add_argument("--make", choices=["tap", "veth"], default="", help="make the interface first")
    add.add_argument("--kind", choices=KINDS, default=KINDS[0], help="qemu: with a kernel of its own, emulated")
    add.add_argument("--bridge", default="", help="plug the interface into this bridge of the node")
    for verb, what in (
        ("del", "shut a guest down and forget it"),
        ("stop", "shut a guest down"),
        ("kill", "crash a guest"),
        ("start", "start a guest again"),
    ):
        verbs.add_parser(verb, parents=[common], help=what).add_argument("vm", metavar="VM")
    move = verbs.add_parser("move", parents=[common], help="move a running guest live to its tap on another node")
    move.add_argument("vm", metavar="VM")
    move.add_argument("node", metavar="NODE")
    move.add_argument("--interface", default="", help="the tap on that node when it has another name there")
    move.add_argument("--downtime", type=parse_duration, default=0.0, help="how long the guest stands still")
    guest.set_defaults(run=run_guest)


def run_up(options: argparse.Namespace) -> int:
    """Carry out `lab/lab up`."""
    with Progress(sys.stdout) as progress:
        lab = Lab.up(options.topology, options.name, mirror=options.mirror, tell=progress.tell)
    print(f"lab {lab.name} is up; next: lab/lab status, lab/lab exec HOST -- CMD, lab/lab down")
    return 0


def run_down(options: argparse.Namespace) -> int:
    """Carry out `lab/lab down`."""
    name = options.name or default_lab_name()
    print(f"lab {name} is down" if take_down(name) else f"lab {name} was not up")
    return 0


def run_status(options: argparse.Namespace) -> int:
    """Carry out `lab/lab status`."""
    lab = Lab.find(options.name)
    print(format_json(lab) if options.json else format_text(lab))
    return 0


def run_exec(options: argparse.Namespace) -> int:
    """Carry out `lab/lab exec`: this process becomes the command."""
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    prefix = command_prefix(LabState(options.name or default_lab_name()), options.host)
    command = [*prefix, *(argv or ["bash"])]
    sys.stdout.flush()
    os.execvp(command[0], command)


def run_host(options: argparse.Namespace) -> int:
    """Carry out `lab/lab host`."""
    lab = Lab.find(options.name)
    verbs: dict[str, Callable[[str], None]] = {
        "start": lab.host_start,
        "stop": lab.host_stop,
        "kill": lab.host_kill,
        "reboot": lab.reboot,
        "replace": lab.host_replace,
    }
    verbs[options.verb](options.host)
    print(f"{options.host} is {lab.host_record(options.host).actual_phase}")
    return 0


def run_probe(options: argparse.Namespace) -> int:
    """Carry out `lab/lab probe`."""
    probe = Lab.find(options.name).probe(
        options.source,
        options.target,
        rate=options.rate,
        family=options.family,
        direction=options.direction,
        size=options.size,
    )
    with probe, contextlib.suppress(KeyboardInterrupt):
        time.sleep(options.duration if options.duration is not None else 86400)
    result = probe.result()
    print(json.dumps(result.as_dict(), indent=2) if options.json else format_result(result))
    return 0


def run_ssh_proxy(options: argparse.Namespace) -> int:
    """Carry out `lab/lab ssh-proxy`."""
    lab = Lab.find(options.name)
    connect(lab.state, lab.topology, options.host, options.port)
    return 0


def run_guest(options: argparse.Namespace) -> int:
    """Carry out `lab/lab guest`."""
    lab = Lab.find(options.name)
    if options.verb == "add":
        lab.guest_add(
            options.node,
            options.vm,
            addresses=options.address,
            gateway4=options.gateway4,
            gateway6=options.gateway6,
            mac=options.mac,
            nic=options.nic,
            interface=options.interface,
            make=options.make,
            bridge=options.bridge,
            kind=options.kind,
        )
        print(f"{options.vm} runs on {options.node}")
        return 0
    if options.verb == "move":
        done = lab.guest_move(options.vm, options.node, interface=options.interface, downtime=options.downtime)
        print(f"{options.vm} runs on {options.node}; it stood still for {done.pause_ms:.0f} ms")
        return 0
    verbs: dict[str, tuple[Callable[[str], object], str]] = {
        "del": (lab.guest_del, "gone"),
        "stop": (lab.guest_stop, "off"),
        "kill": (lab.guest_kill, "killed"),
        "start": (lab.guest_start, "running"),
    }
    carry_out, become = verbs[options.verb]
    carry_out(options.vm)
    print(f"{options.vm} is {become}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    return code
