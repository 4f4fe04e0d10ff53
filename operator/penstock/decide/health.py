"""Whether the run after a change becomes healthy, and what the job goes back to when it does not. Pure.

A run is healthy when it has completed a checkpoint of its own, or when all of its tasks run at the end of the time that
`spec.onChange.healthyWithin` gives; reading the state back may take longer than that. Until then nothing of what it has
done is worth keeping: going back loses nothing.
"""

from __future__ import annotations

from datetime import timedelta

from penstock.api.duration import parse_duration
from penstock.api.streamjob import IfUnhealthy, StreamJob
from penstock.api.streamjob_status import EndState, Fallback, RolledBack, Run, StartedFrom, StopMethod, StopReason
from penstock.decide import protection, stop
from penstock.decide.change import spec_hash
from penstock.decide.draft import Draft
from penstock.decide.needs import to_apply, wants_restart
from penstock.flink.answers import FlinkJob
from penstock.model import RunObjects, Unknown

_CHANGES = (StopReason.UPGRADE, StopReason.RESTORE, StopReason.RESTART)


def is_held(job: StreamJob) -> bool:
    """Whether what the spec asks for was tried and taken back: the version before runs until somebody changes it."""
    refused = job.status.rolled_back
    return refused is not None and refused.spec_hash == spec_hash(job.spec) and not wants_restart(job)


def goes_on(job: StreamJob) -> bool:
    """Whether what ran before is to run again though the spec asks for more: that was tried while it ran, and refused.

    A node that is lost must not put a change in its place that cannot work. Who stops the job and starts it again asks
    for what the spec says: that is refused in the same words then (see `preflight.is_refused`).
    """
    refused, last = job.status.refused, job.status.run
    if refused is None or last is None or last.ended_at is None or last.stop_reason == StopReason.STOP:
        return False
    return (refused.spec_hash, refused.asked) == (spec_hash(job.spec), to_apply(job))


def wanted_hash(job: StreamJob) -> str:
    """Hash of the spec that is to run: the one as it is, or the one before a change that was refused or taken back."""
    return job.status.applied_spec_hash if is_held(job) or goes_on(job) else spec_hash(job.spec)


def guards(draft: Draft) -> bool:
    """Whether Flink is to refuse the next run's program when it changes what its state depends upon.

    Not a version that has run without that, under an older operator: it is started again as it was.
    """
    status, began = draft.status, draft.status.started_from
    same = wanted_hash(draft.job) == status.applied_spec_hash and status.job_version > 0
    return not same or began is None or began.guarded


def goes_back(job: StreamJob) -> Fallback | None:
    """What a job of which nothing runs goes back to; None: it does not, or somebody has changed the spec since."""
    status, last = job.status, job.status.run
    fallback = status.fallback
    if fallback is None or last is None or last.ended_at is None or status.latest_checkpoint is not None:
        return None
    if wants_restart(job) or spec_hash(job.spec) != status.applied_spec_hash:
        return None
    # One that was lost before it ran is tried once more: it may have been the node.
    lost_again = last.end_state is EndState.LOST and not last.confirmed and status.start_attempts > 1
    failed = last.end_state is EndState.FAILED or last.stop_reason == StopReason.ROLL_BACK
    return fallback if failed or lost_again else None


def carried(draft: Draft) -> Fallback | None:
    """What the run before could have gone back to, when it never became healthy: that is where this one goes back to.

    The same spec once more has what is left of the time.
    """
    fallback = draft.status.fallback
    if fallback is None or draft.status.latest_checkpoint is not None:
        return None
    if draft.job.spec.on_change.if_unhealthy is IfUnhealthy.KEEP:
        return None
    same = wanted_hash(draft.job) == draft.status.applied_spec_hash and not wants_restart(draft.job)
    return fallback if same else fallback.model_copy(update={"until": None, "why": ""})


def follows_a_change(draft: Draft) -> bool:
    """Whether the last run was stopped for a change that is now tried for the first time, and its version is good."""
    last = draft.status.run
    rolls = draft.job.spec.on_change.if_unhealthy is IfUnhealthy.ROLL_BACK
    if not rolls or last is None or last.stop_reason not in _CHANGES:
        return False
    return last.confirmed or draft.status.proven_version == last.job_version


def fallback_of(draft: Draft, chosen: StartedFrom, latest: StartedFrom) -> Fallback | None:
    """What a start of `chosen` could go back to; `latest`: the newest state of the run before. None: it is the same."""
    status, last = draft.status, draft.status.run
    same = wanted_hash(draft.job) == status.applied_spec_hash and chosen.location == latest.location
    if last is None or same:
        return None
    guarded = status.started_from is not None and status.started_from.guarded
    began = latest.model_copy(update={"guarded": guarded})
    return Fallback(job_version=last.job_version, spec_hash=status.applied_spec_hash, started_from=began)


def begins(draft: Draft, fallback: Fallback | None) -> Fallback | None:
    """The same with the time by which the run has to be healthy, when the start is permitted."""
    if fallback is None or fallback.until is not None:
        return fallback
    time = timedelta(milliseconds=parse_duration(draft.job.spec.on_change.healthy_within))
    return fallback.model_copy(update={"until": draft.now + time})


def proceed(draft: Draft, run: Run) -> bool:
    """Look whether a live run is healthy; True when it is stopped because it was not in time."""
    fallback, flink = draft.status.fallback, draft.observed.flink
    if fallback is None or fallback.until is None:
        return False
    began = draft.status.started_from
    if began is not None and began.restored is not None and isinstance(flink, FlinkJob):
        _roll_back(draft, run, f"version {run.job_version}: {protection.restored_instead(flink, began)}")
        return True
    ran = isinstance(flink, FlinkJob) and flink.all_running and draft.now >= fallback.until
    if ran or draft.status.latest_checkpoint is not None:
        draft.set(fallback=None)
        return False
    if draft.now < fallback.until:
        draft.wake((fallback.until - draft.now).total_seconds())
        return False
    objects = draft.observed.objects_of(run.id)
    if _may_come(flink, objects):
        return False
    within = draft.job.spec.on_change.healthy_within
    said = [f"Flink says {flink.state}"] if isinstance(flink, FlinkJob) else []
    words = "; ".join((*said, *objects.troubles)) or "its JobManager does not run"
    _roll_back(draft, run, f"version {run.job_version} was not healthy within {within}: {words}")
    return True


def _roll_back(draft: Draft, run: Run, why: str) -> None:
    draft.error("Unhealthy", why)
    remember(draft, why)
    # Where the permit has not been used there is no Flink that could be asked.
    method = StopMethod.KILL if draft.observed.objects_of(run.id).permit else StopMethod.CANCEL
    stop.record(draft, run, StopReason.ROLL_BACK, method)


def _may_come(flink: FlinkJob | Unknown | None, objects: RunObjects) -> bool:
    """That Flink does not answer this once says nothing of the job; and a large state would take its time again.

    But while the permit is there nothing has run: its JobManager is pending, has no image, or was never made a pod.
    """
    silent = isinstance(flink, Unknown) and not objects.permit
    return silent or (isinstance(flink, FlinkJob) and flink.restoring)


def remember(draft: Draft, why: str) -> None:
    """Keep what ended a run that may be gone back from: `lastError` may tell of anything else by then."""
    if draft.status.fallback is not None:
        draft.set(fallback=draft.status.fallback.model_copy(update={"why": why}))


def taken_back(draft: Draft, fallback: Fallback) -> RolledBack:
    """What is remembered of a change that is being taken back."""
    failed, text = draft.status.job_version, fallback.started_from.text
    why = fallback.why.rstrip(".") or "it did not become healthy"
    message = f"version {failed}: {why}. Back on version {fallback.job_version}, from {text}"
    return RolledBack(job_version=failed, spec_hash=draft.status.applied_spec_hash, time=draft.now, message=message)
