"""What is remembered of a run when its StreamJob has gone on: an annotation of its version's ControllerRevision."""

from typing import Final

from penstock.api.base import Model, Time
from penstock.api.replay import Replay
from penstock.api.streamjob_status import EndState, Run, StartedFrom, StartKind

RUN_PREFIX: Final = "run.penstock.dev/"
"""Before a run's id: the annotation that holds its RunRecord as JSON. One each, so that a write never meets another."""


class RunRecord(Model):
    """One run of a job version: what it started from, and how it ended."""

    started_at: Time | None = None
    """When its start was decided."""
    kind: StartKind
    """Empty, Checkpoint, Retained or Replay, as in status.startedFrom."""
    text: str = ""
    """The same for people."""
    checkpoint: str | None = None
    """Name of the Checkpoint that it started from."""
    location: str | None = None
    """Its URI: a name can be used again, this cannot."""
    checkpoint_id: int | None = None
    """Flink's number of it."""
    run: str | None = None
    """The run that wrote it."""
    reason: str = ""
    """Why it was chosen."""
    replay: Replay | None = None
    """The replay that the run began, or went on with."""
    ended_at: Time | None = None
    """When it was seen to have ended."""
    end_state: EndState | None = None
    """FINISHED, STOPPED, CANCELED, FAILED or LOST; missing while it lives, or when nobody saw its end."""
    stop_reason: str = ""
    """Why it was stopped, as in status.run."""


def record_of(run: Run, began: StartedFrom, known: RunRecord | None = None) -> RunRecord:
    """The record of a run of a StreamJob's status. What was known of its start and of its end is not rewritten.

    A status that was lost and found again knows less; a FAILED run of a job that its user stops counts as STOPPED.
    """
    if known is not None and known.end_state is not None:
        return known
    start = known or RunRecord(
        started_at=run.started_at,
        kind=began.kind,
        text=began.text,
        checkpoint=began.checkpoint,
        location=began.location,
        checkpoint_id=began.checkpoint_id,
        run=began.run,
        reason=began.reason,
        replay=began.replay,
    )
    end = {"ended_at": run.ended_at, "end_state": run.end_state, "stop_reason": run.stop_reason}
    return start.model_copy(update=end if run.ended_at is not None else {})
