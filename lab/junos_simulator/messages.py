# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""NETCONF messages (RFC 4741, framing of RFC 4742) in the form that Junos gives them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

from lxml import etree

from .tree import ConfigurationError, StatementNotFound

END = "]]>]]>"
NETCONF = "urn:ietf:params:xml:ns:netconf:base:1.0"
JUNOS = "http://xml.juniper.net/junos/23.4R1.10/junos"
CAPABILITIES = (
    "urn:ietf:params:netconf:base:1.0",
    "urn:ietf:params:netconf:capability:candidate:1.0",
    "urn:ietf:params:netconf:capability:confirmed-commit:1.0",
    "http://xml.juniper.net/netconf/junos/1.0",
    "http://xml.juniper.net/dmi/system/1.0",
)


class RpcRefusal(Exception):
    """An RPC that is answered with an error alone."""

    def __init__(self, message: str, element: str = "", tag: str = "operation-failed") -> None:
        super().__init__(message)
        self.message, self.element, self.tag = message, element, tag


@dataclass
class Splitter:
    """Cuts what comes in into messages."""

    buffer: str = field(default="")

    def feed(self, data: str) -> Iterator[str]:
        """The messages that are whole now."""
        self.buffer += data
        while END in self.buffer:
            message, _, self.buffer = self.buffer.partition(END)
            if message.strip():
                yield message


def write_hello(session: int) -> str:
    """The server's greeting."""
    capabilities = build("capabilities", *(("capability", capability) for capability in CAPABILITIES))
    return write_message("hello", {}, [capabilities, build("session-id", session)])


def write_reply(rpc: etree._Element, answer: Sequence[etree._Element]) -> str:
    """The reply to an RPC, with the attributes that came with it."""
    return write_message("rpc-reply", {"xmlns:junos": JUNOS, **{str(k): str(v) for k, v in rpc.attrib.items()}}, answer)


def write_message(name: str, attributes: dict[str, str], inside: Sequence[etree._Element]) -> str:
    """A message as it goes over the wire: without an XML declaration, all inside in the message's own namespace."""
    head = "".join(f" {key}={quoteattr(value)}" for key, value in {"xmlns": NETCONF, **attributes}.items())
    body = "\n".join(etree.tostring(element, encoding="unicode") for element in inside)
    return f"<{name}{head}>\n{body}\n</{name}>\n{END}\n"


def strip_namespaces(element: etree._Element) -> etree._Element:
    """The element with plain names, as Junos takes its own RPCs with any namespace or none."""
    for each in element.iter():
        if isinstance(each.tag, str):
            each.tag = etree.QName(each).localname
            for name in [name for name in each.attrib if str(name).startswith("{")]:
                each.set(etree.QName(name).localname, str(each.attrib.pop(name)))
    return element


def write_error(complaint: ConfigurationError, daemon: str = "") -> etree._Element:
    """A refusal or warning about a statement."""
    severity = "warning" if isinstance(complaint, StatementNotFound) else "error"
    error = etree.Element("rpc-error")
    tell(error, "error-type", "protocol" if not daemon else "application")
    tell(error, "error-tag", "operation-failed")
    tell(error, "error-severity", severity)
    tell(error, "source-daemon", daemon)
    tell(error, "error-path", complaint.path)
    tell(error, "error-message", f"\n{complaint.message}\n")
    if complaint.element:
        tell(etree.SubElement(error, "error-info"), "bad-element", complaint.element)
    return error


def write_refusal(refusal: RpcRefusal) -> etree._Element:
    """The error that an RPC is answered with."""
    error = etree.Element("rpc-error")
    tell(error, "error-type", "protocol")
    tell(error, "error-tag", refusal.tag)
    tell(error, "error-severity", "error")
    tell(error, "error-message", f"\n{refusal.message}\n")
    if refusal.element:
        tell(etree.SubElement(error, "error-info"), "bad-element", refusal.element)
    return error


def tell(parent: etree._Element, name: str, text: str | int = "") -> None:
    """Append an element with text; none when there is nothing to tell."""
    if text != "":
        etree.SubElement(parent, name).text = str(text)


def build(name: str, *parts: etree._Element | tuple[str, str | int] | str | int) -> etree._Element:
    """An element of elements, of pairs of name and text, or with a text of its own."""
    element = etree.Element(name)
    for part in parts:
        if isinstance(part, tuple):
            tell(element, *part)
        elif isinstance(part, str | int):
            element.text = str(part)
        else:
            element.append(part)
    return element
