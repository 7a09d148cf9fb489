# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The process that holds the qemu of a guest on one node, as a hypervisor's daemon would.

Started as `python3 -m vmlab.qemu_agent LAB VM IMAGE ROOTS`, and with `NODE INTERFACE` behind it for the qemu that waits
for the guest to be moved to it. It waits for the interface, runs qemu in the node's network, and ends with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .commands import run_command, run_ip_batch
from .errors import LabError
from .guest_agent import LOOK_EVERY
from .guests import guest_mac
from .netns import leave_mounts, named_netns, set_netns
from .qemu import IMAGE, RUN, Qmp, listens, place, qemu_argv
from .state import LabState, find_process
from .taps import find_vm_interface

READY = "vmlab: ready"
NICENESS = -10


class QemuAgent:
    """One qemu of a guest."""

    def __init__(self, lab: str, vm: str, image: str, roots: str, node: str = "", interface: str = "") -> None:
        self.state = LabState(lab)
        record = self.state.read_guest(vm)
        if record is None:
            raise LabError(f"no guest {vm} in lab {lab}")
        self.incoming = bool(node)
        self.record = dataclasses.replace(record, agent=find_process(os.getpid()))
        self.node, self.interface = node or record.node, interface or record.interface
        self.image, self.roots = image, roots
        self.stopping = False

    def note(self, phase: str, message: str = "") -> None:
        """Write down what has become of the guest; of one that is elsewhere yet, nothing."""
        if not self.incoming:
            self.record = dataclasses.replace(self.record, phase=phase, message=message)
            self.state.write_guest(self.record)

    def run(self) -> None:
        """Start qemu, wait until the guest is up, and stay until qemu ends."""
        signal.signal(signal.SIGTERM, self.shut_down)
        go_before_others()
        leave_mounts()
        self.note("waiting")
        try:
            root = self.mount_root()
            qemu = self.start_qemu(root)
            if not self.incoming:
                self.wait_for_guest(qemu)
        except (LabError, OSError) as error:
            self.note("failed", str(error))
            sys.exit(str(error))
        self.note("running")
        while True:
            with contextlib.suppress(InterruptedError):
                sys.exit(qemu.wait())

    def mount_root(self) -> Path:
        """Give qemu a Debian of its own, read-only, with the guest's image and the lab's folder of guests in it."""
        folder = self.state.folder / "guests" / self.record.vm
        folder.mkdir(exist_ok=True)
        script = f"""
        mount -t overlay qemu -o lowerdir={self.roots} {folder}
        mount --bind {self.image} {folder}{IMAGE}
        mount --bind {self.state.folder / "guests"} {folder}{RUN}
        mount -t tmpfs qemu {folder}/tmp
        mount -t proc proc {folder}/proc
        mount --rbind /dev {folder}/dev
        """
        run_command(["sh", "-euc", script])
        return folder

    def start_qemu(self, root: Path) -> subprocess.Popen[bytes]:
        """Wait, as long as it takes, until the node has the guest's interface, and start qemu on it."""
        netns, make = named_netns(self.state.host_netns(self.node)), self.record.make
        while (found := find_vm_interface(netns, self.interface)) is None and not (make and netns.exists()):
            time.sleep(LOOK_EVERY)
        if found is not None and found.kind != "tap":
            raise LabError(f"{self.node}: {found.name} is a {found.kind}; qemu's guests are put behind a tap")
        name, mtu = (found.name, found.mtu) if found else (self.interface, 1500)
        for left in ("qmp", "console"):
            place(self.state, self.record.vm, self.node, left).unlink(missing_ok=True)
        with open(netns) as network:
            set_netns(network.fileno())
        mac = self.record.mac or guest_mac(self.record.vm)
        argv = qemu_argv(self.record, self.node, name, mac, mtu, self.incoming)
        before = ["setpriv", "--pdeathsig", "KILL", "chroot", str(root)]
        qemu = subprocess.Popen([*before, *argv], stdin=subprocess.DEVNULL)
        while not listens(place(self.state, self.record.vm, self.node, "qmp")):
            if qemu.poll() is not None:
                raise LabError(f"qemu ended with {qemu.returncode}")
            time.sleep(LOOK_EVERY)
        if make or self.record.bridge:
            run_ip_batch([f"link set {name} up" + (f" master {self.record.bridge}" if self.record.bridge else "")])
        return qemu

    def wait_for_guest(self, qemu: subprocess.Popen[bytes]) -> None:
        """Wait, as long as it takes, until the guest says on its console that it is up; who starts it has the bound."""
        console = place(self.state, self.record.vm, self.node, "console")
        while READY not in console.read_text(errors="replace"):
            if qemu.poll() is not None:
                raise LabError(f"qemu ended with {qemu.returncode} before the guest was up")
            time.sleep(LOOK_EVERY)

    def shut_down(self, _signal: int, _frame: object) -> None:
        """Press the guest's power button; qemu ends when the guest is off, or is told to when that takes too long."""
        path = place(self.state, self.record.vm, self.node, "qmp")
        with contextlib.suppress(LabError), Qmp(path) as qmp:
            if self.stopping:
                qmp.execute("quit")
            else:
                self.stopping = True
                qmp.execute("system_powerdown")


def go_before_others() -> None:
    """Have more of the processor than ordinary processes, so that a loaded machine does not look like a bad network."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        # Where sessions share the processor evenly (CONFIG_SCHED_AUTOGROUP), niceness counts within one only.
        Path("/proc/self/autogroup").write_text(str(NICENESS))


if __name__ == "__main__":
    QemuAgent(*sys.argv[1:]).run()
