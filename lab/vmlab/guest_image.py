# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a qemu guest boots: Debian's cloud kernel, and a small initramfs of busybox, Perl and virtio modules.

Both are made from the packages in the root of the lab's hosts and kept beside the roots.
"""

from __future__ import annotations

import gzip
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from .commands import run_command
from .errors import LabError
from .roots import REPOSITORY, Report, base_root, cache_folder, provide_folder, provide_roots, recipe_hash
from .state import CHECKOUT

SYSTEM = "bookworm"  # guests are the same on nodes of every system, and so is the qemu that runs them
QEMU_PACKAGES = ("qemu-system-x86",)
SOURCES = CHECKOUT / "lab" / "guest_image"
MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "virtio_console", "isofs", "button", "evdev")
PERL_MODULES = ("Carp", "Exporter", "Exporter/Heavy", "Socket", "XSLoader", "constant", "strict", "warnings")
PERL_FOLDER = "usr/lib/x86_64-linux-gnu/perl-base"
LIBRARIES = "libc.so.6 libcrypt.so.1 libm.so.6".split()
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")

Entry = tuple[int, bytes]  # mode and content of a file, or the target of a link


def provide_guest_image(report: Report) -> Path:
    """The folder with `vmlinuz` and `initramfs`; made when it isn't in the cache."""
    provide_roots(SYSTEM, (), "", report)
    sources = [path.read_text() for path in sorted(SOURCES.iterdir())]
    name = f"guest-{recipe_hash(base_root(SYSTEM).name, MODULES, PERL_MODULES, sources)}"
    final = cache_folder() / name
    provide_folder(final, build_image, report)
    return final


def provide_qemu_root(report: Report) -> tuple[Path, ...]:
    """The roots, uppermost first, of the Debian in which qemu runs."""
    return provide_roots(SYSTEM, QEMU_PACKAGES, "", report)


def build_image(draft: Path) -> None:
    """Make kernel and initramfs in draft/root."""
    unpacked = draft / "unpacked"
    packages = base_root(SYSTEM) / REPOSITORY
    unpacked.mkdir(parents=True)
    for pattern in ("linux-image-*-cloud-amd64_*.deb", "busybox-static_*.deb"):
        found = [path for path in packages.glob(pattern) if not path.name.startswith("linux-image-cloud")]
        if not found:
            raise LabError(f"{packages} has no {pattern}")
        run_command(["dpkg-deb", "-x", found[-1], unpacked], timeout=60)
    target = draft / "root"
    target.mkdir()
    shutil.copy(next((unpacked / "boot").glob("vmlinuz-*")), target / "vmlinuz")
    entries = {**list_programs(unpacked, base_root(SYSTEM)), **list_modules(unpacked)}
    # Little compression: an emulated processor takes seconds to undo much of it.
    (target / "initramfs").write_bytes(gzip.compress(b"".join(write_archive(entries)), 1))


def list_programs(unpacked: Path, root: Path) -> dict[str, Entry]:
    """Init, busybox under all its names, and Perl with what it needs."""
    busybox = unpacked / "bin" / "busybox"
    entries = {"init": read_entry(SOURCES / "init", 0o755), "guest.pl": read_entry(SOURCES / "guest.pl")}
    entries["bin/busybox"] = read_entry(busybox, 0o755)
    for applet in run_command([busybox, "--list"]).stdout.split():
        entries.setdefault(f"bin/{applet}", (stat.S_IFLNK | 0o777, b"busybox"))
    entries["bin/perl"] = read_entry(root / "usr/bin/perl", 0o755)
    loader = (root / "lib64/ld-linux-x86-64.so.2").readlink().name
    libraries = root / "usr/lib/x86_64-linux-gnu"
    entries["lib64/ld-linux-x86-64.so.2"] = read_entry(libraries / loader, 0o755)
    entries |= {f"lib/x86_64-linux-gnu/{name}": read_entry(libraries / name) for name in LIBRARIES}
    files = [f"{name}.pm" for name in PERL_MODULES] + ["warnings/register.pm", "auto/Socket/Socket.so"]
    return entries | {f"{PERL_FOLDER}/{name}": read_entry(root / PERL_FOLDER / name) for name in files}


def list_modules(unpacked: Path, modules: Iterable[str] = MODULES) -> dict[str, Entry]:
    """The kernel's modules that a guest needs and has not built in, and the order in which to load them."""
    files = {path.stem.replace("-", "_"): path for path in unpacked.glob("lib/modules/*/kernel/**/*.ko")}
    order: list[str] = []

    def add(name: str) -> None:
        if name in files and name not in order:
            told = DEPENDS.search(files[name].read_bytes())
            for needed in (told[1].decode() if told else "").split(","):
                add(needed.replace("-", "_"))
            order.append(name)

    for name in modules:
        add(name)
    listed = (stat.S_IFREG | 0o644, "".join(f"{name}\n" for name in order).encode())
    return {"modules/order": listed} | {f"modules/{name}.ko": read_entry(files[name]) for name in order}


def read_entry(path: Path, mode: int = 0o644) -> Entry:
    """A file for the archive."""
    return stat.S_IFREG | mode, path.read_bytes()


def write_archive(entries: Mapping[str, Entry]) -> Iterator[bytes]:
    """The archive that the kernel unpacks (format newc: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    folders = {str(parent) for name in entries for parent in Path(name).parents if str(parent) != "."}
    everything = dict.fromkeys(sorted(folders | {"proc", "sys", "dev", "tmp", "mnt"}), (stat.S_IFDIR | 0o755, b""))
    for number, (name, (mode, content)) in enumerate((everything | dict(entries)).items(), start=1):
        yield write_member(number, name, mode, content)
    yield write_member(0, "TRAILER!!!", 0, b"")


def write_member(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One member of the archive: header, name and content, each filled up to a multiple of four bytes."""
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)
