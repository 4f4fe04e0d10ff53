"""From what a run starts, and the steps of starting it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from penstock.api.base import dump
from penstock.api.checkpoint import Phase
from penstock.api.streamjob import StartFrom, StreamJobSpec
from penstock.api.streamjob_status import Applied, JobState, Run, StartedFrom, StartIntent, StartKind
from penstock.decide.change import spec_hash
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_cleared, start_value
from penstock.model import ApplyRun, DeleteRun, GrantPermit, Observed, RecordRevision, StoredState, Unknown
from penstock.names import short


@dataclass(frozen=True)
class Refusal:
    """Why there is nothing to start from, and what to do about it."""

    reason: str
    message: str


def choose(observed: Observed, wish: StartFrom) -> StartedFrom | Refusal | Unknown:
    """What a start with this wish starts from. Needs a listing of the store for everything but `empty`."""
    if wish.empty is not None:
        return _empty(observed, "spec.startFrom.empty asks for it")
    listing = observed.listing
    if listing is None or isinstance(listing, Unknown):
        return listing or Unknown("the store has not been listed in this pass")
    if wish.checkpoint is not None:
        return _named(observed, wish.checkpoint.name, listing.states)
    return _latest(observed, listing.states, any_directory=listing.any_directory)


def _named(observed: Observed, name: str, states: tuple[StoredState, ...]) -> StartedFrom | Refusal:
    field = f"spec.startFrom.checkpoint.name: {name}"
    known = ", ".join(ckpt.metadata.name for ckpt in observed.checkpoints if ckpt.status.phase is Phase.PRESENT)
    instead = f"write one of: {known}" if known else "this job has none that is Present"
    checkpoint = next((ckpt for ckpt in observed.checkpoints if ckpt.metadata.name == name), None)
    if checkpoint is None:
        return Refusal("CheckpointNotFound", f"{field}: this job has no such Checkpoint; {instead}")
    if checkpoint.metadata.terminating or is_being_cleared(checkpoint):
        return Refusal("CheckpointDeleting", f"{field} is being deleted; {instead}")
    if checkpoint.status.phase is not Phase.PRESENT:
        phase = checkpoint.status.phase or "not taken yet"
        return Refusal("CheckpointNotPresent", f"{field} is {phase}, only a Present one can be started from; {instead}")
    state = next((each for each in states if each.location == checkpoint.status.location), None)
    if state is None:
        where = checkpoint.status.location
        return Refusal("CheckpointDataMissing", f"{field}: nothing complete lies at {where}; {instead}")
    return _from(observed, state, f"spec.startFrom.checkpoint names {name}")


def _latest(observed: Observed, states: tuple[StoredState, ...], *, any_directory: bool) -> StartedFrom | Refusal:
    """The newest state of the job's own line: of the last run, else what that run started from.

    The line matters: after a restore of an old checkpoint the store still holds newer states of the run before, and a
    failure must not bring those back. Only without any record of a run the newest of all is taken.
    """
    run = observed.job.status.run if observed.job else None
    began = observed.job.status.started_from if observed.job else None
    if run is None or began is None:
        return _newest_of_all(observed, states, any_directory=any_directory)
    own = [state for state in states if state.run == run.id]
    if own:
        newest = max(own, key=lambda state: (state.checkpoint_id, state.modified))
        return _from(observed, newest, "the newest complete state of the last run")
    if observed.job is not None and observed.job.status.latest_checkpoint is not None:
        return Refusal(
            "StateMissing",
            "the last run had completed checkpoints, and the store holds none of them any more: going back further is "
            "yours to say; write spec.startFrom.checkpoint.name, or spec.startFrom.empty: {} to begin without state",
        )
    if began.kind is StartKind.EMPTY:
        return _empty(observed, "the last run had started empty and completed no checkpoint")
    again = next((state for state in states if state.location == began.location), None)
    if again is None:
        return Refusal(
            "NothingToStartFrom",
            f"the last run completed no checkpoint, and what it had started from ({began.location}) is gone; "
            "write spec.startFrom.checkpoint.name, or spec.startFrom.empty: {} to begin without state",
        )
    return _from(observed, again, "the last run completed no checkpoint of its own; this is what it had started from")


def _newest_of_all(
    observed: Observed, states: tuple[StoredState, ...], *, any_directory: bool
) -> StartedFrom | Refusal:
    if states:
        newest = max(states, key=lambda state: (state.modified, state.checkpoint_id))
        return _from(observed, newest, "the newest complete state that the store holds of this job's name")
    if any_directory:
        return Refusal(
            "NothingToStartFrom",
            "the store holds a directory of this job's name but nothing in it can be started from; write "
            "spec.startFrom.empty: {} to begin without state, or spec.startFrom.checkpoint.name",
        )
    return _empty(observed, "the store holds nothing of this job's name")


def _empty(observed: Observed, reason: str) -> StartedFrom:
    return StartedFrom(kind=StartKind.EMPTY, text=StartKind.EMPTY.value, time=observed.now, reason=reason)


def _from(observed: Observed, state: StoredState, reason: str) -> StartedFrom | Refusal:
    owner = next((ckpt for ckpt in observed.checkpoints if ckpt.status.location == state.location), None)
    if owner is not None and is_being_cleared(owner):
        name = owner.metadata.name
        return Refusal("CheckpointDeleting", f"the newest state is Checkpoint {name}, which is being deleted: waiting")
    return StartedFrom(
        kind=StartKind.CHECKPOINT if owner and state.savepoint else StartKind.RETAINED,
        text=owner.metadata.name if owner and state.savepoint else f"chk-{state.checkpoint_id} of {short(state.run)}",
        checkpoint=owner.metadata.name if owner else None,
        location=state.location,
        checkpoint_id=state.checkpoint_id,
        run=state.run or None,
        time=observed.now,
        reason=reason,
    )


def begin(draft: Draft, wish: StartFrom) -> None:
    """Record the intent to start a run, or say why not. Nothing is made yet."""
    if strays_go(draft):
        return
    chosen = choose(draft.observed, wish)
    if isinstance(chosen, Unknown):
        draft.waiting = f"the store does not answer: {chosen.reason}"
        draft.wake(5)
        return
    if isinstance(chosen, Refusal):
        draft.stalled(chosen.reason, chosen.message)
        return
    job = draft.job
    digest = spec_hash(job.spec)
    versions = [revision.version for revision in draft.observed.revisions]
    same = digest == draft.status.applied_spec_hash and draft.status.job_version > 0
    version = draft.status.job_version if same else max([draft.status.job_version, *versions]) + 1
    draft.set(
        intent=StartIntent(
            run=draft.observed.fresh_run,
            job_version=version,
            spec_hash=digest,
            started_from=chosen,
            recorded_at=draft.now,
        ),
        applied=Applied(start_from=start_value(job), restart_token=job.spec.restart_token),
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
    spec = draft.job.spec
    if not intent.permitted:
        if intent.spec_hash != spec_hash(spec):
            draft.set(intent=None)  # nothing exists yet: choose again for the spec as it is now
            draft.wake(0)
            return
        draft.act(RecordRevision(intent.job_version, intent.spec_hash, spec))
        draft.act(GrantPermit(intent.run))
        draft.set(intent=intent.model_copy(update={"permitted": True}))
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
        last_error=None,
        state=JobState.STARTING,
    )
    what = began.checkpoint or began.location or "nothing (empty)"
    draft.say("Normal", "Starting", f"version {intent.job_version} starts from {what}: {began.reason}")
    draft.wake(1)


def recorded_spec(observed: Observed, version: int) -> StreamJobSpec | None:
    """The spec of a job version as its ControllerRevision recorded it, read back into the model; None without one."""
    revision = next((each for each in observed.revisions if each.version == version), None)
    return StreamJobSpec.model_validate(dict(revision.spec)) if revision else None


def as_json(began: StartedFrom) -> str:
    """A StartedFrom as the annotation of the run's Job holds it."""
    return json.dumps(dump(began), sort_keys=True)
