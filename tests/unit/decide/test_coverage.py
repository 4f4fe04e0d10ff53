"""Whether a source still holds what is wanted: positions, and logs that a broker might have deleted from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.decide.coverage import Coverage, Gap, OffsetGap, Vanished, from_offsets, from_time
from penstock.source.answers import Measured, Partition, Topic

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY_MILLIS = 24 * 3_600_000


def millis(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def part(number: int = 0, earliest: int = 0, latest: int = 100, first: datetime | None = None) -> Partition:
    return Partition(number, earliest, latest, None if first is None else millis(first))


def measured(*partitions: Partition, unknown: tuple[str, ...] = (), **topic: Any) -> Measured:
    return Measured((Topic("flights", partitions, **topic),), unknown)


def gaps(partition: Partition, wanted: datetime, **topic: Any) -> tuple[Gap, ...]:
    return from_time(measured(partition, **topic), wanted, NOW).gaps


# ---------------------------------------------------------------- a start at a time: positions

COVERED = {
    "never a record": (part(latest=0), ago(5)),
    "nothing deleted, the first record is older": (part(first=ago(9)), ago(5)),
    "nothing deleted, the first record is younger": (part(first=ago(1)), ago(5)),
    "nothing deleted, the time of the first record is not known": (part(first=None), ago(5)),
    "deleted, but the first record is older": (part(earliest=10, first=ago(9)), ago(5)),
    "deleted, and the first record is of that very time": (part(earliest=10, first=ago(5)), ago(5)),
    "one millisecond older": (part(earliest=10, first=ago(5) - timedelta(milliseconds=1)), ago(5)),
    "a fraction of a millisecond later is wanted": (
        part(earliest=10, first=ago(5)),
        ago(5) + timedelta(microseconds=999),
    ),
    "wanted in the future": (part(earliest=10, first=ago(1)), NOW + HOUR),
    "a first record before 1970": (Partition(0, 10, 100, -5), ago(5)),
}


@pytest.mark.parametrize(("partition", "wanted"), COVERED.values(), ids=COVERED)
def test_a_partition_that_holds_it(partition, wanted):
    assert from_time(measured(partition), wanted, NOW) == Coverage()
    assert from_time(measured(partition), wanted, NOW).complete


MISSING = {
    "five hours": (part(earliest=10, first=ago(5)), ago(10), 5 * HOUR),
    "a millisecond": (part(earliest=10, first=ago(5)), ago(5) - timedelta(milliseconds=1), timedelta(milliseconds=1)),
    "less than that": (part(earliest=10, first=ago(5)), ago(5) - timedelta(microseconds=1), timedelta(microseconds=1)),
    "one record deleted": (part(earliest=1, first=ago(5)), ago(6), HOUR),
    "one record left": (part(earliest=99, first=ago(5)), ago(6), HOUR),
    "since 1970": (part(earliest=1, first=ago(5)), EPOCH, ago(5) - EPOCH),
}


@pytest.mark.parametrize(("partition", "wanted", "missing"), MISSING.values(), ids=MISSING)
def test_a_partition_that_does_not(partition, wanted, missing):
    [gap] = gaps(partition, wanted)
    assert (gap.topic, gap.partition, gap.wanted, gap.earliest) == ("flights", 0, wanted, ago(5))
    assert gap.missing == missing


@pytest.mark.parametrize(
    ("latest", "why"),
    [(10, "every record has been deleted"), (12, "records are gone, nobody knows up to which time")],
    ids=["empty", "of no known time"],
)
def test_a_partition_of_which_nothing_is_known_to_be_left(latest, why):
    [gap] = gaps(part(earliest=10, latest=latest), ago(5))
    assert (gap.earliest, gap.missing) == (None, None)
    assert str(gap) == f"topic flights, partition 0: {why}; those since 2026-01-31T07:00:00Z are wanted"


def test_each_partition_is_looked_at():
    held = [part(3, 5, first=ago(1)), part(0), part(2, 5, first=ago(9)), part(1, 5, first=ago(2))]
    found = from_time(measured(*held), ago(4), NOW)
    assert [(gap.partition, gap.missing) for gap in found.gaps] == [(1, 2 * HOUR), (3, 3 * HOUR)]
    assert not found.complete


def test_topics_come_by_their_names():
    topics = tuple(Topic(name, (part(earliest=1, first=ago(1)),)) for name in ("b", "c", "a"))
    found = from_time(Measured(topics, unknown=("z", "y")), ago(2), NOW)
    assert [gap.topic for gap in found.gaps] == ["a", "b", "c"]
    assert found.unknown == ("y", "z")


@pytest.mark.parametrize(
    "distance",
    [0, 1, 2**31, 2**53, 2**63 - 1],
    ids=str,
)
def test_a_clock_that_was_wrong_by_any_amount(distance):
    [gap] = gaps(Partition(0, 1, 2, millis(NOW) + distance), ago(1))
    assert gap.earliest is not None
    assert gap.missing == gap.earliest - ago(1)
    assert str(gap)


# ---------------------------------------------------------------- what the settings say

KEPT = {
    "younger than the retention": ({"retention_millis": DAY_MILLIS}, 23, True),
    "as old as the retention": ({"retention_millis": DAY_MILLIS}, 24, True),
    "older": ({"retention_millis": DAY_MILLIS}, 24.001, False),
    "by size, too": ({"retention_millis": DAY_MILLIS, "retention_bytes": 1 << 40}, 1, False),
    "by size only": ({"retention_bytes": 1 << 40}, 1, False),
    "deleted although kept for ever": ({}, 1, False),
    "deleted although only compacted": (
        {"retention_millis": DAY_MILLIS, "cleanup_policy": frozenset({"compact"})},
        1,
        False,
    ),
    "compacted and deleted by time": (
        {"retention_millis": DAY_MILLIS, "cleanup_policy": frozenset({"compact", "delete"})},
        1,
        True,
    ),
    "the longest retention there is": ({"retention_millis": 2**63 - 1}, 1, True),
    "none at all": ({"retention_millis": 0}, 1, False),
}


@pytest.mark.parametrize(("settings", "hours", "kept"), KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("first", [ago(0.5), None], ids=["some are left", "none is left"])
def test_a_gap_says_whether_the_settings_explain_it(settings, hours, kept, first):
    [gap] = gaps(part(earliest=5, latest=9, first=first), ago(hours), **settings)
    assert gap.within_retention is kept


def test_a_compacted_topic_is_told_as_such():
    policy = frozenset({"compact"})
    found = from_time(measured(part(first=ago(9)), cleanup_policy=policy), ago(5), NOW)
    assert found.compacted == ("flights",)
    assert found.complete
    assert found.problems() == ()
    assert found.notes() == ("topic flights is compacted: of each key only the newest record is sure to be there",)
    assert from_offsets(measured(part(), cleanup_policy=policy), {("flights", 0): 5}).compacted == ("flights",)
    assert from_time(measured(part()), ago(5), NOW).notes() == ()


def test_an_unknown_topic_is_a_problem_with_its_name():
    for found in (from_time(Measured((), ("fligths",)), ago(5), NOW), from_offsets(Measured((), ("fligths",)), {})):
        assert not found.complete
        assert found.problems() == ("topic fligths: the broker does not know it",)


# ---------------------------------------------------------------- as sentences


def test_a_gap_as_a_sentence():
    [gap] = gaps(part(earliest=10, first=ago(5)), ago(7.5))
    assert str(gap) == (
        "topic flights, partition 0: there are records from 2026-01-31T07:00:00Z on, 2h 30m after 2026-01-31T04:30:00Z"
    )


@given(st.integers(min_value=1, max_value=millis(NOW)), st.integers(min_value=1, max_value=10**9))
def test_the_time_in_the_sentence_can_be_written_and_has_no_gap(first, before):
    partition = Partition(0, 1, 5, first)
    wanted = EPOCH + timedelta(milliseconds=max(first - before, 0))
    for gap in gaps(partition, wanted):
        told = datetime.fromisoformat(str(gap).split(" from ")[1].split(" ")[0])
        assert gaps(partition, told) == ()
        assert told - EPOCH - timedelta(milliseconds=first) < timedelta(seconds=1)


# ---------------------------------------------------------------- a start from a state

OFFSETS: dict[str, tuple[Partition, int, Coverage]] = {
    "in the middle": (part(earliest=10), 50, Coverage()),
    "the first one that there is": (part(earliest=10), 10, Coverage()),
    "the next one to be written": (part(earliest=10), 100, Coverage()),
    "of an empty partition": (part(latest=0), 0, Coverage()),
    "of an emptied partition, read to its end": (part(earliest=100), 100, Coverage()),
    "just deleted": (part(earliest=10), 9, Coverage(offset_gaps=(OffsetGap("flights", 0, 9, 10),))),
    "all deleted": (part(earliest=100), 0, Coverage(offset_gaps=(OffsetGap("flights", 0, 0, 100),))),
    "beyond the end": (part(earliest=10), 101, Coverage(vanished=(Vanished("flights", 0, 101, 100),))),
    "of a topic made anew": (part(latest=0), 1, Coverage(vanished=(Vanished("flights", 0, 1, 0),))),
    "no such partition": (part(1), 7, Coverage(vanished=(Vanished("flights", 0, 7, None),))),
    "Flink's word for the latest": (part(earliest=10), -1, Coverage()),
    "Flink's word for the earliest": (part(earliest=10), -2, Coverage()),
    "Flink's word for the group's": (part(earliest=10), -3, Coverage()),
}


@pytest.mark.parametrize(("partition", "wanted", "coverage"), OFFSETS.values(), ids=OFFSETS)
def test_an_offset(partition, wanted, coverage):
    found = from_offsets(measured(partition), {("flights", 0): wanted})
    assert found == coverage
    assert found.complete is (coverage == Coverage())
    assert len(found.problems()) == (0 if found.complete else 1)


def test_what_is_told_of_offsets():
    held = measured(part(0, 10, first=ago(3)), part(1, 10), part(3, 100))
    wanted = {("flights", 0): 4, ("flights", 1): 101, ("flights", 2): 7, ("flights", 3): 90, ("gone", 0): 3}
    assert from_offsets(held, wanted).problems() == (
        "topic gone: the broker does not know it",
        "topic flights, partition 0: the earliest offset is 10 (of 2026-01-31T09:00:00Z), 6 after the wanted 4",
        "topic flights, partition 3: the earliest offset is 100 (and there is no record), 10 after the wanted 90",
        "topic flights, partition 1: it ends at offset 100, before the wanted 101: the topic was made anew",
        "topic flights, partition 2: there is no such partition, of which offset 7 is wanted",
    )


def test_a_partition_that_the_job_never_read_does_not_matter():
    assert from_offsets(measured(part(0), part(1, earliest=50)), {("flights", 0): 1}) == Coverage()


def test_a_topic_is_unknown_once():
    assert from_offsets(Measured((), ("a",)), {("a", 0): 1, ("a", 1): -1}).unknown == ("a",)


@given(*(st.integers(min_value=0, max_value=50) for _ in range(2)), st.integers(min_value=-3, max_value=60))
def test_any_offset_is_held_or_told(earliest, more, wanted):
    partition = Partition(0, earliest, earliest + more)
    found = from_offsets(measured(partition), {("flights", 0): wanted})
    assert found.complete is (wanted < 0 or earliest <= wanted <= earliest + more)
    assert sum(gap.missing for gap in found.offset_gaps) == (max(earliest - wanted, 0) if wanted >= 0 else 0)


# ---------------------------------------------------------------- logs that a broker might have deleted from


@dataclass(frozen=True)
class Log:
    """A partition with everything that was ever written to it: times in order, and how many are deleted."""

    times: tuple[int, ...]
    deleted: int

    def measure(self, number: int = 0) -> Partition:
        left = self.times[self.deleted :]
        return Partition(number, self.deleted, len(self.times), left[0] if left else None)

    def lost(self, wanted: int) -> list[int]:
        """The times of deleted records that a start at this time would read. Of the very time of the first one that
        is left nobody can tell; it counts as read."""
        left = self.times[self.deleted :]
        return [each for each in self.times[: self.deleted] if each >= wanted and (not left or wanted != left[0])]


TIMES = st.integers(min_value=1, max_value=40)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    times = tuple(sorted(draw(st.lists(TIMES, max_size=12))))
    return Log(times, draw(st.integers(min_value=0, max_value=len(times))))


def at(tick: int) -> datetime:
    return EPOCH + timedelta(milliseconds=tick)


@given(st.lists(logs(), min_size=1, max_size=3), TIMES)
def test_whatever_is_lost_is_told(held, wanted):
    topic = measured(*(log.measure(number) for number, log in enumerate(held)))
    told = {gap.partition: gap for gap in from_time(topic, at(wanted), at(50)).gaps}
    for number, log in enumerate(held):
        lost = log.lost(wanted)
        if not lost:
            continue
        gap = told[number]
        if gap.missing is not None:
            # It is an upper bound: from the wanted time to the first record that is left.
            assert gap.missing >= at(max(lost)) - at(wanted)


@given(logs(), TIMES)
def test_where_nothing_was_deleted_nothing_is_told(log, wanted):
    assert from_time(measured(replace(log, deleted=0).measure()), at(wanted), at(50)).complete


@given(logs(), TIMES, TIMES)
def test_an_earlier_start_misses_no_less(log, one, other):
    earlier, later = sorted((one, other))
    first, second = (from_time(measured(log.measure()), at(each), at(50)).gaps for each in (earlier, later))
    assert len(first) >= len(second)
    for wide, narrow in zip(first, second, strict=False):
        if wide.missing is not None and narrow.missing is not None:
            assert wide.missing >= narrow.missing


@given(logs(), TIMES)
def test_more_deleted_misses_no_less(log, wanted):
    found = []
    for deleted in range(len(log.times) + 1):
        found += [len(from_time(measured(replace(log, deleted=deleted).measure()), at(wanted), at(50)).gaps)]
    assert found == sorted(found)


@given(st.lists(TIMES, max_size=12), st.integers(min_value=0, max_value=60), TIMES)
def test_what_only_the_retention_has_deleted_is_explained_by_it_and_is_no_loss(times, retention, wanted):
    now = 50
    ordered = tuple(sorted(times))
    log = Log(ordered, sum(each < now - retention for each in ordered))
    for gap in from_time(measured(log.measure(), retention_millis=retention), at(wanted), at(now)).gaps:
        if gap.within_retention:
            assert log.lost(wanted) == []


@given(logs(), TIMES)
def test_it_is_pure(log, wanted):
    topic = measured(log.measure())
    assert from_time(topic, at(wanted), at(50)) == from_time(topic, at(wanted), at(50))
