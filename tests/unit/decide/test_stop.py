"""Positions of a job that is being stopped and taken away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.flink.answers import Checkpointing
from penstock.model import (
    CancelJob,
    CreateCheckpoint,
    DeleteHighAvailability,
    DeleteManager,
    DeleteRun,
    Manager,
    Unknown,
)
from tests.unit.builders import (
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    flink,
    job,
    live,
    observed,
    run_objects,
    stop_intent,
    teardown_intent,
)
from tests.unit.decide.moves import Moves, moves

STOPPED = {"state": "Stopped"}


def stopping(intent: Any, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(observed(job(live(intent=intent, state="Stopping"), **(STOPPED if spec is None else spec)), **more))


def stop_checkpoint(phase: str | None, status: dict[str, Any] | None = None, **more: Any) -> Any:
    return checkpoint("flights-stop", 1, phase, status, source="Stop", **more)


def failed(message: str = "no") -> dict[str, Any]:
    return {"last_error": {"time": NOW, "reason": "SavepointFailed", "message": message}}


def test_a_cancel():
    found = stopping(stop_intent("Cancel"))
    assert found.effects == (CancelJob(RUN),)
    assert found.intent == "Stop Cancel"


def test_a_job_that_was_cancelled_is_taken_away():
    found = stopping(stop_intent("Cancel"), flink=flink("CANCELED"))
    assert (found.intent, found.effects, found.wake) == ("Teardown STOPPED", (), 0)


def test_a_job_that_came_to_its_own_end_before_the_cancel_is_finished():
    assert stopping(stop_intent("Cancel"), flink=flink("FINISHED")).intent == "Teardown FINISHED"


def test_a_job_that_failed_meanwhile():
    assert stopping(stop_intent("Cancel"), flink=flink("FAILED")).intent == "Teardown FAILED"


@pytest.mark.parametrize(
    "answer", [Unknown("time-out"), flink("CANCELLING", all_running=False)], ids=["silent", "slow"]
)
def test_a_cancel_that_does_not_end_is_limited(answer):
    waiting = stopping(stop_intent("Cancel"), flink=answer)
    assert waiting.intent == "Stop Cancel"
    asked = stop_intent("Cancel", deadline=NOW, triggered_at=NOW - timedelta(minutes=1))
    over = stopping(asked, flink=answer)
    assert over.intent == "Teardown LOST"
    assert "Killed" in over.events


def test_a_job_that_was_never_asked_because_the_operator_was_away_is_asked_first():
    found = stopping(stop_intent("Cancel", deadline=NOW - timedelta(minutes=5)), flink=flink())
    assert found.effects == (CancelJob(RUN),)
    assert found.status.intent.triggered_at == NOW


DISCARDS = Checkpointing(keeps_on_cancellation=False)


@pytest.mark.parametrize("said", [DISCARDS, Unknown("time-out"), None], ids=["discards", "silent", "takes none"])
def test_a_job_whose_checkpoints_a_cancel_might_discard_is_not_cancelled(said):
    """Seen on real pods: a label was added, the run was cancelled, and Flink deleted all of the job's state."""
    found = stopping(stop_intent("Cancel"), checkpointing=said)
    assert (found.intent, found.effects, found.events) == ("Teardown STOPPED", (), ("NotCancelled",))
    assert found.status.intent.lives


def test_one_that_was_cancelled_already_is_waited_for_whatever_flink_says_by_now():
    asked = stop_intent("Cancel", triggered_at=NOW)
    found = stopping(asked, checkpointing=Unknown("time-out"))
    assert (found.intent, found.effects, found.events) == ("Stop Cancel", (), ())


def test_a_kill():
    found = stopping(stop_intent("Kill"), flink=None)
    assert (found.intent, found.status.intent.lives) == ("Teardown STOPPED", True)


@pytest.mark.parametrize(
    ("objects", "effect"),
    [
        ({}, DeleteManager(RUN)),
        ({"manager": Manager.ABSENT}, DeleteManager(RUN)),
        ({"manager": Manager.ABSENT, "manager_pods": 0}, DeleteRun(RUN)),
    ],
    ids=["all of it", "the pod without its Job", "TaskManagers alone"],
)
def test_of_a_job_that_lives_the_jobmanager_goes_first(objects, effect):
    """Without its TaskManagers it might fail, and Flink then discard what its program does not want retained."""
    found = stopping(teardown_intent(lives=True), runs=(run_objects(**objects),))
    assert found.effects == (effect,)


def test_what_has_ended_goes_all_at_once():
    assert stopping(teardown_intent(), runs=(run_objects(),)).effects == (DeleteRun(RUN),)


def test_a_savepoint_begins_with_its_checkpoint():
    found = stopping(stop_intent())
    assert found.effects == (CreateCheckpoint("flights-stop", "Stop", RUN, "Stop of version 1"),)


@pytest.mark.parametrize("reason", ["Upgrade", "Restore", "Restart"])
def test_the_source_of_any_other_stop_is_upgrade(reason):
    (effect,) = stopping(stop_intent(reason=reason), {}).effects
    assert effect.source == "Upgrade"


def test_a_stop_comes_after_a_savepoint_that_is_being_taken():
    found = stopping(stop_intent(), checkpoints=(checkpoint("manual", 2, "Creating"),))
    assert "CreateCheckpoint" not in found.kinds
    assert found.intent == "Stop Savepoint"


@pytest.mark.parametrize("phase", [None, "Creating"])
def test_a_savepoint_under_way_is_waited_for(phase):
    found = stopping(stop_intent(), checkpoints=(stop_checkpoint(phase),))
    assert found.intent == "Stop Savepoint"
    assert "CancelJob" not in found.kinds
    assert "DeleteRun" not in found.kinds


def test_a_complete_savepoint_does_not_prove_the_stop():
    found = stopping(stop_intent(), checkpoints=(stop_checkpoint("Present"),))
    assert (found.intent, found.effects) == ("Stop Savepoint", ())


def test_finished_and_complete_is_a_stop():
    found = stopping(stop_intent(), checkpoints=(stop_checkpoint("Present"),), flink=flink("FINISHED"))
    assert (found.intent, found.effects) == ("Teardown STOPPED", ())
    assert found.status.run.stop_checkpoint == "flights-stop"


def test_finished_before_the_savepoint_was_looked_up_waits():
    found = stopping(stop_intent(), checkpoints=(stop_checkpoint("Creating"),), flink=flink("FINISHED"))
    assert found.intent == "Stop Savepoint"


def test_what_the_next_run_starts_from_is_handed_on():
    wish = {"checkpoint": {"name": "before"}}
    found = stopping(stop_intent("Cancel", "Restore", next_start_from=wish), {}, flink=flink("CANCELED"))
    assert found.status.intent.next_start_from == wish


@pytest.mark.parametrize("phase", ["Failed", "Timeout"])
@pytest.mark.parametrize("reason", ["Stop", "Upgrade", "Restore", "Restart"])
def test_refuse_lets_the_job_run_on(phase, reason):
    found = stopping(stop_intent(reason=reason), checkpoints=(stop_checkpoint(phase, failed("disk full")),))
    assert (found.intent, found.effects) == ("", ())
    assert found.status.stop_attempts == 1
    assert found.status.next_stop_attempt_at == NOW + timedelta(seconds=10)
    assert found.status.stop_refused_at == found.status.latest_checkpoint.checkpoint_id
    assert "disk full" in found.status.last_error.message
    assert found.events == ("SavepointFailed",)


@pytest.mark.parametrize("phase", ["Failed", "Timeout"])
def test_latest_checkpoint_goes_on_by_cancelling(phase):
    spec = {"state": "Stopped", "checkpoints": {"ifSavepointFails": "LatestCheckpoint"}}
    found = stopping(stop_intent(), spec, checkpoints=(stop_checkpoint(phase, failed()),))
    assert (found.intent, found.effects) == ("Stop Cancel", ())
    assert found.status.intent.checkpoint is None
    assert found.events == ("SavepointFailed",)


def test_a_savepoint_that_flink_may_still_complete_is_not_given_up():
    found = stopping(stop_intent(), checkpoints=(stop_checkpoint("Timeout", failed() | {"settled": False}),))
    assert found.intent == "Stop Savepoint"


def test_pauses_between_attempts_grow_to_five_minutes():
    found = moves(
        observed(
            job(live(intent=stop_intent(), stop_attempts=20), **STOPPED),
            checkpoints=(stop_checkpoint("Failed", failed()),),
        )
    )
    assert found.status.next_stop_attempt_at == NOW + timedelta(minutes=5)


def test_a_job_that_does_not_end_after_its_savepoint_is_not_waited_for_forever():
    found = stopping(stop_intent(deadline=NOW), checkpoints=(stop_checkpoint("Present"),))
    assert found.intent == ""
    assert found.events == ("SavepointFailed",)


def test_how_it_ended_is_not_guessed_at_the_deadline():
    gone = {"runs": (run_objects(manager=Manager.FAILED),), "flink": None, "job_result": Unknown("time-out")}
    found = stopping(stop_intent(deadline=NOW), checkpoints=(stop_checkpoint("Present"),), **gone)
    assert found.intent == "Stop Savepoint"


@pytest.mark.parametrize("phase", ["Creating", "Timeout"])
def test_an_endless_savepoint_is_said_to_be_one(phase):
    late = stop_checkpoint(phase, {"settled": False})
    found = stopping(stop_intent(deadline=NOW), checkpoints=(late,), triggers={"flights-stop": Unknown("time-out")})
    assert found.stalled or found.intent == ""


@pytest.mark.parametrize("manager", [Manager.FAILED, Manager.COMPLETE])
@pytest.mark.parametrize(("result", "end"), [("FINISHED", "STOPPED"), (None, "LOST"), ("FAILED", "FAILED")])
def test_the_jobmanager_is_gone_before_the_end_was_read(manager, result, end):
    gone = {"runs": (run_objects(manager=manager),), "flink": None, "job_result": result}
    assert stopping(stop_intent(), checkpoints=(stop_checkpoint("Present"),), **gone).intent == f"Teardown {end}"


@pytest.mark.parametrize("answer", [Unknown("time-out"), None])
def test_unknown_is_no_end(answer):
    found = stopping(stop_intent(), checkpoints=(stop_checkpoint("Present"),), flink=answer)
    assert (found.intent, found.effects) == ("Stop Savepoint", ())


# ---------------------------------------------------------------- taking it away


def test_objects_go_first():
    found = stopping(teardown_intent())
    assert found.effects == (DeleteRun(RUN),)
    assert found.intent == "Teardown STOPPED"


def test_pods_that_remain_are_said_and_waited_for():
    found = stopping(teardown_intent(deadline=NOW), runs=(run_objects(objects=0, pods=1),))
    assert (found.intent, found.stalled) == ("Teardown STOPPED", "PodsRemain")
    assert "kubectl delete pod --force" in found.condition("Stalled").message


def test_when_nothing_is_left_flinks_ha_data_go_and_the_run_has_ended():
    wish = {"empty": {}}
    found = stopping(teardown_intent(next_start_from=wish), runs=(), flink=None)
    assert found.effects == (DeleteHighAvailability(RUN),)
    assert found.intent == ""
    assert (found.status.run.end_state, found.status.run.ended_at) == ("STOPPED", NOW)
    assert found.status.run.next_start_from == wish
    assert found.status.state == "Stopped"


def test_the_run_ends_only_in_the_pass_that_saw_nothing_left():
    assert stopping(teardown_intent(), runs=(run_objects(objects=0, pods=1),)).status.run.ended_at is None


def test_another_run_is_not_touched_by_a_teardown():
    found = stopping(teardown_intent(), runs=(run_objects(), run_objects(OLD_RUN)))
    assert found.effects == (DeleteRun(RUN),)


STATES = {"FINISHED": "Finished", "FAILED": "Failed", "CANCELED": "Failed"}


@pytest.mark.parametrize(("end", "state"), STATES.items())
def test_what_a_teardown_is_called(end, state):
    assert stopping(teardown_intent(end), {}).status.state == state


def test_a_lost_run_is_being_restored():
    found = moves(observed(job(live(intent=teardown_intent("LOST")))))
    assert found.status.state == "Restoring"
