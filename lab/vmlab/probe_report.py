# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The arithmetic of the probe: from what was sent and seen to what was lost, for how long, and how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

SPOILT_MS = 20.0  # a sender this late may have made a gap of its own


@dataclass(frozen=True)
class Sent:
    """What a sender did. Times are in ns since the epoch."""

    sent: int
    unsent: int
    late: int
    latest_ms: float
    first_ns: int
    last_ns: int


@dataclass(frozen=True)
class Seen:
    """A packet as the receiver saw it."""

    number: int
    sent_ns: int
    arrived_ns: int


@dataclass(frozen=True)
class Outage:
    """Packets lost in a row: since when (ms after the first packet was sent), how many, from arrival to arrival."""

    at_ms: float
    lost: int
    gap_ms: float


@dataclass(frozen=True)
class Direction:
    """The result of one direction. `unsent` packets (the sender had no route) are among the lost ones."""

    sent: int
    received: int
    lost: int
    longest_gap_ms: float
    duplicates: int
    reordered: int
    unsent: int
    delay_median_ms: float | None
    delay_max_ms: float | None
    sender_late: int
    sender_latest_ms: float
    outages: tuple[Outage, ...]

    @property
    def is_spoilt(self) -> bool:
        """Whether the sender itself was so late that gaps may be of its own making."""
        return self.sender_latest_ms > SPOILT_MS


@dataclass(frozen=True)
class ProbeResult:
    """The result of a probe: `there` and `back`, None for a direction that was not probed."""

    there: Direction | None
    back: Direction | None

    @property
    def directions(self) -> dict[str, Direction]:
        """The directions that were probed."""
        both = {"there": self.there, "back": self.back}
        return {name: direction for name, direction in both.items() if direction}

    @property
    def lost(self) -> int:
        """Packets lost in all."""
        return sum(direction.lost for direction in self.directions.values())

    @property
    def longest_gap_ms(self) -> float:
        """The longest gap of all."""
        return max(direction.longest_gap_ms for direction in self.directions.values())

    @property
    def is_spoilt(self) -> bool:
        """Whether a sender was too late for the gaps to be believed."""
        return any(direction.is_spoilt for direction in self.directions.values())

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        return {
            name: {**asdict(direction), "is_spoilt": direction.is_spoilt} for name, direction in self.directions.items()
        }


def report_direction(sent: Sent, seen: Sequence[Seen]) -> Direction:
    """Compare what was sent with what arrived.

    The longest gap is between two arrivals, or between an arrival and the first or last sending. A packet is reordered
    when one with a higher number arrived before it (RFC 4737).
    """
    in_order = sorted(seen, key=lambda packet: packet.arrived_ns)
    arrived: dict[int, Seen] = {}
    duplicates = reordered = 0
    highest = -1
    for packet in in_order:
        if packet.number in arrived:
            duplicates += 1
            continue
        arrived[packet.number] = packet
        reordered += packet.number < highest
        highest = max(highest, packet.number)
    times = [sent.first_ns, *(packet.arrived_ns for packet in arrived.values())]
    times.append(max(times[-1], sent.last_ns))
    delays = [(packet.arrived_ns - packet.sent_ns) / 1e6 for packet in arrived.values()]
    return Direction(
        sent=sent.sent,
        received=len(arrived),
        lost=sent.sent - len(arrived),
        longest_gap_ms=round(max(late - early for early, late in zip(times, times[1:], strict=False)) / 1e6, 3),
        duplicates=duplicates,
        reordered=reordered,
        unsent=sent.unsent,
        delay_median_ms=round(statistics.median(delays), 3) if delays else None,
        delay_max_ms=round(max(delays), 3) if delays else None,
        sender_late=sent.late,
        sender_latest_ms=round(sent.latest_ms, 3),
        outages=tuple(find_outages(sent, arrived)),
    )


def find_outages(sent: Sent, arrived: dict[int, Seen]) -> list[Outage]:
    """Each run of lost packets."""
    outages = []
    before, before_ns = -1, sent.first_ns
    ends = [(packet.number, packet.arrived_ns) for packet in arrived.values()]
    for number, arrived_ns in [*sorted(ends), (sent.sent, sent.last_ns)]:
        lost = number - before - 1
        if lost > 0:
            outages.append(
                Outage(
                    round((before_ns - sent.first_ns) / 1e6, 3), lost, round(max(0, arrived_ns - before_ns) / 1e6, 3)
                )
            )
        before, before_ns = number, arrived_ns
    return outages


def format_result(result: ProbeResult) -> str:
    """The result for people: a line per direction, and one per outage."""
    lines = []
    for name, one in result.directions.items():
        delay = f", delay median {one.delay_median_ms} max {one.delay_max_ms} ms" if one.received else ""
        lines.append(
            f"{name:5} sent {one.sent} received {one.received} lost {one.lost} longest gap {one.longest_gap_ms} ms"
            f" duplicates {one.duplicates} reordered {one.reordered}{delay}"
        )
        lines += [
            f"      at {o.at_ms} ms: {o.lost} lost, {o.gap_ms} ms from arrival to arrival" for o in one.outages[:20]
        ]
        late = f"      sender: {one.sender_late} packets late by more than 1 ms, at most {one.sender_latest_ms} ms"
        lines.append(late + (": too late to believe the gaps" if one.is_spoilt else ""))
    return "\n".join(lines)
