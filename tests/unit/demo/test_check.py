from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from demo.check import Appearance, Report, compare, parse
from demo.oracle import Key, Window
from demo.topic import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

TEN, ELEVEN, TWELVE = (Key(1_357_034_400_000 + hour * 3_600_000, "EWR") for hour in range(3))
EXPECTED = {TEN: Window(2, 2, -1, -0.5), ELEVEN: Window(3, 3, 1, 1 / 3), TWELVE: Window(1, 0, None, None)}


def row(key: Key, window: Window) -> bytes:
    hour = (key.hour - TEN.hour) // 3_600_000 + 10
    fields = ("flights", "departures", "delay_sum", "delay_mean")
    values = {name: getattr(window, name) for name in fields}
    return json.dumps({"origin": key.origin, "window_start": f"2013-01-01T{hour}:00:00"} | values).encode()


def report(keys: Iterable[Key], **changed: Window) -> Report:
    """A topic of these windows with the expected figures, but for `at<offset>`."""
    right = {**EXPECTED, TEN._replace(origin="END"): Window(1, 1, 1, 1.0)}
    rows = [row(key, changed.get(f"at{offset}", right[key])) for offset, key in enumerate(keys)]
    return compare(EXPECTED, [Record(0, offset, value) for offset, value in enumerate(rows)])


def test_a_record_as_flink_writes_it() -> None:
    value = (
        b'{"origin":"EWR","window_start":"2013-01-01T10:00:00","flights":3,"departures":3,'
        b'"delay_sum":1,"delay_mean":0.3333333333333333}'
    )
    assert parse(value) == (TEN, Window(3, 3, 1, 1 / 3))


def test_all_is_well() -> None:
    result = report([TEN, ELEVEN, TWELVE])
    assert result.exactly_once
    assert (result.windows_total, result.records, result.times) == (3, 3, {1: 3})
    assert result.appearances[ELEVEN] == (Appearance(0, 1, EXPECTED[ELEVEN]),)


def test_a_missing_window() -> None:
    result = report([TEN, TWELVE])
    assert (result.missing, result.different, result.extra, result.repeated) == ([ELEVEN], [], [], [])
    assert not result.complete
    assert result.times == {0: 1, 1: 2}


@pytest.mark.parametrize(
    "wrong", [Window(3, 3, -1, -0.5), Window(2, 2, -1, -0.49999999999999994), Window(2, 2, -1, None)]
)
def test_a_different_window(wrong: Window) -> None:
    result = report([TEN, ELEVEN, TWELVE], at0=wrong)
    assert (result.missing, result.different, result.extra) == ([], [TEN], [])
    assert not result.complete


def test_a_window_that_nobody_expects() -> None:
    result = report([TEN, ELEVEN, TWELVE, TEN._replace(origin="END")])
    assert result.extra == [TEN._replace(origin="END")]
    assert not result.complete


def test_a_window_twice_with_equal_values_is_complete_but_not_exactly_once() -> None:
    result = report([TEN, ELEVEN, TWELVE, ELEVEN, TWELVE])
    assert result.complete
    assert not result.exactly_once
    assert result.repeated == [ELEVEN, TWELVE]
    assert [time.offset for time in result.appearances[ELEVEN]] == [1, 3]
    assert result.times == {1: 1, 2: 2}


def test_a_second_appearance_that_differs_is_found() -> None:
    result = report([TEN, ELEVEN, TWELVE, ELEVEN], at3=Window(3, 3, 2, 2 / 3))
    assert result.different == [ELEVEN]
    assert not result.repeats_only([ELEVEN])


def test_after_an_older_checkpoint_the_windows_after_it_appear_again_and_no_others() -> None:
    result = report([TEN, ELEVEN, TWELVE, ELEVEN, TWELVE])
    assert result.repeats_only([ELEVEN, TWELVE])
    assert not result.repeats_only([ELEVEN])
    assert not result.repeats_only([TEN, ELEVEN, TWELVE])
    assert not result.repeats_only([ELEVEN, TWELVE], times=3)


def test_the_description_names_a_fault() -> None:
    assert "missing: EWR 2013-01-01T11:00Z" in report([TEN, TWELVE]).describe()
