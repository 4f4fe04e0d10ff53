"""Positions of a job that comes back: what is told of it at each look, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock.api.base import dump
from penstock.api.conditions import find_condition
from penstock.api.recovery import Recovery
from penstock.decide.caught_up import sentence
from penstock.model import Unknown
from penstock.source.looks import Look
from tests.unit.builders import BEFORE, NOW, RUN, idle, job, live, savepoint, started_from
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.recoveries import (
    FIRST,
    SOURCES,
    after,
    attempt,
    caught_up,
    coming,
    followed,
    look,
    recovery,
    told,
)

# ---------------------------------------------------------------- phases and writes


@pytest.mark.parametrize(
    ("before", "answer", "phase"),
    [
        ("Restarting", None, "Restarting"),
        ("Restarting", Unknown("time-out"), "Restarting"),
        ("Restarting", attempt(all_running=False), "Restarting"),
        ("Restarting", attempt(all_running=False, restoring=True), "RestoringState"),
        ("RestoringState", attempt(all_running=False), "RestoringState"),
        ("RestoringState", attempt(), "CatchingUp"),
        ("Restarting", attempt(), "CatchingUp"),
        ("CatchingUp", Unknown("time-out"), "CatchingUp"),
        ("CatchingUp", attempt(all_running=False), "CatchingUp"),
    ],
)
def test_a_phase_is_what_flink_says_and_never_goes_back(before: str, answer: Any, phase: str) -> None:
    found = moves(coming(recovery(before), flink=answer))
    assert found.status.recovery is not None
    assert found.status.recovery.phase == phase
    assert caught_up(found)[1] == (phase if phase != before else "")
    assert found.events == ((phase,) if phase != before else ())


@pytest.mark.parametrize("ago", [0, 2, 4])
def test_nothing_is_written_before_the_next_look(ago: float) -> None:
    seen = replace(coming(recovery(seconds_ago=ago)), followed=followed(look(0, 500)))
    found = moves(seen)
    assert found.status.recovery == recovery(seconds_ago=ago)
    assert found.wake == pytest.approx(5 - ago)


def test_a_write_is_never_less_than_five_seconds_after_the_one_before() -> None:
    """A status holds whole seconds: what was written at .9 must not be taken for one at .0."""
    seen = replace(coming(recovery()), now=NOW + timedelta(milliseconds=900))
    stored = after(moves(seen), seen, 0).job
    assert stored is not None
    assert stored.status.recovery is not None
    assert stored.status.recovery.updated_at == NOW + timedelta(seconds=1)


def test_since_when_all_tasks_run_is_flinks_word() -> None:
    found = told(coming(recovery()), look(0, 100, running_millis=3000))
    assert found.state_restored_at == NOW - timedelta(seconds=3)
    assert told(coming(found.model_copy(update={"updated_at": BEFORE})), look(0, 100)).state_restored_at == (
        found.state_restored_at
    )


def test_what_a_look_says() -> None:
    found = told(coming(recovery("CatchingUp")), look(5, 300), look(0, 550))
    assert (found.measured_by, found.read_from, found.backlog_at_start, found.backlog_records) == (
        "Offsets",
        100,
        450,
        450,
    )
    assert (found.percent, found.records_per_second, found.arrival_per_second) == (50, 50, 0)
    assert found.estimated_completion == NOW + timedelta(seconds=9)
    assert (found.text, found.short) == ("CatchingUp 50%, 9.0 s left", "50%, 9.0 s")


def test_percent_never_falls() -> None:
    before = recovery("CatchingUp", percent=70, read_from=100, backlog_at_start=900)
    assert told(coming(before), look(5, 300), look(0, 550)).percent == 70


def test_never_is_said_and_why() -> None:
    looks = (look(20, 300, 1000), look(0, 550, 2000))
    found = told(coming(recovery("CatchingUp")), *looks)
    assert (found.estimated_completion, found.outlook) == (None, "never catches up: 50 records/s arrive, 12 are read")
    assert (found.text, found.short) == ("CatchingUp 23%, never", "23%, never")


def test_a_job_that_never_catches_up_is_looked_at_less_often() -> None:
    looks = (look(20, 300, 1000), look(0, 550, 2000))
    seen = replace(coming(recovery("CatchingUp")), followed=followed(*looks))
    found = moves(seen)
    assert moves(after(found, seen, 29)).status.recovery == found.status.recovery
    again = after(found, seen, 30, followed=followed(look(-30, 600)))
    assert (told := moves(again).status.recovery) is not None
    assert told.updated_at == again.now


def test_a_broker_that_does_not_answer_is_said() -> None:
    silent = Look(NOW, running_millis=1000, trouble="the broker does not answer")
    found = told(coming(recovery("CatchingUp", percent=40)), look(5, 300), silent)
    assert (found.phase, found.percent, found.outlook) == ("CatchingUp", 40, "the broker does not answer")
    assert told(coming(recovery()), silent, base=None).outlook == "the broker does not answer"


# ---------------------------------------------------------------- the estimate before


CAPACITY = {"records_per_second": 100, "readers": 2, "restart_seconds": 20, "job_version": 3, "time": BEFORE}


def forecast(*looks: Look, capacity: dict[str, Any] | None = None, **spec: Any) -> Any:
    status = {"capacity": capacity} if capacity else {}
    return told(coming(recovery(), status=status, spec=SOURCES | spec, flink=None), *looks).estimate_at_start


def test_the_estimate_is_made_before_anything_is_read_and_stays() -> None:
    found = forecast(look(5, None), look(0, None, running_millis=None), capacity=CAPACITY)
    # 900 records at 50/s by the one subtask that has something to read, after 20 s.
    assert (found.seconds, found.backlog_records, found.capacity_per_second, found.restart_seconds) == (38, 900, 50, 20)
    assert found.text == "38.0 s: 20 s to restart, then 900 records at 50 records/s, as in version 3"
    later = recovery("CatchingUp", estimate_at_start=found)
    assert told(coming(later, status={"capacity": CAPACITY}), look(5, 300), look(0, 550)).estimate_at_start == found


def test_what_was_measured_with_as_many_readers_counts() -> None:
    one = CAPACITY | {"records_per_second": 90, "readers": 1, "job_version": 2}
    known = {"capacity": CAPACITY, "capacities": (CAPACITY, one)}
    seen = coming(recovery(), status=known, flink=None)
    found = told(seen, look(5, None), look(0, None)).estimate_at_start
    assert found is not None
    assert (found.capacity_per_second, found.text.rpartition(", ")[2]) == (90, "as in version 2")


def test_a_new_measure_takes_the_place_of_that_of_as_many_readers() -> None:
    one = CAPACITY | {"records_per_second": 90, "readers": 1}
    before = recovery("CatchingUp", state_restored_at=BEFORE)
    seen = coming(before, status={"capacity": CAPACITY, "capacities": (CAPACITY, one)})
    found = moves(replace(seen, followed=followed(look(10, 200), look(5, 600), look(0, 1000))))
    assert [(each.readers, each.records_per_second) for each in found.status.capacities] == [(1, 80), (2, 100)]


def test_the_first_look_alone_does_not_know_what_arrives() -> None:
    assert forecast(look(0, None), capacity=CAPACITY) is None


def test_what_arrives_counts() -> None:
    found = forecast(look(10, None, 1000), look(0, None, 1100), capacity=CAPACITY)
    # (1000 + 20 s x 10/s) / (50 - 10) after 20 s
    assert (found.seconds, found.arrival_per_second) == (50, 10)
    assert found.text.endswith("as in version 3, less 10 that arrive")


def test_an_arrival_above_the_capacity_never_ends() -> None:
    found = forecast(look(10, None, 1000), look(0, None, 2000), capacity=CAPACITY)
    assert (found.seconds, found.text) == (
        None,
        "never: 100 records/s arrive, and it reads 50 records/s, as in version 3",
    )


def test_without_a_former_run_nobody_knows() -> None:
    found = forecast(look(5, None), look(0, None))
    assert (found.seconds, found.restart_seconds, found.backlog_records) == (None, 30, 900)
    assert found.text == "nobody knows: the job's speed has not been measured yet"


# ---------------------------------------------------------------- the end


def test_it_is_over_when_the_backlog_is_gone() -> None:
    restored_at = NOW - timedelta(seconds=20)
    before = recovery("CatchingUp", state_restored_at=restored_at, started_at=NOW - timedelta(seconds=45))
    looks = (look(10, 200), look(5, 600), look(0, 1000))
    seen = replace(coming(before), followed=followed(*looks))
    found = moves(seen)
    over = found.status.recovery
    assert over is not None
    assert (over.phase, over.percent, over.backlog_records, over.lag_seconds) == ("CaughtUp", 100, 0, 0)
    assert (over.caught_up_at, over.estimated_completion) == (NOW, None)
    assert dump(over.actual) == {"seconds": 45, "restartSeconds": 25, "records": 900}
    assert (over.text, over.short) == ("CaughtUp in 45.0 s", "CaughtUp")
    assert caught_up(found) == ("True", "CaughtUp")
    assert found.events == ("CaughtUp",)
    assert dump(found.status.capacity)["recordsPerSecond"] == 80
    again = moves(after(found, seen, 60))
    assert again.status.recovery == over


def test_a_capacity_stays_when_it_was_too_short_to_be_measured_again() -> None:
    seen = coming(recovery("CatchingUp"), status={"capacity": CAPACITY})
    found = moves(replace(seen, followed=followed(look(5, 990), look(0, 1000))))
    assert found.status.recovery.phase == "CaughtUp"
    assert dump(found.status.capacity)["recordsPerSecond"] == 100


def test_all_is_read_only_once_all_tasks_run() -> None:
    found = told(coming(recovery(), flink=attempt(all_running=False)), look(5, 1000), look(0, 1000))
    assert (found.phase, found.percent) == ("Restarting", 99)


def test_a_backfill_that_has_ended_has_caught_up() -> None:
    before = recovery("CatchingUp", measured_by="Offsets", percent=60, backlog_records=400)
    ended_at = NOW - timedelta(seconds=1)
    status = live(
        started_from(savepoint(1)),
        recovery=before,
        run={"ended_at": ended_at, "end_state": "FINISHED", "swept": True, "attempt": FIRST},
        state="Finished",
    )
    found = moves(idle(job(status, **SOURCES)))
    assert found.status.recovery is not None
    assert (found.status.recovery.phase, found.status.recovery.percent) == ("CaughtUp", 100)
    assert found.status.recovery.caught_up_at == ended_at
    assert caught_up(found) == ("True", "CaughtUp")


# ---------------------------------------------------------------- without sources that can be asked


def without_sources(found: Recovery, *looks: Look, now: datetime = NOW) -> Moves:
    seen = replace(coming(found, spec={}), now=now)
    return moves(replace(seen, followed=followed(*looks, base=None)))


def mark(seconds: float, behind: float | None) -> Look:
    at = NOW - timedelta(seconds=seconds)
    millis = None if behind is None else int((at.timestamp() - behind) * 1000)
    return Look(at, watermark=millis, running_millis=1000)


def test_watermarks_tell_where_no_source_can_be_asked() -> None:
    found = without_sources(recovery("CatchingUp"), mark(5, 600), mark(0, 500)).status.recovery
    assert found is not None
    assert (found.measured_by, found.lag_seconds, found.percent) == ("Watermarks", 500, None)
    assert found.estimated_completion == NOW + timedelta(seconds=25)
    assert found.outlook == (
        "told by watermarks, because spec.sources names no Kafka topic; "
        "it gets through 21.0 s of its own time in a second"
    )
    over = without_sources(recovery("CatchingUp"), mark(10, 30), mark(5, 30), mark(0, 30))
    assert caught_up(over) == ("True", "CaughtUp")


def test_without_watermarks_nothing_can_be_told_and_that_is_said() -> None:
    restored_at = NOW - timedelta(seconds=4)
    before = recovery("CatchingUp", state_restored_at=restored_at, started_at=NOW - timedelta(seconds=20))
    early = without_sources(before, mark(0, None))
    assert early.status.recovery is not None
    assert early.status.recovery.phase == "CatchingUp"
    late = without_sources(before, mark(0, None), now=NOW + timedelta(seconds=1))
    told = late.status.recovery
    assert told is not None
    assert (told.phase, told.measured_by, told.percent) == ("CaughtUp", "Nothing", None)
    assert told.caught_up_at == restored_at
    assert (told.text, told.short) == ("Restored in 16.0 s, backlog not known", "Restored")
    condition = find_condition(late.status.conditions, "CaughtUp")
    assert condition is not None
    assert (condition.status, condition.reason, condition.message) == (
        "Unknown",
        "NotMeasured",
        "no backlog can be told: spec.sources names no Kafka topic, and the job has no watermarks",
    )


# ---------------------------------------------------------------- when it is broken off


def test_a_flink_that_does_not_answer_for_a_look_changes_no_figure() -> None:
    before = recovery("CatchingUp", percent=40, backlog_records=500, read_from=100, backlog_at_start=900)
    silent = replace(look(0, None, running_millis=None), trouble="time-out")
    found = told(coming(before), look(5, 500), silent)
    assert (found.backlog_records, found.percent, found.outlook) == (500, 40, "time-out")


@pytest.mark.parametrize("end", ["STOPPED", "FAILED", "LOST", "CANCELED"])
def test_a_run_that_ends_before_it_has_caught_up_leaves_no_promise(end: str) -> None:
    before = recovery("CatchingUp", text="CatchingUp 40%, 9.0 s left", estimated_completion=NOW, percent=40)
    run = {"ended_at": BEFORE, "end_state": end, "swept": True, "attempt": FIRST}
    status = live(started_from(savepoint(1)), recovery=before, run=run, state="Stopped")
    seen = idle(job(status, state="Stopped", **SOURCES))
    found = moves(seen)
    assert found.status.recovery is not None
    assert (found.status.recovery.text, found.status.recovery.short) == ("Ended", "Ended")
    assert found.status.recovery.estimated_completion is None
    assert caught_up(found) == ("False", "Ended")
    assert moves(after(found, seen, 30)).status.recovery == found.status.recovery


def test_the_event_of_the_end_says_how_long_it_took_and_what_had_been_expected() -> None:
    over = Recovery.model_validate(
        {
            "run": RUN,
            "cause": "Replay",
            "phase": "CaughtUp",
            "started_at": BEFORE,
            "text": "CaughtUp in 40.0 s",
            "actual": {"seconds": 40},
            "estimate_at_start": {"seconds": 55},
        }
    )
    assert sentence(over) == "after Replay: CaughtUp in 40.0 s; 55.0 s had been expected"
