"""Positions in which data are to go: by retention, because an object was deleted, with the job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.model import (
    DeleteCheckpoint,
    DeleteCheckpointData,
    DeleteJobData,
    DeleteRun,
    JobListing,
    Manager,
    SayUnreadable,
    SetFinalizer,
    StoreView,
    TargetListing,
    Unknown,
    Unreadable,
)
from tests.unit.builders import (
    JOB,
    JOB_UID,
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    complete,
    deleting,
    ended,
    flink,
    idle,
    job,
    live,
    observed,
    run_objects,
    savepoint,
    start_intent,
    started_from,
    stop_intent,
    target,
    teardown_intent,
    uid,
)
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.rules import is_deleting

LIMIT_ONE = {"checkpoints": {"retention": {"numRetained": 1}}}


def present(name: str, number: int, minutes: int, **more: Any) -> Any:
    return checkpoint(name, number, "Present", created=NOW - timedelta(minutes=minutes), **more)


def going(*checkpoints: Any, status: dict[str, Any] | None = None, **spec: Any) -> set[str]:
    """Which Checkpoints a pass decides to clear."""
    found = moves(observed(job(status or live(), **(LIMIT_ONE | spec)), checkpoints=checkpoints))
    assert "DeleteCheckpointData" not in found.kinds
    names = {each.metadata.name: each for each in checkpoints}
    return {
        name for name, told in found.checkpoints.items() if is_deleting(names[name].model_copy(update={"status": told}))
    }


OLD, YOUNG, YOUNGEST = present("old", 1, 30), present("young", 2, 20), present("youngest", 3, 10)


# ---------------------------------------------------------------- retention


def test_the_newest_of_each_source_stay():
    upgrade = present("upgrade", 4, 60, source="Upgrade")
    stop = present("stop", 5, 70, source="Stop")
    assert going(OLD, YOUNG, YOUNGEST, upgrade, stop) == {"old", "young"}


def test_pinned_ones_are_not_counted_and_never_go():
    pinned = present("pinned", 4, 5, pinned=True)
    assert going(OLD, YOUNG, pinned) == {"old"}
    assert going(present("pinned", 4, 90, pinned=True), OLD) == set()


@pytest.mark.parametrize("phase", ["Pending", "Creating", "Failed", "Timeout", "Cleared"])
def test_only_present_ones_are_counted(phase):
    assert going(OLD, checkpoint("other", 2, phase)) == set()


@pytest.mark.parametrize("source", ["Retained", "Imported"])
def test_what_flink_or_an_administrator_keeps_is_not_counted(source):
    many = [present(f"c{number}", number, number, source=source) for number in range(1, 5)]
    assert going(*many) == set()


IN_USE: dict[str, dict[str, Any]] = {
    "the run started from it and has no checkpoint of its own": live(
        started_from(savepoint(1)), latest_checkpoint=None
    ),
    "the run's newest is still the one that it started from": live(
        started_from(savepoint(1)),
        latest_checkpoint={"checkpoint_id": 1, "location": savepoint(1)},
    ),
    "a start from it is under way": ended("STOPPED", intent=start_intent(started_from(savepoint(1)))),
    "a restore of it is under way": live(
        intent=stop_intent("Cancel", "Restore", next_start_from={"checkpoint": {"name": "old"}})
    ),
    "a restore of it is under way, the old run goes": live(
        intent=teardown_intent(next_start_from={"checkpoint": {"name": "old"}})
    ),
    "the next run starts from it": ended("STOPPED", run={"next_start_from": {"checkpoint": {"name": "old"}}}),
}


@pytest.mark.parametrize("status", IN_USE.values(), ids=IN_USE)
def test_what_is_in_use_never_goes(status):
    position = observed(job(status, **LIMIT_ONE), checkpoints=(OLD, YOUNG), listing=JobListing())
    assert not is_deleting(OLD.model_copy(update={"status": moves(position).checkpoints["old"]}))


def test_what_the_spec_asks_to_start_from_never_goes():
    assert going(OLD, YOUNG, startFrom={"checkpoint": {"name": "old"}}) == set()


def test_what_a_run_started_from_goes_when_it_has_one_of_its_own():
    assert going(OLD, YOUNG, status=live(started_from(savepoint(1)))) == {"old"}


def test_the_last_restorable_one_never_goes():
    assert going(OLD) == set()
    assert going(OLD, present("stop", 2, 5, source="Stop")) == set()


def test_nothing_goes_while_the_job_or_its_namespace_goes():
    position = observed(job(live(), **LIMIT_ONE), checkpoints=(OLD, YOUNG), namespace_terminating=True)
    assert not is_deleting(OLD.model_copy(update={"status": moves(position).checkpoints["old"]}))
    assert going(OLD, YOUNG, status=live()) == {"old"}


# ---------------------------------------------------------------- by age

AGED = {"checkpoints": {"retention": {"maxAge": "1h"}}}
ANCIENT, OLDER, NEW = present("ancient", 1, 120), present("older", 2, 61), present("new", 3, 10)


def aging(*checkpoints: Any, status: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(observed(job(status or live(), **(AGED | more)), checkpoints=checkpoints))


def too_old(*checkpoints: Any, **more: Any) -> set[str]:
    return going(*checkpoints, **(AGED | more))


def test_without_a_limit_any_age_stays():
    assert going(ANCIENT, NEW, checkpoints={}) == set()


def test_what_has_passed_max_age_goes_and_the_condition_says_why():
    found = aging(ANCIENT, OLDER, NEW)
    told = found.condition("Deleting", "older")
    assert (told.status, told.reason) == ("True", "Retention")
    assert told.message == "older than 1h (checkpoints.retention.maxAge)"
    assert too_old(ANCIENT, OLDER, NEW) == {"ancient", "older"}
    assert found.wake == 0


@pytest.mark.parametrize("source", ["Manual", "Stop", "Upgrade", "Schedule"])
def test_age_counts_for_every_source(source):
    assert too_old(present("one", 1, 120, source=source), NEW) == {"one"}


def test_age_is_counted_from_the_completion_to_the_second():
    for seconds, gone in ((3599, set()), (3600, {"one"})):
        created = NOW - timedelta(seconds=seconds + 1)
        assert too_old(checkpoint("one", 1, "Present", created=created), NEW) == gone


def test_the_last_restorable_one_stays_at_any_age():
    assert too_old(ANCIENT) == set()
    assert too_old(ANCIENT, OLDER) == {"ancient"}


def test_a_pinned_one_is_restorable_too():
    assert too_old(ANCIENT, present("pinned", 2, 90, pinned=True)) == {"ancient"}
    assert too_old(present("pinned", 1, 120, pinned=True), OLDER) == set()
    assert too_old(present("pinned", 1, 120, pinned=True), NEW) == set()


GOING: dict[str, Any] = {
    "deleted": present("going", 2, 10, deleted=NOW),
    "being cleared": checkpoint("going", 2, "Present", deleting(), created=NOW - timedelta(minutes=10)),
    "not restorable": checkpoint(
        "going",
        2,
        "Present",
        {"conditions": [{"type": "Restorable", "status": "False", "reason": "FilesMissing"}]},
        created=NOW - timedelta(minutes=10),
    ),
    "not complete": checkpoint("going", 2, "Creating"),
    "imported": present("going", 2, 10, source="Imported"),
    "Flink's own of this run": present("going", 2, 10, source="Retained"),
}


@pytest.mark.parametrize("other", GOING.values(), ids=GOING)
def test_one_that_may_go_at_any_time_is_not_the_last_restorable_one(other):
    assert "ancient" not in too_old(ANCIENT, other)
    assert "ancient" not in going(ANCIENT, OLDER, other) - {"ancient"}


def test_an_imported_one_is_the_administrators():
    assert too_old(present("one", 1, 120, source="Imported"), NEW) == set()


def test_flinks_own_ones_go_when_their_run_has_ended():
    own = present("own", 1, 120, source="Retained")
    assert too_old(own, NEW) == set()
    assert too_old(own, NEW, status=ended("STOPPED"), state="Stopped") == {"own"}
    other = checkpoint("own", 1, "Present", {"run": OLD_RUN}, source="Retained", created=NOW - timedelta(hours=2))
    assert too_old(other, NEW) == {"own"}


@pytest.mark.parametrize("status", IN_USE.values(), ids=IN_USE)
def test_what_is_in_use_stays_at_any_age(status):
    old = present("old", 1, 120)
    position = observed(job(status, **AGED), checkpoints=(old, NEW), listing=JobListing())
    assert not is_deleting(old.model_copy(update={"status": moves(position).checkpoints["old"]}))


def test_a_stopped_job_is_looked_at_when_the_next_one_becomes_too_old():
    young = present("young", 2, 20)
    found = moves(idle(job(ended("STOPPED"), state="Stopped", **AGED), checkpoints=(young, NEW)))
    assert found.wake == (40 * 60) + 1
    assert moves(idle(job(ended("STOPPED"), state="Stopped"), checkpoints=(young, NEW))).wake is None


def test_what_became_the_last_restorable_one_meanwhile_stays():
    old = checkpoint("old", 1, "Present", deleting("Retention"))
    newer = present("newer", 2, 5, deleted=NOW)
    found = moves(observed(job(live()), checkpoints=(old, newer), targets={"old": complete(1)}))
    assert "DeleteCheckpointData" not in found.kinds
    assert found.condition("Deleting", "old").reason == "Needed"


# ---------------------------------------------------------------- forgetting


def test_ended_ones_without_data_are_forgotten_beyond_twenty():
    many = [
        checkpoint(f"c{each:02}", each, "Cleared", source="Upgrade", created=NOW - timedelta(hours=each))
        for each in range(1, 24)
    ]
    manual = [checkpoint(f"m{each:02}", 100 + each, "Failed") for each in range(25)]
    found = moves(observed(job(live()), checkpoints=(*many, *manual)))
    assert [effect.name for effect in found.effects if isinstance(effect, DeleteCheckpoint)] == ["c21", "c22", "c23"]


# ---------------------------------------------------------------- clearing


def clearing(listed: Any, status: dict[str, Any] | None = None, **more: Any) -> Moves:
    old = checkpoint("old", 1, "Present", deleting("Retention"), **more)
    return moves(observed(job(status or live()), checkpoints=(old, YOUNG), targets={"old": listed}))


def test_data_go_in_a_pass_that_found_the_intent():
    found = clearing(complete(1))
    assert found.effects == (DeleteCheckpointData("old", target(1)),)
    assert found.checkpoints["old"].phase == "Present"


def test_cleared_when_nothing_is_left():
    found = clearing(TargetListing())
    status = found.checkpoints["old"]
    assert (found.effects, status.phase, status.bytes_freed) == ((), "Cleared", 1000)
    assert found.condition("Ready", "old").status == "True"
    assert found.condition("Ready", "old").reason == "Cleared"
    assert found.condition("Restorable", "old").status == "False"
    assert found.condition("Deleting", "old").status == "False"


def test_a_store_that_does_not_answer_is_not_empty():
    found = clearing(Unknown("time-out"))
    assert (found.effects, found.checkpoints["old"].phase) == ((), "Present")
    assert found.wake is not None


def test_what_came_to_be_pinned_or_used_meanwhile_stays():
    assert clearing(complete(1), pinned=True).condition("Deleting", "old").status == "False"
    used = clearing(complete(1), live(started_from(savepoint(1)), latest_checkpoint=None))
    assert (used.effects, used.condition("Deleting", "old").status) == ((), "False")


def test_half_gone_is_no_more_restorable():
    found = clearing(TargetListing(None, ("x",), 1), pinned=True)
    assert found.checkpoints["old"].phase != "Present" or "DeleteCheckpointData" in found.kinds


# ---------------------------------------------------------------- a deleted object


def deleted(status: dict[str, Any] | None = None, phase: str | None = "Present", **more: Any) -> Moves:
    seen = {key: more.pop(key) for key in ("targets", "store", "namespace_terminating", "triggers") if key in more}
    of = more.pop("job_status", live())
    mine = checkpoint("old", 1, phase, status, deleted=NOW, **more)
    return moves(observed(job(of), checkpoints=(mine, YOUNG), **seen))


LET_GO = SetFinalizer("Checkpoint", "old", present=False)


def test_the_intent_comes_before_the_data_and_the_data_before_the_finalizer():
    first = deleted()
    assert (first.effects, first.wake) == ((), 0)
    assert first.condition("Deleting", "old").status == "True"
    second = deleted(deleting(), targets={"old": complete(1)})
    assert second.effects == (DeleteCheckpointData("old", target(1)),)
    third = deleted(deleting(), targets={"old": TargetListing()})
    assert third.effects == (LET_GO,)


def test_retain_leaves_the_data():
    found = deleted(deletionPolicy="Retain")
    assert (found.effects, found.events) == ((LET_GO,), ("Retained",))


def test_in_a_namespace_that_goes_nothing_in_the_store_is_touched():
    assert deleted(namespace_terminating=True).effects == (LET_GO,)
    assert deleted(deleting(), namespace_terminating=True, targets={"old": complete(1)}).effects == (LET_GO,)
    assert deleted(phase="Creating", namespace_terminating=True).effects == (LET_GO,)


def test_one_that_was_never_begun_goes_at_once():
    assert deleted(phase="Pending").effects == (LET_GO,)


def test_one_in_use_is_deleted_after_that():
    using = live(started_from(savepoint(1)), latest_checkpoint=None)
    found = deleted(deleting(), job_status=using, targets={"old": complete(1)})
    assert found.effects == ()
    assert found.condition("Deleting", "old").reason == "InUse"


def test_the_way_out_when_the_store_is_gone_is_said():
    found = deleted(deleting(), targets={"old": Unknown("no such bucket")})
    assert found.effects == ()
    assert "spec.deletionPolicy: Retain" in found.condition("Stalled", "old").message
    gone = deleted(deleting(), targets={"old": Unknown("no such bucket")}, deletionPolicy="Retain")
    assert gone.effects == (LET_GO,)


def test_one_that_is_being_taken_is_followed_first():
    found = deleted(phase="Creating", targets={"old": TargetListing()})
    assert LET_GO not in found.effects


def test_one_of_a_job_that_is_gone_takes_its_data_along():
    mine = checkpoint("old", 1, "Present", deleting(), deleted=NOW)
    found = moves(observed(None, checkpoints=(mine,), targets={"old": complete(1)}, runs=(), flink=None))
    assert found.effects == (DeleteCheckpointData("old", target(1)),)


def test_without_our_finalizer_there_is_nothing_to_do():
    assert deleted(finalizers=("other",)).effects == ()


# ---------------------------------------------------------------- a deleted job

LET_JOB_GO = SetFinalizer("StreamJob", JOB, present=False)
TAKE_ALL = {"onDelete": {"checkpoints": "Delete"}}


def deleted_job(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    of = job(live() if status is None else status, deleted=more.pop("since", NOW), **(spec or {}))
    return moves(observed(of, **more))


NOTHING_LEFT: dict[str, Any] = {"runs": (), "flink": None}


def test_a_running_job_is_cancelled_without_a_savepoint():
    found = deleted_job()
    assert (found.intent, found.effects, found.status.state) == ("Stop Cancel", (), "Deleting")


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


def test_a_pinned_one_whose_status_was_lost_is_not_lost_with_the_job():
    lost = checkpoint("pinned", 2, pinned=True)
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(lost,), listing=Unknown("time-out"), **NOTHING_LEFT)
    assert found.effects == ()


def test_in_a_namespace_that_goes_the_data_stay():
    found = deleted_job(ended("STOPPED"), TAKE_ALL, checkpoints=(OLD,), namespace_terminating=True, **NOTHING_LEFT)
    assert "DeleteJobData" not in found.kinds
    assert LET_JOB_GO in found.effects


def test_no_data_goes_while_a_checkpoint_cannot_be_read():
    broken = Unreadable("flights", "broken", "spec.pinned: no", told=False)
    left = {"unreadable": (broken,), **NOTHING_LEFT}
    found = deleted_job(ended("STOPPED"), TAKE_ALL, **left)
    assert found.effects == (SayUnreadable("flights", "broken", "spec.pinned: no"),)
    assert "broken cannot be read" in found.condition("Reconciling").message
    left["unreadable"] = (replace(broken, told=True),)
    assert deleted_job(ended("STOPPED"), TAKE_ALL, **left).effects == ()


def test_deleting_has_a_limit():
    found = deleted_job(live(intent=teardown_intent()), since=NOW - timedelta(minutes=10))
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
