# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hypervisors in the lab's hosts: what their guests boot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import LabError
from .guest_image import provide_guest_image
from .lab import Lab

FOLDER = "/var/lib/libvirt/boot"
BOOT = {
    "kernel": f"{FOLDER}/vmlinuz",
    "initrd": f"{FOLDER}/initramfs",
    "cmdline": "console=ttyS0 quiet panic=-1 mitigations=off",
}
"""How a domain boots the lab's guest, which takes its network from its NoCloud disk."""


ROOTFS = "/srv/container"
_MAKE_ROOTFS = f"""
mkdir -p {ROOTFS}/bin {ROOTFS}/sbin {ROOTFS}/proc {ROOTFS}/sys {ROOTFS}/dev {ROOTFS}/etc
cp /bin/busybox {ROOTFS}/bin/
for name in $(busybox --list); do [ -e {ROOTFS}/bin/$name ] || ln -s busybox {ROOTFS}/bin/$name; done
cat > {ROOTFS}/sbin/init <<'END'
#!/bin/sh
trap 'exit 0' PWR TERM
while :; do sleep 3600 & wait $!; done
END
chmod 755 {ROOTFS}/sbin/init
"""


def make_container_root(lab: Lab, host: str) -> None:
    """Make the root file system of a container on a host: busybox, and an init that ends when it is told to."""
    lab.exec(host, ["sh", "-euc", _MAKE_ROOTFS])


def install_guest_image(lab: Lab, host: str) -> None:
    """Put kernel and initramfs of the lab's qemu guests on a host's disk."""
    leader = lab.host_record(host).leader
    if leader is None:
        raise LabError(f"{host} is off")
    folder = Path(f"/proc/{leader.pid}/root{FOLDER}")
    folder.mkdir(parents=True, exist_ok=True)
    image = provide_guest_image(lambda _what: None)
    for name in ("vmlinuz", "initramfs"):
        shutil.copy(image / name, folder / name)


def let_roots_in(lab: Lab, *hosts: str) -> None:
    """Let each host's root in on the others by SSH, as an administrator does for libvirt's migrations."""
    make_key = "[ -e .ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519; cat .ssh/id_ed25519.pub"
    keys = {host: lab.exec(host, ["sh", "-euc", f"cd /root; {make_key}"]).stdout for host in hosts}
    known = "".join(
        f"{address.partition('/')[0]} {lab.exec(host, ['cat', '/etc/ssh/ssh_host_ed25519_key.pub']).stdout}"
        for host in hosts for address in lab.topology.host(host).interfaces[0].addresses)
    for host in hosts:
        others = "".join(key for name, key in keys.items() if name != host)
        for file, text in (("authorized_keys", others), ("known_hosts", known)):
            lab.exec(host, ["sh", "-euc", f"cat >> /root/.ssh/{file}"], input=text)


def is_moving(lab: Lab, host: str, name: str) -> bool:
    """Whether a host's libvirt copies a domain's memory to another host."""
    told = lab.exec(host, ["virsh", "domjobinfo", name], check=False).stdout
    return "Outgoing migration" in told and "Data remaining" in told


_HOLD = """
table inet held {
    chain come {
        type filter hook input priority 0
        tcp dport 49152-49215 drop
    }
}
"""


@contextmanager
def memory_held(lab: Lab, host: str) -> Iterator[None]:
    """While this lasts, nothing of a guest's memory comes to a host any more: a migration over TCP does not end."""
    lab.exec(host, ["nft", "-f", "-"], input=_HOLD)
    try:
        yield
    finally:
        lab.exec(host, ["nft", "delete table inet held"])
