"""Positions in which a StreamJob is deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.reading import Unreadable
from penstock.model import (
    DeleteCheckpoint,
    DeleteJobData,
    DeleteRun,
    Manager,
    SayUnreadable,
    SetFinalizer,
    StoreView,
    Unknown,
)
from tests.unit.builders import (
    JOB,
    JOB_UID,
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    ended,
    flink,
    idle,
    job,
    live,
    observed,
    retained,
    run_objects,
    start_intent,
    stop_intent,
    target,
    teardown_intent,
    uid,
)
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.rules import is_deleting


def present(name: str, number: int, minutes: int, **more: Any) -> Any:
    return checkpoint(name, number, "Present", created=NOW - timedelta(minutes=minutes), **more)


OLD, YOUNG, YOUNGEST = present("old", 1, 30), present("young", 2, 20), present("youngest", 3, 10)


RETAINED_OLD = {"target_directory": None, "trigger_id": None, "run": OLD_RUN, "location": retained(3, OLD_RUN)}
LET_JOB_GO = SetFinalizer("StreamJob", JOB, present=False)
TAKE_ALL = {"onDelete": {"checkpoints": "Delete"}}


def deleted_job(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    of = job(live() if status is None else status, deleted=more.pop("since", NOW), **(spec or {}))
    return moves(observed(of, **more))


NOTHING_LEFT: dict[str, Any] = {"runs": (), "flink": None}


def test_a_running_job_is_cancelled_without_a_savepoint():
    found = deleted_job()
    assert (found.intent, found.effects, found.status.state) == ("Stop Cancel", (), "Deleting")


def test_in_a_namespace_that_goes_nothing_is_asked_of_flink():
    assert deleted_job(namespace_terminating=True).intent == "Stop Kill"


STOP_OF_20_MINUTES = stop_intent(deadline=NOW + timedelta(minutes=8))
OLDER = NOW - timedelta(minutes=11)


@pytest.mark.parametrize(
    ("status", "more", "let_go"),
    [
        (live(intent=STOP_OF_20_MINUTES), {}, False),
        (live(intent=STOP_OF_20_MINUTES), {"namespace_terminating": True}, True),
        (live(intent=stop_intent(deadline=OLDER)), {}, True),
        (live(intent=teardown_intent(reason="Stop", deadline=NOW - timedelta(minutes=1))), {}, False),
        (live(intent=teardown_intent(reason="Delete", deadline=NOW - timedelta(minutes=1))), {}, True),
        (ended("STOPPED", run={"ended_at": NOW - timedelta(minutes=2), "stop_reason": "Stop"}), {}, False),
        (ended("STOPPED", run={"ended_at": NOW - timedelta(minutes=2), "stop_reason": "Delete"}), {}, True),
    ],
    ids=[
        "its savepoint is being taken",
        "in a namespace that goes",
        "it has not come to an end in its own time",
        "its pods are going",
        "the deletion's own teardown",
        "its data are to go yet",
        "they had ten minutes",
    ],
)
def test_a_stop_that_was_under_way_has_its_own_time(status, more, let_go):
    """`state: Stopped` and then a delete, as Argo CD does it: the pods went in the middle of the last savepoint."""
    left = {"checkpoints": (OLD,)} | more
    assert (LET_JOB_GO in deleted_job(status, TAKE_ALL, since=OLDER, **left).effects) is let_go


def test_a_stop_under_way_goes_on():
    found = deleted_job(live(intent=stop_intent()), flink=flink("FINISHED"))
    assert found.intent == "Teardown STOPPED"


def test_pods_go_before_the_object():
    found = deleted_job(ended("STOPPED"), runs=(run_objects(manager=Manager.FAILED),), flink=None)
    assert found.effects == (DeleteRun(RUN),)


def test_with_nothing_left_the_object_goes_and_the_data_stay():
    found = deleted_job(ended("STOPPED"), checkpoints=(OLD,), **NOTHING_LEFT)
    assert found.effects == (LET_JOB_GO,)
    assert not is_deleting(OLD.model_copy(update={"status": found.checkpoints["old"]}))


def test_delete_takes_the_checkpoints_first():
    pinned = present("pinned", 2, 5, pinned=True)
    kept = present("kept", 3, 5, deletionPolicy="Retain")
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(OLD, pinned, kept), **NOTHING_LEFT)
    assert found.effects == (DeleteCheckpoint("old", uid(1)),)


def test_delete_takes_what_is_left_but_what_checkpoints_still_name():
    pinned = present("pinned", 2, 5, pinned=True)
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(pinned,), **NOTHING_LEFT)
    assert found.effects == (DeleteJobData(JOB_UID, (target(2),)), LET_JOB_GO)


def test_delete_with_everything_leaves_what_a_kept_retained_one_names():
    pinned = present("pinned", 2, 5, pinned=True, source="Retained", status=RETAINED_OLD)
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(pinned,), **NOTHING_LEFT)
    assert found.effects == (DeleteJobData(JOB_UID, (retained(3, OLD_RUN),)), LET_JOB_GO)


def test_a_pinned_one_whose_status_was_lost_is_not_lost_with_the_job():
    lost = checkpoint("pinned", 2, pinned=True)
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(lost,), listing=Unknown("time-out"), **NOTHING_LEFT)
    assert found.effects == ()


def test_in_a_namespace_that_goes_the_data_stay():
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(OLD,), namespace_terminating=True, **NOTHING_LEFT)
    assert "DeleteJobData" not in found.kinds
    assert LET_JOB_GO in found.effects


@pytest.mark.parametrize("kind", ["Checkpoint", "StreamJob"])
def test_when_a_kind_goes_with_all_of_its_objects_the_data_stay(kind):
    going = {"kinds_going": frozenset({kind})}
    assert deleted_job(**going).intent == "Stop Kill"
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(OLD,), **going, **NOTHING_LEFT)
    assert found.effects == (LET_JOB_GO,)


def test_no_data_goes_while_nobody_knows_whether_the_kind_does():
    unsure = {"kinds_unknown": "not known: 403"}
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(OLD,), **unsure, **NOTHING_LEFT)
    assert (found.effects, found.condition("Reconciling").message) == ((), "not known: 403")
    assert deleted_job(ended("STOPPED"), checkpoints=(OLD,), **unsure, **NOTHING_LEFT).effects == (LET_JOB_GO,)


def test_no_data_goes_while_a_checkpoint_cannot_be_read():
    broken = Unreadable("flights", "broken", "spec.pinned: no", told=False)
    left = {"unreadable": (broken,), **NOTHING_LEFT}
    found = deleted_job(ended("STOPPED"), TAKE_ALL, **left)
    assert found.effects == (SayUnreadable("flights", "broken", "spec.pinned: no"),)
    assert "broken cannot be read" in found.condition("Reconciling").message
    left["unreadable"] = (replace(broken, told=True),)
    assert deleted_job(ended("STOPPED"), TAKE_ALL, **left).effects == ()


def test_deleting_has_a_limit():
    found = deleted_job(live(intent=teardown_intent(reason="Delete")), since=NOW - timedelta(minutes=10))
    assert LET_JOB_GO in found.effects
    assert found.events == ("LetGo",)


@pytest.mark.parametrize("status", [live(), live(intent=stop_intent("Cancel")), live(intent=teardown_intent())])
def test_before_that_a_live_run_keeps_the_object(status):
    found = deleted_job(status, since=NOW - timedelta(minutes=9), flink=Unknown("x"))
    assert LET_JOB_GO not in found.effects


def test_a_start_that_was_under_way_is_not_carried_out():
    found = deleted_job(ended("STOPPED", intent=start_intent()), **NOTHING_LEFT)
    assert "GrantPermit" not in found.kinds
    assert "ApplyRun" not in found.kinds


def test_a_store_that_is_gone_does_not_keep_the_object():
    found = deleted_job(ended("STOPPED"), TAKE_ALL, store=StoreView(problem="gone"), **NOTHING_LEFT)
    assert found.effects == (LET_JOB_GO,)


def test_a_job_of_others_is_left_to_them():
    found = moves(idle(job(ended("STOPPED"), deleted=NOW, finalizers=("other",))))
    assert found.effects == ()
