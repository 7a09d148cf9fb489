# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations as trees: every form says the same, loads do what Junos's loads do, patches read as Junos's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from junos_simulator import load, secrets, show, text
from junos_simulator.tree import ConfigurationError, Node, StatementNotFound, new_tree
from lxml import etree

EVERYTHING = """
system {
    host-name mx1;
    services {
        netconf {
            ssh;
        }
    }
}
interfaces {
    ge-0/0/0 {
        unit 0 {
            family inet {
                address 10.20.0.1/24;
            }
            family inet6 {
                address fd20::1/64;
            }
        }
    }
}
policy-options {
    prefix-list POOLS {
        203.0.113.0/24;
    }
    policy-statement IN {
        term alpha {
            from {
                protocol bgp;
                community ALPHA;
                route-filter 203.0.113.0/24 prefix-length-range /32-/32;
                route-filter 203.0.113.0/24 orlonger;
            }
            then accept;
        }
        term beta {
            from protocol [ bgp static ];
            then {
                metric 5;
                community add ALPHA;
                next term;
            }
        }
        then reject;
    }
    community ALPHA members [ 65010:100 large:4200000001:1:100 ];
    community BETA members 65010:101;
}
routing-options {
    autonomous-system 65010;
    static {
        route 0.0.0.0/0 next-hop 198.18.0.2;
        route 203.0.113.0/24 {
            discard;
            tag 773;
        }
    }
    rib inet6.0 {
        static {
            inactive: route 2001:db8::/32 discard;
        }
    }
}
protocols {
    bgp {
        /* The reflectors' group. */
        group RR {
            type internal;
            description "two words";
            family inet {
                unicast {
                    prefix-limit {
                        maximum 10000;
                        teardown 80 idle-timeout forever;
                    }
                }
            }
            family inet6 {
                unicast;
            }
            authentication-key "$9$LbHX-wg4Z"; ## SECRET-DATA
            graceful-restart;
            neighbor 10.20.0.21 {
                description rr1;
            }
            neighbor 10.20.0.22;
        }
    }
}
"""


def read(written: str) -> Node:
    tree = new_tree()
    complaints = load.load_text(tree, written, replace=False)
    assert not complaints, [(each.message, each.element) for each in complaints]
    return tree


def by_text(tree: Node) -> Node:
    return read("\n".join(text.write_text(tree)))


def by_set(tree: Node) -> Node:
    again = new_tree()
    assert not load.load_set(again, "\n".join(show.write_set(tree)))
    again.children[("protocols",)].children[("bgp",)].children[("group", "RR")].comment = "The reflectors' group."
    return again


def by_xml(tree: Node) -> Node:
    configuration, again = etree.Element("configuration"), new_tree()
    show.write_xml(tree, configuration)
    assert not load.load_xml(again, etree.fromstring(etree.tostring(configuration)), replace=True)
    again.children[("protocols",)].children[("bgp",)].children[("group", "RR")].comment = "The reflectors' group."
    return again


def edited(change: Callable[[Node], object], written: str = EVERYTHING) -> list[str]:
    """The lines of the patch that a change makes."""
    before = read(written)
    after = before.copy()
    change(after)
    return show.write_patch(before, after).splitlines()[1:]


def commands(*lines: str) -> Callable[[Node], object]:
    def change(tree: Node) -> None:
        assert not load.load_set(tree, "\n".join(lines))
    return change


def loaded(written: str, *, replace: bool = True) -> Callable[[Node], object]:
    def change(tree: Node) -> None:
        assert not load.load_text(tree, written, replace=replace)
    return change


def test_text_is_written_as_it_was_read() -> None:
    assert "\n".join(text.write_text(read(EVERYTHING))) == EVERYTHING.strip()


@pytest.mark.parametrize("way", [by_text, by_set, by_xml])
def test_every_form_says_the_same(way: Callable[[Node], Node]) -> None:
    tree = read(EVERYTHING)
    assert show.write_patch(tree, way(tree)) == ""
    assert way(tree).equals(tree)


def test_nothing_changed_is_an_empty_patch() -> None:
    assert edited(commands("set system host-name mx1")) == []


def test_a_patch_names_the_level_and_marks_the_lines() -> None:
    assert edited(commands("set protocols bgp group RR neighbor 10.20.0.22 description rr2",
                           "delete protocols bgp group RR neighbor 10.20.0.21",
                           "set routing-options static route 203.0.113.0/24 tag 774",
                           "set policy-options policy-statement OUT then reject")) == [
        "[edit policy-options]",
        "+  policy-statement OUT {",
        "+      then reject;",
        "+  }",
        "[edit routing-options static route 203.0.113.0/24]",
        "-     tag 773;",
        "+     tag 774;",
        "[edit protocols bgp group RR]",
        "-     neighbor 10.20.0.21 {",
        "-         description rr1;",
        "-     }",
        "[edit protocols bgp group RR neighbor 10.20.0.22]",
        "+       description rr2;",
    ]


def test_a_patch_shows_deactivated_and_moved_statements() -> None:
    assert edited(commands("deactivate protocols bgp group RR",
                           "insert policy-options policy-statement IN term beta before term alpha")) == [
        "[edit policy-options policy-statement IN]",
        "!    term beta { ... }",
        "[edit protocols bgp]",
        "!   inactive: group RR",
    ]


def test_a_patch_says_that_a_key_is_a_secret() -> None:
    patch = edited(commands("set protocols bgp group RR authentication-key other"))
    assert [line[0] for line in patch] == ["[", "-", "+"]
    assert all(line.endswith("; ## SECRET-DATA") for line in patch[1:])
    assert "other" not in "".join(patch)


def test_a_plain_key_looks_different_each_time_and_a_scrambled_one_stays() -> None:
    same = commands("set protocols bgp group RR authentication-key lc")
    assert edited(same)
    assert edited(commands('set protocols bgp group RR authentication-key "$9$LbHX-wg4Z"')) == []


@pytest.mark.parametrize("plain", ["lc", "a-key", "with spaces and ~", "x" * 100, ""])
def test_scrambled_secrets_are_read_back(plain: str) -> None:
    assert secrets.unscramble(secrets.scramble(plain)) == plain


def test_scrambled_secrets_are_junoss() -> None:
    assert secrets.unscramble("$9$LbHX-wg4Z") == "lc"


def test_set_adds_to_a_list_of_values_and_to_route_filters() -> None:
    filters = "policy-options policy-statement IN term alpha from route-filter"
    assert edited(commands("set protocols bgp group RR import IN", "set protocols bgp group RR import MORE",
                           f"set {filters} 203.0.113.0/24 exact")) == [
        "[edit policy-options policy-statement IN term alpha from]",
        "+       route-filter 203.0.113.0/24 exact;",
        "[edit protocols bgp group RR]",
        "+     import [ IN MORE ];",
    ]


def test_merge_adds_and_replace_replaces() -> None:
    change = "protocols { bgp { replace: group RR { type internal; neighbor 10.20.0.23; } } }"
    merged = edited(loaded(change, replace=False))
    assert [line for line in merged if line.startswith("-")] == []
    replaced = edited(loaded(change))
    assert "-     neighbor 10.20.0.22;" in replaced and "+     neighbor 10.20.0.23;" in replaced


def test_replaced_values_are_replaced_all() -> None:
    assert edited(loaded("policy-options { community ALPHA { replace: members 65010:7; } }")) == [
        "[edit policy-options community ALPHA]",
        "-    members [ 65010:100 large:4200000001:1:100 ];",
        "+    members 65010:7;",
    ]


def test_a_tag_is_about_the_first_that_a_line_names() -> None:
    assert edited(loaded("routing-options { static { replace: route 203.0.113.0/24 reject; } }")) == [
        "[edit routing-options static route 203.0.113.0/24]",
        "-     discard;",
        "+     reject;",
        "-     tag 773;",
    ]
    tree = read(EVERYTHING)
    loaded("policy-options { policy-statement IN { term beta { inactive: from protocol bgp; } } }")(tree)
    assert "            inactive: from protocol [ bgp static ];" in text.write_text(tree)


def test_text_and_xml_delete() -> None:
    by_tag = edited(loaded("protocols { bgp { group RR { delete: neighbor 10.20.0.22; } } }"))

    def change(tree: Node) -> None:
        element = etree.fromstring('<configuration><protocols><bgp><group><name>RR</name><neighbor delete="delete">'
                                   "<name>10.20.0.22</name></neighbor></group></bgp></protocols></configuration>")
        assert not load.load_xml(tree, element, replace=True)

    assert by_tag == edited(change) == ["[edit protocols bgp group RR]", "-     neighbor 10.20.0.22;"]


def test_xml_replaces_an_element() -> None:
    def change(tree: Node) -> None:
        element = etree.fromstring(
            '<configuration><policy-options><policy-statement replace="replace"><name>IN</name><term><name>alpha</name>'
            "<from><route-filter><address>203.0.113.0/24</address><exact/></route-filter></from></term>"
            "</policy-statement></policy-options></configuration>")
        assert not load.load_xml(tree, element, replace=True)

    patch = edited(change)
    assert "-    then reject;" in patch and "+       route-filter 203.0.113.0/24 exact;" in patch


def test_what_is_not_there_is_told_and_is_no_error() -> None:
    tree = read(EVERYTHING)
    for command in ("delete protocols bgp group NONE", "delete protocols bgp group RR import",
                    "delete policy-options community BETA members 1:1"):
        assert [type(each) for each in load.load_set(tree, command)] == [StatementNotFound]


@pytest.mark.parametrize(("command", "message", "element"), [
    ("set protcols bgp", "syntax error", "protcols"),
    ("set protocols bgp group RR naighbor 1.2.3.4", "syntax error", "naighbor"),
    ("set protocols bgp group RR peer-as many", "invalid numeric value: 'many'", "many"),
    ("set protocols bgp group RR peer-as 0", "Value 0 is not within range (1..4294967295)", "0"),
    ("set protocols bgp group RR neighbor rr1", "invalid ip address or hostname: 'rr1'", "rr1"),
    ("set policy-options policy-statement IN term x from route-filter 203.0.113.1/24 exact",
     "invalid prefix: '203.0.113.1/24'", "203.0.113.1/24"),
    ("set policy-options policy-statement IN term x from route-filter 203.0.113.0/24",
     "syntax error", "203.0.113.0/24"),
    ("set protocols bgp group RR type", "syntax error", "type"),
    ("frobnicate protocols", "unknown command", "frobnicate"),
])
def test_a_wrong_command_is_refused_and_changes_nothing(command: str, message: str, element: str) -> None:
    tree = read(EVERYTHING)
    complaints = load.load_set(tree, command)
    assert [(each.message, each.element) for each in complaints] == [(message, element)]
    assert tree.equals(read(EVERYTHING))


def test_a_wrong_statement_does_not_stop_the_others() -> None:
    """As on Junos: the candidate holds the rest until somebody rolls back."""
    tree = read(EVERYTHING)
    complaints = load.load_text(tree, "system { host-name mx2; colour red; domain-name example.net; }", replace=False)
    assert [(each.message, each.element, each.path) for each in complaints] == [
        ("syntax error", "colour", "[edit system]")]
    assert (tree.read("system", "host-name"), tree.read("system", "domain-name")) == ("mx2", "example.net")


@pytest.mark.parametrize("written", ["system { host-name mx1;", "system { host-name mx1; } }", "system host-name",
                                     'system { host-name "mx1; }'])
def test_text_whose_braces_or_quotes_do_not_fit_is_refused_whole(written: str) -> None:
    tree = new_tree()
    assert load.load_text(tree, written, replace=False)
    assert not tree.children


def test_blocks_that_are_empty_vanish() -> None:
    tree = read("protocols { bgp { group X { type internal; } } }")
    assert not load.load_set(tree, "delete protocols bgp group X")
    assert not tree.children


def test_a_selection_of_xml_holds_only_what_was_asked_for() -> None:
    configuration = etree.Element("configuration")
    wanted = etree.fromstring("<configuration><protocols><bgp><group><name>RR</name><neighbor/></group></bgp>"
                              "</protocols><system/></configuration>")
    show.write_xml(read(EVERYTHING), configuration, wanted)
    assert [child.tag for child in configuration] == ["system", "protocols"]
    group = configuration.find("protocols/bgp/group")
    assert group is not None
    assert [child.tag for child in group] == ["name", "neighbor", "neighbor"]
    assert configuration.findtext("system/host-name") == "mx1"


def test_a_protected_statement_is_refused() -> None:
    complaints = load.load_text(new_tree(), "protect: system { host-name x; }", replace=False)
    assert isinstance(complaints[0], ConfigurationError)
    assert "cannot" in complaints[0].message or "does not know" in complaints[0].message
