# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machines with Debian's kernel, for what the kernel that the lab's hosts share may lack (802.1Q, bonding).

qemu emulates a processor. On it a root of the lab's hosts boots with systemd, a manager of its network, and SSH, for
Ansible, and has a shell at its second serial port, for questions that ask no network. What it writes to its disk is
there after a reboot.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shlex
import socket
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import guest_image
from .commands import run_command, run_ip_batch
from .errors import LabError
from .guest_image import Entry, list_modules, read_entry, write_archive
from .kept_modules import bytecode_layer
from .netns import make_netns, named_netns, remove_netns
from .qemu import MACHINE, Qmp
from .roots import REPOSITORY, Report, base_root, cache_folder, provide_folder, provide_roots, recipe_hash, run_builder

PACKAGES = ("linux-image-cloud-amd64", "ifupdown", "netplan.io", "network-manager")
# What a machine's kernel is told of systemd's units, so that its network has one manager; netplan starts networkd.
MANAGERS = {
    "ifupdown": "systemd.mask=NetworkManager.service",
    "networkd": "systemd.mask=NetworkManager.service systemd.wants=systemd-networkd.service",
    "netplan": "systemd.mask=NetworkManager.service",
    "nm": "",
}
MODULES = ("virtio_pci", "virtio_blk", "virtio_net")
MEMORY = 512  # MiB
NICENESS = -10  # as a guest's qemu has it: one that hardly comes to the processor answers no SSH in time
BOOT_TIMEOUT = 300.0  # seconds; 15 on an idle machine
READY = "vmlab: ready"

# First process of the initramfs: the machine's own files are put on its disk when it boots for the first time.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module.ko"; done </modules/order
mkdir /new
mount -t ext4 /dev/vda /new
[ -e /new/lab-orders ] || cp -a /host/. /new/
for folder in proc sys dev; do mount --move /$folder /new/$folder; done
exec switch_root /new /sbin/init
"""
# The shell at the second serial port: a line is an order.
ORDERS = f"""#!/bin/sh
exec </dev/ttyS1
stty -echo
echo {shlex.quote(READY)} >/dev/console
while read -r number order; do
    eval "$order" >/dev/console 2>&1
    echo "vmlab: order $number is done" >/dev/console
done
"""
ORDERS_UNIT = """[Unit]
After=ssh.service networking.service
[Service]
ExecStart=/lab-orders
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
exec nice -n {niceness} chroot {folder}/root env TMPDIR=/mnt {argv}
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


def read_tree(folder: Path) -> dict[str, Entry]:
    """What is in a folder, for the archive: files, and folders, of which some may be empty."""
    entries: dict[str, Entry] = {}
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # others may write and rename there
            entries[str(path.relative_to(folder))] = (stat.S_IFDIR | 0o755, b"") if path.is_dir() else read_entry(path)
    return entries


class Switch:
    """A switch in a network namespace of its own, that passes frames with and without tags.

    `wire` is an interface in that namespace that sees all that the switch floods. Use it with `with`.
    """

    def __init__(self, name: str) -> None:
        self.name, self.netns = name, f"vmlab.{name}"

    @property
    def netns_file(self) -> Path:
        """By which its namespace is entered."""
        return named_netns(self.netns)

    def __enter__(self) -> Switch:
        make_netns(self.netns)
        self.order("link add switch type bridge mcast_snooping 0 forward_delay 0", "link set switch up",
                   "link add wire type veth peer name port", "link set wire up", "link set port master switch up")
        return self

    def __exit__(self, *_error: object) -> None:
        remove_netns(self.netns)

    def add_ports(self, names: Iterable[str]) -> None:
        """Make taps that are ports."""
        for name in names:
            self.order(f"tuntap add dev {name} mode tap", f"link set {name} master switch up")

    def order(self, *lines: str) -> None:
        run_ip_batch(list(lines), namespace=self.netns)


class Machine:
    """A machine whose first NICs (eth0, eth1) are plugged into a switch.

    Of the further ones, two for each of `cables`, each of the first half is joined to its like of the second half.
    Machines of one switch have different numbers. `manager` is whose its network is. Use it with `with`.
    """

    def __init__(self, switch: Switch, folder: Path, files: Mapping[str, str | Entry], *, number: int = 1,
                 manager: str = "ifupdown", nics: int = 2, cables: int = 0) -> None:
        self.switch, self.folder, self.number, self.manager = switch, folder, number, manager
        self.name = f"{switch.name}-{number}"
        self.nics, self.cables = nics, cables
        self.files = {**files, "lab-orders": ORDERS, "etc/systemd/system/lab-orders.service": ORDERS_UNIT,
                      "etc/hostname": f"{self.name}\n", "etc/machine-id": f"{os.urandom(16).hex()}\n"}
        self.orders = 0
        self.boots = 0
        self.qemu: subprocess.Popen[bytes] | None = None

    @property
    def console(self) -> str:
        """What the machine has printed."""
        path = self.folder / "console"
        return path.read_text(errors="replace").replace("\r\n", "\n") if path.exists() else ""

    @property
    def ports(self) -> list[str]:
        """Its ports of the switch, by NIC."""
        return [f"m{self.number}nic{each}" for each in range(self.nics)]

    def __enter__(self) -> Machine:
        try:
            self.start()
            self.wait_until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def start(self) -> None:
        """Start qemu, with the machine's own files behind the initramfs. It ends with the thread that calls this."""
        image = provide_machine_image(lambda _what: None)
        self.switch.add_ports(self.ports)
        (self.folder / "root").mkdir(parents=True)
        entries = {f"host/{path.lstrip('/')}": write_text(file) if isinstance(file, str) else file
                   for path, file in self.files.items()}
        for more in (self.make_keys(), *map(read_tree, bytecode_layer())):
            entries |= {f"host/{path}": entry for path, entry in more.items()}
        base = (image / "initramfs").read_bytes()
        archive = base + b"\0" * (-len(base) % 4) + b"".join(write_archive(entries))
        (self.folder / "initramfs").write_bytes(archive)
        roots = ":".join(map(str, guest_image.provide_qemu_root(lambda _what: None)))
        script = RUN.format(
            roots=roots, folder=self.folder, image=image, niceness=NICENESS, argv=shlex.join(self.qemu_argv()))
        argv = ["nsenter", f"--net={self.switch.netns_file}", "setpriv", "--pdeathsig", "KILL"]
        argv += ["unshare", "--mount", "--propagation", "slave", "sh", "-euc", script]
        with open(self.folder / "log", "wb") as log:
            self.qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def make_keys(self) -> dict[str, Entry]:
        """Make the key that opens the machine, and its own; what it has of them."""
        for name in ("key", "host"):
            run_command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.folder / name])
        (self.folder / "known_hosts").write_text(f"* {(self.folder / 'host.pub').read_text()}")
        return {"etc/ssh/ssh_host_ed25519_key": read_entry(self.folder / "host", 0o600),
                "root/.ssh/authorized_keys": read_entry(self.folder / "key.pub", 0o600)}

    def write_inventory(self, host: str, **variables: str) -> Path:
        """How Ansible reaches the machine from its switch's namespace; variables: of the host, such as its address."""
        files = f"-o StrictHostKeyChecking=yes -o BatchMode=yes -o UserKnownHostsFile={self.folder}/known_hosts"
        told = {"ansible_connection": "ssh", "ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_ssh_private_key_file": str(self.folder / "key"), "ansible_ssh_common_args": files,
                # Compression costs an emulated processor more than the wire.
                "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
                "ansible_control_path_dir": str(self.folder / "ssh"), **variables}
        path = self.folder / "hosts.json"
        path.write_text(json.dumps({"all": {"hosts": {host: told}}}))
        return path

    def qemu_argv(self) -> list[str]:
        """The command line of qemu, in its root."""
        argv = ["qemu-system-x86_64", "-M", f"{MACHINE},accel=tcg", "-m", str(MEMORY), "-nodefaults"]
        argv += ["-display", "none", "-kernel", "/srv/vmlinuz", "-initrd", "/mnt/initramfs"]
        argv += ["-append", "console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0 systemd.show_status=0"
                 f" systemd.wants=lab-orders.service {MANAGERS[self.manager]}"]
        argv += ["-serial", "file:/mnt/console", "-serial", "unix:/mnt/orders,server=on,wait=off"]
        argv += ["-qmp", "unix:/mnt/qmp,server=on,wait=off"]
        argv += ["-drive", "file=/srv/disk,format=raw,if=virtio,snapshot=on"]
        for number, port in enumerate(self.ports):
            # Whoever reads the wire is to find checksums there.
            argv += ["-netdev", f"tap,id=nic{number},ifname={port},script=no,downscript=no,vnet_hdr=off"]
        for number in range(2 * self.cables):
            argv += ["-netdev", f"hubport,id=nic{self.nics + number},hubid={number % self.cables}"]
        for number in range(self.nics + 2 * self.cables):
            mac = f"02:00:00:{self.number:02x}:01:{number:02x}"
            card = f"id=card{number},netdev=nic{number},mac={mac},romfile="
            argv += ["-device", f"virtio-net-pci,{card},speed=1000,duplex=full"]  # which 802.3ad asks for
        return argv

    def wait_until_ready(self) -> None:
        """Wait until the machine has booted."""
        self.boots += 1
        self.wait_for(READY, self.boots)

    def reboot(self) -> None:
        """Have the machine boot anew, in good order."""
        with self.send_order("systemctl reboot"):
            self.wait_until_ready()

    def order(self, command: str) -> str:
        """Have a shell command run, and return what the console showed meanwhile."""
        before = len(self.console)
        with self.send_order(command):
            self.wait_for(f"vmlab: order {self.orders} is done")
        return self.console[before:]

    def ask(self, command: str) -> str:
        """Have a shell command run, and return what it said, alone."""
        return read_section(self.order(f"echo BEGIN answer; {command}; echo END answer"), "answer")

    @contextlib.contextmanager
    def send_order(self, command: str) -> Iterator[None]:
        """Have a shell command run; what the machine has not read yet at the end of the block is lost."""
        self.orders += 1
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(str(self.folder / "orders"))
            link.sendall(f"{self.orders} {command}\n".encode())
            yield

    def wait_for(self, said: str, times: int = 1) -> None:
        """Wait until the console shows a text so often; a LabError with the end of it if that takes too long."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        while self.console.count(said) < times:
            assert self.qemu is not None
            if self.qemu.poll() is not None or time.monotonic() > deadline:
                log = (self.folder / "log").read_text(errors="replace")
                raise LabError(f"the machine has not said {said!r}: {log}\n{self.console[-3000:]}")
            time.sleep(0.1)

    def pull_cable(self, number: int, out: bool = True) -> None:
        """Take the cable out of a NIC, or put it back; of a cable that joins two, out of both."""
        ends = (number,) if number < self.nics else (number, number + self.cables)
        with Qmp(self.folder / "qmp") as qmp:
            for end in ends:
                qmp.execute("set_link", name=f"card{end}", up=not out)

    def end(self) -> None:
        """End the machine; its ports stay with the switch."""
        if self.qemu is not None:
            with contextlib.suppress(ProcessLookupError):
                self.qemu.kill()
            self.qemu.wait()


def read_section(console: str, name: str) -> str:
    """What a machine's script printed between `BEGIN name` and `END name`."""
    head, _begin, rest = console.partition(f"BEGIN {name}\n")
    body, end, _tail = rest.partition(f"END {name}")
    if not end:
        raise LabError(f"the machine printed no {name}:\n{head[-3000:]}")
    return body

