# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The traffic probe: one-way streams between two hosts or guests, in the background while something else happens."""

from __future__ import annotations

import ipaddress
import json
import random
import select
import subprocess
import time
from array import array
from types import TracebackType

from . import cgroups
from .commands import run_command
from .enter import network_prefix
from .errors import LabError
from .helpers import helper_argv, helper_environment
from .probe_report import Direction, ProbeResult, Seen, Sent, report_direction
from .qemu_guests import GuestEnd
from .state import LabState
from .topology import Topology

DIRECTIONS = {"there": ("there",), "back": ("back",), "both": ("there", "back")}
START_TIMEOUT = 10.0
DRAIN = 0.3  # seconds that packets in flight are waited for after the last was sent


class End:
    """A sender or receiver in the network of a host or guest."""

    def __init__(self, state: LabState, name: str, *arguments: object) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [*network_prefix(state, name), *helper_argv("probe_end", *arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=helper_environment(),
            start_new_session=True,
            cwd="/",
        )
        cgroups.join_group(state.name, "tools", self.process.pid)

    def read_line(self) -> str:
        """The line it says when it's ready."""
        assert self.process.stdout
        if select.select([self.process.stdout], [], [], START_TIMEOUT)[0]:
            line = self.process.stdout.readline().decode().strip()
            if line:
                return line
        self.process.kill()
        said = self.process.communicate()[1].decode().strip().splitlines()
        raise LabError(f"the probe does not start in {self.name}: {said[-1] if said else 'no answer'}")

    def finish(self) -> bytes:
        """Tell it to end, and return what it wrote since it was ready."""
        try:
            output, errors = self.process.communicate(timeout=START_TIMEOUT)
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            raise LabError(f"the probe's end in {self.name} does not stop") from late
        if self.process.returncode != 0:
            raise LabError(f"the probe's end in {self.name} failed: {errors.decode().strip()}")
        return output

    def kill(self) -> None:
        """End it without asking."""
        self.process.kill()
        self.process.communicate()


def start_end(state: LabState, name: str, *arguments: object) -> End | GuestEnd:
    """Start an end where it is wanted: a qemu guest has one of its own."""
    guest = state.read_guest(name)
    if guest is not None and guest.kind == "qemu" and guest.is_running():
        return GuestEnd(state, guest, *arguments)
    return End(state, name, *arguments)


class Probe:
    """Streams of `rate` packets a second between two places. Start it, let things happen, stop it, read the result."""

    def __init__(
        self,
        state: LabState,
        topology: Topology,
        source: str,
        target: str,
        *,
        rate: float = 1000,
        family: int = 4,
        direction: str = "both",
        size: int = 64,
    ) -> None:
        if direction not in DIRECTIONS or family not in (4, 6) or not 0 < rate <= 20_000:
            raise LabError("a probe has a direction of there, back or both, family 4 or 6, and a rate up to 20000")
        self.state, self.topology = state, topology
        self.rate, self.direction, self.size = rate, direction, size
        versions = {version for version in map(read_version, (source, target)) if version}
        if len(versions) > 1:
            raise LabError(f"{source} and {target} are of two families")
        self.family = versions.pop() if versions else family
        self.places = {"there": self.locate(source), "back": self.locate(target)}
        self.streams: dict[str, tuple[End | GuestEnd, End | GuestEnd]] = {}
        self.outcome: ProbeResult | None = None

    def locate(self, named: str) -> tuple[str, str]:
        """The host or guest that is meant by a name or address, and the address to use there."""
        if read_version(named) is None:
            return named, self.pick_address(named)
        address = str(ipaddress.ip_address(named))
        return find_owner(self.state, self.topology, address), address

    def pick_address(self, name: str) -> str:
        """The first address of the family that a host or guest has; a host's loopback comes before its ports."""
        guest = self.state.read_guest(name)
        known = guest.addresses if guest else self.topology.host(name).addresses()
        for address in known:
            found = ipaddress.ip_interface(address).ip
            if found.version == self.family:
                return str(found)
        raise LabError(f"{name} has no IPv{self.family} address that the lab knows; name the address instead")

    def __enter__(self) -> Probe:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.abandon()

    def start(self) -> Probe:
        """Start the streams; packets flow when this returns."""
        try:
            for name in DIRECTIONS[self.direction]:
                self.start_stream(name)
        except BaseException:
            self.abandon()
            raise
        return self

    def start_stream(self, name: str) -> None:
        """Start the receiver and then the sender of one direction."""
        source, target = self.places["there"], self.places["back"]
        if name == "back":
            source, target = target, source
        stream = random.getrandbits(32)
        receiver = start_end(self.state, target[0], "receive", target[1], stream)
        try:
            port = receiver.read_line()
            sender = start_end(
                self.state, source[0], "send", source[1], target[1], port, stream, self.rate, self.size)
        except BaseException:
            receiver.kill()
            raise
        self.streams[name] = (sender, receiver)
        sender.read_line()

    def stop(self) -> ProbeResult:
        """Stop the streams, wait for what is in flight, and work the result out."""
        if self.outcome is None:
            try:
                sent = {name: sender.finish() for name, (sender, _) in self.streams.items()}
                time.sleep(DRAIN)
                seen = {name: receiver.finish() for name, (_, receiver) in self.streams.items()}
            except BaseException:
                self.abandon()
                raise
            found = {name: read_direction(sent[name], seen[name]) for name in self.streams}
            self.outcome = ProbeResult(found.get("there"), found.get("back"))
        return self.outcome

    def result(self) -> ProbeResult:
        """What came of the probe, which is stopped if it still runs."""
        return self.stop()

    def abandon(self) -> None:
        """End the streams without a result."""
        for ends in self.streams.values():
            for end in ends:
                end.kill()


def read_version(named: str) -> int | None:
    """4 or 6 when that is an address, None when it's a name."""
    try:
        return ipaddress.ip_address(named).version
    except ValueError:
        return None


def read_direction(sent: bytes, seen: bytes) -> Direction:
    """The result of a direction from what its two ends wrote."""
    numbers = array("Q", seen)
    packets = [Seen(*numbers[i : i + 3]) for i in range(0, len(numbers), 3)]
    return report_direction(Sent(**json.loads(sent)), packets)


def find_owner(state: LabState, topology: Topology, address: str) -> str:
    """The host or guest that has an address: by what the lab knows, else by looking at each."""
    for guest in state.read_guests():
        if address in (str(ipaddress.ip_interface(known).ip) for known in guest.addresses):
            return guest.vm
    for host in topology.hosts.values():
        if address in host.addresses():
            return host.name
    for name in (*topology.hosts, *(guest.vm for guest in state.read_guests())):
        try:
            told = run_command([*network_prefix(state, name), "ip", "-j", "addr", "show", "to", address])
        except LabError:
            continue  # it is off
        if any(link.get("addr_info") for link in json.loads(told.stdout)):
            return name
    raise LabError(f"nothing in lab {state.name} has the address {address}")
