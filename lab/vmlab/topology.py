# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The topology file: which hosts the lab has, and how they are wired. Everything wrong with it is told at once."""

from __future__ import annotations

import copy
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import LabError

HOST_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
INTERFACE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,15}")
PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
UNIT_NAME = re.compile(r"[A-Za-z0-9@_.-]+\.(service|socket|timer)")
SYSTEMS = ("bookworm", "trixie")
NETWORK_KEYS = {"kind", "lab_addresses", "mtu"}
HOST_KEYS = {
    "system",
    "autostart",
    "interfaces",
    "loopback",
    "routes",
    "sysctls",
    "packages",
    "files",
    "enable",
    "own_network",
    "boot_commands",
    "junos",
}


@dataclass(frozen=True)
class Network:
    """A switch with any number of ports, or a wire, which has two ends and carries the link state through."""

    name: str
    kind: str
    lab_addresses: tuple[str, ...]
    mtu: int


@dataclass(frozen=True)
class Interface:
    """A host's port on a network. `addresses` are with prefix length, set before the host boots."""

    name: str
    network: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """A static route; `to` is a prefix or `default`."""

    to: str
    via: str


@dataclass(frozen=True)
class PlacedFile:
    """A file put on the host's disk before its first boot."""

    path: str
    content: str
    mode: int
    owner: str
    group: str


@dataclass(frozen=True)
class Host:
    """One machine of the data centre.

    own_network: addresses and routes are set by the host's own files; the lab only plugs its cables. enable: units that
    start at boot and whose package does not see to it.
    """

    name: str
    system: str
    autostart: bool
    interfaces: tuple[Interface, ...]
    loopback: tuple[str, ...]
    routes: tuple[Route, ...]
    sysctls: dict[str, str]
    packages: tuple[str, ...]
    files: tuple[PlacedFile, ...]
    enable: tuple[str, ...]
    own_network: bool
    boot_commands: tuple[str, ...]
    junos: str = ""

    def addresses(self) -> list[str]:
        """The host's addresses without prefix length, the one it is best known by first (loopback, then ports)."""
        ports = [address for interface in self.interfaces for address in interface.addresses]
        return [address.partition("/")[0] for address in (*self.loopback, *ports)]


@dataclass(frozen=True)
class Topology:
    """A checked topology; `source` is what it was made from, for the lab's state."""

    networks: dict[str, Network]
    hosts: dict[str, Host]
    source: dict[str, Any]

    def host(self, name: str) -> Host:
        """The host of this name; a LabError names those there are."""
        if name not in self.hosts:
            raise LabError(f"no host {name!r} in this lab; there are: {', '.join(self.hosts)}")
        return self.hosts[name]


def read_topology(path: Path) -> Topology:
    """Read and check a topology file. `extends: FILE` starts from another one; null removes what it named."""
    try:
        source = read_source(path, seen=())
    except OSError as error:
        raise LabError(f"can't read topology {path}: {error.strerror}") from error
    return build_topology(source, str(path))


def read_source(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The file's content with what it extends merged in and `source:` files read."""
    import yaml  # here, as supervisors and guest agents do without

    if path.resolve() in seen:
        raise LabError(f"topology {path} extends itself")
    try:
        source = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise LabError(f"topology {path} is no YAML: {error}") from error
    if not isinstance(source, dict):
        raise LabError(f"topology {path}: expected the keys networks and hosts")
    for host in (source.get("hosts") or {}).values():
        for placed in (*((host or {}).get("files") or {}).values(), (host or {}).get("junos")):
            if isinstance(placed, dict) and "source" in placed:
                placed["content"] = (path.parent / placed.pop("source")).read_text()
    base = source.pop("extends", None)
    if base is None:
        return source
    return merge(read_source(path.parent / base, (*seen, path.resolve())), source)


def merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`base` with `more` laid over it, key by key; null removes."""
    merged = copy.deepcopy(base)
    for key, value in more.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def build_topology(source: dict[str, Any], named: str) -> Topology:
    """Check `source` whole and turn it into a Topology; a LabError lists every problem."""
    problems = list(find_problems(source))
    if problems:
        raise LabError(f"topology {named}:\n" + "\n".join(f"  {problem}" for problem in problems))
    networks = {
        name: Network(
            name,
            (spec or {}).get("kind", "switch"),
            tuple((spec or {}).get("lab_addresses", ())),
            int((spec or {}).get("mtu", 1500)),
        )
        for name, spec in source["networks"].items()
    }
    hosts = {name: build_host(name, spec) for name, spec in source["hosts"].items()}
    return Topology(networks, hosts, source)


def build_host(name: str, spec: dict[str, Any]) -> Host:
    """A host from its checked description."""
    return Host(
        name=name,
        system=spec["system"],
        autostart=spec.get("autostart", True),
        interfaces=tuple(
            Interface(port, wired["network"], tuple(wired.get("addresses", ())))
            for port, wired in spec.get("interfaces", {}).items()
        ),
        loopback=tuple(spec.get("loopback", ())),
        routes=tuple(Route(route["to"], route["via"]) for route in spec.get("routes", ())),
        sysctls={key: str(value) for key, value in spec.get("sysctls", {}).items()},
        packages=tuple(spec.get("packages", ())),
        files=tuple(build_file(path, placed) for path, placed in spec.get("files", {}).items()),
        enable=tuple(spec.get("enable", ())),
        own_network=spec.get("own_network", False),
        boot_commands=tuple(spec.get("boot_commands", ())),
        junos=spec["junos"]["content"] if "junos" in spec else "",
    )


def build_file(path: str, placed: str | dict[str, Any]) -> PlacedFile:
    """A placed file from its short form (the content) or its long one."""
    if isinstance(placed, str):
        return PlacedFile(path, placed, 0o644, "root", "root")
    owner = placed.get("owner", "root")
    return PlacedFile(
        path, placed["content"], int(str(placed.get("mode", "644")), 8), owner, placed.get("group", owner)
    )


def find_problems(source: dict[str, Any]) -> Iterator[str]:
    """Everything wrong with a topology, each line naming the place and the remedy."""
    for key in source.keys() - {"description", "networks", "hosts"}:
        yield f"{key}: unknown key; there are description, extends, networks, hosts"
    networks, hosts = source.get("networks"), source.get("hosts")
    if not isinstance(networks, dict) or not isinstance(hosts, dict) or not hosts:
        yield "networks and hosts: both must be mappings from names, with one host at least"
        return
    for name, spec in networks.items():
        yield from find_network_problems(name, spec or {}, hosts)
    seen: dict[str, str] = {}
    for name, spec in hosts.items():
        if not isinstance(spec, dict):
            yield f"hosts.{name}: must be a mapping"
            continue
        yield from find_host_problems(name, spec, networks)
        for place, address in list_addresses(name, spec):
            bare = str(address).partition("/")[0]
            if bare in seen:
                yield f"{place}: {bare} is also at {seen[bare]}"
            seen[bare] = place


def find_network_problems(name: str, spec: dict[str, Any], hosts: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one network."""
    place = f"networks.{name}"
    for key in spec.keys() - NETWORK_KEYS:
        yield f"{place}.{key}: unknown key; there are {', '.join(sorted(NETWORK_KEYS))}"
    if spec.get("kind", "switch") not in ("switch", "wire"):
        yield f"{place}.kind: {spec['kind']!r} is neither switch nor wire"
    for address in spec.get("lab_addresses", ()):
        yield from find_address_problems(f"{place}.lab_addresses", address)
    if spec.get("kind") == "wire":
        ends = [
            f"{host}.{port}"
            for host, told in hosts.items()
            for port, wired in ((told or {}).get("interfaces") or {}).items()
            if isinstance(wired, dict) and wired.get("network") == name
        ]
        if len(ends) != 2:
            yield f"{place}: a wire has two ends, this one has {len(ends)}: {', '.join(ends) or 'none'}"


def find_host_problems(name: str, spec: dict[str, Any], networks: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one host."""
    place = f"hosts.{name}"
    if not HOST_NAME.fullmatch(str(name)):
        yield f"{place}: a host name has at most 31 of a-z, 0-9 and -, a letter first"
    for key in spec.keys() - HOST_KEYS:
        yield f"{place}.{key}: unknown key; there are {', '.join(sorted(HOST_KEYS))}"
    if spec.get("system") not in SYSTEMS:
        yield f"{place}.system: {spec.get('system')!r} is none of {', '.join(SYSTEMS)}"
    for key, default in (("autostart", True), ("own_network", False)):
        if not isinstance(spec.get(key, default), bool):
            yield f"{place}.{key}: must be true or false"
    for port, wired in spec.get("interfaces", {}).items():
        if not INTERFACE_NAME.fullmatch(port) or port == "lo":
            yield f"{place}.interfaces.{port}: an interface name has at most 15 of a-z, 0-9, - and _"
        if not isinstance(wired, dict) or wired.get("network") not in networks:
            yield f"{place}.interfaces.{port}.network: must be one of {', '.join(networks)}"
    for where, address in list_addresses(name, spec):
        yield from find_address_problems(where, address)
    for route in spec.get("routes", ()):
        if not isinstance(route, dict) or set(route) != {"to", "via"}:
            yield f"{place}.routes: {route!r}: a route has the keys to and via"
            continue
        if route["to"] != "default":
            yield from find_address_problems(f"{place}.routes", route["to"], network=True)
        yield from find_address_problems(f"{place}.routes", f"{route['via']}/32")
    for package in spec.get("packages", ()):
        if not PACKAGE_NAME.fullmatch(str(package)):
            yield f"{place}.packages: {package!r} is no Debian package name"
    for unit in spec.get("enable", ()):
        if not UNIT_NAME.fullmatch(str(unit)):
            yield f"{place}.enable: {unit!r} is no name of a unit, such as systemd-networkd.service"
    for path, placed in spec.get("files", {}).items():
        if not str(path).startswith("/") or ".." in str(path).split("/"):
            yield f"{place}.files: {path!r} must be an absolute path"
        if not isinstance(placed, str) and "content" not in (placed or {}):
            yield f"{place}.files.{path}: give the content, or a mapping with content or source"
    if "junos" in spec and not (isinstance(spec["junos"], dict) and isinstance(spec["junos"].get("content"), str)):
        yield f"{place}.junos: give a mapping with content or source, a Junos configuration as text"


def list_addresses(name: str, spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each address of a host with the place where it stands."""
    for address in spec.get("loopback", ()):
        yield f"hosts.{name}.loopback", address
    for port, wired in spec.get("interfaces", {}).items():
        for address in (wired or {}).get("addresses", ()):
            yield f"hosts.{name}.interfaces.{port}", address


def find_address_problems(place: str, address: object, *, network: bool = False) -> Iterator[str]:
    """What is wrong with an address, or with a prefix when `network` is set."""
    try:
        if "/" not in str(address):
            raise ValueError("has no prefix length")
        ipaddress.ip_network(str(address)) if network else ipaddress.ip_interface(str(address))
    except ValueError as error:
        yield f"{place}: {address!r}: {error}; give ADDRESS/PREFIXLENGTH"
