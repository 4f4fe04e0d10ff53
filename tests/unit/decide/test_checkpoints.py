"""Positions of a Checkpoint: new, waiting, found again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock import names
from penstock.flink.answers import InProgress
from penstock.model import (
    JobListing,
    SetFinalizer,
    StoreView,
    TargetListing,
    Unknown,
)
from tests.unit.builders import (
    BEFORE,
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    flink,
    idle,
    job,
    listing,
    live,
    observed,
    savepoint,
    stop_intent,
    stored,
    target,
    teardown_intent,
    uid,
)
from tests.unit.decide.moves import moves, one

NOTE = {"checkpoint": "before", "uid": uid(1), "run": RUN, "jobVersion": 4, "format": "Native", "flinkVersion": "2.3"}


# ---------------------------------------------------------------- new ones


def test_the_finalizer_comes_first():
    found = one(checkpoint(finalizers=()), listing=JobListing())
    assert found.effects == (SetFinalizer("Checkpoint", "before", present=True),)
    assert found.checkpoints["before"].phase is None


@pytest.mark.parametrize("phase", ["Pending", "Creating", "Present", "Failed", "Timeout"])
def test_a_finalizer_that_somebody_took_off_comes_back(phase):
    """`kubectl replace` writes an object without it, and the data of one that is deleted then would stay for ever."""
    found = one(checkpoint(phase=phase, finalizers=()))
    assert SetFinalizer("Checkpoint", "before", present=True) in found.effects


def test_one_without_data_needs_none():
    assert one(checkpoint(phase="Cleared", finalizers=())).effects == ()


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
    told = found.condition("Reconciling", "before")
    assert (told.status, told.message.startswith("the store does not answer: ")) == ("True", True)


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


@pytest.mark.parametrize("phase", ["Present", "Failed"])
def test_one_that_can_be_read_again_is_not_unreadable(phase):
    unreadable = {"type": "Stalled", "status": "True", "reason": "Unreadable", "message": "spec.pinned: no"}
    found = one(checkpoint(phase=phase, status={"conditions": [unreadable]}))
    condition = found.condition("Stalled", "before")
    assert (condition.status, condition.reason) == ("False" if phase == "Present" else "True", phase)


def test_no_savepoint_is_taken_in_a_namespace_that_goes():
    assert one(checkpoint(phase="Pending"), namespace_terminating=True).effects == ()


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
