"""Effects in the store. A key that does not lie under a directory of this namespace and job is never deleted."""

from __future__ import annotations

from penstock.act.jobs import job_of
from penstock.api.base import format_time
from penstock.api.checkpoint import Checkpoint
from penstock.build.checkpoint import note
from penstock.errors import Refused, RetryLater
from penstock.model import DeleteCheckpointData, DeleteJobData, DeleteKeys, Observed, WriteNote
from penstock.store.client import ObjectStore
from penstock.store.layout import METADATA, NOTE
from penstock.world import World, belongs_to_another, target_directory

_SLICE = 10_000
"""Keys that one pass deletes at most; the next pass goes on."""


async def write_note(world: World, observed: Observed, effect: WriteNote) -> None:
    """Write `penstock.json` beside the savepoint that is about to be taken."""
    client = await _client(world, observed)
    checkpoint = _checkpoint(observed, effect.checkpoint)
    await client.write_json(target_directory(client.place, checkpoint) + NOTE, note(checkpoint))


async def delete_keys(world: World, observed: Observed, effect: DeleteKeys) -> None:
    """Delete leftovers of unfinished savepoints; what is complete now, or not in the directory, stays."""
    client = await _client(world, observed)
    directory = target_directory(client.place, _checkpoint(observed, effect.checkpoint))
    outside = [key for key in effect.keys if not key.startswith(directory)]
    if outside:
        msg = f"{outside[0]} is not in {directory}: nothing was deleted"
        raise Refused(msg, "PlaceNotOurs")
    await client.delete(effect.keys)


async def delete_checkpoint_data(world: World, observed: Observed, effect: DeleteCheckpointData) -> None:
    """Delete a Checkpoint's directory: tombstone, `_metadata` first, the rest; then the tombstone, and one last key.

    Without its `_metadata` nothing can be restored from what is left, so a crash in between never leaves something that
    looks whole; the next pass goes on from what is listed. An empty directory is what ends the deletion, hence the
    tombstone goes before the last key: behind it, it would stay for ever when the operator dies in between.
    """
    client = await _client(world, observed)
    checkpoint = _checkpoint(observed, effect.checkpoint)
    meta = checkpoint.metadata
    directory = target_directory(client.place, checkpoint)
    home = client.place.directory_of(directory, meta.namespace, checkpoint.spec.job_ref.name)
    if home is None:
        msg = f"{directory} is not a directory of this job: nothing was deleted"
        raise Refused(msg, "PlaceNotOurs")
    found = [item.key for item in await client.list(directory)]
    keys = sorted(found, key=lambda key: (not key.endswith("/" + METADATA), key == directory + NOTE))
    part = keys[:_SLICE]
    tombstone = client.place.tombstone(home, meta.uid)
    await client.write_json(
        tombstone, {"checkpoint": meta.name, "uid": meta.uid, "time": format_time(observed.now), "keys": part}
    )
    now = part if len(part) < len(keys) else part[:-1]
    await client.delete([key for key in now if key.endswith("/" + METADATA)])
    await client.delete([key for key in now if not key.endswith("/" + METADATA)])
    rest = [item.key for item in await client.list(directory)]
    if len(rest) <= 1:
        await client.delete([tombstone])
        await client.delete(rest)


async def delete_job_data(world: World, observed: Observed, effect: DeleteJobData) -> None:
    """Delete the job's directory but the savepoints that Checkpoints still name."""
    client = await _client(world, observed)
    meta = job_of(observed).metadata
    home = client.place.job(meta.namespace, meta.name, effect.job_uid)
    keep = tuple(f"{key}/" for uri in effect.keep if (key := client.place.key_of(uri)) is not None)
    items = (
        [item for item in await client.list(home) if not item.key.startswith(keep)] if keep else await client.list(home)
    )
    keys = [item.key for item in items]
    await client.delete([key for key in keys if key.endswith("/" + METADATA)])
    await client.delete([key for key in keys if not key.endswith("/" + METADATA)])


def _checkpoint(observed: Observed, name: str) -> Checkpoint:
    return next(each for each in observed.checkpoints if each.metadata.name == name)


async def _client(world: World, observed: Observed) -> ObjectStore:
    if observed.store.store is None:
        raise RetryLater(observed.store.problem)
    if belongs_to_another(observed.store.store):
        raise Refused(f"{observed.store.problem}: nothing in it is written or deleted", "AnotherCluster")
    return await world.object_store(observed.store.store)
