"""Positions in which data are to go because they are old (`checkpoints.retention.maxAge`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.model import JobListing
from tests.unit.builders import NOW, OLD_RUN, checkpoint, complete, deleting, ended, idle, job, live, observed
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.rules import is_deleting
from tests.unit.decide.test_clearing import IN_USE, going, present

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
