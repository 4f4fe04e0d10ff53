"""A Checkpoint that was made anew after a cluster was lost: found at its place, or failed, and never taken again."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint
from penstock.model import JobListing, Unknown
from tests.unit.builders import (
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
    uid,
)
from tests.unit.decide.moves import moves, one

NOTE = {"checkpoint": "before", "uid": uid(9), "run": RUN}


def rebuilt(phase: str | None = None, place: str = savepoint(1), **change: Any) -> Checkpoint:
    made = checkpoint("before", 5, phase, **change)
    annotations = {constants.ANNOTATION_REBUILT_FROM: place}
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"annotations": annotations})})


def test_it_is_found_at_its_place() -> None:
    found = one(rebuilt(), listing=listing(stored(savepoint(1), note=NOTE)))
    assert (found.effects, found.checkpoints["before"].phase) == ((), "Present")
    assert found.checkpoints["before"].location == savepoint(1)


def test_a_newer_one_of_its_name_at_another_place_is_not_it() -> None:
    states = (stored(savepoint(1), 1, note=NOTE), stored(savepoint(2), 2, note=NOTE))
    assert one(rebuilt(), listing=listing(*states)).checkpoints["before"].location == savepoint(1)


@pytest.mark.parametrize("source", ["Manual", "Stop", "Upgrade", "Schedule"])
@pytest.mark.parametrize(
    "there",
    [
        JobListing(),
        listing(stored(savepoint(2), note=NOTE)),
        listing(stored(savepoint(1), note=NOTE | {"checkpoint": "other"})),
    ],
    ids=["nothing", "another place", "another name"],
)
def test_what_is_not_at_its_place_fails_and_is_not_taken(source: str, there: JobListing) -> None:
    found = one(rebuilt(source=source), listing=there, flink=flink())
    status = found.checkpoints["before"]
    assert (found.effects, status.phase, status.settled) == ((), "Failed", True)
    assert status.last_error is not None
    assert status.last_error.reason == "NotFound"
    assert savepoint(1) in status.last_error.message


def test_not_even_when_a_stop_waits_for_one_of_its_name() -> None:
    with_stop = job(live(intent=stop_intent(checkpoint="before")))
    found = moves(observed(with_stop, checkpoints=(rebuilt(source="Stop"),), listing=JobListing()))
    assert found.checkpoints["before"].phase == "Failed"
    assert "TriggerSavepoint" not in found.kinds


def test_not_even_when_it_waits_already() -> None:
    found = one(rebuilt("Pending"), flink=flink())
    assert (found.effects, found.checkpoints["before"].phase) == ((), "Failed")


@pytest.mark.parametrize("unknown", [Unknown("time-out"), None])
def test_nothing_is_decided_before_the_store_has_been_listed(unknown: Any) -> None:
    found = one(rebuilt(), listing=unknown)
    assert (found.effects, found.checkpoints["before"].phase) == ((), None)


def test_without_its_streamjob_it_waits() -> None:
    found = moves(idle(None, checkpoints=(rebuilt(),)))  # type: ignore[arg-type]
    assert found.effects == ()
    assert (found.checkpoints["before"].phase, found.condition("Stalled", "before").reason) == (None, "JobNotFound")
