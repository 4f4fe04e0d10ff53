"""Positions of a Checkpoint: waiting, being taken, present, found again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock import names
from penstock.flink.answers import Completed, InProgress, NotTriggered, TriggerFailed
from penstock.model import (
    DeleteKeys,
    JobListing,
    Manager,
    SetFinalizer,
    StoreView,
    TargetListing,
    TriggerSavepoint,
    Unknown,
    WriteNote,
)
from tests.unit.builders import (
    BEFORE,
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    complete,
    flink,
    idle,
    job,
    listing,
    live,
    observed,
    run_objects,
    savepoint,
    stats,
    stop_intent,
    stored,
    target,
    teardown_intent,
    uid,
)
from tests.unit.decide.moves import Moves, moves

NOTE = {"checkpoint": "before", "uid": uid(1), "run": RUN, "jobVersion": 4, "format": "Native", "flinkVersion": "2.3"}


def one(found: Any, *, status: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(observed(job(status or live()), checkpoints=(found,), **more))


def taking(trigger: Any = None, listed: Any = None, phase: str = "Creating", **more: Any) -> Moves:
    """`before` is being taken: what Flink says of its trigger id, and what lies in its directory."""
    status = more.pop("told", None)
    seen: dict[str, Any] = {"targets": {"before": TargetListing() if listed is None else listed}}
    if trigger is not None:
        seen["triggers"] = {"before": trigger}
    return one(checkpoint("before", 1, phase, status, **more.pop("change", {})), **(seen | more))


# ---------------------------------------------------------------- new ones


def test_the_finalizer_comes_first():
    found = one(checkpoint(finalizers=()), listing=JobListing())
    assert found.effects == (SetFinalizer("Checkpoint", "before", present=True),)
    assert found.checkpoints["before"].phase is None


def test_a_new_one_becomes_pending_and_nothing_is_asked_yet():
    found = one(checkpoint(), listing=JobListing())
    assert found.effects == ()
    assert found.checkpoints["before"].phase == "Pending"
    assert found.condition("Ready", "before").status == "False"
    assert found.condition("Reconciling", "before").status == "True"


@pytest.mark.parametrize("unknown", [Unknown("time-out"), None])
def test_without_a_listing_a_new_one_waits(unknown):
    found = one(checkpoint(), listing=unknown)
    assert (found.effects, found.checkpoints["before"].phase) == ((), None)
    assert found.wake is not None


def test_one_of_no_job_says_so():
    found = moves(observed(None, checkpoints=(checkpoint(),), runs=(), flink=None))
    assert found.effects == ()
    assert found.checkpoints["before"].phase is None
    assert found.condition("Stalled", "before").reason == "JobNotFound"


def test_the_intent_holds_all_that_the_effect_needs():
    status = one(checkpoint(phase="Pending")).checkpoints["before"]
    assert status.phase == "Creating"
    assert status.trigger_id == names.trigger_id(uid(1), 1)
    assert status.target_directory == target(1)
    assert (status.run, status.job_version, status.attempt) == (RUN, 1, 1)
    assert (status.format, status.flink_version, status.store) == ("Canonical", "2.3", "main")
    assert status.settled is False
    assert one(checkpoint(phase="Pending")).effects == ()


def test_the_format_of_the_checkpoint_counts_before_the_jobs():
    assert one(checkpoint(phase="Pending", format="Native")).checkpoints["before"].format == "Native"


def test_the_checkpoint_of_a_stop_does_not_wait_for_the_stop():
    mine = checkpoint("flights-stop", source="Stop")
    found = one(mine, status=live(intent=stop_intent()), listing=JobListing())
    assert found.checkpoints["flights-stop"].phase == "Creating"
    assert found.effects == ()


def test_an_operators_one_whose_data_are_not_found_is_never_taken_again():
    found = one(checkpoint(source="Upgrade", origin={"run": OLD_RUN}), listing=JobListing())
    assert (found.checkpoints["before"].phase, found.effects) == ("Failed", ())


WAITS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the job stops": (live(intent=stop_intent("Cancel"), state="Stopping"), {}, "Stopping"),
    "the job is taken away": (live(intent=teardown_intent(), state="Stopping"), {}, "Stopping"),
    "not all tasks run": (live(), {"flink": flink(all_running=False)}, "all of its tasks"),
    "flink is silent": (live(), {"flink": Unknown("x")}, "all of its tasks"),
    "the run is not confirmed": (
        live(run={"confirmed": False}, latest_checkpoint=None),
        {"flink": flink("INITIALIZING")},
        "all of its tasks",
    ),
    "the store cannot be used": (live(), {"store": StoreView(problem="is not Ready")}, "is not Ready"),
}


@pytest.mark.parametrize(("status", "more", "why"), WAITS.values(), ids=WAITS)
def test_what_a_pending_one_waits_for(status, more, why):
    found = one(checkpoint(phase="Pending"), status=status, **more)
    assert found.checkpoints["before"].phase == "Pending"
    assert "TriggerSavepoint" not in found.kinds
    assert why in found.condition("Reconciling", "before").message


def test_a_pending_one_is_not_taken_while_another_is():
    others = (checkpoint("a", 2, "Creating"), checkpoint(phase="Pending"))
    found = moves(
        observed(job(live()), checkpoints=others, triggers={"a": InProgress()}, targets={"a": TargetListing()})
    )
    assert found.checkpoints["before"].phase == "Pending"


def test_two_pending_ones_are_taken_one_after_the_other_oldest_first():
    young = checkpoint("a", 2, "Pending", created=NOW)
    found = moves(observed(job(live()), checkpoints=(young, checkpoint(phase="Pending"))))
    assert {name: str(each.phase) for name, each in found.checkpoints.items()} == {"before": "Creating", "a": "Pending"}


def test_waiting_has_a_limit():
    old = checkpoint(phase="Pending", created=NOW - timedelta(minutes=10))
    found = one(old, flink=Unknown("x"))
    assert found.checkpoints["before"].phase == "Timeout"
    assert found.checkpoints["before"].settled
    assert found.condition("Stalled", "before").status == "True"


def test_its_own_timeout_counts_before_the_jobs():
    assert one(checkpoint(phase="Pending", timeout="30s"), flink=Unknown("x")).checkpoints["before"].phase == "Timeout"


def test_no_savepoint_is_taken_in_a_namespace_that_goes():
    assert one(checkpoint(phase="Pending"), namespace_terminating=True).effects == ()
    assert "TriggerSavepoint" not in taking(NotTriggered(), namespace_terminating=True).kinds


# ---------------------------------------------------------------- being taken


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


# ---------------------------------------------------------------- found again


def test_a_lost_status_is_found_again_before_anything_is_triggered():
    there = stored(savepoint(1), 5, note=NOTE, target_directory=target(1).removeprefix("s3://checkpoints/"))
    found = one(checkpoint(), listing=listing(there))
    status = found.checkpoints["before"]
    assert (found.effects, found.events) == ((), ("Found",))
    assert (status.phase, status.location, status.checkpoint_id) == ("Present", savepoint(1), 5)
    assert status.target_directory == target(1)
    assert (status.run, status.job_version, status.format, status.flink_version) == (RUN, 4, "Native", "2.3")


def test_it_is_found_again_in_another_cluster_where_its_uid_is_another():
    there = stored(savepoint(9), 5, note=NOTE | {"uid": uid(9)})
    assert one(checkpoint(), listing=listing(there)).checkpoints["before"].phase == "Present"


@pytest.mark.parametrize("source", ["Stop", "Upgrade"])
def test_an_operators_one_is_found_again(source):
    there = stored(savepoint(1), 5, note=NOTE)
    assert one(checkpoint(source=source), listing=listing(there)).checkpoints["before"].phase == "Present"


NOT_MINE: dict[str, tuple[Any, Any]] = {
    "another Checkpoint's": (stored(savepoint(2), note=NOTE | {"checkpoint": "other"}), None),
    "one without a note": (stored(savepoint(2)), None),
    "one that another Checkpoint has": (stored(savepoint(2), note=NOTE), checkpoint("other", 2, "Present")),
    "one of the uid of another": (stored(savepoint(3), note=NOTE | {"uid": uid(2)}), checkpoint("other", 2, "Failed")),
}


@pytest.mark.parametrize(("there", "other"), NOT_MINE.values(), ids=NOT_MINE)
def test_what_is_not_taken_for_found_again(there, other):
    others = (other,) if other else ()
    found = moves(observed(job(live()), checkpoints=(checkpoint(), *others), listing=listing(there)))
    assert found.checkpoints["before"].phase == "Pending"


@pytest.mark.parametrize("told", ["2026-99-99", "2026-01-31T11:00:00", 7, None])
def test_a_strange_note_does_no_harm(told):
    there = stored(savepoint(1), 5, note=NOTE | {"triggerTime": told})
    assert one(checkpoint(), listing=listing(there)).checkpoints["before"].phase == "Present"


@pytest.mark.parametrize("strange", [{"format": "Parquet"}, {"jobVersion": "four"}, {"flinkVersion": 7}], ids=str)
def test_a_note_that_somebody_changed_does_no_harm(strange):
    """A tenant's job pods may write into their own directory: what lies there is not trusted."""
    there = stored(savepoint(1), 5, note=NOTE | strange)
    assert one(checkpoint(), listing=listing(there)).checkpoints["before"].phase == "Present"


def test_the_checkpoints_of_a_stopped_job_are_found_again():
    there = stored(savepoint(1), 5, note=NOTE)
    found = moves(idle(job(live(run={"ended_at": BEFORE, "end_state": "STOPPED"}), state="Stopped"),
                       checkpoints=(checkpoint(),), listing=listing(there)))  # fmt: skip
    assert found.checkpoints["before"].phase == "Present"
