"""The reconcile of a CheckpointStore: does the bucket answer, and is the mark this cluster's?"""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from penstock import clock
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.conditions import Condition, ConditionStatus, find_condition, set_condition
from penstock.api.reading import read
from penstock.api.store import CheckpointStore, CheckpointStoreStatus, Orphans
from penstock.errors import Refused, RetryLater
from penstock.inventory.mark import ANOTHER_CLUSTER, check_mark, read_mark, take
from penstock.kube import resources
from penstock.kube.client import Kube, Manifest
from penstock.kube.resources import Resource
from penstock.readiness import still_ready
from penstock.world import World, belongs_to_another, cluster_uid

log = logging.getLogger(__name__)
_READY_SECONDS = 60.0
_TROUBLE_SECONDS = 5.0
_CHECKED_EVERY = timedelta(minutes=10)
"""How old `lastChecked` may become: written at every look it would be a write a minute for each store."""
NOT_OF_ALL = (
    "not looked for: the operator sees the listed namespaces only (PENSTOCK_WATCH_NAMESPACES), not who else owns"
)
"""What is told of orphans where the operator sees some namespaces only: it cannot know that something is nobody's."""


async def reconcile_store(world: World, name: str) -> float | None:
    """One look at a store; returns the seconds until the next one."""
    stored = await world.kube.get(resources.STORES, None, name)
    if stored is None:
        return None
    store, problems = read(CheckpointStore, stored)
    if store is None:
        log.warning("CheckpointStore %s: %s", name, "; ".join(map(str, problems)))
        return None
    if store.metadata.terminating:
        return await _release(world, store)
    if constants.FINALIZER_IN_USE not in store.metadata.finalizers:
        finalizers = [*store.metadata.finalizers, constants.FINALIZER_IN_USE]
        await _patch_finalizers(world.kube, store, finalizers)
        return 0.0
    return await _look(world, store, clock.now())


async def _look(world: World, store: CheckpointStore, now: datetime) -> float:
    """Ask the store and write what it said."""
    try:
        owner = await _mark(world, store)
        warnings = endpoint_warnings(store) + await (await world.object_store(store)).warnings()
    except Refused as error:
        await _write(world.kube, store, now, _not_usable(store, error.reason, str(error)))
        return _TROUBLE_SECONDS
    except RetryLater as error:
        await _write(world.kube, store, now, _not_answering(store, now, str(error)))
        return _TROUBLE_SECONDS
    status = store.status.model_copy(update={"cluster_id": owner, "warnings": warnings})
    if world.settings.watch_namespaces:
        # Along with what is written anyway: the report itself (`reports.py`) is not made then.
        status = status.model_copy(update={"orphans": Orphans(message=NOT_OF_ALL)})
    await _write(world.kube, store, now, _answers(store), status)
    return _READY_SECONDS


async def _mark(world: World, store: CheckpointStore) -> str:
    """Read the mark, or make it; the uid of this cluster's kube-system namespace.

    Raises:
        Refused: when the mark names another cluster: nothing may be written or deleted there.
        RetryLater: when the store or the API server does not answer.
    """
    client = await world.object_store(store)
    uid = await cluster_uid(world.kube)
    mark = await read_mark(client)
    if mark is None:
        await take(client, {"cluster": uid, "store": store.metadata.name})
        mark = await client.read_json(client.place.mark()) or {}
    check_mark(client, mark, uid)
    return uid


_REGION_IN_HOST = re.compile(r"^(?:.+\.)?s3[.-]([a-z0-9-]+)\.")


def endpoint_warnings(store: CheckpointStore) -> tuple[str, ...]:
    """Flink's presto S3 client signs for the region that it reads out of a host such as `s3.<region>.…` (measured)."""
    host = urlsplit(store.spec.endpoint or "").hostname or ""
    match = _REGION_IN_HOST.match(host)
    if match is None or match[1] == store.spec.region:
        return ()
    told = (
        f"spec.endpoint: Flink's presto S3 client takes {match[1]!r} in {host} for the region and will be refused "
        f"(AuthorizationHeaderMalformed); give the server a name that does not begin with s3, as minio.{match[1]}.svc"
    )
    return (told,)


# ---------------------------------------------------------------- on deletion


async def _release(world: World, store: CheckpointStore) -> float | None:
    """A store that jobs or Checkpoints still name cannot go."""
    if constants.FINALIZER_IN_USE not in store.metadata.finalizers:
        return None
    name = store.metadata.name
    users = [_named(item) for item in await _all(world, resources.STREAM_JOBS) if _names_store(item, name)]
    users += [_named(item) for item in await _all(world, resources.CHECKPOINTS) if _has_data_in(item, name)]
    if users:
        message = f"still used by {len(users)} objects, first {users[0]}: delete them first"
        await _write(world.kube, store, clock.now(), _not_usable(store, "InUse", message))
        return _TROUBLE_SECONDS
    others = [each for each in store.metadata.finalizers if each != constants.FINALIZER_IN_USE]
    await _patch_finalizers(world.kube, store, others)
    return None


async def _all(world: World, resource: Resource) -> list[Manifest]:
    """The objects of all namespaces that are watched: in others there may be no right to look."""
    namespaces = world.settings.watch_namespaces or (None,)
    return [item for space in namespaces for item in await world.kube.find(resource, space)]


def _named(item: Manifest) -> str:
    return f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"


def _names_store(job: Manifest, store: str) -> bool:
    return bool(job["spec"]["checkpoints"]["store"] == store)


def _has_data_in(checkpoint: Manifest, store: str) -> bool:
    """Whether a Checkpoint has data there, or may still get some: one past its time is followed until it is settled."""
    status = checkpoint.get("status") or {}
    phase = status.get("phase")
    followed = phase == "Timeout" and status.get("settled") is False
    return status.get("store") == store and (phase in ("Creating", "Present") or followed)


async def _patch_finalizers(kube: Kube, store: CheckpointStore, finalizers: list[str]) -> None:
    meta = store.metadata
    patch = {"metadata": {"finalizers": finalizers, "resourceVersion": meta.resource_version}}
    await kube.merge(resources.STORES, None, meta.name, patch)


# ---------------------------------------------------------------- what is said


def _answers(store: CheckpointStore) -> tuple[Condition, ...]:
    said = ("Answers", "the bucket answers and is this cluster's")
    return (
        _is(store, constants.READY, "True", *said),
        _is(store, constants.RECONCILING, "False", *said),
        _is(store, constants.STALLED, "False", *said),
    )


def _not_usable(store: CheckpointStore, reason: str, message: str) -> tuple[Condition, ...]:
    """Somebody must change something."""
    said = (reason, message)
    foreign = _foreign(store) if reason != ANOTHER_CLUSTER else None
    return (
        foreign or _is(store, constants.READY, "False", *said),
        _is(store, constants.RECONCILING, "False", *said),
        _is(store, constants.STALLED, "True", *said),
    )


def _not_answering(store: CheckpointStore, now: datetime, message: str) -> tuple[Condition, ...]:
    """Nobody knows: what was Ready stays so for a while, and then is Unknown, but not False."""
    said = ("NotAnswering", message)
    kept = _foreign(store) or still_ready(store.status.conditions, store.metadata.generation, now)
    ready = kept or _is(store, constants.READY, "Unknown", *said)
    return (
        ready,
        _is(store, constants.RECONCILING, "True", *said),
        _is(store, constants.STALLED, "True" if ready.status == "False" else "False", *said),
    )


def _foreign(store: CheckpointStore) -> Condition | None:
    """The Ready condition of a store whose mark was another cluster's when it was last read.

    It stands until the mark is read again: what deletes data in the store asks for it, and trouble proves nothing else.
    """
    return find_condition(store.status.conditions, constants.READY) if belongs_to_another(store) else None


def _is(store: CheckpointStore, kind: str, status: ConditionStatus, reason: str, message: str) -> Condition:
    generation = store.metadata.generation
    return Condition(type=kind, status=status, reason=reason, message=message, observed_generation=generation)


async def _write(
    kube: Kube,
    store: CheckpointStore,
    now: datetime,
    said: tuple[Condition, ...],
    status: CheckpointStoreStatus | None = None,
) -> None:
    """Write the status if it says anything new, or if `lastChecked` has become too old."""
    old = store.status
    conditions = old.conditions
    for condition in said:
        conditions = set_condition(conditions, condition, now)
    new = (status or old).model_copy(update={"conditions": conditions})
    new = new.model_copy(update={"observed_generation": store.metadata.generation})
    fresh = old.last_checked is not None and now - old.last_checked < _CHECKED_EVERY
    if fresh and dump(new) == dump(old):
        return
    await write_status(kube, store, new.model_copy(update={"last_checked": now.replace(microsecond=0)}))


async def write_status(kube: Kube, store: CheckpointStore, status: CheckpointStoreStatus) -> None:
    """Write the status of a store as it was read; `Stale` when it has changed since."""
    meta = {"name": store.metadata.name, "uid": store.metadata.uid, "resourceVersion": store.metadata.resource_version}
    await kube.replace_status(
        resources.STORES,
        {
            "apiVersion": constants.API_VERSION,
            "kind": "CheckpointStore",
            "metadata": meta,
            "spec": dump(store.spec),
            "status": dump(status),
        },
    )
