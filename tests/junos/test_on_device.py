# SPDX-License-Identifier: GPL-3.0-or-later
"""junos_bgp_group against a device, real or simulated: what the device takes, shows, and gives back.

No session comes up, for the neighbours' addresses are for documentation (RFC 5737, RFC 3849), so sessions are not
waited for. What is made carries the name VMC-TEST-, and is removed.
"""

import copy

ALPHA = {"name": "alpha", "communities": ["65010:100"], "prefixes": [
    {"prefix": "203.0.113.0/24", "length": 32}, {"prefix": "2001:db8:1::/64", "length": 128}]}
BETA = {"name": "beta", "communities": ["65010:200", "4200000001:1:200"],
        "prefixes": [{"prefix": "198.51.100.0/24", "length": 28}]}
V4 = {"name": "VMC-TEST-V4", "family": "ipv4", "password": "s3cret-pw", "hold_time": 30, "bfd": {},
      "ttl_security": True, "prefix_limit": 1000, "accept": [ALPHA, BETA], "neighbors": [
          {"address": "192.0.2.21", "description": "rr 1"}, {"address": "192.0.2.22", "description": "rr2"}]}
V6 = {"name": "VMC-TEST-V6", "family": "ipv6", "accept": [ALPHA, BETA], "graceful_restart": False,
      "neighbors": [{"address": "2001:db8:ffff::21", "description": "rr1"}]}
DISCARD = ["203.0.113.0/24", "2001:db8:1::/64"]


def without_key(**values):
    return dict({key: value for key, value in copy.deepcopy(V4).items() if key != "password"}, **values)


def test_a_gateway_is_configured_and_a_second_run_finds_nothing_to_do(gateway):
    first = gateway.change(V4, V6, discard=DISCARD)
    assert first["changed"] and first["commit"]["confirmed"]
    assert "+ " in first["diff"]["prepared"] and "VMC-TEST-V4" in first["diff"]["prepared"]
    assert first["hints"] == []
    second = gateway.change(V4, V6, discard=DISCARD)
    assert not second["changed"]
    assert (second["commands"], second["diff"], second["actions"]) == ([], {"prepared": ""}, [])


def test_check_mode_shows_the_same_diff_and_changes_nothing(gateway):
    predicted = gateway.change(V4, V6, check=True)
    assert predicted["changed"] and not predicted["commit"]["confirmed"]
    again = gateway.change(V4, V6, check=True)
    assert again["changed"]
    made = gateway.change(V4, V6)
    assert made["commands"] == predicted["commands"]
    keyless = [line for line in made["diff"]["prepared"].splitlines() if "authentication-key" not in line]
    assert keyless == [
        line for line in predicted["diff"]["prepared"].splitlines() if "authentication-key" not in line]


def test_a_changed_prefix_leaves_no_trace_of_the_old_one(gateway):
    gateway.change(without_key())
    entry = dict(ALPHA, prefixes=[{"prefix": "203.0.113.0/25", "length": 32}])
    result = gateway.change(without_key(accept=[entry, BETA]))
    patch = result["diff"]["prepared"]
    assert [line for line in patch.splitlines() if line.startswith("-") and "203.0.113.0/24" in line]
    assert [line for line in patch.splitlines() if line.startswith("+") and "203.0.113.0/25" in line]
    assert len([line for line in patch.splitlines() if line[:1] in "+-"]) == 2, patch


def test_a_neighbour_and_a_cluster_that_are_gone_go(gateway):
    gateway.change(without_key())
    result = gateway.change(without_key(accept=[ALPHA], neighbors=V4["neighbors"][:1]))
    patch = result["diff"]["prepared"]
    assert "neighbor 192.0.2.22" in patch and "192.0.2.21" not in patch
    assert "term beta" in patch and "VMC-TEST-beta" in patch
    assert not [line for line in patch.splitlines() if line.startswith("+")]


def test_a_key_stands_in_no_output_and_one_that_is_the_same_is_no_change(gateway):
    results = [gateway.change(V4), gateway.change(V4), gateway.change(dict(V4, password="an0ther-pw"))]
    assert [result["changed"] for result in results] == [True, False, True]
    assert "authentication-key" in results[2]["diff"]["prepared"]
    for result in results:
        shown = str(result)
        assert "s3cret-pw" not in shown and "an0ther-pw" not in shown and "$9$" not in shown


def test_what_was_turned_on_can_be_turned_off(gateway):
    gateway.change(V4)
    plain = {"name": "VMC-TEST-V4", "family": "ipv4", "neighbors": V4["neighbors"], "accept": V4["accept"]}
    result = gateway.change(plain)
    for statement in ("authentication-key", "bfd-liveness-detection", "multihop", "prefix-limit", "hold-time"):
        assert statement in result["diff"]["prepared"], statement
    assert not gateway.change(plain)["changed"]


def test_all_is_gone_when_nothing_is_listed(gateway):
    gateway.change(V4, V6, discard=DISCARD)
    assert gateway.change()["changed"]
    assert not gateway.change()["changed"]


def test_an_as_number_that_is_not_the_devices_is_refused(gateway):
    result = gateway.run(groups=[V4], asn=gateway.asn + 1)
    assert result["failed"] and "autonomous-system" in result["msg"]


def test_mistakes_are_told_together(gateway):
    result = gateway.run(groups=[dict(V4, hold_time=2, neighbors=[{"address": "nowhere"}])], confirm=0)
    assert result["failed"] and len(result["msg"].splitlines()) == 3


def test_sessions_and_routes_are_told(gateway):
    result = gateway.run("junos_bgp_group_info", groups=["VMC-TEST-V4"], within=["203.0.113.0/24"])
    assert (result["sessions"], result["routes"]) == ([], [])
