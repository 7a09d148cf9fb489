# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator as PyEZ meets it: logging in, facts, the lock, loads, commits and their confirmation."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest
from jnpr.junos import Device
from jnpr.junos.exception import (
    CommitError,
    ConfigLoadError,
    ConnectAuthError,
    ConnectClosedError,
    ConnectRefusedError,
    LockError,
    RpcError,
    UnlockError,
)
from jnpr.junos.utils.config import Config
from junos_simulator.testing import Simulator, SimulatorError, running
from vmlab.stories import wait_until

Connect = Callable[..., Device]
NEW_NAME = "set system host-name new-name"


def users(simulator: Simulator) -> list[str]:
    return [entry["user"] for entry in simulator.status()["commits"]]


def test_facts_are_those_of_a_router_that_says_what_it_is(connect: Connect) -> None:
    device = connect()
    facts = {name: device.facts[name] for name in ("hostname", "model", "version", "personality", "serialnumber",
                                                   "current_re", "2RE", "vc_capable")}
    assert facts == {"hostname": "core", "model": "MX480", "version": "23.4R1.10", "personality": "MX",
                     "serialnumber": "JUNOS-SIMULATOR", "current_re": ["master", "re0"], "2RE": False,
                     "vc_capable": False}
    assert "simulator" in device.rpc.get_software_information().findtext("package-information/comment")


def test_the_server_speaks_netconf_1_0_of_junos(connect: Connect) -> None:
    capabilities = set(connect()._conn.server_capabilities)
    assert "http://xml.juniper.net/netconf/junos/1.0" in capabilities
    assert "urn:ietf:params:netconf:base:1.1" not in capabilities


def test_a_wrong_password_and_a_stranger_are_refused(simulator: Simulator) -> None:
    for options in ({"passwd": "wrong"}, {"user": "stranger", "passwd": "wrong"}):
        with pytest.raises(ConnectAuthError):
            Device(host=simulator.address, port=simulator.port, look_for_keys=False, allow_agent=False,
                   **{"user": "automation", **options}).open()


def test_a_key_opens_a_session_for_its_user_only(open_device: Connect, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(tmp_path / "key"))
    (tmp_path / "key").chmod(0o600)
    known = {"holder": {"keys": [key.export_public_key().decode()]}, "other": {"password": "x"}}
    with running(tmp_path / "simulator", users=known) as simulator:
        with open_device(simulator, user="holder", ssh_private_key_file=str(tmp_path / "key")) as device:
            assert device.rpc.get_system_information().findtext("host-name") == "junos-simulator"
        with pytest.raises(ConnectAuthError):
            open_device(simulator, user="other", ssh_private_key_file=str(tmp_path / "key")).open()


def test_a_changed_host_key_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path / "simulator") as simulator:
        (tmp_path / "known_hosts").write_text(simulator.host_key_line)
        config = tmp_path / "config"
        config.write_text(f"Host *\n    UserKnownHostsFile {tmp_path}/known_hosts\n")
        told = {"host": simulator.address, "port": simulator.port, "user": "automation", "ssh_config": str(config),
                "passwd": simulator.settings["users"]["automation"]["password"], "hostkey_verify": True,
                "gather_facts": False, "look_for_keys": False, "allow_agent": False}
        Device(**told).open().close()
        simulator.order("new_host_key")
        with pytest.raises(ConnectRefusedError):
            Device(**told).open()


def test_an_rpc_that_is_unknown_is_a_syntax_error(connect: Connect) -> None:
    device = connect()
    with pytest.raises(RpcError, match="syntax error"):
        device.rpc.get_nonsense_information()
    with pytest.raises(RpcError, match="syntax error"):
        device.rpc.cli("show nonsense", format="xml")


def test_one_session_has_the_lock_and_the_others_are_told_who(simulator: Simulator, connect: Connect) -> None:
    first, second = Config(connect()), Config(connect())
    first.lock()
    with pytest.raises(LockError) as refused:
        second.lock()
    assert "configuration database locked by:" in str(refused.value)
    assert "automation terminal p0 (pid " in str(refused.value) and "exclusive [edit]" in str(refused.value)
    for change in (lambda: second.load(NEW_NAME, format="set"), second.commit, second.commit_check):
        with pytest.raises(RpcError, match="configuration database locked by"):
            change()
    first.unlock()
    second.lock()


def test_who_does_not_hold_the_lock_can_not_give_it_back(config: Config) -> None:
    with pytest.raises(UnlockError):
        config.unlock()


def test_the_end_of_a_session_frees_the_lock_and_drops_what_was_not_committed(
    simulator: Simulator, connect: Connect
) -> None:
    device = connect()
    config = Config(device)
    config.lock()
    config.load(NEW_NAME, format="set")
    assert simulator.status()["holder"] == "automation" and simulator.status()["dirty"]
    device.close()
    wait_until(lambda: simulator.status()["holder"] == "", 5, "the lock is free")
    assert not simulator.status()["dirty"]


def test_a_dirty_candidate_refuses_the_lock(simulator: Simulator, config: Config) -> None:
    simulator.order("edit", commands=NEW_NAME)
    with pytest.raises(LockError, match="configuration database modified"):
        config.lock()
    config.rollback(0)
    config.lock()


def test_a_lock_of_somebody_else_is_held_until_it_is_released(simulator: Simulator, config: Config) -> None:
    simulator.order("hold_lock", user="netadmin")
    with pytest.raises(LockError, match="netadmin terminal p0"):
        config.lock()
    simulator.order("release_lock")
    config.lock()


@pytest.mark.parametrize(("written", "form"), [
    (NEW_NAME, "set"), ("system { host-name new-name; }", "text"),
    ("<configuration><system><host-name>new-name</host-name></system></configuration>", "xml")])
def test_set_text_and_xml_make_the_same_patch(config: Config, written: str, form: str) -> None:
    config.load(written, format=form)
    assert config.diff() == "\n[edit system]\n-  host-name core;\n+  host-name new-name;\n"


def test_replace_merge_and_override_differ(config: Config) -> None:
    change = "protocols { bgp { replace: group INTERNET { type external; peer-as 64999; neighbor 198.18.0.9; } } }"
    config.load(change, format="text", merge=True)
    assert "-     neighbor 198.18.0.2" not in config.diff()
    config.rollback(0)
    config.load(change, format="text")
    assert "-     neighbor 198.18.0.2 {" in config.diff() and "-  host-name" not in config.diff()
    config.rollback(0)
    config.load("system { host-name alone; }", format="text", overwrite=True)
    assert "-  protocols {" in config.diff()


def test_no_change_is_no_patch(config: Config) -> None:
    assert config.diff() is None
    config.load("set system host-name core", format="set")
    assert config.diff() is None


def test_to_delete_what_is_not_there_is_a_warning(config: Config) -> None:
    with pytest.raises(ConfigLoadError, match="statement not found") as told:
        config.load("delete protocols bgp group NONE", format="set")
    assert told.value.errs[0]["severity"] == "warning"
    config.load(f"delete protocols bgp group NONE\n{NEW_NAME}", format="set", ignore_warning="statement not found")
    assert "+  host-name new-name;" in config.diff()


def test_an_unknown_statement_is_refused_and_the_rest_of_the_load_stays(config: Config) -> None:
    with pytest.raises(ConfigLoadError, match="syntax error") as told:
        config.load(f"set protcols bgp\n{NEW_NAME}", format="set")
    assert told.value.errs[0]["bad_element"] == "protcols"
    assert "+  host-name new-name;" in config.diff()


@pytest.mark.parametrize("options", [{"format": "text", "patch": True}, {"format": "json"}])
def test_what_the_simulator_does_not_load_it_refuses(config: Config, options: dict[str, object]) -> None:
    with pytest.raises(ConfigLoadError, match="Junos simulator cannot load"):
        config.load("{}", **options)
    assert config.diff() is None


def test_a_check_tells_all_that_is_wrong_in_junoss_words(config: Config) -> None:
    config.load("delete routing-options autonomous-system\n"
                "set protocols bgp group INTERNET import MISSING", format="set")
    with pytest.raises(CommitError) as refused:
        config.commit_check()
    assert [error["message"] for error in refused.value.errs] == [
        "must define local autonomous system when enabling BGP",
        "Policy error: Policy MISSING referenced but not defined",
        "configuration check-out failed"]
    assert refused.value.errs[1]["edit_path"] == "[edit protocols bgp group INTERNET]"
    with pytest.raises(CommitError, match="must define local autonomous system"):
        config.commit()


def test_a_commit_is_active_and_in_the_history_with_its_comment(simulator: Simulator, config: Config) -> None:
    config.load(NEW_NAME, format="set")
    config.commit(comment="by request of ünïcode")
    entry = config.rpc.get_commit_information().find("commit-history")
    assert {name: entry.findtext(name) for name in ("sequence-number", "user", "client", "log")} == {
        "sequence-number": "0", "user": "automation", "client": "netconf", "log": "by request of ünïcode"}
    assert entry.find("date-time").get("seconds")
    assert entry.find("commit-confirmed") is None
    shown = config.rpc.get_config(filter_xml="system/host-name", options={"database": "committed"})
    assert shown.findtext("system/host-name") == "new-name"


def test_earlier_configurations_come_back(config: Config) -> None:
    for name in ("one", "two", "three"):
        config.load(f"set system host-name {name}", format="set")
        config.commit()
    assert config.diff(rb_id=2) == "\n[edit system]\n-  host-name one;\n+  host-name three;\n"
    config.rollback(3)
    assert config.diff() == "\n[edit system]\n-  host-name three;\n+  host-name core;\n"
    config.commit()
    with pytest.raises(RpcError, match="rollback 40 does not exist"):
        config.rollback(40)


def test_an_earlier_configuration_and_what_differs_from_it_are_shown(config: Config) -> None:
    config.load(NEW_NAME, format="set")
    config.commit()
    shown = config.rpc.get_rollback_information(rollback="1", format="text")
    assert "    host-name core;" in shown.findtext("configuration-information/configuration-output").splitlines()
    shown = config.rpc.get_rollback_information(rollback="0", compare="1", format="text")
    assert "+  host-name new-name;" in shown.findtext("configuration-information/configuration-output")


def test_a_commit_that_nobody_confirms_is_rolled_back(simulator: Simulator, config: Config) -> None:
    config.load(NEW_NAME, format="set")
    config.commit(confirm=1)
    entry = config.rpc.get_commit_information().find("commit-history")
    assert (entry.findtext("comment"), entry.findtext("commit-confirmed")) == (
        "commit confirmed, rollback in 1mins", "rollback pending")
    wait_until(lambda: not simulator.status()["pending"], 5, "the automatic rollback")
    wait_until(lambda: users(simulator) == ["root", "automation", "root"], 5, "the rollback is in the history")
    assert config.diff() is None
    assert config.rpc.get_config(filter_xml="system/host-name").findtext("system/host-name") == "core"


def waits_out_the_timer(simulator: Simulator) -> None:
    """Two of the simulator's minutes: more than the timer had left."""
    end = time.monotonic() + 1.2
    wait_until(lambda: time.monotonic() > end, 3, "two minutes")


def test_a_commit_confirms(simulator: Simulator, config: Config) -> None:
    config.load(NEW_NAME, format="set")
    config.commit(confirm=1)
    config.commit(comment="all is well")
    waits_out_the_timer(simulator)
    assert users(simulator) == ["automation", "automation", "root"]
    assert simulator.status()["commits"][1]["comment"] == "commit confirmed, rollback in 1mins"


def test_a_mere_commit_check_confirms_too(simulator: Simulator, config: Config) -> None:
    """The trap on Junos for who checks a second time before he verifies."""
    config.load(NEW_NAME, format="set")
    config.commit(confirm=1)
    config.commit_check()
    assert not simulator.status()["pending"]
    waits_out_the_timer(simulator)
    assert users(simulator) == ["automation", "root"]


def test_a_check_of_somebody_else_who_is_refused_confirms_nothing(
    simulator: Simulator, connect: Connect, config: Config
) -> None:
    config.lock()
    config.load(NEW_NAME, format="set")
    config.commit(confirm=60)
    with pytest.raises(CommitError, match="locked by"):
        Config(connect()).commit_check()
    assert simulator.status()["pending"]


def test_a_confirmed_commit_after_a_confirmed_commit_starts_the_timer_anew(
    simulator: Simulator, config: Config
) -> None:
    config.load(NEW_NAME, format="set")
    config.commit(confirm=1)
    config.commit(confirm=60)
    waits_out_the_timer(simulator)
    assert simulator.status()["pending"]
    config.rollback(2)
    assert "+  host-name core;" in config.diff()


def test_to_go_back_at_once_is_rollback_1_and_a_commit(simulator: Simulator, config: Config) -> None:
    config.load(NEW_NAME, format="set")
    config.commit(confirm=60)
    config.rollback(1)
    config.commit()
    assert not simulator.status()["pending"]
    assert config.rpc.get_config(filter_xml="system/host-name").findtext("system/host-name") == "core"


def test_a_session_that_is_lost_after_confirmed_leaves_the_timer_running(
    simulator: Simulator, config: Config
) -> None:
    config.lock()
    config.load(NEW_NAME, format="set")
    simulator.order("drop_at", rpc="commit-confirmed")
    with pytest.raises(ConnectClosedError):
        config.commit(confirm=1)
    wait_until(lambda: simulator.status()["holder"] == "", 5, "the lock is free")
    assert users(simulator)[0] in ("automation", "root")
    wait_until(lambda: users(simulator) == ["root", "automation", "root"], 5, "the automatic rollback")


def test_a_session_can_be_killed_and_loses_lock_changes_and_what_was_not_confirmed(
    simulator: Simulator, connect: Connect
) -> None:
    first, second = Config(connect()), connect()
    first.lock()
    first.load(NEW_NAME, format="set")
    first.commit(confirm=60)
    pid = first.dev._conn.session_id
    second.execute(f"<kill-session><session-id>{pid}</session-id></kill-session>")
    wait_until(lambda: simulator.status()["holder"] == "", 5, "the lock is free")
    assert not simulator.status()["pending"]
    assert users(simulator) == ["root", "automation", "root"]
    with pytest.raises(RpcError, match="session-id does not exist"):
        second.execute("<kill-session><session-id>1</session-id></kill-session>")


def test_a_commit_confirmed_of_somebody_else_is_seen(simulator: Simulator, config: Config) -> None:
    simulator.order("commit", user="netadmin", commands=NEW_NAME, log="on my way", confirm=60)
    entry = config.rpc.get_commit_information().find("commit-history")
    assert (entry.findtext("user"), entry.findtext("client"), entry.findtext("log")) == ("netadmin", "cli", "on my way")
    assert entry.findtext("commit-confirmed") == "rollback pending"


def test_the_configuration_is_shown_as_text_and_as_commands(config: Config) -> None:
    shown = config.rpc.get_config(options={"format": "text"})
    assert "    host-name core;" in (shown.text or "").splitlines()
    assert "set system host-name core" in (config.rpc.get_config(options={"format": "set"}).text or "").splitlines()


def test_a_private_candidate_is_refused(config: Config) -> None:
    with pytest.raises(RpcError, match="Junos simulator has no private configuration"):
        config.rpc.open_configuration(private=True)


def test_an_order_that_makes_no_sense_is_refused(simulator: Simulator) -> None:
    with pytest.raises(SimulatorError, match="syntax error"):
        simulator.order("edit", commands="set nonsense")
    with pytest.raises(SimulatorError, match="no order"):
        simulator.order("explode")


def test_what_was_committed_is_there_after_a_restart_but_not_what_waited(
    open_device: Connect, tmp_path: Path
) -> None:
    saved = str(tmp_path / "saved.conf")
    for change, confirm in (("kept", None), ("waits", 60)):
        with running(tmp_path / "simulator", saved=saved) as simulator, open_device(simulator) as device:
            config = Config(device)
            config.load(f"set system host-name {change}", format="set")
            config.commit(**({"confirm": confirm} if confirm else {}))
    with running(tmp_path / "simulator", saved=saved) as simulator, open_device(simulator) as device:
        assert device.facts["hostname"] == "kept"


def test_a_configuration_that_is_wrong_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="syntax error"), running(tmp_path, configuration="nonsense { x; }"):
        pass


def test_noise_at_the_port_harms_nobody(simulator: Simulator, config: Config) -> None:
    with socket.create_connection((simulator.address, simulator.port)) as link:
        link.sendall(b"\x00\xff" * 2000)
    assert config.diff() is None
