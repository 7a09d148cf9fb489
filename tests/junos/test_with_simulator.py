# SPDX-License-Identifier: GPL-3.0-or-later
"""junos_bgp_group and everything that can come in between, which only a simulator does on demand."""

import re
import signal
import socket
import threading
import time

import pytest
from jnpr.junos import Device

ENTRY = {"name": "alpha", "communities": ["65010:100"], "prefixes": [{"prefix": "203.0.113.0/24", "length": 32}]}
GROUP = {"name": "VMC-TEST-V4", "family": "ipv4", "neighbors": [{"address": "10.20.0.21"}, {"address": "10.20.0.22"}],
         "password": "s3cret-pw", "accept": [ENTRY]}
OTHER = dict(GROUP, hold_time=30)
PEER = """<bgp-peer><peer-address>{0}+179</peer-address><peer-state>{1}</peer-state><peer-group>VMC-TEST-V4</peer-group>
<last-error>Hold Timer Expired Error</last-error></bgp-peer>"""
ROUTE = """<rt><rt-destination>{0}</rt-destination><rt-entry><active-tag>*</active-tag>
<protocol-name>BGP</protocol-name>
<protocol-nh><to>10.20.0.11</to></protocol-nh><communities><community>{1}</community></communities></rt-entry></rt>"""
MARK = "vmcluster.network: junos_bgp_group of master"


def establish(gateway, *states):
    """Let the neighbours' sessions be in these states."""
    addresses = [peer["address"] for peer in GROUP["neighbors"]]
    peers = "".join(PEER.format(address, state) for address, state in zip(addresses, states, strict=True))
    gateway.order("answer", rpc="get-bgp-neighbor-information", xml=f"<bgp-information>{peers}</bgp-information>")


def announce(gateway, *prefixes, community="65010:100"):
    routes = "".join(ROUTE.format(prefix, community) for prefix in prefixes)
    table = f"<route-table><table-name>inet.0</table-name>{routes}</route-table>"
    gateway.order("answer", rpc="get-route-information", xml=f"<route-information>{table}</route-information>")


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def assert_untouched(gateway, commits=1):
    status = gateway.status
    assert (status["dirty"], status["holder"], len(status["commits"])) == (False, "", commits)


def test_a_change_goes_from_lock_to_confirmed_commit_in_one_session(simulated):
    establish(simulated, "Established", "Established")
    announce(simulated, "203.0.113.10/32")
    result = simulated.change(GROUP, expect={"established": "all", "prefixes": ["203.0.113.10/32"]})
    assert result["commit"] == {"confirmed": True, "comment": MARK, "minutes": 5}
    rpcs = [name for name in simulated.rpcs if name not in ("get-configuration", "get-commit-information")]
    assert rpcs == [
        "lock-configuration", "load-configuration", "commit-configuration", "commit-configuration",
        "get-bgp-neighbor-information", "get-route-information", "get-route-information", "commit-configuration",
        "get-bgp-group-information", "load-configuration", "unlock-configuration", "close-session"]
    assert [(entry["log"], entry["comment"]) for entry in simulated.status["commits"][:2]] == [
        (MARK, ""), (MARK, "commit confirmed, rollback in 5mins")]
    assert_untouched(simulated, commits=3)


def test_with_nothing_to_change_nothing_is_locked_or_committed(simulated):
    simulated.change(GROUP)
    commits, asked = len(simulated.logs), len(simulated.rpcs)
    assert not simulated.change(GROUP)["changed"]
    assert simulated.rpcs[asked:] == [
        "get-configuration", "get-configuration", "get-commit-information", "close-session"]
    assert len(simulated.logs) == commits


def test_check_mode_stops_after_the_commit_check(simulated):
    assert simulated.change(GROUP, check=True)["changed"]
    assert simulated.rpcs.count("commit-configuration") == 1
    assert_untouched(simulated)


def test_a_failed_verification_takes_the_change_back_at_once_and_says_what_was_missing(simulated):
    establish(simulated, "Established", "Active")
    announce(simulated, "203.0.113.10/32")
    result = simulated.run(
        groups=[GROUP], wait=2, expect={"established": "all", "prefixes": ["203.0.113.10/32", "203.0.113.11/32"]})
    assert result["failed"] and result["rolled_back"]
    assert result["missing"] == [
        "the session to 10.20.0.22 of group VMC-TEST-V4 is Active (Hold Timer Expired Error)",
        "203.0.113.11/32 is expected, and there is no active BGP route to it"]
    assert all(told in result["msg"] for told in result["missing"])
    assert "VMC-TEST-V4" in result["diff"]["prepared"]
    assert not simulated.status["pending"]
    assert "taken back" in simulated.logs[0]
    assert_untouched(simulated, commits=3)
    assert simulated.change(GROUP, check=True)["changed"]


def test_one_session_of_each_group_is_enough_when_that_is_asked(simulated):
    establish(simulated, "Idle", "Established")
    assert simulated.change(GROUP, expect={"established": "any"})["changed"]


@pytest.mark.parametrize(("prefix", "community"), [
    ("203.0.113.0/24", "65010:100"), ("203.0.113.10/32", "65010:999"), ("198.51.100.1/32", "65010:100")])
def test_a_route_that_no_cluster_may_announce_is_never_confirmed(simulated, prefix, community):
    announce(simulated, prefix, community=community)
    result = simulated.run(groups=[GROUP], wait=1)
    assert result["failed"] and result["rolled_back"]
    assert result["missing"] == [
        f"{prefix} by 10.20.0.11 was accepted by group VMC-TEST-V4, and no cluster may announce it"]


def test_a_lock_that_somebody_holds_is_told_with_its_holder(simulated):
    simulated.order("hold_lock", user="netadmin")
    result = simulated.run(groups=[GROUP])
    assert result["failed"] and "netadmin" in result["msg"] and "locked" in result["msg"]
    assert simulated.status["holder"] == "netadmin"


def test_what_somebody_left_uncommitted_is_shown_and_left_alone(simulated):
    simulated.order("edit", commands="set system host-name dirty")
    result = simulated.run(groups=[GROUP])
    assert result["failed"] and "not committed" in result["msg"]
    assert "+  host-name dirty" in re.sub(r"\+ +host", "+  host", result["msg"])
    assert simulated.status["dirty"] and simulated.status["holder"] == ""


def test_somebody_elses_commit_that_waits_is_never_confirmed(simulated):
    simulated.order("minute", seconds=60)
    simulated.order("commit", user="netadmin", commands="set system host-name trial", log="trial", confirm=5)
    for check in (False, True):
        result = simulated.run(groups=[GROUP], check=check)
        assert result["failed"] and "netadmin" in result["msg"] and "not ours" in result["msg"]
    assert simulated.status["pending"]
    assert not simulated.change()["changed"]
    assert simulated.status["pending"]
    assert_untouched(simulated, commits=2)


def test_what_junos_refuses_is_told_in_its_words_and_nothing_is_left(simulated):
    simulated.order("commit", user="netadmin", commands="set protocols bgp peer-as 64999")
    result = simulated.run(groups=[GROUP])
    assert result["failed"] and "commit check" in result["msg"]
    assert "peer AS number must be the same as the local AS" in result["msg"]
    assert_untouched(simulated, commits=2)


def test_a_session_lost_after_the_commit_tells_when_junos_rolls_back_and_the_next_run_completes(simulated):
    simulated.order("drop_at", rpc="commit-confirmed")
    result = simulated.run(groups=[GROUP])
    assert result["failed"] and result["rolled_back"] is False
    assert re.search(r"Junos rolls back by itself, at \d\d:\d\d:\d\d", result["msg"]), result["msg"]
    assert "VMC-TEST-V4" in result["diff"]["prepared"]
    wait_until(lambda: not simulated.status["pending"])
    assert [entry["user"] for entry in simulated.status["commits"]][0] == "root"
    assert simulated.change(GROUP)["changed"]
    assert not simulated.change(GROUP)["changed"]


def test_a_change_that_junos_has_rolled_back_by_itself_is_told_so_and_not_brought_back(simulated):
    simulated.order("minute", seconds=1)
    establish(simulated, "Active", "Active")
    result = simulated.run(groups=[GROUP], expect={"established": "all"}, confirm=1, wait=4)
    assert result["failed"] and result["rolled_back"] and "rolled the change back by itself" in result["msg"]
    assert [entry["user"] for entry in simulated.status["commits"]][0] == "root"
    assert_untouched(simulated, commits=3)
    assert simulated.change(GROUP, check=True)["changed"]


def kill_between_commit_and_confirmation(simulated):
    """A run that verifies for long, killed meanwhile."""
    simulated.order("minute", seconds=60)
    establish(simulated, "Active", "Active")
    with simulated.start(groups=[GROUP], expect={"established": "all"}, wait=60) as process:
        wait_until(lambda: simulated.status["pending"])
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: not simulated.status["holder"])
    assert simulated.status["pending"]


def test_a_run_after_a_killed_one_verifies_and_confirms_what_it_left(simulated):
    kill_between_commit_and_confirmation(simulated)
    establish(simulated, "Established", "Established")
    told = simulated.change(GROUP, expect={"established": "all"}, check=True)
    assert told["changed"] and simulated.status["pending"]
    result = simulated.change(GROUP, expect={"established": "all"})
    assert result["changed"] and result["commit"]["confirmed"] and "was verified and confirmed" in result["hints"][0]
    assert not simulated.status["pending"]
    assert not simulated.change(GROUP)["changed"]
    assert_untouched(simulated, commits=3)


def test_a_run_after_a_killed_one_takes_back_what_does_not_verify(simulated):
    kill_between_commit_and_confirmation(simulated)
    result = simulated.run(groups=[GROUP], expect={"established": "all"}, wait=1)
    assert result["failed"] and result["rolled_back"]
    assert not simulated.status["pending"]
    assert simulated.change(GROUP, check=True)["changed"]


def test_a_run_after_a_killed_one_takes_back_what_is_not_wanted_any_more(simulated):
    kill_between_commit_and_confirmation(simulated)
    assert simulated.change(OTHER, check=True)["changed"]
    assert simulated.status["pending"]
    result = simulated.change(OTHER)
    assert result["changed"] and "hold-time 30" in result["diff"]["prepared"]
    assert "never confirmed is taken back" in simulated.logs[2]
    assert not simulated.status["pending"]
    assert not simulated.change(OTHER)["changed"]


def test_a_group_made_by_hand_is_taken_over_without_touching_it(simulated):
    group = {"name": "VM", "family": "ipv4", "import_policy": "VM", "export_policy": "reject-all",
             "local_address": "10.20.0.1", "neighbors": [{"address": "10.20.0.20"}],
             "accept": [{"name": "isp-ipv4", "prefixes": [{"prefix": "203.0.113.0/24"}]}]}
    assert not simulated.change(group, match="orlonger")["changed"]
    group["accept"] = [ENTRY]
    result = simulated.change(group)
    assert "[edit protocols" not in result["diff"]["prepared"]
    assert not simulated.change(group)["changed"]


def test_the_groups_detail_is_in_the_result(simulated):
    simulated.order("answer", rpc="get-bgp-group-information", xml="""<bgp-group-information><bgp-group>
        <type>Internal</type><name>VMC-TEST-V4</name><peer-count>2</peer-count><established-count>1</established-count>
        <peer-address>10.20.0.21+179</peer-address><bgp-rib><name>inet.0</name><active-prefix-count>3</active-prefix-count>
        </bgp-rib></bgp-group></bgp-group-information>""")
    group = simulated.change(GROUP)["groups"][0]
    assert (group["name"], group["established"], group["addresses"]) == ("VMC-TEST-V4", 1, ["10.20.0.21"])
    assert group["tables"]["inet.0"]["active"] == 3


def test_info_waits_and_tells_sessions_and_routes(simulated):
    establish(simulated, "Established", "Established")
    announce(simulated, "203.0.113.10/32")
    told = simulated.run("junos_bgp_group_info", prefixes=["203.0.113.10/32"], expect="present", wait=5)
    assert [session["state"] for session in told["sessions"]] == ["Established", "Established"]
    assert told["unexpected"] == []
    assert told["routes"][0]["next_hop"] == "10.20.0.11" and told["routes"][0]["active"]
    assert told["routes"][0]["paths"][0]["communities"] == ["65010:100"]
    for hops, unexpected in ((["10.20.0.11"], []), (["10.20.0.12"], ["203.0.113.10/32"])):
        led = simulated.run("junos_bgp_group_info", prefixes=["203.0.113.10/32"], expect="present", next_hops=hops)
        assert led["unexpected"] == unexpected
    absent = simulated.run("junos_bgp_group_info", prefixes=["203.0.113.10/32"], expect="absent", wait=0.1)
    assert absent["unexpected"] == ["203.0.113.10/32"]


def test_a_wrong_password_is_told_and_stands_nowhere(simulated):
    result = simulated.run(groups=[GROUP], password="wr0ng-pw")
    assert result["failed"] and "refused the login of automation with the password" in result["msg"]
    assert "wr0ng-pw" not in str(result) and "s3cret-pw" not in str(result)


def test_an_unknown_host_key_is_told_with_where_it_was_looked_for(simulated):
    simulated.known_hosts.write_text("")
    result = simulated.run(groups=[GROUP])
    assert result["failed"] and "is not known" in result["msg"] and str(simulated.known_hosts) in result["msg"]
    assert simulated.rpcs == []


def test_a_changed_host_key_is_told_apart_from_an_unknown_one(simulated):
    simulated.order("new_host_key")
    result = simulated.run(groups=[GROUP])
    assert result["failed"] and "another host key" in result["msg"] and "ssh-keygen" in result["msg"]
    assert not simulated.run(groups=[], host_key_checking=False).get("failed")


def test_a_port_where_nobody_listens_is_told_as_refused(simulated):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = simulated.run(groups=[GROUP], port=port)
    assert result["failed"] and f"refuses connections to port {port}" in result["msg"]


def test_a_port_that_speaks_no_ssh_is_told(simulated):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def greet():
            for _ in range(2):
                link, _ = server.accept()
                link.sendall(b"220 mail.example.net ESMTP\r\n")
                link.close()
        threading.Thread(target=greet, daemon=True).start()
        result = simulated.run(groups=[GROUP], port=server.getsockname()[1])
    assert result["failed"] and "no NETCONF session came about" in result["msg"]


def test_a_name_that_does_not_resolve_is_told(simulated):
    result = simulated.run(groups=[GROUP], host="mx.invalid")
    assert result["failed"] and "mx.invalid: this name does not resolve" in result["msg"]


def test_a_host_that_does_not_answer_is_told_with_the_time_waited(simulated):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for link in waiting:
            link.setblocking(False)
            link.connect_ex(("127.0.0.1", port))
        result = simulated.run(groups=[GROUP], port=port, timeout=2)
        for link in waiting:
            link.close()
    assert result["failed"] and "does not answer" in result["msg"] and "within 2 s" in result["msg"]


RELAY = """
import os, socket, sys, threading
link = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def send():
    while data := os.read(0, 65536):
        link.sendall(data)
threading.Thread(target=send, daemon=True).start()
while data := link.recv(65536):
    os.write(1, data)
"""


def test_a_jump_host_is_used_and_its_failure_told(simulated, tmp_path):
    address, port = simulated.simulator.address, simulated.simulator.port
    known, relay, settings = (tmp_path / name for name in ("known_mx1", "relay.py", "jump"))
    known.write_text(simulated.known_hosts.read_text().replace(f"[{address}]:{port}", "mx1"))
    relay.write_text(RELAY)
    settings.write_text(f"Host mx1\n  ProxyCommand python3 {relay} {address} {port}\n  UserKnownHostsFile {known}\n")
    assert not simulated.run(groups=[], host="mx1", port=830, ssh_config=str(settings)).get("failed")
    settings.write_text(f"Host mx1\n  ProxyCommand false\n  UserKnownHostsFile {known}\n")
    result = simulated.run(groups=[], host="mx1", port=830, ssh_config=str(settings))
    assert result["failed"] and "ProxyCommand" in result["msg"]
    settings.write_text("Host mx1\n  ProxyJump jump.example.net\n")
    result = simulated.run(groups=[], host="mx1", port=830, ssh_config=str(settings))
    assert result["failed"] and "ProxyCommand ssh -W %h:%p jump.example.net" in result["msg"]


def test_an_answer_that_cannot_be_read_takes_the_change_back(simulated):
    announce(simulated, "no prefix")
    result = simulated.run(groups=[GROUP])
    assert result["failed"] and result["rolled_back"] and "the verification itself failed" in result["msg"]
    assert not simulated.status["pending"]


def test_another_user_may_work_after_a_failure(simulated):
    establish(simulated, "Active", "Active")
    assert simulated.run(groups=[GROUP], expect={"established": "all"}, wait=1)["failed"]
    login = simulated.connection
    with Device(host=login["host"], port=login["port"], user=login["user"], passwd=login["password"],
                ssh_config=login["ssh_config"], gather_facts=False) as device:
        device.rpc.lock_configuration()
        device.rpc.unlock_configuration()


@pytest.mark.parametrize(("place", "made", "where"), [
    ({"routing_instance": "red"}, "set routing-instances red instance-type virtual-router", "routing-instances red"),
    ({"logical_system": "one"}, "set logical-systems one routing-options autonomous-system 65010",
     "logical-systems one")])
def test_an_instance_or_logical_system_has_its_own_groups_and_the_others_stay(simulated, place, made, where):
    simulated.order("commit", user="netadmin", commands=made)
    main = dict(GROUP, name="VMC-TEST-MAIN", neighbors=[{"address": "10.20.0.23"}])
    discard = ["203.0.113.0/24", "2001:db8:1::/64"]
    simulated.change(main, discard=discard)
    result = simulated.change(GROUP, discard=discard, **place)
    assert f"[edit {where}" in result["diff"]["prepared"]
    assert result["commit"]["comment"].endswith(f"of {place.get('logical_system', '')}"
                                                f"{'/master' if 'logical_system' in place else 'red'}")
    assert not simulated.change(GROUP, discard=discard, **place)["changed"]
    assert not simulated.change(main, discard=discard)["changed"]
    gone = simulated.change(**place)["diff"]["prepared"]
    assert "VMC-TEST-V4" in gone and "VMC-TEST-MAIN" not in gone
    assert not simulated.change(main, discard=discard)["changed"]
