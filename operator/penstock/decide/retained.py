"""Flink's own retained checkpoints as Checkpoints (source Retained).

While a run lives they are Flink's: it makes and discards them, and the objects follow. An object is made at most once
a minute and job, whatever the interval is; the status of the StreamJob names the others. When a run has ended, each
one that is left in the store gets its object, and is Penstock's from then on.
"""

from __future__ import annotations

from datetime import timedelta

from penstock import names
from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase, Source
from penstock.api.duration import display_duration
from penstock.api.quantity import display_bytes
from penstock.api.streamjob_status import LatestCheckpoint, Run
from penstock.clock import from_millis
from penstock.decide.draft import JOB, Draft
from penstock.decide.needs import history_entry, live_run
from penstock.decide.protection import elsewhere
from penstock.flink.answers import CheckpointStats, FlinkJob
from penstock.model import CreateCheckpoint, JobListing, Observed, StoredState, TargetListing, Unknown

EVERY = timedelta(minutes=1)
"""At most one object is made in this time for each job."""
_LISTED = 10


def listed(observed: Observed, run: Run, flink: FlinkJob) -> tuple[LatestCheckpoint, ...]:
    """The checkpoints of a run that Flink says it keeps now, newest first."""
    return tuple(
        LatestCheckpoint(
            checkpoint_id=each.id,
            location=each.path,
            completion_time=from_millis(each.ack_millis),
            size_bytes=each.size_bytes,
        )
        for each in _kept(observed, run, flink)[:_LISTED]
    )


def make(draft: Draft, run: Run, flink: FlinkJob) -> None:
    """Make the object of the newest one, unless one was made a short while ago; and of those that a user has named."""
    kept = [each.id for each in _kept(draft.observed, run, flink)]
    made = [ckpt for ckpt in draft.observed.checkpoints if ckpt.spec.source is Source.RETAINED]
    last = max((ckpt.metadata.creation_timestamp or draft.now for ckpt in made), default=None)
    asked = draft.job.metadata.annotations.get(constants.LIST, "").replace(" ", "").split(",")
    numbers = [number for number in kept if str(number) in asked]
    if last is None or draft.now >= last + EVERY:
        numbers += [number for number in kept[:1] if number not in numbers]
    for number in numbers:
        # A step of its own: when the API server refuses it, what else there is to do about the job goes on.
        _create(draft, run.id, number, names.retained_checkpoint(draft.job.metadata.name, run.id, number))


def sweep(draft: Draft, run: Run) -> bool:
    """Give each checkpoint that an ended run has left its object; False while the store does not answer."""
    if run.swept:
        return True
    listing = draft.observed.listing
    if not isinstance(listing, JobListing):
        why = draft.observed.store.problem or (listing.reason if listing is not None else "it is looked at next")
        draft.waiting = f"what the run has left in the store is not known yet: {why}"
        draft.wake(5)
        return False
    for state in listing.states:
        if state.run == run.id and not state.savepoint:
            _create(draft, run.id, state.checkpoint_id)
    draft.set(run=run.model_copy(update={"swept": True}))
    draft.wake(0)
    return True


def is_settled(draft: Draft, run: Run) -> bool:
    """Whether what an ended run has left has its objects, and these their columns: only the StreamJob can fill them."""
    if not run.swept:
        sweep(draft, run)
        return False
    fresh = [ckpt for ckpt in draft.observed.checkpoints if ckpt.status.phase is None and not ckpt.metadata.terminating]
    if any(ckpt.spec.source is Source.RETAINED for ckpt in fresh):
        draft.waiting = "what the run has left in the store is written down"
        return False
    return True


def proceed(draft: Draft, checkpoint: Checkpoint) -> bool:
    """One look at one: what Flink says of it, or what lies in the store when Flink does not say.

    False when its spec does not say which checkpoint it is.
    """
    origin = checkpoint.spec.origin
    if origin is None or origin.checkpoint_id is None:
        return False
    flink, run = draft.observed.flink, live_run(draft.observed.job)
    entry = history_entry(flink, run, checkpoint)
    if entry is not None:
        if entry.discarded:
            _cleared(draft, checkpoint)
        elif checkpoint.status.phase is None:
            _present(draft, checkpoint, _from_flink(entry))
        return True
    found = _in_store(draft, checkpoint)
    if isinstance(found, StoredState) and checkpoint.status.phase is None:
        _present(draft, checkpoint, _from_store(draft, found))
    elif found is None:
        _cleared(draft, checkpoint)
    return True


def _kept(observed: Observed, run: Run, flink: FlinkJob) -> list[CheckpointStats]:
    """Those that lie in the job's directory, or would as far as is known: with the store gone nobody can say."""
    own = [
        each
        for each in flink.history
        if each.status == "COMPLETED"
        and not each.savepoint
        and not each.discarded
        and f"/{run.id}/chk-" in each.path
        and not elsewhere(observed, each.path)
    ]
    return sorted(own, key=lambda each: each.id, reverse=True)


def _create(draft: Draft, run: str, number: int, owner: str = JOB) -> None:
    name = names.retained_checkpoint(draft.job.metadata.name, run, number)
    if not any(ckpt.metadata.name == name for ckpt in draft.observed.checkpoints):
        # Always the run of the status: of another one it would have to be looked up.
        began = draft.status.started_from
        draft.act(CreateCheckpoint(name, "Retained", run, "", number, began.replay if began else None), owner)


def _in_store(draft: Draft, checkpoint: Checkpoint) -> StoredState | Unknown | None:
    """Where it lies; None when it is gone."""
    target, listing, origin = (
        draft.observed.targets.get(checkpoint.metadata.name),
        draft.observed.listing,
        checkpoint.spec.origin,
    )
    if isinstance(target, TargetListing):
        return target.complete
    if not isinstance(listing, JobListing) or origin is None:
        return Unknown("the store has not been looked at in this pass")
    return next(
        (
            state
            for state in listing.states
            if not state.savepoint and (state.run, state.checkpoint_id) == (origin.run, origin.checkpoint_id)
        ),
        None,
    )


def _from_flink(entry: CheckpointStats) -> dict[str, object]:
    return {
        "trigger_time": from_millis(entry.trigger_millis),
        "completion_time": from_millis(entry.ack_millis),
        "duration_millis": entry.duration_millis,
        "duration_text": display_duration(entry.duration_millis),
        "size_bytes": entry.size_bytes,
        "size_text": display_bytes(entry.size_bytes),
        "location": entry.path.rstrip("/"),
    }


def _from_store(draft: Draft, state: StoredState) -> dict[str, object]:
    """The store knows neither when it was triggered nor what it shares with others; Flink's last word told the size."""
    told: dict[str, object] = {"completion_time": state.modified, "location": state.location}
    known = next((each for each in draft.status.retained_checkpoints if each.location == state.location), None)
    if known is not None and known.size_bytes is not None:
        told |= {"size_bytes": known.size_bytes, "size_text": display_bytes(known.size_bytes)}
        told["completion_time"] = known.completion_time or state.modified
    return told


def _present(draft: Draft, checkpoint: Checkpoint, told: dict[str, object]) -> None:
    job, origin = draft.job, checkpoint.spec.origin
    run = draft.status.run
    current = run is not None and origin is not None and run.id == origin.run
    draft.set_checkpoint(
        checkpoint,
        phase=Phase.PRESENT,
        checkpoint_id=origin.checkpoint_id if origin else None,
        run=origin.run if origin else None,
        replay=origin.replay if origin else None,
        job_uid=job.metadata.uid,
        job_version=run.job_version if run is not None and current else None,
        flink_version=job.spec.flink.version if current else None,
        store=job.spec.checkpoints.store,
        settled=True,
        **told,
    )


def _cleared(draft: Draft, checkpoint: Checkpoint) -> None:
    draft.set_checkpoint(checkpoint, phase=Phase.CLEARED, settled=True)
