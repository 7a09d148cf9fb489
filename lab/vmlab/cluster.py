# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lab's cluster: the playbooks that operators run on it, and what its kernels, FRR and its register say."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import LabError
from .lab import Lab
from .playbooks import INVENTORY, PlaybookRun, run_playbook
from .state import CHECKOUT, GuestRecord
from .stories import wait_until

NODES = ("node1", "node2", "node3")
FABRIC = (*NODES, "rr1", "rr2", "core")
RECORDS = "/var/lib/vmcluster/interfaces"
REGISTER = "/var/lib/vmcluster/leases.sqlite"
GATEWAY4, GATEWAY6 = "10.255.255.1", "fe80::1"

_READ_LEASES = f"""
import json, os, sqlite3
query = "SELECT owner, name, address, holder FROM lease JOIN pool ON pool.id = lease.pool ORDER BY owner, name"
rows = sqlite3.connect("file:{REGISTER}?mode=rw", uri=True).execute(query) if os.path.exists("{REGISTER}") else ()
print(json.dumps([[owner, pool, address.hex(), holder] for owner, pool, address, holder in rows]))
"""


@dataclass(frozen=True)
class Session:
    """A BGP session as FRR tells of it. established: how often it came up; since: when it last did (Unix time)."""

    state: str
    established: int
    since: int


def read_description(inventory: Path = INVENTORY, **changes: Any) -> dict[str, Any]:
    """The `cluster` of an inventory, some of its keys replaced, as extra variables for a playbook."""
    described: dict[str, Any] = yaml.safe_load((inventory / "group_vars" / "all" / "cluster.yml").read_text())
    return {"cluster": {**described["cluster"], **changes}}


class Cluster:
    """The playbooks and questions of one lab."""

    def __init__(self, lab: Lab, *inventory: Path) -> None:
        self.lab = lab
        self.inventory: Sequence[Path] = inventory or (INVENTORY,)

    def play(self, playbook: str, *arguments: str, extra: dict[str, Any] | None = None, **options: Any) -> PlaybookRun:
        """Run a playbook by its name, with extra variables; options are those of `run_playbook`."""
        path = playbook if (CHECKOUT / playbook).exists() else f"playbooks/{playbook}"
        variables = ("-e", json.dumps(extra)) if extra else ()
        return run_playbook(self.lab.name, path, *arguments, *variables, **{"inventory": self.inventory, **options})

    def attach(self, *vms: dict[str, Any], extra: dict[str, Any] | None = None, **options: Any) -> PlaybookRun:
        """Attach VMs with attach_vm.yml."""
        return self.play("attach_vm.yml", extra={"vms": list(vms), **(extra or {})}, **options)

    def detach(self, *names: str, **options: Any) -> PlaybookRun:
        """Detach VMs with detach_vm.yml."""
        return self.play("detach_vm.yml", extra={"vms": [{"name": name} for name in names]}, **options)

    def verify(self, report: Path, **options: Any) -> dict[str, Any]:
        """The report of verify_cluster.yml, with the run's `returncode` and `recap`; differences are no error here."""
        report.unlink(missing_ok=True)
        run = self.play("verify_cluster.yml", "-e", f"verify_report={report}", **{"check": False, **options})
        if not report.exists():
            raise LabError(f"verify_cluster.yml wrote no report:\n{run.output}")
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return {**found, "returncode": run.returncode, "recap": run.recap, "output": run.output}

    def shell(self, host: str, script: str, check: bool = True) -> str:
        """What a shell script prints on a host."""
        return self.lab.exec(host, ["sh", "-euc", script], check=check).stdout

    def configure(self, host: str, *lines: str) -> None:
        """Type lines into FRR's configure mode, as an operator does."""
        self.lab.exec(host, ["vtysh", "-c", "configure terminal", *(part for line in lines for part in ("-c", line))])

    def running_config(self, host: str) -> str:
        """FRR's running configuration."""
        return self.lab.exec(host, ["vtysh", "-c", "show running-config"]).stdout

    def records(self, node: str) -> dict[str, dict[str, Any]]:
        """What a node keeps of its VMs' interfaces, by VM."""
        shown = self.shell(node, f"for f in {RECORDS}/*.json; do [ ! -e $f ] || cat $f; done")
        decoder, found = json.JSONDecoder(), {}
        while shown := shown.lstrip():
            record, end = decoder.raw_decode(shown)
            shown = shown[end:]
            found[record["vm"] if not record["nic"] else f"{record['vm']}#{record['nic']}"] = record
        return found

    def leases(self, register: str = "rr1") -> list[tuple[str, str, str, str]]:
        """What the register holds: owner, pool, address, node."""
        told = json.loads(self.lab.exec(register, ["python3", "-c", _READ_LEASES]).stdout)
        return [(owner, pool, _read_address(packed), holder) for owner, pool, packed, holder in told]

    def start_guests(self, node: str, *names: str, **options: Any) -> dict[str, list[str]]:
        """Start VMs as a hypervisor does that reads the node's records; returns the addresses by VM."""
        found = self.records(node)
        for name in names:
            self.start_guest(node, name, found[name], **options)
        return {name: found[name]["addresses"] for name in names}

    def start_guest(self, node: str, name: str, record: dict[str, Any], **options: Any) -> GuestRecord:
        """Start a VM behind its interface; options are those of `guest_add`, such as its kind."""
        return self.lab.guest_add(
            node, name, addresses=record["addresses"], gateway4=GATEWAY4, gateway6=GATEWAY6, mac=record["mac"],
            interface=record["interface"], **options)

    def kernel_routes(self, prefix: str, host: str = "core") -> list[dict[str, Any]]:
        """The routes to exactly this prefix in a host's kernel that lead somewhere."""
        asked = ipaddress.ip_network(prefix)
        shown = self.lab.exec(host, ["ip", f"-{asked.version}", "-j", "route", "show", "exact", str(asked)]).stdout
        return [route for route in json.loads(shown or "[]") if route.get("type", "unicast") == "unicast"]

    def wait_for_route(self, address: str, seconds: float = 15, host: str = "core") -> float:
        """Wait until a host's kernel has the route to an address; the seconds it took."""
        return wait_until(lambda: self.kernel_routes(address, host), seconds, f"{host} has a route to {address}", 0.01)

    def wait_for_no_route(self, address: str, seconds: float = 15, host: str = "core") -> float:
        """Wait until a host's kernel has no such route; the seconds it took."""
        what = f"{address} is gone from {host}"
        return wait_until(lambda: not self.kernel_routes(address, host), seconds, what, 0.01)

    def answers(self, source: str, address: str) -> bool:
        """Whether an address answers a ping from a host or guest."""
        return self.lab.exec(source, ["ping", "-n", "-c1", "-W1", address], check=False).returncode == 0

    def wait_for_answer(self, source: str, addresses: Iterable[str], seconds: float = 20) -> float:
        """Wait until each of these addresses answers; the seconds it took."""
        waiting = set(addresses)

        def all_answered() -> bool:
            waiting.difference_update([address for address in waiting if self.answers(source, address)])
            return not waiting

        return wait_until(all_answered, seconds, f"{', '.join(sorted(waiting))} answer {source}")

    def sessions(self, host: str) -> dict[str, Session]:
        """A host's BGP sessions by the neighbour's address."""
        shown = json.loads(self.lab.exec(host, ["vtysh", "-c", "show bgp neighbors json"]).stdout)
        return {
            address: Session(
                told["bgpState"], told["connectionsEstablished"], told.get("bgpTimerUpEstablishedEpoch", 0))
            for address, told in shown.items() if isinstance(told, dict) and "bgpState" in told}

    def all_sessions(self, hosts: Sequence[str] = FABRIC) -> dict[tuple[str, str], Session]:
        """The sessions of several hosts, by host and neighbour."""
        return {(host, address): session for host in hosts for address, session in self.sessions(host).items()}


def reset_sessions(
    before: dict[tuple[str, str], Session], after: dict[tuple[str, str], Session]
) -> dict[tuple[str, str], tuple[Session, Session | None]]:
    """The sessions that are not the same as before: gone, down, or come up anew."""
    found = {}
    for key, was in before.items():
        now = after.get(key)
        if now is None or (was.state, was.established) != (now.state, now.established) or now.since - was.since > 1:
            found[key] = (was, now)
    return found


def _read_address(packed: str) -> str:
    """An address as the register packs it: 16 bytes, IPv4 mapped into IPv6 (RFC 4291)."""
    address = ipaddress.IPv6Address(bytes.fromhex(packed))
    return str(address.ipv4_mapped or address)
