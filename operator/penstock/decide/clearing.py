"""Taking a checkpoint's data away: by retention, or because its object was deleted.

Never what is in use, in flight or pinned, and never the last restorable one by retention. The intent (condition
Deleting) is written in one pass, the data goes in later ones, the object or the phase follows when nothing is left.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase, Source
from penstock.api.conditions import find_condition
from penstock.api.duration import parse_duration
from penstock.api.streamjob import DesiredState, StreamJob
from penstock.api.streamjob_status import StartIntent
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_cleared, live_run, promised, start_value
from penstock.model import (
    DeleteCheckpoint,
    DeleteCheckpointData,
    DeleteRetainedData,
    ForgetDeletion,
    Observed,
    SetFinalizer,
    TargetListing,
)

HISTORY_LIMIT = 20
"""How many ended Checkpoints of each source without data, made by the operator, stay listed."""
_RETAINED_BY_COUNT = (Source.MANUAL, Source.STOP, Source.UPGRADE, Source.SCHEDULE, Source.RETAINED)


_Rules = dict[str, tuple[Checkpoint, str]]
"""By name, the Checkpoints that a rule takes, and the rule for people."""


def retain(draft: Draft) -> None:
    """Decide what is too many, and what is too old; the last restorable one stays whatever the rules say."""
    job = draft.observed.job
    if job is None or job.metadata.terminating or draft.observed.everything_goes:
        return
    present = sorted(
        (ckpt for ckpt in draft.observed.checkpoints if draft.status_of(ckpt).phase is Phase.PRESENT),
        key=lambda ckpt: _age_key(draft, ckpt),
        reverse=True,
    )
    last = next((ckpt for ckpt in present if _stays_restorable(draft, ckpt)), None)
    for checkpoint, rule in (_too_old(draft, present) | _too_many(draft, present)).values():
        if checkpoint is last or users(draft.observed, checkpoint) or is_being_cleared(checkpoint):
            continue
        draft.condition(checkpoint, constants.DELETING, "True", "Retention", rule)
        draft.wake(0)
    _forget(draft)


def _too_many(draft: Draft, present: list[Checkpoint]) -> _Rules:
    """Of each source all but the newest `numRetained`."""
    limit = draft.job.spec.checkpoints.retention.num_retained
    found: _Rules = {}
    for source in _RETAINED_BY_COUNT:
        counted = [ckpt for ckpt in present if ckpt.spec.source is source and not ckpt.spec.pinned]
        rule = f"more than {limit} of source {source} (checkpoints.retention.numRetained)"
        # Flink's own of the current run are counted, as they are the newest, but Flink discards them itself.
        found |= {ckpt.metadata.name: (ckpt, rule) for ckpt in counted[limit:] if not _belongs_to_others(draft, ckpt)}
    return found


def _too_old(draft: Draft, present: list[Checkpoint]) -> _Rules:
    """Those that have passed `maxAge`; a pass is asked for when the next one does."""
    limit = draft.job.spec.checkpoints.retention.max_age
    if limit is None:
        return {}
    found: _Rules = {}
    for checkpoint in present:
        if checkpoint.spec.pinned or _belongs_to_others(draft, checkpoint):
            continue
        left = _age_key(draft, checkpoint)[0] + timedelta(milliseconds=parse_duration(limit)) - draft.now
        if left > timedelta():
            draft.wake(left.total_seconds())
        else:
            found[checkpoint.metadata.name] = (checkpoint, f"older than {limit} (checkpoints.retention.maxAge)")
    return found


def _stays_restorable(draft: Draft, checkpoint: Checkpoint) -> bool:
    """Whether the job can be restored from a Present one for as long as retention leaves it alone.

    What status.latestCheckpoint names does not count: it is one of Flink's own, or a Checkpoint that counts by itself.
    """
    restorable = find_condition(draft.status_of(checkpoint).conditions, constants.RESTORABLE)
    lost = restorable is not None and restorable.status == "False"
    going = checkpoint.metadata.terminating or is_being_cleared(checkpoint)
    return not (lost or going or _belongs_to_others(draft, checkpoint))


def _belongs_to_others(draft: Draft, checkpoint: Checkpoint) -> bool:
    """An imported one is the administrator's to delete; Flink discards its own ones of the current run by itself.

    What lies in another store is of an earlier StreamJob of the name: this one's retention is not about it.
    """
    if draft.observed.store_of(checkpoint) is not draft.observed.store:
        return True
    run = live_run(draft.observed.job)
    if checkpoint.spec.source is Source.RETAINED:
        wrote = draft.status_of(checkpoint).run or (checkpoint.spec.origin.run if checkpoint.spec.origin else None)
        return run is not None and wrote in (run.id, None)
    return checkpoint.spec.source is Source.IMPORTED


def proceed(draft: Draft, checkpoint: Checkpoint) -> None:
    """Take the data of a Present one away when an earlier pass decided so, and nothing has come to need it since."""
    if not is_being_cleared(checkpoint):
        return
    name = checkpoint.metadata.name
    target = draft.observed.targets.get(name)
    if not isinstance(target, TargetListing):
        draft.wake(5)
        return
    needed = checkpoint.spec.pinned or bool(users(draft.observed, checkpoint)) or _is_last(draft)
    if owner := claimed_by(draft.observed, checkpoint):
        draft.condition(checkpoint, constants.DELETING, "False", "PlaceNotOurs", f"what it names is {owner}'s")
        return
    if target.complete is not None and (needed or run_may_write(draft.observed, checkpoint)):
        # Only while it can still be restored: what has lost its `_metadata` is deleted to its end.
        why = "it is pinned or in use again, or the last restorable one"
        draft.condition(checkpoint, constants.DELETING, "False", "Needed", why)
        return
    if target.keys:
        _delete(draft, checkpoint, target)
        return
    freed = _freed(draft, checkpoint, target)
    if freed is None:
        return
    draft.set_checkpoint(checkpoint, phase=Phase.CLEARED, settled=True, bytes_freed=freed)
    draft.condition(checkpoint, constants.DELETING, "False", "Cleared", f"{freed} bytes freed")
    draft.say("Normal", "Cleared", f"its data is gone, {freed} bytes freed", checkpoint)
    if constants.FINALIZER_DATA in checkpoint.metadata.finalizers:
        draft.wake(0)


def claimed_by(observed: Observed, checkpoint: Checkpoint) -> str:
    """Name of the Checkpoint to which the directory belongs that this one's status names; empty: it is its own.

    A directory bears the uid of the Checkpoint that it was made for. One that `penstock rebuild` has made stands for
    an older one's: that is its own as long as no other names it.
    """
    status = checkpoint.status
    directory = f"{(status.target_directory or status.location or '').rstrip('/')}/"
    if directory == "/" or f"/savepoints/{checkpoint.metadata.uid}/" in directory:
        return ""
    for other in observed.checkpoints:
        if other.metadata.uid == checkpoint.metadata.uid:
            continue
        named = (other.status.target_directory, other.status.location)
        inside = any(f"{each.rstrip('/')}/".startswith(directory) for each in named if each)
        if inside or f"/savepoints/{other.metadata.uid}/" in directory:
            return f"Checkpoint {other.metadata.name}"
    return ""


def deleted(draft: Draft, checkpoint: Checkpoint) -> None:
    """The object was deleted by somebody: its data first, then the finalizer."""
    if constants.FINALIZER_DATA not in checkpoint.metadata.finalizers:
        return
    name, status = checkpoint.metadata.name, checkpoint.status
    # Pinned data go by an unpin alone, however the object was deleted.
    keeps = checkpoint.spec.keeps_data or checkpoint.spec.pinned or draft.observed.everything_goes
    keeps = keeps or _is_flinks(draft, checkpoint)
    if keeps or (status.target_directory is None and not _is_retained(checkpoint)):
        if keeps and status.location and status.phase is not Phase.CLEARED:
            draft.say("Normal", "Retained", f"its data stays at {status.location}", checkpoint)
        draft.act(SetFinalizer("Checkpoint", name, present=False), name)
        return
    draft.condition(checkpoint, constants.READY, "False", "Deleted", "")
    way_out = "to let go of the object and leave the data, write spec.deletionPolicy: Retain"
    owner = claimed_by(draft.observed, checkpoint)
    if owner or draft.observed.kinds_unknown:
        why = f"its status names what is {owner}'s: that is left alone" if owner else draft.observed.kinds_unknown
        reason = "PlaceNotOurs" if owner else "KindNotKnown"
        draft.condition(checkpoint, constants.STALLED, "True", reason, f"{why}; {way_out}")
        draft.wake(15)
        return
    target = draft.observed.targets.get(name)
    whole = not isinstance(target, TargetListing) or target.complete is not None
    by = ", ".join(users(draft.observed, checkpoint))
    if whole and by:
        message = f"StreamJob {by} starts from it; deleted after that"
        draft.condition(checkpoint, constants.DELETING, "False", "InUse", message)
        draft.wake(5)
        return
    if not is_being_cleared(checkpoint):
        draft.condition(checkpoint, constants.DELETING, "True", "Deleted", "the Checkpoint was deleted")
        draft.wake(0)
        return
    if not isinstance(target, TargetListing):
        reason = target.reason if target is not None else "the store has not been listed"
        draft.condition(checkpoint, constants.STALLED, "True", "StoreNotReached", f"{reason}; {way_out}")
        draft.wake(15)
    elif target.keys:
        _delete(draft, checkpoint, target)
    elif (freed := _freed(draft, checkpoint, target)) is not None:
        draft.say("Normal", "Deleted", f"its data is gone, {freed} bytes freed", checkpoint)
        draft.act(SetFinalizer("Checkpoint", name, present=False), name)


def _delete(draft: Draft, checkpoint: Checkpoint, target: TargetListing) -> None:
    """A slice of the deletion; what earlier ones have freed is written along."""
    name, status = checkpoint.metadata.name, checkpoint.status
    if checkpoint.spec.source is Source.RETAINED:
        ended = not run_may_write(draft.observed, checkpoint)
        draft.act(DeleteRetainedData(name, status.location or "", run_ended=ended), name)
    else:
        draft.act(DeleteCheckpointData(name, status.target_directory or ""), name)
    if target.freed:
        draft.set_checkpoint(checkpoint, bytes_freed=target.freed)
    draft.wake(0)


def _freed(draft: Draft, checkpoint: Checkpoint, target: TargetListing) -> int | None:
    """The bytes that its deletion freed; None while they are only in the tombstone, which goes in the next pass."""
    known = checkpoint.status.bytes_freed
    if target.freed is None:
        # No tombstone: it is gone already (the status has it), or somebody else emptied the directory.
        return known or 0
    if known != target.freed:
        draft.set_checkpoint(checkpoint, bytes_freed=target.freed)
        draft.wake(0)
        return None
    draft.act(ForgetDeletion(checkpoint.metadata.name), checkpoint.metadata.name)
    return target.freed


def _is_retained(checkpoint: Checkpoint) -> bool:
    """Whether its data are those of one of Flink's own checkpoints, and were not taken away by Flink."""
    status = checkpoint.status
    return checkpoint.spec.source is Source.RETAINED and status.phase is Phase.PRESENT and status.location is not None


def _is_flinks(draft: Draft, checkpoint: Checkpoint) -> bool:
    """Whether Flink still owns it: then its object goes at once, and the data when Flink discards them."""
    return _is_retained(checkpoint) and run_may_write(draft.observed, checkpoint)


def run_may_write(observed: Observed, checkpoint: Checkpoint) -> bool:
    """Whether the run of a retained checkpoint has not ended: then Flink owns it, and nobody else deletes it."""
    if checkpoint.spec.source is not Source.RETAINED:
        return False
    run = checkpoint.status.run or (checkpoint.spec.origin.run if checkpoint.spec.origin else "")
    alive = live_run(observed.job)
    objects = observed.objects_of(run)
    return (alive is not None and alive.id == run) or objects.objects > 0 or objects.pods > 0


def users(observed: Observed, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Which StreamJobs need it: its own, others of the namespace that start from it, those that cannot be read."""
    jobs = (*((observed.job,) if observed.job is not None else ()), *observed.others)
    return tuple(job.metadata.name for job in jobs if in_use(job, checkpoint)) + observed.unreadable_others


def in_use(job: StreamJob, checkpoint: Checkpoint) -> bool:
    """Whether a run starts from it, needs it for a second start, or the spec asks to start from it next."""
    location = checkpoint.status.location
    status = job.status
    if location is None or (job.metadata.terminating and live_run(job) is None and status.intent is None):
        return False
    if isinstance(status.intent, StartIntent) and status.intent.started_from.location == location:
        return True
    if checkpoint.metadata.name in promised(job):
        return True
    back = status.intent.fallback if isinstance(status.intent, StartIntent) else status.fallback
    if back is not None and back.started_from.location == location:
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


def _is_last(draft: Draft) -> bool:
    """Whether none is left that is not going: the newer one that retention had counted on was deleted meanwhile."""
    present = (ckpt for ckpt in draft.observed.checkpoints if draft.status_of(ckpt).phase is Phase.PRESENT)
    return not any(_stays_restorable(draft, ckpt) for ckpt in present)


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
