"""Whether the job's sources still hold what a replay would read: measured at the broker before anything stops. Pure.

It stands beside `verification`, which says the same of a state's files. No replay is begun, and no job is stopped for
one, without an answer that was found for that very start.
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
from penstock.decide.needs import live_run
from penstock.decide.refusal import Refusal
from penstock.decide.replay import TOO_SHORT, longest_stop
from penstock.model import Observed
from penstock.source.held import Held, SourceWish

_NAMED = 3
"""So many partitions are named; a topic may have hundreds."""


def wishes(observed: Observed) -> tuple[SourceWish, ...]:
    """What is to be measured in this pass."""
    job, began = observed.job, verification.to_start_from(observed)
    if job is None or began is None or began.kind is not StartKind.REPLAY:
        return ()
    return tuple(wish for source in job.spec.sources if (wish := _wish(observed, source)) is not None)


def _wish(observed: Observed, source: JobSource) -> SourceWish | None:
    if source.kafka is None or observed.job is None:
        return None
    start = verification.this_start(observed)
    return SourceWish(observed.job.metadata.namespace, source.kafka.connection, tuple(source.kafka.topics), start)


def hindrance(draft: Draft, began: StartedFrom) -> Refusal | str:
    """Why a replay may not begin, or what is waited for; empty when it may, and for every other start."""
    replay = began.replay
    if began.kind is not StartKind.REPLAY or replay is None:
        return ""
    gaps: list[str] = []
    for source, held in _answers(draft.observed):
        trouble = _unusable(source, held, replay.on_gap)
        if isinstance(trouble, str) and trouble:
            draft.wake(5)
        if trouble:
            return trouble
        gaps += [f"{_field(source)}: {gap}" for gap in _gaps(draft.observed, replay, held)]
    if not gaps or replay.on_gap is OnGap.WARN:
        return ""
    behind = replay.output_from - replay.source_start
    later = f" plus the look-back of {format_duration(behind // timedelta(milliseconds=1))}" if behind else ""
    return Refusal(
        TOO_SHORT,
        f"{_few(gaps)}. Write a spec.startFrom.replay.from of that time{later} or later, or "
        "spec.startFrom.replay.onGap: Warn to do without what is gone",
    )


def _unusable(source: JobSource, held: Held | None, on_gap: OnGap) -> Refusal | str:
    """Why nothing can be said of a source; empty when something can, or when it is not to matter."""
    field = _field(source)
    if held is None:
        return f"{field}: the broker is asked whether it still holds what the replay would read"
    if held.problem:
        return Refusal("SourceNotUsable", f"{field}: {held.problem}")
    if held.measured is None:
        return "" if on_gap is OnGap.WARN else f"{field}: nobody knows what the broker still holds: {held.trouble}"
    if held.measured.unknown:
        names = ", ".join(held.measured.unknown)
        return Refusal("SourceNotUsable", f"{field}.topics: the broker does not know {names}; write topics that it has")
    return ""


def _few(gaps: list[str]) -> str:
    more = f" and {len(gaps) - _NAMED} more partitions" if len(gaps) > _NAMED else ""
    return "; ".join(gaps[:_NAMED]) + more


def _field(source: JobSource) -> str:
    return f"spec.sources[{source.name}].kafka"


def warning(draft: Draft, began: StartedFrom) -> str:
    """What a replay that begins will not find any more, in words; empty when the sources hold all, or for others."""
    if began.kind is not StartKind.REPLAY or began.replay is None:
        return ""
    return _few(list(_told(draft.observed, began.replay)))


def _told(observed: Observed, replay: Replay) -> Iterator[str]:
    for source, held in _answers(observed):
        if held is not None and held.measured is not None:
            yield from (f"{_field(source)}: {gap}" for gap in _gaps(observed, replay, held))
        elif held is not None:
            yield f"{_field(source)}: nobody knows what the broker still holds: {held.trouble}"


def _answers(observed: Observed) -> Iterator[tuple[JobSource, Held | None]]:
    for source in observed.job.spec.sources if observed.job is not None else ():
        wish = _wish(observed, source)
        if wish is not None:
            yield source, observed.held.get(wish)


def _gaps(observed: Observed, replay: Replay, held: Held | None) -> list[coverage.Gap]:
    """Those that the topic's settings do not explain.

    What a running job is stopped for must still be there after the longest stop.
    """
    if held is None or held.measured is None or observed.job is None:
        return []
    spare = timedelta() if live_run(observed.job) is None else longest_stop(observed.job.spec)
    found = coverage.from_time(held.measured, replay.source_start, held.at + spare)
    return [gap for gap in found.gaps if not gap.within_retention]
