"""The figures of a recovery, from looks that a table holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.decide.catchup import Figures, capacity, figures, watermarks
from penstock.source.looks import Base, Look
from tests.unit.builders import NOW

A, B = ("flights", 0), ("flights", 1)
BASE = Base({A: 100, B: 200})
MILLIS = int(NOW.timestamp() * 1000)


def look(seconds: float, a: int | None, b: int | None, ends: tuple[int, int] = (1100, 1200), **more: Any) -> Look:
    """A look `seconds` after NOW: two partitions, each read by a subtask of its own, up to `a` and `b`."""
    read = {place: offset for place, offset in ((A, a), (B, b)) if offset is not None}
    base: dict[str, Any] = {"running_millis": 60_000, "pending": 0, "readers": {A: "v/0", B: "v/1"}}
    return Look(NOW + timedelta(seconds=seconds), dict(zip((A, B), ends, strict=True)), read, **(base | more))


def told(*looks: Look, base: Base = BASE, start: int | None = None) -> Figures:
    found = figures(base, looks, start)
    assert found is not None
    return found


def test_without_ends_nothing_is_told() -> None:
    assert figures(BASE, (), None) is None
    assert figures(BASE, (look(0, 100, 200, ends=(0, 0)), Look(NOW)), None) is not None, "the newest one that has ends"


@pytest.mark.parametrize(
    ("looks", "backlog", "read", "percent"),
    [
        ([look(0, None, None)], 2000, 0, 0),
        ([look(0, 350, None)], 1750, 250, 12),
        ([look(0, 1100, 1199)], 1, 1999, 99),
        ([look(0, 1100, 1200)], 0, 2000, 99),  # one look alone never says that all is read
        ([look(0, 1100, 1200), look(5, 1100, 1200)], 0, 2000, 100),
        ([look(0, 50, 200)], 2050, 0, 0),  # an offset of before where it was said to begin
        ([look(0, 1300, 1300)], 0, 2000, 99),  # read since the ends were asked for
    ],
)
def test_what_waits_and_what_is_done(looks: list[Look], backlog: int, read: int, percent: int) -> None:
    found = told(*looks)
    assert (found.backlog, found.read, found.percent) == (backlog, read, percent)


def test_where_it_began_is_what_was_told_first() -> None:
    """After a restart of the operator, when the state is gone and nobody knows where reading began."""
    first = told(look(0, 350, 450))
    assert first.start == 300
    later = told(look(0, 600, 700), base=Base({A: 0, B: 0}), start=first.start)
    assert (later.read, later.percent) == (1000, 50)


GONE = {
    "read up to what there was a look ago": ([look(0, 900, 1200), look(5, 1100, 1200, ends=(1150, 1230))], True),
    "one partition is not": ([look(0, 900, 900), look(5, 1100, 1199)], False),
    "a task does not run": ([look(0, 1100, 1200), look(5, 1100, 1200, running_millis=None)], False),
    "the rest is a transaction's log": ([look(0, 1098, 1199), look(5, 1098, 1199)], True),
    "the rest, but it still moves": ([look(0, 1097, 1199), look(5, 1098, 1199)], False),
    "the rest, but the client has something": ([look(0, 1098, 1199, pending=2), look(5, 1098, 1199)], False),
    "the rest, but nobody knows what the client has": ([look(0, 1098, 1199), look(5, 1098, 1199, pending=None)], False),
    "the rest, but something came meanwhile": ([look(0, 1098, 1199), look(5, 1098, 1199, ends=(1101, 1200))], False),
    "nothing was read at all": ([look(0, None, None), look(5, None, None)], False),
    "nothing was to be read": ([look(0, None, None, ends=(100, 200)), look(5, None, None, ends=(100, 200))], True),
    "the first look": ([look(0, 1100, 1200)], False),
}


@pytest.mark.parametrize(("looks", "gone"), GONE.values(), ids=GONE)
def test_it_is_over_when_all_has_been_read_that_there_was_a_look_ago(looks, gone):
    found = told(*looks)
    assert (found.gone, found.percent == 100) == (gone, gone)
    assert not gone or (found.seconds, found.lag, found.never) == (0, 0, False)


SPEEDS = {
    "one look": ([look(0, 300, 300)], (None, None, None, False)),
    "two looks": ([look(0, 300, 300), look(5, 400, 550)], (70, 0, 35, False)),
    # Subtask 0 reads 20/s of 700 that are left, subtask 1 50/s of 650: the first decides.
    "something arrives": ([look(0, 300, 300), look(5, 400, 550, ends=(1150, 1250))], (70, 20, 75, False)),
    "one subtask does not gain": ([look(0, 300, 300), look(5, 310, 550, ends=(1150, 1250))], (52, 20, None, False)),
    "it does not gain for longer": ([look(0, 300, 300), look(20, 310, 550, ends=(1150, 1250))], (13, 5, None, True)),
    "the restart does not count": ([look(-60, None, None), look(0, 300, 300), look(5, 400, 550)], (70, 0, 35, False)),
    "it has just begun": (
        [look(0, 110, 210, running_millis=4000), look(5, 300, 300, running_millis=9000), look(10, 400, 550)],
        (None, 0, None, False),
    ),
    "its slow beginning does not count": (
        [look(0, 110, 210, running_millis=4000), look(10, 300, 300), look(15, 400, 550)],
        (70, 0, 35, False),
    ),
    "too close to each other": ([look(0, 300, 300), look(1, 400, 550)], (None, None, None, False)),
}


@pytest.mark.parametrize(("looks", "expected"), SPEEDS.values(), ids=SPEEDS)
def test_the_slowest_subtask_decides(looks: list[Look], expected: tuple[object, ...]) -> None:
    found = told(*looks)
    assert (found.speed, found.arrival, found.seconds, found.never) == pytest.approx(expected)


def test_two_partitions_of_one_subtask_are_read_one_after_the_other() -> None:
    one = {A: "v/0", B: "v/0"}
    found = told(look(0, 300, 200, readers=one), look(10, 700, 200, readers=one))
    assert (found.speed, found.seconds, found.never) == (40, 35, False)


def test_one_that_has_caught_up_is_not_one_that_gains_nothing() -> None:
    """Of what arrives some always waits. The other subtask has 1000 left, and gains 100 a second."""
    looks = [look(at, 3090 + 20 * at, 100 * at, ends=(3100 + 20 * at, 3500)) for at in (0, 5, 10, 15, 20, 25)]
    found = told(*looks)
    assert (found.never, found.seconds) == (False, 10)


def test_arrivals_are_told_before_anything_is_read() -> None:
    found = told(look(0, None, None), look(10, None, None, ends=(1600, 1700)))
    assert (found.speed, found.arrival, found.backlog) == (None, 100, 3000)


def test_a_backfill_is_done_at_its_stop() -> None:
    base = Base({A: 100, B: 200}, {A: 600, B: 700})
    assert told(look(0, 350, 450), base=base).percent == 50
    assert told(look(0, 600, 700), look(5, 600, 700), base=base).gone


@pytest.mark.parametrize(
    ("lag", "newest", "seconds"),
    [
        (0, MILLIS, 0),
        (90_000, MILLIS, 90),
        (90_000, MILLIS - 60_000, 30),  # the newest record is a minute old itself
        (400_000_000_000, MILLIS - 399_999_000_000, 1000),  # flights of years ago
        (5_000, MILLIS - 60_000, 0),
        (None, MILLIS, None),
        (90_000, None, None),
    ],
)
def test_the_lag_is_in_the_records_own_time(lag: int | None, newest: int | None, seconds: float | None) -> None:
    assert told(look(0, 300, 300, lag_millis=lag, newest_millis=newest)).lag == seconds


def marks(*behind: float | None, every: float = 5) -> tuple[Look, ...]:
    """Looks of a job without sources that can be asked: how far its watermark is behind the clock at each."""
    found = []
    for number, each in enumerate(behind):
        at = NOW + timedelta(seconds=number * every)
        mark = None if each is None else int((at.timestamp() - each) * 1000)
        found.append(Look(at, watermark=mark, running_millis=1000))
    return tuple(found)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (marks(None, None), None),
        (marks(600), (600, None, False, None)),
        (marks(None, 600), (600, None, False, None)),
        (marks(600, 550), (550, 11, False, 55)),
        (marks(600, 500, 400), (400, 21, False, 20)),
        (marks(30, 30, 30), (30, 1, True, None)),
        (marks(30, 30), (30, 1, False, None)),  # 5 s are too short to be sure
        (marks(30, 35, 40), (40, 0, False, None)),  # it stands still: its sources bring nothing, or it is stuck
        (marks(10_000, 9_999, 9_999), (9_999, 1.1, False, 99_990)),  # late, and gains slowly
        (marks(10_000, 10_000, 10_000), (10_000, 1, True, None)),
        (marks(600, 500, 31, 30, 30), (30, 1.1, True, None)),
    ],
)
def test_watermarks_that_go_forward_with_the_clock_have_caught_up(
    looks: tuple[Look, ...], expected: tuple[object, ...] | None
) -> None:
    found = watermarks(looks)
    if expected is None or found is None:
        assert found is expected is None
        return
    assert (found.lag, found.pace, found.steady, found.seconds) == pytest.approx(expected, abs=0.01)


ONE = {A: "v/0", B: "v/0"}
CAPACITIES = {
    "both have more": ([look(0, 300, 300), look(5, 400, 550)], (70, 2)),
    # At the last look one has nothing left to read: how long it had nothing to do nobody knows.
    "one is done": ([look(0, 300, 300), look(5, 400, 550), look(10, 500, 1200)], (70, 2)),
    "one was done from the start": ([look(0, 300, 1200), look(5, 400, 1200), look(10, 500, 1200)], (20, 1)),
    "all is done": ([look(0, 300, 300), look(5, 1100, 1200)], None),
    "one look": ([look(0, 300, 300)], None),
    "nothing was read": ([look(0, 300, 300), look(5, 300, 300)], None),
    "too short": ([look(0, 300, 300), look(2, 400, 550)], None),
    "one subtask with both": ([look(0, 300, 300, readers=ONE), look(5, 400, 550, readers=ONE)], (70, 1)),
    # 1000/s come, 100 wait at each look: it has read what came, and could have read more.
    "it keeps up": ([look(0, 1050, 1150), look(5, 3550, 3650, ends=(3600, 3700))], None),
    "more comes than it reads": ([look(0, 300, 300), look(5, 400, 550, ends=(2000, 2000))], (70, 2)),
    "more comes, and much more waits": ([look(0, 300, 300), look(5, 400, 550, ends=(1300, 1400))], (70, 2)),
    "not all tasks ran": ([look(0, 300, 300, running_millis=None), look(5, 400, 550)], None),
}


@pytest.mark.parametrize(("looks", "expected"), CAPACITIES.values(), ids=CAPACITIES)
def test_the_capacity_is_the_speed_while_more_waits(looks: list[Look], expected: tuple[float, int] | None) -> None:
    assert capacity(BASE, tuple(looks)) == expected
