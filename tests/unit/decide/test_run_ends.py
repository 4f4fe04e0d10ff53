"""Positions in which a run has ended: how, and whether somebody had stopped it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.decide import ends
from penstock.model import Manager, Unknown
from tests.unit.builders import (
    NOW,
    OLD_RUN,
    checkpoint,
    ended,
    flink,
    job,
    listing,
    live,
    observed,
    retained,
    run_objects,
    savepoint,
    stats,
    stop_intent,
    stored,
)
from tests.unit.decide.moves import Moves, moves


def running(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(observed(job(live() if status is None else status, **(spec or {})), **more))


def test_a_finished_job():
    found = running(flink=flink("FINISHED"))
    assert (found.intent, found.effects, found.status.state) == ("Teardown FINISHED", (), "Finished")
    assert found.events == ("Finished",)


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_job_that_ended_badly(state):
    """Flink itself cancels the job of a program that fails behind what it has submitted."""
    found = running(flink=flink(state, failure="ArithmeticException: / by zero"))
    assert (found.intent, found.effects, found.status.state) == ("Teardown FAILED", (), "Failed")
    assert found.status.last_error.message == "ArithmeticException: / by zero"
    assert found.stalled == "JobFailed"


def test_a_job_that_somebody_cancelled():
    found = running(flink=flink("CANCELED"))
    assert (found.intent, found.effects, found.status.state) == ("Teardown CANCELED", (), "Failed")
    assert found.status.last_error.message == "somebody cancelled the job in Flink (state CANCELED)"
    assert found.stalled == "JobFailed"


WHY = "JdbcSQLNonTransientConnectionException: refused"
NO_PLAN = flink("FAILED", failure=WHY, planned=False, all_running=False, completed=None)
COMING = {"latest_checkpoint": None, "run": {"confirmed": False}}


@pytest.mark.parametrize("status", [{}, COMING], ids=["its JobManager was begun anew", "a new run of it"])
def test_a_program_that_has_run_before_is_started_again(status):
    """What it needs, a catalog perhaps, may be away for a moment: that must not end the job for ever."""
    found = running(live(proven_version=1, **status), flink=NO_PLAN)
    assert (found.intent, found.events) == ("Teardown LOST", ("StartFailed",))
    assert found.status.last_error.message == WHY


@pytest.mark.parametrize(
    ("status", "flink"),
    [
        ({}, NO_PLAN),
        ({"proven_version": 1, "job_version": 2, "run": {"job_version": 2}}, NO_PLAN),
        ({"proven_version": 1}, flink("FAILED", failure=WHY)),
        ({"proven_version": 1, "start_attempts": ends.TRIES}, NO_PLAN),
    ],
    ids=["it has never run", "another version has", "its tasks failed for good", "tried often enough"],
)
def test_what_fails_for_good(status, flink):
    found = running(live(**(COMING | status | {"run": COMING["run"] | status.get("run", {})})), flink=flink)
    assert (found.intent, found.status.state) == ("Teardown FAILED", "Failed")
    tried = "tried 15 times; to try again, change spec.restartToken"
    assert (tried in found.status.last_error.message) == ("start_attempts" in status)


def test_the_tries_have_growing_pauses_and_an_end():
    """From one start that fails to the next, by what the status says: an hour in all."""
    status, paused = ended("LOST", proven_version=1, **COMING), []
    for _ in range(ends.TRIES):
        found = moves(observed(job(status), runs=(), flink=None, listing=listing(stored(retained(7), 7))))
        paused.append(found.status.next_start_at - NOW)
        assert found.intent == ""
        status = dict(found.status) | {"run": status["run"], "next_start_at": None}
    assert paused[:3] == [timedelta(seconds=10), timedelta(seconds=20), timedelta(seconds=40)]
    assert timedelta(minutes=50) < sum(paused, timedelta()) < timedelta(minutes=70)
    assert status["start_attempts"] == ends.TRIES


@pytest.mark.parametrize("state", ["FAILING", "CANCELLING", "RESTARTING", "SUSPENDED", "INITIALIZING", "CREATED"])
def test_states_that_flink_may_leave_again_are_no_end(state):
    found = running(flink=flink(state))
    assert (found.intent, found.effects) == ("", ())
    assert found.condition("Ready").status == "False"


@pytest.mark.parametrize("manager", [Manager.FAILED, Manager.COMPLETE])
@pytest.mark.parametrize(
    ("result", "end"), [(None, "LOST"), ("FINISHED", "FINISHED"), ("FAILED", "FAILED"), ("CANCELED", "CANCELED")]
)
def test_a_jobmanager_that_will_not_come_back(manager, result, end):
    found = running(runs=(run_objects(manager=manager),), flink=None, job_result=result)
    assert (found.intent, found.effects) == (f"Teardown {end}", ())
    assert ("RunLost" in found.events) == (end == "LOST")


def test_a_stop_that_came_true_after_it_was_given_up_is_a_stop():
    taken = checkpoint("flights-stop", 1, "Present", source="Stop")
    ended = flink("FINISHED", completed=stats(8, savepoint(1), savepoint=True))
    assert running(flink=ended, checkpoints=(taken,)).intent == "Teardown STOPPED"


def test_a_stop_that_came_true_is_a_stop_also_when_only_flinks_result_store_says_so():
    taken = checkpoint("flights-stop", 1, "Present", source="Stop")
    latest = {"checkpoint_id": 8, "location": savepoint(1), "savepoint": True}
    lost = {"runs": (run_objects(manager=Manager.FAILED),), "flink": None, "job_result": "FINISHED"}
    assert running(live(latest_checkpoint=latest), checkpoints=(taken,), **lost).intent == "Teardown STOPPED"


def test_a_job_that_went_on_after_a_stop_and_finished_later_is_finished():
    taken = checkpoint("flights-stop", 1, "Present", source="Stop")
    ended = flink("FINISHED", completed=stats(80))
    assert running(flink=ended, checkpoints=(taken,)).intent == "Teardown FINISHED"


FORGOTTEN = live(latest_checkpoint=None)
"""The status was lost in the middle of a stop, and the JobManager that knew the checkpoints is gone, too."""
STOPPED = {
    "Flink": {"flink": flink("FINISHED", completed=None)},
    "its result store": {"runs": (run_objects(manager=Manager.FAILED),), "flink": None, "job_result": "FINISHED"},
}


@pytest.mark.parametrize("said_by", STOPPED)
@pytest.mark.parametrize(
    ("states", "intent"),
    [
        (listing(stored(savepoint(1), 8)), "Teardown STOPPED"),
        (listing(stored(savepoint(1), 8), stored(retained(9), 9)), "Teardown FINISHED"),
        (listing(), "Teardown FINISHED"),
        (Unknown("time-out"), ""),
    ],
)
def test_without_a_status_the_store_says_whether_a_stop_was_the_last_thing(said_by, states, intent):
    taken = checkpoint("flights-stop", 1, "Present", source="Stop")
    assert running(FORGOTTEN, checkpoints=(taken,), listing=states, **STOPPED[said_by]).intent == intent


def test_the_stop_of_another_run_is_no_evidence():
    taken = checkpoint("flights-stop", 1, "Present", source="Stop", origin={"run": OLD_RUN})
    assert running(flink=flink("FINISHED"), checkpoints=(taken,)).intent == "Teardown FINISHED"


def test_a_stop_that_ends_in_a_failure_is_a_stop_all_the_same():
    """A restart strategy with few attempts, and a store that is away: the wish was "Stopped", and it holds."""
    status = live(intent=stop_intent())
    failed = moves(observed(job(status, state="Stopped"), flink=flink("FAILED", failure="attempts used up")))
    assert failed.intent == "Teardown FAILED"
    found = moves(observed(job(ended("FAILED"), state="Stopped"), runs=(), flink=None))
    assert (found.status.run.end_state, found.status.state, found.stalled) == ("STOPPED", "Stopped", "")
    again = job(ended("FAILED", run={"end_state": "STOPPED"}))
    found = moves(observed(again, runs=(), flink=None, listing=listing(stored(retained(7), 7))))
    assert (found.intent, found.status.intent.started_from.location) == ("Start", retained(7))
