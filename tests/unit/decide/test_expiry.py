"""Positions of a start from a state whose offsets the broker may have deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock.decide.sources import wishes
from penstock.model import DeleteGraph, Effect, Observed
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import Held, SourceWish
from penstock.verdict import Positions, Verification, Verified
from tests.unit.builders import (
    BEFORE,
    NAMESPACE,
    NOW,
    RUN,
    checkpoint,
    ended,
    idle,
    job,
    listing,
    live,
    observed,
    retained,
    revision,
    savepoint,
    started_from,
    stored,
)
from tests.unit.decide.moves import Moves, moves

SOURCES: dict[str, Any] = {"sources": [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]}
NAMED: dict[str, Any] = {"startFrom": {"checkpoint": {"name": "before"}}}
OVERRIDDEN = {"startFrom": NAMED["startFrom"] | {"override": ["SourceOffsetsExpired"]}}
AS_OF = {"startFrom": {"asOf": {"time": "2026-01-31T12:00:00Z"}}}
PRESENT = checkpoint("before", 1, "Present")
STORED = listing(stored(savepoint(1), 1))
POSITIONS = Positions({("flights", 0): 10, ("flights", 1): 100, ("others", 0): 1})


def millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def measured(*earliest: int, first: datetime | None = NOW - timedelta(hours=3), latest: int = 500) -> Measured:
    """Topic flights, of partitions that begin there."""
    parts = [Partition(n, each, latest, millis(first) if first else None) for n, each in enumerate(earliest)]
    return Measured((Topic("flights", tuple(parts)),))


def fresh(**spec: Any) -> Observed:
    """A job of which nothing runs, that is to start from `before`."""
    seen = idle(job({"applied": None}, **(NAMED | SOURCES | spec)), checkpoints=(PRESENT,), listing=STORED)
    return looked_at(seen)


def running(**spec: Any) -> Observed:
    """A job that runs, and is to be restored from `before`."""
    return looked_at(observed(job(live(), **(NAMED | SOURCES | spec)), checkpoints=(PRESENT,), listing=STORED))


def over(end: str, reason: str = "", **status: Any) -> Observed:
    """A job whose run has ended, and that starts from its newest state."""
    run = {"end_state": end, "stop_reason": reason} | status.pop("run", {})
    spec = status.pop("spec", {})
    stream_job = job(ended(end, run=run, **status), **(SOURCES | spec))
    state = listing(stored(retained(7), 7))
    return looked_at(idle(stream_job, listing=state, revisions=(revision(),)), retained(7))


def looked_at(seen: Observed, location: str = savepoint(1), found: Positions = POSITIONS) -> Observed:
    start = seen.verified[location].start if location in seen.verified else ""
    return replace(seen, verified={location: Verified(NOW, Verification(3, 10, positions=found), start=start)})


def answered(seen: Observed, **answer: Any) -> Moves:
    held = {wish: Held(wish, NOW, **answer) for wish in wishes(seen)}
    assert held
    return moves(replace(seen, held=held))


def touched(found: Moves) -> tuple[Effect, ...]:
    """Without what becomes of the pod of a preflight that nobody waits for: it is always there in these positions."""
    return tuple(each for each in found.effects if not isinstance(each, DeleteGraph))


BOTH = pytest.mark.parametrize(("seen", "intent"), [(fresh(), "Start"), (running(), "Stop Savepoint")])


# ---------------------------------------------------------------- what is asked


def test_a_start_from_a_state_asks_for_its_topics():
    assert wishes(fresh()) == (SourceWish(NAMESPACE, "kafka", ("flights",), "1/"),)
    assert wishes(running()) == (SourceWish(NAMESPACE, "kafka", ("flights",), f"1/{RUN}"),)
    assert len(wishes(over("LOST"))) == 1


def test_a_job_that_runs_or_declares_nothing_asks_nothing():
    assert wishes(observed(job(live(), **SOURCES))) == ()
    assert wishes(fresh(sources=[])) == ()
    assert wishes(fresh(sources=[{"name": "events", "generic": {"retention": "1h"}}])) == ()


# ---------------------------------------------------------------- what a user asked for


@BOTH
@pytest.mark.parametrize(
    "answer",
    [measured(0, 0), measured(10, 100), measured(10, 100, 400), measured(10, 100, latest=100)],
    ids=["nothing deleted", "just there", "a partition that the state does not know", "read to the end"],
)
def test_what_is_there_is_gone_on_with(seen: Observed, intent: str, answer: Measured):
    found = answered(seen, measured=answer)
    assert found.intent == intent
    assert "SourceOffsetsExpired" not in found.events


@pytest.mark.parametrize("seen", [fresh(), running(), fresh(**AS_OF), running(**AS_OF)])
def test_what_is_gone_is_refused_with_all_that_there_is_to_know(seen: Observed):
    found = answered(seen, measured=measured(10, 250))
    assert (found.intent, touched(found), found.stalled) == ("", (), "SourceOffsetsExpired")
    message = found.condition("Stalled").message
    assert "spec.sources[flights].kafka: topic flights, partition 1: the earliest offset is 250" in message
    assert "(of 2026-01-31T09:00:00Z), 150 after the wanted 100" in message
    assert "partition 0" not in message
    assert "spec.startFrom.override: [SourceOffsetsExpired] and a new spec.restartToken" in message
    assert ("The job runs on" in message) is bool(seen.runs)


@pytest.mark.parametrize("seen", [fresh(), running()])
def test_a_topic_that_was_made_anew_is_refused(seen: Observed):
    message = answered(seen, measured=measured(0, 0, latest=5)).condition("Stalled").message
    assert "partition 1: it ends at offset 5, before the wanted 100: the topic was made anew" in message


@pytest.mark.parametrize("seen", [fresh(), running()])
def test_nothing_begins_or_stops_before_the_broker_has_answered(seen: Observed):
    found = moves(seen)
    assert (found.intent, touched(found), found.stalled) == ("", (), "")
    assert "the broker is asked whether it still holds what before goes on with" in (
        found.condition("Reconciling").message
    )
    silent = answered(seen, trouble="no broker answers")
    assert (silent.intent, touched(silent), silent.stalled) == ("", (), "")
    words = silent.condition("Reconciling").message
    assert "nobody knows what the broker still holds: no broker answers; to start all the same write" in words
    assert silent.wake is not None
    assert silent.wake <= 5


@pytest.mark.parametrize("seen", [fresh(), running()])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"problem": "connection: there is no SourceConnection kafka"}, "kafka: connection: there is no"),
        ({"measured": Measured((), ("flights",))}, "kafka.topics: the broker does not know flights"),
    ],
    ids=["no connection", "no topic"],
)
def test_what_somebody_must_change_is_said(seen: Observed, answer: dict[str, Any], words: str):
    found = answered(seen, **answer)
    assert (found.intent, found.stalled) == ("", "SourceNotUsable")
    assert f"spec.sources[flights].{words}" in found.condition("Stalled").message


@pytest.mark.parametrize(
    "positions",
    [
        Positions(),
        Positions({}, 4),
        Positions({("others", 0): 1}),
        Positions({("flights", 0): -2, ("flights", 1): -1, ("flights", 2): -3}),
    ],
    ids=["no Kafka", "unread", "other topics", "nothing read yet"],
)
@BOTH
def test_a_state_that_wants_nothing_of_the_broker_waits_for_none(seen: Observed, intent: str, positions: Positions):
    silent = looked_at(seen, found=positions)
    assert moves(silent).intent == intent
    assert answered(silent, measured=measured(400, 400)).intent == intent
    assert answered(silent, problem="no such connection").intent == intent


@pytest.mark.parametrize(
    "answer",
    [{"measured": measured(10, 250)}, {"trouble": "no answer"}, {"problem": "none"}, None],
    ids=["gone", "no answer", "no connection", "not yet"],
)
@pytest.mark.parametrize(("make", "intent"), [(fresh, "Start"), (running, "Stop Savepoint")])
def test_a_user_can_have_it_all_the_same(answer: dict[str, Any] | None, make: Any, intent: str):
    seen = make(**OVERRIDDEN)
    found = moves(seen) if answer is None else answered(seen, **answer)
    assert (found.intent, found.stalled) == (intent, "")


def test_another_override_is_not_enough():
    other = {"startFrom": NAMED["startFrom"] | {"override": ["ParallelismTooHigh"]}}
    assert answered(fresh(**other), measured=measured(10, 250)).stalled == "SourceOffsetsExpired"


def test_of_many_partitions_a_few_are_named():
    many = Positions({("flights", number): 1 for number in range(9)})
    message = answered(looked_at(fresh(), found=many), measured=measured(*[9] * 9)).condition("Stalled").message
    assert (message.count("the earliest offset"), "and 6 more partitions" in message) == (3, True)


def test_a_broken_state_is_told_of_first():
    seen = running()
    answer = replace(seen.verified[savepoint(1)], verification=Verification(3, 10, missing=1, positions=POSITIONS))
    found = answered(replace(seen, verified={savepoint(1): answer}), measured=measured(10, 250))
    assert found.stalled == "NotWhole"


def test_every_source_is_looked_at():
    two = [*SOURCES["sources"], {"name": "more", "kafka": {"connection": "other", "topics": ["others"]}}]
    seen = fresh(sources=two)
    first, second = wishes(seen)
    gone = Measured((Topic("others", (Partition(0, 7, 9),)),))
    held = {first: Held(first, NOW, measured(0, 0)), second: Held(second, NOW, gone)}
    message = moves(replace(seen, held=held)).condition("Stalled").message
    assert "spec.sources[more].kafka: topic others, partition 0: the earliest offset is 7" in message


# ---------------------------------------------------------------- what nobody asked for

RESUMED = over("STOPPED", "Stop", spec={"state": "Running"})
CHANGED = over("FAILED", "FAILED", spec={"parallelism": 2})


@pytest.mark.parametrize("seen", [RESUMED, CHANGED], ids=["started again", "changed after it failed"])
def test_a_start_that_a_user_asked_for_is_refused_and_waits(seen: Observed):
    assert answered(seen, measured=measured(10, 250)).stalled == "SourceOffsetsExpired"
    assert moves(seen).intent == ""
    assert answered(seen, measured=measured(10, 100)).intent == "Start"


OWN = {
    "lost": over("LOST"),
    "lost pointers": over("STOPPED", "Recover"),
    "upgrade": over("STOPPED", "Upgrade", spec={"parallelism": 2}),
    "a new token": over("STOPPED", "Restart", spec={"restartToken": "new"}),
}


@pytest.mark.parametrize("seen", OWN.values(), ids=OWN)
def test_a_job_that_is_down_is_not_kept_down(seen: Observed):
    found = answered(seen, measured=measured(10, 250))
    assert (found.intent, found.stalled) == ("Start", "")
    assert "SourceOffsetsExpired" in found.events
    told = found.condition("SourcesAtRisk")
    assert (told.status, told.reason) == ("True", "OffsetsExpired")
    assert "partition 1: the earliest offset is 250" in told.message
    intent: Any = found.status.intent
    assert "partition 1: the earliest offset is 250" in intent.started_from.reason


@pytest.mark.parametrize("seen", OWN.values(), ids=OWN)
@pytest.mark.parametrize("answer", [None, {"trouble": "no answer"}, {"problem": "none"}, {"measured": measured(0, 0)}])
def test_and_waits_for_no_broker(seen: Observed, answer: dict[str, Any] | None):
    found = moves(seen) if answer is None else answered(seen, **answer)
    assert (found.intent, found.stalled) == ("Start", "")
    assert "SourceOffsetsExpired" not in found.events


def test_a_lost_restore_begins_again_by_itself():
    """Its run was lost before its first checkpoint: what it starts from again was asked for when it was chosen."""
    began = started_from(savepoint(1), checkpoint="before", run=RUN)
    status = ended("LOST", started_from=began, latest_checkpoint=None)
    applied = {"start_from": {"checkpoint": {"name": "before"}}, "restart_token": ""}
    seen = idle(job(status | {"applied": applied}, **(NAMED | SOURCES)), checkpoints=(PRESENT,), listing=STORED)
    assert answered(looked_at(seen), measured=measured(10, 250)).intent == "Start"


def test_what_a_stop_was_made_for_is_refused_after_it_too():
    run = {"end_state": "STOPPED", "stop_reason": "Restore", "next_start_from": {"checkpoint": {"name": "before"}}}
    seen = idle(job(ended("STOPPED", run=run), **(NAMED | SOURCES)), checkpoints=(PRESENT,), listing=STORED)
    assert answered(looked_at(seen), measured=measured(10, 250)).stalled == "SourceOffsetsExpired"


def test_going_back_says_what_is_gone():
    began = started_from(savepoint(1), checkpoint="before", run=RUN, reason="the newest")
    fallback = {"job_version": 1, "spec_hash": "x", "started_from": began, "until": BEFORE}
    status = ended("FAILED", fallback=fallback, latest_checkpoint=None)
    seen = idle(job(status, **SOURCES), checkpoints=(PRESENT,), listing=STORED, revisions=(revision(),))
    found = answered(looked_at(seen), measured=measured(10, 250))
    assert found.intent == "Start"
    assert "SourceOffsetsExpired" in found.events
