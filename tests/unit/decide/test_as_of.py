"""Positions of a job that is to start from what was complete at some time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock.api.base import format_time
from penstock.api.checkpoint import Checkpoint
from penstock.model import Observed
from tests.unit.builders import (
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    deleting,
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
    stored,
)
from tests.unit.decide.moves import moves

FIRST, SECOND = NOW - timedelta(hours=5), NOW - timedelta(hours=3)
"""When Checkpoints 1 and 2 were complete."""
STORED = listing(stored(savepoint(1), 1, run=OLD_RUN), stored(savepoint(2), 2, run=OLD_RUN))
HOUR = timedelta(hours=1)


def present(number: int, complete: datetime, **more: Any) -> Checkpoint:
    return checkpoint(f"c{number}", number, "Present", {"completion_time": complete} | more.pop("status", {}), **more)


BOTH = (present(1, FIRST), present(2, SECOND))


def as_of(time: datetime | str) -> dict[str, Any]:
    return {"startFrom": {"asOf": {"time": time if isinstance(time, str) else format_time(time)}}}


def starting(time: datetime | str, checkpoints: tuple[Checkpoint, ...] = BOTH, **more: Any) -> Observed:
    return idle(job({"applied": None}, **as_of(time)), checkpoints=checkpoints, **({"listing": STORED} | more))


def chosen(seen: Observed) -> str:
    found = moves(seen)
    return found.status.intent.started_from.checkpoint if found.intent else found.stalled


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (FIRST - timedelta(seconds=1), "NothingAsOf"),
        (FIRST, "c1"),
        (SECOND - timedelta(seconds=1), "c1"),
        (SECOND, "c2"),
        (NOW, "c2"),
        (NOW + timedelta(seconds=1), "TimeInTheFuture"),
    ],
)
def test_it_is_the_newest_that_was_complete_by_then(time: datetime, expected: str):
    assert chosen(starting(time)) == expected


def test_a_time_is_of_its_zone():
    # Two hours after FIRST by the clock on the wall, an hour before it in truth.
    wall = (FIRST + 2 * HOUR).strftime("%Y-%m-%dT%H:%M:%S")
    assert chosen(starting(f"{wall}+03:00")) == "NothingAsOf"
    assert chosen(starting(f"{wall}+01:00")) == "c1"


def test_the_refusal_names_the_first_that_there_is():
    message = moves(starting(FIRST - HOUR)).condition("Stalled").message
    assert f"the first that there is was complete at {format_time(FIRST)}" in message
    assert "there is none" in moves(starting(NOW, ())).condition("Stalled").message


@pytest.mark.parametrize(
    "second",
    [
        checkpoint("c2", 2, "Cleared", {"completion_time": SECOND}),
        checkpoint("c2", 2, "Failed", {"completion_time": SECOND}),
        present(2, SECOND, deleted=NOW),
        present(2, SECOND, status=deleting()),
    ],
)
def test_what_is_gone_or_goes_does_not_count(second: Checkpoint):
    assert chosen(starting(NOW, (BOTH[0], second))) == "c1"


def test_what_has_no_data_any_more_does_not_count():
    assert chosen(starting(NOW, listing=listing(stored(savepoint(1), 1)))) == "c1"


def test_a_running_job_is_stopped_for_it_and_the_choice_stands():
    found = moves(observed(job(live(), **as_of(SECOND)), checkpoints=BOTH, listing=STORED))
    assert found.intent == "Stop Savepoint"
    assert found.status.intent.next_start_from == {"checkpoint": {"name": "c2"}}


def test_a_running_job_is_not_touched_when_there_is_none():
    found = moves(observed(job(live(), **as_of(FIRST - HOUR)), checkpoints=BOTH, listing=STORED))
    assert (found.intent, found.stalled) == ("", "NothingAsOf")
    assert "The job runs on" in found.condition("Stalled").message


def test_one_of_the_live_runs_own_is_restored_by_a_cancel():
    status = {"location": retained(9), "target_directory": None, "checkpoint_id": 9, "run": RUN}
    own = present(9, SECOND, source="Retained", origin={"run": RUN, "checkpointId": 9}, status=status)
    entry = stats(9, retained(9))
    seen = observed(
        job(live(), **as_of(NOW)),
        checkpoints=(BOTH[0], own),
        flink=flink(completed=entry, history=(entry,)),
        listing=listing(stored(savepoint(1), 1), stored(retained(9), 9, run=RUN)),
    )
    assert moves(seen).intent == "Stop Cancel"


def test_it_is_applied_once():
    applied = ended("LOST", applied={"start_from": as_of(SECOND)["startFrom"], "restart_token": ""})
    newest = stored(retained(11), 11, run=RUN)
    seen = idle(job(applied, **as_of(SECOND)), checkpoints=BOTH, listing=listing(*STORED.states, newest))
    assert moves(seen).status.intent.started_from.location == retained(11)
