# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of nodes without FRR ask of playbooks that refuse, and of nodes that are drained."""

from __future__ import annotations

from typing import Any

from vmlab import Lab
from vmlab.cluster import Cluster


def refuse(built: Cluster, playbook: str, reason: str, **extra: Any) -> None:
    """Run a playbook that is to refuse, by this name and before anything on a node is changed."""
    before = {node: (built.records(node), is_marked(built.lab, node)) for node in ("node1", "node2")}
    run = built.play(playbook, extra=extra, check=False)
    assert run.returncode != 0 and reason in run.output, run.output
    assert before == {node: (built.records(node), is_marked(built.lab, node)) for node in before}


def is_marked(lab: Lab, node: str) -> bool:
    """Whether a node is out of service, as it says itself."""
    return lab.exec(node, ["test", "-e", "/var/lib/vmcluster/maintenance"], check=False).returncode == 0
