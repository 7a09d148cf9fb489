# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lets a run of a playbook begin with the modules that earlier runs have packed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kept_modules
type: aggregate
author: vmcluster.network contributors
short_description: Modules are packed once for all runs of the lab's tests
description:
  - Ansible packs each module, with what it imports, once per run. With this plugin, it finds the packs of earlier runs.
"""

import sys
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from vmlab.kept_modules import packs_folder


class CallbackModule(CallbackBase):
    """Puts the kept packs where Ansible looks for those of its own run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(packs_folder())
