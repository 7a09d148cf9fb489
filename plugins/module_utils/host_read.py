# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a host's interfaces and routes from the kernel, and who manages them. Nothing changes."""

from __future__ import annotations

import contextlib
import glob
import ipaddress
import json
import os
import stat
import subprocess
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.vmcluster.network.plugins.module_utils import apply, host_ifupdown, host_nm
from ansible_collections.vmcluster.network.plugins.module_utils.host_files import CLOUD_INIT_PATH, SYSCTL_PATH, File
from ansible_collections.vmcluster.network.plugins.module_utils.host_networkd import FOLDER as NETWORKD_FOLDER
from ansible_collections.vmcluster.network.plugins.module_utils.host_plan import DEFAULTS, Connection, Nic

READ_TIMEOUT = 30  # seconds
NETPLAN_FILES = "/etc/netplan/*.yaml"
NETWORKD_FILES = tuple(f"{top}/systemd/network/*.network" for top in ("/etc", "/run", "/usr/lib", "/lib"))
IFUPDOWN_FILES = (host_ifupdown.MAIN, f"{host_ifupdown.FOLDER}/*")
"""More where these say so."""


class ReadError(Exception):
    """The host cannot be read; the message holds the command and what it said."""


class Link(NamedTuple):
    """One interface as the kernel has it. mac: the one it was built with. id: VLAN; mode: of a bond. addresses: with
    length, of all scopes."""

    name: str
    kind: str = ""
    mac: str = ""
    current_mac: str = ""
    mtu: int = 0
    up: bool = False
    carrier: bool = False
    master: str = ""
    link: str = ""
    physical: bool = False
    pci: str = ""
    id: int = 0
    mode: str = ""
    addresses: Tuple[str, ...] = ()
    duplicates: Tuple[str, ...] = ()

    def as_nic(self) -> Nic:
        return Nic(self.name, self.mac, self.pci, self.physical, self.master, self.carrier, self.link)


class KernelRoute(NamedTuple):
    """A route of the main table; to: a prefix. via and dev are empty for a route of several next hops, and for one by
    which the prefix is unreachable."""

    to: str
    via: str = ""
    dev: str = ""
    metric: int = 0
    protocol: str = ""
    unreachable: bool = False


class Kernel(NamedTuple):
    """What the kernel has."""

    links: Mapping[str, Link]
    routes: Tuple[KernelRoute, ...] = ()


class Evidence(NamedTuple):
    """What tells who manages a host's network.

    netplan: texts of its files by path. nm: state by interface, networkd: set-up by interface, both empty when it does
    not run. active: profiles of NetworkManager that are active, UUID by interface. ifupdown: interfaces with stanzas.
    cloud_init: whether cloud-init is there, which may write its files of netplan and ifupdown again at each boot.
    """

    netplan: Mapping[str, str] = {}
    nm: Mapping[str, str] = {}
    active: Mapping[str, str] = {}
    networkd: Mapping[str, str] = {}
    ifupdown: Tuple[str, ...] = ()
    cloud_init: bool = False


def read_kernel() -> Kernel:
    """Return the host's interfaces and the routes of its main table."""
    shown = [json.loads(_ask("ip", *words) or "[]") for words in (
        ("-j", "-d", "addr", "show"), ("-j", "-4", "route", "show"), ("-j", "-6", "route", "show"))]
    contained = os.path.exists("/run/systemd/container")
    links = [_with_device(parse_link(entry, contained)) for entry in shown[0] if entry.get("ifname")]
    routes = [parse_route(entry, family) for family, dump in (("ipv4", shown[1]), ("ipv6", shown[2])) for entry in dump]
    return Kernel({link.name: link for link in links}, tuple(routes))


def parse_link(entry: Mapping[str, Any], contained: bool = False) -> Link:
    """Read an entry of `ip -j -d addr show`; contained: on a host that is a container, whose NICs are ends of pairs."""
    info = entry.get("linkinfo", {})
    kind, data = info.get("info_kind", ""), info.get("info_data", {})
    flags = entry.get("flags", ())
    addresses = [each for each in entry.get("addr_info", ()) if each.get("local")]
    return Link(
        name=entry["ifname"], kind=kind, mac=entry.get("permaddr") or entry.get("address", ""),
        current_mac=entry.get("address", ""), mtu=entry.get("mtu", 0), up="UP" in flags, carrier="LOWER_UP" in flags,
        master=entry.get("master", ""), link=entry.get("link", ""),
        id=data.get("id", 0) if kind == "vlan" else 0, mode=data.get("mode", "") if kind == "bond" else "",
        physical=contained and kind == "veth" and "link_netnsid" in entry,
        addresses=tuple(f"{each['local']}/{each['prefixlen']}" for each in addresses),
        duplicates=tuple(each["local"] for each in addresses if each.get("dadfailed")))


def parse_route(entry: Mapping[str, Any], family: str) -> KernelRoute:
    """Read an entry of `ip -j route show`."""
    to = DEFAULTS[family] if entry["dst"] == "default" else str(ipaddress.ip_network(entry["dst"], strict=False))
    via = entry.get("gateway") or entry.get("via", {}).get("host", "")
    unreachable = entry.get("type") == "unreachable"
    dev = "" if unreachable else entry.get("dev", "")
    return KernelRoute(to, via, dev, entry.get("metric", 0), str(entry.get("protocol", "")), unreachable)


def read_evidence() -> Evidence:
    """Return what tells who manages the host's network."""
    nm, active = _read_nm()
    stanzas = [name for text in _texts(_ifupdown_paths([host_ifupdown.MAIN])).values()
               for name in host_ifupdown.defined_names(text)]
    return Evidence(
        netplan=_texts([NETPLAN_FILES]) if _has("netplan") else {}, nm=nm, active=active, networkd=_read_networkd(),
        ifupdown=tuple(stanzas) if _has("ifup") else (), cloud_init=os.path.isdir(os.path.dirname(CLOUD_INIT_PATH)))


def read_files(manager: str) -> Dict[str, File]:
    """Return the files of a manager that are ours or may be touched, and our sysctls, by path."""
    patterns: Dict[str, Iterable[str]] = {
        "networkd": NETWORKD_FILES + (f"{NETWORKD_FOLDER}/*.netdev",), "netplan": [NETPLAN_FILES],
        "nm": [f"{host_nm.FOLDER}/{host_nm.OURS}*"], "ifupdown": _ifupdown_paths(IFUPDOWN_FILES)}
    paths = {path for pattern in (*patterns[manager], SYSCTL_PATH, CLOUD_INIT_PATH) for path in glob.glob(pattern)}
    return {path: read_file(path) for path in sorted(paths) if os.path.isfile(path)}


def read_connection() -> Optional[Connection]:
    """Return where this process's SSH connection comes from and to; None when there is none.

    sudo drops the variable that says so, so parent processes are looked at as well.
    """
    pid = os.getpid()
    while pid > 1:
        with contextlib.suppress(OSError):
            for variable in _read_bytes(f"/proc/{pid}/environ").split(b"\0"):
                words = variable.decode("ascii", "replace").split()
                if variable.startswith(b"SSH_CONNECTION=") and len(words) == 4:
                    return Connection(_bare(words[0].partition("=")[2]), _bare(words[2]))
        try:
            pid = int(_read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
        except (OSError, ValueError):
            break
    return None


def _bare(address: str) -> str:
    """An address without zone; an IPv4 one that OpenSSH shows as IPv6 is IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _with_device(link: Link) -> Link:
    device = os.path.realpath(f"/sys/class/net/{link.name}/device")
    if not os.path.isdir(device) or device.endswith("/device"):
        return link
    bus = os.path.basename(os.path.realpath(f"{device}/subsystem"))
    while bus == "virtio" and len(device) > 1:  # stands on a PCI device
        device = os.path.dirname(device)
        bus = os.path.basename(os.path.realpath(f"{device}/subsystem"))
    return link._replace(physical=True, pci=os.path.basename(device) if bus == "pci" else "")


def _read_nm() -> Tuple[Dict[str, str], Dict[str, str]]:
    if not _has("nmcli"):
        return {}, {}
    shown = _ask("nmcli", "-t", "-e", "no", "-f", "STATE,CON-UUID,DEVICE", "device", check=False)
    rows = [line.split(":", 2) for line in shown.splitlines() if line.count(":") >= 2]
    active = {name: uuid for state, uuid, name in rows if uuid and state == "connected"}
    return {name: state for state, _uuid, name in rows}, active


def _read_networkd() -> Dict[str, str]:
    if _ask("systemctl", "is-active", "systemd-networkd", check=False).strip() != "active":
        return {}
    rows = [line.split() for line in _ask("networkctl", "list", "--no-legend", "--no-pager", check=False).splitlines()]
    return {row[1]: row[4] for row in rows if len(row) == 5}


def _ifupdown_paths(patterns: Sequence[str]) -> List[str]:
    """These files of ifupdown, and those that they read."""
    found: List[str] = []
    left = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
    while left:
        path = left.pop(0)
        if path not in found and os.path.isfile(path):
            found.append(path)
            left += [each for pattern in host_ifupdown.sourced_paths(read_file(path).text)
                     for each in sorted(glob.glob(pattern))]
    return found


def _texts(patterns: Sequence[str]) -> Dict[str, str]:
    paths = sorted({path for pattern in patterns for path in glob.glob(pattern)})
    return {path: read_file(path).text for path in paths if os.path.isfile(path)}


def read_file(path: str) -> File:
    """Return a file's text and permissions."""
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return File(stream.read(), stat.S_IMODE(os.fstat(stream.fileno()).st_mode))


def _read_bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _has(program: str) -> bool:
    return any(os.access(f"{folder}/{program}", os.X_OK) for folder in apply.PROGRAM_PATH.split(":"))


def _ask(*argv: str, check: bool = True) -> str:
    """Return what a program prints that changes nothing."""
    try:
        done = subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", timeout=READ_TIMEOUT, check=False,
            env={"PATH": apply.PROGRAM_PATH, "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReadError(f"{' '.join(argv)}: {error}") from error
    if check and done.returncode:
        raise ReadError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def ask(*argv: str) -> str:
    """Return what a program prints that changes nothing; nothing when it is not there or fails."""
    with contextlib.suppress(ReadError):
        return _ask(*argv, check=False) if _has(argv[0]) else ""
    return ""


def read_records(path: str) -> Optional[Dict[str, Any]]:
    """Return the object in a file of JSON; None when there is none that can be read."""
    try:
        found = json.loads(_read_bytes(path))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def addresses_besides(kernel: Kernel, names: Iterable[str]) -> Dict[str, Tuple[str, ...]]:
    """Return by interface the addresses of all that have other names than these."""
    chosen = set(names)
    return {name: link.addresses for name, link in kernel.links.items() if name not in chosen}
