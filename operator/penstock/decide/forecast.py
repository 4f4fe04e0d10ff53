"""How long it is expected to take to catch up, before it begins. Pure.

It is told of every recovery when it begins (`status.recovery.estimateAtStart`), and of a replay before the running job
is stopped for it (`status.restore.preflight.estimate`). No start waits for the latter: what the brokers have not
answered by then is not told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from penstock.api.duration import display_duration
from penstock.api.preflight import Preflight, ReplayForecast
from penstock.api.recovery import Forecast, capacity_for
from penstock.api.replay import EPOCH, Replay
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import StreamJobStatus
from penstock.decide import estimate
from penstock.decide.draft import Draft
from penstock.decide.estimate import Partition, Situation
from penstock.model import Observed
from penstock.source.held import Held, SourceWish

RESTART_SECONDS = 30.0
"""How long a start is taken to last as long as none was measured."""
_LATELY = timedelta(minutes=5)
"""The arrival is that of so long before."""
_MILLI = timedelta(milliseconds=1)


def forecast(status: StreamJobStatus, bare: Situation) -> Forecast:
    """What an estimate says: as fast as the job was seen to read. `bare` has neither capacity nor restart."""
    known = capacity_for(len(estimate.subtasks(bare)), status.capacity, status.capacities)
    # The newest start says best how long one takes; that does not depend on how many subtasks read.
    newest = status.capacity.restart_seconds if status.capacity is not None else None
    restart = RESTART_SECONDS if newest is None else newest
    speed_of_one = known.records_per_second / known.readers if known is not None else 0.0
    situation = replace(bare, capacity=speed_of_one, restart=restart)
    fields: dict[str, Any] = {
        "backlog_records": situation.backlog,
        "arrival_per_second": round(situation.rate),
        "restart_seconds": round(restart),
    }
    if known is None:
        return Forecast(text="nobody knows: the job's speed has not been measured yet", **fields)
    found = estimate.estimate(situation)
    fields["capacity_per_second"] = round(found.capacity)
    speed = f"{found.capacity:.0f} records/s, as in version {known.job_version}"
    if found.seconds is None:
        return Forecast(text=f"never: {situation.rate:.0f} records/s arrive, and it reads {speed}", **fields)
    what = f"{restart:.0f} s to restart, then {situation.backlog} records at {speed}"
    less = f", less {situation.rate:.0f} that arrive" if situation.rate else ""
    time = display_duration(round(found.seconds) * 1000)
    return Forecast(seconds=round(found.seconds), text=f"{time}: {what}{less}", **fields)


# ---------------------------------------------------------------- before a running job is stopped for a replay


def asked(draft: Draft, record: Preflight, replay: Replay) -> Preflight:
    """The record of a replay, with what the brokers are to be asked, or what they have answered."""
    known = record.estimate
    if known is None:
        if not any(_wanted(draft.job, record)):
            return record
        question = ReplayForecast(reads_from=replay.source_start, reads_until=replay.to, asked_at=draft.now)
        return record.model_copy(update={"estimate": question})
    if known.text:
        return record
    answers = [draft.observed.held.get(wish) for wish in _wanted(draft.job, record)]
    partitions = [each for held in answers if held is not None for each in _partitions(held, known)]
    if not all(held is not None and held.measured is not None for held in answers):
        draft.wake(1)
        return record
    situation = Situation(tuple(partitions), 0.0, draft.job.spec.parallelism)
    told = forecast(draft.status, situation)
    return record.model_copy(update={"estimate": known.model_copy(update=dict(told))})


def wishes(observed: Observed) -> tuple[SourceWish, ...]:
    """What the brokers are to be asked in this pass."""
    job = observed.job
    record = job.status.restore.preflight if job is not None and job.status.restore is not None else None
    if job is None or record is None or record.program is not None:
        return ()
    return tuple(_wanted(job, record)) if record.estimate is not None and not record.estimate.text else ()


def _wanted(job: StreamJob, record: Preflight) -> Iterator[SourceWish]:
    times = _times(record.estimate) if record.estimate is not None else ()
    for source in job.spec.sources:
        if source.kafka is not None:
            topics, start = tuple(source.kafka.topics), f"forecast/{record.id}"
            yield SourceWish(job.metadata.namespace, source.kafka.connection, topics, start, times=times)


def _times(known: ReplayForecast) -> tuple[int, ...]:
    """Milliseconds since 1970: the beginning, a while ago, and the end if there is one."""
    times = [known.reads_from, known.asked_at - _LATELY, *([known.reads_until] if known.reads_until else [])]
    return tuple((each - EPOCH) // _MILLI for each in times)


def _partitions(held: Held, known: ReplayForecast) -> Iterator[Partition]:
    if held.measured is None:
        return
    first, lately, *until = (held.measured.offsets.get(each, {}) for each in _times(known))
    seconds = max((held.at - (known.asked_at - _LATELY)).total_seconds(), 1.0)
    for topic in held.measured.topics:
        for each in topic.partitions:
            place = (topic.name, each.number)
            begin, end = max(first.get(place, each.earliest), each.earliest), each.latest
            # What arrives now is no part of what a backfill reads.
            came = 0 if until else max(end - max(lately.get(place, end), each.earliest), 0)
            stop = min(until[0].get(place, end), end) if until else end
            yield Partition(topic.name, each.number, max(stop - begin, 0), came / seconds)
