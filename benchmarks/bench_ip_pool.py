# SPDX-License-Identifier: GPL-3.0-or-later
"""What leasing an address costs, beside the least it can cost in the same run: one bare SQLite commit.

    .venv/bin/python benchmarks/bench_ip_pool.py [--rounds 300] [--directory DIR]

Calls and bare commits take turns, so that a noisy machine hits both alike; figures are medians. The register's file and
the floor's are in the same directory (default: one made in the current one, removed afterwards).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

COLLECTIONS = Path(__file__).parents[1] / "collections"
sys.path[:0] = [str(COLLECTIONS), str(Path(__file__).parent)]

from _report import Figure, print_table, write_report  # noqa: E402
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import Register  # noqa: E402
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import (  # noqa: E402
    answer_request,
    find_faults,
)
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_request  # noqa: E402
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import open_register  # noqa: E402

MODULE = "ansible_collections.vmcluster.network.plugins.modules.ip_pool_alloc"
POOLS = {
    "/24": ("203.0.113.0/24", 0),
    "/16, every other address leased": ("10.1.0.0/16", 65534),
    "/8": ("10.0.0.0/8", 0),
    "IPv6 /64": ("2001:db8::/64", 0),
    "IPv6 /64, 32767 holes": ("2001:db8::/64", 65534),
}

# A process that waits until all are there, leases and releases for some seconds, and prints how often, and the longest
# wait in seconds.
WORKER = """
import sys, time
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import answer_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import open_register
register, calls, longest = open_register(sys.argv[1]), 0, 0
print("ready", flush=True)
sys.stdin.readline()
end = time.time() + float(sys.argv[3])
while time.time() < end:
    lease = {"owner": "w%s/%d" % (sys.argv[2], calls % 50), "pool": "p"}
    lease["state"] = "absent" if calls // 50 % 2 else "present"
    before = time.time()
    answer_request(register, read_request([], [lease]), now=1)
    longest = max(longest, time.time() - before)
    calls += 1
print(calls, longest)
"""


def ask(register: Register, leases: list[dict[str, Any]], pools: list[dict[str, Any]] | None = None) -> None:
    answer_request(register, read_request(pools or [], leases), now=1)


def leases_of(count: int, state: str = "present", step: int = 1) -> list[dict[str, Any]]:
    return [{"owner": f"old/vm{at}", "pool": "p", "state": state} for at in range(0, count, step)]


@contextlib.contextmanager
def filled_register(folder: Path, prefix: str, leased: int) -> Iterator[Register]:
    """Lend a register with one pool, of whose lowest addresses every other is leased."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "leases.sqlite"
    with contextlib.closing(open_register(str(path))) as register:
        ask(register, leases_of(leased), [{"name": "p", "prefix": prefix}])
        ask(register, leases_of(leased, "absent", 2))
        yield register
        assert find_faults(register.read_snapshot()) == []


@contextlib.contextmanager
def bare_database(folder: Path) -> Iterator[Callable[[int], None]]:
    """Lend what commits so many rows of an address to a database of its own, as the register commits."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "bare.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as bare:
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute("CREATE TABLE row (address BLOB PRIMARY KEY) WITHOUT ROWID")

        def commit(rows: int) -> None:
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany("INSERT INTO row VALUES (?)", [(os.urandom(16),) for _row in range(rows)])
            bare.execute("COMMIT")

        yield commit


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def bench_one_address(folder: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """One address a call, register open: leased, asked for again, released."""
    for name, (prefix, leased) in POOLS.items():
        spent: dict[str, list[float]] = {"floor": [], "lease": [], "repeat": [], "release": []}
        with filled_register(folder, prefix, leased) as register, bare_database(folder) as commit:
            for at in range(rounds):
                lease = {"owner": f"new/vm{at}", "pool": "p"}
                spent["floor"].append(seconds(lambda: commit(1)))
                spent["lease"].append(seconds(lambda lease=lease: ask(register, [lease])))
                spent["repeat"].append(seconds(lambda lease=lease: ask(register, [lease])))
                if at >= 100:  # so that a /24 does not fill
                    gone = {"owner": f"new/vm{at - 100}", "pool": "p", "state": "absent"}
                    spent["release"].append(seconds(lambda gone=gone: ask(register, [gone])))
        medians = {what: statistics.median(times) for what, times in spent.items()}
        yield {
            "pool": name,
            "bare commit, us": round(medians["floor"] * 1e6),
            **{f"{what}, ratio": medians[what] / medians["floor"] for what in ("lease", "repeat", "release")},
        }


def bench_list(folder: Path, count: int = 1000) -> Iterator[dict[str, Any]]:
    """A list of leases: one call, one call each, and one process each as a loop of tasks would start them."""
    leases = leases_of(count)
    with bare_database(folder) as commit:
        floor = min(seconds(lambda: commit(count)) for _try in range(5))
    with filled_register(folder, "10.0.0.0/8", 0) as register:
        whole = seconds(lambda: ask(register, leases))
        again = seconds(lambda: ask(register, leases))
    with filled_register(folder, "10.0.0.0/8", 0) as register:
        each = seconds(lambda: [ask(register, [lease]) for lease in leases])
    path = str(Path(tempfile.mkdtemp(dir=folder)) / "leases.sqlite")
    pools = [{"name": "p", "prefix": "10.0.0.0/8"}]
    run_module(path, pools, [])
    process = statistics.median(seconds(lambda lease=lease: run_module(path, pools, [lease])) for lease in leases[:15])
    process_whole = seconds(lambda: run_module(path, pools, leases))
    for name, spent in (
        (f"bare rows, one commit ({count})", floor),
        ("one call", whole),
        ("one call, asked again", again),
        ("one call each", each),
        ("the module, one call", process_whole),
        ("the module, one call each (15 measured)", process * count),
    ):
        yield {f"{count} leases": name, "seconds": spent, "ratio to bare rows": spent / floor,
               "ratio to one call": spent / whole}


def run_module(path: str, pools: list[dict[str, Any]], leases: list[dict[str, Any]]) -> None:
    options = {"ANSIBLE_MODULE_ARGS": {"path": path, "pools": pools, "leases": leases}}
    subprocess.run(
        [sys.executable, "-m", MODULE], input=json.dumps(options), text=True, capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)})


def bench_processes(folder: Path, duration: float = 4) -> Iterator[dict[str, Any]]:
    """Many processes at once, each leasing and releasing one address a call."""
    first = 0.0
    for count in (1, 8, 50):
        path = Path(tempfile.mkdtemp(dir=folder)) / "leases.sqlite"
        with contextlib.closing(open_register(str(path))) as register:
            ask(register, [], [{"name": "p", "prefix": "10.0.0.0/16"}])
        running = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(path), str(number), str(duration)],
                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(COLLECTIONS)})
            for number in range(count)]
        for process in running:
            process.stdout.readline()
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate()[0].split() for process in running]
        assert not any(process.returncode for process in running)
        with contextlib.closing(open_register(str(path))) as register:
            assert find_faults(register.read_snapshot()) == []
        rate = sum(int(calls) for calls, _longest in told) / duration
        first = first or rate
        yield {"processes": str(count), "calls a second": round(rate), "ratio to one": rate / first,
               "longest wait, s": max(float(longest) for _calls, longest in told)}


def claim(figures: dict[str, list[dict[str, Any]]]) -> list[Figure]:
    """What is claimed of single leases, and of a list of them."""
    claimed = [
        Figure(f"leasing an address, pool {each['pool']}", each["lease, ratio"] * each["bare commit, us"], "us",
               beside="bare SQLite commit", other=each["bare commit, us"])
        for each in figures["one address a call"]]
    spent = {each["1000 leases"]: each["seconds"] for each in figures["a list of leases"]}
    each_alone = next(name for name in spent if name.startswith("the module, one call each"))
    return [*claimed, Figure("1000 leases, one call of the module", spent["the module, one call"], "s",
                             beside="one call each", other=spent[each_alone])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--directory", type=Path, default=Path.cwd(), help="where to make the files that are measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix=".bench-") as folder:
        figures = {
            "one address a call": list(bench_one_address(Path(folder), options.rounds)),
            "a list of leases": list(bench_list(Path(folder))),
            "processes at once": list(bench_processes(Path(folder))),
        }
    for title, rows in figures.items():
        print_table(title, list(rows[0]), [list(row.values()) for row in rows])
    write_report("bench_ip_pool", figures, claim(figures))


if __name__ == "__main__":
    main()
