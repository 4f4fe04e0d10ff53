"""Whole stories in the toy world: first undisturbed, then with the operator dying after each operation of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.api.checkpoint import Phase
from penstock.api.streamjob_status import EndState, JobState, StartKind
from tests.unit.builders import PLACE
from tests.unit.decide.toy import Scenario, Toy, after, disturbed

BIG = {"limits": {"memory": "3Gi"}}


def create(toy: Toy) -> None:
    toy.settle()


def take(toy: Toy) -> None:
    toy.create_checkpoint("before")
    toy.settle()


def take_another(toy: Toy) -> None:
    toy.create_checkpoint("after")
    toy.settle()


def stop(toy: Toy) -> None:
    toy.edit(state="Stopped")
    toy.settle()


def stop_without_savepoint(toy: Toy) -> None:
    toy.edit(state="Stopped", checkpoints={"onStop": "LatestCheckpoint"})
    toy.settle()


def start_again(toy: Toy) -> None:
    toy.edit(state="Running")
    toy.settle()


def upgrade(toy: Toy) -> None:
    toy.edit(parallelism=4)
    toy.settle()


def upgrade_stateless(toy: Toy) -> None:
    toy.edit(parallelism=4, checkpoints={"onUpgrade": "Stateless"})
    toy.settle()


def upgrade_latest(toy: Toy) -> None:
    toy.edit(parallelism=4, checkpoints={"onUpgrade": "LatestCheckpoint"})
    toy.settle()


def discard_when_cancelled(toy: Toy) -> None:
    """The program says `SET 'execution.checkpointing.externalized-checkpoint-retention'='DELETE_ON_CANCELLATION'`."""
    toy.discards_when_cancelled = True


def restart_class(toy: Toy) -> None:
    toy.edit(taskManager={"resources": BIG})
    toy.settle()


def ignored_class(toy: Toy) -> None:
    toy.edit(checkpoints={"onStop": "LatestCheckpoint"})
    toy.settle()


def restart(toy: Toy) -> None:
    toy.edit(restartToken="again")
    toy.settle()


def restore_older(toy: Toy) -> None:
    toy.edit(startFrom={"checkpoint": {"name": "before"}})
    toy.settle()


def finish(toy: Toy) -> None:
    for deployed in toy.runs.values():
        toy._end(deployed, "FINISHED")
    toy.settle()


def fail(toy: Toy) -> None:
    for deployed in toy.runs.values():
        toy._end(deployed, "FAILED")
    toy.settle()


def lose_pods_and_high_availability(toy: Toy) -> None:
    toy.lose_high_availability()
    toy.kill_job_managers()
    toy.settle()


def lose_pointers(toy: Toy) -> None:
    toy.lose_high_availability()
    toy.settle()


def lose_all_objects(toy: Toy) -> None:
    for deployed in toy.runs.values():
        deployed.kinds = set()
    toy.tick(3)
    toy.settle()


def fail_over_during_savepoint(toy: Toy) -> None:
    toy.create_checkpoint("before")
    for _ in range(40):
        toy.reconcile()
        if any(process.operations for process in toy.live):
            break
        toy.now += timedelta(milliseconds=200)
    toy.kill_job_managers()
    toy.settle()


def delete_and_retain(toy: Toy) -> None:
    toy.delete()
    toy.settle()


def pin_another(toy: Toy) -> None:
    toy.create_checkpoint("keep", pinned=True)
    toy.settle()


def delete_with_data(toy: Toy) -> None:
    toy.edit(onDelete={"checkpoints": "Delete"})
    toy.delete()
    toy.settle()


def delete_one(toy: Toy) -> None:
    toy.delete("before")
    toy.settle()


def keep_one(toy: Toy) -> None:
    toy.edit(checkpoints={"retention": {"numRetained": 1}})
    toy.settle()


def grow_old(toy: Toy) -> None:
    toy.edit(checkpoints={"retention": {"maxAge": "10m"}})
    toy.tick(900)
    toy.settle()


def take_by_the_clock(toy: Toy) -> None:
    toy.edit(checkpoints={"schedule": {"cron": "10 12 * * *", "missed": "RunOnce"}})
    toy.settle()
    toy.tick(600)
    toy.settle()


def refuse_savepoint(toy: Toy) -> None:
    toy.savepoint_failure = "CheckpointException: the store said no"
    toy.edit(state="Stopped")
    while not toy.of_source("Stop", Phase.FAILED):
        toy.reconcile()
        toy.tick(1)
    toy.savepoint_failure = ""
    toy.tick(600)
    toy.settle()


def go_on_without_savepoint(toy: Toy) -> None:
    toy.savepoint_failure = "CheckpointException: the store said no"
    toy.edit(state="Stopped", checkpoints={"ifSavepointFails": "LatestCheckpoint"})
    toy.settle()


RUNNING = {"state": JobState.RUNNING, "live": 1, "end": None, "ready": "True", "intent": None}
STOPPED = {"state": JobState.STOPPED, "live": 0, "end": EndState.STOPPED, "ready": "True", "intent": None}
MANUAL, STOP, UPGRADE = ("Manual", "Present"), ("Stop", "Present"), ("Upgrade", "Present")
SCHEDULED = ("Schedule", "Present")
R = StartKind.RETAINED
C = StartKind.CHECKPOINT
STORIES: list[tuple[tuple[Scenario, ...], dict[str, Any]]] = [
    ((create,), RUNNING | {"version": 1, "from": StartKind.EMPTY, "starts": 1}),
    ((create, take), RUNNING | {"checkpoints": [MANUAL], "savepoints": 1, "starts": 1}),
    ((create, stop), STOPPED | {"checkpoints": [STOP], "savepoints": 1}),
    ((create, stop_without_savepoint), STOPPED | {"checkpoints": [], "savepoints": 0}),
    ((create, stop, start_again), RUNNING | {"version": 1, "checkpoints": [STOP], "from": C, "starts": 2}),
    ((create, upgrade), RUNNING | {"version": 2, "checkpoints": [UPGRADE], "from": C, "starts": 2}),
    ((create, upgrade_stateless), RUNNING | {"version": 2, "checkpoints": [], "from": StartKind.EMPTY, "starts": 2}),
    ((create, upgrade_latest), RUNNING | {"version": 2, "checkpoints": [], "from": R, "starts": 2}),
    ((create, restart_class), RUNNING | {"version": 2, "checkpoints": [], "from": R, "starts": 2}),
    ((create, discard_when_cancelled, restart_class), RUNNING | {"version": 2, "from": R, "starts": 2}),
    ((create, discard_when_cancelled, upgrade_latest), RUNNING | {"version": 2, "from": R, "starts": 2}),
    ((create, discard_when_cancelled, stop_without_savepoint, start_again), RUNNING | {"from": R, "starts": 2}),
    ((create, discard_when_cancelled, lose_pointers), RUNNING | {"version": 1, "from": R, "starts": 2}),
    ((create, ignored_class), RUNNING | {"version": 1, "checkpoints": [], "starts": 1}),
    ((create, restart), RUNNING | {"version": 1, "checkpoints": [UPGRADE], "from": C, "starts": 2}),
    (
        (create, take, take_another, restore_older),
        RUNNING | {"version": 1, "checkpoints": [MANUAL, MANUAL, UPGRADE], "starts": 2},
    ),
    ((create, finish), {"state": JobState.FINISHED, "live": 0, "end": EndState.FINISHED, "starts": 1}),
    ((create, fail), {"state": JobState.FAILED, "live": 0, "end": EndState.FAILED, "starts": 1}),
    ((create, fail, upgrade), RUNNING | {"version": 2, "from": R, "starts": 2}),
    ((create, lose_pods_and_high_availability), RUNNING | {"version": 1, "from": R, "starts": 2}),
    ((create, lose_pointers), RUNNING | {"version": 1, "from": R, "starts": 2}),
    ((create, lose_all_objects), RUNNING | {"version": 1, "starts": 1}),
    ((create, fail_over_during_savepoint), RUNNING | {"checkpoints": [MANUAL], "savepoints": 1, "starts": 1}),
    ((create, take, delete_and_retain), {"state": "gone", "live": 0, "checkpoints": [MANUAL], "savepoints": 1}),
    (
        (create, take, pin_another, delete_with_data),
        {"state": "gone", "live": 0, "checkpoints": [MANUAL], "savepoints": 1},
    ),
    ((create, take, delete_one), RUNNING | {"checkpoints": [], "savepoints": 0}),
    ((create, take, take_another, keep_one), RUNNING | {"checkpoints": [("Manual", "Cleared"), MANUAL]}),
    ((create, take, take_another, grow_old), RUNNING | {"checkpoints": [("Manual", "Cleared"), MANUAL]}),
    ((create, take_by_the_clock), RUNNING | {"checkpoints": [SCHEDULED], "savepoints": 1, "starts": 1}),
    ((create, refuse_savepoint), STOPPED | {"checkpoints": [("Stop", "Failed"), STOP], "savepoints": 1}),
    ((create, go_on_without_savepoint), STOPPED | {"checkpoints": [("Stop", "Failed")], "savepoints": 0}),
]
Story = tuple[Scenario, ...]


def _name(value: object) -> str:
    return value[-1].__name__ + str(len(value)) if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("story", "expected"), STORIES, ids=_name)
def test_a_story_ends_well(story: Story, expected: dict[str, Any]) -> None:
    toy = after(*story)
    assert toy.violations == []
    assert toy.untrue() == []
    assert {key: value for key, value in toy.summary().items() if key in expected} == expected


@pytest.mark.parametrize("story", [story for story, _ in STORIES], ids=_name)
@pytest.mark.parametrize("outage", [1, 400], ids=["short", "long"])
def test_the_same_end_when_the_operator_dies_after_any_operation(story: Story, outage: int) -> None:
    whole = after(*story).summary()
    for toy, where in disturbed(story, lambda toy: toy.tick(outage)):
        assert toy.violations == [], where
        assert toy.summary() == whole, where


SAME = ("state", "live", "ready", "intent")
DISTURBED = [
    (create, take),
    (create, stop),
    (create, stop, start_again),
    (create, upgrade),
    (create, take, take_another, restore_older),
    (create, take_by_the_clock),
    (create, take, take_another, keep_one),
]


@pytest.mark.parametrize("story", DISTURBED, ids=_name)
def test_a_jobmanager_dies_together_with_the_operator(story: Story) -> None:
    """What Flink knew of the trigger is lost, too; the end is the same but for the runs that it took."""
    whole = after(*story).summary()
    for toy, where in disturbed(story, Toy.kill_job_managers):
        toy.tick(30)
        toy.settle()
        assert toy.violations == [], where
        assert toy.summary(*SAME) == {key: whole[key] for key in SAME}, where


@pytest.mark.parametrize("story", DISTURBED, ids=_name)
def test_the_status_of_the_job_is_lost_after_any_operation(story: Story) -> None:
    whole = after(*story).summary()
    for toy, where in disturbed(story, Toy.lose_status):
        assert toy.violations == [], where
        assert toy.summary(*SAME) == {key: whole[key] for key in SAME}, where


def _lose_checkpoint_statuses(toy: Toy) -> None:
    for checkpoint in toy.checkpoints:
        toy.lose_status(checkpoint.metadata.name)


@pytest.mark.parametrize("story", DISTURBED[:-1], ids=_name)
def test_the_statuses_of_the_checkpoints_are_lost_after_any_operation(story: Story) -> None:
    same = (*SAME, "checkpoints", "savepoints")
    whole = after(*story).summary()
    for toy, where in disturbed(story, _lose_checkpoint_statuses):
        assert toy.violations == [], where
        assert toy.summary(*same) == {key: whole[key] for key in same}, where


def test_a_stop_keeps_every_record_that_was_processed() -> None:
    toy = after(create, stop)
    (kept,) = toy.of_source("Stop")
    value = toy.store[f"{PLACE.key_of(kept.status.location or '')}/_metadata"].value
    toy.edit(state="Running")
    toy.settle()
    run, path = toy.starts[-1]
    assert path == kept.status.location
    assert toy.runs[run].process is not None
    assert toy.runs[run].process.value > value > 0


def test_latest_stays_in_the_line_of_an_older_restore() -> None:
    """After a restore of `before`, a failure must not bring back `after`, although that is newer."""
    toy = after(create, take, take_another, restore_older)
    run = toy.status.run.id
    toy.lose_high_availability()
    toy.kill_job_managers()
    toy.settle()
    assert toy.starts[-2][1] == toy.checkpoint("before").status.location
    assert f"/checkpoints/{run}/" in toy.starts[-1][1]
    assert toy.violations == []


def test_a_lost_run_without_a_checkpoint_of_its_own_goes_back_to_what_it_had_started_from() -> None:
    toy = after(create, take, take_another)
    toy.edit(startFrom={"checkpoint": {"name": "before"}})
    while len(toy.starts) < 2:
        toy.reconcile()
        toy.tick(1)
    toy.kill_job_managers()
    toy.settle()
    location = toy.checkpoint("before").status.location
    assert [path for _, path in toy.starts[1:]] == [location, location]


def test_a_finished_job_is_run_again_only_when_somebody_asks() -> None:
    toy = after(create, finish)
    toy.edit(parallelism=8)
    toy.settle()
    assert len(toy.starts) == 1
    toy.edit(restartToken="again")
    toy.settle()
    assert len(toy.starts) == 2


def test_a_settled_world_is_left_alone() -> None:
    toy = after(create, stop)
    before = toy.operations
    for _ in range(5):
        toy.reconcile()
        toy.tick(10)
    assert toy.operations == before


def test_naming_a_missing_checkpoint_leaves_the_job_running() -> None:
    toy = after(create)
    toy.edit(startFrom={"checkpoint": {"name": "nowhere"}})
    for _ in range(10):
        toy.reconcile()
        toy.tick(10)
    assert toy.summary()["live"] == 1
    assert len(toy.starts) == 1
    stalled = next(each for each in toy.status.conditions if each.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "CheckpointNotFound")


def test_a_restore_from_what_is_being_deleted_never_starts_from_nothing() -> None:
    toy = after(create, take)
    toy.delete("before")
    toy.reconcile()
    toy.edit(startFrom={"checkpoint": {"name": "before"}})
    for _ in range(60):
        toy.reconcile()
        toy.tick(2)
    assert toy.violations == []
    assert toy.summary()["live"] == 1


@pytest.mark.parametrize("passes", range(12))
def test_a_stopped_job_is_started_while_its_last_savepoint_is_deleted(passes: int) -> None:
    """Whatever comes first wins, but no run is started from a place where nothing is any more."""
    toy = after(create, stop)
    (last,) = toy.of_source("Stop")
    toy.delete(last.metadata.name)
    for _ in range(passes):
        toy.reconcile()
        toy.tick(0.2)
    toy.edit(state="Running")
    for _ in range(60):
        toy.reconcile()
        toy.tick(2)
    assert toy.violations == []


def test_cleared_is_the_phase_of_what_retention_took() -> None:
    toy = after(create, take, take_another, keep_one)
    phases = {each.metadata.name: each.status.phase for each in toy.checkpoints if each.spec.source == "Manual"}
    assert phases == {"before": Phase.CLEARED, "after": Phase.PRESENT}
