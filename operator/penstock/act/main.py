"""Which executor carries out which effect. Each may be repeated after a crash with the same end."""

from __future__ import annotations

from penstock import model
from penstock.act import data, jobs, preflights, runs
from penstock.model import Effect, Observed
from penstock.world import World


async def carry_out(world: World, observed: Observed, effect: Effect) -> None:  # noqa: C901, PLR0912 - one line each
    """Carry out one effect.

    Raises:
        PenstockError: when the other side refused or did not answer; the effect may or may not have happened.
    """
    match effect:
        case model.SetFinalizer():
            await jobs.set_finalizer(world, observed, effect)
        case model.SayUnreadable():
            await jobs.say_unreadable(world, observed, effect)
        case model.RecordRevision():
            await jobs.record_revision(world, observed, effect)
        case model.RecordRun():
            await jobs.record_run(world, observed, effect)
        case model.CreateCheckpoint():
            await jobs.create_checkpoint(world, observed, effect)
        case model.DeleteCheckpoint():
            await jobs.delete_checkpoint(world, observed, effect)
        case model.GrantPermit():
            await runs.grant_permit(world, observed, effect)
        case model.MakeGraph():
            await preflights.make_graph(world, observed, effect)
        case model.DeleteGraph():
            await preflights.delete_graph(world, observed, effect)
        case model.ApplyRun():
            await runs.apply_run(world, observed, effect)
        case model.DeleteRun():
            await runs.delete_run(world, observed, effect)
        case model.DeleteManager():
            await runs.delete_manager(world, observed, effect)
        case model.DeletePods():
            await runs.delete_pods(world, observed, effect)
        case model.TriggerSavepoint():
            await runs.trigger_savepoint(world, observed, effect)
        case model.CancelJob():
            await runs.cancel(world, observed, effect)
        case model.DeleteHighAvailability():
            await runs.delete_high_availability(world, observed, effect)
        case model.WriteNote():
            await data.write_note(world, observed, effect)
        case model.DeleteKeys():
            await data.delete_keys(world, observed, effect)
        case model.DeleteCheckpointData():
            await data.delete_checkpoint_data(world, observed, effect)
        case model.DeleteRetainedData():
            await data.delete_retained_data(world, observed, effect)
        case model.ForgetDeletion():
            await data.forget_deletion(world, observed, effect)
        case model.DeleteJobData():
            await data.delete_job_data(world, observed, effect)
