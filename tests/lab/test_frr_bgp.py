# SPDX-License-Identifier: GPL-3.0-or-later
"""frr_bgp, statements and neighbours in one call, on real FRR: 8.4 (host `old`), 10 (host `new`), and a bare host."""

from __future__ import annotations

from typing import Any

from frr_site import FILTERS, FRR, PASSWORD, Site, as_set_up, changed, lab, sessions, site

__all__ = ["as_set_up", "lab", "site"]


def wanted(text: str = FILTERS, **changes: Any) -> dict[str, Any]:
    return {"text": text, "prefix": "VMC-", **sessions(**changes)}


def test_check_mode_predicts_statements_and_neighbours_also_on_a_bare_host(lab: Site) -> None:
    before = [lab.running(host) + lab.saved(host) for host in FRR]
    for result in lab.call("frr_bgp", wanted(), "--check", "--diff", hosts="old,new,bare").values():
        assert result["changed"] and "\nroute-map VMC-NODE-ANNOUNCE permit 10\n" in result["diff"]["after"]
        assert " neighbor VMC-RR-V4 timers 1 3\n" in result["diff"]["after"] and PASSWORD not in str(result)
    assert [lab.running(host) + lab.saved(host) for host in FRR] == before


def test_one_call_makes_and_saves_what_two_make(site: Site, as_set_up: dict[str, str]) -> None:
    site.call("frr_neighbor", {"asn": 65010, "purge": True})
    site.config("")
    assert all("VMC-" not in site.running(host) + site.saved(host) for host in FRR)
    results = site.call("frr_bgp", wanted())
    assert all(result["changed"] and result["saved"] and not result["kept"] for result in results.values())
    assert all(each["state"] == "Established" for result in results.values() for each in result["sessions"])
    for host in FRR:
        assert sorted(site.running(host).splitlines()) == sorted(as_set_up[host].splitlines())
        assert f"password {PASSWORD}" in site.saved(host)
    assert changed(site.call("frr_bgp", wanted())) == {False}


def test_filters_go_in_the_call_in_which_their_last_neighbour_goes(site: Site) -> None:
    nothing = {"text": "", "prefix": "VMC-", "asn": 65010, "purge": True}
    for result in site.call("frr_bgp", nothing).values():
        assert result["kept"] == [] and "route-map VMC-NODE-IN: not wanted any more" in result["actions"]
    assert all("VMC-" not in site.running(host) + site.saved(host) for host in FRR)
    assert changed(site.call("frr_bgp", nothing)) == {False}


def test_a_changed_filter_and_one_more_neighbour_reset_no_session(site: Site) -> None:
    before = site.infos()
    more = wanted(FILTERS.replace("203.0.113.0/24", "198.51.100.0/24"), wait=0)
    more["neighbors"].append({"address": "10.20.0.99", "peer_group": "VMC-RR-V4", "description": "to come"})
    assert changed(site.call("frr_bgp", more)) == {True}
    for host, after in site.infos().items():
        assert "10.20.0.99" in after
        for address, session in before[host].items():
            assert after[address]["connections_established"] == session["connections_established"], (host, address)


def test_what_is_refused_of_neighbours_leaves_the_statements_unwritten(site: Site) -> None:
    before = [site.running(host) for host in FRR]
    missing = wanted(FILTERS + "ip prefix-list VMC-NEW permit 10.0.0.0/8\n")
    missing["peer_groups"][0]["families"][0]["route_map_in"] = "VMC-NODE-NOPE"
    for result in site.call("frr_bgp", missing, failed=True).values():
        assert "FRR has no route-map VMC-NODE-NOPE" in result["msg"]
    assert [site.running(host) for host in FRR] == before
