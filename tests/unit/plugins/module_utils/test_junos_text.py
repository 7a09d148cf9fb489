# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration's XML, as Junos answers get-configuration, read as statements in set form."""

from xml.etree import ElementTree

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.junos_text import (
    read_configuration,
    write_line,
)

SHOWN = """
<configuration>
  <routing-options>
    <autonomous-system><as-number>65010</as-number></autonomous-system>
    <static>
      <route><name>203.0.113.0/24</name><discard/><tag><metric-value>773</metric-value></tag></route>
      <route><name>0.0.0.0/0</name><next-hop>198.18.0.2</next-hop><next-hop>198.18.0.3</next-hop></route>
    </static>
  </routing-options>
  <protocols><bgp><group><name>VM</name>
    <import>VM</import><export>reject-all</export><peer-as>65010</peer-as>
    <family><inet><unicast><prefix-limit><maximum>100</maximum>
      <teardown><limit-threshold>80</limit-threshold><idle-timeout><timeout>5</timeout></idle-timeout></teardown>
    </prefix-limit></unicast></inet></family>
    <multihop><ttl>255</ttl></multihop>
    <neighbor inactive="inactive"><name>10.20.0.21</name></neighbor>
    <neighbor><name>10.20.0.22</name><description>rr 2</description></neighbor>
  </group></bgp></protocols>
  <policy-options>
    <policy-statement><name>VM</name>
      <term><name>isp-ipv4</name>
        <from><protocol>bgp</protocol><community>A</community><community>B</community>
          <route-filter><address>203.0.113.0/24</address><orlonger/></route-filter>
          <route-filter><address>198.51.100.0/24</address>
            <prefix-length-range>/32-/32</prefix-length-range></route-filter></from>
        <then><accept/></then></term>
      <then><reject/></then>
    </policy-statement>
  </policy-options>
  <routing-instances><instance><name>red</name><instance-type>virtual-router</instance-type>
    <routing-options><rib><name>red.inet6.0</name><static><route><name>2001:db8:1::/64</name><discard/></route></static>
    </rib></routing-options></instance></routing-instances>
</configuration>
"""
GROUP = "protocols bgp group VM "
LINES = [
    "routing-options autonomous-system 65010",
    "routing-options static route 203.0.113.0/24 discard",
    "routing-options static route 203.0.113.0/24 tag 773",
    "routing-options static route 0.0.0.0/0 next-hop 198.18.0.2",
    "routing-options static route 0.0.0.0/0 next-hop 198.18.0.3",
    GROUP + "import VM",
    GROUP + "export reject-all",
    GROUP + "peer-as 65010",
    GROUP + "family inet unicast prefix-limit maximum 100",
    GROUP + "family inet unicast prefix-limit teardown 80 idle-timeout 5",
    GROUP + "multihop ttl 255",
    GROUP + "neighbor 10.20.0.21",
    GROUP + 'neighbor 10.20.0.22 description "rr 2"',
    "policy-options policy-statement VM term isp-ipv4 from protocol bgp",
    "policy-options policy-statement VM term isp-ipv4 from community A",
    "policy-options policy-statement VM term isp-ipv4 from community B",
    "policy-options policy-statement VM term isp-ipv4 from route-filter 203.0.113.0/24 orlonger",
    "policy-options policy-statement VM term isp-ipv4 from route-filter 198.51.100.0/24 prefix-length-range /32-/32",
    "policy-options policy-statement VM term isp-ipv4 then accept",
    "policy-options policy-statement VM then reject",
    "routing-instances red instance-type virtual-router",
    "routing-instances red routing-options rib red.inet6.0 static route 2001:db8:1::/64 discard",
]


@pytest.fixture(name="config")
def fixture_config():
    return read_configuration(ElementTree.fromstring(SHOWN))


def test_xml_reads_as_the_lines_that_display_set_shows(config):
    assert [write_line("", where, value).strip() for where, value in config.statements.items()] == LINES


def test_what_is_deactivated_is_known(config):
    assert config.inactive == {("protocols", "bgp", "group", "VM", "neighbor", "10.20.0.21")}


def test_every_block_and_entry_is_a_place_that_can_be_deleted(config):
    group = ("protocols", "bgp", "group", "VM")
    assert config.holds(group)
    assert config.holds(group + ("family", "inet"))
    assert not config.holds(("protocols", "bgp", "group"))
    assert not config.holds(group + ("neighbor",))


def test_names_of_a_list_are_told_in_order(config):
    assert config.names(("protocols", "bgp", "group", "VM", "neighbor")) == ["10.20.0.21", "10.20.0.22"]


@pytest.mark.parametrize("shown", [None, "<configuration/>", "<rpc-reply/>"])
def test_an_empty_configuration_has_nothing(shown):
    config = read_configuration(None if shown is None else ElementTree.fromstring(shown))
    assert not config.statements


def test_a_route_filter_in_the_form_of_yang_reads_the_same():
    shown = """<configuration><policy-options><policy-statement><name>P</name><from><route-filter>
        <address>203.0.113.0/24</address><choice-ident>orlonger</choice-ident><choice-value/>
        </route-filter></from></policy-statement></policy-options></configuration>"""
    config = read_configuration(ElementTree.fromstring(shown))
    assert list(config.statements) == [
        ("policy-options", "policy-statement", "P", "from", "route-filter", "203.0.113.0/24", "orlonger")]


@pytest.mark.parametrize(("word", "written"), [
    ("rr1", "rr1"), ("2001:db8::/32", "2001:db8::/32"), ("rr 1", '"rr 1"'), ('a"b\\c', '"a\\"b\\\\c"'),
    ("a;b", '"a;b"'),
    ("$9$x", '"$9$x"'), ("", '""')])
def test_words_are_quoted_where_junos_would_read_them_otherwise(word, written):
    assert write_line("set", ("x",), (word,)) == f"set x {written}"


def test_logical_systems_have_no_element_around_them_all():
    shown = """<configuration>
        <logical-systems><name>one</name><routing-options><autonomous-system><as-number>65010</as-number>
        </autonomous-system></routing-options></logical-systems>
        <logical-systems><name>two</name></logical-systems></configuration>"""
    config = read_configuration(ElementTree.fromstring(shown))
    assert config.statements == {
        ("logical-systems", "one", "routing-options", "autonomous-system"): ("65010",), ("logical-systems", "two"): ()}
    assert config.holds(("logical-systems", "one"))
