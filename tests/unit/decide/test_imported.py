"""Positions with a Checkpoint of source Imported."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.api.checkpoint import Checkpoint
from penstock.decide.verification import wishes
from penstock.model import Observed, SetFinalizer, StoreView
from penstock.verdict import Verification, Verified, Wish
from tests.unit.builders import (
    BEFORE,
    HOME,
    NOW,
    PLACE,
    RUN,
    checkpoint,
    ended,
    idle,
    job,
    listing,
    live,
    observed,
    retained,
    started_from,
    stored,
)
from tests.unit.decide.moves import Moves, moves

LOCATION = "s3://checkpoints/elsewhere/savepoint-4f2a1c-000000000001"
FOUND = Verification(files=4, size=5000, checkpoint_id=77, written=BEFORE)
NAMED = {"startFrom": {"checkpoint": {"name": "old"}}}


def imported(phase: str | None = None, location: str = LOCATION, **more: Any) -> Checkpoint:
    """A Checkpoint `old`; from Present on with what Penstock has found."""
    status: dict[str, Any] = {"phase": phase} if phase else {}
    if phase == "Present":
        status |= {"location": location, "checkpoint_id": 77, "completion_time": BEFORE, "store": "main"}
        status |= {"verification": {"time": BEFORE, "files": 4}}
    made = checkpoint("old", status=status, **more)
    spec = {"jobRef": {"name": "flights"}, "source": "Imported", "location": location}
    return Checkpoint.model_validate(made.model_dump(by_alias=True, exclude={"spec"}) | {"spec": spec})


def look(one: Checkpoint, found: Verification | str | None = None, seen: Observed | None = None) -> Moves:
    """A pass, with an answer about its location; a text is why there is none."""
    seen = seen or observed(job(live()), checkpoints=(one,), listing=listing(), verified={})
    if found is not None:
        trouble = isinstance(found, str)
        answer = Verified(NOW, trouble=found) if isinstance(found, str) else Verified(NOW, found)
        assert trouble or answer.verification is not None
        seen = replace(seen, verified={one.spec.location or "": answer})
    return moves(seen)


# ---------------------------------------------------------------- becoming Present


def test_it_is_looked_at_before_it_is_present_wherever_it_lies():
    one = imported()
    asked = Wish(LOCATION, datetime.min.replace(tzinfo=UTC), start=one.metadata.uid, anywhere=True)
    assert wishes(observed(job(live()), checkpoints=(one,))) == (asked,)
    found = look(one)
    assert found.checkpoints["old"].phase == "Pending"
    assert "all of its files" in found.condition("Reconciling", "old").message


@pytest.mark.parametrize("phase", [None, "Pending"])
def test_it_is_present_when_all_of_its_files_were_found(phase: str | None):
    found = look(imported(phase), FOUND)
    status = found.checkpoints["old"]
    assert (status.phase, status.location, status.checkpoint_id) == ("Present", LOCATION, 77)
    assert (status.size_bytes, status.completion_time, status.store) == (5000, BEFORE, "main")
    assert found.condition("Verified", "old").status == "True"
    assert found.condition("Restorable", "old").status == "True"
    assert found.kinds == []


@pytest.mark.parametrize(
    "found",
    [
        Verification(files=4, missing=1, names=("elsewhere/a (missing)",)),
        Verification(files=4, outside=1),
        Verification(unreadable="there is none", gone=True),
    ],
)
def test_it_fails_when_something_is_missing_or_cannot_be_looked_at(found: Verification):
    after = look(imported(), found)
    status = after.checkpoints["old"]
    assert status.phase == "Failed"
    assert status.last_error is not None
    assert (status.last_error.reason, str(found) in status.last_error.message) == ("NotWhole", True)


def test_it_fails_for_its_version_when_this_flink_cannot_read_it():
    after = look(imported(), Verification(unreadable="found version 7", version=7))
    error = after.checkpoints["old"].last_error
    assert (after.checkpoints["old"].phase, error.reason) == ("Failed", "VersionNotReadable")
    assert "in version 7, and Flink 2.3 reads 2 to 6" in error.message


def test_nobody_knows_is_no_failure():
    found = look(imported(), "the store does not answer")
    assert found.checkpoints["old"].phase == "Pending"
    assert "does not answer" in found.condition("Reconciling", "old").message


def test_it_waits_for_a_store_that_can_be_used():
    seen = observed(job(live()), checkpoints=(imported(),), store=StoreView(PLACE, problem="it is not Ready"))
    found = look(imported(), None, seen)
    assert found.checkpoints["old"].phase == "Pending"
    assert "not Ready" in found.condition("Reconciling", "old").message


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("s3://other/savepoint-1", "not in bucket checkpoints"),
        (PLACE.uri(f"{HOME}savepoints/x/savepoint-1"), "in the directory of a StreamJob"),
        (retained(3), "in the directory of a StreamJob"),
    ],
)
def test_it_may_not_lie_in_another_bucket_or_where_a_job_could_delete_it(location: str, words: str):
    error = look(imported(location=location), FOUND).checkpoints["old"].last_error
    assert error is not None
    assert (error.reason, words in error.message) == ("PlaceNotOurs", True)


def test_without_its_job_nobody_knows_its_store():
    found = moves(observed(None, checkpoints=(imported(),), runs=(), flink=None))
    assert found.condition("Stalled", "old").reason == "JobNotFound"


# ---------------------------------------------------------------- starting from it


def test_a_job_starts_from_it_when_it_is_named():
    one = imported("Present")
    seen = idle(job({"applied": None}, **NAMED), checkpoints=(one,), listing=listing())
    began = moves(seen).status.intent.started_from
    assert (began.kind, began.location, began.checkpoint) == ("Checkpoint", LOCATION, "old")


def test_it_is_looked_at_before_the_start_wherever_it_lies():
    seen = idle(job({"applied": None}, **NAMED), checkpoints=(imported("Present"),), listing=listing())
    assert wishes(seen) == (Wish(LOCATION, NOW - timedelta(minutes=1), start="1/", anywhere=True),)


def test_a_running_job_is_stopped_for_it():
    seen = observed(job(live(), **NAMED), checkpoints=(imported("Present"),), listing=listing())
    assert moves(seen).intent == "Stop Savepoint"


def test_a_run_that_was_lost_before_its_first_checkpoint_starts_from_it_again():
    began = started_from(LOCATION, checkpoint="old")
    status = ended("LOST", started_from=began, latest_checkpoint=None)
    seen = idle(job(status), checkpoints=(imported("Present"),), listing=listing())
    assert moves(seen).status.intent.started_from.location == LOCATION


def test_latest_does_not_take_it_unasked_and_does_not_begin_empty_either():
    seen = idle(job({"applied": None}), checkpoints=(imported("Present"),), listing=listing())
    found = moves(seen)
    assert (found.intent, found.stalled) == ("", "NothingToStartFrom")
    assert "spec.startFrom.checkpoint.name: old" in found.condition("Stalled").message


def test_latest_takes_the_jobs_own_state_though_an_imported_one_is_newer():
    own = stored(retained(3), 3, run=RUN)
    seen = idle(job({"applied": None}), checkpoints=(imported("Present"),), listing=listing(own))
    assert moves(seen).status.intent.started_from.location == retained(3)


def test_one_that_is_not_present_is_not_started_from():
    seen = idle(job({"applied": None}, **NAMED), checkpoints=(imported("Pending"),), listing=listing())
    assert moves(seen).stalled == "CheckpointNotPresent"


# ---------------------------------------------------------------- its data is not ours


@pytest.mark.parametrize("status", [live(), live(started_from=started_from(LOCATION), latest_checkpoint=None)])
def test_its_object_goes_at_once_and_its_data_stays(status: dict[str, Any]):
    one = imported("Present", deleted=NOW)
    found = moves(observed(job(status), checkpoints=(one,)))
    assert found.effects == (SetFinalizer("Checkpoint", "old", present=False),)
    assert "Retained" in found.events


def test_deleting_the_job_with_everything_leaves_it():
    gone = job(ended("STOPPED"), deleted=NOW, onDelete={"checkpoints": "Delete"})
    assert "DeleteCheckpoint" not in moves(idle(gone, checkpoints=(imported("Present"),))).kinds
