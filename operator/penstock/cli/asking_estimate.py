"""`penstock estimate`: the operator is asked what lies at the broker; the figures are reckoned here."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from penstock import clock
from penstock.api import constants
from penstock.api.base import format_time
from penstock.api.duration import parse_duration
from penstock.api.measured import MeasuredSources
from penstock.api.recovery import Capacity, capacity_for
from penstock.api.start_from import ReplayWish
from penstock.api.streamjob import StreamJob
from penstock.cli.following import stream_job
from penstock.cli.user import Session, User, connect
from penstock.decide.estimate import (
    Estimate,
    Partition,
    Situation,
    WhatIf,
    estimate,
    subtasks,
    with_parallelism,
    with_rate,
    with_window,
)
from penstock.decide.forecast import RESTART_SECONDS
from penstock.errors import Refused, RetryLater
from penstock.kube import resources

LATEST = "latest"
_EVERY_SECONDS = 0.5
_LAST_MINUTES = timedelta(minutes=5)
"""The arrival is that of so long before now."""
_TOO_IDLE = 10
"""Below so many milliseconds per second the quotient of arrival and busy share says nothing."""


@dataclass(frozen=True)
class Question:
    """What a user wants to know; what is None is measured, or as it is now."""

    since: str
    restart: timedelta | None
    capacity: float | None
    parallelism: int | None
    window: timedelta | None
    rate: float | None
    patience: timedelta


@dataclass(frozen=True)
class Begin:
    """Where the sources begin, and how much of that is read for the first window only."""

    time: datetime
    window: timedelta
    text: str


async def ask(user: User, name: str, question: Question) -> dict[str, Any]:
    """How long a start would take to catch up, and what would change that.

    Raises:
        Refused: there is no such job, it has no sources that can be measured, or a figure is missing.
        RetryLater: nobody has answered in time.
    """
    async with connect(user) as session:
        job = await stream_job(session, name)
        begin = _begin(job, question.since, clock.now())
        measured = await _measured(session, job, begin, question.patience)
    restart = _restart(job.status.capacity, question.restart)
    situation, origin = _situation(job, begin, measured, restart.seconds, question.capacity)
    return {
        "job": name,
        "from": {"time": format_time(begin.time), "text": begin.text, "windowSeconds": begin.window.total_seconds()},
        "measuredAt": format_time(measured.time),
        "partitions": len(situation.partitions),
        "incomplete": [f"{each.topic}/{each.partition}" for each in measured.partitions if each.deleted],
        "parallelism": situation.parallelism,
        "restartSeconds": situation.restart,
        "restartFrom": restart.origin,
        "capacityFrom": origin,
        **_content(estimate(situation)),
        "replayText": _replay(job, begin),
        "whatIf": [_moved(each) for each in _levers(situation, question)],
    }


def _begin(job: StreamJob, since: str, now: datetime) -> Begin:
    if since == LATEST:
        newest = job.status.latest_checkpoint
        if newest is None or newest.completion_time is None:
            raise Refused(
                "--from latest: the run has no checkpoint yet; write --from with a time or a duration", "NotFound"
            )
        return Begin(newest.completion_time, timedelta(), f"chk-{newest.checkpoint_id}, the newest checkpoint")
    begins = ReplayWish.model_validate({"from": since}).begins(now)
    if begins >= now:
        raise Refused(f"--from {since}: it has not come yet; write an earlier time", "TimeInTheFuture")
    window = timedelta(milliseconds=parse_duration(job.spec.window)) if job.spec.window else timedelta()
    look_back = f" with a look-back of {job.spec.window}" if window else ""
    return Begin(begins - window, window, f"a replay from {format_time(begins)}{look_back}")


async def _measured(session: Session, job: StreamJob, begin: Begin, patience: timedelta) -> MeasuredSources:
    """The operator's answer to where the sources begin, and to what has arrived lately."""
    name, request = job.metadata.name, uuid.uuid4().hex
    times = " ".join(format_time(each) for each in (begin.time, clock.now() - _LAST_MINUTES))
    patch = {"metadata": {"annotations": {constants.ESTIMATE: f"{request} {times}"}, "uid": job.metadata.uid}}
    await session.kube.merge(resources.STREAM_JOBS, session.namespace, name, patch)
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                told = (await stream_job(session, name)).status.estimate
                if told is not None and told.request == request:
                    break
                await asyncio.sleep(_EVERY_SECONDS)
    except TimeoutError:
        raise RetryLater(f"no answer about StreamJob {name} within {patience}; is the operator running?") from None
    if told.problem:
        raise Refused(told.problem, "NotMeasured")
    return told


def _situation(
    job: StreamJob, begin: Begin, measured: MeasuredSources, restart: float, said: float | None
) -> tuple[Situation, str]:
    """What the estimate is made of, and where the capacity is from."""
    _, lately = measured.times
    seconds = max((measured.time - lately).total_seconds(), 1.0)
    partitions = tuple(
        Partition(each.topic, each.partition, each.records[0], each.records[1] / seconds)
        for each in measured.partitions
    )
    gap = max((measured.time - begin.time).total_seconds(), 0.0)
    bare = Situation(partitions, 0.0, job.spec.parallelism, restart, gap, begin.window.total_seconds())
    status = job.status
    known = capacity_for(max(len(subtasks(bare)), 1), status.capacity, status.capacities)
    found = _capacity(bare, known, measured.busy_millis, said)
    # The formula is about one subtask.
    return replace(bare, capacity=found.whole / found.readers), found.origin


@dataclass(frozen=True)
class Reading:
    """How fast so many subtasks read together, and who says so."""

    whole: float
    readers: int
    origin: str


def _capacity(bare: Situation, known: Capacity | None, busy: int | None, said: float | None) -> Reading:
    # What is said, or told by busy time, is of the job as it is now; what was measured is of the readers of that time.
    now, rate = max(len(subtasks(bare)), 1), bare.rate
    instead = "write --capacity with the records per second that the job can read as it is now"
    if said is not None:
        return Reading(said, now, "--capacity")
    if known is not None:
        origin = f"measured in version {known.job_version} when it caught up at {format_time(known.time)}"
        speed = f"{known.records_per_second} records/s by {known.readers} subtasks"
        return Reading(known.records_per_second, known.readers, f"{origin}: {speed}")
    if busy is None:
        raise Refused(f"the capacity is not known, because Flink tells of no busy time; {instead}", "NotMeasured")
    if busy < _TOO_IDLE or not rate:
        raise Refused(
            f"the capacity cannot be measured: {rate:.1f} records/s arrive, and the busiest subtask is busy for {busy} "
            f"ms of a second; {instead}",
            "NotMeasured",
        )
    origin = f"{rate:.1f} records/s arrive, and the busiest subtask is busy for {busy} ms of a second"
    return Reading(rate * 1000 / busy, now, origin)


@dataclass(frozen=True)
class Pause:
    """How long a start is taken to last, and who says so."""

    seconds: float
    origin: str


def _restart(known: Capacity | None, said: timedelta | None) -> Pause:
    if said is not None:
        return Pause(said.total_seconds(), "--restart")
    if known is not None and known.restart_seconds is not None:
        return Pause(known.restart_seconds, f"measured in version {known.job_version}")
    return Pause(RESTART_SECONDS, "assumed: none was measured yet")


def _replay(job: StreamJob, begin: Begin) -> str:
    """What of it is read for the sake of whole windows only."""
    if not job.spec.window:
        return "no replay is needed, because spec.window declares no window"
    if not begin.window:
        return f"no replay is needed: what is in its windows ({job.spec.window}) is restored"
    return "window x rate"


def _levers(situation: Situation, question: Question) -> list[WhatIf]:
    """What was asked for; else each lever as it is most often moved."""
    asked = (question.parallelism, question.window, question.rate)
    if all(each is None for each in asked):
        most = len(situation.partitions)
        wider = most if most > situation.parallelism else situation.parallelism * 2
        shorter = [with_window(situation, situation.window / 2)] if situation.window else []
        return [with_parallelism(situation, wider), *shorter, with_rate(situation, situation.rate * 2)]
    found = [with_parallelism(situation, question.parallelism)] if question.parallelism is not None else []
    found += [with_window(situation, question.window.total_seconds())] if question.window is not None else []
    found += [with_rate(situation, question.rate)] if question.rate is not None else []
    return found


def _content(found: Estimate) -> dict[str, Any]:
    slowest = found.slowest
    return {
        "seconds": found.seconds,
        "backlog": found.backlog,
        "rate": found.rate,
        "capacity": found.capacity,
        "readers": found.readers,
        "slowest": None
        if slowest is None
        else {
            "subtask": slowest.number,
            "partitions": [f"{each.topic}/{each.number}" for each in slowest.partitions],
            "backlog": slowest.backlog,
            "rate": slowest.rate,
            "seconds": slowest.seconds,
        },
        "recordsPerPartition": found.per_partition,
        "replayAmount": found.replay_amount,
    }


def _moved(moved: WhatIf) -> dict[str, Any]:
    told = {"lever": str(moved.lever), "before": moved.before, "after": moved.after}
    return told | {"seconds": moved.estimate.seconds, "why": moved.why}
