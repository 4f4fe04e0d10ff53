"""What a person and Argo CD read: the state in one word, and the conditions Ready, Reconciling and Stalled."""

from __future__ import annotations

from datetime import timedelta

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.conditions import find_condition
from penstock.api.streamjob import DesiredState
from penstock.api.streamjob_status import EndState, JobState, Run, StartIntent, StopIntent, TeardownIntent
from penstock.decide import health, protection
from penstock.decide.checkpointing import interval_millis
from penstock.decide.draft import Draft
from penstock.decide.needs import begins, live_run
from penstock.flink.answers import FlinkJob
from penstock.model import Unknown

_SILENCE = timedelta(minutes=1)


def report(draft: Draft) -> None:
    """Fill state and conditions from what this pass has seen and decided."""
    state = _state(draft)
    draft.set(state=state, observed_generation=draft.job.metadata.generation)
    settled = state in (JobState.STOPPED, JobState.FINISHED) or (state is JobState.RUNNING and _all_running(draft))
    troubles = _troubles(draft)
    waiting = draft.waiting or "; ".join(troubles)
    if not draft.stall and health.is_held(draft.job) and draft.status.rolled_back is not None:
        draft.stall = ("RolledBack", f"{draft.status.rolled_back.message}; change the spec or restartToken")
    unprotected = protection.tell(draft)
    if not draft.stall and draft.hindrance and live_run(draft.job) is None:
        draft.stall = ("InvalidSpec", draft.hindrance)  # before anybody wants it started
    if not draft.stall and unprotected:
        draft.stall = (protection.ELSEWHERE, unprotected)
    if draft.stall:
        draft.job_condition(constants.STALLED, "True", *draft.stall)
    elif state is JobState.FAILED:
        error = draft.status.last_error
        message = error.message if error else "the job failed"
        draft.job_condition(constants.STALLED, "True", "JobFailed", f"{message}; change the spec or restartToken")
    else:
        draft.job_condition(constants.STALLED, "False", "AsAsked", "")
    # A wish that a running job has still to come to is under way, though the job is as it should be.
    moving = (not settled or bool(draft.waiting)) and state is not JobState.FAILED
    draft.job_condition(constants.RECONCILING, "True" if moving else "False", f"{state}", waiting if moving else "")
    ready = settled and not draft.stall
    last = draft.status.last_error
    if ready and not moving and not draft.effects and last is not None and last.reason not in _HAPPENED:
        draft.set(last_error=None)  # it was about something that was to be done, and that has been done since
    reason, message = (protection.ELSEWHERE, unprotected) if unprotected else (f"{state}", "" if ready else waiting)
    draft.job_condition(constants.READY, "True" if ready else "False", reason, message)


_HAPPENED = frozenset(
    ("JobFailed", "JobCanceled", "RunLost", "PointersLost", "StartFailed", "Unhealthy", "SavepointFailed")
)
"""Reasons of errors that tell what has become of a run or a stop: of these people want to know later, too."""


def _state(draft: Draft) -> JobState:
    status, job = draft.status, draft.job
    if job.metadata.terminating:
        return JobState.DELETING
    if status.intent is not None:
        return _under_way(draft, status.intent)
    run = status.run
    if run is None:
        return JobState.STOPPED if job.spec.state is DesiredState.STOPPED else JobState.PENDING
    if run.ended_at is not None:
        return _ended(draft, run)
    return JobState.RUNNING if run.confirmed else JobState.STARTING


def _under_way(draft: Draft, intent: StartIntent | StopIntent | TeardownIntent) -> JobState:
    if isinstance(intent, StartIntent):
        return JobState.STARTING
    if isinstance(intent, TeardownIntent):
        return _tearing_down(draft, intent)
    return draft.status.state or JobState.STOPPING


def _tearing_down(draft: Draft, intent: TeardownIntent) -> JobState:
    if intent.end_state is EndState.FINISHED:
        return JobState.FINISHED
    if intent.end_state is EndState.FAILED and _goes_back(draft):
        return JobState.RESTORING
    if intent.end_state in (EndState.FAILED, EndState.CANCELED):
        return JobState.FAILED
    if intent.end_state is EndState.LOST and draft.status.state is JobState.RUNNING:
        return JobState.RESTORING
    return draft.status.state or JobState.STOPPING


def _ended(draft: Draft, run: Run) -> JobState:
    if run.end_state is EndState.FINISHED:
        return JobState.FINISHED
    if draft.job.spec.state is DesiredState.STOPPED:
        return JobState.STOPPED
    if health.goes_back(draft.job) is not None:
        return JobState.RESTORING
    if run.end_state in (EndState.FAILED, EndState.CANCELED):
        return JobState.FAILED
    return draft.status.state if draft.status.state in (JobState.UPGRADING, JobState.RESTORING) else JobState.PENDING


def _goes_back(draft: Draft) -> bool:
    return draft.status.fallback is not None and draft.job.spec.state is DesiredState.RUNNING


def _all_running(draft: Draft) -> bool:
    """A job that does not answer for a moment stays what it was last seen to be: Unknown is not Failed.

    But not for ever: when its newest checkpoint is older than it should be, nobody can say that it runs.
    """
    flink, latest = draft.observed.flink, draft.status.latest_checkpoint
    if isinstance(flink, FlinkJob):
        return flink.all_running
    seen = latest.completion_time if latest else None
    interval = timedelta(milliseconds=interval_millis(draft.job))
    return isinstance(flink, Unknown) and seen is not None and draft.now < seen + 2 * interval + _SILENCE


def _troubles(draft: Draft) -> list[str]:
    run = draft.status.run
    if run is None or run.ended_at is not None:
        return []
    troubles = list(draft.observed.objects_of(run.id).troubles)
    flink = draft.observed.flink
    if isinstance(flink, FlinkJob) and not flink.all_running and not begins(run, flink, draft.now):
        troubles.append(f"Flink says {flink.state}")
    if isinstance(flink, Unknown) and run.confirmed:
        troubles.append(f"Flink does not answer: {flink.reason}")
    return troubles


def conditions(draft: Draft, checkpoint: Checkpoint) -> None:
    """Ready means settled; Reconciling and Stalled are True only when something is unusual."""
    status = draft.status_of(checkpoint)
    phase, error = status.phase, status.last_error
    text = error.message if error else ""
    settled = phase in (Phase.PRESENT, Phase.CLEARED)
    failed = phase in (Phase.FAILED, Phase.TIMEOUT)
    reason = f"{phase or Phase.PENDING}"
    aside = text if failed else _elsewhere(draft, checkpoint) if phase is Phase.PRESENT else ""
    draft.condition(checkpoint, constants.READY, "True" if settled else "False", reason, aside)
    _restorable(draft, checkpoint, reason)
    draft.condition(checkpoint, constants.STALLED, "True" if failed else "False", reason, text if failed else "")
    waiting = next((c for c in status.conditions if c.type == constants.RECONCILING and phase is Phase.PENDING), None)
    message = waiting.message if waiting else ""
    moving = phase in (None, Phase.PENDING, Phase.CREATING) or status.settled is False
    why = "Waiting" if message else reason
    draft.condition(checkpoint, constants.RECONCILING, "True" if moving else "False", why, message)
    draft.set_checkpoint(checkpoint, observed_generation=checkpoint.metadata.generation)


def _elsewhere(draft: Draft, checkpoint: Checkpoint) -> str:
    job, store = draft.observed.job, checkpoint.status.store
    if job is None or draft.observed.store_of(checkpoint) is draft.observed.store:
        return ""
    own = job.spec.checkpoints.store
    return f"it lies in CheckpointStore {store}, and the job's is {own}: the job's retention leaves it alone"


def _restorable(draft: Draft, checkpoint: Checkpoint, reason: str) -> None:
    """Present, and not known to lack anything; what has no data has nothing that is verified either."""
    present = draft.status_of(checkpoint).phase is Phase.PRESENT
    verified = find_condition(draft.status_of(checkpoint).conditions, constants.VERIFIED)
    if not present and verified is not None:
        draft.condition(checkpoint, constants.VERIFIED, "False", reason, "")
    elif verified is not None and verified.status == "False":
        present, reason = False, verified.reason
    draft.condition(checkpoint, constants.RESTORABLE, "True" if present else "False", reason, "")
