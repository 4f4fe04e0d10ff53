"""A run that lives: following it, noticing its end or its loss, and what the spec wants of it now."""

from __future__ import annotations

from datetime import timedelta

from penstock import names
from penstock.api.checkpoint import Source
from penstock.api.streamjob import DesiredState, OnStop, OnUpgrade
from penstock.api.streamjob_status import (
    LatestCheckpoint,
    Run,
    StartedFrom,
    StopMethod,
    StopReason,
)
from penstock.clock import from_millis
from penstock.decide import checkpointing, ends, health, preflight, protection, retained, start, stop
from penstock.decide.change import Change, changed_fields, spec_hash
from penstock.decide.draft import Draft
from penstock.decide.needs import begins, start_value, to_apply, wants_restart
from penstock.decide.start import recorded_spec
from penstock.flink.answers import FlinkJob
from penstock.model import ApplyRun, DeleteManager, DeletePods, Manager, RecordRevision, RunObjects

_HEALTHY_AFTER = timedelta(minutes=10)
_AGAIN = "stop the job and start it again from the Checkpoint that you want"
_TASKS_SECONDS = 2.0
"""Nobody says when the last task runs, and the job is not Ready before."""


def proceed(draft: Draft, run: Run) -> None:
    """One look at a live run without an intent."""
    objects = draft.observed.objects_of(run.id)
    flink = draft.observed.flink
    if isinstance(flink, FlinkJob):
        follow(draft, run, flink)
        if flink.terminal:
            ends.by_itself(draft, run, flink)
            return
    if objects.manager in (Manager.FAILED, Manager.COMPLETE):
        ends.lost(draft, run, objects)
        return
    if _has_been_healthy(draft, objects):
        words = f": {objects.crash}" if objects.crash else ""
        draft.say("Warning", "JobManagerFailed", f"its JobManager has failed and is started again at once{words}")
        draft.act(DeleteManager(run.id))
        draft.wake(0)
        return
    _repair(draft, run, objects)
    if _cannot_complete_checkpoints(draft, run, objects):
        stop.record(draft, run, StopReason.RECOVER, StopMethod.CANCEL)
        return
    _compare(draft, run)


def keep_record(draft: Draft, run: Run) -> None:
    """The ControllerRevision of the running version was deleted by somebody: without it nothing is made again."""
    if any(each.version == run.job_version for each in draft.observed.revisions):
        return
    digest, name = draft.status.applied_spec_hash, names.revision(draft.job.metadata.name, run.job_version)
    if spec_hash(draft.job.spec) == digest:
        draft.say("Warning", "Repaired", f"made again: ControllerRevision {name}, which somebody has deleted")
        draft.act(RecordRevision(run.job_version, digest, draft.job.spec))
        draft.wake(1)
        return
    draft.stalled(
        "VersionNotRecorded",
        f"ControllerRevision {name}, the record of the running version, was deleted, and the spec says something else "
        "by now: what is lost of the run's objects cannot be made again. Write the spec as it was, or let the change "
        "be carried out",
    )


def _compare(draft: Draft, run: Run) -> None:
    """What the spec asks for, and the run is not."""
    if draft.job.spec.state is DesiredState.STOPPED:
        method = StopMethod.SAVEPOINT if draft.job.spec.checkpoints.on_stop is OnStop.SAVEPOINT else StopMethod.CANCEL
        _stop(draft, run, StopReason.STOP, method)
    elif wants_restart(draft.job):
        _restart(draft, run)
    elif health.wanted_hash(draft.job) != draft.status.applied_spec_hash:
        _upgrade(draft, run)
    elif health.proceed(draft, run):
        return
    elif draft.status.applied is not None and start_value(draft.job) != draft.status.applied.start_from:
        # Back to latest: nothing to do now, but recorded, so that naming the same Checkpoint again is a new wish.
        draft.set(applied=to_apply(draft.job))


def follow(draft: Draft, run: Run, flink: FlinkJob) -> None:
    """Write down what Flink says of a run: its state, its newest checkpoint, and what it was really restored from."""
    update: dict[str, object] = {} if begins(run, flink, draft.now) else {"flink_state": flink.state}
    if not flink.all_running:
        draft.wake(_TASKS_SECONDS)
    began = draft.status.started_from
    unsure = not run.confirmed and flink.state == "RUNNING" and began is not None
    as_asked = protection.restored_as_asked(run, began, flink) if unsure and began is not None else None
    if flink.completed is not None and as_asked is not False:  # else it is of another line than the job's
        latest = LatestCheckpoint(
            checkpoint_id=flink.completed.id,
            location=flink.completed.path,
            completion_time=from_millis(flink.completed.ack_millis),
            size_bytes=flink.completed.size_bytes,
            savepoint=flink.completed.savepoint,
        )
        draft.set(latest_checkpoint=latest)
    if flink.history:
        draft.set(retained_checkpoints=retained.listed(draft.observed, run, flink))
    if run.confirmed and not flink.terminal and draft.status.intent is None:
        retained.make(draft, run, flink)
    if as_asked is False and began is not None:
        really = flink.restored.path if flink.restored is not None else "nothing"
        why = protection.restored_instead(flink, began)
        if began.restored != really:
            draft.say("Warning", protection.RESTORED_FROM_ELSEWHERE, why)
        draft.set(started_from=began.model_copy(update={"restored": really, "text": really}))
        draft.stalled(protection.RESTORED_FROM_ELSEWHERE, f"{why}; else {_AGAIN}")
    elif as_asked and began is not None:
        update["confirmed"] = True
        draft.set(
            start_attempts=0,
            next_start_at=None,
            proven_version=run.job_version,
            started_from=began.model_copy(update={"confirmed": True}),
        )
        draft.say("Normal", "Running", f"run {run.id} is running, from {began.checkpoint or began.text or began.kind}")
    draft.set(run=run.model_copy(update=update))


def _cannot_complete_checkpoints(draft: Draft, run: Run, objects: RunObjects) -> bool:
    """Whether the ConfigMap with the checkpoint pointers was deleted under a running job.

    Flink does not make it again: the job goes on, but no checkpoint ever completes (measured on 2.3.0), and what it
    does meanwhile is lost at its next failure. Its newest complete checkpoint is in the store: a new run starts there.
    """
    flink = draft.observed.flink
    runs = run.confirmed and isinstance(flink, FlinkJob) and flink.all_running
    pointers = names.checkpoint_pointers(draft.job.metadata.name, run.id)
    if not runs or draft.status.latest_checkpoint is None or pointers in objects.ha_config_maps:
        return False
    why = f"the ConfigMap {pointers} was deleted: Flink completes no checkpoint without it"
    draft.error("PointersLost", why)
    if _nothing_would_be_left(draft, StopReason.RECOVER):
        return False
    draft.say("Warning", "PointersLost", f"{why}; a new run starts from the newest state in the store")
    return True


def _has_been_healthy(draft: Draft, objects: RunObjects) -> bool:
    """Whether a JobManager that failed is to be started at once, because it had worked for long.

    A Job never forgets failures: after a few of them, spread over a year, each new one costs ten minutes. As for the
    kubelet's own crash loops, what has worked for ten minutes begins anew: a checkpoint was completed so long after the
    Job was made. A new Job starts the same run; Flink's HA metadata, which the guard asks for, says where it goes on.
    """
    latest, made_at = draft.status.latest_checkpoint, objects.manager_made_at
    if not objects.waits or latest is None or latest.completion_time is None or made_at is None:
        return False
    return latest.completion_time >= made_at + _HEALTHY_AFTER


def _repair(draft: Draft, run: Run, objects: RunObjects) -> None:
    """Make missing objects again. The permit is never made again: the guard decides whether a start is allowed."""
    if objects.stale_pods:
        draft.act(DeletePods(objects.stale_pods))
    gone = not objects.objects
    if not (gone or objects.missing or objects.drifted or objects.creating):
        return
    recorded = recorded_spec(draft.observed, run.job_version)
    began = draft.status.started_from
    if recorded is None or began is None:
        return
    if gone or objects.missing or objects.drifted:
        what = "all objects" if gone else ", ".join(objects.missing) or "the number of TaskManagers"
        draft.say("Normal", "Repaired", f"made again: {what}")
    draft.act(
        ApplyRun(
            run.id,
            run.job_version,
            draft.status.applied_spec_hash,
            recorded,
            began.location or "",
            start.as_json(began),
        )
    )


def _restart(draft: Draft, run: Run) -> None:
    """`startFrom` or `restartToken` changed: what is to be started from is verified before the job is touched."""
    wish, named, then, chosen = draft.job.spec.start_from, None, start_value(draft.job), None
    if wish.latest is None:
        chosen = start.ready(draft, wish, ". The job runs on")
        if chosen is None:
            preflight.refused(draft, wish)
            return
        named = chosen.checkpoint
        if wish.as_of is not None:
            # What was verified is what is started from, though the store may hold another answer after the stop.
            then = {key: value for key, value in then.items() if key != "asOf"} | {"checkpoint": {"name": named}}
    if _cannot_change(draft) or not _may_begin(draft, run, chosen):
        return
    reason = StopReason.RESTART if wish.latest is not None else StopReason.RESTORE
    method = StopMethod.CANCEL if _would_be_discarded(draft, run, named) else _upgrade_method(draft)
    _stop(draft, run, reason, method, then)


def _may_begin(draft: Draft, run: Run, chosen: StartedFrom | None) -> bool:
    """Whether the program, too, is found good; the same program goes on from its own state without being asked."""
    if chosen is not None:
        return preflight.restore_may_begin(draft, draft.job.spec.start_from, chosen)
    same = health.wanted_hash(draft.job) == draft.status.applied_spec_hash
    return same or preflight.upgrade_may_begin(draft, run, stateless=False)


def _would_be_discarded(draft: Draft, run: Run, named: str | None) -> bool:
    """Whether it is one of the live run's own checkpoints: a stop with a savepoint makes Flink delete them."""
    return any(
        ckpt.metadata.name == named and ckpt.spec.source is Source.RETAINED and ckpt.status.run == run.id
        for ckpt in draft.observed.checkpoints
    )


def _upgrade(draft: Draft, run: Run) -> None:
    if _cannot_change(draft):
        return
    recorded = next((each for each in draft.observed.revisions if each.version == run.job_version), None)
    changes = changed_fields(recorded.spec, draft.job.spec) if recorded else {}
    asks = max(changes.values(), default=Change.SAVEPOINT)
    latest = draft.status.latest_checkpoint
    if asks is Change.RESTART and latest is not None and not protection.elsewhere(draft.observed, latest.location):
        _stop(draft, run, StopReason.RESTART, StopMethod.CANCEL)
        return
    stateless = draft.job.spec.checkpoints.on_upgrade is OnUpgrade.STATELESS
    if not preflight.upgrade_may_begin(draft, run, stateless=stateless):
        return
    _stop(draft, run, StopReason.UPGRADE, _upgrade_method(draft), {"empty": {}} if stateless else None)


def _upgrade_method(draft: Draft) -> StopMethod:
    wanted = draft.job.spec.checkpoints.on_upgrade
    return StopMethod.SAVEPOINT if wanted is OnUpgrade.SAVEPOINT else StopMethod.CANCEL


def _cannot_change(draft: Draft) -> bool:
    """Whether the spec as it is could not be started: then the running job is not touched."""
    if draft.hindrance:
        draft.stalled("InvalidSpec", draft.hindrance)
        return True
    if draft.observed.store.problem:
        draft.stalled("StoreNotUsable", f"spec.checkpoints.store: {draft.observed.store.problem}")
        return True
    return False


def _stop(
    draft: Draft,
    run: Run,
    reason: StopReason,
    method: StopMethod,
    next_start_from: dict[str, object] | None = None,
) -> None:
    """Stop a run unless it cannot be asked now, or the last attempt was refused only just now."""
    again = draft.status.next_stop_attempt_at
    if again is not None and (draft.now < again or _completes_nothing(draft)):
        why = draft.status.last_error.message if draft.status.last_error else "the savepoint failed"
        when = f"at {again:%H:%M:%S} UTC" if draft.now < again else "when the job has completed a checkpoint again"
        draft.stalled(
            "SavepointFailed",
            f"{reason} was refused, the job runs on: {why}. Tried again {when}; to go on without a "
            "savepoint write checkpoints.ifSavepointFails: LatestCheckpoint",
            retry_seconds=max(0.0, (again - draft.now).total_seconds()) or 10,
        )
        return
    latest = next_start_from is None or "latest" in next_start_from
    if method is StopMethod.CANCEL and latest and _nothing_would_be_left(draft, reason):
        return
    flink = draft.observed.flink
    if method is StopMethod.SAVEPOINT and (never := checkpointing.no_savepoint(run)):
        draft.stalled(checkpointing.NONE, f"{reason} needs a savepoint: {never}")
        return
    if method is StopMethod.SAVEPOINT and not (isinstance(flink, FlinkJob) and flink.all_running):
        if _never_ran(draft, run):
            stop.record(draft, run, reason, StopMethod.KILL, next_start_from)
            return
        draft.stalled(
            "NotRunning",
            f"{reason} needs a savepoint, and not every task of the job is running; it is taken as soon as they do. To "
            "go on without one write checkpoints.onStop or checkpoints.onUpgrade: LatestCheckpoint",
            retry_seconds=2,
        )
        return
    stop.record(draft, run, reason, method, next_start_from)


def _nothing_would_be_left(draft: Draft, reason: StopReason) -> bool:
    """Whether a stop without a savepoint would leave what nothing can be started from."""
    why = protection.unprotected(draft.observed, draft.status.latest_checkpoint)
    if why:
        advice = "write checkpoints.onStop and checkpoints.onUpgrade: Savepoint"
        draft.stalled(protection.ELSEWHERE, f"{reason} is not begun, the job runs on: {why}, or {advice}")
    return bool(why)


def _completes_nothing(draft: Draft) -> bool:
    """Whether no checkpoint was completed since the last attempt: the next one would fail as well, and not for nothing.

    Flink restarts the job from its newest checkpoint when a savepoint that was to stop it fails (decision 0032).
    """
    refused, latest = draft.status.stop_refused_at, draft.status.latest_checkpoint
    return refused is not None and (latest is None or latest.checkpoint_id <= refused)


def _never_ran(draft: Draft, run: Run) -> bool:
    """Whether there is nothing to save: its permit is unused, or Flink answers and has no task and no checkpoint."""
    if draft.observed.objects_of(run.id).permit:
        return True
    answers = draft.observed.flink is None or isinstance(draft.observed.flink, FlinkJob)
    return answers and not run.confirmed and draft.status.latest_checkpoint is None
