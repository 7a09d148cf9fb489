# SPDX-License-Identifier: GPL-3.0-or-later
"""frr_config on real FRR, 8.4 (host `old`) and 10 (host `new`), and on a host without."""

from __future__ import annotations

import random
import time

from frr_site import FILTERS, FRR, PASSWORD, Site, as_set_up, changed, lab, sessions, site
from vmlab.playbooks import kill_with_workers
from vmlab.state import CHECKOUT
from vmlab.stories import wait_until

__all__ = ["as_set_up", "lab", "site"]

EVERYTHING = CHECKOUT / "tests" / "unit" / "frr" / "everything.conf"


def test_check_mode_predicts_the_same_on_a_bare_host_and_with_frr_and_changes_nothing(lab: Site) -> None:
    before = [lab.running(host) + lab.saved(host) for host in FRR]
    predicted = lab.config(FILTERS, "--check", "--diff", hosts="old,new,bare")
    assert changed(predicted) == {True}
    for result in predicted.values():
        assert "\n  redistribute static route-map VMC-NODE-ANNOUNCE\n" in result["diff"]["after"]
    neighbours = lab.call("frr_neighbor", sessions(), "--check", "--diff", hosts="old,new,bare")
    for result in neighbours.values():
        assert " neighbor VMC-RR-V4 timers 1 3\n" in result["diff"]["after"] and PASSWORD not in str(result)
    assert [lab.running(host) + lab.saved(host) for host in FRR] == before
    assert lab.lab.exec("bare", ["sh", "-c", "! ls -d /etc/frr /tmp/vmcluster-*"]).stdout == ""
    done = lab.config(FILTERS)
    assert {host: done[host]["actions"] for host in FRR} == {host: predicted[host]["actions"] for host in FRR}


def test_a_host_without_frr_is_told_so_with_the_remedy(lab: Site) -> None:
    for module, options in (("frr_config", {"text": FILTERS}), ("frr_neighbor", sessions()), ("frr_neighbor_info", {})):
        result = lab.call(module, options, hosts="bare", failed=True)["bare"]
        assert "FRR is not installed" in result["msg"] and "role vmcluster.network.frr" in result["msg"]


def test_every_kind_of_statement_is_there_after_one_call_and_the_second_changes_nothing(lab: Site) -> None:
    text = "\n".join(line for line in EVERYTHING.read_text().splitlines()
                     if "neighbor" not in line and "listen range" not in line) + "\n"
    assert changed(lab.config(text, owned_tags=[773])) == {True}
    assert changed(lab.config(text, owned_tags=[773])) == {False}
    gone = lab.config("no ip nht resolve-via-default\n", owned_tags=[773])
    assert changed(gone) == {True} and {tuple(result["kept"]) for result in gone.values()} == {()}
    for host in FRR:
        assert "VMC-" not in lab.running(host) and "VMC-" not in lab.saved(host) and "tag 773" not in lab.running(host)
    assert changed(lab.config("no ip nht resolve-via-default\n", owned_tags=[773])) == {False}


def test_a_line_that_frr_does_not_know_stops_everything(site: Site) -> None:
    before = [site.running(host) for host in FRR]
    results = site.config(
        FILTERS + "ip prefix-list VMC-NEW permit 10.0.0.0/8\nroute-map VMC-BAD permit 10\n match luck\n", failed=True
    )
    for result in results.values():
        assert "`match luck`: % Unknown command" in result["msg"] and "nothing was changed" in result["msg"]
    assert [site.running(host) for host in FRR] == before


def test_a_statement_that_frr_refuses_is_named_and_not_saved_and_a_better_text_mends_it(site: Site) -> None:
    bad = (
        FILTERS + "ip prefix-list VMC-NODE-BAD seq 5 permit 10.0.0.0/24 ge 8\nip prefix-list VMC-NODE-NEW permit any\n"
    )
    for host, result in site.config(bad, prefix="VMC-NODE-", failed=True).items():
        assert "Invalid prefix range for 10.0.0.0/24" in result["msg"] and "nothing was saved" in result["msg"]
        assert "VMC-NODE-NEW" not in site.saved(host)
    site.config(FILTERS, prefix="VMC-NODE-")
    for host in FRR:
        assert "VMC-NODE-BAD" not in site.running(host) and "VMC-NODE-NEW" not in site.running(host)
    assert changed(site.config(FILTERS, prefix="VMC-NODE-")) == {False}


def test_a_daemon_that_does_not_run_is_named_instead_of_dropping_its_lines(site: Site) -> None:
    for result in site.config(FILTERS + "router ospf\n ospf router-id 1.1.1.1\nexit\n", failed=True).values():
        assert "FRR runs without ospfd" in result["msg"] and "/etc/frr/daemons" in result["msg"]


def test_another_as_is_refused_and_6500_is_not_65010(site: Site) -> None:
    for asn in (6500, 650):
        for result in site.config(f"router bgp {asn}\n bgp router-id 1.1.1.1\nexit\n", failed=True).values():
            assert "with AS 65010" in result["msg"]
        for result in site.call("frr_neighbor", sessions(asn=asn), failed=True).values():
            assert "with AS 65010" in result["msg"]


def test_a_run_killed_before_it_saved_is_finished_by_the_next(site: Site) -> None:
    more = FILTERS + "ip prefix-list VMC-NODE-MORE permit any\n"
    assert changed(site.config(more, save=False)) == {True}
    assert all("VMC-NODE-MORE" not in site.saved(host) for host in FRR)
    for result in site.config(more).values():
        assert result["actions"] == ["/etc/frr/frr.conf: does not hold what is wanted"] and result["saved"]
    assert all("VMC-NODE-MORE" in site.saved(host) for host in FRR)
    assert changed(site.config(more)) == {False}


def test_runs_killed_at_any_moment_are_finished_by_the_next(site: Site) -> None:
    for number in range(3):
        text = FILTERS + "".join(f"ip prefix-list VMC-NODE-{number} permit 10.{part}.0.0/16\n" for part in range(200))
        process = site.start("old,new", "frr_config", {"text": text, "prefix": "VMC-NODE-"})
        time.sleep(random.uniform(0.7, 1.6))
        kill_with_workers(process)
        process.communicate()
        for host in FRR:  # what was started on a host goes on without its controller
            wait_until(
                lambda host=host: not site.lab.exec(host, ["pgrep", "-f", "[A]nsiballZ"], check=False).stdout,
                20,
                f"the module ended on {host}",
                pause=0.2,
            )
        site.config(text, prefix="VMC-NODE-")
        assert changed(site.config(text, prefix="VMC-NODE-")) == {False}
        for host in FRR:
            assert site.saved(host).count(f"prefix-list VMC-NODE-{number} ") == 200
            assert f"VMC-NODE-{number - 1}" not in site.saved(host)
