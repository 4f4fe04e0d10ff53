"""Positions in which Flink's own checkpoints become Checkpoints, or stop being there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.constants import LIST
from penstock.model import CreateCheckpoint, SetFinalizer, StoredState, TargetListing, Unknown
from tests.unit.builders import (
    BEFORE,
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
    listing,
    live,
    observed,
    retained,
    savepoint,
    stats,
    stop_intent,
    stored,
)
from tests.unit.decide.moves import Moves, moves

SEVEN = f"{JOB}-chk-{RUN[:8]}-7"


def entry(number: int = 7, **more: Any) -> Any:
    return stats(number, retained(number), **more)


def chk(number: int = 7, phase: str | None = None, run: str = RUN, **more: Any) -> Any:
    """The Retained Checkpoint of a run's checkpoint."""
    told = {"location": retained(number, run), "checkpoint_id": number, "run": run} if phase else None
    name = f"{JOB}-chk-{run[:8]}-{number}"
    origin = {"run": run, "checkpointId": number}
    return checkpoint(name, 40 + number, phase, told, source="Retained", origin=origin, **more)


def running(*history: Any, **more: Any) -> Moves:
    newest = history[-1] if history else entry()
    return moves(observed(job(live()), flink=flink(completed=newest, history=tuple(history)), **more))


def made(found: Moves) -> list[int | None]:
    return [effect.checkpoint_id for effect in found.effects if isinstance(effect, CreateCheckpoint)]


# ---------------------------------------------------------------- while a run lives


def test_the_newest_one_gets_an_object():
    found = running(entry(6), entry(7))
    assert found.effects == (CreateCheckpoint(SEVEN, "Retained", RUN, "", 7),)


NOT_MADE = {
    "a savepoint": (entry(7, savepoint=True),),
    "failed": (entry(7, status="FAILED"),),
    "discarded": (entry(7, discarded=True),),
    "of another place": (stats(7, savepoint(1)),),
    "nothing": (),
}


@pytest.mark.parametrize("history", NOT_MADE.values(), ids=NOT_MADE)
def test_what_gets_no_object(history):
    assert made(running(*history)) == []


def test_a_run_that_is_not_confirmed_gets_none():
    silent = flink(completed=entry(), history=(entry(),), restored=None)
    began = {"run": {"confirmed": False}}
    assert made(moves(observed(job(live(**began)), flink=replace(silent, state="CREATED")))) == []


@pytest.mark.parametrize(("seconds", "numbers"), [(59, []), (60, [9])])
def test_at_most_one_object_a_minute(seconds, numbers):
    last = chk(7, "Present", created=NOW - timedelta(seconds=seconds))
    assert made(running(entry(7), entry(8), entry(9), checkpoints=(last,))) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"), [("6", [6]), ("5, 6", [6, 5]), ("7", [7]), ("99", []), ("six", []), ("", [])]
)
def test_those_that_a_user_names_get_one_at_once(text, numbers):
    recent = chk(4, "Present", created=NOW - timedelta(seconds=5))
    asks = job(live())
    asks = asks.model_copy(update={"metadata": asks.metadata.model_copy(update={"annotations": {LIST: text}})})
    history = (entry(5), entry(6), entry(7))
    found = moves(observed(asks, flink=flink(completed=history[-1], history=history), checkpoints=(recent,)))
    assert made(found) == numbers


def test_no_object_is_made_twice():
    last = chk(7, "Present", created=BEFORE)
    assert made(running(entry(7), checkpoints=(last,))) == []


def test_the_status_names_those_that_have_none():
    found = running(entry(5, discarded=True), entry(6), entry(8, savepoint=True), entry(7))
    assert [each.checkpoint_id for each in found.status.retained_checkpoints] == [7, 6]
    assert found.status.retained_checkpoints[0].location == retained(7)
    assert found.status.retained_checkpoints[0].size_bytes == 1000


def test_its_columns_come_from_flink():
    found = running(entry(7, duration_millis=120), checkpoints=(chk(7),))
    status = found.checkpoints[SEVEN]
    assert (status.phase, status.location, status.checkpoint_id) == ("Present", retained(7), 7)
    assert (status.duration_text, status.size_text, status.job_version) == ("120 ms", "1000 B", 1)
    assert (status.run, status.job_uid, status.store, status.settled) == (RUN, JOB_UID, "main", True)
    assert found.condition("Restorable", SEVEN).status == "True"
    assert found.effects == ()


def test_what_flink_discards_is_cleared():
    found = running(entry(7, discarded=True), entry(8), checkpoints=(chk(7, "Present"),))
    assert found.checkpoints[SEVEN].phase == "Cleared"
    assert found.condition("Ready", SEVEN).status == "True"
    assert found.condition("Restorable", SEVEN).status == "False"


AFTER_A_FAILOVER = {
    "it is there": (TargetListing(stored(retained(7), 7), (), 2), "Present"),
    "it is gone": (TargetListing(None, (), 0), "Cleared"),
    "without its _metadata": (TargetListing(None, (), 3), "Cleared"),
    "nobody knows": (Unknown("time-out"), "Present"),
    "not looked at": (None, "Present"),
}


@pytest.mark.parametrize(("target", "phase"), AFTER_A_FAILOVER.values(), ids=AFTER_A_FAILOVER)
def test_what_flink_has_forgotten_is_looked_up(target, phase):
    targets = {SEVEN: target} if target else {}
    found = running(entry(90), checkpoints=(chk(7, "Present"),), targets=targets)
    assert found.checkpoints[SEVEN].phase == phase


@pytest.mark.parametrize("silent", [Unknown("x"), None])
def test_a_silent_flink_clears_nothing(silent):
    found = moves(observed(job(live()), flink=silent, checkpoints=(chk(7, "Present"),)))
    assert found.checkpoints[SEVEN].phase == "Present"


def test_during_a_stop_no_object_is_made():
    """What it would name goes with the stop."""
    stopping = live(intent=stop_intent(), latest_checkpoint=None)
    found = moves(observed(job(stopping), flink=flink(completed=entry(7), history=(entry(7),))))
    assert 7 not in made(found)


def test_one_that_does_not_say_which_it_is_has_failed():
    nameless = checkpoint("mine", 1, source="Retained", origin={"run": RUN})
    found = running(entry(7), checkpoints=(nameless,))
    assert (found.checkpoints["mine"].phase, found.checkpoints["mine"].settled) == ("Failed", True)
    assert "spec.origin.checkpointId" in found.condition("Stalled", "mine").message


def test_without_its_finalizer_it_gets_that_first():
    found = running(entry(7), checkpoints=(chk(7, finalizers=()),))
    assert found.effects == (SetFinalizer("Checkpoint", SEVEN, present=True),)


# ---------------------------------------------------------------- when a run has ended

UNSWEPT = {"swept": False}


def over(*states: StoredState, known: Any = (), **more: Any) -> Moves:
    status = ended("STOPPED", run=UNSWEPT)
    seen = {"listing": listing(*states), "checkpoints": known} | more
    return moves(idle(job(status, state="Stopped"), **seen))


def test_each_one_that_is_left_gets_an_object():
    found = over(stored(retained(7), 7), stored(retained(6), 6), stored(savepoint(1), 8))
    assert sorted(made(found)) == [6, 7]
    assert found.status.run.swept


def test_those_that_have_one_get_no_other():
    found = over(stored(retained(7), 7), known=(chk(7, "Present"),))
    assert made(found) == []
    assert found.checkpoints[SEVEN].phase == "Present"


def test_what_another_run_left_is_not_this_ones():
    assert made(over(stored(retained(7, OLD_RUN), 7))) == []


def test_what_the_stop_made_flink_delete_is_cleared_at_once():
    found = over(stored(savepoint(1), 8), known=(chk(7, "Present"),))
    assert found.checkpoints[SEVEN].phase == "Cleared"


def test_while_the_store_does_not_answer_it_is_waited_for():
    found = over(listing=Unknown("time-out"), known=(chk(7, "Present"),))
    assert (found.effects, found.status.run.swept, found.wake) == ((), False, 5)
    assert found.checkpoints[SEVEN].phase == "Present"


def test_no_run_begins_before_that():
    stopped = job(ended("STOPPED", run=UNSWEPT))
    assert moves(idle(stopped, listing=Unknown("time-out"))).intent == ""
    assert moves(idle(stopped, listing=listing(stored(savepoint(1), 8)))).status.run.swept


def test_a_deleted_job_names_what_it_leaves():
    gone = job(ended("CANCELED", run=UNSWEPT), deleted=NOW)
    found = moves(idle(gone, listing=listing(stored(retained(7), 7))))
    assert made(found) == [7]


def test_a_deleted_job_stays_until_what_it_leaves_is_written_down():
    gone = job(ended("CANCELED"), deleted=NOW)
    waits = moves(idle(gone, listing=listing(stored(retained(7), 7)), checkpoints=(chk(7),)))
    assert waits.effects == ()
    assert waits.checkpoints[SEVEN].phase == "Present"
    done = moves(idle(gone, checkpoints=(chk(7, "Present"),)))
    assert done.effects == (SetFinalizer("StreamJob", JOB, present=False),)


def test_the_size_is_flinks_last_word():
    told = {"checkpoint_id": 7, "location": retained(7), "size_bytes": 2048, "completion_time": BEFORE}
    stopped = job(ended("CANCELED", retained_checkpoints=[told]), state="Stopped")
    found = moves(idle(stopped, listing=listing(stored(retained(7), 7)), checkpoints=(chk(7),)))
    status = found.checkpoints[SEVEN]
    assert (status.size_bytes, status.size_text, status.completion_time) == (2048, "2.0 KiB", BEFORE)


def test_a_lost_status_is_found_again_in_the_store():
    found = over(stored(retained(7), 7), known=(chk(7),), listing=listing(stored(retained(7), 7)))
    status = found.checkpoints[SEVEN]
    assert (status.phase, status.location, status.duration_millis) == ("Present", retained(7), None)
    assert over(known=(chk(7),)).checkpoints[SEVEN].phase == "Cleared"


# ---------------------------------------------------------------- starting from one


def test_a_restore_from_a_live_runs_own_checkpoint_cancels_because_a_stop_would_delete_it():
    wish = {"startFrom": {"checkpoint": {"name": SEVEN}}}
    seen = {"listing": listing(stored(retained(7), 7)), "checkpoints": (chk(7, "Present"),)}
    found = moves(observed(job(live(), **wish), **seen))
    assert found.intent == "Stop Cancel"
    assert found.status.intent.next_start_from == {"checkpoint": {"name": SEVEN}}


def test_what_was_started_from_is_called_retained_whether_it_has_an_object_or_not():
    stopped = job(ended("STOPPED"))
    for known in ((), (chk(7, "Present"),)):
        found = moves(idle(stopped, listing=listing(stored(retained(7), 7)), checkpoints=known))
        began = found.status.intent.started_from
        assert (began.kind, began.text) == ("Retained", f"chk-7 of {RUN[:8]}")
        assert began.checkpoint == (SEVEN if known else None)
