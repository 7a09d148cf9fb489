# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with a kernel of its own, run by qemu, that migrates live while somebody talks to it.

In the target's tap wait the packets that come while it stands still, so that no more than a few are lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from vmlab.cluster import Cluster
from vmlab.migrations import Migration, Ticks, move_guest

pytestmark = pytest.mark.lab

MOVES = ("node3", "node1", "node3")
RATE = 500  # packets a second; an emulated guest has enough to do with them
LOST = 40  # ms
BOOT_SECONDS = 120  # 5 s on an idle machine; a slower one takes longer


@pytest.fixture(scope="module")
def cluster(site: Cluster) -> Iterator[Cluster]:
    site.attach({"name": "web1", "node": "node1"})
    addresses = site.start_guests("node1", "web1", kind="qemu")["web1"]
    site.wait_for_answer("ext", addresses, BOOT_SECONDS)
    yield site


def test_a_qemu_guest_that_moves_again_and_again_keeps_a_tcp_connection_and_stands_still_no_longer_than_qemu_says(
    cluster: Cluster,
) -> None:
    (address,) = (each for each in cluster.records(home(cluster))["web1"]["addresses"] if ":" not in each)
    with Ticks(cluster.lab, "ext", address) as ticks:
        for number, target in enumerate(MOVES):
            with cluster.lab.probe("ext", "web1", rate=RATE, family=(4, 6)[number % 2]) as probe:
                with Migration(cluster, {"web1": target}) as migration:
                    migration.wait_until_armed()
                    pause_ms = move_guest(cluster.lab, "web1", target, tell=number < 2).pause_ms
            result = probe.result()
            assert result.there is not None and result.back is not None
            stood_still = 0 if number < 2 else pause_ms  # a source that hears of no STOP sends to a stopped guest
            assert result.there.lost * 1000 / RATE <= stood_still + LOST, (pause_ms, result)
            assert result.back.longest_gap_ms <= pause_ms + LOST + result.back.sender_latest_ms, (pause_ms, result)
            ticks.check()


def home(cluster: Cluster) -> str:
    return next(guest.node for guest in cluster.lab.guests() if guest.vm == "web1")
