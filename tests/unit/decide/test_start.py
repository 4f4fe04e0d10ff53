"""Positions of a job that is to start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.reading import Problem
from penstock.decide.start import recorded_spec
from penstock.model import (
    DeleteRun,
    JobListing,
    Manager,
    SetFinalizer,
    StoreView,
    Unknown,
)
from tests.unit.builders import (
    FRESH_RUN,
    JOB,
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    deleting,
    ended,
    idle,
    job,
    listing,
    live,
    observed,
    retained,
    revision,
    run_objects,
    savepoint,
    start_intent,
    started_from,
    stored,
)
from tests.unit.decide.moves import Moves, moves

NEW = {"applied": None}
NAMED = {"startFrom": {"checkpoint": {"name": "before"}}}
EMPTY = {"startFrom": {"empty": {}}}


def start(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(idle(job(status, **(spec or {})), **more))


def chosen(found: Moves) -> tuple[str, str | None]:
    intent = found.status.intent
    assert intent is not None
    assert intent.kind == "Start"
    return str(intent.started_from.kind), intent.started_from.location


def test_the_finalizer_comes_before_everything_else():
    found = moves(idle(job(finalizers=())))
    assert found.effects == (SetFinalizer("StreamJob", JOB, present=True),)
    assert found.intent == ""
    assert found.wake == 0


def test_nothing_is_put_into_a_namespace_that_goes():
    assert moves(idle(job(finalizers=()), namespace_terminating=True)).effects == ()
    assert moves(idle(job({"intent": start_intent()}), namespace_terminating=True)).effects == ()


def test_a_new_job_records_the_intent_and_does_nothing_yet():
    found = start(revisions=())
    assert found.effects == ()
    assert chosen(found) == ("Empty", None)
    assert found.status.intent.run == FRESH_RUN
    assert found.status.intent.job_version == 1
    assert not found.status.intent.permitted
    assert found.status.intent.applied.start_from == {"latest": {}}
    assert found.status.applied is None
    assert found.status.state == "Starting"
    assert found.wake == 0


FROM: dict[str, tuple[dict[str, Any] | None, dict[str, Any], tuple[Any, ...], tuple[str, str | None]]] = {
    "new, the store holds a savepoint of an earlier job of this name": (
        None,
        {},
        (stored(savepoint(3), 3),),
        ("Retained", savepoint(3)),
    ),
    "new, the newest by time of all runs": (
        None,
        {},
        (stored(retained(9, OLD_RUN), 9, modified=NOW - timedelta(days=2)), stored(retained(2), 2)),
        ("Retained", retained(2)),
    ),
    "new, empty asked for": (None, EMPTY, (stored(savepoint(3), 3),), ("Empty", None)),
    "new, a Checkpoint named": (
        None,
        NAMED,
        (stored(savepoint(1), 1), stored(retained(9), 9)),
        ("Checkpoint", savepoint(1)),
    ),
    "stopped, its stop's savepoint is the newest of the run": (
        ended("STOPPED"),
        {},
        (stored(retained(7), 7), stored(savepoint(1), 8)),
        ("Checkpoint", savepoint(1)),
    ),
    "lost, the newest of the last run and not of another": (
        ended("LOST"),
        {},
        (stored(retained(99, OLD_RUN), 99, modified=NOW), stored(retained(6), 6), stored(retained(7), 7)),
        ("Retained", retained(7)),
    ),
    "lost before its first checkpoint: what it had started from": (
        ended("LOST", began=started_from(savepoint(1)), latest_checkpoint=None),
        {},
        (stored(retained(99, OLD_RUN), 99, modified=NOW), stored(savepoint(1), 1, run=OLD_RUN)),
        ("Checkpoint", savepoint(1)),
    ),
    "lost, had started empty, completed nothing": (
        ended("LOST", latest_checkpoint=None),
        {},
        (stored(retained(99, OLD_RUN), 99),),
        ("Empty", None),
    ),
    "applied once only: a start after a stop is from latest": (
        ended("STOPPED", applied={"start_from": {"checkpoint": {"name": "before"}}, "restart_token": ""}),
        NAMED,
        (stored(savepoint(1), 1, run=OLD_RUN), stored(retained(7), 7)),
        ("Retained", retained(7)),
    ),
    "restartToken changed: startFrom counts again": (
        ended("STOPPED", applied={"start_from": {"checkpoint": {"name": "before"}}, "restart_token": ""}),
        NAMED | {"restartToken": "2"},
        (stored(savepoint(1), 1, run=OLD_RUN), stored(retained(7), 7)),
        ("Checkpoint", savepoint(1)),
    ),
    "what the stop asked for the next run": (
        ended("STOPPED", run={"next_start_from": {"empty": {}}}),
        {},
        (stored(retained(7), 7),),
        ("Empty", None),
    ),
    "a finished job whose restartToken changed": (
        ended("FINISHED"),
        {"restartToken": "2"},
        (stored(savepoint(1), 1),),
        ("Checkpoint", savepoint(1)),
    ),
    "a failed job whose spec changed": (
        ended("FAILED"),
        {"parallelism": 2},
        (stored(retained(7), 7),),
        ("Retained", retained(7)),
    ),
    "an equal number in two runs is told apart by the run": (
        ended("LOST"),
        {},
        (stored(retained(7, OLD_RUN), 7, modified=NOW), stored(retained(7), 7)),
        ("Retained", retained(7)),
    ),
}


@pytest.mark.parametrize(("status", "spec", "states", "expected"), FROM.values(), ids=FROM)
def test_from_what_a_run_starts(status, spec, states, expected):
    found = start(status, spec, listing=listing(*states), checkpoints=(checkpoint(phase="Present"),))
    assert chosen(found) == expected
    assert found.effects == ()


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a directory but nothing to start from": (
        {},
        {"listing": JobListing((), any_directory=True)},
        "NothingToStartFrom",
    ),
    "no such Checkpoint": (NAMED, {}, "CheckpointNotFound"),
    "it is being deleted": (NAMED, {"checkpoints": (checkpoint(phase="Present", deleted=NOW),)}, "CheckpointDeleting"),
    "it is not complete": (NAMED, {"checkpoints": (checkpoint(phase="Creating"),)}, "CheckpointNotPresent"),
    "it is cleared": (NAMED, {"checkpoints": (checkpoint(phase="Cleared"),)}, "CheckpointNotPresent"),
    "it has failed": (NAMED, {"checkpoints": (checkpoint(phase="Failed"),)}, "CheckpointNotPresent"),
    "it was not begun": (NAMED, {"checkpoints": (checkpoint(phase="Pending"),)}, "CheckpointNotPresent"),
    "its data are gone": (NAMED, {"checkpoints": (checkpoint(phase="Present"),)}, "CheckpointDataMissing"),
    "the spec is wrong": ({}, {"problems": (Problem("spec.x", "is wrong"),)}, "InvalidSpec"),
    "the store cannot be used": (
        {},
        {"store": StoreView(problem="there is no CheckpointStore main")},
        "StoreNotUsable",
    ),
}


@pytest.mark.parametrize(("spec", "more", "reason"), REFUSED.values(), ids=REFUSED)
def test_why_a_run_is_not_started(spec, more, reason):
    found = start(None, spec, **more)
    assert (found.intent, found.effects, found.stalled) == ("", (), reason)
    assert found.status.applied is None
    assert found.wake is not None
    assert found.condition("Ready").status == "False"


def test_a_refusal_names_what_could_be_started_from():
    others = (checkpoint("other", 2, "Present"), checkpoint("gone", 3, "Cleared"))
    message = start(None, NAMED, checkpoints=others).condition("Stalled").message
    assert "write one of: other" in message


@pytest.mark.parametrize("began", [started_from(), started_from(savepoint(1))])
def test_a_run_that_had_checkpoints_and_has_none_in_the_store_is_not_taken_back_further(began):
    found = start(ended("STOPPED", began=began), listing=listing(stored(savepoint(1), 1, run=OLD_RUN)))
    assert found.status.intent is None
    stalled = next(each for each in found.status.conditions if each.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "StateMissing")


def test_what_the_last_run_had_started_from_is_gone():
    found = start(
        ended("LOST", began=started_from(savepoint(1)), latest_checkpoint=None),
        listing=listing(stored(retained(99, OLD_RUN), 99)),
    )
    assert (found.intent, found.stalled) == ("", "NothingToStartFrom")
    assert "spec.startFrom.empty: {}" in found.condition("Stalled").message


GIVE_UP = {"override": ["StateWouldBeDropped"]}
OVERRIDDEN = {"startFrom": {"latest": {}} | GIVE_UP}
NEW_VERSION = {"parallelism": 2}
UPGRADED = ended("STOPPED", run={"stop_reason": "Upgrade"})
GIVEN_UP = started_from(savepoint(1), allow_non_restored_state=True)
MAY_GIVE_UP = {
    "named, overridden": (None, {"startFrom": {"checkpoint": {"name": "before"}} | GIVE_UP}, True),
    "named": (None, NAMED, False),
    "named, another override": (None, {"startFrom": NAMED["startFrom"] | {"override": ["NotWhole"]}}, False),
    "upgraded, overridden": (UPGRADED, NEW_VERSION | OVERRIDDEN, True),
    "the same, and kept whatever comes": (
        UPGRADED,
        NEW_VERSION | OVERRIDDEN | {"onChange": {"ifUnhealthy": "Keep"}},
        True,
    ),
    "stopped, changed, started": (ended("STOPPED", run={"stop_reason": "Stop"}), NEW_VERSION | OVERRIDDEN, True),
    "upgraded": (UPGRADED, NEW_VERSION, False),
    "the same version": (ended("STOPPED", run={"stop_reason": "Stop"}), OVERRIDDEN, False),
    "lost, before it had a checkpoint": (ended("LOST", began=GIVEN_UP, latest_checkpoint=None), {}, True),
    "lost, and the override came later": (ended("LOST"), OVERRIDDEN, False),
    "no state": (None, {"startFrom": {"empty": {}} | GIVE_UP}, False),
}


@pytest.mark.parametrize(("status", "spec", "allowed"), MAY_GIVE_UP.values(), ids=MAY_GIVE_UP)
def test_state_is_given_up_only_by_the_start_that_was_told_so(status, spec, allowed):
    before = checkpoint("before", phase="Present", status={"location": savepoint(1)})
    found = start(status, spec, checkpoints=(before,), listing=listing(stored(savepoint(1), 1)))
    assert found.status.intent is not None, found.condition("Stalled")
    assert found.status.intent.started_from.allow_non_restored_state is allowed


def test_going_back_to_a_run_that_gave_state_up_and_saved_none_gives_it_up_again():
    status = ended("STOPPED", began=GIVEN_UP, latest_checkpoint=None, run={"stop_reason": "Upgrade"})
    found = start(status, NEW_VERSION, listing=listing(stored(savepoint(1), 1, run=OLD_RUN)))
    back = found.status.intent.fallback
    assert (back.job_version, back.started_from.location) == (1, savepoint(1))
    assert back.started_from.allow_non_restored_state


def test_what_came_after_it_is_restored_whole_again():
    found = start(ended("LOST", began=GIVEN_UP), listing=listing(stored(retained(9), 9)))
    assert found.status.intent.started_from.location == retained(9)
    assert not found.status.intent.started_from.allow_non_restored_state


@pytest.mark.parametrize("unknown", [Unknown("time-out"), None])
def test_a_store_that_does_not_answer_is_not_an_empty_one(unknown):
    found = start(listing=unknown)
    assert (found.intent, found.effects) == ("", ())
    assert found.wake is not None


@pytest.mark.parametrize("status", [None, ended("STOPPED")])
@pytest.mark.parametrize("gone", [{"deleted": NOW}, {}], ids=["by a user", "by retention"])
def test_nothing_is_started_from_what_is_being_cleared(status, gone):
    going = checkpoint(phase="Present", status=deleting(), **gone)
    found = start(status, listing=listing(stored(savepoint(1), 1)), checkpoints=(going,))
    assert found.intent == "" or chosen(found)[1] != savepoint(1)


NOT_STARTED = {
    "finished": (ended("FINISHED"), {}),
    "finished, and the spec changed": (ended("FINISHED"), {"parallelism": 2}),
    "failed": (ended("FAILED"), {}),
    "cancelled by somebody": (ended("CANCELED"), {}),
    "stopped": (ended("STOPPED"), {"state": "Stopped"}),
    "new, to be stopped": (None, {"state": "Stopped"}),
}


@pytest.mark.parametrize(("status", "spec"), NOT_STARTED.values(), ids=NOT_STARTED)
def test_what_is_not_started(status, spec):
    found = start(status, spec, listing=listing(stored(retained(7), 7)))
    assert (found.intent, found.effects) == ("", ())


STATES = {
    "finished": (ended("FINISHED"), {}, "Finished", "True"),
    "stopped": (ended("STOPPED"), {"state": "Stopped"}, "Stopped", "True"),
    "failed": (ended("FAILED"), {}, "Failed", "False"),
    "never run and to be stopped": (None, {"state": "Stopped"}, "Stopped", "True"),
}


@pytest.mark.parametrize(("status", "spec", "state", "ready"), STATES.values(), ids=STATES)
def test_how_a_job_that_does_not_run_is_reported(status, spec, state, ready):
    found = start(status, spec)
    assert (found.status.state, found.condition("Ready").status) == (state, ready)
    assert found.condition("Reconciling").status == "False"
    assert found.condition("Ready").observed_generation == 1


def test_a_failed_job_that_was_set_to_stopped_starts_when_it_is_set_to_running():
    found = start(ended("FAILED"), {"state": "Stopped"})
    assert found.status.run.end_state == "STOPPED"


def test_leftovers_of_another_run_go_first():
    found = start(None, runs=(run_objects(OLD_RUN, manager=Manager.FAILED, started_from=""),))
    assert found.effects == (DeleteRun(OLD_RUN),)
    assert found.intent == ""


def test_runs_that_are_lost_before_they_run_pause():
    lost = ended("LOST", run={"confirmed": False}, latest_checkpoint=None)
    first = start(lost)
    assert first.intent == ""
    assert first.status.start_attempts == 1
    assert first.status.next_start_at == NOW + timedelta(seconds=10)
    waiting = start(lost | {"next_start_at": NOW + timedelta(seconds=4), "start_attempts": 1})
    assert (waiting.stalled, waiting.wake) == ("CannotStart", 4)
    over = start(lost | {"next_start_at": NOW, "start_attempts": 1})
    assert over.intent == "Start"
    many = start(lost | {"start_attempts": 30})
    assert many.status.next_start_at == NOW + timedelta(minutes=5)


def test_a_new_spec_ends_the_pause():
    lost = ended("LOST", run={"confirmed": False}, observed_generation=1, next_start_at=NOW + timedelta(minutes=5))
    found = moves(idle(job(lost, generation=2)))
    assert found.status.next_start_at != NOW + timedelta(minutes=5)


WRONG = {"problems": (Problem("spec.x", "is wrong"),)}


@pytest.mark.parametrize("state", ["STOPPED", "FAILED", "FINISHED"])
def test_a_wrong_spec_is_told_before_anybody_wants_it_started(state):
    spec = {"state": "Stopped"} if state == "STOPPED" else {}
    found = moves(idle(job(ended(state), parallelism=2, **spec), **WRONG))
    assert (found.intent, found.stalled) == ("", "InvalidSpec")
    assert found.condition("Ready").status == "False"


def test_what_a_newer_operator_refuses_does_not_keep_a_job_down_that_ran_with_it():
    found = moves(idle(job(ended("LOST")), listing=listing(stored(retained(7), 7)), **WRONG))
    assert found.intent == "Start"


# ---------------------------------------------------------------- what the program may change


def test_a_first_start_and_a_new_version_are_guarded():
    assert moves(idle(job(NEW), listing=listing())).status.intent.started_from.guarded
    changed = moves(idle(job(ended("STOPPED"), parallelism=2), listing=listing(stored(retained(7), 7))))
    assert changed.status.intent.started_from.guarded


@pytest.mark.parametrize("guarded", [True, False])
def test_a_version_is_started_again_as_it_was(guarded):
    """An operator of an older time knew no guard: what ran under it must not fail because it is started again."""
    status = ended("LOST", started_from=started_from(guarded=guarded))
    found = moves(idle(job(status), listing=listing(stored(retained(7), 7))))
    assert found.status.intent.started_from.guarded is guarded


def test_a_version_that_cannot_be_read_back_is_none():
    """A ControllerRevision that another version has written, or that somebody has changed."""
    broken = replace(revision(), spec={"flink": 7})
    assert recorded_spec(observed(job(live()), revisions=(broken,)), 1) is None
    assert recorded_spec(observed(job(live())), 1) is not None


def test_a_run_whose_annotation_somebody_changed_is_ours_all_the_same():
    found = moves(observed(job(NEW), runs=(run_objects(started_from="{"),)))
    assert (found.events, found.status.run.id) == (("Adopted",), RUN)
    assert found.status.started_from.text == "not known"
