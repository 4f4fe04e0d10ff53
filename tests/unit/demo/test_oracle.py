from __future__ import annotations

import itertools
from typing import Any

from demo.data import HOUR_MILLIS, MARKER_ORIGIN, Flight, in_order, marker, record
from demo.oracle import Key, Window, closed, windows
from demo.plan import Plan

TEN = 1_357_034_400_000  # 2013-01-01T10:00Z
MINUTE = 60_000


def flight(minutes: int, origin: str = "EWR", delay: int | None = 0, number: int = 1) -> Flight:
    return Flight(TEN + minutes * MINUTE, origin, delay, "UA", number, "IAH")


def test_flights_of_the_same_minute_stay_in_the_order_of_the_file() -> None:
    rows = [flight(5, number=1), flight(3, number=2), flight(5, number=3), flight(3, number=4)]
    assert [row.number for row in in_order(rows)] == [2, 4, 1, 3]


def test_a_record_is_the_same_bytes_each_time() -> None:
    assert record(flight(15, delay=None)) == (
        b'{"event_time":1357035300000,"origin":"EWR","delay":null,"carrier":"UA","number":1,"destination":"IAH"}'
    )


def test_the_marker_is_a_day_after_the_last_flight_and_of_no_airport() -> None:
    last = marker([flight(0), flight(59)])
    assert (last.event_time, last.origin) == (TEN + 59 * MINUTE + 24 * HOUR_MILLIS, MARKER_ORIGIN)


def test_windows_by_hour_and_origin_ignore_missing_delays_in_the_mean() -> None:
    rows = [flight(0, delay=1), flight(59, delay=-4), flight(59, delay=None), flight(60), flight(0, "JFK", None)]
    assert windows(rows) == {
        Key(TEN, "EWR"): Window(3, 2, -3, -1.5),
        Key(TEN + HOUR_MILLIS, "EWR"): Window(1, 1, 0, 0.0),
        Key(TEN, "JFK"): Window(1, 0, None, None),
    }


def test_a_window_closes_when_the_slowest_partition_has_passed_its_end() -> None:
    rows = [flight(0), flight(1), flight(61), flight(59), flight(120), flight(61), flight(180), flight(180)]
    first = {Key(TEN, "EWR")}
    assert set(closed(rows, [0, 4])) == set()
    assert set(closed(rows, [4, 2])) == set()  # partition 1 is at minute 59
    assert set(closed(rows, [2, 3])) == first  # both at minute 61: the watermark is at 60
    assert set(closed(rows, [4, 4])) == first | {Key(TEN + HOUR_MILLIS, "EWR")}
    assert set(closed(rows, [5, 5])) == set(windows(rows))  # with the markers


def test_the_last_millisecond_of_a_window_is_enough() -> None:
    rows = [flight(0), flight(61)._replace(event_time=TEN + HOUR_MILLIS - 1 + MINUTE)]
    assert set(closed(rows, [2])) == {Key(TEN, "EWR")}
    rows[1] = rows[1]._replace(event_time=rows[1].event_time - 1)
    assert set(closed(rows, [2])) == set()


def test_the_whole_data(flights: list[Flight], expected: dict[Key, Window]) -> None:
    assert len(flights) == 336_776
    assert len(expected) == 19_486
    assert sum(window.flights for window in expected.values()) == 336_776
    assert sum(window.departures for window in expected.values()) == 336_776 - 8_255
    assert all(a.event_time <= b.event_time for a, b in itertools.pairwise(flights))
    # The mean departure delay of the year, as the data's own documentation has it: 12.64 minutes.
    assert round(sum(window.delay_sum or 0 for window in expected.values()) / (336_776 - 8_255), 2) == 12.64


def test_the_first_windows_of_the_year(expected: dict[Key, Window]) -> None:
    # 2013-01-01, 05:00 in New York: UA 1545 (+2) and UA 1696 (-4) left Newark, as the file's first rows say.
    assert expected[Key(TEN, "EWR")] == Window(2, 2, -2, -1.0)


def test_only_the_markers_close_the_last_windows(flights: list[Flight], expected: dict[Key, Window]) -> None:
    plan = Plan(len(flights), 4)
    full = [plan.length(partition) for partition in range(4)]
    assert len(closed(flights, full)) == 19_484
    assert closed(flights, [end + 1 for end in full]) == expected


def test_half_of_the_data(flights: list[Flight], expected: dict[Key, Window]) -> None:
    half: dict[Any, Any] = closed(flights, [37_500] * 4)
    assert len(half) == 8_744  # as many as Flink committed after 150,000 records
    assert half.items() <= expected.items()
