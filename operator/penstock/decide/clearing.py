"""Taking a checkpoint's data away: by retention, or because its object was deleted.

Never what is in use, in flight or pinned, and never the last restorable one by retention. The intent (condition
Deleting) is written in one pass, the data goes in later ones, the object or the phase follows when nothing is left.
"""

from __future__ import annotations

from datetime import datetime

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, DeletionPolicy, Phase, Source
from penstock.api.streamjob import DesiredState, StreamJob
from penstock.api.streamjob_status import StartIntent, StopIntent, TeardownIntent
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_cleared, live_run, start_value
from penstock.model import DeleteCheckpoint, DeleteCheckpointData, SetFinalizer, TargetListing

HISTORY_LIMIT = 20
"""How many ended Checkpoints of each source without data, made by the operator, stay listed."""
_RETAINED_BY_COUNT = (Source.MANUAL, Source.STOP, Source.UPGRADE, Source.SCHEDULE)


def retain(draft: Draft) -> None:
    """Decide what is too many: the newest `numRetained` of each source stay."""
    job = draft.observed.job
    if job is None or job.metadata.terminating or draft.observed.namespace_terminating:
        return
    limit = job.spec.checkpoints.retention.num_retained
    present = sorted(
        (ckpt for ckpt in draft.observed.checkpoints if draft.status_of(ckpt).phase is Phase.PRESENT),
        key=lambda ckpt: _age_key(draft, ckpt),
        reverse=True,
    )
    for source in _RETAINED_BY_COUNT:
        counted = [ckpt for ckpt in present if ckpt.spec.source is source and not ckpt.spec.pinned]
        for checkpoint in counted[limit:]:
            if checkpoint is present[0] or in_use(job, checkpoint) or is_being_cleared(checkpoint):
                continue
            message = f"more than {limit} of source {source} (checkpoints.retention.numRetained)"
            draft.condition(checkpoint, constants.DELETING, "True", "Retention", message)
            draft.wake(0)
    _forget(draft)


def proceed(draft: Draft, checkpoint: Checkpoint) -> None:
    """Take the data of a Present one away when an earlier pass decided so, and nothing has come to need it since."""
    if not is_being_cleared(checkpoint):
        return
    name = checkpoint.metadata.name
    job = draft.observed.job
    target = draft.observed.targets.get(name)
    whole = not isinstance(target, TargetListing) or target.complete is not None
    if whole and (checkpoint.spec.pinned or (job is not None and in_use(job, checkpoint))):
        # Only while it can still be restored: what has lost its `_metadata` is deleted to its end.
        draft.condition(checkpoint, constants.DELETING, "False", "Needed", "it is pinned or in use again")
        return
    if not isinstance(target, TargetListing):
        draft.wake(5)
        return
    if target.keys:
        draft.act(DeleteCheckpointData(name, checkpoint.status.target_directory or ""), name)
        draft.wake(0)
        return
    freed = checkpoint.status.size_bytes or 0
    draft.set_checkpoint(checkpoint, phase=Phase.CLEARED, settled=True, bytes_freed=freed)
    draft.condition(checkpoint, constants.DELETING, "False", "Cleared", f"{freed} bytes freed")
    draft.say("Normal", "Cleared", f"its data is gone, {freed} bytes freed", checkpoint)
    if constants.FINALIZER_DATA in checkpoint.metadata.finalizers:
        draft.wake(0)


def deleted(draft: Draft, checkpoint: Checkpoint) -> None:
    """The object was deleted by somebody: its data first, then the finalizer."""
    if constants.FINALIZER_DATA not in checkpoint.metadata.finalizers:
        return
    name, status = checkpoint.metadata.name, checkpoint.status
    keeps = checkpoint.spec.deletion_policy is DeletionPolicy.RETAIN or draft.observed.namespace_terminating
    if keeps or status.target_directory is None:
        if keeps and status.location:
            draft.say("Normal", "Retained", f"its data stays at {status.location}", checkpoint)
        draft.act(SetFinalizer("Checkpoint", name, present=False), name)
        return
    job, target = draft.observed.job, draft.observed.targets.get(name)
    whole = not isinstance(target, TargetListing) or target.complete is not None
    if whole and job is not None and in_use(job, checkpoint):
        draft.condition(checkpoint, constants.DELETING, "False", "InUse", "a run starts from it; deleted after that")
        draft.wake(5)
        return
    if not is_being_cleared(checkpoint):
        draft.condition(checkpoint, constants.DELETING, "True", "Deleted", "the Checkpoint was deleted")
        draft.wake(0)
        return
    if not isinstance(target, TargetListing):
        reason = target.reason if target is not None else "the store has not been listed"
        way_out = "to let go of the object and leave the data, write spec.deletionPolicy: Retain"
        draft.condition(checkpoint, constants.STALLED, "True", "StoreNotReached", f"{reason}; {way_out}")
        draft.wake(15)
    elif target.keys:
        draft.act(DeleteCheckpointData(name, status.target_directory), name)
        draft.wake(0)
    else:
        draft.say("Normal", "Deleted", f"its data is gone, {status.size_bytes or 0} bytes freed", checkpoint)
        draft.act(SetFinalizer("Checkpoint", name, present=False), name)


def in_use(job: StreamJob, checkpoint: Checkpoint) -> bool:
    """Whether a run starts from it, needs it for a second start, or the spec asks to start from it next."""
    location = checkpoint.status.location
    status = job.status
    if location is None or (job.metadata.terminating and live_run(job) is None and status.intent is None):
        return False
    if isinstance(status.intent, StartIntent) and status.intent.started_from.location == location:
        return True
    if checkpoint.metadata.name in _to_be_started_from(job):
        return True
    began = status.started_from
    if began is not None and began.location == location:
        # A restore in NO_CLAIM mode needs it until the run's own first checkpoint is complete.
        latest = status.latest_checkpoint
        if latest is None or latest.location == location:
            return True
    wished = job.spec.start_from.checkpoint
    applied = status.applied.start_from if status.applied else None
    named = wished is not None and wished.name == checkpoint.metadata.name
    return named and start_value(job) != applied and job.spec.state is DesiredState.RUNNING


def _to_be_started_from(job: StreamJob) -> set[str]:
    """The Checkpoint that a stop under way, or one that is over, has promised to the next run."""
    intent, run = job.status.intent, job.status.run
    promised = [intent.next_start_from] if isinstance(intent, StopIntent | TeardownIntent) else []
    if run is not None and run.ended_at is not None and not isinstance(intent, StartIntent):
        promised.append(run.next_start_from)
    return {str((value.get("checkpoint") or {}).get("name")) for value in promised if value}


def _age_key(draft: Draft, checkpoint: Checkpoint) -> tuple[datetime, int]:
    status = draft.status_of(checkpoint)
    when = status.completion_time or checkpoint.metadata.creation_timestamp or draft.now
    return when, status.checkpoint_id or 0


def _forget(draft: Draft) -> None:
    """Delete the oldest objects without data that the operator made, beyond the history limit."""
    for source in (Source.STOP, Source.UPGRADE, Source.SCHEDULE, Source.RETAINED):
        ended = [
            ckpt
            for ckpt in draft.observed.checkpoints
            if ckpt.spec.source is source
            and ckpt.status.phase in (Phase.CLEARED, Phase.FAILED, Phase.TIMEOUT)
            and ckpt.status.settled is not False
            and not ckpt.metadata.terminating
        ]
        ended.sort(key=lambda ckpt: ckpt.metadata.creation_timestamp or draft.now, reverse=True)
        for checkpoint in ended[HISTORY_LIMIT:]:
            draft.act(DeleteCheckpoint(checkpoint.metadata.name, checkpoint.metadata.uid), checkpoint.metadata.name)
