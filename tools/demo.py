# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the collection at work: an emulated data centre, site.yml, VMs reached from outside, one migrated, figures.

    .venv/bin/python tools/demo.py            everything, then the lab is taken down (make demo)
    .venv/bin/python tools/demo.py --keep     leave the lab running to look around in (make demo KEEP=1)

Every step prints its time; the first that fails ends the demo with what was seen, and exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "lab"))
from vmlab import Lab  # noqa: E402
from vmlab.cluster import Cluster  # noqa: E402
from vmlab.errors import LabError  # noqa: E402
from vmlab.migrations import Migration, move_guest  # noqa: E402
from vmlab.stories import unique_lab_name  # noqa: E402

VMS = {"web1": "node1", "web2": "node1", "db1": "node2", "mail1": "node3", "a-very-long-name": "node3"}
REPORT = ROOT / "reports" / "verify_cluster.json"


class Demo:
    """The steps of the demo, and how long each took."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cluster = Cluster(lab)
        self.addresses: dict[str, list[str]] = {}
        self.times: list[tuple[str, float]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Announce a step, take its time; the value prints a line below it."""
        print(f"\n--- {title}", flush=True)
        began = time.monotonic()
        yield lambda line: print(f"    {line}", flush=True)
        self.times.append((title, time.monotonic() - began))
        print(f"    {self.times[-1][1]:.1f} s", flush=True)

    def predict(self) -> None:
        with self.step("site.yml --check --diff on bare hosts: predicted, nothing changed") as say:
            run = self.cluster.play("site.yml", "--check", "--diff")
            say(f"{run.changed} changes predicted on {len(run.recap)} hosts")
            for host in ("rr1", "node1"):
                if self.lab.exec(host, ["dpkg-query", "-W", "frr"], check=False).returncode == 0:
                    raise LabError(f"{host}: check mode has installed FRR")

    def build(self) -> None:
        with self.step("site.yml: two route reflectors, three nodes, the core gateway, verified") as say:
            say(f"{self.cluster.play('site.yml').changed} changes")
        with self.step("site.yml again: nothing to do") as say:
            run = self.cluster.play("site.yml")
            say(f"changed={run.changed} on {len(run.recap)} hosts")
            if run.changed:
                raise LabError(f"the second run changed something:\n{run.output}")

    def attach(self) -> None:
        with self.step(f"attach_vm.yml: {len(VMS)} VMs over {len(set(VMS.values()))} nodes") as say:
            wanted = [{"name": vm, "node": node} for vm, node in VMS.items()]
            self.cluster.attach(*wanted)
            say("addresses leased, interfaces made, announced as soon as a guest runs")

    def start_guests(self) -> None:
        with self.step("guests start, as a hypervisor would start them") as say:
            for vm, node in VMS.items():
                found = self.cluster.records(node)[vm]
                self.cluster.start_guest(node, vm, found)
                self.addresses[vm] = found["addresses"]
                say(f"{vm} on {node}: {found['interface']} {' '.join(found['addresses'])}")

    def reach(self) -> None:
        with self.step("every VM is reached from the Internet (ext), by IPv4 and IPv6") as say:
            for vm, addresses in self.addresses.items():
                for address in addresses:
                    seconds = self.cluster.wait_for_answer("ext", [address])
                    say(f"{vm:18} {address:24} answers after {seconds:.2f} s")

    def verify(self) -> None:
        with self.step("verify_cluster.yml: register, nodes, reflectors and core gateway agree") as say:
            self.cluster.play("verify_cluster.yml", "-e", f"verify_report={REPORT}")
            report = json.loads(REPORT.read_text(encoding="utf-8"))
            for host in report["hosts"]:
                say("{host:8} {sessions}/{sessions_expected} sessions, {routes} VM routes".format(**host))
            say(f"{len(report['vms'])} VMs, {len(report['differences'])} differences; {REPORT.relative_to(ROOT)}")

    def measure(self) -> None:
        with self.step("1000 packets a second between ext and web1 for 3 s, both directions") as say:
            probe = self.lab.probe("ext", "web1", rate=1000).start()
            time.sleep(3)  # what is measured is a duration
            for name, found in probe.result().directions.items():
                say(f"{name:5} sent {found.sent}, lost {found.lost}, longest gap {found.longest_gap_ms:.1f} ms, "
                    f"duplicates {found.duplicates}")
        with self.step("web1 crashes: its route leaves the core gateway's kernel") as say:
            address = self.addresses["web1"][0]
            self.lab.guest_kill("web1")
            seconds = self.cluster.wait_for_no_route(address, 5)
            say(f"gone after {seconds * 1000:.0f} ms")
        with self.step("web1 starts again: announced without a controller") as say:
            self.lab.guest_start("web1")
            seconds = self.cluster.wait_for_route(address, 5)
            say(f"back after {seconds * 1000:.0f} ms")

    def migrate(self) -> None:
        with self.step("migrate_vm.yml: web1 moves live to node3, 1000 packets a second between it and ext") as say:
            probe = self.lab.probe("ext", "web1", rate=1000).start()
            with Migration(self.cluster, {"web1": "node3"}) as migration:
                migration.wait_until_armed()
                move_guest(self.lab, "web1", "node3")
            for name, found in probe.result().directions.items():
                say(f"{name:5} sent {found.sent}, lost {found.lost}, longest gap {found.longest_gap_ms:.1f} ms")
            say("the guest is a network namespace that moves at once: this is the network's share of a migration")
        self.verify()

    def summarize(self) -> None:
        print("\n--- times")
        for title, seconds in self.times:
            print(f"    {seconds:6.1f} s  {title}")


def main() -> int:
    """Run the demo; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keep", action="store_true", help="leave the lab running")
    keep = options.parse_args().keep
    name = unique_lab_name("demo")
    demo = None
    try:
        began = time.monotonic()
        print("--- the lab boots: 2 route reflectors, 3 nodes, a core gateway, and a host in the Internet", flush=True)
        lab = Lab.up(name=name, tell=lambda subject, what: print(f"    {subject:8} {what}", flush=True))
        demo = Demo(lab)
        demo.times.append(("the lab boots (the first time its Debian roots are built)", time.monotonic() - began))
        for step in (demo.predict, demo.build, demo.attach, demo.start_guests, demo.reach, demo.verify, demo.measure,
                     demo.migrate):
            step()
        demo.summarize()
    except LabError as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    finally:
        if demo and keep:
            print(f"\nThe lab is left running: lab/lab --name {name} status; take it down: lab/lab --name {name} down")
        elif demo:
            demo.lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
