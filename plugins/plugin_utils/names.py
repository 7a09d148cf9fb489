# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MAC addresses derived from names, the same on every run and on every controller.

Rule: `02` (unicast, locally administered, IEEE 802), then the first five bytes of SHA-256 of a name: of the cluster's
name for its gateway, of `cluster/vm/nic` for a guest.
"""

from __future__ import annotations

import hashlib


def derived_mac(name: str) -> str:
    """Return the MAC address that belongs to a name."""
    return ":".join(["02", *(f"{byte:02x}" for byte in hashlib.sha256(name.encode("utf-8")).digest()[:5])])


def gateway_mac(cluster: str) -> str:
    """Return the default MAC address of a cluster's gateway."""
    return derived_mac(cluster)


def guest_mac(cluster: str, vm: str, nic: int) -> str:
    """Return the default MAC address of a guest's NIC."""
    return derived_mac(f"{cluster}/{vm}/{nic}")


def lease_owner(cluster: str, vm: str, nic: int) -> str:
    """Return under which name the register keeps a VM's lease; the first NIC has no suffix."""
    return f"{cluster}/{vm}#{nic}" if nic else f"{cluster}/{vm}"
