"""Whether a job's state is what the status says it is. Pure.

A program comes after Penstock's configuration: by SET, by arguments and in code it can change where checkpoints go and
what is restored. So what Flink really did is looked at, and what differs is told.
"""

from __future__ import annotations

from penstock.api.streamjob_status import LatestCheckpoint, Run, StartedFrom
from penstock.decide.draft import Draft
from penstock.flink.answers import FlinkJob
from penstock.model import Observed

ELSEWHERE = "CheckpointsElsewhere"
RESTORED_FROM_ELSEWHERE = "RestoredFromElsewhere"


def elsewhere(observed: Observed, location: str) -> bool:
    """Whether a checkpoint of the job lies where no restore, retention or deletion looks. False while nobody knows."""
    job, place = observed.job, observed.store.place
    if job is None or place is None or not location:
        return False
    key = place.key_of(location)
    where = (place.retained_of, place.savepoint_of)
    meta = job.metadata
    return key is None or not any(inside(f"{key}/", meta.namespace, meta.name) for inside in where)


def unprotected(observed: Observed, latest: LatestCheckpoint | None) -> str:
    """What is wrong with the place of the newest checkpoint, and what to do about it; empty: nothing is."""
    if latest is None or not elsewhere(observed, latest.location):
        return ""
    has_address = "://" in latest.location
    where = f"lies at {latest.location}, outside of the job's directory" if has_address else "is in memory only"
    key = "execution.checkpointing.dir" if has_address else "execution.checkpointing.storage"
    return (
        f"Flink's newest checkpoint, number {latest.checkpoint_id}, {where}: Penstock cannot start from it. The "
        f"program has changed {key}; take that line out of it"
    )


def tell(draft: Draft) -> str:
    """Say it when it becomes so, and return it."""
    run = draft.status.run
    if run is None or run.ended_at is not None:
        return ""
    why = unprotected(draft.observed, draft.status.latest_checkpoint)
    if why and not unprotected(draft.observed, draft.job.status.latest_checkpoint):
        draft.say("Warning", ELSEWHERE, why)
    return why


def restored_as_asked(run: Run, began: StartedFrom, flink: FlinkJob) -> bool | None:
    """Whether Flink restored what was asked for, or a later checkpoint of this very run (after a failover).

    None: it does not say yet. A checkpoint completed by a run that restored nothing proves that it began empty.
    """
    if flink.restored is not None:
        path = flink.restored.path.rstrip("/")
        return f"/{run.id}/" in path or (began.location is not None and path == began.location.rstrip("/"))
    if began.location is None:
        return True
    return False if flink.completed is not None else None


def restored_instead(flink: FlinkJob, began: StartedFrom) -> str:
    """What Flink has restored in place of what was asked for, in words, with what to do when it was the program."""
    really = flink.restored.path if flink.restored is not None else "nothing"
    return (
        f"Flink says that it restored {really}, not {began.location or 'nothing'}. When the program sets "
        "execution.state-recovery.path, take that line out of it"
    )
