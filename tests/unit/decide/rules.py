"""The rule 'intent before effect', as a judge of one effect: its intent must be in the status that was loaded."""

from __future__ import annotations

from datetime import timedelta

from penstock import model
from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.conditions import find_condition
from penstock.api.streamjob_status import StartIntent, StopIntent, StopMethod, TeardownIntent
from penstock.decide.clearing import claimed_by
from penstock.decide.needs import is_being_cleared, is_being_taken, live_run
from penstock.flink.answers import Checkpointing
from penstock.model import Effect, Observed


def objection(observed: Observed, effect: Effect) -> str:
    """Why an effect must not come from this position; empty when it may."""
    allowed = _ALLOWED.get(type(effect))
    return "" if allowed is None or allowed(observed, effect) else f"no intent for {effect} in the loaded status"


def _intent(observed: Observed):
    return observed.job.status.intent if observed.job else None


def _checkpoint(observed: Observed, name: str) -> Checkpoint:
    return next(each for each in observed.checkpoints if each.metadata.name == name)


def _grant(observed: Observed, effect: model.GrantPermit) -> bool:
    intent = _intent(observed)
    return isinstance(intent, StartIntent) and intent.run == effect.run and not intent.permitted


def _apply(observed: Observed, effect: model.ApplyRun) -> bool:
    intent, run = _intent(observed), live_run(observed.job)
    starts = isinstance(intent, StartIntent) and intent.run == effect.run and intent.permitted
    return starts or (run is not None and run.id == effect.run and not isinstance(intent, StopIntent | TeardownIntent))


def _create(observed: Observed, effect: model.CreateCheckpoint) -> bool:
    intent, memory = _intent(observed), observed.job.status.schedule if observed.job else None
    if effect.source == "Schedule":
        return memory is not None and memory.creating == effect.name
    if effect.source == "Retained":  # nothing is taken: it names what Flink has made already
        run = observed.job.status.run if observed.job else None
        return run is not None and run.id == effect.run and effect.checkpoint_id is not None
    return isinstance(intent, StopIntent) and intent.checkpoint == effect.name and intent.run == effect.run


def _trigger(observed: Observed, effect: model.TriggerSavepoint) -> bool:
    checkpoint, intent = _checkpoint(observed, effect.checkpoint), _intent(observed)
    status = checkpoint.status
    announced = (
        is_being_taken(checkpoint)
        and status.trigger_id == effect.trigger_id
        and (status.target_directory or "").rstrip("/") == effect.target
        and status.run == effect.run
    )
    stops = isinstance(intent, StopIntent) and intent.checkpoint == effect.checkpoint
    return announced and effect.stop == stops


def _cancel(observed: Observed, effect: model.CancelJob) -> bool:
    """Only when Flink has said in this very pass that the checkpoints stay."""
    intent, said = _intent(observed), observed.checkpointing
    announced = isinstance(intent, StopIntent) and intent.run == effect.run and intent.method is StopMethod.CANCEL
    return announced and isinstance(said, Checkpointing) and said.keeps_on_cancellation


def _delete_run(observed: Observed, effect: model.DeleteRun) -> bool:
    """All of an ended run; of one that lives the JobManager has to be gone."""
    intent, run = _intent(observed), live_run(observed.job)
    objects = observed.objects_of(effect.run)
    manages = objects.manager is not model.Manager.ABSENT or objects.manager_pods
    torn = isinstance(intent, TeardownIntent) and intent.run == effect.run and not (intent.lives and manages)
    return torn or run is None or run.id != effect.run


def _delete_manager(observed: Observed, effect: model.DeleteManager) -> bool:
    """Either the run goes on: only its Job is made again, when no pod of it is there and nothing else is under way.

    Or it is taken away while its job lives: then the JobManager goes first.
    """
    run, intent = live_run(observed.job), _intent(observed)
    if isinstance(intent, TeardownIntent):
        return intent.run == effect.run and intent.lives
    return run is not None and run.id == effect.run and observed.objects_of(run.id).waits and intent is None


def _delete_ha(observed: Observed, effect: model.DeleteHighAvailability) -> bool:
    intent, objects = _intent(observed), observed.objects_of(effect.run)
    known = not (objects.objects or objects.pods) and not observed.everything_goes
    return isinstance(intent, TeardownIntent) and intent.run == effect.run and known


def _delete_data(observed: Observed, effect: model.DeleteCheckpointData) -> bool:
    checkpoint = _checkpoint(observed, effect.checkpoint)
    ours = checkpoint.status.target_directory == effect.target_directory and not claimed_by(observed, checkpoint)
    return is_being_cleared(checkpoint) and ours and not observed.everything_goes


def _delete_retained(observed: Observed, effect: model.DeleteRetainedData) -> bool:
    """The same, and never while its run may still write."""
    checkpoint, run = _checkpoint(observed, effect.checkpoint), live_run(observed.job)
    ours = checkpoint.status.target_directory is None and checkpoint.status.location == effect.location
    objects = observed.objects_of(checkpoint.status.run or "")
    lives = (run is not None and run.id == checkpoint.status.run) or objects.objects > 0 or objects.pods > 0
    known = is_being_cleared(checkpoint) and ours and not observed.everything_goes
    return known and effect.run_ended and not lives


def _forget(observed: Observed, effect: model.ForgetDeletion) -> bool:
    """The tombstone alone knows the bytes that were freed until the status does."""
    checkpoint, listed = _checkpoint(observed, effect.checkpoint), observed.targets.get(effect.checkpoint)
    empty = isinstance(listed, model.TargetListing) and listed.keys == 0
    return is_being_cleared(checkpoint) and empty and checkpoint.status.bytes_freed == listed.freed


def _delete_job_data(observed: Observed, effect: model.DeleteJobData) -> bool:
    job = observed.job
    places = (ckpt.status.target_directory or ckpt.status.location for ckpt in observed.checkpoints)
    kept = {place for place in places if place}
    return (
        job is not None
        and job.metadata.terminating
        and effect.job_uid == job.metadata.uid
        and job.spec.on_delete.checkpoints == "Delete"
        and not observed.everything_goes
        and live_run(job) is None
        and job.status.intent is None
        and kept <= set(effect.keep)
        and all(ckpt.status.phase is not None for ckpt in observed.checkpoints)
        and not observed.unreadable
    )


def _delete_keys(observed: Observed, effect: model.DeleteKeys) -> bool:
    checkpoint, listed = _checkpoint(observed, effect.checkpoint), observed.targets.get(effect.checkpoint)
    partial = listed.partial if isinstance(listed, model.TargetListing) else ()
    return is_being_taken(checkpoint) and set(effect.keys) <= set(partial)


def _delete_checkpoint(observed: Observed, effect: model.DeleteCheckpoint) -> bool:
    checkpoint = _checkpoint(observed, effect.name)
    ended = checkpoint.status.phase in (Phase.CLEARED, Phase.FAILED, Phase.TIMEOUT)
    goes = observed.job is not None and observed.job.metadata.terminating and not checkpoint.spec.pinned
    return checkpoint.metadata.uid == effect.uid and (ended or goes)


def _finalizer(observed: Observed, effect: model.SetFinalizer) -> bool:
    """Letting go of an object: only of a deleted one of which nothing is left, or that is to leave it, or too late."""
    if effect.present:
        return True
    if effect.kind == "Checkpoint":
        checkpoint = _checkpoint(observed, effect.name)
        keeps = checkpoint.spec.deletion_policy == "Retain" or checkpoint.spec.pinned or observed.everything_goes
        listed = observed.targets.get(effect.name)
        empty = isinstance(listed, model.TargetListing) and listed.keys == 0
        nothing = checkpoint.status.target_directory is None
        return checkpoint.metadata.terminating and (keeps or nothing or (is_being_cleared(checkpoint) and empty))
    job = observed.job
    assert job is not None
    since = job.metadata.deletion_timestamp
    late = since is not None and observed.now >= since + timedelta(minutes=10)
    left = any(each.objects or each.pods for each in observed.runs)
    return job.metadata.terminating and (late or (live_run(job) is None and not left))


def _waited_for(observed: Observed) -> set[str]:
    """Ids of the preflights that the loaded status waits for."""
    restore = observed.job.status.restore if observed.job else None
    records = (restore.preflight, restore.dry_run) if restore is not None else ()
    return {each.id for each in records if each is not None and each.program is None and each.asked_at is not None}


def _make_graph(observed: Observed, effect: model.MakeGraph) -> bool:
    return effect.id in _waited_for(observed) and not any(
        each.made for each in observed.programs if each.id == effect.id
    )


_ALLOWED = {
    model.MakeGraph: _make_graph,
    model.DeleteGraph: lambda observed, effect: effect.id in {each.id for each in observed.programs},
    model.GrantPermit: _grant,
    model.ApplyRun: _apply,
    model.CreateCheckpoint: _create,
    model.TriggerSavepoint: _trigger,
    model.CancelJob: _cancel,
    model.DeleteRun: _delete_run,
    model.DeleteManager: _delete_manager,
    model.DeleteHighAvailability: _delete_ha,
    model.DeleteCheckpointData: _delete_data,
    model.DeleteRetainedData: _delete_retained,
    model.ForgetDeletion: _forget,
    model.DeleteJobData: _delete_job_data,
    model.DeleteKeys: _delete_keys,
    model.DeleteCheckpoint: _delete_checkpoint,
    model.SetFinalizer: _finalizer,
}
CANNOT_BE_TAKEN_BACK = tuple(_ALLOWED)


def is_deleting(checkpoint: Checkpoint) -> bool:
    """Whether the condition Deleting is True."""
    found = find_condition(checkpoint.status.conditions, constants.DELETING)
    return found is not None and found.status == "True"
