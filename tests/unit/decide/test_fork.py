"""Positions of a job that starts from another job's Checkpoint, and of that other job."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api.checkpoint import Checkpoint
from penstock.api.streamjob import StreamJob
from penstock.decide.needs import foreign_names, may_delete
from penstock.decide.verification import wishes
from penstock.model import Foreign, Observed
from penstock.verdict import Wish
from tests.unit.builders import (
    NAMESPACE,
    NOW,
    PLACE,
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
    start_intent,
    started_from,
    stored,
    target,
    teardown_intent,
    uid,
)
from tests.unit.decide.moves import Moves, moves

THEIRS = PLACE.uri(f"team/{NAMESPACE}/other-33333333-3333-4333-8333-333333333333/")
WHERE = f"{THEIRS}savepoints/{uid(5)}/savepoint-cccccc-000000000005"
NAMED = {"startFrom": {"checkpoint": {"name": "theirs"}}}
OWN_RUN = "c" * 32


def theirs(phase: str = "Present", status: dict[str, Any] | None = None, **more: Any) -> Checkpoint:
    """Checkpoint `theirs` of StreamJob `other`."""
    made = checkpoint("theirs", 5, phase, {"location": WHERE, "run": OWN_RUN} | (status or {}), **more)
    return made.model_copy(update={"spec": made.spec.model_copy(update={"job_ref": made.spec.job_ref.model_copy(
        update={"name": "other"})})})  # fmt: skip


def named(name: str, of: StreamJob) -> StreamJob:
    return of.model_copy(update={"metadata": of.metadata.model_copy(update={"name": name})})


OTHER = named("other", job(live(run={"id": OWN_RUN})))


def fork(one: Checkpoint | None, owner: StreamJob | None = OTHER, status: dict[str, Any] | None = None) -> Observed:
    """A job that is to start from it; nothing of its own is there."""
    found = (Foreign(one, owner),) if one is not None else ()
    return idle(job(status or {"applied": None}, **NAMED), foreign=found, listing=listing())


# ---------------------------------------------------------------- which are looked at


def test_a_name_that_is_not_the_jobs_own_is_looked_up_while_it_matters():
    assert foreign_names(job({"applied": None}, **NAMED), ()) == ("theirs",)
    assert foreign_names(job({"applied": None}, **NAMED), (checkpoint("theirs"),)) == ()
    applied = {"applied": {"start_from": NAMED["startFrom"], "restart_token": ""}}
    assert foreign_names(job(live(**applied), **NAMED), ()) == ()
    assert foreign_names(None, ()) == ()


def test_what_a_run_without_a_checkpoint_of_its_own_started_from_is_looked_up():
    began = started_from(WHERE, checkpoint="theirs")
    assert foreign_names(job(live(began, latest_checkpoint=None)), ()) == ("theirs",)
    assert foreign_names(job(live(began)), ()) == ()
    assert foreign_names(job({"intent": start_intent(began)}), ()) == ("theirs",)


def test_what_a_stop_has_promised_is_looked_up():
    going = {"intent": teardown_intent(next_start_from=NAMED["startFrom"])}
    assert foreign_names(job(live(**going)), ()) == ("theirs",)


def test_other_jobs_count_only_when_something_may_go():
    whole = checkpoint("a", 1, "Present")
    assert not may_delete(job(live()), (whole,))
    assert may_delete(job(live()), (checkpoint("a", 1, "Present", deleted=NOW),))
    assert may_delete(job(live()), (checkpoint("a", 1, "Present", deleting("Retention")),))
    many = tuple(checkpoint(f"c{number}", number, "Present") for number in range(6))
    assert may_delete(job(live()), many)
    assert may_delete(job(live(), checkpoints={"retention": {"maxAge": "1h"}}), (whole,))
    assert not may_delete(None, (whole,))


# ---------------------------------------------------------------- the fork


def test_it_starts_from_another_jobs_checkpoint_after_a_look_at_it():
    seen = fork(theirs())
    assert [(wish.location, bool(wish.start), wish.anywhere) for wish in wishes(seen)] == [(WHERE, True, True)]
    began = moves(seen).status.intent.started_from
    assert (began.kind, began.checkpoint, began.location) == ("Checkpoint", "theirs", WHERE)


def test_it_starts_from_one_whose_job_is_gone():
    assert moves(fork(theirs(), None)).intent == "Start"


REFUSED = {
    "CheckpointNotFound": None,
    "CheckpointDeleting": theirs(status=deleting()),
    "CheckpointNotPresent": theirs("Creating"),
    "AnotherStore": theirs(status={"store": "another"}),
    "PlaceNotOurs": theirs(status={"location": PLACE.uri("team/secret/other-x/savepoint-1")}),
    "CheckpointIsFlinks": theirs(
        source="Retained",
        origin={"run": OWN_RUN, "checkpointId": 5},
        status={"location": f"{THEIRS}checkpoints/{OWN_RUN}/chk-5"},
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_it_is_refused(reason: str):
    found = moves(fork(REFUSED[reason]))
    assert (found.intent, found.stalled) == ("", reason)


def test_a_retained_one_of_an_ended_run_may_be_started_from():
    over = named("other", job(ended("STOPPED", run={"id": OWN_RUN})))
    assert moves(fork(REFUSED["CheckpointIsFlinks"], over)).intent == "Start"


def test_a_running_job_is_not_stopped_for_one_that_cannot_be_had():
    seen = observed(job(live(), **NAMED), foreign=(Foreign(REFUSED["AnotherStore"], OTHER),), listing=listing())
    found = moves(seen)
    assert (found.intent, found.stalled) == ("", "AnotherStore")
    good = observed(job(live(), **NAMED), foreign=(Foreign(theirs(), OTHER),), listing=listing())
    assert moves(good).intent == "Stop Savepoint"


def test_a_run_that_was_lost_before_its_first_checkpoint_starts_from_it_again():
    status = ended("LOST", started_from=started_from(WHERE, checkpoint="theirs"), latest_checkpoint=None)
    seen = idle(job(status), foreign=(Foreign(theirs(), OTHER),), listing=listing())
    assert moves(seen).status.intent.started_from.location == WHERE


def test_latest_does_not_take_another_jobs_state():
    own = stored(retained(3), 3, run=RUN)
    seen = idle(job({"applied": None}), foreign=(Foreign(theirs(), OTHER),), listing=listing(own))
    assert moves(seen).status.intent.started_from.location == retained(3)


INTENT = {"applied": None, "intent": start_intent(started_from(WHERE, checkpoint="theirs"))}


@pytest.mark.parametrize(
    "one",
    [None, theirs(status=deleting()), theirs(deleted=NOW), theirs("Cleared")],
    ids=["gone", "marked", "deleted", "cleared"],
)
def test_a_mark_that_was_set_meanwhile_is_seen_before_anything_exists(one: Checkpoint | None):
    found = moves(fork(one, status=INTENT))
    assert (found.intent, found.kinds) == ("", [])


def test_without_a_mark_the_start_goes_on():
    assert moves(fork(theirs(), status=INTENT)).kinds == ["RecordRevision", "GrantPermit"]


# ---------------------------------------------------------------- the other job, whose Checkpoint it is


def held(user: StreamJob | None, one: Checkpoint, unreadable: tuple[str, ...] = ()) -> Moves:
    """The pass of the job that the Checkpoint belongs to, while `user` is another job of the namespace."""
    others = (user,) if user is not None else ()
    return moves(observed(job(live()), checkpoints=(one,), others=others, unreadable_others=unreadable))


def user(status: dict[str, Any], **spec: Any) -> StreamJob:
    return named("user", job(status, **spec))


BEGAN = started_from(f"{target(1)}savepoint-aaaaaa-{1:012x}", checkpoint="before")
USERS = {
    "wants it": user({"applied": None}, startFrom={"checkpoint": {"name": "before"}}),
    "is about to start": user({"intent": start_intent(BEGAN)}),
    "has no checkpoint of its own yet": user(live(BEGAN, latest_checkpoint=None)),
    "was promised it": user(
        live(intent=teardown_intent(next_start_from={"checkpoint": {"name": "before"}})),
    ),
}


@pytest.mark.parametrize("name", USERS)
def test_a_deleted_one_stays_while_another_job_starts_from_it(name: str):
    found = held(USERS[name], checkpoint("before", 1, "Present", deleted=NOW))
    assert found.kinds == []
    condition = found.condition("Deleting", "before")
    assert (condition.reason, "StreamJob user" in condition.message) == ("InUse", True)


def test_it_goes_when_the_other_has_a_checkpoint_of_its_own():
    found = held(user(live(BEGAN)), checkpoint("before", 1, "Present", deleted=NOW))
    assert found.condition("Deleting", "before").reason == "Deleted"


def test_nothing_goes_while_another_job_cannot_be_read():
    found = held(None, checkpoint("before", 1, "Present", deleted=NOW), ("strange",))
    assert "StreamJob strange" in found.condition("Deleting", "before").message


def test_one_whose_own_job_is_gone_stays_too():
    one = checkpoint("before", 1, "Present", deleted=NOW)
    found = moves(observed(None, checkpoints=(one,), others=(USERS["is about to start"],), runs=(), flink=None))
    assert found.condition("Deleting", "before").reason == "InUse"


def test_retention_leaves_it():
    many = tuple(checkpoint(f"c{number}", number, "Present") for number in range(1, 8))
    began = started_from(many[0].status.location, checkpoint="c1")
    seen = observed(job(live()), checkpoints=many, others=(user({"intent": start_intent(began)}),))
    found = moves(seen)
    marked = {name for name, status in found.checkpoints.items() if status.conditions}
    assert marked == {"c2"}


def test_wishes_of_the_fork_are_not_of_long_ago():
    [wish] = wishes(fork(theirs()))
    assert wish == Wish(WHERE, wish.not_before, start="1/", anywhere=True)
    assert (NOW - wish.not_before).total_seconds() == 60
