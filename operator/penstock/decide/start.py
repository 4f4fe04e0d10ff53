"""The steps of starting a run."""

from __future__ import annotations

import json

from pydantic import ValidationError

from penstock.api.base import dump
from penstock.api.checkpoint import Phase
from penstock.api.start_from import Override, StartFrom
from penstock.api.streamjob import StreamJob, StreamJobSpec
from penstock.api.streamjob_status import Fallback, JobState, Run, StartedFrom, StartIntent
from penstock.decide import expiry, health, replay, sources, verification, version
from penstock.decide.change import spec_hash
from penstock.decide.choice import choose
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_cleared, to_apply, wants_restart
from penstock.decide.refusal import Refusal
from penstock.model import ApplyRun, DeleteRun, GrantPermit, Observed, RecordRevision, Unknown


def ready(draft: Draft, wish: StartFrom, aside: str = "") -> StartedFrom | None:
    """What is started from, just verified; None when that is not known yet, or refused: the draft says why then.

    Args:
        draft: this pass's.
        wish: as `spec.startFrom`.
        aside: a sentence that is put behind a refusal.
    """
    chosen = choose(draft.observed, wish)
    if isinstance(chosen, Unknown):
        draft.waiting = f"the store does not answer: {chosen.reason}"
        draft.wake(5)
        return None
    refusal = chosen if isinstance(chosen, Refusal) else verification.hindrance(draft, chosen, wish.override)
    if not refusal and isinstance(chosen, StartedFrom) and wish.latest is None:
        # Not of latest: the job was stopped for a change already, and goes back when Flink refuses it.
        too_new = version.too_new(draft, chosen, wish.override)
        refusal = too_new or verification.too_wide(draft, chosen, wish.override) or ""
    if not refusal and isinstance(chosen, StartedFrom):
        refusal = sources.hindrance(draft, chosen) or expiry.hindrance(draft, chosen, wish)
    if isinstance(refusal, Refusal):
        draft.stalled(refusal.reason, f"{refusal.message}{aside}")
        return None
    draft.waiting = refusal
    return chosen if isinstance(chosen, StartedFrom) and not refusal else None


def begin(draft: Draft, wish: StartFrom) -> None:
    """Record the intent to start a run, or say why not. Nothing is made yet."""
    if strays_go(draft):
        return
    chosen = ready(draft, wish)
    if chosen is None:
        return
    fallback = health.carried(draft)
    if fallback is None and health.follows_a_change(draft):
        latest = choose(draft.observed, StartFrom.model_validate({"latest": {}}))
        if isinstance(latest, Unknown):
            draft.waiting = f"the store does not answer: {latest.reason}"
            draft.wake(5)
            return
        fallback = (
            health.fallback_of(draft, chosen, _as_before(draft, latest)) if isinstance(latest, StartedFrom) else None
        )
    chosen = _may_drop(draft, wish, expiry.told(draft, chosen)).model_copy(update={"guarded": health.guards(draft)})
    digest = health.wanted_hash(draft.job)
    versions = [revision.version for revision in draft.observed.revisions]
    same = digest == draft.status.applied_spec_hash and draft.status.job_version > 0
    version = draft.status.job_version if same else max([draft.status.job_version, *versions]) + 1
    draft.set(
        intent=StartIntent(
            run=draft.observed.fresh_run,
            job_version=version,
            spec_hash=digest,
            started_from=chosen,
            applied=None if health.goes_on(draft.job) else to_apply(draft.job),
            fallback=fallback,
            rolled_back=draft.status.rolled_back if health.is_held(draft.job) else None,
            recorded_at=draft.now,
        ),
    )
    gap = "; ".join(filter(None, (replay.warning(draft.job, chosen, draft.now), sources.warning(draft, chosen))))
    if gap:
        draft.say("Warning", "SourceRetentionTooShort", f"the replay begins all the same: {gap}")
    draft.wake(0)


def _may_drop(draft: Draft, wish: StartFrom, chosen: StartedFrom) -> StartedFrom:
    """With what the user said of state that the program has no place for: by this wish, or for a new version."""
    changes = health.wanted_hash(draft.job) != draft.status.applied_spec_hash
    override = wish.override or (draft.job.spec.start_from.override if changes else None) or ()
    if chosen.location is not None and Override.STATE_WOULD_BE_DROPPED in override:
        return chosen.model_copy(update={"allow_non_restored_state": True})
    return _as_before(draft, chosen)


def _as_before(draft: Draft, chosen: StartedFrom) -> StartedFrom:
    """A run that gave state up and has saved none of its own begins with the same once more, and gives it up again."""
    before = draft.status.started_from
    again = before is not None and before.allow_non_restored_state and before.location == chosen.location
    return chosen.model_copy(update={"allow_non_restored_state": again})


def go_back(draft: Draft, fallback: Fallback) -> None:
    """Record the intent to start the version before again, from what it was stopped with."""
    if strays_go(draft):
        return
    if recorded_spec(draft.observed, fallback.job_version) is None:
        draft.set(fallback=None)  # somebody has deleted its ControllerRevision: there is nothing to go back to
        draft.wake(0)
        return
    began = fallback.started_from.model_copy(update={"time": draft.now, "confirmed": False})
    refusal = verification.hindrance(draft, began, draft.job.spec.start_from.override)
    if isinstance(refusal, Refusal):
        draft.stalled(refusal.reason, refusal.message)
        return
    draft.waiting = refusal
    if refusal:
        return
    draft.set(
        intent=StartIntent(
            run=draft.observed.fresh_run,
            job_version=fallback.job_version,
            spec_hash=fallback.spec_hash,
            started_from=expiry.told(draft, began),
            applied=draft.status.applied,
            rolled_back=health.taken_back(draft, fallback),
            recorded_at=draft.now,
        )
    )
    draft.wake(0)


def strays_go(draft: Draft) -> bool:
    """Two runs never share anything: whatever is left of one that no status names goes first. True while it goes."""
    strays = [objects for objects in draft.observed.runs if objects.objects or objects.pods]
    for objects in strays:
        draft.act(DeleteRun(objects.run))
    if strays:
        draft.waiting = "the pods of an earlier run are going away"
        draft.wake(1)
    return bool(strays)


def proceed(draft: Draft, intent: StartIntent) -> None:
    """Carry out a start whose intent was in the status that this pass loaded."""
    if not intent.permitted:
        if _is_stale(draft.job, intent):
            # Nothing exists yet, and nothing of the spec counts as applied: choose again for the spec as it is now.
            draft.set(intent=None)
            draft.wake(0)
            return
        if _goes_meanwhile(draft, intent.started_from):
            draft.set(intent=None)
            draft.wake(1)
            return
        spec = recorded_spec(draft.observed, intent.job_version) or draft.job.spec
        draft.act(RecordRevision(intent.job_version, intent.spec_hash, spec))
        draft.act(GrantPermit(intent.run))
        draft.set(
            intent=intent.model_copy(update={"permitted": True}),
            applied=intent.applied or draft.status.applied,
            fallback=health.begins(draft, intent.fallback),
            rolled_back=intent.rolled_back,
        )
        draft.wake(0)
        return
    began = intent.started_from
    recorded = recorded_spec(draft.observed, intent.job_version)
    if recorded is None:
        draft.waiting = f"the ControllerRevision of version {intent.job_version} is not there yet"
        draft.wake(1)
        return
    draft.act(
        ApplyRun(intent.run, intent.job_version, intent.spec_hash, recorded, began.location or "", as_json(began))
    )
    draft.set(
        intent=None,
        run=Run(id=intent.run, job_version=intent.job_version, started_at=draft.now),
        started_from=began,
        job_version=intent.job_version,
        applied_spec_hash=intent.spec_hash,
        latest_checkpoint=None,
        retained_checkpoints=(),
        stop_attempts=0,
        next_stop_attempt_at=None,
        stop_refused_at=None,
        last_error=None,
        state=JobState.STARTING,
    )
    if intent.rolled_back is not None and intent.rolled_back.time == intent.recorded_at:
        draft.say("Warning", "RolledBack", intent.rolled_back.message)
    what = began.checkpoint or began.location or (began.text if began.replay else "nothing (empty)")
    draft.say("Normal", "Starting", f"version {intent.job_version} starts from {what}: {began.reason}")
    draft.wake(1)


def _is_stale(job: StreamJob, intent: StartIntent) -> bool:
    """Whether the spec has changed since: what the intent was recorded for is not what is asked for now."""
    back = intent.rolled_back
    if back is not None:
        return back.spec_hash != spec_hash(job.spec) or wants_restart(job)
    return intent.spec_hash != health.wanted_hash(job) or intent.applied not in (None, to_apply(job))


def _goes_meanwhile(draft: Draft, began: StartedFrom) -> bool:
    """Whether another job's Checkpoint was marked as going before that job could see this intent.

    Each side writes its own mark and then reads the other's: one of them at least gives way. Of the job's own nothing
    can go meanwhile: both marks are of one key.
    """
    found = next(
        (each.checkpoint for each in draft.observed.foreign if each.checkpoint.metadata.name == began.checkpoint), None
    )
    own = any(ckpt.metadata.name == began.checkpoint for ckpt in draft.observed.checkpoints)
    if began.checkpoint is None or own:
        return False
    gone = found is None or found.status.phase is not Phase.PRESENT
    return found is None or gone or found.metadata.terminating or is_being_cleared(found)


def recorded_spec(observed: Observed, version: int) -> StreamJobSpec | None:
    """The spec of a job version as its ControllerRevision recorded it; None without one, or when it cannot be read."""
    revision = next((each for each in observed.revisions if each.version == version), None)
    try:
        return StreamJobSpec.model_validate(dict(revision.spec)) if revision else None
    except ValidationError:
        return None


def as_json(began: StartedFrom) -> str:
    """A StartedFrom as the annotation of the run's Job holds it."""
    return json.dumps(dump(began), sort_keys=True)
