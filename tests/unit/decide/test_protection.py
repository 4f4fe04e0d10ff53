"""Positions in which Flink does something else than Penstock has told it: the program had the last word."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import JobListing, StoreView, Unknown
from tests.unit.builders import (
    BEFORE,
    JOB_UID,
    NAMESPACE,
    NOW,
    PLACE,
    RUN,
    ended,
    flink,
    idle,
    job,
    listing,
    live,
    observed,
    restored,
    retained,
    run_objects,
    savepoint,
    started_from,
    stats,
    stored,
)
from tests.unit.decide.moves import Moves, moves

ELSEWHERE = [
    f"s3://{PLACE.bucket}/elsewhere/{RUN}/chk-7",
    f"s3://other-bucket/team/{NAMESPACE}/flights-{JOB_UID}/checkpoints/{RUN}/chk-7",
    "file:///tmp/x/chk-7",
    PLACE.uri(f"team/{NAMESPACE}/other-{JOB_UID}/checkpoints/{RUN}/chk-7"),
    PLACE.uri(f"team/{NAMESPACE}/flights-{JOB_UID}/checkpoints/chk-7"),
    PLACE.uri(f"team/abc123/{NAMESPACE}/flights-{JOB_UID}/checkpoints/{RUN}/chk-7"),
]
IN_MEMORY = "<checkpoint-not-externally-addressable>"
THERE = ELSEWHERE[0]
LABELS = {"podTemplate": {"labels": {"x": "y"}}}
LATEST = {"onStop": "LatestCheckpoint", "onUpgrade": "LatestCheckpoint"}


def newest(location: str) -> dict[str, Any]:
    return {"checkpoint_id": 7, "location": location, "completion_time": BEFORE}


def running(location: str, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    """A job whose newest checkpoint lies there; it was said before."""
    answer = more.pop("flink", flink(completed=stats(7, location)))
    return moves(observed(job(live(latest_checkpoint=newest(location)), **(spec or {})), flink=answer, **more))


@pytest.mark.parametrize("location", [*ELSEWHERE, IN_MEMORY])
def test_a_job_whose_newest_checkpoint_lies_elsewhere_is_not_ready(location):
    found = moves(observed(job(live()), flink=flink(completed=stats(8, location))))
    ready = found.condition("Ready")
    assert (ready.status, ready.reason) == ("False", "CheckpointsElsewhere")
    assert "execution.checkpointing." in ready.message
    assert found.stalled == "CheckpointsElsewhere"
    assert found.events.count("CheckpointsElsewhere") == 1
    assert "CreateCheckpoint" not in found.kinds


def test_it_is_said_once():
    found = running(THERE)
    assert (found.condition("Ready").reason, found.events) == ("CheckpointsElsewhere", ())


@pytest.mark.parametrize("location", [retained(7), savepoint(3)])
def test_where_it_should_lie_all_is_well(location):
    found = running(location)
    assert (found.condition("Ready").status, found.stalled) == ("True", "")


def test_without_a_store_nobody_can_say():
    assert running(THERE, store=StoreView(problem="there is no CheckpointStore main")).stalled != "CheckpointsElsewhere"


@pytest.mark.parametrize(
    ("spec", "intent"),
    [
        ({"state": "Stopped"}, "Stop Savepoint"),
        (LABELS, "Stop Savepoint"),
        ({"restartToken": "x"}, "Stop Savepoint"),
        ({"state": "Stopped", "checkpoints": LATEST}, ""),
        (LABELS | {"checkpoints": LATEST}, ""),
        ({"restartToken": "x", "checkpoints": LATEST}, ""),
    ],
)
def test_what_would_be_left_is_what_nothing_can_be_started_from(spec, intent):
    """A savepoint lies where it should; without one the job is not stopped, and it is said what to write."""
    found = running(THERE, spec)
    assert found.intent == intent
    if not intent:
        assert found.stalled == "CheckpointsElsewhere"
        assert "Savepoint" in found.condition("Stalled").message


def test_a_job_that_lost_its_pointers_is_not_stopped_for_a_state_that_cannot_be_restored():
    found = running(THERE, runs=(run_objects(ha_config_maps=()),))
    assert (found.intent, found.stalled) == ("", "CheckpointsElsewhere")


def lost(*states: Any, location: str = THERE) -> Moves:
    status = ended("LOST", started_from=started_from(savepoint(1)), latest_checkpoint=newest(location))
    return moves(idle(job(status), listing=listing(*states)))


def test_a_run_that_was_lost_does_not_go_back_silently_to_what_is_older():
    assert lost().stalled == "StateElsewhere"
    assert lost(stored(savepoint(2), 3)).stalled == "StateElsewhere"
    assert lost(stored(savepoint(2), 9)).intent == "Start"
    assert lost(location=retained(7)).stalled == "StateMissing"


def restored_other(**more: Any) -> Moves:
    status = live(started_from(savepoint(1)), run={"confirmed": False}, latest_checkpoint=None, **more)
    return moves(observed(job(status), flink=flink(restored=restored(savepoint(2)))))


def test_what_flink_really_restored_is_told_and_its_checkpoints_are_not_the_jobs():
    found = restored_other()
    assert found.status.started_from.restored == found.status.started_from.text == savepoint(2)
    assert found.status.latest_checkpoint is None
    assert found.condition("Ready").status == "False"
    assert found.events == ("RestoredFromElsewhere",)
    assert savepoint(2) in found.condition("Stalled").message


def test_after_a_change_it_is_taken_back_at_once():
    fallback = {"job_version": 1, "started_from": started_from(savepoint(1)), "until": NOW}
    found = restored_other(fallback=fallback)
    assert found.intent == "Stop Cancel"
    assert found.status.intent.reason == "RollBack"
    assert savepoint(2) in found.status.fallback.why


def test_a_listing_that_is_not_known_decides_nothing():
    status = ended("LOST", latest_checkpoint=newest(THERE))
    found = moves(idle(job(status), listing=Unknown("time-out")))
    assert (found.intent, found.stalled) == ("", "")
    assert moves(idle(job(status), listing=JobListing())).stalled == "StateElsewhere"
