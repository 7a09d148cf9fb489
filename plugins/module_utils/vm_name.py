# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of VMs and of their interfaces: one rule for the controller, which checks, and the node, which makes them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Optional, Tuple

VM_NAME_LENGTH = 63
"""Longest VM name: a host name's label (RFC 1035), and `<vm>_net<nic>` stays below the 127 characters of an altname."""

NIC_MAXIMUM = 99

INTERFACE_NAME_LENGTH = 15
"""Linux: IFNAMSIZ is 16, of which one is the closing zero."""

RESERVED_NAMES = frozenset(
    "all any blackhole default lo none null0 prohibit reject throw unreachable".split()
)
"""Words that sysctl paths, iproute2, nftables or FRR's CLI give a meaning of their own, in lower case."""

_VM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
_HASH_LENGTH = 6


def check_vm_name(name: str) -> Optional[str]:
    """Return what is wrong with a VM's name and what to do, or None when it can be used.

    Allowed are letters, digits, `_` and `-`, first a letter or digit: safe in sysctl paths, nftables and FRR's CLI.
    """
    if not name:
        return "is empty: give the VM a name"
    if len(name) > VM_NAME_LENGTH:
        return f"has {len(name)} characters: at most {VM_NAME_LENGTH} are allowed"
    if not _VM_NAME.fullmatch(name):
        return "has characters that are not allowed: use letters, digits, '_' and '-', first a letter or digit"
    if name.lower() in RESERVED_NAMES:
        return "is a reserved name: refused, choose another"
    return None


def interface_name(vm: str, nic: int = 0) -> Tuple[str, Optional[str]]:
    """Return (name, altname) of a VM's interface on its node; altname is None when the full name fits.

    The full name is `<vm>_net<nic>`. Where it is longer than 15 characters, the name is the VM's first characters, `-`,
    and 6 base32 characters of the SHA-256 of the VM's name (30 bits), so that all NICs of a VM look alike; the altname
    is the full name. Two VMs may shorten alike; `cluster_plan` looks for that.
    """
    suffix = f"_net{nic}"
    full = vm + suffix
    if len(full) <= INTERFACE_NAME_LENGTH:
        return full, None
    digest = base64.b32encode(hashlib.sha256(vm.encode("utf-8")).digest()).decode("ascii").lower()
    head = vm[: INTERFACE_NAME_LENGTH - len(suffix) - 1 - _HASH_LENGTH]
    return f"{head}-{digest[:_HASH_LENGTH]}{suffix}", full
