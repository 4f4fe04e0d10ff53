"""Effects in the store. A key that does not lie under a directory of this namespace and job is never deleted."""

from __future__ import annotations

from penstock.act.jobs import job_of
from penstock.api.base import format_time
from penstock.api.checkpoint import Checkpoint
from penstock.api.streamjob_status import StartIntent
from penstock.build.checkpoint import note
from penstock.errors import Refused, RetryLater
from penstock.inventory import tombstone
from penstock.inventory.deletion import delete_retained, delete_savepoint
from penstock.inventory.references import complete_states, unnamed
from penstock.inventory.tombstone import Subject
from penstock.model import (
    DeleteCheckpointData,
    DeleteJobData,
    DeleteKeys,
    DeleteRetainedData,
    ForgetDeletion,
    Observed,
    StoreView,
    WriteNote,
)
from penstock.store.client import ObjectStore
from penstock.store.layout import METADATA, NOTE, Place
from penstock.world import World, belongs_to_another, own_directory, retained_directory, target_directory

_ROUNDS = 3


async def write_note(world: World, observed: Observed, effect: WriteNote) -> None:
    """Write `penstock.json` beside the savepoint that is about to be taken."""
    checkpoint = _checkpoint(observed, effect.checkpoint)
    client = await _client(world, observed.store_of(checkpoint))
    await client.write_json(target_directory(client.place, checkpoint) + NOTE, note(checkpoint))


async def delete_keys(world: World, observed: Observed, effect: DeleteKeys) -> None:
    """Delete leftovers of unfinished savepoints; what is complete now, or not in the directory, stays."""
    checkpoint = _checkpoint(observed, effect.checkpoint)
    client = await _client(world, observed.store_of(checkpoint))
    directory = target_directory(client.place, checkpoint)
    outside = [key for key in effect.keys if not key.startswith(directory)]
    if outside:
        msg = f"{outside[0]} is not in {directory}: nothing was deleted"
        raise Refused(msg, "PlaceNotOurs")
    await client.delete(effect.keys)


async def delete_checkpoint_data(world: World, observed: Observed, effect: DeleteCheckpointData) -> None:
    """Delete a Checkpoint's directory, or a slice of it: what is left is found by the next pass."""
    checkpoint = _checkpoint(observed, effect.checkpoint)
    client = await _client(world, observed.store_of(checkpoint))
    directory = target_directory(client.place, checkpoint)
    home = _home(client.place, checkpoint, directory)
    await delete_savepoint(client, _subject(observed, checkpoint, home, directory))


async def delete_retained_data(world: World, observed: Observed, effect: DeleteRetainedData) -> None:
    """Delete a retained checkpoint of an ended run, or a slice of it, with the files that no other state names."""
    checkpoint = _checkpoint(observed, effect.checkpoint)
    client = await _client(world, observed.store_of(checkpoint))
    directory = retained_directory(client.place, checkpoint)
    subject = _subject(observed, checkpoint, _home(client.place, checkpoint, directory), directory)
    await delete_retained(client, subject, run_ended=effect.run_ended, live=_live_runs(observed))


async def forget_deletion(world: World, observed: Observed, effect: ForgetDeletion) -> None:
    """Remove the tombstone: what it says is in the status."""
    checkpoint = _checkpoint(observed, effect.checkpoint)
    client = await _client(world, observed.store_of(checkpoint))
    directory = own_directory(client.place, checkpoint)
    await tombstone.forget(client, _home(client.place, checkpoint, directory), checkpoint.metadata.uid)


async def delete_job_data(world: World, observed: Observed, effect: DeleteJobData) -> None:
    """Delete the job's directory but what Checkpoints still name: their directories, and the files that they need.

    Not in slices: the job is going, and nothing else of it waits. Listed again until nothing comes.
    """
    client = await _client(world, observed.store)
    meta = job_of(observed).metadata
    home = client.place.job(meta.namespace, meta.name, effect.job_uid)
    keep = tuple(f"{key}/" for uri in effect.keep if (key := client.place.key_of(uri)) is not None)
    for _ in range(_ROUNDS):
        listed = [item.key for item in await client.list(home)]
        keys = {key for key in listed if not key.startswith(keep)} if keep else set(listed)
        # A kept savepoint needs its directory alone; a retained checkpoint also files that it shares with others.
        states = complete_states(home, listed)
        kept = [key for key in states if key not in keys and key.startswith(home + "checkpoints/")]
        if kept and keys:
            keys = await unnamed(client, kept, keys)
        if not keys:
            return
        first = sorted(key for key in keys if key.endswith("/" + METADATA))
        await client.delete(first)
        # Markers of directories after what is in them.
        await client.delete(sorted(keys.difference(first), key=lambda key: (key.endswith("/"), key)))
    raise RetryLater(f"{home} is still not empty after {_ROUNDS} rounds: somebody writes into it")


def _home(place: Place, checkpoint: Checkpoint, directory: str) -> str:
    home = place.directory_of(directory, checkpoint.metadata.namespace, checkpoint.spec.job_ref.name)
    if home is None:
        raise Refused(f"{directory} is not a directory of this job: nothing was deleted", "PlaceNotOurs")
    return home


def _subject(observed: Observed, checkpoint: Checkpoint, home: str, directory: str) -> Subject:
    return Subject(home, directory, checkpoint.metadata.name, checkpoint.metadata.uid, format_time(observed.now))


def _live_runs(observed: Observed) -> set[str]:
    """Runs that may still write: what Kubernetes holds anything of, and what the status does not know to have ended."""
    live = {each.run for each in observed.runs if each.objects or each.pods}
    status = observed.job.status if observed.job else None
    if status is not None and status.run is not None and status.run.ended_at is None:
        live.add(status.run.id)
    if status is not None and isinstance(status.intent, StartIntent):
        live.add(status.intent.run)
    return live


def _checkpoint(observed: Observed, name: str) -> Checkpoint:
    return next(each for each in observed.checkpoints if each.metadata.name == name)


async def _client(world: World, view: StoreView) -> ObjectStore:
    if view.store is None:
        raise RetryLater(view.problem)
    if belongs_to_another(view.store):
        raise Refused(f"{view.problem}: nothing in it is written or deleted", "AnotherCluster")
    return await world.object_store(view.store)
