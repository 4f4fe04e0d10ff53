from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.plan import ForeignRecordsError, Plan, Slot


@st.composite
def plans_with_ends(draw: st.DrawFn) -> tuple[Plan, list[int]]:
    """A plan, and end offsets as a feeder killed at any moment leaves them: every partition on its own."""
    plan = Plan(draw(st.integers(1, 60)), draw(st.integers(1, 6)))
    return plan, [draw(st.integers(0, plan.length(partition) + 1)) for partition in range(plan.partitions)]


@given(plans_with_ends())
def test_what_was_written_and_what_remains_are_the_whole_plan_once(case: tuple[Plan, list[int]]) -> None:
    plan, ends = case
    written = [(partition, offset) for partition, end in enumerate(ends) for offset in range(end)]
    remaining = list(plan.remaining(ends, marker=True))
    places = written + [(slot.partition, slot.offset) for slot in remaining]
    assert len(places) == len(set(places)) == plan.total + plan.partitions
    assert plan.count(ends) + sum(slot.flight is not None for slot in remaining) == plan.total


@given(plans_with_ends())
def test_offsets_of_a_partition_go_on_without_a_gap(case: tuple[Plan, list[int]]) -> None:
    plan, ends = case
    position = list(ends)
    for slot in plan.remaining(ends, marker=True):
        assert slot.offset == position[slot.partition]
        position[slot.partition] += 1
    assert list(plan.remaining(position, marker=True)) == []


@given(plans_with_ends(), st.integers(0, 80))
def test_feeding_in_two_calls_is_feeding_in_one(case: tuple[Plan, list[int]], count: int) -> None:
    plan, ends = case
    position = list(ends)
    first = list(plan.remaining(ends, count=count))
    for slot in first:
        position[slot.partition] += 1
    second = list(plan.remaining(position, marker=True))
    assert sorted(map(repr, first + second)) == sorted(map(repr, plan.remaining(ends, marker=True)))


def test_flights_go_round_the_partitions_and_the_markers_come_last() -> None:
    assert list(Plan(5, 2).remaining([0, 0], marker=True)) == [
        Slot(0, 0, 0),
        Slot(1, 0, 1),
        Slot(0, 1, 2),
        Slot(1, 1, 3),
        Slot(0, 2, 4),
        Slot(0, 3, None),
        Slot(1, 2, None),
    ]


def test_markers_are_left_out_while_flights_are_left_out() -> None:
    assert [slot.flight for slot in Plan(5, 2).remaining([0, 0], count=3, marker=True)] == [0, 1, 2]
    assert [slot.flight for slot in Plan(5, 2).remaining([0, 0], count=99, marker=True)][-2:] == [None, None]


def test_the_whole_data_in_four_partitions() -> None:
    plan = Plan(336_776, 4)
    assert [plan.length(partition) for partition in range(4)] == [84_194] * 4
    assert plan.count([84_195] * 4) == 336_776


@pytest.mark.parametrize("ends", [[1], [1, 1, 1], [5, 0], [0, 4]])
def test_a_topic_that_the_plan_did_not_write_is_refused(ends: list[int]) -> None:
    with pytest.raises(ForeignRecordsError):
        list(Plan(5, 2).remaining(ends))
