# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machines with Debian's kernel at the trunk ports of one switch, one for each manager of a host's network.

Their operators gave them addresses without a tag. Role host_network moves these into VLANs on a bond of two ports, over
the connection that is moved.
"""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .guest_image import Entry
from .machines import MANAGERS, Machine, Switch
from .netns import inside_netns
from .own_networks import CONFIGURATION, PLAY, STATE, arguments, parse_state
from .playbooks import PlaybookRun, playbook_command, playbook_environment, run_playbook
from .stories import wait_until
from .trunk_port import TrunkPort

SET_UP_TIMEOUT = 120  # seconds after the boot; 1 on an idle machine
GATEWAY, VLAN = "10.20.0.254", 10
ADDRESSES = {manager: f"10.20.0.{number}" for number, manager in enumerate(sorted(MANAGERS), 11)}
OPERATORS = {
    "ifupdown": ("etc/network/interfaces", 0o644, """auto lo
iface lo inet loopback
auto eth0
iface eth0 inet static
    address {address}/24
    gateway {gateway}
"""),
    "networkd": ("etc/systemd/network/20-lan.network", 0o644, """[Match]
Name=eth0

[Network]
Address={address}/24
Gateway={gateway}
IPv6AcceptRA=no
"""),
    "netplan": ("etc/netplan/50-installer.yaml", 0o600, """network:
  version: 2
  renderer: networkd
  ethernets:
    eth0:
      addresses: [{address}/24]
      routes:
        - to: default
          via: {gateway}
      accept-ra: false
"""),
    "nm": ("etc/NetworkManager/system-connections/lan.nmconnection", 0o600, """[connection]
id=lan
uuid=5f4d9bd0-8d3a-4e7c-a1a7-0f6e3c2d9b11
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1={address}/24,{gateway}

[ipv6]
method=link-local
"""),
}


def operators_files(manager: str) -> dict[str, str | Entry]:
    """What a machine's operator has written for its manager."""
    path, mode, text = OPERATORS[manager]
    content = text.format(address=ADDRESSES[manager], gateway=GATEWAY)
    return {path: (stat.S_IFREG | mode, content.encode())}


def trunk_plan(address: str, vlan: int = VLAN) -> list[dict[str, Any]]:
    """The list for `host_network_interfaces`: the host in one VLAN, VMs in another, both on a bond."""
    return [
        {"name": "bond0", "kind": "bond", "ports": ["eth0", "eth1"], "link_local": False},
        {"name": f"vlan{vlan}", "kind": "vlan", "link": "bond0", "id": vlan, "link_local": False},
        {"name": "br0", "kind": "bridge", "ports": [f"vlan{vlan}"], "addresses": [f"{address}/24"],
         "routes": [{"to": "default", "via": GATEWAY}]},
        {"name": "vlan100", "kind": "vlan", "link": "bond0", "id": 100, "link_local": False},
        {"name": "br100", "kind": "bridge", "ports": ["vlan100"], "link_local": False},
    ]


class TrunkMachines:
    """A machine for each of some managers, at one switch whose port to the controller is in VLAN 10.

    Its name is part of the names of what it makes; folder is for the machines' files. Use it with `with`.
    """

    def __init__(self, name: str, folder: Path, managers: Iterable[str] = MANAGERS) -> None:
        self.name = name
        self.switch = Switch(name)
        self.machines = {
            manager: Machine(self.switch, folder / manager, operators_files(manager), number=number, manager=manager)
            for number, manager in enumerate(managers, 1)}
        self.open = contextlib.ExitStack()

    def __enter__(self) -> TrunkMachines:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.switch)
            stack.enter_context(TrunkPort(self.switch.netns, f"{GATEWAY}/24", VLAN))
            for machine in self.machines.values():  # all boot at the same time
                stack.callback(machine.end)
                machine.start()
            for machine in self.machines.values():
                machine.wait_until_ready()
            wait_until(lambda: all(map(self.is_set_up, self.machines)), SET_UP_TIMEOUT, "the machines are set up")
            self.inventories = [machine.write_inventory(manager, ansible_host=ADDRESSES[manager])
                                for manager, machine in self.machines.items()]
            self.open = stack.pop_all()
        return self

    def __exit__(self, *_error: Any) -> None:
        self.open.close()

    def __iter__(self) -> Iterable[str]:
        return iter(self.machines)

    def plans(self, vlan: int = VLAN) -> dict[str, list[dict[str, Any]]]:
        """The plan of each machine."""
        return {manager: trunk_plan(ADDRESSES[manager], vlan) for manager in self.machines}

    def play(self, plans: dict[str, list[dict[str, Any]]], *options: str, check: bool = True, timeout: float = 900,
             **variables: Any) -> PlaybookRun:
        """Run the role on all machines at once."""
        with inside_netns(self.switch.netns_file):
            return run_playbook(self.name, PLAY, *options, *self.arguments(plans, variables),
                                inventory=self.inventories, check=check, timeout=timeout)

    def play_in_background(self, plans: dict[str, list[dict[str, Any]]], **variables: Any) -> subprocess.Popen[str]:
        """Start the role on all machines at once."""
        with inside_netns(self.switch.netns_file):
            return subprocess.Popen(
                playbook_command(PLAY, *self.arguments(plans, variables), inventory=self.inventories),
                env=playbook_environment(self.name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def arguments(self, plans: dict[str, list[dict[str, Any]]], variables: dict[str, Any]) -> tuple[str, ...]:
        return arguments(plans=plans, host_network_interfaces="{{ plans[inventory_hostname] }}", **variables)

    def read_state(self, manager: str) -> dict[str, Any]:
        """What the kernel has: addresses but link-local ones, masters, default routes."""
        return parse_state(*(self.machines[manager].ask(asked) for asked in STATE))

    def read_configuration(self, manager: str) -> str:
        """All files of all managers, with their modes."""
        return self.machines[manager].ask(CONFIGURATION)

    def read_links(self, manager: str) -> dict[str, dict[str, Any]]:
        """What the kernel tells of each interface."""
        return {link["ifname"]: link for link in json.loads(self.machines[manager].ask("ip -d -j addr"))}

    def is_set_up(self, manager: str) -> bool:
        """Whether a machine's manager has done what its operator's files say, and it is reached."""
        state = self.read_state(manager)
        address = ("eth0", ADDRESSES[manager], 24)
        return address in state["addresses"] and bool(state["default"]) and self.is_reached(manager)

    def reboot(self) -> None:
        """Have all machines boot anew, beside each other, in good order."""
        with ThreadPoolExecutor(len(self.machines)) as workers:
            for rebooted in [workers.submit(machine.reboot) for machine in self.machines.values()]:
                rebooted.result()

    def is_reached(self, manager: str) -> bool:
        """Whether a machine's SSH answers in the controller's VLAN."""
        with inside_netns(self.switch.netns_file), contextlib.suppress(OSError):
            with socket.create_connection((ADDRESSES[manager], 22), timeout=10) as link:
                return link.recv(4) == b"SSH-"
        return False
