"""Whole stories of replays in the toy world, with everything dying at every place: their times are never lost.

In the toy world each state remembers what the script of its run said. `violations` has every start from a state with
other times than that state is of, and every replay that is begun again with other times than before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.api.replay import Replay
from penstock.api.streamjob_status import JobState, StartKind
from tests.unit.builders import PLACE
from tests.unit.decide.test_chaos import EVENTS, play
from tests.unit.decide.test_scenarios import (
    SAME,
    _lose_checkpoint_statuses,
    create,
    lose_pods_and_high_availability,
    restart_class,
    stop,
    take,
    upgrade,
    upgrade_latest,
    upgrade_stateless,
)
from tests.unit.decide.toy import Scenario, Toy, after, disturbed

Story = tuple[Scenario, ...]


def replay(toy: Toy) -> None:
    toy.edit(startFrom={"replay": {"from": "24h", "lookback": "1h"}})
    toy.settle()


def replay_absolute(toy: Toy) -> None:
    toy.edit(startFrom={"replay": {"from": "2026-01-30T12:00:00Z", "to": "2026-01-31T11:00:00Z"}})
    toy.settle()


def latest(toy: Toy) -> None:
    toy.edit(startFrom={"latest": {}})
    toy.settle()


def take_in_replay(toy: Toy) -> None:
    toy.create_checkpoint("within")
    toy.settle()


def run_again(toy: Toy) -> None:
    toy.edit(state="Running")
    toy.settle()


def restore_within(toy: Toy) -> None:
    toy.edit(startFrom={"checkpoint": {"name": "within"}})
    toy.settle()


def restore_before(toy: Toy) -> None:
    toy.edit(startFrom={"checkpoint": {"name": "before"}})
    toy.settle()


STORIES: list[tuple[Story, StartKind, bool]] = [
    ((create, replay), StartKind.REPLAY, True),
    ((create, stop, replay, run_again), StartKind.REPLAY, True),
    ((create, replay, upgrade), StartKind.CHECKPOINT, True),
    ((create, replay, upgrade_latest), StartKind.RETAINED, True),
    ((create, replay, upgrade_stateless), StartKind.EMPTY, False),
    ((create, replay, restart_class), StartKind.RETAINED, True),
    ((create, replay, lose_pods_and_high_availability), StartKind.RETAINED, True),
    ((create, replay, stop, run_again), StartKind.CHECKPOINT, True),
    ((create, replay, latest), StartKind.REPLAY, True),
    ((create, take, replay, restore_before), StartKind.CHECKPOINT, False),
    ((create, take, replay, take_in_replay, restore_before, restore_within), StartKind.CHECKPOINT, True),
    ((create, replay, replay_absolute), StartKind.REPLAY, True),
]


def _name(value: object) -> str:
    return "-".join(each.__name__ for each in value) if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("story", "kind", "told"), STORIES, ids=_name)
def test_a_story_ends_well(story: Story, kind: StartKind, told: bool) -> None:  # noqa: FBT001 - a table's column
    toy = after(*story)
    assert toy.violations == []
    assert toy.status.started_from.kind is kind
    [process] = toy.live
    assert process.replay == toy.status.started_from.replay
    assert (process.replay is not None) is told


@pytest.mark.parametrize("story", [story for story, _, _ in STORIES], ids=_name)
@pytest.mark.parametrize("outage", [1, 400], ids=["short", "long"])
def test_the_same_end_when_the_operator_dies_after_any_operation(story: Story, outage: int) -> None:
    whole = after(*story).summary()
    for toy, where in disturbed(story, lambda toy: toy.tick(outage)):
        assert toy.violations == [], where
        assert toy.summary() == whole, where


@pytest.mark.parametrize("story", [story for story, _, _ in STORIES], ids=_name)
@pytest.mark.parametrize(
    "loss",
    [Toy.kill_job_managers, _lose_checkpoint_statuses, Toy.lose_high_availability],
    ids=lambda each: each.__name__,
)
def test_more_is_lost_together_with_the_operator(story: Story, loss: Callable[[Toy], None]) -> None:
    for toy, where in disturbed(story, loss):
        toy.tick(30)
        toy.settle()
        assert toy.violations == [], where
        assert toy.summary()["state"] == JobState.RUNNING, where
        assert len(toy.live) == 1, where


@pytest.mark.parametrize(
    "story",
    [
        (create, replay_absolute),
        (create, replay_absolute, stop, run_again),
        (create, replay_absolute, latest, upgrade),
        (create, replay_absolute, latest, stop, run_again),
    ],
    ids=_name,
)
def test_the_status_of_the_job_is_lost_after_any_operation(story: Story) -> None:
    """A live run is adopted with its times; without one the newest state tells by its Checkpoint or its note."""
    for toy, where in disturbed(story, Toy.lose_status):
        assert toy.violations == [], where
        assert toy.summary(*SAME)["state"] == JobState.RUNNING, where


@pytest.mark.parametrize("passes", range(1, 16))
def test_a_replay_that_is_lost_at_any_moment_goes_on_with_its_times(passes: int) -> None:
    """Before its first checkpoint it begins again; after it, it goes on from there, never from the line before."""
    toy = after(create, take)
    toy.edit(startFrom={"replay": {"from": "24h", "lookback": "1h"}})
    while len(toy.starts) < 2:
        toy.reconcile()
        toy.tick(1)
    first = toy.status.started_from.replay
    assert isinstance(first, Replay)
    for _ in range(passes):
        toy.reconcile()
        toy.tick(1)
    run = toy.status.run.id
    toy.lose_high_availability()
    toy.kill_job_managers()
    toy.settle()
    assert toy.violations == []
    assert toy.status.started_from.replay == first
    where = toy.starts[-1][1]
    assert where == "" or f"/checkpoints/{run}/" in where


def test_both_ways_of_going_on_are_met() -> None:
    def restored(passes: int) -> bool:
        toy = after(create)
        toy.edit(startFrom={"replay": {"from": "24h"}})
        while len(toy.starts) < 2:
            toy.reconcile()
            toy.tick(1)
        for _ in range(passes):
            toy.reconcile()
            toy.tick(1)
        toy.lose_high_availability()
        toy.kill_job_managers()
        toy.settle()
        return toy.starts[-1][1] != ""

    assert {restored(passes) for passes in (1, 15)} == {False, True}


def test_a_duration_counts_from_the_start_and_not_from_a_later_one() -> None:
    toy = after(create, replay)
    began = toy.status.started_from
    assert began.replay == Replay(
        output_from=began.time - timedelta(hours=24), source_start=began.time - timedelta(hours=25)
    )
    toy.tick(600)
    toy.settle()
    upgrade(toy)
    assert toy.status.started_from.replay == began.replay


def test_a_backfill_that_has_finished_stays_so_and_its_states_know_it() -> None:
    toy = after(create, replay_absolute)
    (process,) = toy.live
    toy._end(next(each for each in toy.runs.values() if each.process is process), "FINISHED")
    toy.settle()
    assert toy.status.state is JobState.FINISHED
    of_it = [each for each in toy.checkpoints if each.status.run == toy.status.run.id]
    assert {each.status.replay for each in of_it} == {toy.status.started_from.replay} != {None}


def test_every_checkpoint_knows_the_replay_of_its_run() -> None:
    toy = after(create, take, replay, take_in_replay, restore_before, restore_within, stop)
    present = [each for each in toy.checkpoints if each.status.phase == "Present"]
    assert len(present) > 2
    for each in present:
        file = toy.store[f"{PLACE.key_of(each.status.location or '')}/_metadata"]
        assert each.status.replay == file.replay, each.metadata.name


# What concerns a start, often enough that replays meet each other and everything else.
STARTS = ["replay", "replay from there", "restore", "take", "five of them", "pass", "upgrade", "stop", "run", "latest"]
STARTS += [
    "restart",
    "JobManager dies",
    "HA lost",
    "statuses of Checkpoints lost",
    "crash",
    "crash later",
    "restart class",
]


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(STARTS), max_size=25))
def test_the_times_hold_whatever_happens(events: list[str]) -> None:
    assert set(STARTS) <= set(EVENTS)
    toy = play(["replay", *events], after(create, take))
    toy.edit(state="Running")
    for _ in range(4):
        toy.tick(600)
        toy.settle()
    assert toy.violations == [], "\n".join(toy.trace)
    assert len(toy.live) == 1
