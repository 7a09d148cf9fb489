# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that carries a change out or takes it back, run as it stands; `ip` writes down what it is told."""

import json
import subprocess
import sys

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils import host_change

IP = """#!/bin/sh
echo "ip $*" >> {folder}/log
case "$*" in
  *addr*show*) cat {folder}/addresses ;;
  *-batch*) cat >> {folder}/log; cp {folder}/addresses.after {folder}/addresses 2>/dev/null; true ;;
  *) echo "[]" ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
test "$1" != is-active || test ! -e {folder}/unarmed
"""
OLD, NEW = {"text": "old\n", "mode": 0o644}, {"text": "new\n", "mode": 0o600}


@pytest.fixture
def host(tmp_path):
    """A folder that stands for the host: run(verb, word) runs the script."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("ip", IP.format(folder=tmp_path)), ("systemctl", SYSTEMCTL.format(folder=tmp_path)),
                       ("manager", f"#!/bin/sh\necho \"manager $*\" >> {tmp_path}/log\n"),
                       ("broken", "#!/bin/sh\necho cannot; exit 3\n"),
                       ("babbling", "#!/bin/sh\nprintf 'l\\344uft nicht'; exit 3\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    text = host_change.script_text(sys.executable)
    for path in (host_change.FOLDER, host_change.LOCK_PATH):
        text = text.replace(path, str(tmp_path / path.rpartition("/")[2]))
    text = text.replace('PATH = "', f'PATH = "{tools}:').replace(
        "SETTLE_TIME, KERNEL_TIME = 60, 6, 3", "SETTLE_TIME, KERNEL_TIME = 60, 0, 0").replace(
        "RETURN_TIMES = 10,", "RETURN_TIMES = 1,")
    state = tmp_path / "host-network"
    state.mkdir()
    (tmp_path / "addresses").write_text("[]")
    (tmp_path / "kept").write_text("old\n")

    def run(*words):
        done = subprocess.run([sys.executable, "-c", text, *words], capture_output=True, text=True, check=False,
                              timeout=30, env={"PATH": f"{tools}:/usr/bin:/bin"})
        assert done.returncode == 0, done.stderr
        log = tmp_path / "log"
        return log.read_text().splitlines() if log.exists() else []

    run.folder, run.state = tmp_path, state
    return run


def side(host, leave, enter, **files):
    return {"files": {str(host.folder / name): file for name, file in files.items()}, "leave": leave, "enter": enter,
            "delete": ["lo"], "sysctls": {}, "before": {}}


def put_change(host, **changes):
    record = {"id": "it", "apply": side(host, [["manager", "leave"]], [["manager", "enter"]], kept=NEW, made=NEW),
              "rollback": side(host, [], [["manager", "back"]], kept=OLD, made=None), "boot": [["manager", "boot"]],
              "state": {"expect": [], "ip": ["addr replace 192.0.2.11/24 dev eth0"]}, **changes}
    (host.state / "change.json").write_text(json.dumps(record))


def outcome(host):
    return json.loads((host.state / "outcome.json").read_text())


def files(host):
    return {name: (host.folder / name).read_text() for name in ("kept", "made") if (host.folder / name).exists()}


def test_a_change_leaves_by_the_old_files_and_enters_by_the_new_ones(host):
    """A link that the manager has made again before it read the new files is deleted again."""
    put_change(host)
    assert host("apply", "it") == ["manager leave", "ip link del dev lo", "manager enter", "ip link del dev lo"]
    assert files(host) == {"kept": "new\n", "made": "new\n"}
    assert json.loads((host.state / "applied.json").read_text()) == {"id": "it", "failures": []}
    assert (host.folder / "kept").stat().st_mode & 0o777 == 0o600


def test_a_change_that_is_not_open_any_more_is_not_carried_out(host):
    put_change(host)
    assert host("apply", "another") == []
    assert files(host) == {"kept": "old\n"}


def test_the_way_back_restores_files_and_forgets_the_change_last(host):
    put_change(host)
    host("apply", "it")
    host("rollback", "timer")
    assert files(host) == {"kept": "old\n"}
    assert outcome(host) == {"id": "it", "outcome": "rolled back", "by": "timer", "failures": [], "missing": []}
    assert sorted(path.name for path in host.state.iterdir()) == ["outcome.json"]
    before = (host.folder / "log").read_text()
    host("rollback", "timer")
    assert (host.folder / "log").read_text() == before, "a change is taken back once"


def test_what_is_late_for_one_change_does_not_take_back_another(host):
    put_change(host)
    host("apply", "it")
    before = (host.folder / "log").read_text()
    host("rollback", "timer", "the one before")
    assert (host.folder / "log").read_text() == before
    assert files(host) == {"kept": "new\n", "made": "new\n"}
    host("rollback", "me")
    assert outcome(host)["by"] == "me"


def test_an_address_that_the_manager_does_not_bring_back_is_set_with_ip(host):
    (host.folder / "addresses.after").write_text(json.dumps(
        [{"ifname": "eth0", "addr_info": [{"local": "192.0.2.11", "prefixlen": 24}]}]))
    put_change(host, state={"expect": ["eth0 192.0.2.11/24"], "ip": ["addr replace 192.0.2.11/24 dev eth0"]})
    assert "addr replace 192.0.2.11/24 dev eth0" in host("rollback", "timer")
    assert outcome(host)["failures"] == ["not back by itself, so set with ip: eth0 192.0.2.11/24"]
    assert "missing" in outcome(host)


def test_an_interface_that_the_manager_does_not_make_again_is_made_with_ip(host):
    """An address on a bridge whose VLAN is missing reaches nobody."""
    bridge = {"ifname": "br0", "flags": ["UP"], "addr_info": [{"local": "192.0.2.11", "prefixlen": 24}]}
    (host.folder / "addresses").write_text(json.dumps([bridge]))
    (host.folder / "addresses.after").write_text(json.dumps(
        [bridge, {"ifname": "no-vlan", "flags": ["UP"], "master": "br0"}]))
    put_change(host, state={
        "expect": ["br0 there", "br0 up", "br0 192.0.2.11/24", "no-vlan in br0", "no-vlan up"],
        "make": [["lo", "link add lo"], ["no-vlan", "link add link bond0 name no-vlan type vlan id 10"]],
        "ip": ["link set dev no-vlan master br0"]})
    log = host("rollback", "timer")
    assert log[log.index("ip -force -batch -") + 1:][:2] == [
        "link add link bond0 name no-vlan type vlan id 10", "link set dev no-vlan master br0"]
    assert outcome(host)["missing"] == []
    assert outcome(host)["failures"] == ["not back by itself, so set with ip: no-vlan in br0, no-vlan up"]


def test_a_manager_that_is_too_slow_on_the_way_back_gets_more_time(host):
    """A host with much to do: killed half-way, its manager would leave it cut off."""
    there = json.dumps([{"ifname": "eth0", "addr_info": [{"local": "192.0.2.11", "prefixlen": 24}]}])
    slow = ["sh", "-c", f"sleep 3; echo '{there}' > {host.folder}/addresses"]
    put_change(host, rollback=side(host, [], [slow], kept=OLD, made=None),
               state={"expect": ["eth0 192.0.2.11/24"], "ip": []})
    host("rollback", "timer")
    assert outcome(host)["missing"] == []
    assert "timed out after 1" in outcome(host)["failures"][0]


def test_a_manager_that_fails_does_not_stop_the_way_back_and_is_told(host):
    put_change(host, rollback=side(host, [["broken"], ["not-there"]], [["manager", "back"]], kept=OLD, made=None))
    host("apply", "it")
    assert "manager back" in host("rollback", "timer")
    assert files(host) == {"kept": "old\n"}
    assert outcome(host)["failures"][0] == "broken: exit code 3: cannot"
    assert outcome(host)["failures"][1].startswith("not-there: ")


def test_a_change_whose_timer_has_gone_off_is_not_begun(host):
    """Its module was held up, by a full or slow disk, for longer than the timer."""
    (host.folder / "unarmed").touch()
    put_change(host)
    assert host("apply", "it") == []
    assert files(host) == {"kept": "old\n"}
    assert outcome(host)["outcome"] == "rolled back" and not (host.state / "change.json").exists()
    assert outcome(host)["failures"] == ["not begun: the timer of the way back has gone off already"]


@pytest.mark.parametrize("verb", ["rollback", "boot"])
def test_the_record_stays_for_the_next_boot_while_a_file_cannot_be_put_back(host, verb):
    """Gone, it would leave the next boot with the network that was to be taken back."""
    put_change(host)
    host("apply", "it")
    (host.folder / "kept").unlink()
    (host.folder / "kept").mkdir()  # as good as immutable, for root too
    (host.folder / "kept" / "there").touch()
    host(verb, *(["timer"] if verb == "rollback" else []))
    assert "kept: " in outcome(host)["failures"][0]
    assert (host.state / "change.json").exists()
    assert not (host.folder / "made").exists(), "what can be done is done"
    (host.folder / "kept" / "there").unlink()
    (host.folder / "kept").rmdir()
    host("boot")
    assert files(host) == {"kept": "old\n"}
    assert not (host.state / "change.json").exists()
    assert not list(host.folder.glob(".vmcluster-*")), "no drafts are left"


def test_a_manager_that_speaks_no_utf_8_does_not_stop_the_way_back(host):
    put_change(host, rollback=side(host, [["babbling"]], [["manager", "back"]], kept=OLD, made=None))
    assert "manager back" in host("rollback", "timer")
    assert outcome(host)["failures"][0].endswith("uft nicht")


def test_a_boot_in_the_middle_restores_files_and_leaves_the_rest_to_the_manager(host):
    put_change(host)
    (host.folder / "kept").write_text("half writ")
    assert host("boot") == ["manager boot"]
    assert files(host) == {"kept": "old\n"}
    assert outcome(host)["by"] == "boot"
    assert not (host.state / "change.json").exists()


@pytest.mark.parametrize("unit", ["systemd-networkd.service", "NetworkManager.service", "networking.service",
                                  "network-pre.target"])
def test_the_boot_unit_runs_before_every_manager(unit):
    before = [line[7:].split() for line in host_change.BOOT_UNIT.splitlines() if line.startswith("Before=")]
    assert unit in sum(before, [])
