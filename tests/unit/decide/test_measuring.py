"""The operator's answer to `penstock estimate`: once for each question, and a problem instead of half of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.api import constants
from penstock.api.measured import MeasuredPartition, MeasuredSources
from penstock.api.streamjob import StreamJob
from penstock.decide.measuring import asked, wishes
from penstock.model import Observed, Unknown
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import Held, SourceWish
from tests.unit.builders import NAMESPACE, NOW, idle, job, live, observed
from tests.unit.decide.moves import Moves, moves

TIMES = (NOW - timedelta(hours=1), NOW - timedelta(minutes=5))
TEXT = "a1 2026-01-31T11:00:00Z 2026-01-31T12:55:00+01:00"
MILLIS = tuple(int(each.timestamp() * 1000) for each in TIMES)
KAFKA = {"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}
WISH = SourceWish(NAMESPACE, "kafka", ("flights",), "estimate/a1", times=MILLIS)


def asking(text: str = TEXT, status: dict[str, Any] | None = None, **spec: Any) -> StreamJob:
    made = job(status or live(), **({"sources": [KAFKA]} | spec))
    metadata = made.metadata.model_copy(update={"annotations": {constants.ESTIMATE: text}})
    return made.model_copy(update={"metadata": metadata})


def topic(*partitions: Partition, retention: int | None = None) -> Measured:
    places = [("flights", each.number) for each in partitions]
    offsets = {MILLIS[0]: dict.fromkeys(places, 100), MILLIS[1]: dict.fromkeys(places, 400)}
    return Measured((Topic("flights", partitions, retention_millis=retention),), offsets=offsets)


def answered(seen: Observed, **answer: Any) -> Moves:
    return moves(replace(seen, held={WISH: Held(WISH, NOW, **answer)}))


def told(found: Moves) -> MeasuredSources:
    assert found.status.estimate is not None
    return found.status.estimate


def test_the_question_is_asked_at_the_broker_with_its_times() -> None:
    assert wishes(observed(asking())) == (WISH,)


def test_without_a_question_nothing_is_asked() -> None:
    assert wishes(observed(job(live(), sources=[KAFKA]))) == ()
    assert asked(job(live())) is None


def test_it_waits_for_the_broker_and_says_nothing_meanwhile() -> None:
    found = moves(observed(asking()))
    assert (found.status.estimate, found.wake) == (None, 1)


def test_the_answer_has_the_records_since_each_time() -> None:
    seen = observed(asking(), busy_millis=250)
    partitions = (Partition(0, 0, 500, 1), Partition(1, 450, 500, MILLIS[1]))
    found = told(answered(seen, measured=topic(*partitions)))
    assert (found.request, found.time, found.times, found.busy_millis, found.problem) == ("a1", NOW, TIMES, 250, "")
    assert found.partitions == (
        MeasuredPartition(topic="flights", partition=0, records=(400, 100)),
        # Those before offset 450 have been deleted: they cannot be read, and would have been wanted.
        MeasuredPartition(topic="flights", partition=1, records=(50, 50), deleted=True),
    )


def test_what_the_topic_keeps_by_its_settings_is_not_called_deleted() -> None:
    found = told(answered(observed(asking()), measured=topic(Partition(0, 90, 500, MILLIS[1]), retention=86_400_000)))
    assert [each.deleted for each in found.partitions] == [False]


def test_an_empty_partition_has_no_records() -> None:
    found = told(answered(observed(asking()), measured=topic(Partition(0, 30, 30))))
    assert found.partitions[0].records == (0, 0)


def test_a_question_is_answered_once() -> None:
    seen = observed(asking())
    status = answered(seen, measured=topic(Partition(0, 0, 500, 1))).status
    again = asking().model_copy(update={"status": status})
    assert (asked(again), wishes(observed(again))) == (None, ())
    assert told(moves(observed(again))) == status.estimate
    other = asking("b2 2026-01-31T11:00:00Z").model_copy(update={"status": status})
    assert [wish.start for wish in wishes(observed(other))] == ["estimate/b2"]


@pytest.mark.parametrize("busy", [None, Unknown("Flink does not answer")])
def test_how_busy_it_is_may_not_be_known(busy: Any) -> None:
    found = told(answered(observed(asking(), busy_millis=busy), measured=topic(Partition(0, 0, 500, 1))))
    assert (found.busy_millis, found.problem) == (None, "")


def test_a_stopped_job_is_answered_too() -> None:
    seen = idle(asking(status={"applied": None}, state="Stopped"))
    assert told(answered(seen, measured=topic(Partition(0, 0, 500, 1)))).partitions != ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"problem": "connection: there is no SourceConnection kafka"},
            "kafka: connection: there is no SourceConnection",
        ),
        ({"trouble": "no answer within 5 s"}, "spec.sources[flights].kafka: no answer within 5 s"),
        (
            {"measured": Measured((), ("flights",))},
            "spec.sources[flights].kafka.topics: the broker does not know flights",
        ),
        ({"measured": topic()}, "spec.sources names no topic with a partition"),
        ({"measured": topic(*(Partition(number, 0, 1, 1) for number in range(1001)))}, "have 1001 partitions"),
    ],
)
def test_a_problem_is_the_whole_answer(answer: dict[str, Any], words: str) -> None:
    found = told(answered(observed(asking()), **answer))
    assert (words in found.problem, found.partitions, found.request) == (True, (), "a1")


def test_a_source_that_cannot_be_asked_leaves_no_half_of_an_answer() -> None:
    both = [KAFKA, {"name": "files", "generic": {"retention": "24h"}}]
    found = told(answered(observed(asking(sources=both)), measured=topic(Partition(0, 0, 500, 1))))
    assert (found.partitions, found.problem) == ((), "spec.sources[files] is generic: what it holds cannot be measured")


def test_a_job_without_sources_says_what_to_write() -> None:
    assert "write which topics the job reads" in told(moves(observed(asking(sources=[])))).problem


@pytest.mark.parametrize("text", ["a1", "a1 yesterday", "a1 1969-12-31T23:59:59Z", "a1 0001-01-01T00:00:00+14:00"])
def test_times_that_are_none_are_said(text: str) -> None:
    seen = observed(asking(text))
    assert wishes(seen) == ()
    assert "needs a word and times behind it" in told(moves(seen)).problem


def test_more_than_is_meant_to_be_asked_is_cut_off() -> None:
    question = asked(asking("w" * 100 + " 2026-01-31T11:00:00Z" * 9))
    assert question is not None
    assert (len(question.request), len(question.times)) == (64, 4)
    assert question.times[0] == datetime(2026, 1, 31, 11, tzinfo=UTC)


def test_a_job_that_is_being_deleted_is_not_measured() -> None:
    going = asking()
    metadata = going.metadata.model_copy(update={"deletion_timestamp": NOW})
    assert wishes(observed(going.model_copy(update={"metadata": metadata}))) == ()
