"""Effects of a look at a start that has not begun: the pod that makes the program's graph."""

from __future__ import annotations

from dataclasses import replace

from penstock import names
from penstock.act.jobs import job_of
from penstock.act.runs import apply_account, context_of
from penstock.build import preflight as build
from penstock.kube import resources
from penstock.model import ApplyRun, DeleteGraph, MakeGraph, Observed
from penstock.world import World


async def make_graph(world: World, observed: Observed, effect: MakeGraph) -> None:
    """Server-side apply of its objects, the Job last; nobody calls this again once there is one."""
    spec = job_of(observed).spec
    run = context_of(world, observed, ApplyRun(effect.id, 0, "", spec, "", ""))
    context = replace(run, preflight=True, replay=effect.replay, guarded=effect.guarded)
    await apply_account(world, context)
    for manifest in build.objects(context, effect.operators):
        await world.kube.apply(manifest)


async def delete_graph(world: World, observed: Observed, effect: DeleteGraph) -> None:
    """Delete them; the ConfigMap last, by which what is left is found (as of a run, no Secret is ever read)."""
    meta = job_of(observed).metadata
    job, space = meta.name, meta.namespace
    await world.kube.delete(resources.JOBS, space, names.preflight(job, effect.id))
    await world.kube.delete(resources.SECRETS, space, names.script(job, effect.id))
    await world.kube.delete(resources.CONFIG_MAPS, space, names.config(job, effect.id))
