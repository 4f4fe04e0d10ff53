"""The life of each Checkpoint: waiting, being taken, present; found again when its status was lost."""

from __future__ import annotations

from datetime import timedelta

from penstock import names
from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase, Source
from penstock.api.duration import display_duration, parse_duration
from penstock.api.quantity import display_bytes
from penstock.api.streamjob import StreamJobSpec
from penstock.api.streamjob_status import LastError, StopIntent
from penstock.clock import from_millis
from penstock.decide import checkpointing, clearing, imported, notes, report, retained, schedule, verification
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_cleared, is_being_taken, live_run
from penstock.flink.answers import CheckpointStats, Completed, FlinkJob, InProgress, NotTriggered, TriggerFailed
from penstock.model import (
    DeleteKeys,
    JobListing,
    SetFinalizer,
    StoredState,
    TargetListing,
    TriggerSavepoint,
    Unknown,
    WriteNote,
)

_DEFAULT_TIMEOUT = "10m"
_POLL_SECONDS = 1.0
_STATS_LIMIT = timedelta(seconds=5)


def proceed(draft: Draft, checkpoint: Checkpoint) -> None:
    """One look at one Checkpoint."""
    phase = checkpoint.status.phase
    if checkpoint.metadata.terminating and not (is_being_taken(checkpoint) and _can_be_followed(draft)):
        clearing.deleted(draft, checkpoint)
        return
    if draft.observed.everything_goes:
        return
    if constants.FINALIZER_DATA not in checkpoint.metadata.finalizers and phase is not Phase.CLEARED:
        # Also when somebody has taken it off, or has replaced the object by one without: its data would be left behind.
        draft.act(SetFinalizer("Checkpoint", checkpoint.metadata.name, present=True), checkpoint.metadata.name)
        draft.wake(0)
        return
    if phase is None:
        _fresh(draft, checkpoint)
    elif phase is Phase.PRESENT and checkpoint.spec.source is Source.RETAINED and not is_being_cleared(checkpoint):
        retained.proceed(draft, checkpoint)
    elif phase is Phase.PENDING:
        _pending(draft, checkpoint)
    elif is_being_taken(checkpoint):
        _taking(draft, checkpoint)
    elif phase is Phase.PRESENT:
        clearing.proceed(draft, checkpoint)
    verification.proceed(draft, checkpoint)
    if _has_news(draft, checkpoint):
        report.conditions(draft, checkpoint)


def _has_news(draft: Draft, checkpoint: Checkpoint) -> bool:
    status = draft.status_of(checkpoint)
    elsewhere = draft.observed.store_of(checkpoint) is not draft.observed.store
    return status.phase is not None and (elsewhere or status is not checkpoint.status)


def _can_be_followed(draft: Draft) -> bool:
    """Whether what is being taken can be followed to its end before its deleted object goes: else it would leak."""
    return draft.observed.job is not None and not draft.observed.everything_goes


def _fresh(draft: Draft, checkpoint: Checkpoint) -> None:
    """No status yet, or lost: what lies in the store decides, before anything is asked of Flink."""
    if draft.observed.job is None:
        # Not Pending: its data may lie in the store that only the StreamJob names.
        missing = f"spec.jobRef.name: there is no StreamJob {checkpoint.spec.job_ref.name} in this namespace"
        draft.condition(checkpoint, constants.STALLED, "True", "JobNotFound", f"{missing}; make it, or delete this")
        return
    if checkpoint.spec.source is Source.RETAINED:
        if not retained.proceed(draft, checkpoint):
            missing = "spec.origin.checkpointId is missing: make it again with Flink's number"
            _fail(draft, checkpoint, "NotFound", missing)
    elif checkpoint.spec.source is Source.IMPORTED:
        _imported(draft, checkpoint)
    else:
        _looked_up(draft, checkpoint)


def _looked_up(draft: Draft, checkpoint: Checkpoint) -> None:
    """A savepoint without status: it is found again, or it is to be taken, or it is nothing any more."""
    listing = draft.observed.listing
    if not isinstance(listing, JobListing):
        # No phase yet: with the store away nobody knows whether it has been taken already.
        why = draft.observed.store.problem or (listing.reason if listing is not None else "it was not asked")
        draft.condition(checkpoint, constants.RECONCILING, "True", "Waiting", f"the store does not answer: {why}")
        draft.condition(checkpoint, constants.READY, "False", "Waiting", "")
        draft.wake(2)
        return
    found = notes.found_again(draft, checkpoint, listing)
    if found is not None:
        _present(draft, checkpoint, found, None)
        draft.say("Normal", "Found", f"found again in the store at {found.location}", checkpoint)
        return
    if notes.rebuilt_from(checkpoint) is not None:
        _not_there(draft, checkpoint)
        return
    intent = draft.status.intent
    if isinstance(intent, StopIntent) and intent.checkpoint == checkpoint.metadata.name:
        _create(draft, checkpoint, attempt=1)
    elif checkpoint.spec.source is Source.MANUAL or schedule.awaits(draft, checkpoint):
        draft.set_checkpoint(checkpoint, phase=Phase.PENDING)
        draft.wake(0)
    else:
        origin = checkpoint.spec.origin.run if checkpoint.spec.origin else "unknown"
        _fail(draft, checkpoint, "NotFound", f"the store holds nothing of this Checkpoint of run {origin}")


def _not_there(draft: Draft, checkpoint: Checkpoint) -> None:
    """One that stands for data which was there before it: a new savepoint would be something else under its name."""
    where = notes.rebuilt_from(checkpoint)
    _fail(draft, checkpoint, "NotFound", f"made anew for {where}, which is not in the store of the job: delete this")


def _imported(draft: Draft, checkpoint: Checkpoint) -> None:
    refused = imported.proceed(draft, checkpoint)
    if refused is not None:
        _fail(draft, checkpoint, *refused)


def _pending(draft: Draft, checkpoint: Checkpoint) -> None:
    """Waits until the job runs, nothing else is being taken and no stop is under way."""
    if checkpoint.spec.source is Source.IMPORTED:
        _imported(draft, checkpoint)
        return
    if notes.rebuilt_from(checkpoint) is not None:
        _not_there(draft, checkpoint)
        return
    reason = _why_not_now(draft)
    if reason:
        _wait(draft, checkpoint, reason)
        return
    run = draft.status.run
    if run is not None and (never := checkpointing.no_savepoint(run)):
        _fail(draft, checkpoint, checkpointing.NONE, never)
        return
    _create(draft, checkpoint, attempt=1)


def _why_not_now(draft: Draft) -> str:
    job = draft.observed.job
    if job is None:
        return "the StreamJob is gone"
    flink = draft.observed.flink
    taken = [ckpt.metadata.name for ckpt in draft.observed.checkpoints if draft.status_of(ckpt).phase is Phase.CREATING]
    if taken:
        return f"Checkpoint {taken[0]} is being taken"
    if draft.status.intent is not None or live_run(job) is None or job.metadata.terminating:
        return f"the job is {draft.status.state or 'not started'}"
    if not isinstance(flink, FlinkJob) or not flink.all_running or draft.status.run is None:
        return "the job does not run with all of its tasks yet"
    if not draft.status.run.confirmed:
        return "the job is starting"
    return draft.observed.store.problem


def _create(draft: Draft, checkpoint: Checkpoint, attempt: int) -> None:
    """Record the intent to take it: trigger id and target directory, before anything is asked of anybody."""
    job, run, place = draft.job, draft.status.run, draft.observed.store.place
    if run is None or place is None:
        _wait(draft, checkpoint, draft.observed.store.problem or "the job has no run")
        return
    uid = checkpoint.metadata.uid
    directory = place.savepoint(job.metadata.namespace, job.metadata.name, job.metadata.uid, uid)
    draft.set_checkpoint(
        checkpoint,
        phase=Phase.CREATING,
        attempt=attempt,
        trigger_id=names.trigger_id(uid, attempt),
        target_directory=place.uri(directory),
        job_uid=job.metadata.uid,
        run=run.id,
        job_version=run.job_version,
        replay=draft.status.started_from.replay if draft.status.started_from is not None else None,
        trigger_time=checkpoint.status.trigger_time or draft.now,
        format=checkpoint.spec.format or job.spec.checkpoints.format,
        flink_version=_flink_version(job.spec),
        store=job.spec.checkpoints.store,
        settled=False,
    )
    draft.wake(0)


def _taking(draft: Draft, checkpoint: Checkpoint) -> None:
    """Look for the effect in this order: the trigger id, the directory; only then ask Flink (again)."""
    draft.wake(_POLL_SECONDS)
    name = checkpoint.metadata.name
    target = draft.observed.targets.get(name)
    if not isinstance(target, TargetListing):
        return
    alive = name in draft.observed.triggers  # it is only polled while its run lives
    trigger = draft.observed.triggers.get(name, NotTriggered())
    if isinstance(trigger, InProgress):
        _overdue(draft, checkpoint)
    elif isinstance(trigger, Completed) or (target.complete and not isinstance(trigger, Unknown)):
        _completed(draft, checkpoint, target, trigger if isinstance(trigger, Completed) else None)
    elif isinstance(trigger, TriggerFailed):
        _refused(draft, checkpoint, target, trigger.message)
    elif isinstance(trigger, NotTriggered):
        _ask(draft, checkpoint, target, alive=alive)
    else:
        _overdue(draft, checkpoint)


def _completed(draft: Draft, checkpoint: Checkpoint, target: TargetListing, trigger: Completed | None) -> None:
    name = checkpoint.metadata.name
    if target.complete is None:
        # Flink says complete and nothing is there: somebody deleted it, or wrote elsewhere.
        _fail(draft, checkpoint, "DataMissing", f"Flink says {trigger.location if trigger else '?'}, nothing is there")
        return
    if target.partial:
        draft.act(DeleteKeys(name, checkpoint.status.target_directory or "", target.partial), name)
        draft.wake(0)
        return
    stats = _stats(draft, target.complete.location)
    if stats is None and trigger is not None and draft.now < target.complete.modified + _STATS_LIMIT:
        return  # Flink's history is answered from a cache of a second: the figures come with the next look
    _present(draft, checkpoint, target.complete, stats)
    draft.say("Normal", "Present", f"complete at {target.complete.location}", checkpoint)


def _stats(draft: Draft, location: str) -> CheckpointStats | None:
    flink = draft.observed.flink
    if not isinstance(flink, FlinkJob):
        return None
    return next((stats for stats in flink.history if stats.path.rstrip("/") == location), None)


def _ask(draft: Draft, checkpoint: Checkpoint, target: TargetListing, *, alive: bool) -> None:
    """Nothing has come of it so far: ask Flink, under the trigger id that the status has held since an earlier pass."""
    name, status = checkpoint.metadata.name, checkpoint.status
    if not alive:
        _refused(draft, checkpoint, target, "the run ended before the savepoint was complete", final=True)
        return
    flink = draft.observed.flink
    if isinstance(flink, FlinkJob) and flink.terminal:
        _refused(draft, checkpoint, target, f"the job is {flink.state}", final=True)
        return
    if _past_deadline(draft, checkpoint):
        _refused(draft, checkpoint, target, "the job did not run with all of its tasks in time", final=True)
        return
    if not isinstance(flink, FlinkJob) or not flink.all_running:
        return
    intent = draft.status.intent
    stop = isinstance(intent, StopIntent) and intent.checkpoint == name
    form = status.format.value if status.format else "CANONICAL"
    draft.act(WriteNote(name), name)
    draft.act(
        TriggerSavepoint(
            name, status.run or "", status.trigger_id or "", (status.target_directory or "").rstrip("/"), form, stop
        ),
        name,
    )


_PASSING = (
    "not all required tasks are currently running",
    "checkpoint coordinator is suspending",
    "task not ready",
    "not available while the jobmanager is initializing",
)
"""What Flink says of a job that does not run with all of its tasks yet."""


def _refused(draft: Draft, checkpoint: Checkpoint, target: TargetListing, message: str, *, final: bool = False) -> None:
    """Flink's no. What passes by itself is tried again under a new trigger id; what is left over is removed first."""
    name = checkpoint.metadata.name
    if target.partial:
        draft.act(DeleteKeys(name, checkpoint.status.target_directory or "", target.partial), name)
        draft.wake(0)
        return
    passing = any(text in message.lower() for text in _PASSING)
    if passing and not final and not _past_deadline(draft, checkpoint):
        _create(draft, checkpoint, checkpoint.status.attempt + 1)
        draft.wake(2)
        return
    expired = "expired before completing" in message.lower() or checkpoint.status.phase is Phase.TIMEOUT
    if expired or (final and _past_deadline(draft, checkpoint)):
        _settle(draft, checkpoint, Phase.TIMEOUT, "Timeout", message)
    else:
        _fail(draft, checkpoint, "SavepointFailed", message)


def _overdue(draft: Draft, checkpoint: Checkpoint) -> None:
    """Past its time but not settled: Flink may still complete it, so it is followed to its end and never leaks."""
    if checkpoint.status.phase is not Phase.TIMEOUT and _past_deadline(draft, checkpoint):
        message = f"not complete after {_timeout_text(draft, checkpoint)}; followed until Flink gives it up"
        draft.set_checkpoint(
            checkpoint, phase=Phase.TIMEOUT, settled=False, last_error=_error(draft, "Timeout", message)
        )
        draft.say("Warning", "Timeout", message, checkpoint)


def _wait(draft: Draft, checkpoint: Checkpoint, reason: str) -> None:
    """Stay Pending, say why, but not longer than the timeout."""
    created = checkpoint.metadata.creation_timestamp or draft.now
    if draft.now >= created + _timeout(draft, checkpoint):
        _settle(draft, checkpoint, Phase.TIMEOUT, "Timeout", f"not begun in time: {reason}")
        return
    draft.set_checkpoint(checkpoint, phase=Phase.PENDING)
    draft.condition(checkpoint, constants.RECONCILING, "True", "Waiting", reason)
    draft.wake(2)


def _present(draft: Draft, checkpoint: Checkpoint, state: StoredState, stats: CheckpointStats | None) -> None:
    """Complete: every column of the table is filled from what Flink and the store say."""
    begun = (
        from_millis(stats.trigger_millis)
        if stats
        else notes.trigger_time(state) or draft.status_of(checkpoint).trigger_time
    )
    ended = from_millis(stats.ack_millis) if stats else state.modified
    begun = begun or ended
    # The store's times are whole seconds: what is shorter cannot be told, and is left out rather than shown as 0.
    millis = stats.duration_millis if stats else max(0, round((ended - begun).total_seconds() * 1000)) or None
    update = {
        "phase": Phase.PRESENT,
        "checkpoint_id": state.checkpoint_id,
        "trigger_time": begun,
        "completion_time": ended,
        "duration_millis": millis,
        "duration_text": display_duration(millis) if millis is not None else None,
        "size_bytes": state.size_bytes,
        "size_text": display_bytes(state.size_bytes),
        "location": state.location,
        "run": draft.status_of(checkpoint).run or state.run or None,
        "job_uid": draft.status_of(checkpoint).job_uid or state.job_uid or None,
        "settled": True,
        "last_error": None,
    }
    status = draft.status_of(checkpoint)
    if status.target_directory is None:  # found again: what was known of it lies in its note
        place = draft.observed.store.place
        update |= notes.told_by(state)
        update["target_directory"] = place.uri(state.target_directory) if place else None
        update["store"] = draft.job.spec.checkpoints.store
    draft.set_checkpoint(checkpoint, **update)


def _fail(draft: Draft, checkpoint: Checkpoint, reason: str, message: str) -> None:
    _settle(draft, checkpoint, Phase.FAILED, reason, message)


def _settle(draft: Draft, checkpoint: Checkpoint, phase: Phase, reason: str, message: str) -> None:
    draft.set_checkpoint(checkpoint, phase=phase, settled=True, last_error=_error(draft, reason, message))
    draft.say("Warning", reason, message, checkpoint)


def _error(draft: Draft, reason: str, message: str) -> LastError:
    return LastError(time=draft.now, reason=reason, message=message)


def _past_deadline(draft: Draft, checkpoint: Checkpoint) -> bool:
    begun = checkpoint.status.trigger_time or draft.now
    return draft.now >= begun + _timeout(draft, checkpoint)


def _timeout(draft: Draft, checkpoint: Checkpoint) -> timedelta:
    return timedelta(milliseconds=parse_duration(_timeout_text(draft, checkpoint)))


def _timeout_text(draft: Draft, checkpoint: Checkpoint) -> str:
    job = draft.observed.job
    return checkpoint.spec.timeout or (job.spec.checkpoints.timeout if job else _DEFAULT_TIMEOUT)


def _flink_version(spec: StreamJobSpec) -> str:
    return spec.flink.version
