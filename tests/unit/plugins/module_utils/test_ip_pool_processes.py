# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many processes on one register, killed at random: no address twice, none lost, nothing half done."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import ip_pool_sqlite
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import find_faults
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_spans import write_address
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import open_register

PATIENCE = 60       # seconds, on a machine that does other things too
COLLECTIONS = Path(ip_pool_sqlite.__file__).parents[5]

# Each worker writes to its own log what it is about to ask and what it was told; a kill leaves one open entry at most.
# It opens the register anew for every call, as a module does.
WORKER = """
import contextlib, json, os, random, sys
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool import PoolError
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_plan import answer_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_request import read_request
from ansible_collections.vmcluster.network.plugins.module_utils.ip_pool_sqlite import open_register

path, log, worker, pools = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
journal = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(**entry):
    os.write(journal, (json.dumps(entry) + chr(10)).encode())

while True:
    owners = random.sample(["%s/vm%d" % (worker, at) for at in range(4)], random.randrange(1, 4))
    state = random.choice(["present", "present", "absent"])
    leases = [{"owner": owner, "pool": pool["name"], "state": state} for owner in owners for pool in pools]
    note(asked=leases)
    try:
        with contextlib.closing(open_register(path)) as register:
            told = list(answer_request(register, read_request(pools, leases), now=1).answers)
    except PoolError as error:
        told = None
        if "is full" not in str(error):
            note(error=str(error))
    note(told=told)
"""


class Workers:
    """Worker processes, each with a log; a killed one is started again."""

    def __init__(self, folder, count, pools):
        self.folder, self.pools = folder, pools
        self.running, self.sizes = {}, {}
        for number in range(count):
            self.start(number)

    def start(self, number):
        self.sizes[number] = self.size_of_log(number)
        argv = [sys.executable, "-c", WORKER, str(self.folder / "leases.sqlite"), str(self.log_of(number)),
                f"w{number}", json.dumps(self.pools)]
        self.running[number] = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(COLLECTIONS)})

    def log_of(self, number):
        return self.folder / f"log{number}"

    def kill(self, number):
        process = self.running.pop(number)
        assert process.poll() is None, "a worker ended by itself"
        process.kill()
        process.wait(10)

    def kill_at_random(self, dice, kills):
        """Kill so many, each after it has come to work and at any moment of it, and one in three calls at most."""
        end, done = time.monotonic() + PATIENCE, 0
        while done < kills:
            assert time.monotonic() < end, f"{done} of {kills} kills in {PATIENCE} seconds"
            time.sleep(dice.random() * 0.1)
            working = [number for number in sorted(self.running) if self.size_of_log(number) > self.sizes[number]]
            if working and self.count_calls() >= 3 * done:
                number = dice.choice(working)
                self.kill(number)
                self.start(number)
                done += 1

    def count_calls(self):
        return sum(log.read_bytes().count(b'"told"') for log in self.folder.glob("log*"))

    def size_of_log(self, number):
        return self.log_of(number).stat().st_size if self.log_of(number).exists() else 0

    def stop(self):
        for number in sorted(self.running):
            self.kill(number)


def read_log(path):
    """Return the leases that must be there, by owner and pool (None: none), those that may be either way, and a count.

    On the way it holds what was told to what was told before: the same address each time.
    """
    known, unsure, calls, asked = {}, set(), 0, None
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        assert "error" not in entry, entry
        if "asked" in entry:
            if asked:  # a kill came in between
                unsure |= {(lease["owner"], lease["pool"]) for lease in asked}
            asked = entry["asked"]
            continue
        for told in entry["told"] or ():
            key = told["owner"], told["pool"]
            if key not in unsure and told["state"] == "present":
                assert told["address"] == (known.get(key) or told["address"])
                assert told["new"] == (known.get(key) is None)
            known[key] = told["address"] if told["state"] == "present" else None
            unsure.discard(key)
        calls += entry["told"] is not None
        asked = None
    if asked:
        unsure |= {(lease["owner"], lease["pool"]) for lease in asked}
    return known, unsure, calls


@pytest.mark.parametrize(("count", "kills"), [(8, 20), (50, 20)])
def test_processes_killed_at_random_leave_no_address_twice_and_lose_none(tmp_path, count, kills):
    pools = [{"name": "four", "prefix": "10.0.0.0/25"}, {"name": "six", "prefix": "2001:db8::/64"}]
    workers = Workers(tmp_path, count, pools)
    try:
        workers.kill_at_random(random.Random(count), kills)
    finally:
        workers.stop()
    with contextlib.closing(open_register(str(tmp_path / "leases.sqlite"))) as register:
        snapshot = register.read_snapshot()
        assert register._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert find_faults(snapshot) == []
    there = {(lease.owner, lease.pool): write_address(lease.address) for lease in snapshot.leases}
    calls = 0
    for log in sorted(tmp_path.glob("log*")):
        known, unsure, count_of_log = read_log(log)
        calls += count_of_log
        wanted = {key: address for key, address in known.items() if key not in unsure}
        assert {key: there.get(key) for key in wanted} == wanted
    assert calls >= kills
    assert {pool for _owner, pool in there} == {"four", "six"}


def test_processes_that_find_no_register_make_one_together(tmp_path):
    script = WORKER.replace("while True:", "for once in range(1):").replace(
        '["present", "present", "absent"]', '["present"]')
    for attempt in range(2):
        folder = tmp_path / str(attempt)
        pools = json.dumps([{"name": "p", "prefix": "10.0.0.0/24"}])
        running = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(folder / "leases.sqlite"), str(tmp_path / f"log{attempt}-{number}"),
                 f"w{number}", pools], env={**os.environ, "PYTHONPATH": str(COLLECTIONS)})
            for number in range(8)]
        assert [process.wait(60) for process in running] == [0] * 8
        logs = [read_log(tmp_path / f"log{attempt}-{number}") for number in range(8)]
        with contextlib.closing(open_register(str(folder / "leases.sqlite"))) as register:
            snapshot = register.read_snapshot()
        assert find_faults(snapshot) == []
        assert len(snapshot.leases) == sum(len(known) for known, _unsure, _calls in logs) >= 8
