# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From registered results to evidence."""

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.evidence import read_evidence

PATH = {"best": True, "next_hop": "10.20.0.11", "communities": ["65010:100"], "large_communities": []}
SESSION = {"address": "10.20.0.21", "state": "Established"}


def junos_answer(**changes):
    route = {"prefix": "203.0.113.10/32", "next_hop": "10.20.0.11", "active": True, "paths": [PATH], **changes}
    return {"changed": False, "sessions": [SESSION], "routes": [route]}


def test_one_answer_of_a_junos_gateway_holds_its_sessions_and_its_routes():
    skipped = {"changed": False, "skipped": True}
    found = {"found_host": skipped, "found_routes": skipped, "found_junos": junos_answer()}
    assert read_evidence({"mx1": found}) == {
        "mx1": {
            "sessions": [SESSION],
            "routes": [
                {
                    "prefix": "203.0.113.10/32",
                    "next_hop": "10.20.0.11",
                    "communities": ["65010:100"],
                    "large_communities": [],
                    "installed": True,
                }
            ],
        }
    }


def test_a_route_that_junos_has_and_does_not_use_is_not_installed():
    (route,) = read_evidence({"mx1": {"found_junos": junos_answer(active=False)}})["mx1"]["routes"]
    assert route["installed"] is False


@pytest.mark.parametrize("trouble", [{"failed": True}, {"skipped": True}, {"unreachable": True}])
def test_a_gateway_that_gave_no_answer_is_no_evidence(trouble):
    assert read_evidence({"mx1": {"found_junos": {**junos_answer(), **trouble}}}) == {"mx1": {}}


def test_what_a_host_could_not_tell_is_no_evidence_and_told():
    answer = {"changed": False, "interfaces": [], "problems": {"sessions": "FRR is installed and not running"}}
    assert read_evidence({"node1": {"found_host": answer}}) == {
        "node1": {"interfaces": [], "problems": {"sessions": "FRR is installed and not running"}}
    }


def test_routes_that_came_later_count_more():
    early = {"sessions": [], "routes": [], "problems": {}}
    late = {"routes": junos_answer()["routes"]}
    assert len(read_evidence({"rr1": {"found_host": early, "found_routes": late}})["rr1"]["routes"]) == 1
