# SPDX-License-Identifier: GPL-3.0-or-later
"""A Junos device to test against: the simulator, or a real one named by environment variables (README.md here)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from junos_simulator import testing

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
NAME = "ansible_collections.vmcluster.network.plugins.modules."
PREFIX = "VMC-TEST-"
OWN_ROUTES = r"discard route (203\.0\.113\.0/24|2001:db8:1::/64):"
HOST = os.environ.get("VMCLUSTER_JUNOS_HOST", "")
VARIABLES = {"port": "PORT", "user": "USER", "password": "PASSWORD", "private_key_file": "KEY",
             "ssh_config": "SSH_CONFIG"}
CONFIGURATION = """
system { host-name junos-simulator; services { netconf { ssh; } } }
routing-options {
    router-id 10.20.0.1;
    autonomous-system 65010;
    static { route 0.0.0.0/0 next-hop 198.18.0.2; }
}
policy-options {
    policy-statement VM {
        term isp-ipv4 {
            from { protocol bgp; route-filter 203.0.113.0/24 orlonger; }
            then accept;
        }
        then reject;
    }
    policy-statement reject-all { then reject; }
}
protocols {
    bgp {
        group INTERNET { type external; export reject-all; neighbor 198.18.0.2 { peer-as 64999; } }
        group VM { import VM; export reject-all; peer-as 65010; neighbor 10.20.0.20; }
    }
}
"""


class Gateway:
    """A device, and running the modules for it as Ansible does: a process, options in, JSON out."""

    def __init__(self, connection: dict[str, Any], asn: int) -> None:
        self.connection, self.asn = connection, asn

    def run(self, module: str = "junos_bgp_group", check: bool = False, **options: Any) -> dict[str, Any]:
        """Run a module; return its result, also when it failed."""
        with self.start(module, check, **options) as process:
            shown, errors = process.communicate(timeout=180)
        assert shown.lstrip().startswith("{"), f"{shown}\n{errors}"
        result: dict[str, Any] = json.loads(shown)
        return result

    @contextmanager
    def start(self, module: str = "junos_bgp_group", check: bool = False, **options: Any) -> Iterator[Any]:
        """Lend a running module's process; it has its options."""
        given = {**self.connection, **options, "_ansible_check_mode": check, "_ansible_diff": True}
        if module == "junos_bgp_group":
            given = {"asn": self.asn, "purge": True, "purge_prefix": PREFIX, "expect": {"established": "none"},
                     "wait": 2, **given}
        folders = os.pathsep.join([str(COLLECTIONS), *sys.path])
        process = subprocess.Popen([sys.executable, "-m", NAME + module], stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": folders, "ANSIBLE_NET_PASSWORD": ""})
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()
            process.communicate()

    def change(self, *groups: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Run junos_bgp_group with groups; return its result, which is no failure."""
        result = self.run(groups=list(groups), **options)
        assert not result.get("failed"), result["msg"]
        return result


class SimulatedGateway(Gateway):
    """A simulator, and what tests may do to it behind the module's back."""

    def __init__(self, simulator: testing.Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.order = simulator.order
        self.log = folder / "device" / "log"
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(simulator.host_key_line)
        settings = folder / "ssh_config"
        settings.write_text(f"Host *\n  UserKnownHostsFile {self.known_hosts}\n")
        password = simulator.settings["users"]["automation"]["password"]
        super().__init__({"host": simulator.address, "port": simulator.port, "user": "automation", "timeout": 10,
                          "password": password, "ssh_config": str(settings)}, asn=65010)

    @property
    def status(self) -> dict[str, Any]:
        """Commits (newest first), pending, dirty, holder of the lock, patch of the candidate."""
        return self.simulator.status()

    @property
    def rpcs(self) -> list[str]:
        """The RPCs that were asked, in order."""
        return re.findall(r"^\S+ \S+ automation: (\S+) ->", self.log.read_text(), re.M)

    @property
    def logs(self) -> list[str]:
        """The commits' comments, newest first."""
        return [entry["log"] for entry in self.status["commits"]]


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[SimulatedGateway]:
    """A simulator of its own for a test; a minute of `commit confirmed` lasts a second."""
    with testing.running(tmp_path / "device", configuration=CONFIGURATION, minute=1.0) as simulator:
        yield SimulatedGateway(simulator, tmp_path)


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """The real device when one is named, else a simulator; what a test leaves there is removed."""
    if not HOST:
        yield request.getfixturevalue("simulated")
        return
    found = real_gateway()
    foreign = [text for text in found.change(check=True)["actions"] if not re.search(rf"{PREFIX}|{OWN_ROUTES}", text)]
    assert not foreign, f"{HOST} is in use, take another device; purging would remove: {', '.join(foreign)}"
    found.change()
    yield found
    found.change()


def real_gateway() -> Gateway:
    """The device that the environment names."""
    named = {key: os.environ[f"VMCLUSTER_JUNOS_{name}"] for key, name in VARIABLES.items()
             if os.environ.get(f"VMCLUSTER_JUNOS_{name}")}
    return Gateway({"host": HOST, **named}, asn=int(os.environ["VMCLUSTER_JUNOS_ASN"]))
