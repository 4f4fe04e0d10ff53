"""Answering `penstock estimate`: how many records lie between given times and the end, measured at the broker. Pure.

A tenant has no access to the broker. The annotation penstock.dev/estimate asks, `status.estimate` answers; nothing else
comes of it, and what the figures mean is for the command to say (`decide/estimate.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from penstock.api import constants
from penstock.api.measured import MeasuredPartition, MeasuredSources
from penstock.api.sources import JobSource
from penstock.api.streamjob import StreamJob
from penstock.decide import coverage
from penstock.decide.draft import Draft
from penstock.model import Observed
from penstock.source.held import Held, SourceWish

_MOST_TIMES = 4
_LONGEST_WORD = 64
_MOST_PARTITIONS = 1000
"""More would make a status that is too large to be written at each pass."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLI = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Question:
    """What the annotation asks: its first word, and the times behind it; none when they cannot be read."""

    request: str
    times: tuple[datetime, ...]


def asked(job: StreamJob) -> Question | None:
    """The question that is not answered yet."""
    words = job.metadata.annotations.get(constants.ESTIMATE, "").split()
    answered = job.status.estimate.request if job.status.estimate is not None else ""
    if not words or words[0][:_LONGEST_WORD] == answered:
        return None
    return Question(words[0][:_LONGEST_WORD], _times(words[1:]))


def _times(words: list[str]) -> tuple[datetime, ...]:
    try:
        found = tuple(datetime.fromisoformat(each).astimezone(UTC) for each in words[:_MOST_TIMES])
    except (ValueError, OverflowError):
        return ()
    return found if all(each >= _EPOCH for each in found) else ()


def wishes(observed: Observed) -> tuple[SourceWish, ...]:
    """What is to be measured in this pass."""
    if observed.job is None or observed.job.metadata.terminating:
        return ()
    question = asked(observed.job)
    if question is None or not question.times:
        return ()
    return tuple(wish for _, wish in _wanted(observed.job, question) if wish is not None)


def _wanted(job: StreamJob, question: Question) -> Iterator[tuple[JobSource, SourceWish | None]]:
    millis = tuple((each - _EPOCH) // _MILLI for each in question.times)
    for source in job.spec.sources:
        if source.kafka is None:
            yield source, None
            continue
        connection, topics = source.kafka.connection, tuple(source.kafka.topics)
        start = f"estimate/{question.request}"
        yield source, SourceWish(job.metadata.namespace, connection, topics, start, times=millis)


def proceed(draft: Draft) -> None:
    """Answer the question as soon as each broker has answered."""
    question = asked(draft.job)
    if question is None:
        return
    problem, partitions = "", []
    for source, wish in _wanted(draft.job, question) if question.times else ():
        held = draft.observed.held.get(wish) if wish is not None else None
        if wish is not None and held is None:
            draft.wake(1)
            return
        problem = problem or _problem(source, held)
        if held is not None and not problem:
            partitions += list(_measured(held, question))
    problem = problem or _overall(question, partitions)
    busy = draft.observed.busy_millis
    answer = MeasuredSources(
        request=question.request,
        time=draft.now,
        times=question.times,
        partitions=() if problem else tuple(partitions),
        busy_millis=busy if isinstance(busy, int) else None,
        problem=problem,
    )
    draft.set(estimate=answer)


def _problem(source: JobSource, held: Held | None) -> str:
    field = f"spec.sources[{source.name}]"
    if held is None:
        return f"{field} is generic: what it holds cannot be measured"
    if held.measured is None:
        return f"{field}.kafka: {held.problem or held.trouble}"
    unknown = ", ".join(held.measured.unknown)
    return f"{field}.kafka.topics: the broker does not know {unknown}" if unknown else ""


def _overall(question: Question, partitions: list[MeasuredPartition]) -> str:
    if not question.times:
        return f"the annotation {constants.ESTIMATE} needs a word and times behind it, such as a1 2026-01-31T12:00:00Z"
    if not partitions:
        return "spec.sources names no topic with a partition: write which topics the job reads"
    if len(partitions) > _MOST_PARTITIONS:
        return f"the topics of spec.sources have {len(partitions)} partitions, more than {_MOST_PARTITIONS}"
    return ""


def _measured(held: Held, question: Question) -> Iterator[MeasuredPartition]:
    if held.measured is None:
        return
    gaps = coverage.from_time(held.measured, min(question.times), held.at).gaps
    lost = {(gap.topic, gap.partition) for gap in gaps if not gap.within_retention}
    for topic in held.measured.topics:
        for each in topic.partitions:
            place = (topic.name, each.number)
            offsets = [held.measured.offsets[millis][place] for millis in held.wish.times]
            records = tuple(max(each.latest - max(offset, each.earliest), 0) for offset in offsets)
            yield MeasuredPartition(topic=topic.name, partition=each.number, records=records, deleted=place in lost)
