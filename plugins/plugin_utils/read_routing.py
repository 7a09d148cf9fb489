# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading `cluster.provider` of a routing cluster, and the presets."""

from __future__ import annotations

from .cluster import DEFAULT_MTU, Provider
from .findings import Place
from .values import read_choice, read_flag, read_integer, read_mapping

PROVIDERS = {
    # Subnets are routed to the node's main address, a /64 to its link-local one; single additional addresses are looked
    # for by ARP (docs.hetzner.com, "Additional IP addresses"). A vSwitch has MTU 1400: give the properties then.
    "hetzner": Provider(on_link=True, mtu=1500, proxy_arp=True, proxy_ndp=False),
    # Additional IPv4 addresses without a virtual MAC are routed to the node. IPv6 is not: the router looks for every
    # address on the wire, and the gateway is outside the /64.
    "ovh": Provider(on_link=True, mtu=1500, proxy_arp=False, proxy_ndp=True),
    # Networks are routed to the node's address.
    "myloc": Provider(on_link=True, mtu=1500, proxy_arp=False, proxy_ndp=False),
}
"""Presets by name. None was run at the provider: whoever is there compares them with what the provider says today."""


def read_provider(place: Place, value: object) -> Provider:
    """Return a preset by its name, or what a mapping says; what that leaves out is as with the plainest provider."""
    if isinstance(value, str):
        return PROVIDERS[read_choice(place, value, tuple(PROVIDERS)) or "myloc"]
    fields = read_mapping(place, value, ("on_link", "mtu", "proxy_arp", "proxy_ndp"))
    if fields is None:
        return Provider()
    flags = {
        name: read_flag(place.at(name), fields.get(name, default)) is True
        for name, default in (("on_link", True), ("proxy_arp", False), ("proxy_ndp", False))
    }
    mtu = read_integer(place.at("mtu"), fields.get("mtu", DEFAULT_MTU), 1280, 9216, " bytes")
    return Provider(mtu=mtu or DEFAULT_MTU, **flags)
