"""What stays known of each run: recorded once at its start and once at its end, whatever is lost in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.history import RunRecord
from penstock.api.streamjob_status import EndState
from penstock.decide import decide
from penstock.decide.history import KEPT
from penstock.model import Observed, RecordRun
from tests.unit.builders import (
    BEFORE,
    NOW,
    OLD_RUN,
    RUN,
    ended,
    idle,
    job,
    live,
    observed,
    revision,
    savepoint,
    started_from,
)
from tests.unit.decide.test_scenarios import create, restore_older, start_again, stop, take, take_another, upgrade
from tests.unit.decide.toy import disturbed

BEGAN = started_from(savepoint(1), checkpoint="before", run=OLD_RUN, checkpoint_id=1, text="before", reason="asked for")


def recorded(seen: Observed) -> list[RecordRun]:
    return [each for step in decide(seen).steps for each in step.effects if isinstance(each, RecordRun)]


def unrecorded(seen: Observed, **runs: RunRecord) -> Observed:
    return replace(seen, revisions=(replace(revision(), runs=runs),))


def record(**more: Any) -> RunRecord:
    return RunRecord.model_validate({"kind": "Empty", "startedAt": BEFORE} | more)


def test_a_run_is_recorded_with_what_it_started_from() -> None:
    [found] = recorded(unrecorded(observed(job(live(BEGAN)))))
    assert (found.revision, found.run, found.forget) == ("flights-v1", RUN, ())
    made = found.record
    assert (made.started_at, made.kind, made.checkpoint, made.location) == (
        BEFORE,
        "Checkpoint",
        "before",
        savepoint(1),
    )
    assert (made.location, made.checkpoint_id, made.run) == (savepoint(1), 1, OLD_RUN)
    assert (made.text, made.reason) == ("before", "asked for")
    assert (made.ended_at, made.end_state) == (None, None)


def test_what_is_recorded_is_not_written_again() -> None:
    assert recorded(observed(job(live(BEGAN)))) == []


def test_its_end_is_added_and_its_start_stays_as_it_was() -> None:
    known = record(kind="Replay", text="replay from 2026-01-30T12:00:00Z")
    over = job(ended("STOPPED", run={"stop_reason": "Upgrade"}), state="Stopped")
    [found] = recorded(unrecorded(idle(over), **{RUN: known}))
    end = {"ended_at": BEFORE, "end_state": EndState.STOPPED, "stop_reason": "Upgrade"}
    assert found.record == known.model_copy(update=end)


def test_the_end_that_was_seen_first_stays() -> None:
    """A job that has failed and is then stopped by its user counts as stopped; the run has failed all the same."""
    known = record(endedAt=BEFORE, endState="FAILED")
    assert recorded(unrecorded(idle(job(ended("STOPPED"), state="Stopped")), **{RUN: known})) == []


def test_a_record_hinders_no_start_and_stands_in_no_checkpoints_step() -> None:
    steps = decide(unrecorded(observed(job(live())))).steps
    [step] = [each for each in steps if any(isinstance(effect, RecordRun) for effect in each.effects)]
    assert (step.owner, step.status, len(step.effects)) == ("ControllerRevision/flights-v1", None, 1)


def test_of_too_many_runs_the_oldest_go() -> None:
    others = {f"{number:032x}": record(startedAt=BEFORE - timedelta(minutes=number)) for number in range(KEPT + 2)}
    [found] = recorded(unrecorded(observed(job(live())), **others))
    assert found.forget == (f"{KEPT - 1:032x}", f"{KEPT:032x}", f"{KEPT + 1:032x}")
    [found] = recorded(unrecorded(observed(job(live())), **dict(list(others.items())[: KEPT - 1])))
    assert found.forget == ()


def test_nothing_is_recorded_of_what_is_not_known_or_is_going_away() -> None:
    assert recorded(replace(observed(job(live())), revisions=())) == []
    assert recorded(unrecorded(idle(job({})))) == []
    assert recorded(unrecorded(observed(job(live(), deleted=NOW)))) == []
    assert recorded(unrecorded(observed(job(live()), namespace_terminating=True))) == []


# ---------------------------------------------------------------- the operator is killed

STORIES = [(create, upgrade), (create, stop), (create, stop, start_again), (create, take, take_another, restore_older)]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[-1].__name__)
def test_killed_after_any_operation_it_has_recorded_every_run_that_flink_started(story: Any) -> None:
    killed = [toy for toy, _ in disturbed(story, lambda toy: toy.tick(1))]
    assert killed
    for toy in killed:
        assert toy.violations == []
        known = {run: each for version in toy.revisions.values() for run, each in version.runs.items()}
        started = dict(toy.starts)
        assert {run: known[run].location or "" for run in started} == started
        over = [run for run, each in known.items() if each.end_state is None]
        assert over == ([toy.status.run.id] if toy.status.run.ended_at is None else [])
