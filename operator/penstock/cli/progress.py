"""A StreamJob and its recovery in words, as `penstock status` says them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from penstock.api import constants
from penstock.api.base import format_time
from penstock.api.conditions import Condition, find_condition
from penstock.api.duration import display_duration
from penstock.api.quantity import display_bytes
from penstock.api.recovery import MeasuredBy, Recovery, RecoveryPhase
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import JobState, StartKind
from penstock.cli.report import columns
from penstock.names import short

_BAR = 30
_MEASURED_BY = {
    MeasuredBy.OFFSETS: "Offsets: what the brokers hold, and how far Flink's sources have come in it",
    MeasuredBy.WATERMARKS: "Watermarks: how far Flink's are behind the clock",
    MeasuredBy.NOTHING: "Nothing: there are neither Kafka topics in spec.sources nor watermarks",
    None: "not measured yet",
}


def current(job: StreamJob) -> Recovery | None:
    """The recovery of the run that is there; one of an earlier run says nothing of it."""
    recovery, run = job.status.recovery, job.status.run
    return recovery if recovery is not None and run is not None and recovery.run == run.id else None


def _under_way(job: StreamJob) -> Recovery | None:
    """The recovery that goes on now: a run that has ended comes back no further."""
    recovery, run = current(job), job.status.run
    if recovery is None or run is None or run.ended_at is not None or recovery.phase is RecoveryPhase.CAUGHT_UP:
        return None
    return recovery


def caught_up(job: StreamJob) -> Condition | None:
    """The condition CaughtUp, when it is about the run that is there."""
    return find_condition(job.status.conditions, constants.CAUGHT_UP) if current(job) is not None else None


# ---------------------------------------------------------------- one screen


def screen(job: StreamJob, now: datetime) -> str:
    """All that there is to say, a row for each."""
    rows = [*_job_rows(job, now), *_recovery_rows(job, now)]
    return columns([(f"{name}:", text) for name, text in rows])


def _job_rows(job: StreamJob, now: datetime) -> Iterator[tuple[str, str]]:
    status = job.status
    yield "StreamJob", job.metadata.name
    yield "State", state(job)
    stalled = find_condition(status.conditions, constants.STALLED)
    if stalled is not None and stalled.status == "True":
        yield "Stalled", f"{stalled.reason}: {stalled.message}"
    run = status.run
    yield "Version", f"{status.job_version}, run {short(run.id)}" if run is not None else "nothing was started yet"
    if status.started_from is not None:
        began = status.started_from
        yield "Started from", (began.text or str(began.kind)) + (f" ({began.reason})" if began.reason else "")
    newest = status.latest_checkpoint
    if newest is None:
        yield "Checkpoint", "none is complete yet"
        return
    when = ""
    if newest.completion_time is not None:
        when = f", {_age(newest.completion_time, now)} ago, at {format_time(newest.completion_time)}"
    size = f", {display_bytes(newest.size_bytes)}" if newest.size_bytes is not None else ""
    yield "Checkpoint", f"chk-{newest.checkpoint_id}{when}{size}"


def state(job: StreamJob) -> str:
    """Its state, and what it waits for."""
    moving = find_condition(job.status.conditions, constants.RECONCILING)
    words = moving.message if moving is not None and moving.status == "True" else ""
    return f"{job.status.state or JobState.PENDING}{': ' if words else ''}{words}"


def _recovery_rows(job: StreamJob, now: datetime) -> Iterator[tuple[str, str]]:
    recovery, known = current(job), job.status.capacity
    if recovery is None:
        yield "Recovery", f"none: {_nothing(job)}"
    else:
        yield from _standing(job, recovery, now)
        yield from _figures(recovery, now) if _under_way(job) is not None else _unknown(recovery)
        yield from _account(recovery)
    if known is not None:
        some = f"{known.readers} subtask{'s' if known.readers > 1 else ''}"
        what = f"{known.records_per_second} records/s by {some}"
        yield "Capacity", f"{what}, measured in version {known.job_version} at {format_time(known.time)}"


def _standing(job: StreamJob, recovery: Recovery, now: datetime) -> Iterator[tuple[str, str]]:
    told = caught_up(job)
    yield "Recovery", _headline(job, recovery, now)
    if recovery.why:
        yield "Why", recovery.why
    if told is not None:
        yield "CaughtUp", told.status if told.status == "True" else f"{told.status} ({told.reason})"
    if recovery.percent is not None:
        yield "Progress", f"{_bar(recovery.percent)} {recovery.percent}%"


def _unknown(recovery: Recovery) -> Iterator[tuple[str, str]]:
    if recovery.measured_by is MeasuredBy.NOTHING and recovery.outlook:
        yield "Outlook", recovery.outlook


def _account(recovery: Recovery) -> Iterator[tuple[str, str]]:
    """What had been expected, and what came of it."""
    expected = recovery.estimate_at_start
    if expected is not None and expected.text:
        yield "Expected", expected.text
    if recovery.actual is not None:
        yield "Took", _took(recovery)
    if recovery.replay:
        yield "Replay", recovery.replay
    yield "Measured by", _MEASURED_BY[recovery.measured_by]


def _nothing(job: StreamJob) -> str:
    """Why nothing recovers, where there is no record of a recovery."""
    status = job.status
    if status.run is None:
        return "nothing was started yet"
    if status.started_from is not None and status.started_from.kind is StartKind.EMPTY:
        return "it was started without state"
    return "nothing was recorded of this run"


def _headline(job: StreamJob, recovery: Recovery, now: datetime) -> str:
    begun = f"after {recovery.cause} at {format_time(recovery.started_at)}"
    if recovery.phase is RecoveryPhase.CAUGHT_UP:
        at = f" since {format_time(recovery.caught_up_at)}" if recovery.caught_up_at is not None else ""
        what = "its tasks run" if recovery.measured_by is MeasuredBy.NOTHING else "caught up"
        return f"{what}{at}, {begun}"
    if _under_way(job) is None:
        return f"it ended with its run before it had caught up ({recovery.phase}), {begun}"
    return f"{recovery.phase}, {begun}, {_age(recovery.started_at, now)} ago"


def _bar(percent: int) -> str:
    done = _BAR * max(min(percent, 100), 0) // 100
    return f"[{'#' * done}{'-' * (_BAR - done)}]"


def _figures(recovery: Recovery, now: datetime) -> Iterator[tuple[str, str]]:
    """What changes from look to look; of use only as long as it goes on."""
    if recovery.backlog_records is not None:
        first = recovery.backlog_at_start
        before = f" ({first} at the beginning)" if first is not None else ""
        yield "Waiting", f"{recovery.backlog_records} records{before}"
    if recovery.measured_by is MeasuredBy.OFFSETS:
        yield "Speed", _speeds(recovery)
    if recovery.lag_seconds is not None:
        yield "Behind", f"{_time(recovery.lag_seconds)}{_LAG.get(recovery.measured_by, '')}"
    if recovery.estimated_completion is not None:
        yield "Left", left(recovery.estimated_completion, now)
    if recovery.outlook:
        yield "Outlook", recovery.outlook


_LAG: dict[MeasuredBy | None, str] = {
    MeasuredBy.OFFSETS: ", by the records' own times",
    MeasuredBy.WATERMARKS: ", by the lowest watermark",
}


def _speeds(recovery: Recovery) -> str:
    read, arrive = recovery.records_per_second, recovery.arrival_per_second
    first = f"{read} records/s are read" if read is not None else "not known yet how fast it reads"
    return f"{first}, {arrive} arrive" if arrive is not None else first


def left(end: datetime, now: datetime) -> str:
    """How long until then, and when that is; the day only where it is another one."""
    at = end.strftime("%H:%M:%SZ") if end.date() == now.date() else format_time(end)
    return f"about {_age(now, end)} left, at {at}" if end > now else f"any moment now; expected at {at}"


def _took(recovery: Recovery) -> str:
    actual, expected = recovery.actual, recovery.estimate_at_start
    if actual is None:
        return ""
    parts = [_time(actual.seconds)]
    if actual.restart_seconds is not None:
        parts[0] += f", of these {_time(actual.restart_seconds)} until all tasks ran"
    if actual.records is not None:
        parts.append(f"{actual.records} records were read")
    if expected is not None and expected.seconds is not None:
        parts.append(f"{_time(expected.seconds)} had been expected")
    return "; ".join(parts)


def _time(seconds: float) -> str:
    return display_duration(round(seconds) * 1000)


def _age(then: datetime, now: datetime) -> str:
    """The clocks of the user and of the operator may differ: nothing is younger than now."""
    return _time(max((now - then).total_seconds(), 0.0))


# ---------------------------------------------------------------- one line, and the end


def line(job: StreamJob) -> str:
    """The same in one line, without what changes by itself."""
    recovery = _under_way(job)
    if recovery is None or job.status.intent is not None:
        return state(job)
    parts = [recovery.text or str(recovery.phase)]
    if recovery.backlog_records is not None:
        parts.append(f"{recovery.backlog_records} records wait")
    if recovery.records_per_second is not None:
        parts.append(_speeds(recovery))
    if recovery.outlook and recovery.estimated_completion is None:
        parts.append(recovery.outlook)
    return "; ".join(parts)


def outcome(job: StreamJob) -> str:
    """What there is to say when nothing more comes; empty as long as it goes on."""
    status, run = job.status, job.status.run
    if status.intent is not None:
        return ""
    words = "" if status.state is JobState.STOPPED else _come(job)
    if words:
        return f"StreamJob {job.metadata.name} {words}"
    if status.state in (JobState.STOPPED, JobState.FINISHED):
        return f"StreamJob {job.metadata.name} is not recovering: it is {status.state}"
    if run is None or run.ended_at is not None or current(job) is not None:
        return ""
    return f"StreamJob {job.metadata.name} is not recovering: {_nothing(job)}"


def _come(job: StreamJob) -> str:
    """How the recovery has ended; empty when it has not."""
    recovery, told = current(job), caught_up(job)
    if recovery is None or told is None or told.status == "False":
        return ""
    if told.status == "Unknown":
        return f"runs, and nobody can say whether it has caught up: {told.message}"
    end = f" at {format_time(recovery.caught_up_at)}" if recovery.caught_up_at is not None else ""
    return f"has caught up{end}, after {recovery.cause}: {_took(recovery) or recovery.text}"
