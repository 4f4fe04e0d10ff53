"""How long a catch-up takes: the source document's examples, what must hold for all figures, and the three levers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.decide.estimate import (
    Estimate,
    Partition,
    Situation,
    Subtask,
    break_even,
    estimate,
    replay_amount,
    rule_of_thumb,
    subtasks,
    with_parallelism,
    with_rate,
    with_window,
    words,
)

HOUR, DAY = 3600.0, 86_400.0


def even(count: int, backlog: int, rate: float, topic: str = "flights") -> tuple[Partition, ...]:
    """A topic whose backlog and arrival are spread evenly."""
    return tuple(Partition(topic, number, backlog // count, rate / count) for number in range(count))


def situation(count: int = 4, backlog: int = 336_776, rate: float = 1000.0, **more: float) -> Situation:
    base = {"capacity": 1000.0, "parallelism": 4, "restart": 0.0}
    return Situation(even(count, backlog, rate), **(base | more))  # type: ignore[arg-type]


# ---------------------------------------------------------------- the source document's figures


def test_the_documents_replay_of_an_hour_at_a_thousand_records_a_second() -> None:
    """ "1000 events per second, a window of an hour": an hour's data is read again."""
    assert replay_amount(HOUR, 1000) == 3_600_000


def test_the_documents_window_of_three_days() -> None:
    """Step 1 of its manual procedure: as much data as the window covers, at the expected rate."""
    found = estimate(situation(1, 259_200_000, 1000, capacity=3000, parallelism=1, gap=3 * DAY, window=3 * DAY))
    assert found.replay_amount == found.backlog == 259_200_000
    assert found.seconds == 129_600  # at three times the rate: half of three days


def test_the_documents_rule_of_thumb_for_a_failed_node() -> None:
    """[input rate] x [gap] / [partitions]: a gap of a few minutes; twice the partitions, half of it."""
    assert rule_of_thumb(1000, 180, 1) == 180_000
    assert rule_of_thumb(1000, 180, 4) == 45_000
    assert rule_of_thumb(1000, 180, 8) == 22_500


def test_a_query_without_a_window_replays_nothing() -> None:
    assert estimate(situation(window=0)).replay_amount == 0


def test_its_rule_is_the_formula_where_nothing_more_arrives_and_all_is_spread_evenly() -> None:
    """Rate x gap / partitions records, read at a subtask's capacity: what it says the time is proportional to."""
    found = estimate(situation(4, 720_000, 0.0, gap=180, parallelism=4))
    assert found.seconds == pytest.approx(rule_of_thumb(4000, 180, 4) / 1000)


# ---------------------------------------------------------------- the formula


def test_the_formula() -> None:
    found = estimate(situation(4, 400_000, 2000, capacity=1500, parallelism=4))
    # Each subtask: 100,000 records, 500 more a second, 1500 read a second.
    assert (found.seconds, found.backlog, found.rate, found.capacity, found.readers) == (100, 400_000, 2000, 6000, 4)


def test_what_arrives_during_the_restart_has_to_be_read_too() -> None:
    found = estimate(situation(1, 100_000, 500, capacity=1500, parallelism=1, restart=20))
    assert found.seconds == 20 + (100_000 + 500 * 20) / 1000


def test_the_slowest_partition_decides() -> None:
    skewed = (*even(3, 300, 0.0), Partition("flights", 3, 90_000))
    found = estimate(Situation(skewed, capacity=1000, parallelism=4))
    assert found.seconds == 90
    assert found.slowest is not None
    assert [each.number for each in found.slowest.partitions] == [3]


def test_partitions_that_one_subtask_reads_add_up() -> None:
    found = estimate(situation(4, 4000, 0, parallelism=3))
    assert (found.seconds, found.readers, found.capacity) == (2, 3, 3000)


@pytest.mark.parametrize(
    ("rate", "capacity", "backlog", "seconds"),
    [
        (1000.0, 1000.0, 1, None),  # as much arrives as is read
        (1000.0, 999.0, 0, None),  # nothing lies there yet, and it falls behind
        (0.0, 0.0, 1, None),
        (0.0, 0.0, 0, 0.0),  # nothing to read
        (999.0, 1000.0, 1000, 1000.0),
    ],
)
def test_it_never_catches_up_when_capacity_is_not_above_arrival(
    rate: float, capacity: float, backlog: int, seconds: float | None
) -> None:
    assert estimate(situation(1, backlog, rate, capacity=capacity, parallelism=1)).seconds == seconds


def test_one_partition_that_cannot_keep_up_is_enough() -> None:
    """In sum there is capacity left; no other subtask can take the partition."""
    parts = (Partition("flights", 0, 10, 1500.0), Partition("flights", 1, 10, 1.0))
    found = estimate(Situation(parts, capacity=1000, parallelism=2))
    assert (found.seconds, found.capacity > found.rate) == (None, True)
    assert words(found.seconds) == "never"


def test_a_job_that_reads_nothing() -> None:
    found = estimate(Situation((), capacity=1000, parallelism=4, restart=30))
    assert found == Estimate(30, None, 0, 0, 0, 0, 0, 0)
    assert words(found.seconds) == "30.0 s"


def test_partitions_go_round_from_where_the_topics_name_says() -> None:
    """String.hashCode() of "hello" is 99162322, of "Aa" and "BB" 2112."""
    first = (99162322 * 31 & 0x7FFFFFFF) % 4
    owners = {each.partitions[0].number: each.number for each in subtasks(Situation(even(4, 4, 0, "hello"), 1, 4))}
    assert owners == {number: (first + number) % 4 for number in range(4)}
    both = subtasks(Situation((Partition("Aa", 0, 1), Partition("BB", 0, 1)), 1, 7))
    assert [len(each.partitions) for each in both] == [2]


# ---------------------------------------------------------------- what holds for all figures

RATES = st.floats(0, 1e6, allow_nan=False)
PARTITIONS = st.lists(
    st.builds(Partition, st.sampled_from(["a", "flights", "ü"]), st.integers(0, 20), st.integers(0, 10**9), RATES),
    max_size=8,
    unique_by=lambda each: (each.topic, each.number),
).map(tuple)
SITUATIONS = st.builds(
    Situation,
    PARTITIONS,
    st.floats(0, 1e7),
    st.integers(1, 16),
    st.floats(0, 600),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)


def later(found: Estimate) -> float:
    return math.inf if found.seconds is None else found.seconds


def _slack(value: float) -> float:
    """What rounding may take away."""
    return value * (1 - 1e-9) if math.isfinite(value) else value


@given(SITUATIONS)
def test_no_figure_is_negative_and_the_time_is_at_least_the_restart(given_: Situation) -> None:
    found = estimate(given_)
    figures = (found.backlog, found.rate, found.capacity, found.readers, found.per_partition, found.replay_amount)
    assert min(figures) >= 0
    assert later(found) >= given_.restart


@given(SITUATIONS)
def test_every_partition_is_read_by_one_subtask_and_nothing_is_lost(given_: Situation) -> None:
    shares: tuple[Subtask, ...] = subtasks(given_)
    read = [each for share in shares for each in share.partitions]
    assert sorted(read, key=str) == sorted(given_.partitions, key=str)
    assert all(0 <= share.number < given_.parallelism for share in shares)
    assert sum(each.backlog for each in read) == given_.backlog
    total = math.fsum(share.backlog for share in shares)
    assert total == pytest.approx(given_.backlog + given_.rate * given_.restart)


@given(SITUATIONS, st.integers(0, 7), st.integers(0, 10**6))
def test_more_backlog_takes_no_less(given_: Situation, which: int, more: int) -> None:
    parts = [*given_.partitions]
    if which < len(parts):
        parts[which] = replace(parts[which], backlog=parts[which].backlog + more)
    assert later(estimate(replace(given_, partitions=tuple(parts)))) >= later(estimate(given_))


@given(SITUATIONS, st.floats(0, 1e5))
def test_a_higher_rate_takes_no_less(given_: Situation, more: float) -> None:
    higher = with_rate(given_, given_.rate + more).estimate if given_.partitions else estimate(given_)
    assert later(higher) >= _slack(later(estimate(given_)))


@given(SITUATIONS, st.floats(0, 1e6))
def test_more_capacity_takes_no_longer(given_: Situation, more: float) -> None:
    faster = estimate(replace(given_, capacity=given_.capacity + more))
    assert later(faster) <= later(estimate(given_))


@given(SITUATIONS)
def test_one_subtask_is_as_slow_as_one_partition_with_all_of_it(given_: Situation) -> None:
    alone = replace(given_, parallelism=1)
    whole = replace(alone, partitions=(Partition("a", 0, given_.backlog, given_.rate),))
    assert later(estimate(alone)) == later(estimate(whole))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6), st.integers(0, 1000))
def test_more_subtasks_take_no_longer_where_all_is_spread_evenly(
    count: int, parallelism: int, backlog: int, rate: int
) -> None:
    now = situation(count, backlog * count, float(rate * count), parallelism=parallelism)
    assert _slack(later(with_parallelism(now, parallelism + 1).estimate)) <= later(estimate(now))


@given(SITUATIONS.filter(lambda each: each.rate > 1 and each.capacity > 1))
def test_below_the_break_even_it_catches_up_and_above_it_does_not(given_: Situation) -> None:
    limit = break_even(given_)
    assert limit is not None
    assert with_rate(given_, limit * 0.99).estimate.seconds is not None
    assert with_rate(given_, limit * 1.01).estimate.seconds is None


# ---------------------------------------------------------------- the levers


def test_more_parallelism_than_partitions_does_not_help_and_says_why() -> None:
    now = situation(4, 400_000, 0, parallelism=4)
    moved = with_parallelism(now, 8)
    assert (moved.before, moved.after, moved.estimate.seconds) == (4, 8, estimate(now).seconds)
    assert "more than 4 do not help, because there are 4 partitions" in moved.why


def test_twice_the_parallelism_is_half_the_time() -> None:
    now = situation(4, 400_000, 0, parallelism=2)
    moved = with_parallelism(now, 4)
    assert (estimate(now).seconds, moved.estimate.seconds) == (200, 100)
    assert moved.why == "4 of 4 subtasks have a partition to read, 2 have now"


def test_a_rate_above_capacity_gets_an_end_by_parallelism() -> None:
    now = situation(4, 400_000, 1500, parallelism=1)
    assert estimate(now).seconds is None
    assert with_parallelism(now, 4).estimate.seconds == 100_000 / (1000 - 375)


def test_a_shorter_window_reads_less() -> None:
    now = situation(1, 7_200_000, 1000, capacity=3000, parallelism=1, gap=2 * HOUR, window=HOUR)
    moved = with_window(now, HOUR / 2)
    assert (moved.estimate.backlog, moved.estimate.replay_amount) == (5_400_000, 1_800_000)
    assert moved.estimate.seconds == 2700
    assert moved.why == "1800000 records fewer are read before the output begins"
    assert with_window(now, 2 * HOUR).why == "3600000 records more are read before the output begins"
    assert with_window(now, HOUR).why == "as many records are read"


def test_a_window_changes_nothing_where_nothing_is_read_again() -> None:
    moved = with_window(situation(1, 100, 0, parallelism=1), DAY)
    assert (moved.estimate.backlog, moved.why) == (100, "nothing is read again: it goes on there")


def test_another_rate_is_spread_as_it_is_now_and_leaves_the_backlog() -> None:
    parts = (Partition("flights", 0, 100, 30.0), Partition("flights", 1, 100, 10.0))
    moved = with_rate(Situation(parts, capacity=100, parallelism=2), 80)
    assert moved.estimate.slowest is not None
    assert (moved.estimate.slowest.rate, moved.estimate.backlog, moved.estimate.rate) == (60, 200, 80)
    assert moved.why == "it catches up below 133 records/s"
    assert (
        with_rate(Situation(parts, capacity=100, parallelism=2), 134).why
        == "it never catches up at 133 records/s or more"
    )


def test_a_rate_where_nothing_arrives_now_is_spread_evenly() -> None:
    now = situation(4, 400, 0)
    assert with_rate(now, 400).estimate.slowest == estimate(situation(4, 400, 400)).slowest
    assert with_rate(now, 0).why == "nothing arrives: only the backlog is read"
    assert break_even(now) is None
