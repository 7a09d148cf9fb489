# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The RPCs about the device itself: what PyEZ gathers as facts."""

from __future__ import annotations

import time
from collections.abc import Callable

from lxml import etree

from .database import Database
from .messages import JUNOS, build

VERSION = "23.4R1.10"
MODEL = "mx480"
SERIAL = "JUNOS-SIMULATOR"
BOOTED = time.time()
Answer = list[etree._Element]
FILES = {"/etc/hosts.junos": "128.0.0.1 master\n128.0.0.4 re0\n"}


def read_host_name(database: Database) -> str:
    """The device's name as it is configured."""
    return database.running.read("system", "host-name", default="junos-simulator")


def get_software(database: Database, _rpc: etree._Element) -> Answer:
    """<get-software-information>: it says openly that this is a simulator."""
    return [build(
        "software-information",
        ("host-name", read_host_name(database)),
        ("product-model", MODEL),
        ("product-name", MODEL),
        ("junos-version", VERSION),
        build("package-information", ("name", "junos"), ("comment", f"Junos simulator, speaks as JUNOS [{VERSION}]")),
    )]


def get_software_of_all(database: Database, rpc: etree._Element) -> Answer:
    """`show version invoke-on all-routing-engines`."""
    item = build("multi-routing-engine-item", ("re-name", "re0"), *get_software(database, rpc))
    return [build("multi-routing-engine-results", item)]


def get_system(database: Database, _rpc: etree._Element) -> Answer:
    """<get-system-information>."""
    return [build("system-information", ("hardware-model", MODEL), ("os-name", "junos"), ("os-version", VERSION),
                  ("serial-number", SERIAL), ("host-name", read_host_name(database)))]


def get_route_engines(_database: Database, _rpc: etree._Element) -> Answer:
    """<get-route-engine-information>."""
    engine = build("route-engine", ("slot", 0), ("mastership-state", "master"), ("status", "OK"),
                   ("model", "RE-S-X6-64G"), ("last-reboot-reason", "Router rebooted after a normal shutdown."),
                   ("up-time", f"{int(time.time() - BOOTED)} seconds"))
    return [build("route-engine-information", engine)]


def get_chassis(_database: Database, _rpc: etree._Element) -> Answer:
    """<get-chassis-inventory>."""
    chassis = build("chassis", ("name", "Chassis"), ("serial-number", SERIAL), ("description", MODEL.upper()))
    return [build("chassis-inventory", chassis)]


def get_uptime(_database: Database, _rpc: etree._Element) -> Answer:
    """<get-system-uptime-information>: the device's clock."""
    return [build("system-uptime-information", build("current-time", date_time(time.time())),
                  build("system-booted-time", date_time(BOOTED)))]


def date_time(at: float) -> etree._Element:
    """A time as Junos writes it, with its seconds since 1970 as attribute."""
    element = etree.Element("date-time", nsmap={"junos": JUNOS})
    element.set(f"{{{JUNOS}}}seconds", str(int(at)))
    element.text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    return element


def get_interfaces(database: Database, rpc: etree._Element) -> Answer:
    """<get-interface-information>: addresses as they are configured; the private instance has re0's own."""
    information = etree.Element("interface-information")
    if rpc.findtext("routing-instance") == "__juniper_private1__":
        addresses = [("em0.0", "inet", "128.0.0.1/2"), ("em0.0", "inet", "128.0.0.4/2")]
    else:
        addresses = list(read_addresses(database))
    for name, family, address in addresses:
        information.append(build(
            "logical-interface", ("name", name), ("admin-status", "up"), ("oper-status", "up"),
            build("address-family", ("address-family-name", family),
                  build("interface-address", ("ifa-local", address)))))
    return [information]


def read_addresses(database: Database) -> list[tuple[str, str, str]]:
    """Logical interface, family and address of all addresses that are configured."""
    interfaces = database.running.find("interfaces")
    return [
        (f"{interface.key}.{unit.key}", family.key, address.key)
        for interface in (interfaces.active("") if interfaces else ())
        for unit in interface.active("unit")
        for family in unit.active("family")
        for address in family.active("address")
    ]


def show_file(_database: Database, rpc: etree._Element) -> Answer:
    """<file-show>: the one file that PyEZ looks into."""
    name = rpc.findtext("filename") or ""
    if name not in FILES:
        return [build("output", ("message", f"could not resolve file: {name}"))]
    return [build("file-content", FILES[name])]


HANDLERS: dict[str, Callable[[Database, etree._Element], Answer]] = {
    "get-software-information": get_software,
    "get-system-information": get_system,
    "get-route-engine-information": get_route_engines,
    "get-chassis-inventory": get_chassis,
    "get-system-uptime-information": get_uptime,
    "get-interface-information": get_interfaces,
    "file-show": show_file,
}
COMMANDS = {
    "show version invoke-on all-routing-engines": get_software_of_all,
    "show version": get_software,
    "show chassis routing-engine": get_route_engines,
    "show chassis hardware": get_chassis,
    "show system uptime": get_uptime,
    "show system information": get_system,
}
