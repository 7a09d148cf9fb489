# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Debian roots that hosts run on: built once by mmdebstrap, cached, shared read-only by all hosts.

A root holds a small apt repository of the packages that roles install, as its only source: `apt-get update` and
Ansible's apt module work inside a host and install for real, without any network.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .commands import run_command
from .errors import LabError
from .state import locked_file

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
REPOSITORY = "var/lib/vmcluster-lab/packages"
BUILD_TIMEOUT = 900.0
SUITES = ("bookworm", "trixie", "stable", "testing", "sid")
PREINSTALLED = (
    "ca-certificates dbus ethtool iproute2 iputils-ping kmod less nftables openssh-server procps python3 python3-apt"
    " systemd systemd-sysv tcpdump"
).split()
# Each line is downloaded as one installation, with what it depends on; hypervisors without what they recommend, which
# is ten times as much.
REPOSITORY_PACKAGES = (
    "frr frr-pythontools",
    "bird2",
    "lldpd",
    "arping conntrack ndisc6 iperf3 traceroute",
    "ifupdown bridge-utils",
    "ifupdown2",
    "netplan.io",
    "network-manager",
    "sqlite3 jq",
    "--no-install-recommends qemu-system-x86 libvirt-daemon-system libvirt-clients python3-libvirt genisoimage",
    "--no-install-recommends lxc python3-lxc",
    "--no-install-recommends linux-image-cloud-amd64 busybox-static",
    "--no-install-recommends cloud-init",
    "--no-install-recommends novnc websockify nginx openssl",
)
# What one Debian alone has, or what is tested on one alone: Incus goes on where LXD was.
SYSTEM_PACKAGES = {
    "bookworm": ("--no-install-recommends lxd",),
    "trixie": ("--no-install-recommends incus-base",),
}
# What has no use in a container, or would work on its own account in the middle of a test.
MASKED_UNITS = (
    "apt-daily.timer apt-daily-upgrade.timer console-getty.service dpkg-db-backup.timer e2scrub_all.timer"
    " e2scrub_reap.service fstrim.timer getty.target logrotate.timer man-db.timer systemd-firstboot.service"
    " systemd-modules-load.service systemd-networkd-wait-online.service systemd-pcrlock-make-policy.service"
    " systemd-tpm2-setup.service"
).split()
DOWNLOAD_HOOK = """#!/bin/sh
# Run by mmdebstrap with the root as $1: download what roles install, and make a flat repository of it.
set -eu
repository="$1/{repository}"
mkdir -p "$repository/partial"
while read -r packages; do
    # shellcheck disable=SC2086
    APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -y -q install --download-only \\
        -o APT::Install-Recommends=true -o Dir::Cache::Archives="$repository" $packages
done < "$(dirname "$0")/downloads"
rm -rf "$repository/partial" "$repository/lock"
chmod 755 "$1/var/lib/vmcluster-lab" "$repository"
cd "$repository"
dpkg-scanpackages --multiversion . > Packages
"""

Report = Callable[[str], None]


def cache_folder() -> Path:
    """Where roots are kept between labs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmcluster-lab" / "roots"


def recipe_hash(*parts: object) -> str:
    """A short hash of what a root is made from."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def base_root(system: str) -> Path:
    """Where the root of a system is, built or not."""
    recipe = recipe_hash(system, PREINSTALLED, downloads_of(system), MASKED_UNITS, DOWNLOAD_HOOK, CONFIGURATION)
    return cache_folder() / f"{system}-{recipe}"


def downloads_of(system: str) -> tuple[str, ...]:
    """The packages in a system's repository, one installation a line."""
    return (*REPOSITORY_PACKAGES, *SYSTEM_PACKAGES.get(system, ()))


def layer_root(system: str, packages: Iterable[str]) -> Path:
    """Where the layer is that adds packages to a system's root, built or not."""
    base = base_root(system)
    return base.with_name(f"{base.name}+{recipe_hash(sorted(packages))}")


def provide_roots(system: str, packages: Sequence[str], mirror: str, report: Report) -> tuple[Path, ...]:
    """The roots to stack for a host, uppermost first; those not in the cache are built.

    `mirror` is the URL of a Debian mirror, empty for the one that this machine's apt uses.
    """
    base = base_root(system)
    provide_folder(base, lambda draft: build_base(system, draft, mirror or find_mirror()), report)
    if not packages:
        return (base,)
    layer = layer_root(system, packages)
    provide_folder(layer, lambda draft: build_layer(base, draft, packages), report)
    return (layer, base)


def provide_folder(final: Path, build: Callable[[Path], None], report: Report) -> None:
    """Build the folder unless it's there. It gets its name when it is whole; other builders wait for this one."""
    if final.exists():
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    lock = final.with_name(f"{final.name}.lock")
    if lock.exists():
        report(f"waiting for {final.name}, which another builds")
    with locked_file(lock, BUILD_TIMEOUT, f"{final.name} is being built by another"):
        if final.exists():
            return
        report(f"building {final.name} (once; kept in {final.parent})")
        draft = final.with_name(f"{final.name}.draft")
        discard(draft)  # of a builder that was killed
        try:
            build(draft)
            draft.joinpath("root").rename(final)
        finally:
            discard(draft)
        report(f"built {final.name}")


def discard(draft: Path) -> None:
    """Remove a draft, with the mounts that a killed builder may have left in it."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        target = line.split()[1]
        if target.startswith(f"{draft}/"):
            run_command(["umount", "--lazy", target], check=False)
    shutil.rmtree(draft, ignore_errors=True)


def find_mirror() -> str:
    """The Debian mirror in this machine's apt configuration."""
    # Where apt has no lists yet, the origin of a source is unknown: then a source of Debian's is told by its suite.
    for chosen in ("Origin: Debian", "Label: Debian"), *((f"Release: {suite}", "Component: main") for suite in SUITES):
        asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", *chosen]
        if lines := run_command(asked).stdout.split():
            return lines[0]
    raise LabError(
        "this machine's apt configuration names no Debian mirror;"
        " name one with `lab/lab up --mirror URL` or VMCLUSTER_LAB_MIRROR"
    )


def build_base(system: str, draft: Path, mirror: str) -> None:
    """Build a system's root in draft/root."""
    if not KEYRING.exists():
        raise LabError(f"{KEYRING} is missing: install debian-archive-keyring")
    draft.mkdir(parents=True)
    hook = draft / "download"
    hook.write_text(DOWNLOAD_HOOK.format(repository=REPOSITORY))
    hook.chmod(0o755)
    (draft / "downloads").write_text("".join(f"{line}\n" for line in downloads_of(system)))
    run_builder(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=apt",
            "--format=directory",
            f"--include={','.join(PREINSTALLED)}",
            f'--customize-hook={hook} "$1"',
            system,
            str(draft / "root"),
            f"deb [signed-by={KEYRING}] {mirror} {system} main",
            f"deb [signed-by={KEYRING}] {mirror} {system}-updates main",
        ],
        draft,
    )
    configure_root(draft / "root")


CONFIGURATION = {
    "etc/apt/sources.list": f"deb [trusted=yes] file:/{REPOSITORY} ./\n",
    "etc/apt/apt.conf.d/90lab": 'Acquire::Languages "none";\n',
    "etc/resolv.conf": "# no name server in the lab\n",
    "etc/fstab": "",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\nRateLimitBurst=0\n",
    "etc/systemd/system.conf.d/lab.conf": "[Manager]\nDefaultTimeoutStopSec=10s\n",
    # DNS lookups would only make logging in slow.
    "etc/ssh/sshd_config.d/lab.conf": "UseDNS no\n",
}


def configure_root(root: Path) -> None:
    """Turn what mmdebstrap made into a host's root: local repository, no host keys, no units of no use."""
    for path, content in CONFIGURATION.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(content)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").unlink(missing_ok=True)
    for unit in MASKED_UNITS:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    run_command(["chroot", root, "apt-get", "-q", "update"], timeout=60)
    run_command(["chroot", root, "passwd", "--delete", "root"])


def build_layer(base: Path, draft: Path, packages: Sequence[str]) -> None:
    """Install packages over a root, from the repository in it, and leave what they added in draft/root."""
    for folder in ("root", "work", "merged"):
        (draft / folder).mkdir(parents=True)
    merged = draft / "merged"
    script = f"""
set -eu
mount -t overlay overlay -o lowerdir={base},upperdir={draft}/root,workdir={draft}/work {merged}
mount -t proc proc {merged}/proc
mount --rbind /dev {merged}/dev
printf '#!/bin/sh\\nexit 101\\n' > {merged}/usr/sbin/policy-rc.d
chmod 755 {merged}/usr/sbin/policy-rc.d
DEBIAN_FRONTEND=noninteractive chroot {merged} apt-get -y -q install --no-install-recommends {" ".join(packages)}
rm {merged}/usr/sbin/policy-rc.d
chroot {merged} apt-get clean
"""
    run_builder(["unshare", "--net", "sh", "-c", script], draft)
    # The overlay's own attributes on its top folder mean nothing to the next overlay.
    (draft / "root").chmod(0o755)


def run_builder(argv: Sequence[str], draft: Path) -> None:
    """Run a builder with its output in draft/log; a failure shows the end of it."""
    log = draft / "log"
    # In a pid namespace that ends with this process: a builder that outlived it would work on a draft that's discarded.
    bound = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    with open(log, "wb") as output:
        try:
            done = subprocess.run(
                [*bound, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=BUILD_TIMEOUT,
                check=False,
            )
        except FileNotFoundError as missing:
            raise LabError(
                f"{argv[0]} is not installed; lab/requirements-apt.txt lists what the lab needs"
            ) from missing
        except subprocess.TimeoutExpired as late:
            raise LabError(f"{argv[0]} did not end within {BUILD_TIMEOUT:.0f} s") from late
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise LabError(f"{argv[0]} ended with {done.returncode}:\n{tail}")
