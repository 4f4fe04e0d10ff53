"""Positions of a replay whose sources are measured at the broker before anything is stopped or begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock.decide.sources import wishes
from penstock.model import JobListing, Observed
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import Held, SourceWish
from tests.unit.builders import NAMESPACE, NOW, RUN, good_programs, idle, job, live, observed, started_from
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.test_replay import LONGEST_STOP, MINUTE, asked, replayed

DAY = timedelta(days=1)
SOURCES = {"sources": [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]}
WEEK_MILLIS = 7 * 24 * 3600 * 1000


def millis(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def topic(first: datetime | None, *, earliest: int = 100, retention: int | None = 3_600_000) -> Measured:
    """A topic of two partitions, the second of which begins at that time; the first one holds everything."""
    whole = Partition(0, 0, 500, millis(NOW - 30 * DAY))
    cut = Partition(1, earliest, 500, millis(first) if first is not None else None)
    return Measured((Topic("flights", (whole, cut), retention_millis=retention),))


def fresh(**spec: Any) -> Observed:
    """A job that has never run."""
    return idle(job({"applied": None}, **(asked("24h") | SOURCES | spec)))


def running(**spec: Any) -> Observed:
    return observed(job(live(), **(asked("24h") | SOURCES | spec)), listing=JobListing())


def tried(seen: Observed) -> Observed:
    """With a program that can make its graph."""
    return replace(seen, programs=good_programs(seen))


def answered(seen: Observed, **answer: Any) -> Moves:
    held = {wish: Held(wish, NOW, **answer) for wish in wishes(seen)}
    assert held
    return moves(tried(replace(seen, held=held)))


# ---------------------------------------------------------------- what is asked


def test_a_replay_asks_for_its_topics():
    assert wishes(fresh()) == (SourceWish(NAMESPACE, "kafka", ("flights",), "1/"),)
    assert wishes(running()) == (SourceWish(NAMESPACE, "kafka", ("flights",), f"1/{RUN}"),)


@pytest.mark.parametrize(
    "seen",
    [
        fresh(startFrom={"empty": {}}),
        fresh(sources=[{"name": "events", "generic": {"retention": "999h"}}]),
        fresh(state="Stopped"),
        fresh(startFrom={"replay": {"from": "2027-01-01T00:00:00Z"}}),
        observed(job(live(replayed()), **SOURCES)),
    ],
    ids=["no replay", "nothing to ask", "not to run", "refused anyway", "it runs already"],
)
def test_nothing_else_is_asked(seen: Observed):
    assert wishes(seen) == ()


def test_one_that_was_lost_before_its_first_checkpoint_asks_again():
    status = live(replayed(), run={"ended_at": NOW, "end_state": "LOST", "swept": True}, latest_checkpoint=None)
    assert len(wishes(idle(job(status, **SOURCES)))) == 1


# ---------------------------------------------------------------- the answers


@pytest.mark.parametrize("seen", [fresh(), running()], ids=["fresh", "running"])
def test_nothing_begins_or_stops_before_the_answer(seen: Observed):
    found = moves(seen)
    assert (found.intent, found.effects, found.wake) == ("", (), 5 if seen.runs == () else found.wake)
    assert "the broker is asked" in found.condition("Reconciling").message


@pytest.mark.parametrize(("seen", "intent"), [(fresh(), "Start"), (running(), "Stop Savepoint")])
@pytest.mark.parametrize(
    "measured",
    [
        topic(NOW - 2 * DAY),
        topic(NOW - DAY),
        topic(NOW, earliest=0),
        topic(NOW - MINUTE, retention=WEEK_MILLIS),
        topic(None, earliest=0),
    ],
    ids=["earlier", "just as early", "nothing was deleted", "deleted before that", "no record ever"],
)
def test_what_is_all_there_is_replayed(seen: Observed, intent: str, measured: Measured):
    found = answered(seen, measured=measured)
    assert found.intent == intent
    assert "SourceRetentionTooShort" not in found.events


@pytest.mark.parametrize("seen", [fresh(), running()], ids=["fresh", "running"])
def test_what_is_gone_is_refused_with_the_partition_and_the_times(seen: Observed):
    found = answered(seen, measured=topic(NOW - timedelta(hours=3)))
    assert (found.intent, found.effects, found.stalled) == ("", (), "SourceRetentionTooShort")
    message = found.condition("Stalled").message
    assert "spec.sources[flights].kafka: topic flights, partition 1" in message
    assert "there are records from 2026-01-31T09:00:00Z on, 21h 0m after 2026-01-30T12:00:00Z" in message
    assert "onGap: Warn" in message
    assert ("The job runs on" in message) is bool(seen.runs)


def test_of_many_partitions_a_few_are_named():
    cut = tuple(Partition(number, 1, 2, millis(NOW)) for number in range(9))
    message = answered(fresh(), measured=Measured((Topic("flights", cut, 1),))).condition("Stalled").message
    assert (message.count("there are records from"), "and 6 more partitions" in message) == (3, True)


def test_every_record_may_be_gone():
    gone = Measured((Topic("flights", (Partition(0, 500, 500),)),))
    message = answered(fresh(), measured=gone).condition("Stalled").message
    assert "every record has been deleted" in message


def test_the_look_back_is_read_too():
    found = answered(fresh(window="2h"), measured=topic(NOW - DAY - timedelta(hours=1)))
    assert found.stalled == "SourceRetentionTooShort"
    assert "of that time plus the look-back of 2h or later" in found.condition("Stalled").message


def test_what_a_job_is_stopped_for_must_be_there_after_the_stop():
    retention = millis(NOW) - millis(NOW - DAY) + LONGEST_STOP // timedelta(milliseconds=1)
    later = topic(NOW - timedelta(hours=3), retention=retention)
    assert answered(running(), measured=later).intent == "Stop Savepoint"
    sooner = topic(NOW - timedelta(hours=3), retention=retention - 1)
    assert answered(running(), measured=sooner).stalled == "SourceRetentionTooShort"
    assert answered(fresh(), measured=sooner).intent == "Start"


def test_with_warn_it_begins_and_says_what_is_gone():
    wish = asked("24h", onGap="Warn")
    found = answered(fresh(**wish), measured=topic(NOW - timedelta(hours=3)))
    assert found.intent == "Start"
    assert "SourceRetentionTooShort" in found.events
    assert answered(running(**wish), measured=topic(NOW - timedelta(hours=3))).intent == "Stop Savepoint"


def test_unknown_is_not_gone():
    found = answered(running(), trouble="no broker answers")
    assert (found.intent, found.stalled) == ("", "")
    assert "nobody knows what the broker still holds: no broker answers" in found.condition("Reconciling").message
    assert answered(fresh(**asked("24h", onGap="Warn")), trouble="no broker answers").intent == "Start"


@pytest.mark.parametrize("on_gap", ["Refuse", "Warn"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"problem": "connection: there is no SourceConnection kafka"}, "kafka: connection: there is no"),
        ({"measured": Measured((), ("flights",))}, "kafka.topics: the broker does not know flights"),
    ],
    ids=["no connection", "no topic"],
)
def test_what_somebody_must_change_is_said_and_the_job_runs_on(answer: dict[str, Any], words: str, on_gap: str):
    found = answered(running(**asked("24h", onGap=on_gap)), **answer)
    assert (found.intent, found.stalled) == ("", "SourceNotUsable")
    assert f"spec.sources[flights].{words}" in found.condition("Stalled").message


def test_the_first_source_that_cannot_be_used_is_told_of():
    two = {"sources": [*SOURCES["sources"], {"name": "delays", "kafka": {"connection": "other", "topics": ["delays"]}}]}
    seen = fresh(**two)
    first, second = wishes(seen)
    held = {first: Held(first, NOW, topic(NOW - 2 * DAY)), second: Held(second, NOW, problem="connection: none")}
    found = moves(tried(replace(seen, held=held)))
    assert "spec.sources[delays].kafka: connection: none" in found.condition("Stalled").message


def test_going_back_asks_no_broker():
    assert wishes(idle(job(live(started_from(), run={"ended_at": NOW, "end_state": "LOST"}), **SOURCES))) == ()
