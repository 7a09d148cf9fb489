# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules of hypervisors share. Suboptions, as of one guest, cannot be in a fragment."""

from __future__ import annotations


class ModuleDocFragment:
    """`vmcluster.network.guests`."""

    DOCUMENTATION = r"""
options:
  stop_timeout:
    description: Seconds that a guest may take to shut down; then it is ended.
    type: int
    default: 60
attributes:
  check_mode:
    description: Predicts, and changes nothing.
    support: full
"""
