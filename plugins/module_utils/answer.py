# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module tells Ansible of its work."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

from ansible.module_utils.basic import AnsibleModule


def answer_module(module: AnsibleModule, work: Callable[[Mapping[str, Any], bool], Dict[str, Any]]) -> None:
    """Have a module's work done, with its options and check mode, and tell what came of it. Does not return.

    work: returns what exit_json tells, or, with `failed`, fail_json.
    """
    result = work(module.params, module.check_mode)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
