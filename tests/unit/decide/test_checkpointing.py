"""Positions in which the program has overruled `spec.checkpoints`."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api.conditions import find_condition
from penstock.decide.checkpointing import interval_millis
from penstock.flink.answers import Checkpointing
from penstock.model import Unknown
from tests.unit.builders import KEEPS, checkpoint, ended, flink, idle, job, live, observed
from tests.unit.decide.moves import Moves, moves

UNKNOWN = {"checkpointing": None}
NONE = {"checkpointing": {"enabled": False}}


def run_of(told: dict[str, Any], spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(observed(job(live(run=told), **(spec or {})), **more))


def overridden(found: Moves) -> str:
    condition = find_condition(found.status.conditions, "CheckpointsOverridden")
    return condition.reason if condition is not None and condition.status == "True" else ""


SAID = {
    "as asked": (KEEPS, ""),
    "another interval": (Checkpointing(keeps_on_cancellation=True, interval_millis=2000), "IntervalOverridden"),
    "none by itself": (Checkpointing(keeps_on_cancellation=True), "IntervalOverridden"),
    "deleted when cancelled": (
        Checkpointing(keeps_on_cancellation=False, interval_millis=60_000),
        "DiscardedOnCancellation",
    ),
    "none": (None, "NoCheckpoints"),
}


@pytest.mark.parametrize(("said", "reason"), SAID.values(), ids=SAID)
def test_what_the_program_has_overruled_is_told_once(said, reason):
    found = run_of(UNKNOWN, checkpointing=said)
    assert overridden(found) == reason
    assert found.events == ((reason,) if reason else ())
    assert found.status.run.checkpointing is not None
    again = moves(observed(job(dict(found.status)), checkpointing=None))
    assert (overridden(again), again.events) == (reason, ())


def test_nobody_answers():
    found = run_of(UNKNOWN, checkpointing=Unknown("time-out"))
    assert (found.status.run.checkpointing, overridden(found)) == (None, "")


def test_a_job_that_does_not_run_yet_says_nothing():
    found = run_of(UNKNOWN | {"confirmed": False}, flink=flink("INITIALIZING"), checkpointing=None)
    assert found.status.run.checkpointing is None


def test_after_a_failover_it_is_asked_anew():
    found = run_of({}, flink=flink(began_millis=7), checkpointing=Checkpointing(keeps_on_cancellation=True))
    assert (found.status.run.checkpointing.began_millis, overridden(found)) == (7, "IntervalOverridden")


def test_what_is_mended_is_told_and_of_a_job_without_a_run_nothing():
    told = run_of(UNKNOWN, checkpointing=None)
    mended = dict(told.status) | {"run": live()["run"]}
    found = moves(observed(job(mended)))
    assert find_condition(found.status.conditions, "CheckpointsOverridden").status == "False"
    gone = moves(idle(job(ended("STOPPED") | {"conditions": told.status.conditions}, state="Stopped")))
    assert find_condition(gone.status.conditions, "CheckpointsOverridden") is None


@pytest.mark.parametrize("spec", [{"state": "Stopped"}, {"restartToken": "x"}], ids=["stop", "restart"])
def test_a_savepoint_that_there_never_is_is_not_asked_for(spec):
    found = run_of(NONE, spec, checkpointing=None)
    assert (found.intent, found.stalled) == ("", "NoCheckpoints")
    assert "onStop: LatestCheckpoint" in found.condition("Stalled").message


def test_a_checkpoint_that_somebody_asks_for_fails_with_that():
    found = run_of(NONE, checkpointing=None, checkpoints=(checkpoint(phase="Pending"),))
    assert found.checkpoints["before"].phase == "Failed"
    assert "batch mode" in found.checkpoints["before"].last_error.message


def test_what_is_reckoned_with_is_what_flink_does():
    assert interval_millis(job(live(run={"checkpointing": {"enabled": True, "interval_millis": 2000}}))) == 2000
    assert interval_millis(job(live(run=UNKNOWN))) == 60_000
    assert interval_millis(job(ended("STOPPED"))) == 60_000
