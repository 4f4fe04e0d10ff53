"""Effects on Penstock's own objects: finalizers, job versions, the Checkpoints that it makes."""

from __future__ import annotations

import json

from penstock.api import constants
from penstock.api.base import dump, format_time
from penstock.api.history import RUN_PREFIX
from penstock.api.meta import ObjectMeta
from penstock.api.streamjob import StreamJob
from penstock.build import run as build
from penstock.build.checkpoint import operator_made
from penstock.errors import RetryLater
from penstock.kube import resources
from penstock.model import (
    CreateCheckpoint,
    DeleteCheckpoint,
    Observed,
    RecordRevision,
    RecordRun,
    SayUnreadable,
    SetFinalizer,
)
from penstock.world import World


async def set_finalizer(world: World, observed: Observed, effect: SetFinalizer) -> None:
    """Put Penstock's finalizer on an object or take it off, on the very object that this pass has seen."""
    of_job = effect.kind == "StreamJob"
    meta = job_of(observed).metadata if of_job else _checkpoint_meta(observed, effect.name)
    own = constants.FINALIZER_RUN if of_job else constants.FINALIZER_DATA
    others = [each for each in meta.finalizers if each != own]
    patch = {
        "metadata": {
            "finalizers": [*others, own] if effect.present else others,
            "resourceVersion": meta.resource_version,
            "uid": meta.uid,
        }
    }
    resource = resources.STREAM_JOBS if of_job else resources.CHECKPOINTS
    await world.kube.merge(resource, meta.namespace, meta.name, patch)


async def say_unreadable(world: World, observed: Observed, effect: SayUnreadable) -> None:
    """Set Stalled on a Checkpoint that does not fit the models; all else in it stays as it is."""
    stored = await world.kube.get(resources.CHECKPOINTS, effect.namespace, effect.name)
    if stored is None:
        return
    told = {
        "type": constants.STALLED,
        "status": "True",
        "reason": constants.UNREADABLE,
        "message": effect.why,
        "lastTransitionTime": format_time(observed.now),
        "observedGeneration": stored["metadata"]["generation"],
    }
    status = stored.get("status") or {}
    others = [each for each in status.get("conditions") or [] if each.get("type") != constants.STALLED]
    # Written whole, as every status: the operator has no right to patch one.
    stored["status"] = status | {"conditions": [*others, told]}
    await world.kube.replace_status(resources.CHECKPOINTS, stored)


async def record_revision(world: World, observed: Observed, effect: RecordRevision) -> None:
    """Make the ControllerRevision; one of this job that is there already is the same one.

    Raises:
        RetryLater: when one of an earlier job of the same name is still there: it is about to be collected.
    """
    meta = job_of(observed).metadata
    made = await world.kube.create(build.revision(meta, effect.version, effect.spec_hash, effect.spec))
    if made is None and effect.version not in {revision.version for revision in observed.revisions}:
        msg = f"the ControllerRevision of version {effect.version} is an earlier job's and is still going away"
        raise RetryLater(msg)


async def record_run(world: World, observed: Observed, effect: RecordRun) -> None:
    """Write the record of a run to the ControllerRevision of its version; the same one twice is one.

    Written whole: the API server compares `data` byte by byte and refuses every patch, because it writes the JSON anew.
    What was read is sent back in the order and the form in which this very client has made it.

    Raises:
        Stale: when somebody else has changed it in between.
    """
    stored = await world.kube.get(resources.REVISIONS, job_of(observed).metadata.namespace, effect.revision)
    if stored is None:
        return  # it goes with its StreamJob, or somebody has deleted it: there is no place for the record
    metadata = stored["metadata"]
    gone = {f"{RUN_PREFIX}{run}" for run in effect.forget}
    kept = {key: text for key, text in (metadata.get("annotations") or {}).items() if key not in gone}
    metadata["annotations"] = kept | {f"{RUN_PREFIX}{effect.run}": json.dumps(dump(effect.record), sort_keys=True)}
    await world.kube.replace(resources.REVISIONS, {"apiVersion": "apps/v1", "kind": "ControllerRevision"} | stored)


async def create_checkpoint(world: World, observed: Observed, effect: CreateCheckpoint) -> None:
    """Make a Checkpoint; its name is deterministic, so one that is there already is the same one."""
    await world.kube.create(operator_made(job_of(observed), effect))


async def delete_checkpoint(world: World, observed: Observed, effect: DeleteCheckpoint) -> None:
    """Delete a Checkpoint object, only that very one; its data goes by its finalizer."""
    namespace = _checkpoint_meta(observed, effect.name).namespace
    await world.kube.delete(resources.CHECKPOINTS, namespace, effect.name, uid=effect.uid)


def job_of(observed: Observed) -> StreamJob:
    """The StreamJob of a pass whose effect needs one."""
    if observed.job is None:
        msg = "the StreamJob is gone"
        raise RetryLater(msg)
    return observed.job


def _checkpoint_meta(observed: Observed, name: str) -> ObjectMeta:
    return next(each.metadata for each in observed.checkpoints if each.metadata.name == name)
