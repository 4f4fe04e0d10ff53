"""Positions of a Checkpoint that is being taken, until it is settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock import names
from penstock.flink.answers import Completed, InProgress, NotTriggered, TriggerFailed
from penstock.model import (
    DeleteKeys,
    Manager,
    TargetListing,
    TriggerSavepoint,
    Unknown,
    WriteNote,
)
from tests.unit.builders import (
    BEFORE,
    NOW,
    RUN,
    checkpoint,
    complete,
    flink,
    live,
    observed,
    run_objects,
    savepoint,
    stats,
    stop_intent,
    target,
    uid,
)
from tests.unit.decide.moves import Moves, moves, one


def taking(trigger: Any = None, listed: Any = None, phase: str = "Creating", **more: Any) -> Moves:
    """`before` is being taken: what Flink says of its trigger id, and what lies in its directory."""
    status = more.pop("told", None)
    seen: dict[str, Any] = {"targets": {"before": TargetListing() if listed is None else listed}}
    if trigger is not None:
        seen["triggers"] = {"before": trigger}
    return one(checkpoint("before", 1, phase, status, **more.pop("change", {})), **(seen | more))


def test_flink_is_asked_under_the_id_that_was_written_before():
    found = taking(NotTriggered())
    asked = TriggerSavepoint("before", RUN, names.trigger_id(uid(1), 1), target(1).rstrip("/"), "Canonical", stop=False)
    assert found.effects == (WriteNote("before"), asked)
    assert found.checkpoints["before"].phase == "Creating"


def test_a_stop_asks_for_a_stop():
    mine = checkpoint("flights-stop", 1, "Creating", source="Stop")
    seen = {"triggers": {"flights-stop": NotTriggered()}, "targets": {"flights-stop": TargetListing()}}
    found = one(mine, status=live(intent=stop_intent()), **seen)
    assert [effect.stop for effect in found.effects if isinstance(effect, TriggerSavepoint)] == [True]


def test_a_savepoint_in_the_directory_is_looked_for_before_flink_is_asked():
    found = taking(NotTriggered(), complete(1))
    assert (found.effects, found.checkpoints["before"].phase) == ((), "Present")


def test_no_savepoint_is_asked_for_in_a_namespace_that_goes():
    assert "TriggerSavepoint" not in taking(NotTriggered(), namespace_terminating=True).kinds


NOT_ASKED = {
    "in progress": (InProgress(), None, {}),
    "the trigger is unknown": (Unknown("time-out"), None, {}),
    "the trigger is unknown and something is there": (Unknown("time-out"), complete(1), {}),
    "the directory is unknown": (NotTriggered(), Unknown("time-out"), {}),
    "flink says complete, the directory is unknown": (Completed(savepoint(1)), Unknown("time-out"), {}),
    "flink says failed, the directory is unknown": (TriggerFailed("no"), Unknown("time-out"), {}),
    "not all tasks run": (NotTriggered(), None, {"flink": flink(all_running=False)}),
    "flink is silent": (NotTriggered(), None, {"flink": Unknown("x")}),
}


@pytest.mark.parametrize(("trigger", "listed", "more"), NOT_ASKED.values(), ids=NOT_ASKED)
def test_flink_is_not_asked_while_nobody_knows(trigger, listed, more):
    found = taking(trigger, listed, **more)
    assert (found.effects, found.checkpoints["before"].phase) == ((), "Creating")
    assert found.wake <= 2


def test_every_column_is_filled():
    done = stats(8, savepoint(1), savepoint=True, duration_millis=1200)
    status = taking(Completed(savepoint(1)), complete(1), flink=flink(history=(done,))).checkpoints["before"]
    assert (status.phase, status.location, status.checkpoint_id) == ("Present", savepoint(1), 1)
    assert (status.trigger_time, status.completion_time) == (BEFORE, BEFORE + timedelta(milliseconds=250))
    assert (status.duration_millis, status.duration_text) == (1200, "1.2 s")
    assert (status.size_bytes, status.size_text) == (1000, "1000 B")
    assert (status.run, status.job_version, status.settled) == (RUN, 1, True)
    assert status.last_error is None


def test_without_flinks_figures_the_stores_are_taken():
    status = taking(None, complete(1), runs=(), flink=None).checkpoints["before"]
    assert status.phase == "Present"
    assert status.completion_time == BEFORE + timedelta(seconds=1)
    assert (status.duration_millis, status.duration_text) == (None, None), "the store's clock cannot tell so little"
    begun = {"trigger_time": BEFORE - timedelta(seconds=3)}
    assert taking(None, complete(1), told=begun, runs=(), flink=None).checkpoints["before"].duration_millis == 4000


def test_a_present_one_is_ready_and_restorable():
    found = taking(None, complete(1), runs=(), flink=None)
    told = {kind: found.condition(kind, "before").status for kind in ("Ready", "Restorable", "Stalled", "Reconciling")}
    assert told == {"Ready": "True", "Restorable": "True", "Stalled": "False", "Reconciling": "False"}
    assert found.events[-1] == "Present"


def test_leftovers_of_an_earlier_attempt_go_before_it_is_present():
    found = taking(NotTriggered(), complete(1, partial=("team/x",)))
    assert found.effects == (DeleteKeys("before", target(1), ("team/x",)),)
    assert found.checkpoints["before"].phase == "Creating"


def test_complete_but_nothing_there():
    found = taking(Completed(savepoint(1)))
    assert found.checkpoints["before"].phase == "Failed"
    assert found.checkpoints["before"].last_error.reason == "DataMissing"


def test_flinks_no_is_final():
    found = taking(TriggerFailed("CheckpointException: the store said no"))
    assert (found.effects, found.checkpoints["before"].phase, found.checkpoints["before"].settled) == (
        (),
        "Failed",
        True,
    )
    assert found.condition("Stalled", "before").message == "CheckpointException: the store said no"


def test_what_a_failed_one_left_over_goes_first():
    found = taking(TriggerFailed("no"), TargetListing(partial=("team/x",), keys=1))
    assert found.effects == (DeleteKeys("before", target(1), ("team/x",)),)
    assert found.checkpoints["before"].phase == "Creating"


PASSING = [
    "CheckpointException: Not all required tasks are currently running.",
    "CheckpointException: Checkpoint Coordinator is suspending.",
    (
        "UnavailableDispatcherOperationException: Unable to get JobMasterGateway for initializing job. The requested "
        "operation is not available while the JobManager is initializing."
    ),
]


@pytest.mark.parametrize("message", PASSING)
def test_what_passes_by_itself_is_tried_again_under_another_id(message):
    found = taking(TriggerFailed(message))
    status = found.checkpoints["before"]
    assert (found.effects, status.phase, status.attempt) == ((), "Creating", 2)
    assert status.trigger_id == names.trigger_id(uid(1), 2)
    assert status.target_directory == target(1)
    assert status.trigger_time == NOW - timedelta(minutes=1)


@pytest.mark.parametrize("message", PASSING)
def test_trying_again_has_a_limit(message):
    late = {"trigger_time": NOW - timedelta(minutes=10)}
    assert taking(TriggerFailed(message), told=late).checkpoints["before"].phase in ("Failed", "Timeout")


def test_what_flink_gave_up_is_a_timeout():
    found = taking(TriggerFailed("CheckpointException: Checkpoint expired before completing."))
    assert found.checkpoints["before"].phase == "Timeout"
    assert found.checkpoints["before"].settled


LATE = {"trigger_time": NOW - timedelta(minutes=10)}


@pytest.mark.parametrize("trigger", [InProgress(), Unknown("time-out")])
def test_past_its_time_it_is_followed_to_its_end(trigger):
    found = taking(trigger, told=LATE)
    status = found.checkpoints["before"]
    assert (found.effects, status.phase, status.settled) == ((), "Timeout", False)
    assert found.condition("Reconciling", "before").status == "True"
    again = taking(trigger, phase="Timeout", told=LATE | {"settled": False})
    assert again.events == ()


def test_one_that_is_completed_late_is_present_after_all():
    found = taking(Completed(savepoint(1)), complete(1), "Timeout", told=LATE | {"settled": False})
    assert found.checkpoints["before"].phase == "Present"


def test_one_that_could_not_be_asked_for_in_time_is_given_up():
    found = taking(NotTriggered(), told=LATE, flink=flink(all_running=False))
    assert (found.effects, found.checkpoints["before"].phase) == ((), "Timeout")
    assert found.checkpoints["before"].settled


ENDED = {
    "its run is gone": {"runs": (), "flink": None},
    "its jobmanager will not come back": {"runs": (run_objects(manager=Manager.FAILED),), "flink": None},
}


@pytest.mark.parametrize("more", ENDED.values(), ids=ENDED)
def test_the_run_ended_before_it_was_complete(more):
    found = taking(**more)
    assert "TriggerSavepoint" not in found.kinds
    assert found.checkpoints["before"].phase == "Failed"


@pytest.mark.parametrize("more", ENDED.values(), ids=ENDED)
def test_the_run_ended_after_it_was_complete(more):
    assert taking(None, complete(1), **more).checkpoints["before"].phase == "Present"


@pytest.mark.parametrize("state", ["FINISHED", "CANCELED", "FAILED"])
def test_the_job_ended_before_flink_was_asked(state):
    found = taking(NotTriggered(), flink=flink(state))
    assert (found.effects, found.checkpoints["before"].phase) == ((), "Failed")


def test_one_of_a_job_that_is_gone_is_settled():
    gone = observed(
        None, checkpoints=(checkpoint(phase="Creating"),), targets={"before": complete(1)}, runs=(), flink=None
    )
    assert moves(gone).checkpoints["before"].phase == "Present"


@pytest.mark.parametrize("phase", ["Present", "Failed", "Timeout", "Cleared"])
def test_what_is_settled_is_left_alone(phase):
    first = one(checkpoint(phase=phase))
    assert first.effects == ()
    assert first.checkpoints["before"].phase == phase
