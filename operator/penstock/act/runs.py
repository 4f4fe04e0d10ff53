"""Effects on a run: its permit, its objects, and what is asked of Flink."""

from __future__ import annotations

import json

from penstock import names
from penstock.act.jobs import job_of
from penstock.api.replay import Replay
from penstock.build import run as build
from penstock.build.account import flink_account, holds
from penstock.build.context import RunContext
from penstock.errors import RetryLater
from penstock.kube import resources
from penstock.kube.resources import resource_of
from penstock.model import (
    ApplyRun,
    CancelJob,
    DeleteHighAvailability,
    DeleteManager,
    DeletePods,
    DeleteRun,
    GrantPermit,
    Manager,
    Observed,
    TriggerSavepoint,
)
from penstock.world import World, belongs_to_another


async def grant_permit(world: World, observed: Observed, effect: GrantPermit) -> None:
    """Make the permit; one that is there already is the same one. Never called again once the status says so."""
    context = context_of(world, observed, ApplyRun(effect.run, 0, "", job_of(observed).spec, "", ""))
    await world.kube.create(build.permit(context))


async def apply_run(world: World, observed: Observed, effect: ApplyRun) -> None:
    """Server-side apply of the account, unless it is as it should be, and of all lasting objects, the Job last."""
    context = context_of(world, observed, effect)
    await apply_account(world, context)
    made = observed.objects_of(effect.run).manager is not Manager.ABSENT
    for manifest in build.lasting(context):
        if made and manifest["kind"] == "Job":
            continue  # a Job's template cannot be changed, and this run's is as it was made
        await world.kube.apply(manifest)


async def apply_account(world: World, context: RunContext) -> None:
    """Server-side apply of the account of the namespace's pods, unless it is as it should be or the job has its own."""
    if context.spec.service_account_name is not None:
        return
    for manifest in flink_account(context.namespace):
        # All jobs of the namespace share it: looking first saves each of them but the first three writes.
        resource, name = resource_of(manifest), manifest["metadata"]["name"]
        if not holds(await world.kube.get(resource, context.namespace, name), manifest):
            await world.kube.apply(manifest)


async def delete_run(world: World, observed: Observed, effect: DeleteRun) -> None:
    """Delete everything that a run was made of; pods go with their owners.

    The Secret is not the last: the operator may not read Secrets, and sees only by what else is left that it is not
    done.
    """
    meta = job_of(observed).metadata
    job, run, space = meta.name, effect.run, meta.namespace
    await world.kube.delete(resources.JOBS, space, names.job_manager(job, run))
    await world.kube.delete(resources.DEPLOYMENTS, space, names.task_manager(job, run))
    await world.kube.delete(resources.SERVICES, space, names.job_manager(job, run))
    await world.kube.delete(resources.CONFIG_MAPS, space, names.permit(job, run))
    await world.kube.delete(resources.SECRETS, space, names.script(job, run))
    await world.kube.delete(resources.CONFIG_MAPS, space, names.config(job, run))


async def delete_manager(world: World, observed: Observed, effect: DeleteManager) -> None:
    """Delete the JobManager's Job alone; the run goes on in the one that is made next."""
    meta = job_of(observed).metadata
    await world.kube.delete(resources.JOBS, meta.namespace, names.job_manager(meta.name, effect.run))


async def delete_pods(world: World, observed: Observed, effect: DeletePods) -> None:
    """Delete pods that have ended."""
    for name in effect.names:
        await world.kube.delete(resources.PODS, job_of(observed).metadata.namespace, name)


async def trigger_savepoint(world: World, observed: Observed, effect: TriggerSavepoint) -> None:
    """Ask Flink; the same trigger id asked twice is one savepoint."""
    meta = job_of(observed).metadata
    base = world.flink_address(names.service_host(meta.name, effect.run, meta.namespace))
    ask = world.flink.stop if effect.stop else world.flink.savepoint
    await ask(base, effect.run, effect.trigger_id, effect.target, effect.form)


async def cancel(world: World, observed: Observed, effect: CancelJob) -> None:
    """Cancel the job in Flink."""
    meta = job_of(observed).metadata
    await world.flink.cancel(world.flink_address(names.service_host(meta.name, effect.run, meta.namespace)), effect.run)


async def delete_high_availability(world: World, observed: Observed, effect: DeleteHighAvailability) -> None:
    """Delete Flink's HA ConfigMaps and HA directory of a run whose pods are gone."""
    meta = job_of(observed).metadata
    selector = names.high_availability_selector(meta.name, effect.run)
    for item in await world.kube.find(resources.CONFIG_MAPS, meta.namespace, labels=selector):
        await world.kube.delete(resources.CONFIG_MAPS, meta.namespace, item["metadata"]["name"])
    if observed.store.store is None and not meta.terminating:
        # It may be made again, and nobody would look for these keys then.
        raise RetryLater(f"what the run has left in the store stays until it is there again: {observed.store.problem}")
    if observed.store.store is None or belongs_to_another(observed.store.store):
        return  # the store is gone, or another's; its leftovers are the administrator's
    client = await world.object_store(observed.store.store)
    directory = client.place.high_availability(meta.namespace, meta.name, meta.uid, effect.run)
    await client.delete([item.key for item in await client.list(directory)])


def context_of(world: World, observed: Observed, effect: ApplyRun) -> RunContext:
    """What the objects of a run are made of.

    Raises:
        RetryLater: when the store cannot be used.
    """
    store, place = observed.store.store, observed.store.place
    if store is None or place is None:
        raise RetryLater(observed.store.problem)
    # Of what the run's Job keeps, so that the two never differ.
    began = json.loads(effect.started_from or "{}")
    return RunContext(
        meta=job_of(observed).metadata,
        spec=effect.spec,
        store=store,
        place=place,
        run=effect.run,
        version=effect.version,
        spec_hash=effect.spec_hash,
        restore_from=effect.restore_from,
        started_from=effect.started_from,
        operator_image=world.settings.image,
        default_images=world.settings.flink_images,
        replay=Replay.model_validate(began["replay"]) if began.get("replay") else None,
        allow_non_restored_state=bool(began.get("allowNonRestoredState")),
        guarded=bool(began.get("guarded")),
    )
