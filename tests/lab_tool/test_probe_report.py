# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from vmlab.probe_report import Outage, ProbeResult, Seen, Sent, format_result, report_direction

MS = 1_000_000


def sent(count: int, **more: int) -> Sent:
    """`count` packets, one per millisecond, the first one at 0."""
    return Sent(count, more.get("unsent", 0), 0, more.get("latest_ms", 0), 0, (count - 1) * MS)


def seen(*numbers: int, delay: int = 0) -> list[Seen]:
    """Packets that arrived `delay` ms after they were sent."""
    return [Seen(number, number * MS, (number + delay) * MS) for number in numbers]


def test_when_all_arrive_the_gap_is_the_interval() -> None:
    found = report_direction(sent(10), seen(*range(10)))
    assert (found.received, found.lost, found.longest_gap_ms, found.outages) == (10, 0, 1.0, ())


def test_lost_packets_make_a_gap_from_arrival_to_arrival() -> None:
    found = report_direction(sent(10), seen(0, 1, 2, 6, 7, 8, 9))
    assert (found.lost, found.longest_gap_ms) == (3, 4.0)
    assert found.outages == (Outage(at_ms=2.0, lost=3, gap_ms=4.0),)


def test_a_gap_at_the_start_and_at_the_end_counts() -> None:
    assert report_direction(sent(10), seen(7, 8, 9)).longest_gap_ms == 7.0
    assert report_direction(sent(10), seen(0, 1, 2)).longest_gap_ms == 7.0


def test_when_none_arrives_the_gap_is_all_the_time() -> None:
    found = report_direction(sent(10), [])
    assert (found.lost, found.longest_gap_ms, found.delay_median_ms) == (10, 9.0, None)
    assert [outage.lost for outage in found.outages] == [10]


def test_packets_that_waited_are_late_but_not_lost() -> None:
    found = report_direction(sent(4), [Seen(0, 0, 0), *(Seen(n, n * MS, 100 * MS) for n in (1, 2, 3))])
    assert (found.lost, found.longest_gap_ms, found.delay_max_ms) == (0, 100.0, 99.0)


def test_duplicates_and_reordered_packets_are_counted_apart() -> None:
    arrivals = [Seen(0, 0, 0), Seen(2, 2 * MS, 3 * MS), Seen(1, MS, 4 * MS), Seen(2, 2 * MS, 5 * MS)]
    found = report_direction(sent(3), arrivals)
    assert (found.received, found.lost, found.duplicates, found.reordered) == (3, 0, 1, 1)


def test_what_the_sender_could_not_send_is_lost() -> None:
    found = report_direction(sent(4, unsent=2), seen(0, 3))
    assert (found.unsent, found.lost) == (2, 2)


def test_a_run_with_a_late_sender_says_so() -> None:
    result = ProbeResult(report_direction(sent(2, latest_ms=50), seen(0, 1)), None)
    assert result.is_spoilt
    assert result.as_dict()["there"]["is_spoilt"]
    assert "too late to believe the gaps" in format_result(result)


def test_the_text_has_a_line_per_direction_and_outage() -> None:
    there = report_direction(sent(10), seen(0, 1, 2, 6, 7, 8, 9))
    text = format_result(ProbeResult(there, report_direction(sent(10), seen(*range(10)))))
    assert "there sent 10 received 7 lost 3 longest gap 4.0 ms" in text
    assert "at 2.0 ms: 3 lost" in text
    assert "back  sent 10 received 10 lost 0" in text
