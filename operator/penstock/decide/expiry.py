"""Whether the broker still holds the offsets at which a state goes on. Pure.

Kafka's source goes on at the offset in its state. When that is no longer there, Flink begins elsewhere, and says so in
a log only. A start that a user asked for is refused for it before anything stops; one that Penstock makes by itself is
not: a job that is down reads even less, and Flink's own restart would have done the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock.api import constants
from penstock.api.sources import JobSource
from penstock.api.start_from import Override, StartFrom
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import EndState, StartedFrom, StopReason
from penstock.decide import coverage
from penstock.decide.draft import Draft
from penstock.decide.measured import answers, few, field_of, unknown_topics, unusable
from penstock.decide.refusal import Refusal
from penstock.model import Observed
from penstock.source.held import Held

EXPIRED = "SourceOffsetsExpired"
OFFSETS_EXPIRED = "OffsetsExpired"
"""Reason of the condition that a job has which started, or runs, in spite of it."""
_INSTEAD = (
    "write spec.startFrom.checkpoint.name of a later one, a spec.startFrom.replay, or, to do without what is gone, "
    f"spec.startFrom.override: [{EXPIRED}] and a new spec.restartToken"
)
_GOES_ON = (StopReason.UPGRADE, StopReason.RESTORE, StopReason.RESTART, StopReason.RECOVER, StopReason.ROLL_BACK)


def is_asked_for(job: StreamJob, wish: StartFrom) -> bool:
    """Whether a user asked for this start, so that it can be refused; `wish` as spec.startFrom.

    Not asked for is the recovery of a run that was lost, and what follows a stop that was made to go on at once: then
    the job is down already, and what it goes on from is what it has just saved.
    """
    last = job.status.run
    if wish.latest is None or last is None or last.ended_at is None:
        return True
    return last.end_state is not EndState.LOST and last.stop_reason not in _GOES_ON


def hindrance(draft: Draft, began: StartedFrom, wish: StartFrom) -> Refusal | str:
    """Why this state may not be started from, or what is waited for; empty when it may, and for what has no state."""
    overridden = Override.SOURCE_OFFSETS_EXPIRED in (wish.override or ())
    if overridden or not is_asked_for(draft.job, wish):
        return ""
    gaps: list[str] = []
    for source, held, wanted in _wanted(draft.observed, began):
        trouble = unusable(source, held, f"{began.text} goes on with")
        if isinstance(trouble, str) and trouble:
            draft.wake(5)
            return f"{trouble}; to start all the same write spec.startFrom.override: [{EXPIRED}]"
        if trouble:
            return trouble
        found = _coverage(held, wanted)
        if found.unknown:
            return unknown_topics(source, found.unknown)
        gaps += _sentences(source, found)
    if not gaps:
        return ""
    return Refusal(EXPIRED, f"{began.text} goes on where the broker holds nothing any more: {few(gaps)}; {_INSTEAD}")


def told(draft: Draft, began: StartedFrom) -> StartedFrom:
    """A start that is made all the same: an event, a condition and its own reason tell what its sources have lost."""
    gaps = [
        gap
        for source, held, wanted in _wanted(draft.observed, began)
        for gap in _sentences(source, _coverage(held, wanted))
    ]
    if not gaps:
        return began
    lost = f"{began.text} goes on where the broker holds nothing any more: {few(gaps)}"
    draft.say("Warning", EXPIRED, f"the job starts all the same: {lost}")
    draft.job_condition(constants.SOURCES_AT_RISK, "True", OFFSETS_EXPIRED, lost)
    return began.model_copy(update={"reason": f"{began.reason}; {few(gaps)}"})


def _wanted(
    observed: Observed, began: StartedFrom
) -> Iterator[tuple[JobSource, Held | None, dict[tuple[str, int], int]]]:
    """Each source with the offsets of its topics at which the state goes on; none where it wants none."""
    seen = observed.verified.get(began.location or "")
    found = seen.verification if seen is not None else None
    offsets = found.positions.offsets if found is not None else {}
    for source, held in answers(observed):
        topics = set(source.kafka.topics) if source.kafka is not None else set()
        wanted = {place: at for place, at in offsets.items() if place[0] in topics and at >= 0}
        if wanted:
            yield source, held, wanted


def _coverage(held: Held | None, wanted: dict[tuple[str, int], int]) -> coverage.Coverage:
    measured = held.measured if held is not None else None
    return coverage.from_offsets(measured, wanted) if measured is not None else coverage.Coverage()


def _sentences(source: JobSource, found: coverage.Coverage) -> list[str]:
    return [f"{field_of(source)}: {gap}" for gap in (*found.offset_gaps, *found.vanished)]
