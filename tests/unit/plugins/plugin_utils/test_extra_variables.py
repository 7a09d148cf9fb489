# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extra variables as command lines, surveys and playbooks give them."""

import pytest
from ansible_collections.vmcluster.network.plugins.plugin_utils.extra_variables import read_entries, read_names


@pytest.mark.parametrize(("told", "entries"), [
    (None, []), ("", []), (" ", []), ([], []), ("[]", []),
    ([{"name": "web1"}], [{"name": "web1"}]),
    ('[{"name": "web1"}]', [{"name": "web1"}]),
    (' [{"name": "web1"}]\n', [{"name": "web1"}]),
    ("web1", "web1"), ("{}", "{}"), ("100", "100"), ("[web1", "[web1"), ({"name": "web1"}, {"name": "web1"}), (5, 5),
])
def test_a_list_may_come_as_json_and_what_is_none_is_left_for_the_checks(told, entries):
    assert read_entries(told) == entries


@pytest.mark.parametrize(("told", "names"), [
    (None, []), ("", []), ([], []), ("node2", ["node2"]), ("node2, node3,", ["node2", "node3"]),
    (["node2"], ["node2"]), ('["node2", "node3"]', ["node2", "node3"]),
])
def test_names_may_come_as_a_list_as_json_or_with_commas(told, names):
    assert read_names(told) == names


@pytest.mark.parametrize("told", [5, {"node2": 1}, [5], [""], [["node2"]], "[5]"])
def test_what_is_no_name_is_refused(told):
    with pytest.raises(ValueError, match="give names"):
        read_names(told)
