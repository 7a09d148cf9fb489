# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hypervisors in the lab's hosts: what their guests boot."""

from __future__ import annotations

import shutil
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
