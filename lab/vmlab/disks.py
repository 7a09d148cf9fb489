# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's disk: a writable layer over the cached root, with what makes the host this host."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from . import junos
from .commands import run_command
from .errors import LabError
from .roots import cache_folder
from .state import CHECKOUT, LabState, read_json, write_json
from .topology import Host, Topology

BOOT_SCRIPT = "usr/local/lib/vmcluster-lab/boot"
BOOT_UNIT = f"""[Unit]
Description=Boot commands of the lab's topology
After=basic.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -eux /{BOOT_SCRIPT}

[Install]
WantedBy=multi-user.target
"""


class Disk:
    """The writable layer of a host, being filled before its first boot."""

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        self.upper = folder / "disk"
        self.roots = roots
        for part in ("disk", "work", "root"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self.upper.chmod(0o755)

    def write(self, path: str, content: str, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        """Put a file on the disk; folders that are new get the usual mode, or that of the root's."""
        target = self.upper / path.lstrip("/")
        self.make_folder(target.parent)
        target.write_text(content)
        os.chown(target, self.find_id("passwd", owner), self.find_id("group", group))
        target.chmod(mode)

    def make_folder(self, folder: Path) -> None:
        """Make a folder of the upper layer like the one in the roots that it will cover."""
        if folder.exists():
            return
        self.make_folder(folder.parent)
        folder.mkdir()
        for root in self.roots:
            covered = root / folder.relative_to(self.upper)
            if covered.is_dir():
                found = covered.stat()
                os.chown(folder, found.st_uid, found.st_gid)
                folder.chmod(found.st_mode & 0o7777)
                return
        folder.chmod(0o755)

    def link(self, path: str, target: str) -> None:
        link = self.upper / path
        self.make_folder(link.parent)
        link.symlink_to(target)

    def find_id(self, database: str, name: str) -> int:
        """The id of a user or group as the host's root knows it."""
        for root in self.roots:
            if (root / "etc" / database).exists():
                for line in (root / "etc" / database).read_text().splitlines():
                    fields = line.split(":")
                    if fields[0] == name:
                        return int(fields[2])
        raise LabError(f"no {name!r} in the host's /etc/{database}: add the package that makes it to `packages`")


def make_disk(state: LabState, topology: Topology, host: Host, roots: Sequence[Path]) -> None:
    """Make a host's disk: who the host is, and on one that begins bare, what the topology places there."""
    disk = Disk(state.host_folder(host.name), roots)
    # A valid id: an empty one would make systemd think of a first boot and enable every unit it knows.
    disk.write("etc/machine-id", hashlib.md5(f"{state.name} {host.name}".encode()).hexdigest() + "\n")
    disk.write("etc/hostname", f"{host.name}\n")
    disk.write("etc/hosts", hosts_file(topology))
    disk.make_folder(disk.upper / "root")
    disk.write("root/.ssh/authorized_keys", state.key.with_suffix(".pub").read_text(), mode=0o600)
    (disk.upper / "root/.ssh").chmod(0o700)
    host_key = state.folder / "ssh" / host.name
    disk.write("etc/ssh/ssh_host_ed25519_key", host_key.read_text(), mode=0o600)
    disk.write("etc/ssh/ssh_host_ed25519_key.pub", host_key.with_suffix(".pub").read_text())
    if list(roots) == bare_roots(roots):
        furnish(disk, host)


def furnish(disk: Disk, host: Host) -> None:
    """Place what the topology says a host has from the beginning."""
    if host.sysctls:
        disk.write("etc/sysctl.d/90-lab.conf", "".join(f"{key} = {host.sysctls[key]}\n" for key in host.sysctls))
    if host.boot_commands:
        disk.write(BOOT_SCRIPT, "\n".join(host.boot_commands) + "\n", mode=0o755)
        disk.write("etc/systemd/system/lab-boot.service", BOOT_UNIT)
        disk.link("etc/systemd/system/multi-user.target.wants/lab-boot.service", "../lab-boot.service")
    for unit in host.enable:
        disk.link(f"etc/systemd/system/multi-user.target.wants/{unit}", f"/lib/systemd/system/{unit}")
    for placed in host.files:
        disk.write(placed.path, placed.content, placed.mode, placed.owner, placed.group)


def bare_roots(roots: Sequence[Path]) -> list[Path]:
    """The roots without the saved disk that may lie over them."""
    return [root for root in roots if root.parent == cache_folder()]


def renew_disk(state: LabState, topology: Topology, host: Host) -> None:
    """Make the disk of a host that is off anew, bare also where the lab began with saved disks."""
    for layer in ("disk", "work"):
        shutil.rmtree(state.host_folder(host.name) / layer, ignore_errors=True)
    roots = read_json(state.folder / "roots.json") or {}
    bare = bare_roots([Path(root) for root in roots[host.name]])
    write_json(state.folder / "roots.json", {**roots, host.name: [str(root) for root in bare]})
    make_disk(state, topology, host, bare)


def hosts_file(topology: Topology) -> str:
    """/etc/hosts with every host of the lab."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{address} {host.name}" for host in topology.hosts.values() for address in host.addresses()]
    return "\n".join(lines) + "\n"


def make_keys(state: LabState, topology: Topology) -> None:
    """Make the lab's SSH key, one host key per host, known_hosts with all of them, and a client's configuration."""
    folder = state.key.parent
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    known = []
    for name in (state.key.name, *topology.hosts):
        run_command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab-{name}", "-f", folder / name])
    for host in topology.hosts.values():
        names = ",".join(known_names(host))
        known.append(f"{names} {(folder / host.name).with_suffix('.pub').read_text()}")
    state.known_hosts.write_text("".join(known))
    (folder / "config").write_text(
        f"Host *\n    ProxyCommand {CHECKOUT}/lab/lab --name {state.name} ssh-proxy %h %p\n"
        f"    IdentityFile {state.key}\n    UserKnownHostsFile {state.known_hosts}\n"
    )


def known_names(host: Host) -> list[str]:
    """The names of a host for known_hosts; a Junos simulator has the same key at its own port."""
    names = [host.name, *host.addresses()]
    return names + [f"[{name}]:{junos.PORT}" for name in names if host.junos]
