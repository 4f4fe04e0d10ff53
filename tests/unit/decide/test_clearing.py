"""Positions in which data are to go: by retention, because an object was deleted, with the job."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.model import (
    DeleteCheckpoint,
    DeleteCheckpointData,
    DeleteRetainedData,
    ForgetDeletion,
    JobListing,
    SetFinalizer,
    StoreView,
    TargetListing,
    Unknown,
)
from penstock.store.layout import Place
from tests.unit.builders import (
    HOME,
    NOW,
    OLD_RUN,
    PLACE,
    RUN,
    checkpoint,
    complete,
    deleting,
    ended,
    job,
    live,
    observed,
    retained,
    savepoint,
    start_intent,
    started_from,
    stop_intent,
    store,
    stored,
    target,
    teardown_intent,
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
    old = checkpoint("old", 1, "Present", deleting("Retention") | more.pop("told", {}), **more)
    return moves(observed(job(status or live()), checkpoints=(old, YOUNG), targets={"old": listed}))


def test_data_go_in_a_pass_that_found_the_intent():
    found = clearing(complete(1))
    assert found.effects == (DeleteCheckpointData("old", target(1)),)
    assert found.checkpoints["old"].phase == "Present"


def test_cleared_when_nothing_is_left():
    found = clearing(TargetListing())
    status = found.checkpoints["old"]
    assert (found.effects, status.phase, status.bytes_freed) == ((), "Cleared", 0)
    assert found.condition("Ready", "old").status == "True"
    assert found.condition("Ready", "old").reason == "Cleared"
    assert found.condition("Restorable", "old").status == "False"
    assert found.condition("Deleting", "old").status == "False"


def test_what_was_freed_is_recorded_before_the_tombstone_goes():
    listed = TargetListing(freed=4321)
    first = clearing(listed)
    assert (first.effects, first.checkpoints["old"].phase, first.wake) == ((), "Present", 0)
    assert first.checkpoints["old"].bytes_freed == 4321
    second = clearing(listed, told={"bytes_freed": 4321})
    assert second.effects == (ForgetDeletion("old"),)
    assert (second.checkpoints["old"].phase, second.checkpoints["old"].bytes_freed) == ("Cleared", 4321)
    again = clearing(TargetListing(), told={"bytes_freed": 4321})
    assert (again.effects, again.checkpoints["old"].bytes_freed) == ((), 4321)


def test_a_deletion_in_slices_says_how_far_it_is():
    found = clearing(TargetListing(keys=7, freed=100))
    assert found.effects == (DeleteCheckpointData("old", target(1)),)
    assert (found.checkpoints["old"].phase, found.checkpoints["old"].bytes_freed) == ("Present", 100)


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


_SEEN = ("targets", "store", "namespace_terminating", "triggers", "kinds_going", "kinds_unknown")


def deleted(status: dict[str, Any] | None = None, phase: str | None = "Present", **more: Any) -> Moves:
    seen = {key: more.pop(key) for key in _SEEN if key in more}
    of = more.pop("job_status", live())
    mine = checkpoint("old", 1, phase, status, deleted=NOW, **more)
    return moves(observed(job(of), checkpoints=(mine, YOUNG), **seen))


LET_GO = SetFinalizer("Checkpoint", "old", present=False)


def test_of_one_whose_data_is_gone_nobody_says_that_it_stays():
    gone = {"location": savepoint(1), "target_directory": target(1)}
    found = deleted(gone, "Cleared", deletionPolicy="Retain")
    assert (found.effects, found.events) == ((LET_GO,), ())
    assert deleted(gone, deletionPolicy="Retain").events == ("Retained",)


def test_the_intent_comes_before_the_data_and_the_data_before_the_finalizer():
    first = deleted()
    assert (first.effects, first.wake) == ((), 0)
    assert first.condition("Deleting", "old").status == "True"
    second = deleted(deleting(), targets={"old": complete(1)})
    assert second.effects == (DeleteCheckpointData("old", target(1)),)
    third = deleted(deleting(), targets={"old": TargetListing()})
    assert third.effects == (LET_GO,)


def test_an_object_goes_with_its_tombstone_when_the_bytes_are_recorded():
    first = deleted(deleting(), targets={"old": TargetListing(freed=5)})
    assert (first.effects, first.checkpoints["old"].bytes_freed) == ((), 5)
    second = deleted(deleting() | {"bytes_freed": 5}, targets={"old": TargetListing(freed=5)})
    assert second.effects == (ForgetDeletion("old"), LET_GO)


RETAINED_OLD = {"target_directory": None, "trigger_id": None, "run": OLD_RUN, "location": retained(3, OLD_RUN)}
TAKE_RETAINED = DeleteRetainedData("old", retained(3, OLD_RUN), run_ended=True)


def test_a_retained_one_of_an_ended_run_goes_in_the_same_order():
    of = {"source": "Retained", "origin": {"run": OLD_RUN}}
    whole = {"old": TargetListing(stored(retained(3, OLD_RUN), 3), keys=4)}
    first = deleted(RETAINED_OLD, targets={}, **of)
    assert (first.effects, first.condition("Deleting", "old").status) == ((), "True")
    assert deleted(RETAINED_OLD | deleting(), targets=whole, **of).effects == (TAKE_RETAINED,)
    half = {"old": TargetListing(keys=2, freed=7)}
    assert deleted(RETAINED_OLD | deleting(), targets=half, **of).effects == (TAKE_RETAINED,)
    gone = {"old": TargetListing(freed=9)}
    told = RETAINED_OLD | deleting() | {"bytes_freed": 9}
    assert deleted(told, targets=gone, **of).effects == (ForgetDeletion("old"), LET_GO)


def test_a_retained_one_of_a_live_run_is_flinks():
    of = {"source": "Retained", "origin": {"run": RUN}}
    mine = RETAINED_OLD | {"run": RUN, "location": retained(3)}
    found = deleted(mine, targets={"old": TargetListing(stored(retained(3), 3), keys=4)}, **of)
    assert (found.effects, found.events) == ((LET_GO,), ("Retained",)), "its data go when Flink discards them"


def test_of_flinks_own_those_of_ended_runs_go_and_those_of_the_run_are_counted():
    def flinks(name: str, number: int, minutes: int, run: str) -> Any:
        told = {"target_directory": None, "run": run, "location": retained(number, run)}
        return present(name, number, minutes, source="Retained", origin={"run": run}, status=told)

    mine = [flinks("mine-1", 1, 1, RUN), flinks("mine-2", 2, 2, RUN)]
    theirs = [flinks("theirs-3", 3, 3, OLD_RUN), flinks("theirs-4", 4, 4, OLD_RUN)]
    assert going(*mine, *theirs) == {"theirs-4"}, "the last one that Flink does not discard by itself stays"
    manual = present("manual", 9, 0)
    assert going(*mine, *theirs, manual) == {"theirs-3", "theirs-4"}
    two = {"checkpoints": {"retention": {"numRetained": 3}}}
    assert going(*mine, *theirs, **two) == {"theirs-4"}


def test_a_retained_one_that_is_cleared_has_nothing_to_take():
    of = {"source": "Retained", "origin": {"run": OLD_RUN}}
    assert deleted(RETAINED_OLD, phase="Cleared", **of).effects == (LET_GO,)


def test_retain_leaves_the_data():
    found = deleted(deletionPolicy="Retain")
    assert (found.effects, found.events) == ((LET_GO,), ("Retained",))


def test_in_a_namespace_that_goes_nothing_in_the_store_is_touched():
    assert deleted(namespace_terminating=True).effects == (LET_GO,)
    assert deleted(deleting(), namespace_terminating=True, targets={"old": complete(1)}).effects == (LET_GO,)
    assert deleted(phase="Creating", namespace_terminating=True).effects == (LET_GO,)


FORGED = {
    "the directory of another": {"target_directory": target(2), "location": savepoint(2)},
    "the savepoint in it": {"target_directory": savepoint(2)},
    "all of the savepoints": {"target_directory": PLACE.uri(f"{HOME}savepoints/")},
}


@pytest.mark.parametrize("status", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("begun", [False, True], ids=["deleted", "its deletion had begun"])
def test_a_status_that_names_what_is_anothers_deletes_nothing_of_it(status, begun):
    """Seen on real pods: who may write a status deleted the savepoint of another Checkpoint."""
    found = deleted(status | (deleting() if begun else {}), targets={"old": complete(2)})
    assert found.effects == ()
    stalled = found.condition("Stalled", "old")
    assert (stalled.reason, "Checkpoint young" in stalled.message) == ("PlaceNotOurs", True)
    assert deleted(status, deletionPolicy="Retain").effects == (LET_GO,)


def test_retention_takes_nothing_that_is_anothers_either():
    forged = checkpoint("old", 1, "Present", FORGED["the directory of another"] | deleting("Retention"))
    found = moves(observed(job(live()), checkpoints=(forged, YOUNG), targets={"old": complete(2)}))
    assert found.effects == ()
    assert found.condition("Deleting", "old").reason == "PlaceNotOurs"


def test_one_that_was_rebuilt_owns_the_directory_of_the_object_before_it():
    rebuilt = {"target_directory": target(77), "location": savepoint(77)}
    found = deleted(rebuilt | deleting(), targets={"old": complete(77)})
    assert found.kinds == ["DeleteCheckpointData"]


@pytest.mark.parametrize("kind", ["Checkpoint", "StreamJob"])
def test_when_the_kind_goes_with_all_of_its_objects_nothing_in_the_store_is_touched(kind):
    """Seen on a real API server: `kubectl delete crd checkpoints.penstock.dev` took all data along."""
    going = {"kinds_going": frozenset({kind})}
    assert deleted(**going).effects == (LET_GO,)
    assert deleted(deleting(), **going, targets={"old": complete(1)}).effects == (LET_GO,)
    assert deleted(phase="Creating", **going).effects == (LET_GO,)


def test_when_nobody_knows_whether_the_kind_goes_it_is_waited_and_told():
    found = deleted(deleting(), kinds_unknown="not known: 403", targets={"old": complete(1)})
    assert found.effects == ()
    assert "deletionPolicy: Retain" in found.condition("Stalled", "old").message
    kept = deleted(deleting(), kinds_unknown="not known: 403", targets={"old": complete(1)}, deletionPolicy="Retain")
    assert kept.effects == (LET_GO,)


@pytest.mark.parametrize("status", [None, deleting()], ids=["deleted", "its deletion had begun"])
def test_a_pinned_one_lets_go_of_its_data_by_an_unpin_alone(status):
    """However it was deleted: with its kind, without the admission policies, or with an owner that somebody gave it."""
    found = deleted(status, pinned=True, targets={"old": complete(1)})
    assert (found.effects, found.events) == ((LET_GO,), ("Retained",))


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


STOPPED = ended("STOPPED", run={"stop_checkpoint": "flights-stop"})


@pytest.mark.parametrize(
    ("status", "spec", "stays"),
    [
        (live(intent=stop_intent(reason="Upgrade")), {}, True),
        (live(run={"stop_checkpoint": "flights-stop"}, intent=teardown_intent()), {}, True),
        (STOPPED, {}, True),
        (STOPPED, {"state": "Stopped"}, False),
        (live(run={"stop_checkpoint": "flights-stop"}), {}, False),
    ],
    ids=["being stopped", "being taken down", "to be started", "to stay stopped", "of an earlier stop"],
)
def test_what_a_stop_has_made_is_not_deleted_before_the_next_run_has_it(status, spec, stays):
    one = checkpoint("flights-stop", 1, "Present", deleted=NOW)
    found = moves(observed(job(status, **spec), checkpoints=(one,), listing=JobListing(())))
    assert (found.condition("Deleting", "flights-stop").reason == "InUse") is stays


OTHER = {"other_stores": {"old": StoreView(Place("elsewhere", ""), store())}}


def test_what_lies_in_another_store_is_not_of_this_jobs_retention():
    """Of an earlier StreamJob of the name: looked for in the new store it was Unknown for ever, each 5 s, untold."""
    elsewhere = [present(f"e{number}", number, 60 - number, status={"store": "old"}) for number in (1, 2)]
    own = [present(f"o{number}", number + 4, 30 - number) for number in (1, 2)]
    found = moves(observed(job(live(), **LIMIT_ONE), checkpoints=(*elsewhere, *own), **OTHER))
    marked = {
        each.metadata.name
        for each in (*elsewhere, *own)
        if is_deleting(each.model_copy(update={"status": found.checkpoints.get(each.metadata.name, each.status)}))
    }
    assert marked == {"o1"}
    told = {each.type: each.message for each in found.checkpoints["e1"].conditions}["Ready"]
    assert told == "it lies in CheckpointStore old, and the job's is main: the job's retention leaves it alone"


def test_one_that_is_being_deleted_is_not_ready_whatever_holds_it_up():
    """Seen: Ready True beside Stalled True."""
    away = {"targets": {"before": Unknown("time-out")}}
    of = checkpoint(phase="Present", deleted=NOW, status=deleting())
    found = moves(observed(job(live()), checkpoints=(of,), **away))
    assert (found.condition("Ready", "before").status, found.condition("Stalled", "before").status) == ("False", "True")
