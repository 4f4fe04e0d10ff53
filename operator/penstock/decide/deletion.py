"""Deleting a StreamJob: cancel, take the pods away, the data when the user said so, then let the object go. Bounded."""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint
from penstock.api.conditions import find_condition
from penstock.api.streamjob import DeleteCheckpoints
from penstock.api.streamjob_status import JobState, StopIntent, StopMethod, StopReason, TeardownIntent
from penstock.decide import retained, stop
from penstock.decide.draft import Draft
from penstock.decide.needs import live_run
from penstock.model import DeleteCheckpoint, DeleteJobData, DeleteRun, SetFinalizer

LIMIT = timedelta(minutes=10)
"""After that the object is let go; what is left behind is said in an event."""


def proceed(draft: Draft) -> None:
    """One look at a StreamJob that is being deleted."""
    meta = draft.job.metadata
    if constants.FINALIZER_RUN not in meta.finalizers:
        return
    draft.set(state=JobState.DELETING)
    if meta.deletion_timestamp is not None and draft.now >= _counts_from(draft, meta.deletion_timestamp) + LIMIT:
        last = find_condition(draft.status.conditions, constants.RECONCILING)
        why = last.message if last and last.message else "pods or data may remain"
        draft.say("Warning", "LetGo", f"not cleaned up after {LIMIT}: {why}")
        draft.act(SetFinalizer("StreamJob", meta.name, present=False))
        return
    if not _stopped(draft):
        draft.wake(1)
        return
    ended = draft.status.run
    if ended is not None and not draft.observed.everything_goes and not retained.is_settled(draft, ended):
        draft.wake(1)
        return
    if draft.job.spec.on_delete.checkpoints is DeleteCheckpoints.DELETE and not _data_goes(draft):
        draft.wake(1)
        return
    draft.act(SetFinalizer("StreamJob", meta.name, present=False))


def _counts_from(draft: Draft, deleted_at: datetime) -> datetime:
    """From when on the limit counts: a stop that was under way may go on to its end, and what comes after it, too."""
    intent, run = draft.status.intent, draft.status.run
    if draft.observed.everything_goes:
        return deleted_at
    if isinstance(intent, StopIntent | TeardownIntent) and intent.reason != StopReason.DELETE:
        return max(deleted_at, intent.deadline)
    ended = run.ended_at if run is not None and run.stop_reason != StopReason.DELETE else None
    return max(deleted_at, ended or deleted_at)


def _data_goes(draft: Draft) -> bool:
    """Delete the job's Checkpoints, and then what is left in its directory; True when nothing has to be waited for."""
    if draft.observed.everything_goes:
        return True
    if draft.observed.kinds_unknown:
        draft.waiting = draft.observed.kinds_unknown
        return False
    waiting = [ckpt for ckpt in draft.observed.checkpoints if goes_with_job(ckpt)]
    for checkpoint in waiting:
        if not checkpoint.metadata.terminating:
            draft.act(DeleteCheckpoint(checkpoint.metadata.name, checkpoint.metadata.uid))
    unknown = [ckpt.metadata.name for ckpt in draft.observed.checkpoints if ckpt.status.phase is None]
    unreadable = draft.observed.unreadable
    if waiting:
        draft.waiting = f"{len(waiting)} Checkpoints are being deleted"
    elif unknown:
        # Where its data lies is not known yet; it is looked up in this very pass.
        draft.waiting = f"Checkpoint {unknown[0]} is looked up before anything is deleted"
    elif unreadable:
        # Which data is that Checkpoint's cannot be known: none is deleted that it may own.
        draft.waiting = f"Checkpoint {unreadable[0].name} cannot be read: mend or delete it"
    elif draft.observed.store.place is not None:
        places = (ckpt.status.target_directory or ckpt.status.location for ckpt in draft.observed.checkpoints)
        keep = tuple(place for place in places if place)
        draft.act(DeleteJobData(draft.job.metadata.uid, keep))
    return not draft.waiting


def goes_with_job(checkpoint: Checkpoint) -> bool:
    """Whether `onDelete.checkpoints: Delete` takes this one: not when it is pinned, or says Retain for itself."""
    return not checkpoint.spec.pinned and not checkpoint.spec.keeps_data


def _stopped(draft: Draft) -> bool:
    """Bring the run to its end, step by step; True when nothing of any run is left."""
    intent = draft.status.intent
    if isinstance(intent, TeardownIntent):
        stop.proceed_teardown(draft, intent)
        return False
    if isinstance(intent, StopIntent):
        # A stop that was under way goes on to its end: its savepoint may be the last state of the job.
        stop.proceed(draft, intent)
        return False
    run = live_run(draft.job)
    if run is not None:
        # In a namespace that goes nothing is asked of Flink: Kubernetes takes its pods at this very moment.
        method = StopMethod.KILL if draft.observed.everything_goes else StopMethod.CANCEL
        stop.record(draft, run, StopReason.DELETE, method)
        return False
    left = [objects for objects in draft.observed.runs if objects.objects or objects.pods]
    for objects in left:
        draft.act(DeleteRun(objects.run))
    if left:
        draft.waiting = f"{sum(objects.pods for objects in left)} pods are going away"
    return not left
