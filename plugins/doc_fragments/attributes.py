# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules share: what they do in check mode, and what they show as a difference."""

from __future__ import annotations


class ModuleDocFragment:
    """`vmcluster.network.attributes.reads_only` and `.changes_frr`."""

    READS_ONLY = r"""
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Reads only.
    support: none
"""

    CHANGES_FRR = r"""
attributes:
  check_mode:
    description: Predicts, and changes nothing; also on a host without FRR.
    support: full
  diff_mode:
    description: Shows the statements that come and go, in their contexts, passwords masked.
    support: full
"""
