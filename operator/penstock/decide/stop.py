"""Stopping a run: with a savepoint, by cancelling, or by deleting its pods; then taking its objects away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.duration import parse_duration
from penstock.api.streamjob import IfSavepointFails
from penstock.api.streamjob_status import EndState, JobState, Run, StopIntent, StopMethod, StopReason, TeardownIntent
from penstock.decide.draft import Draft
from penstock.flink.answers import Checkpointing, FlinkJob
from penstock.model import (
    CancelJob,
    CreateCheckpoint,
    DeleteHighAvailability,
    DeleteManager,
    DeleteRun,
    Manager,
    Unknown,
)
from penstock.names import stop_checkpoint

CANCEL_LIMIT = timedelta(seconds=60)
TEARDOWN_LIMIT = timedelta(minutes=5)
SAVEPOINT_GRACE = timedelta(minutes=2)
"""On top of `checkpoints.timeout`: Flink itself gives a savepoint up after that time."""
_FIRST_RETRY = timedelta(seconds=10)
_LAST_RETRY = timedelta(minutes=5)

_STATES = {
    StopReason.STOP: JobState.STOPPING,
    StopReason.UPGRADE: JobState.UPGRADING,
    StopReason.RESTORE: JobState.RESTORING,
    StopReason.RESTART: JobState.UPGRADING,
    StopReason.DELETE: JobState.DELETING,
    StopReason.RECOVER: JobState.RESTORING,
    StopReason.ROLL_BACK: JobState.RESTORING,
}


def record(
    draft: Draft, run: Run, reason: StopReason, method: StopMethod, next_start_from: dict[str, Any] | None = None
) -> None:
    """Record the intent to stop a run; nothing is asked of Flink in this pass."""
    attempt = draft.status.stop_attempts + 1
    source = "Stop" if reason is StopReason.STOP else "Upgrade"
    limit = CANCEL_LIMIT
    if method is StopMethod.SAVEPOINT:
        limit = timedelta(milliseconds=parse_duration(draft.job.spec.checkpoints.timeout)) + SAVEPOINT_GRACE
    draft.set(
        intent=StopIntent(
            run=run.id,
            reason=reason,
            method=method,
            checkpoint=stop_checkpoint(draft.job.metadata.name, source, run.id, attempt)
            if method is StopMethod.SAVEPOINT
            else None,
            attempt=attempt,
            recorded_at=draft.now,
            deadline=draft.now + limit,
            next_start_from=next_start_from,
        ),
        state=_STATES[reason],
    )
    draft.say("Normal", f"{reason}", _announcement(reason, method, run))
    draft.wake(0)


def proceed(draft: Draft, intent: StopIntent) -> None:
    """Carry out a stop whose intent was in the status that this pass loaded."""
    draft.wake(1)
    ended = _ended(draft, intent)
    if ended is None and isinstance(draft.observed.job_result, Unknown):
        draft.waiting = f"how the run ended is not known yet: {draft.observed.job_result.reason}"
    elif ended is not None:
        _taken_down(draft, intent, ended)
    elif intent.method is StopMethod.KILL:
        _taken_down(draft, intent, EndState.STOPPED, lives=True)
    elif intent.method is StopMethod.CANCEL:
        _cancel(draft, intent)
    else:
        _with_savepoint(draft, intent)


def checkpoint_of(draft: Draft, intent: StopIntent) -> Checkpoint | None:
    """The Checkpoint object that the stop's savepoint becomes, when it exists."""
    return next((ckpt for ckpt in draft.observed.checkpoints if ckpt.metadata.name == intent.checkpoint), None)


def _ended(draft: Draft, intent: StopIntent) -> EndState | None:
    """How the run has ended, when it has. FINISHED proves a stop; a savepoint alone does not."""
    objects = draft.observed.objects_of(intent.run)
    flink = draft.observed.flink
    if isinstance(flink, FlinkJob) and flink.terminal:
        return _end_state(flink.state, intent)
    if objects.manager in (Manager.FAILED, Manager.COMPLETE) or (not objects.objects and not objects.pods):
        result = draft.observed.job_result
        if isinstance(result, Unknown):
            return None
        return _end_state(result, intent) if result else EndState.LOST
    return None


def _end_state(flink_state: str, intent: StopIntent) -> EndState:
    if flink_state == "FINISHED":
        # Without a savepoint asked for, the job came to its own end before it could be cancelled.
        return EndState.STOPPED if intent.method is StopMethod.SAVEPOINT else EndState.FINISHED
    return EndState.STOPPED if flink_state == "CANCELED" else EndState.FAILED


def _cancel(draft: Draft, intent: StopIntent) -> None:
    draft.waiting = "Flink cancels the job"
    answers = isinstance(draft.observed.flink, FlinkJob)
    # Counted from when Flink was asked: an operator that was away for an hour still asks first.
    limit = intent.triggered_at + CANCEL_LIMIT if answers and intent.triggered_at else intent.deadline
    if draft.now >= limit and (intent.triggered_at or not answers):
        draft.say("Warning", "Killed", "Flink did not cancel the job in time; its pods are deleted")
        _taken_down(draft, intent, EndState.LOST, lives=True)
    elif not answers:
        return
    elif not (why := _may_not_be_cancelled(draft)):
        draft.act(CancelJob(intent.run))
        draft.set(intent=intent.model_copy(update={"triggered_at": intent.triggered_at or draft.now}))
    elif intent.triggered_at is None:
        draft.say("Warning", "NotCancelled", f"{why}. Its pods are deleted instead: then its checkpoints stay")
        _taken_down(draft, intent, EndState.STOPPED, lives=True)


def _may_not_be_cancelled(draft: Draft) -> str:
    """Why a cancel might make Flink delete the only state that there is; empty: Flink has just said that it keeps it.

    What the operator writes into Flink's configuration proves nothing: the program comes after it.
    """
    found = draft.observed.checkpointing
    if isinstance(found, Checkpointing) and found.keeps_on_cancellation:
        return ""
    if isinstance(found, Checkpointing):
        return (
            "the program has changed execution.checkpointing.externalized-checkpoint-retention: a cancel would make "
            "Flink delete the job's checkpoints. Take that line out of it"
        )
    more = f" ({found.reason})" if isinstance(found, Unknown) else ""
    return f"Flink does not say whether it keeps the job's checkpoints when it is cancelled{more}"


def _with_savepoint(draft: Draft, intent: StopIntent) -> None:
    checkpoint = checkpoint_of(draft, intent)
    if checkpoint is None:
        others = [
            ckpt.metadata.name for ckpt in draft.observed.checkpoints if draft.status_of(ckpt).phase is Phase.CREATING
        ]
        if others:
            draft.waiting = f"Checkpoint {others[0]} is being taken; the stop comes after it"
            return
        source: Any = "Stop" if intent.reason is StopReason.STOP else "Upgrade"
        description = f"{intent.reason} of version {draft.status.job_version}"
        draft.act(CreateCheckpoint(intent.checkpoint or "", source, intent.run, description))
        draft.waiting = "the savepoint of the stop is prepared"
        return
    status = draft.status_of(checkpoint)
    draft.waiting = f"Checkpoint {checkpoint.metadata.name} is being taken"
    if status.phase in (Phase.FAILED, Phase.TIMEOUT) and status.settled is not False:
        _attempt_failed(draft, intent, status.last_error.message if status.last_error else "no reason given")
    elif status.phase in (Phase.PRESENT, Phase.CLEARED):
        draft.waiting = "the savepoint is complete; Flink ends the job"
        if draft.now >= intent.deadline:
            _attempt_failed(draft, intent, "the savepoint is complete, but the job did not end")
    elif draft.now >= intent.deadline:
        draft.stalled(
            "StopOverdue",
            f"Checkpoint {checkpoint.metadata.name} is neither complete nor refused, and Flink may not answer. It is "
            "followed to its end, so that nothing is lost; to end the job without it, delete the StreamJob or its "
            "JobManager's pod",
            retry_seconds=2,
        )


def _attempt_failed(draft: Draft, intent: StopIntent, why: str) -> None:
    """What `checkpoints.ifSavepointFails` says: go on with Flink's newest checkpoint, or let the job run on."""
    if draft.job.spec.checkpoints.if_savepoint_fails is IfSavepointFails.LATEST_CHECKPOINT:
        draft.say("Warning", "SavepointFailed", f"{why}; checkpoints.ifSavepointFails says to go on without it")
        update = {"method": StopMethod.CANCEL, "checkpoint": None, "deadline": draft.now + CANCEL_LIMIT}
        draft.set(intent=intent.model_copy(update=update))
        return
    attempts = draft.status.stop_attempts + 1
    pause = min(_FIRST_RETRY * 2 ** min(attempts - 1, 10), _LAST_RETRY)
    latest = draft.status.latest_checkpoint
    draft.set(
        intent=None,
        stop_attempts=attempts,
        next_stop_attempt_at=draft.now + pause,
        stop_refused_at=latest.checkpoint_id if latest is not None else 0,
    )
    draft.error("SavepointFailed", why)
    draft.say("Warning", "SavepointFailed", f"{intent.reason} refused, the job runs on: {why}")
    draft.wake(pause.total_seconds())


def _taken_down(draft: Draft, intent: StopIntent, end: EndState, *, lives: bool = False) -> None:
    checkpoint = checkpoint_of(draft, intent) if intent.checkpoint else None
    if checkpoint is not None and draft.status_of(checkpoint).phase in (Phase.CREATING, None, Phase.PENDING):
        # What it left in the store is looked at while the run's own words can still be asked for.
        status = draft.status_of(checkpoint)
        if status.phase is Phase.CREATING and draft.now < intent.deadline:
            draft.waiting = "the end of the savepoint is looked up"
            return
    if draft.status.run is not None and checkpoint is not None:
        draft.set(run=draft.status.run.model_copy(update={"stop_checkpoint": checkpoint.metadata.name}))
    teardown(draft, intent.run, f"{intent.reason}", end, intent.next_start_from, lives=lives)


def teardown(
    draft: Draft,
    run: str,
    reason: str,
    end: EndState,
    next_start_from: dict[str, Any] | None = None,
    *,
    lives: bool = False,
) -> None:
    """Record the intent to take a run's objects away; `lives`: Flink has not ended its job."""
    draft.set(
        intent=TeardownIntent(
            run=run,
            reason=reason,
            recorded_at=draft.now,
            deadline=draft.now + TEARDOWN_LIMIT,
            end_state=end,
            lives=lives,
            next_start_from=next_start_from,
        )
    )
    draft.wake(0)


def proceed_teardown(draft: Draft, intent: TeardownIntent) -> None:
    """Take the objects away; when nothing runs any more, Flink's HA data too; then the run has ended."""
    objects = draft.observed.objects_of(intent.run)
    if objects.objects or objects.pods:
        # A job that loses its TaskManagers may fail, and Flink then discard what its program does not want retained. A
        # JobManager that ends by itself discards nothing: for Flink the job is suspended.
        manages = objects.manager is not Manager.ABSENT or objects.manager_pods
        draft.act(DeleteManager(intent.run) if intent.lives and manages else DeleteRun(intent.run))
        draft.waiting = f"{objects.pods} pods of the run are going away"
        draft.wake(1)
        if draft.now >= intent.deadline:
            draft.stalled(
                "PodsRemain",
                f"pods of run {intent.run} are still there after {TEARDOWN_LIMIT}: when their node is gone for good, "
                f"delete them by force (kubectl delete pod --force -l penstock.dev/run={intent.run})",
                retry_seconds=5,
            )
        return
    if not draft.observed.everything_goes:  # then Kubernetes takes its part, and the store is left alone
        draft.act(DeleteHighAvailability(intent.run))
    run = draft.status.run
    if run is not None and run.id == intent.run:
        update = {
            "ended_at": draft.now,
            "end_state": intent.end_state,
            "next_start_from": intent.next_start_from,
            "stop_reason": intent.reason,
            "flink_state": None,
        }
        draft.set(run=run.model_copy(update=update))
    draft.set(intent=None, stop_attempts=0, next_stop_attempt_at=None, stop_refused_at=None)
    draft.wake(0)


def _announcement(reason: StopReason, method: StopMethod, run: Run) -> str:
    how = {
        StopMethod.SAVEPOINT: "with a savepoint",
        StopMethod.CANCEL: "by cancelling; Flink's newest checkpoint is what is left",
        StopMethod.KILL: "by deleting its pods",
    }[method]
    return f"{reason}: run {run.id} (version {run.job_version}) is stopped {how}"
