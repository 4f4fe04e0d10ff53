"""Positions in which a run has ended: how, and whether somebody had stopped it."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.model import Manager, Unknown
from tests.unit.builders import (
    OLD_RUN,
    checkpoint,
    flink,
    job,
    listing,
    live,
    observed,
    retained,
    run_objects,
    savepoint,
    stats,
    stored,
)
from tests.unit.decide.moves import Moves, moves


def running(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(observed(job(live() if status is None else status, **(spec or {})), **more))


def test_a_finished_job():
    found = running(flink=flink("FINISHED"))
    assert (found.intent, found.effects, found.status.state) == ("Teardown FINISHED", (), "Finished")
    assert found.events == ("Finished",)


@pytest.mark.parametrize(("state", "end"), [("FAILED", "FAILED"), ("CANCELED", "CANCELED")])
def test_a_job_that_ended_badly(state, end):
    found = running(flink=flink(state, failure="ArithmeticException: / by zero"))
    assert (found.intent, found.effects, found.status.state) == (f"Teardown {end}", (), "Failed")
    assert found.status.last_error.message == "ArithmeticException: / by zero"
    assert found.stalled == "JobFailed"


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
