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
[ ! -e /etc/vm-network ] || /sbin/vm-network </etc/vm-network | sh -x 2>/etc/vm-network.log
while :; do sleep 3600 & wait $!; done
END
cat > {ROOTFS}/sbin/vm-network <<'END'
#!/bin/sh
# From network-config, version 2, of one card to commands.
echo 'ip link set eth0 up'
sed -n -e 's/"//g' \\
    -e 's/^ *mtu: /ip link set eth0 mtu /p' \\
    -e 's|^ *- \\([0-9a-f:.]*/[0-9]*\\)$|ip address add \\1 dev eth0|p' \\
    -e 's/^ *via: \\(.*\\)/ip route add \\1 dev eth0; ip route add default via \\1/p' \\
    -e 's/^ *gateway6: \\(.*\\)/ip -6 route add default via \\1 dev eth0/p'
END
chmod 755 {ROOTFS}/sbin/init {ROOTFS}/sbin/vm-network
"""
IMAGE = "busybox"
_IMAGE_METADATA = """
architecture: x86_64
creation_date: 1600000000
templates:
  /etc/vm-network: {when: [create, copy, start], template: network.tpl}
"""
_IMAGE_FOLDER = "/srv/image"
_LXD_SETTINGS = """
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
"""
_MAKE_IMAGE = f"""
mkdir -p {_IMAGE_FOLDER}/templates
cat > {_IMAGE_FOLDER}/metadata.yaml
echo '{{{{ config_get("cloud-init.network-config", "") }}}}' > {_IMAGE_FOLDER}/templates/network.tpl
tar -C {_IMAGE_FOLDER} -cf /srv/image.tar metadata.yaml templates -C {ROOTFS} --transform 's|^[.]|rootfs|' .
"""
_SET_UP_LXD = f"""
if command -v incus; then init='incus admin init' client=incus; else init='lxd init' client=lxc; fi
$init --preseed
$client image import /srv/image.tar --alias {IMAGE}
"""


def make_container_root(lab: Lab, host: str) -> None:
    """Make the root file system of a container on a host: busybox, and an init that ends when it is told to."""
    lab.exec(host, ["sh", "-euc", _MAKE_ROOTFS])


def set_up_lxd(lab: Lab, host: str) -> None:
    """Set up a host's LXD, or Incus, as its operator does, with an image of the same container, which takes its network
    from cloud-init.network-config."""
    make_container_root(lab, host)
    lab.exec(host, ["sh", "-euc", _MAKE_IMAGE], input=_IMAGE_METADATA)
    lab.exec(host, ["sh", "-euc", _SET_UP_LXD], input=_LXD_SETTINGS)


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
