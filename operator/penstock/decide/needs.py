"""What a pass has to look at in Flink and in the store, known from the API objects alone. Pure.

Looking costs: a listing of the store is only made when something depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase, Source
from penstock.api.conditions import find_condition
from penstock.api.streamjob import DesiredState, StreamJob
from penstock.api.streamjob_status import Applied, Run, StartIntent, StopIntent, StopMethod, TeardownIntent
from penstock.flink.answers import CheckpointStats, FlinkJob
from penstock.model import Manager, RunObjects, Unknown

_COMING_UP = timedelta(seconds=30)


@dataclass(frozen=True)
class Needs:
    """What to look at."""

    flink: str = ""
    """The run whose job Flink is to be asked about; empty: none."""
    checkpointing: bool = False
    """Whether it is to be asked how that job really takes checkpoints."""
    listing: bool = False
    """All complete states of this namespace and job name."""
    triggers: tuple[str, ...] = ()
    """Checkpoints (by name) whose trigger is to be polled."""
    targets: tuple[str, ...] = ()
    """Checkpoints (by name) whose directory is to be listed."""
    job_result: str = ""
    """The run whose entry in Flink's job result store is to be read; empty: none."""


def needs(job: StreamJob | None, checkpoints: tuple[Checkpoint, ...], runs: tuple[RunObjects, ...]) -> Needs:
    """What this pass needs to see."""
    run = live_run(job)
    objects = next((each for each in runs if run is not None and each.run == run.id), None)
    manager = objects.manager if objects else Manager.ABSENT
    creating = tuple(ckpt.metadata.name for ckpt in checkpoints if is_being_taken(ckpt))
    gone = manager in (Manager.FAILED, Manager.COMPLETE)
    return Needs(
        flink=run.id if run is not None and objects is not None and not gone else "",
        listing=_needs_listing(job, checkpoints),
        triggers=tuple(
            ckpt.metadata.name
            for ckpt in checkpoints
            if is_being_taken(ckpt) and run is not None and ckpt.status.run == run.id and objects and not gone
        ),
        targets=creating + tuple(ckpt.metadata.name for ckpt in checkpoints if is_being_cleared(ckpt)),
        job_result=run.id if run is not None and (gone or objects is None) else "",
    )


def needs_in_store(
    wanted: Needs, job: StreamJob | None, checkpoints: tuple[Checkpoint, ...], flink: FlinkJob | Unknown | None
) -> Needs:
    """The same when Flink has answered: Retained Checkpoints that it does not tell of are looked up in the store."""
    run = live_run(job)
    silent = [ckpt for ckpt in checkpoints if _is_followed(ckpt) and history_entry(flink, run, ckpt) is None]
    fresh = [ckpt for ckpt in silent if ckpt.status.phase is None]
    present = [ckpt for ckpt in silent if run is not None and ckpt.status.run == run.id and isinstance(flink, FlinkJob)]
    targets = tuple(ckpt.metadata.name for ckpt in present if ckpt.status.phase is Phase.PRESENT)
    return replace(
        wanted,
        checkpointing=isinstance(flink, FlinkJob) and not flink.terminal and _asks_how(job, flink),
        listing=wanted.listing or bool(fresh and job),
        targets=wanted.targets + targets,
    )


def _asks_how(job: StreamJob | None, flink: FlinkJob) -> bool:
    """Whether to ask how the job takes checkpoints: before a cancel, and once for each start of its JobManager."""
    intent, run = job.status.intent if job is not None else None, live_run(job)
    if isinstance(intent, StopIntent) and intent.method is StopMethod.CANCEL:
        return True
    known = run.checkpointing if run is not None else None
    return flink.state == "RUNNING" and (known is None or known.began_millis != flink.began_millis)


def _is_followed(checkpoint: Checkpoint) -> bool:
    followed = checkpoint.status.phase in (None, Phase.PRESENT) and not is_being_cleared(checkpoint)
    return checkpoint.spec.source is Source.RETAINED and followed and not checkpoint.metadata.terminating


def history_entry(flink: FlinkJob | Unknown | None, run: Run | None, checkpoint: Checkpoint) -> CheckpointStats | None:
    """What Flink's history says of a Retained Checkpoint of the live run; None when it says nothing."""
    origin = checkpoint.spec.origin
    if not isinstance(flink, FlinkJob) or run is None or origin is None or origin.run != run.id:
        return None
    return next(
        (
            each
            for each in flink.history
            if each.id == origin.checkpoint_id and not each.savepoint and each.status == "COMPLETED"
        ),
        None,
    )


def foreign_names(job: StreamJob | None, checkpoints: tuple[Checkpoint, ...]) -> tuple[str, ...]:
    """Names of Checkpoints that a job starts from, or is to start from, and that are not its own."""
    if job is None:
        return ()
    status, named = job.status, job.spec.start_from.checkpoint
    names = promised(job)
    if named is not None and (status.applied is None or wants_restart(job)):
        names.add(named.name)
    if isinstance(status.intent, StartIntent):
        names.add(status.intent.started_from.checkpoint or "")
    elif status.started_from is not None and status.latest_checkpoint is None:
        # It has no state of its own yet: lost now, it starts from the same again.
        names.add(status.started_from.checkpoint or "")
    if status.fallback is not None:
        names.add(status.fallback.started_from.checkpoint or "")
    if (asked := asked_about(job)) is not None:
        names.add(asked[0])
    names.discard("")
    return tuple(sorted(names - {ckpt.metadata.name for ckpt in checkpoints}))


def asked_about(job: StreamJob | None) -> tuple[str, str] | None:
    """The Checkpoint's name and the text of a dry run that was asked for and has not been answered."""
    text = job.metadata.annotations.get(constants.PREFLIGHT, "").strip()[:200] if job is not None else ""
    if job is None or not text or job.metadata.terminating:
        return None
    known = job.status.restore.dry_run if job.status.restore is not None else None
    answered = known is not None and known.request == text and bool(known.checks)
    return None if answered else (text.split(maxsplit=1)[0], text)


def promised(job: StreamJob) -> set[str]:
    """The Checkpoints that a stop under way, or one that is over, has promised to the next run: named, or its own."""
    intent, run = job.status.intent, job.status.run
    own = _own_of_the_stop(job) if job.spec.state is DesiredState.RUNNING and not job.metadata.terminating else ""
    values = [intent.next_start_from] if isinstance(intent, StopIntent | TeardownIntent) else []
    if run is not None and run.ended_at is not None and not isinstance(intent, StartIntent):
        values.append(run.next_start_from)
    found = ((value.get("checkpoint") or {}).get("name") for value in values if value)
    return {str(name) for name in (*found, own) if name}


def _own_of_the_stop(job: StreamJob) -> str | None:
    """The Checkpoint that the stop itself makes or has made, as long as no start is recorded that names it."""
    intent, run = job.status.intent, job.status.run
    if isinstance(intent, StopIntent):
        return intent.checkpoint
    ended = run is not None and (run.ended_at is not None or isinstance(intent, TeardownIntent))
    return run.stop_checkpoint if run is not None and ended and not isinstance(intent, StartIntent) else None


def may_delete(job: StreamJob | None, checkpoints: tuple[Checkpoint, ...]) -> bool:
    """Whether data of a Checkpoint may go in this pass, or be marked so: then other jobs that start from it count."""
    present = [ckpt for ckpt in checkpoints if ckpt.status.phase is Phase.PRESENT]
    if any(ckpt.metadata.terminating or is_being_cleared(ckpt) for ckpt in checkpoints):
        return True
    if job is None:
        return False
    rules = job.spec.checkpoints.retention
    return len(present) > rules.num_retained or (rules.max_age is not None and bool(present))


def live_run(job: StreamJob | None) -> Run | None:
    """The run of a job that has not been seen to end."""
    run = job.status.run if job else None
    return run if run is not None and run.ended_at is None else None


def begins(run: Run, flink: FlinkJob, now: datetime) -> bool:
    """Whether a run is just coming up: what Flink says then is of use to nobody, and would cost each start a write.

    One that takes long is told of.
    """
    young = run.started_at is not None and now < run.started_at + _COMING_UP
    return young and not run.confirmed and not flink.terminal and flink.state != "RUNNING"


def is_being_taken(checkpoint: Checkpoint) -> bool:
    """Whether Flink was asked for it, or is about to be, and the end is not known yet."""
    status = checkpoint.status
    return status.phase is Phase.CREATING or (status.phase is Phase.TIMEOUT and status.settled is False)


def is_being_cleared(checkpoint: Checkpoint) -> bool:
    """Whether its deletion from the store has been decided and is not finished."""
    deleting = find_condition(checkpoint.status.conditions, constants.DELETING)
    return deleting is not None and deleting.status == "True"


def wants_restart(job: StreamJob) -> bool:
    """Whether `startFrom` or `restartToken` ask for something that was not applied yet."""
    applied = job.status.applied
    if applied is None:
        return False
    changed = start_value(job) != applied.start_from and job.spec.start_from.latest is None
    return changed or job.spec.restart_token != applied.restart_token


def start_value(job: StreamJob) -> dict[str, object]:
    """`spec.startFrom` as it is recorded when it is applied."""
    return job.spec.start_from.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_apply(job: StreamJob) -> Applied:
    """What a start that is decided now applies of `spec.startFrom` and `spec.restartToken`."""
    return Applied(start_from=start_value(job), restart_token=job.spec.restart_token)


def _is_fresh(checkpoint: Checkpoint) -> bool:
    return checkpoint.status.phase is None and not checkpoint.metadata.terminating


def stop_savepoints(run: Run, checkpoints: tuple[Checkpoint, ...]) -> list[Checkpoint]:
    """The Checkpoints that stops of this run have made, or were about to make."""
    return [
        ckpt
        for ckpt in checkpoints
        if ckpt.spec.source in (Source.STOP, Source.UPGRADE) and ckpt.spec.origin and ckpt.spec.origin.run == run.id
    ]


def _needs_listing(job: StreamJob | None, checkpoints: tuple[Checkpoint, ...]) -> bool:
    if job is None:
        return False
    if any(_is_fresh(ckpt) and ckpt.spec.source is not Source.RETAINED for ckpt in checkpoints):
        return True
    intent, run = job.status.intent, live_run(job)
    if isinstance(intent, StartIntent | StopIntent):
        return False
    if asked_about(job) is not None:
        return True
    if run is not None:
        unclear = job.status.latest_checkpoint is None and bool(stop_savepoints(run, checkpoints))
        return not job.metadata.terminating and (wants_restart(job) or unclear)
    begins = job.spec.state is DesiredState.RUNNING and not job.metadata.terminating
    unswept = job.status.run is not None and not job.status.run.swept
    return intent is None and (begins or unswept)
