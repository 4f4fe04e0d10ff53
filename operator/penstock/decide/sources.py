"""Whether the job's sources still hold what a replay would read: measured at the broker before anything stops. Pure.

It stands beside `verification`, which says the same of a state's files, and `expiry`, which says it of the offsets in a
state. No replay is begun, and no job is stopped for one, without an answer that was found for that very start.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from penstock.api.duration import format_duration
from penstock.api.replay import Replay
from penstock.api.sources import JobSource
from penstock.api.start_from import OnGap
from penstock.api.streamjob_status import StartedFrom, StartKind
from penstock.decide import coverage, verification
from penstock.decide.draft import Draft
from penstock.decide.measured import answers, few, field_of, unknown_topics, unusable, wishes_of
from penstock.decide.needs import live_run
from penstock.decide.refusal import Refusal
from penstock.decide.replay import TOO_SHORT, longest_stop
from penstock.model import Observed
from penstock.source.held import Held, SourceWish


def wishes(observed: Observed) -> tuple[SourceWish, ...]:
    """What is to be measured in this pass."""
    job, began = observed.job, verification.to_start_from(observed)
    if job is None or began is None or (began.kind is not StartKind.REPLAY and began.location is None):
        return ()
    return wishes_of(observed)


def hindrance(draft: Draft, began: StartedFrom) -> Refusal | str:
    """Why a replay may not begin, or what is waited for; empty when it may, and for every other start."""
    replay = began.replay
    if began.kind is not StartKind.REPLAY or replay is None:
        return ""
    gaps: list[str] = []
    for source, held in answers(draft.observed):
        trouble = _unusable(source, held, replay.on_gap)
        if isinstance(trouble, str) and trouble:
            draft.wake(5)
        if trouble:
            return trouble
        gaps += [f"{field_of(source)}: {gap}" for gap in _gaps(draft.observed, replay, held)]
    if not gaps or replay.on_gap is OnGap.WARN:
        return ""
    behind = replay.output_from - replay.source_start
    later = f" plus the look-back of {format_duration(behind // timedelta(milliseconds=1))}" if behind else ""
    return Refusal(
        TOO_SHORT,
        f"{few(gaps)}. Write a spec.startFrom.replay.from of that time{later} or later, or "
        "spec.startFrom.replay.onGap: Warn to do without what is gone",
    )


def _unusable(source: JobSource, held: Held | None, on_gap: OnGap) -> Refusal | str:
    """Why nothing can be said of a source; empty when something can, or when it is not to matter."""
    trouble = unusable(source, held, "the replay would read")
    if isinstance(trouble, Refusal) or held is None:
        return trouble
    if held.measured is None:
        return "" if on_gap is OnGap.WARN else trouble
    return unknown_topics(source, held.measured.unknown) if held.measured.unknown else ""


def warning(draft: Draft, began: StartedFrom) -> str:
    """What a replay that begins will not find any more, in words; empty when the sources hold all, or for others."""
    if began.kind is not StartKind.REPLAY or began.replay is None:
        return ""
    return few(list(_told(draft.observed, began.replay)))


def _told(observed: Observed, replay: Replay) -> Iterator[str]:
    for source, held in answers(observed):
        if held is not None and held.measured is not None:
            yield from (f"{field_of(source)}: {gap}" for gap in _gaps(observed, replay, held))
        elif held is not None:
            yield f"{field_of(source)}: nobody knows what the broker still holds: {held.trouble}"


def _gaps(observed: Observed, replay: Replay, held: Held | None) -> list[coverage.Gap]:
    """Those that the topic's settings do not explain.

    What a running job is stopped for must still be there after the longest stop.
    """
    if held is None or held.measured is None or observed.job is None:
        return []
    spare = timedelta() if live_run(observed.job) is None else longest_stop(observed.job.spec)
    found = coverage.from_time(held.measured, replay.source_start, held.at + spare)
    return [gap for gap in found.gaps if not gap.within_retention]
