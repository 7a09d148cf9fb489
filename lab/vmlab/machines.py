# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machines with Debian's kernel, for what the kernel that the lab's hosts share may lack (802.1Q, bonding).

qemu emulates a processor, on which a whole boot and Ansible's Python take minutes: so a machine runs a root of the
lab's hosts without systemd. A shell script is its first process, and runs what a network manager would (`ifup`).
"""

from __future__ import annotations

import contextlib
import gzip
import shlex
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import guest_image
from .commands import run_command, run_ip_batch
from .errors import LabError
from .guest_image import Entry, list_modules, read_entry, write_archive
from .netns import make_netns, named_netns, remove_netns
from .qemu import MACHINE, Qmp
from .roots import REPOSITORY, Report, base_root, cache_folder, provide_folder, provide_roots, recipe_hash, run_builder

PACKAGES = ("linux-image-cloud-amd64", "ifupdown")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "overlay")
MEMORY = 384  # MiB
NICENESS = -10  # as a guest's qemu has it
BOOT_TIMEOUT = 300.0  # seconds; 15 on an idle machine
READY = "vmlab: ready"

# First process of the initramfs: the disk read-only, over it in memory what changes and the machine's own files.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module.ko"; done </modules/order
mkdir /lower /upper /new
mount -t ext4 -o ro /dev/vda /lower
mount -t tmpfs upper /upper
mkdir /upper/disk /upper/work
mount -t overlay root -o lowerdir=/lower,upperdir=/upper/disk,workdir=/upper/work /new
cp -a /host/. /new/
for folder in proc sys dev; do mount --move /$folder /new/$folder; done
exec switch_root /new /bin/sh /lab-init
"""
# What the first process does when its script has ended: orders, a line each, by the second serial port.
ORDERS = f"""
stty -F /dev/ttyS1 -echo
echo {shlex.quote(READY)} >/dev/console
while read -r number order; do
    eval "$order" >/dev/console 2>&1
    echo "vmlab: order $number is done" >/dev/console
done </dev/ttyS1
"""
BUILD = """
set -eu
mkdir {draft}/merged
mount -t overlay machine -o lowerdir={roots} {draft}/merged
mount -t tmpfs packages {draft}/merged/{repository}
truncate -s 1500M {draft}/root/disk
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -m 0 -d {draft}/merged {draft}/root/disk
cp {draft}/merged/boot/vmlinuz-* {draft}/root/vmlinuz
"""
RUN = """
mount -t overlay qemu -o lowerdir={roots} {folder}/root
mount --bind {image} {folder}/root/srv
mount --bind {folder} {folder}/root/mnt
mount -t proc proc {folder}/root/proc
mount --rbind /dev {folder}/root/dev
echo {niceness} >/proc/self/autogroup || true
exec nice -n {niceness} chroot {folder}/root {argv}
"""


def provide_machine_image(report: Report) -> Path:
    """The folder with `vmlinuz`, `initramfs` and `disk`; made when it isn't in the cache."""
    roots = provide_roots(guest_image.SYSTEM, PACKAGES, "", report)
    final = cache_folder() / f"machine-{recipe_hash([root.name for root in roots], MODULES, INIT, BUILD)}"
    provide_folder(final, lambda draft: build_machine_image(roots, draft), report)
    return final


def build_machine_image(roots: tuple[Path, ...], draft: Path) -> None:
    """Make kernel, initramfs and disk in draft/root."""
    (draft / "root").mkdir(parents=True)
    stacked = ":".join(map(str, roots))
    run_builder(["sh", "-c", BUILD.format(draft=draft, roots=stacked, repository=REPOSITORY)], draft)
    busybox = next((base_root(guest_image.SYSTEM) / REPOSITORY).glob("busybox-static_*.deb"))
    run_command(["dpkg-deb", "-x", busybox, draft / "unpacked"], timeout=60)
    program = draft / "unpacked" / "bin" / "busybox"
    entries: dict[str, Entry] = {"init": write_text(INIT), "bin/busybox": read_entry(program, 0o755)}
    for applet in run_command([program, "--list"]).stdout.split():
        entries.setdefault(f"bin/{applet}", (stat.S_IFLNK | 0o777, b"busybox"))
    entries |= list_modules(roots[0] / "usr", MODULES)
    (draft / "root" / "initramfs").write_bytes(gzip.compress(b"".join(write_archive(entries)), 1))


def write_text(text: str) -> Entry:
    """A file for the archive, which may be run if it is a script."""
    return stat.S_IFREG | (0o755 if text.startswith("#!") else 0o644), text.encode()


class Machine:
    """A machine whose NICs (eth0, eth1) are plugged into one switch, in a network namespace of its own.

    `wire` is an interface in that namespace that sees all that the switch floods. Use it with `with`.
    """

    def __init__(self, name: str, folder: Path, files: Mapping[str, str], script: str, nics: int = 2) -> None:
        self.netns, self.folder, self.nics = f"vmlab.{name}", folder, nics
        self.files = {**files, "lab-init": f"{script}\n{ORDERS}"}
        self.orders = 0
        self.qemu: subprocess.Popen[bytes] | None = None

    @property
    def console(self) -> str:
        """What the machine has printed."""
        path = self.folder / "console"
        return path.read_text(errors="replace").replace("\r\n", "\n") if path.exists() else ""

    @property
    def netns_file(self) -> Path:
        """By which its namespace is entered."""
        return named_netns(self.netns)

    def __enter__(self) -> Machine:
        try:
            self.plug_in()
            self.start(provide_machine_image(lambda _what: None))
            self.wait_until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def plug_in(self) -> None:
        """Make the switch, the machine's ports and the wire."""
        make_netns(self.netns)
        lines = ["link add switch type bridge mcast_snooping 0 forward_delay 0", "link set switch up",
                 "link add wire type veth peer name port", "link set wire up", "link set port master switch up"]
        for number in range(self.nics):
            lines += [f"tuntap add dev nic{number} mode tap", f"link set nic{number} master switch up"]
        run_ip_batch(lines, namespace=self.netns)

    def start(self, image: Path) -> None:
        """Start qemu, with the machine's own files behind the initramfs."""
        entries = {f"host/{path.lstrip('/')}": write_text(text) for path, text in self.files.items()}
        base = (image / "initramfs").read_bytes()
        archive = base + b"\0" * (-len(base) % 4) + b"".join(write_archive(entries))
        (self.folder / "root").mkdir(parents=True)
        (self.folder / "initramfs").write_bytes(archive)
        roots = ":".join(map(str, guest_image.provide_qemu_root(lambda _what: None)))
        script = RUN.format(
            roots=roots, folder=self.folder, image=image, niceness=NICENESS, argv=shlex.join(self.qemu_argv()))
        argv = ["nsenter", f"--net={self.netns_file}", "setpriv", "--pdeathsig", "KILL"]
        argv += ["unshare", "--mount", "--propagation", "slave", "sh", "-euc", script]
        with open(self.folder / "log", "wb") as log:
            self.qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def qemu_argv(self) -> list[str]:
        """The command line of qemu, in its root."""
        argv = ["qemu-system-x86_64", "-M", f"{MACHINE},accel=tcg", "-m", str(MEMORY), "-nodefaults"]
        argv += ["-display", "none", "-no-reboot", "-kernel", "/srv/vmlinuz", "-initrd", "/mnt/initramfs"]
        argv += ["-append", "console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0"]
        argv += ["-serial", "file:/mnt/console", "-serial", "unix:/mnt/orders,server=on,wait=off"]
        argv += ["-qmp", "unix:/mnt/qmp,server=on,wait=off"]
        argv += ["-drive", "file=/srv/disk,format=raw,if=virtio,readonly=on"]
        for number in range(self.nics):
            argv += ["-netdev", f"tap,id=nic{number},ifname=nic{number},script=no,downscript=no"]
            mac = f"02:00:00:00:01:{number:02x}"
            argv += ["-device", f"virtio-net-pci,id=card{number},netdev=nic{number},mac={mac},romfile="]
        return argv

    def wait_until_ready(self) -> None:
        """Wait until the machine's script has ended."""
        self.wait_for(READY)

    def order(self, command: str) -> str:
        """Have a shell command run, and return what the console showed meanwhile."""
        before, self.orders = len(self.console), self.orders + 1
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(str(self.folder / "orders"))
            link.sendall(f"{self.orders} {command}\n".encode())
            self.wait_for(f"vmlab: order {self.orders} is done")
        return self.console[before:]

    def wait_for(self, said: str) -> None:
        """Wait until the console shows a text; a LabError with the end of it if that takes too long."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        while said not in self.console:
            assert self.qemu is not None
            if self.qemu.poll() is not None or time.monotonic() > deadline:
                log = (self.folder / "log").read_text(errors="replace")
                raise LabError(f"the machine has not said {said!r}: {log}\n{self.console[-3000:]}")
            time.sleep(0.1)

    def pull_cable(self, number: int, out: bool = True) -> None:
        """Take the cable out of a NIC, or put it back."""
        with Qmp(self.folder / "qmp") as qmp:
            qmp.execute("set_link", name=f"card{number}", up=not out)

    def end(self) -> None:
        """End the machine and its network; nothing stays."""
        if self.qemu is not None:
            with contextlib.suppress(ProcessLookupError):
                self.qemu.kill()
            self.qemu.wait()
        remove_netns(self.netns)


def read_section(console: str, name: str) -> str:
    """What a machine's script printed between `BEGIN name` and `END name`."""
    head, _begin, rest = console.partition(f"BEGIN {name}\n")
    body, end, _tail = rest.partition(f"END {name}")
    if not end:
        raise LabError(f"the machine printed no {name}:\n{head[-3000:]}")
    return body


def list_sections(**commands: str) -> Iterator[str]:
    """Yield lines of a script that print what commands say, to be read by read_section."""
    for name, command in commands.items():
        yield f"{{ echo BEGIN {name}; {command}; echo END {name}; }} >/dev/console"
