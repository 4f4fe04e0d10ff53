"""Positions of a running job that is to be stopped for a replay: how long that will take is told before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.base import format_time
from penstock.api.preflight import ReplayForecast
from penstock.decide import forecast, sources
from penstock.model import JobListing, Observed, ProgramPod
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import Held
from tests.unit.builders import BEFORE, FITS, NOW, job, live, observed
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.test_replay import asked
from tests.unit.decide.test_sources import SOURCES, millis

MINUTES = timedelta(minutes=5)
CAPACITY = {"records_per_second": 100, "readers": 2, "restart_seconds": 20, "job_version": 3, "time": BEFORE}
ENDS = {0: 10_000, 1: 4000}
TOPIC = Topic("flights", tuple(Partition(number, 100, end, 0) for number, end in ENDS.items()))


def running(capacity: dict[str, Any] | None = None, **spec: Any) -> Observed:
    status = live() | ({"capacity": capacity} if capacity else {})
    seen = observed(
        job(status, **(asked("1h") | SOURCES | {"parallelism": 2} | spec)), listing=JobListing(), programs=()
    )
    return with_topic(seen)


def with_topic(seen: Observed) -> Observed:
    """The broker has said that it holds all that the replay would read."""
    return replace(seen, held={wish: Held(wish, NOW, Measured((TOPIC,))) for wish in sources.wishes(seen)})


def later(seen: Observed, found: Moves, **changes: Any) -> Observed:
    """The next pass, which has loaded what the one before has written."""
    assert seen.job is not None
    return with_topic(replace(seen, job=seen.job.model_copy(update={"status": found.status}), **changes))


def answer(seen: Observed, *offsets: dict[int, int]) -> Observed:
    """The broker's answer: for each of the times the first offset of then or later, by partition."""
    (wish,) = forecast.wishes(seen)
    told = {
        time: {("flights", number): offset for number, offset in each.items()}
        for time, each in zip(wish.times, offsets, strict=True)
    }
    return replace(seen, held={**seen.held, wish: Held(wish, NOW, Measured((TOPIC,), offsets=told))})


def tried(found: Moves) -> ProgramPod:
    """The pod that was asked for, with the answer that the program can make its graph."""
    assert found.status.restore is not None
    assert found.status.restore.preflight is not None
    return ProgramPod(found.status.restore.preflight.id, made=True, answer=FITS, ended=True)


def estimate(found: Moves) -> ReplayForecast | None:
    assert found.status.restore is not None
    assert found.status.restore.preflight is not None
    return found.status.restore.preflight.estimate


def test_the_brokers_are_asked_once_what_lies_there_and_what_came_lately():
    first = moves(running())
    told = estimate(first)
    assert told is not None
    assert (told.reads_from, told.reads_until, told.asked_at, told.text) == (NOW - MINUTES * 12, None, NOW, "")
    seen = later(running(), first)
    (wish,) = forecast.wishes(seen)
    assert wish.times == (millis(NOW - MINUTES * 12), millis(NOW - MINUTES))
    assert (wish.connection, wish.topics) == ("kafka", ("flights",))
    assert forecast.wishes(later(running(), moves(answer(seen, {0: 7000, 1: 0}, {0: 9700, 1: 4000})))) == ()


def test_it_is_told_while_the_program_is_tried_and_stays():
    seen = later(running(CAPACITY), moves(running(CAPACITY)))
    found = moves(answer(seen, {0: 7000, 1: 0}, {0: 9700, 1: 4000}))
    told = estimate(found)
    assert told is not None
    # 3000 and 3900 records by a subtask each at 50/s; into the first one arrives 1/s, 20 of them while it starts.
    assert (told.seconds, told.backlog_records, told.arrival_per_second, told.restart_seconds) == (98, 6900, 1, 20)
    assert told.text.startswith("1m 38s: 20 s to restart, then 6900 records at 100 records/s, as in version 3")
    assert f"expected to catch up: {told.text}" in found.condition("Reconciling").message
    stopped = moves(later(seen, found, programs=(tried(found),)))
    assert (stopped.intent, estimate(stopped)) == ("Stop Savepoint", told)


def test_nobody_waits_for_it():
    first = moves(running())
    found = moves(later(running(), first, programs=(tried(first),)))
    assert found.intent == "Stop Savepoint"
    assert (told := estimate(found)) is not None
    assert told.text == ""


def test_a_broker_that_does_not_answer_leaves_it_open():
    seen = later(running(CAPACITY), moves(running(CAPACITY)))
    (wish,) = forecast.wishes(seen)
    found = moves(replace(seen, held={**seen.held, wish: Held(wish, NOW, trouble="no broker answers")}))
    assert (told := estimate(found)) is not None
    assert told.text == ""
    assert "expected" not in found.condition("Reconciling").message


def test_a_backfill_reads_no_further_than_its_end():
    spec = asked("1h")["startFrom"]["replay"] | {"to": format_time(NOW - MINUTES)}
    of = running(CAPACITY, startFrom={"replay": spec})
    seen = later(of, moves(of))
    told = estimate(moves(answer(seen, {0: 7000, 1: 0}, {0: 9700, 1: 4000}, {0: 8000, 1: 50})))
    assert told is not None
    assert (told.backlog_records, told.arrival_per_second) == (1000, 0)


@pytest.mark.parametrize(
    "spec",
    [{"startFrom": {"latest": {}}, "parallelism": 3}, {"sources": [{"name": "x", "generic": {"retention": "999h"}}]}],
    ids=["no replay", "nothing to ask"],
)
def test_nothing_is_asked_for_other_starts(spec: dict[str, Any]):
    found = moves(running(**spec))
    assert found.intent == ""
    assert estimate(found) is None
