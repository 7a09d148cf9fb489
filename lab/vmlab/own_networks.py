# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts that configure their own network, one for each manager: the playbook that changes it, what they have then."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from .lab import Lab
from .playbooks import playbook_command, playbook_environment
from .state import CHECKOUT

TOPOLOGY = CHECKOUT / "lab" / "topologies" / "host_network.yml"
INVENTORY = CHECKOUT / "tests" / "lab" / "host_network.yml"
PLAY = str(CHECKOUT / "tests" / "lab" / "host_network_play.yml")
HOSTS = {"networkd": "10.20.0.11", "netplan": "10.20.0.12", "nm": "10.20.0.13", "ifupdown": "10.20.0.14"}
STRANGER = "10.20.0.50"
CHANGE = "/var/lib/vmcluster/host-network/change.json"
APPLIED = "/var/lib/vmcluster/host-network/applied.json"
OUTCOME = "/var/lib/vmcluster/host-network/outcome.json"
STATE = ("ip -j addr", "ip -j route show default")
FOLDERS = "/etc/systemd/network /etc/netplan /etc/NetworkManager/system-connections /etc/network"
CONFIGURATION = f"for f in $(find {FOLDERS} -type f 2>/dev/null | sort); do stat -c '%n %a' $f; cat $f; done"
SWAPPED = {"bookworm": "trixie", "trixie": "bookworm"}


def write_swapped(folder: Path) -> Path:
    """Write a topology that gives every manager the other Debian release; its path."""
    hosts = yaml.safe_load(TOPOLOGY.read_text())["hosts"]
    swapped = {name: {"system": SWAPPED[host["system"]]} for name, host in hosts.items()}
    topology = folder / "swapped.yml"
    topology.write_text(yaml.safe_dump({"extends": str(TOPOLOGY), "hosts": swapped}))
    return topology


def arguments(**variables: Any) -> tuple[str, ...]:
    """Arguments of ansible-playbook that hand it variables."""
    return ("-e", json.dumps(variables))


def read_state(lab: Lab, host: str) -> dict[str, Any]:
    """What the kernel has: addresses but link-local ones, masters, default routes."""
    return parse_state(*(lab.exec(host, ["sh", "-c", asked]).stdout for asked in STATE))


def parse_state(shown_links: str, shown_routes: str) -> dict[str, Any]:
    """The answers to STATE as one value that is the same for the same state."""
    links, routes = json.loads(shown_links), json.loads(shown_routes)
    return {
        "addresses": {(link["ifname"], each["local"], each["prefixlen"]) for link in links
                      for each in link["addr_info"] if each["scope"] == "global"},
        "masters": {link["ifname"]: link.get("master") for link in links},
        "default": {(route["dev"], route.get("gateway")) for route in routes},
    }


def read_configuration(lab: Lab, host: str) -> str:
    """All files of all managers, with their modes."""
    return lab.exec(host, ["sh", "-c", CONFIGURATION]).stdout


def ssh_command(lab: Lab, host: str, *command: str) -> list[str]:
    """The ssh command line by which the controller reaches a host over the network that is changed."""
    proxy = f"ProxyCommand={CHECKOUT}/lab/lab --name {lab.name} ssh-proxy %h %p"
    known = f"UserKnownHostsFile={lab.state.known_hosts}"
    return ["ssh", "-i", str(lab.state.key), "-o", "BatchMode=yes", "-o", known, "-o", proxy, f"root@{host}", *command]


def play_in_background(lab: Lab, **variables: Any) -> subprocess.Popen[str]:
    """Start the playbook on all hosts at once."""
    return subprocess.Popen(
        playbook_command(PLAY, *arguments(**variables), inventory=[INVENTORY]), cwd=CHECKOUT,
        env=playbook_environment(lab.name), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True)


def in_parallel(act: Callable[[str], list[str]], hosts: Iterable[str] = HOSTS, seconds: float = 60) -> dict[str, str]:
    """Start a command for each host and wait until all have ended; why, of those that have not ended well."""
    running = {host: subprocess.Popen(act(host), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True) for host in hosts}
    failed = {}
    for host, process in running.items():
        try:
            output, _nothing = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _nothing = process.communicate()
        if process.returncode != 0:
            failed[host] = f"ended with {process.returncode}: {output}"
    return failed


def lab_command(lab: Lab, *words: str) -> list[str]:
    """The command line of the lab's own program."""
    return [str(CHECKOUT / "lab" / "lab"), "--name", lab.name, *words]
