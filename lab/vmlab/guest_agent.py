# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The process that is a guest: it holds the guest's network namespace and its attachment to the node.

Started as `python3 -m vmlab.guest_agent LAB VM`. On a tap it copies frames, as qemu would; into a veth's peer it puts
the guest, as LXC would. It ends with its node, and the guest with it.
"""

from __future__ import annotations

import dataclasses
import gc
import ipaddress
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .commands import run_command, run_ip_batch
from .errors import LabError
from .guests import guest_mac
from .netns import leave_namespaces, named_netns
from .pump import Pump
from .state import LabState, find_process, read_json
from .taps import VmInterface, find_vm_interface, open_tap

GUEST_INTERFACE = "eth0"
LOOK_EVERY = 0.02  # seconds between two looks for an interface that isn't there yet
PRIORITY = 5


class GuestAgent:
    """One guest."""

    def __init__(self, lab: str, vm: str) -> None:
        self.state = LabState(lab)
        record = self.state.read_guest(vm)
        if record is None:
            raise LabError(f"no guest {vm} in lab {lab}")
        self.record = dataclasses.replace(record, agent=find_process(os.getpid()))
        self.mac = record.mac or guest_mac(vm)
        self.pump: Pump | None = None
        self.peer = ""  # the name that a veth's peer had on the node
        self.prepared = ("", "")  # node and interface that the guest is to move to

    def note(self, phase: str, message: str = "") -> None:
        """Write down what has become of the guest."""
        self.record = dataclasses.replace(self.record, phase=phase, message=message)
        self.state.write_guest(self.record)

    def node_netns(self, node: str = "") -> Path:
        """The network namespace of the guest's node, or of another."""
        return named_netns(self.state.host_netns(node or self.record.node))

    def run(self) -> None:
        """Start, be the guest, and stop when told to."""
        listener = self.listen()
        leave_namespaces()
        self.note("waiting")
        try:
            self.mount_root()
            found = self.make_interface() if self.record.make else self.wait_for_interface()
            if found.kind == "tap":
                self.attach_tap(found)
            else:
                self.take_peer(found)
        except LabError as error:
            self.note("failed", str(error))
            sys.exit(1)
        self.note("running")
        be_quick()
        pump = self.pump or Pump(-1)
        pump.run(listener, self.answer)
        self.give_back()

    def listen(self) -> socket.socket:
        """The socket on which the guest is asked to pause, resume and move."""
        path = self.state.folder / "guests" / f"{self.record.vm}.sock"
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        listener.listen(4)
        return listener

    def mount_root(self) -> None:
        """Give the guest's commands a Debian of their own, in memory: the system of its node without what is on it."""
        base = (read_json(self.state.folder / "roots.json") or {})[self.record.node][-1]
        folder = self.state.folder / "guests" / self.record.vm
        folder.mkdir(exist_ok=True)
        script = f"""
        mount -t tmpfs guest {folder}
        mkdir {folder}/disk {folder}/work {folder}/root
        mount -t overlay guest -o lowerdir={base},upperdir={folder}/disk,workdir={folder}/work {folder}/root
        mount -t proc proc {folder}/root/proc
        mount -t sysfs sysfs {folder}/root/sys
        mount --rbind /dev {folder}/root/dev
        """
        run_command(["sh", "-euc", script])

    def wait_for_interface(self) -> VmInterface:
        """Wait, as long as it takes, until the node has the guest's interface."""
        netns = self.node_netns()
        while (found := find_vm_interface(netns, self.record.interface)) is None:
            time.sleep(LOOK_EVERY)
        return found

    def make_interface(self) -> VmInterface:
        """Make the guest's interface on the node; it lasts as long as the guest, like one of libvirt's own."""
        name, netns = self.record.interface, self.node_netns()
        if self.record.make == "tap":
            self.pump = Pump(open_tap(netns, name))
        else:
            run_ip_batch([f"link add {name} type veth peer name {name[:13]}.g"], namespace=netns.name)
        found = find_vm_interface(netns, name)
        if found is None:
            raise LabError(f"{self.record.node}: {name} was not made")
        run_ip_batch([f"link set {name} up"], namespace=netns.name)
        return found

    def attach_tap(self, found: VmInterface) -> None:
        """Put the guest behind a tap: a second tap in its own namespace, and frames copied between the two."""
        own = open_tap(Path("/proc/self/ns/net"), GUEST_INTERFACE)
        self.configure(found.mtu, self.mac)
        if self.pump is None:
            self.pump = Pump(open_tap(self.node_netns(), found.name))
        self.pump.guest = own
        self.plug_in_bridge(found.name)

    def take_peer(self, found: VmInterface) -> None:
        """Put the guest behind a veth: its peer becomes the guest's interface."""
        self.peer = found.peer
        line = f"link set {found.peer} netns {os.getpid()} name {GUEST_INTERFACE}"
        run_ip_batch([line], namespace=self.node_netns().name)
        self.configure(found.mtu, self.record.mac)
        self.plug_in_bridge(found.name)

    def plug_in_bridge(self, interface: str) -> None:
        """Make the interface a port of the bridge that was asked for, if one was."""
        if self.record.bridge:
            run_ip_batch([f"link set {interface} master {self.record.bridge} up"], namespace=self.node_netns().name)

    def configure(self, mtu: int, mac: str) -> None:
        """Configure the guest's interface as a cloud image would: its addresses, and on-link default routes."""
        guest = GUEST_INTERFACE
        Path(f"/proc/sys/net/ipv6/conf/{guest}/accept_dad").write_text("0")
        lines = [f"link set {guest} mtu {mtu}" + (f" address {mac}" if mac else "")]
        lines += [f"addr add {address} dev {guest}{no_dad(address)}" for address in self.record.addresses]
        lines += ["link set lo up", f"link set {guest} up"]
        gateways = [gateway for gateway in (self.record.gateway4, self.record.gateway6) if gateway]
        lines += [f"route add default via {gateway} dev {guest} onlink" for gateway in gateways]
        run_ip_batch(lines)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked on the socket."""
        try:
            if self.pump is None:
                raise LabError("a guest behind a veth, like a container, can't be moved live")
            verb = request["do"]
            if verb == "prepare":
                self.prepare_move(request["node"], request["interface"])
            elif verb == "pause":
                self.pump.pause()
            elif verb == "resume":
                self.resume()
            elif verb == "release":
                self.pump.close_left()
            elif verb == "cancel":
                self.prepared = ("", "")
                self.pump.close_standby()
            else:
                raise LabError(f"nothing known of {verb!r}")
        except LabError as error:
            return {"error": str(error)}
        return {"at": time.time()}

    def prepare_move(self, node: str, interface: str) -> None:
        """Attach to the tap on the node that the guest will move to, as the target's qemu does when it starts."""
        assert self.pump is not None
        found = find_vm_interface(self.node_netns(node), interface)
        if found is None or found.kind != "tap":
            raise LabError(f"{node} has no tap {interface}")
        self.pump.close_standby()
        self.pump.standby = open_tap(self.node_netns(node), interface)
        self.prepared = (node, interface)

    def resume(self) -> None:
        """Let the guest run on, on the node it was prepared to move to if there is one."""
        assert self.pump is not None
        if self.pump.resume(self.mac):
            node, interface = self.prepared
            self.record = dataclasses.replace(self.record, node=node, interface=interface)
            self.prepared = ("", "")
            self.note("running")

    def give_back(self) -> None:
        """Hand a veth's peer back to the node, under the name that it had."""
        if not self.peer or self.record.make or not self.node_netns().exists():
            return
        run_command(
            ["ip", "link", "set", GUEST_INTERFACE, "down", "name", self.peer, "netns", self.node_netns().name],
            check=False,
        )


def no_dad(address: str) -> str:
    """What keeps an IPv6 address from having to be probed for before it is used."""
    return " nodad" if ipaddress.ip_interface(address).version == 6 else ""


def be_quick() -> None:
    """Go before ordinary processes, so that a loaded machine does not look like a bad network."""
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        os.nice(-10)


def main(arguments: Iterable[str]) -> None:
    """Run the guest named on the command line."""
    lab, vm = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    GuestAgent(lab, vm).run()


if __name__ == "__main__":
    main(sys.argv[1:])
