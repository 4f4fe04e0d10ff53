"""What is told of a recovery at one look, until the job has caught up: figures, forecast, words. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from penstock.api import constants
from penstock.api.duration import display_duration
from penstock.api.recovery import (
    Actual,
    Capacity,
    MeasuredBy,
    Recovery,
    RecoveryPhase,
    with_capacity,
)
from penstock.decide import catchup, estimate, forecast
from penstock.decide.catchup import Figures, Watermarks
from penstock.decide.draft import Draft
from penstock.source.looks import Base, Followed, Look

_UNDECIDED = timedelta(seconds=5)
"""So long after all tasks run there should be a watermark, if there is ever one."""
_ALL = 100
_NEVER = "never catches up"
ENDED = "Ended"
"""The column RECOVERY of a run that has ended before its backlog was gone."""


def told(draft: Draft, recovery: Recovery, followed: Followed) -> Recovery:
    """With what the newest look says."""
    looks, base = followed.looks, followed.base
    measured = bool(draft.job.spec.sources) and any(source.kafka is not None for source in draft.job.spec.sources)
    if looks[-1].trouble:
        return recovery.model_copy(update={"outlook": looks[-1].trouble})
    if measured and base is not None and looks[-1].ends:
        found = catchup.figures(base, looks, recovery.read_from)
        return _by_offsets(draft, recovery, followed, base, found) if found is not None else recovery
    if measured:
        return recovery.model_copy(update={"outlook": "the brokers are asked what they hold"})
    if recovery.phase is not RecoveryPhase.CATCHING_UP:
        return recovery
    marks = catchup.watermarks(looks)
    if marks is not None:
        return _by_watermarks(draft, recovery, marks)
    return _by_nothing(draft, recovery)


# ---------------------------------------------------------------- by offsets


def _by_offsets(draft: Draft, recovery: Recovery, followed: Followed, base: Base, found: Figures) -> Recovery:
    looks = followed.looks
    at_start = recovery.backlog_at_start if recovery.backlog_at_start is not None else found.backlog
    gone = found.gone and recovery.phase is RecoveryPhase.CATCHING_UP
    update: dict[str, object] = {
        "measured_by": MeasuredBy.OFFSETS,
        "read_from": found.start,
        "backlog_at_start": at_start,
        "backlog_records": found.backlog,
        "lag_seconds": _rounded(found.lag),
        "percent": _ALL if gone else max(recovery.percent or 0, min(found.percent, _ALL - 1)),
        "records_per_second": _rounded(found.speed),
        "arrival_per_second": _rounded(found.arrival),
        **_outlook(draft.now, found),
    }
    if recovery.estimate_at_start is None and (
        found.arrival is not None or recovery.phase is RecoveryPhase.CATCHING_UP
    ):
        update["estimate_at_start"] = forecast.forecast(draft.status, _situation(draft, base, looks))
    seen = recovery.model_copy(update=update)
    return _over(draft, seen, found.read, catchup.capacity(base, looks)) if gone else seen


def _outlook(now: datetime, found: Figures) -> dict[str, object]:
    if found.never:
        said = f"{_NEVER}: {found.arrival or 0:.0f} records/s arrive, {found.speed or 0:.0f} are read"
        return {"estimated_completion": None, "outlook": said}
    if found.seconds is None:
        return {"estimated_completion": None, "outlook": "the speed is not known yet"}
    try:
        return {"estimated_completion": now + timedelta(seconds=found.seconds), "outlook": ""}
    except OverflowError:
        return {"estimated_completion": None, "outlook": f"{_NEVER} in a time that can be written"}


def _situation(draft: Draft, base: Base, looks: tuple[Look, ...]) -> estimate.Situation:
    first = next(each for each in looks if each.ends)
    last = looks[-1]
    seconds = (last.at - first.at).total_seconds()
    partitions = tuple(
        estimate.Partition(
            topic,
            number,
            max(min(end, base.stops.get((topic, number), end)) - base.offsets.get((topic, number), 0), 0),
            max(end - first.ends.get((topic, number), end), 0) / seconds if seconds > 0 else 0.0,
        )
        for (topic, number), end in sorted(last.ends.items())
    )
    # The records that arrive during the restart are in the backlog already, as far as it has lasted.
    return estimate.Situation(partitions, 0.0, draft.job.spec.parallelism)


# ---------------------------------------------------------------- by watermarks, and by nothing


def _by_watermarks(draft: Draft, recovery: Recovery, found: Watermarks) -> Recovery:
    pace = f"; it gets through {found.pace:.1f} s of its own time in a second" if found.pace is not None else ""
    update: dict[str, object] = {
        "measured_by": MeasuredBy.WATERMARKS,
        "lag_seconds": _rounded(found.lag),
        "outlook": f"told by watermarks, because spec.sources names no Kafka topic{pace}",
        "estimated_completion": _plus(draft.now, found.seconds),
    }
    seen = recovery.model_copy(update=update)
    return _over(draft, seen, None, None) if found.steady else seen


def _by_nothing(draft: Draft, recovery: Recovery) -> Recovery:
    restored = recovery.state_restored_at
    if restored is None or draft.now < restored + _UNDECIDED:
        return recovery
    why = "no backlog can be told: spec.sources names no Kafka topic, and the job has no watermarks"
    seen = recovery.model_copy(update={"measured_by": MeasuredBy.NOTHING, "outlook": why})
    return _over(draft, seen, None, None)


# ---------------------------------------------------------------- the end


def _over(draft: Draft, recovery: Recovery, records: int | None, speed: tuple[float, int] | None) -> Recovery:
    restored = recovery.state_restored_at
    restart = (restored - recovery.started_at).total_seconds() if restored is not None else None
    # Without a measure nobody knows when the backlog was gone: only that the tasks run.
    unknown = recovery.measured_by is MeasuredBy.NOTHING
    end = restored if unknown and restored is not None else draft.now
    actual = Actual(
        seconds=round((end - recovery.started_at).total_seconds()),
        restart_seconds=_rounded(restart),
        records=records,
    )
    if speed is not None:
        measured, readers = speed
        version = draft.status.run.job_version if draft.status.run is not None else 0
        new = Capacity(
            records_per_second=max(round(measured), 1),
            readers=readers,
            restart_seconds=_rounded(restart),
            job_version=version,
            time=draft.now,
        )
        draft.set(capacity=new, capacities=with_capacity(draft.status.capacities, new))
    return recovery.model_copy(
        update={
            "phase": RecoveryPhase.CAUGHT_UP,
            "caught_up_at": end,
            "actual": actual,
            "estimated_completion": None,
            "outlook": recovery.outlook if unknown else "",
        }
    )


def finished(draft: Draft, recovery: Recovery) -> None:
    """The job has read all that there ever is to read, and has ended by itself."""
    update: dict[str, object] = {"estimated_completion": None, "outlook": "", "updated_at": draft.now}
    if recovery.measured_by is MeasuredBy.OFFSETS:
        update |= {"percent": _ALL, "backlog_records": 0, "lag_seconds": 0}
    run = draft.status.run
    end = run.ended_at if run is not None and run.ended_at is not None else draft.now
    seconds = max((end - recovery.started_at).total_seconds(), 0.0)
    update |= {"phase": RecoveryPhase.CAUGHT_UP, "caught_up_at": end, "actual": Actual(seconds=round(seconds))}
    seen = recovery.model_copy(update=update)
    seen = worded(seen, draft.now)
    draft.set(recovery=seen)
    draft.job_condition(constants.CAUGHT_UP, *condition(seen))
    draft.say("Normal", str(seen.phase), sentence(seen))


def broken_off(draft: Draft, recovery: Recovery) -> None:
    """Its run has ended before the backlog was gone."""
    words = {"text": ENDED, "short": ENDED, "outlook": "its run has ended"}
    seen = recovery.model_copy(update=words | {"estimated_completion": None})
    draft.set(recovery=seen)
    draft.job_condition(constants.CAUGHT_UP, "False", ENDED, "the run has ended before it had caught up")


# ---------------------------------------------------------------- words


def condition(recovery: Recovery) -> tuple[Literal["True", "False", "Unknown"], str, str]:
    """Status, reason and message of the condition CaughtUp."""
    if recovery.phase is not RecoveryPhase.CAUGHT_UP:
        return "False", str(recovery.phase), ""
    if recovery.measured_by is MeasuredBy.NOTHING:
        return "Unknown", "NotMeasured", recovery.outlook
    return "True", str(recovery.phase), ""


def never(recovery: Recovery) -> bool:
    """Whether it was said that more arrives than the job reads."""
    return recovery.outlook.startswith(_NEVER)


def worded(recovery: Recovery, now: datetime) -> Recovery:
    """With the texts that say the same for people."""
    return recovery.model_copy(update={"text": _text(recovery, now), "short": _short(recovery, now)})


def _short(recovery: Recovery, now: datetime) -> str:
    """The column RECOVERY: a line of `kubectl get` has little room."""
    if recovery.phase is RecoveryPhase.CAUGHT_UP:
        return "Restored" if recovery.measured_by is MeasuredBy.NOTHING else str(recovery.phase)
    if recovery.phase is not RecoveryPhase.CATCHING_UP or recovery.percent is None:
        return str(recovery.phase)
    if recovery.estimated_completion is not None:
        left = max((recovery.estimated_completion - now).total_seconds(), 0.0)
        return f"{recovery.percent}%, {_time(left)}"
    return f"{recovery.percent}%{', never' if never(recovery) else ''}"


def _text(recovery: Recovery, now: datetime) -> str:
    phase, percent = recovery.phase, f" {recovery.percent}%" if recovery.percent is not None else ""
    if phase is RecoveryPhase.CAUGHT_UP and recovery.actual is not None:
        if recovery.measured_by is MeasuredBy.NOTHING:
            return f"Restored in {_time(recovery.actual.seconds)}, backlog not known"
        return f"{phase} in {_time(recovery.actual.seconds)}"
    if phase is not RecoveryPhase.CATCHING_UP:
        return str(phase)
    if recovery.estimated_completion is not None:
        left = max((recovery.estimated_completion - now).total_seconds(), 0.0)
        return f"{phase}{percent}, {_time(left)} left"
    return f"{phase}{percent}, never" if never(recovery) else f"{phase}{percent}"


def sentence(recovery: Recovery) -> str:
    """An event's message."""
    if recovery.phase is RecoveryPhase.CAUGHT_UP and recovery.actual is not None:
        done = f"after {recovery.cause}: {recovery.text}"
        expected = recovery.estimate_at_start.seconds if recovery.estimate_at_start is not None else None
        return f"{done}; {_time(expected)} had been expected" if expected is not None else done
    if recovery.phase is RecoveryPhase.CATCHING_UP and recovery.backlog_records is not None:
        return f"all tasks run; {recovery.backlog_records} records wait to be read"
    return "all tasks run" if recovery.phase is RecoveryPhase.CATCHING_UP else f"after {recovery.cause}"


def _time(seconds: float) -> str:
    return display_duration(round(seconds) * 1000)


def _plus(now: datetime, seconds: float | None) -> datetime | None:
    try:
        return now + timedelta(seconds=seconds) if seconds is not None else None
    except OverflowError:
        return None


def _rounded(figure: float | None) -> int | None:
    return round(figure) if figure is not None else None
