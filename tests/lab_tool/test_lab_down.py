# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lab leaves nothing behind, whatever was killed before it was taken down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from vmlab import Lab, LabError
from vmlab.cgroups import CGROUPS, read_group_pids
from vmlab.hosts import wait_for
from vmlab.lab import take_down
from vmlab.state import CHECKOUT, LabState

pytestmark = pytest.mark.lab
SMALL = Path(__file__).with_name("small.yml")
NAME = f"d{os.getpid()}"


def find_traces(name: str) -> list[str]:
    """Whatever there is of a lab on this machine."""
    traces = [str(path) for path in Path("/run/netns").glob(f"*{name}*")]
    traces += [line for line in Path("/proc/self/mounts").read_text().splitlines() if name in line]
    traces += [str(path) for path in CGROUPS.glob(f"**/vmlab.{name}")]
    traces += [str(path) for path in Path("/run/vmcluster-lab").glob(f"{name}*")]
    traces += [str(path) for path in Path("/run/systemd/nspawn").glob(f"**/*{name}*")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_text() + (process / "cgroup").read_text()
            told += (process / "mountinfo").read_text()
        except OSError:
            continue
        if f"vmlab.{name}" in told or f"/vmcluster-lab/{name}/" in told or f"vmlab-{name}-" in told:
            traces.append(f"process {process.name}: {told[:60]}")
    return traces


@pytest.fixture
def fresh() -> Lab:
    lab = Lab.up(SMALL, NAME)
    lab.exec("left", ["sh", "-ec", "ip tuntap add mode tap name web1_net0; ip link set web1_net0 up"])
    lab.guest_add("left", "web1", addresses=["203.0.113.10"], gateway4="169.254.1.1")
    assert find_traces(NAME)
    return lab


def test_a_lab_leaves_nothing(fresh: Lab) -> None:
    interfaces = os.listdir("/sys/class/net")
    fresh.down()
    assert find_traces(NAME) == []
    assert os.listdir("/sys/class/net") == interfaces


def test_a_lab_keeps_the_machines_own_network_as_it_is() -> None:
    interfaces = sorted(os.listdir("/sys/class/net"))
    lab = Lab.up(SMALL, NAME)
    try:
        assert sorted(os.listdir("/sys/class/net")) == interfaces
    finally:
        lab.down()


@pytest.mark.parametrize("victim", ["supervisors", "inits", "nspawns", "everything", "guest", "state"])
def test_a_lab_that_was_killed_is_taken_down(fresh: Lab, victim: str) -> None:
    records = [fresh.host_record(host) for host in ("left", "right")]
    supervisors = [record.supervisor.pid for record in records if record.supervisor]
    inits = [record.leader.pid for record in records if record.leader]
    guest = fresh.state.read_guest("web1")
    assert guest and guest.agent and len(supervisors) == len(inits) == 2
    nspawns = [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in inits]
    pids = {
        "supervisors": supervisors,
        "inits": inits,
        "nspawns": nspawns,
        "everything": sorted(read_group_pids(NAME)),
        "guest": [guest.agent.pid],
        "state": [],
    }[victim]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            assert victim == "everything"
    if victim == "state":
        fresh.state.topology_file.unlink()
    assert take_down(NAME)
    assert find_traces(NAME) == []
    assert not take_down(NAME)


def test_a_host_whose_supervisor_was_killed_can_be_started_again(fresh: Lab) -> None:
    try:
        record = fresh.host_record("right")
        assert record.supervisor
        os.kill(record.supervisor.pid, signal.SIGKILL)
        wait_for(lambda: fresh.host_record("right").actual_phase == "crashed", 5, "it does not die")
        fresh.host_start("right")
        fresh.exec("left", ["ping", "-c1", "-W2", "10.20.0.2"])
    finally:
        fresh.down()


def test_a_lab_that_fails_to_come_up_is_taken_down_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(f"extends: {SMALL}\nhosts: {{right: {{routes: [{{to: default, via: 192.0.2.1}}]}}}}\n")
    with pytest.raises(LabError, match="right did not boot"):
        Lab.up(broken, NAME)
    assert find_traces(NAME) == []


@pytest.mark.parametrize("milliseconds", [0, 3, 10, 20, 40, 100, 300])
def test_an_interrupted_start_leaves_nothing(milliseconds: int) -> None:
    argv = [sys.executable, str(CHECKOUT / "lab" / "lab"), "--name", NAME, "up", "--topology", str(SMALL)]
    with subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            # A shell that runs tests in the background lets them inherit that ^C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as starting:
        state = LabState(NAME)
        while not state.is_up() and starting.poll() is None:
            pass
        time.sleep(milliseconds / 1000)
        starting.send_signal(signal.SIGINT)
        assert "interrupted" in starting.communicate(timeout=30)[1]
    assert find_traces(NAME) == []


@pytest.mark.parametrize("milliseconds", [0, 3, 10, 20, 40, 100, 300])
def test_a_start_that_was_killed_is_taken_down(milliseconds: int) -> None:
    argv = [sys.executable, str(CHECKOUT / "lab" / "lab"), "--name", NAME, "up", "--topology", str(SMALL)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as starting:
        while not LabState(NAME).is_up() and starting.poll() is None:
            pass
        time.sleep(milliseconds / 1000)
        starting.kill()
    take_down(NAME)
    assert find_traces(NAME) == []


def test_two_labs_run_side_by_side() -> None:
    labs = []
    try:
        for name in (f"{NAME}a", f"{NAME}b"):
            labs.append(Lab.up(SMALL, name))
        for lab in labs:
            lab.exec("left", ["sh", "-c", f"echo {lab.name} > /root/whose"])
        for lab in labs:
            lab.exec("left", ["ping", "-c1", "-W2", "10.20.0.2"])
            assert lab.exec("left", ["cat", "/root/whose"]).stdout.strip() == lab.name
        labs.pop().down()
        labs[0].exec("left", ["ping", "-c1", "-W2", "10.20.0.2"])
    finally:
        for lab in labs:
            lab.down()
    assert find_traces(f"{NAME}a") + find_traces(f"{NAME}b") == []


def test_a_lab_that_is_up_is_not_made_over(fresh: Lab) -> None:
    try:
        before = fresh.host_record("left")
        fresh.host_stop("right")
        again = Lab.up(SMALL, NAME)
        assert again.host_record("left") == before
        assert again.host_record("right").actual_phase == "up"
        with pytest.raises(LabError, match="another topology"):
            Lab.up(CHECKOUT / "lab" / "topologies" / "standard.yml", NAME)
    finally:
        fresh.down()


def test_down_without_a_lab_is_no_error() -> None:
    assert not take_down(f"{NAME}x")
