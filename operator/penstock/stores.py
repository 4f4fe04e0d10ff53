"""The reconcile of a CheckpointStore: does the bucket answer, and is the mark this cluster's?"""

from __future__ import annotations

import logging
import re
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from penstock import clock
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.conditions import Condition, set_condition
from penstock.api.reading import read
from penstock.api.store import CheckpointStore, CheckpointStoreStatus
from penstock.errors import PenstockError, Refused
from penstock.kube import resources
from penstock.kube.client import Kube
from penstock.world import ANOTHER_CLUSTER, World

log = logging.getLogger(__name__)
_Ready = Literal["True", "False"]
_READY_SECONDS = 60.0
_TROUBLE_SECONDS = 5.0


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
        return await _release(world.kube, store)
    if constants.FINALIZER_IN_USE not in store.metadata.finalizers:
        finalizers = [*store.metadata.finalizers, constants.FINALIZER_IN_USE]
        await _patch_finalizers(world.kube, store, finalizers)
        return 0.0
    try:
        owner = await _mark(world, store)
        warnings = endpoint_warnings(store) + await (await world.object_store(store)).warnings()
    except PenstockError as error:
        await _write(world.kube, store, "False", (error.reason, str(error)), store.status)
        return _TROUBLE_SECONDS
    status = store.status.model_copy(update={"cluster_id": owner, "warnings": warnings})
    await _write(world.kube, store, "True", ("Answers", "the bucket answers and is this cluster's"), status)
    return _READY_SECONDS


async def _mark(world: World, store: CheckpointStore) -> str:
    """Read the mark, or make it; the uid of this cluster's kube-system namespace.

    Raises:
        Refused: when the mark names another cluster: nothing may be written or deleted there.
    """
    client = await world.object_store(store)
    space = await world.kube.get(resources.NAMESPACES, None, "kube-system")
    uid = str(space["metadata"]["uid"]) if space else ""
    key = client.place.mark()
    mark = await client.read_json(key)
    if mark is None:
        if await client.read(key) is not None:
            msg = f"{client.place.uri(key)} is not Penstock's mark: choose another prefix, or remove that object"
            raise Refused(msg, "MarkUnreadable")
        await client.write_json(key, {"cluster": uid, "store": store.metadata.name})
        mark = await client.read_json(key) or {}
    if mark.get("cluster") != uid:
        msg = (
            f"{client.place.uri(key)} marks this place as that of cluster {mark.get('cluster')}, this one is {uid}: "
            "choose another prefix in a new CheckpointStore"
        )
        raise Refused(msg, ANOTHER_CLUSTER)
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


async def _release(kube: Kube, store: CheckpointStore) -> float | None:
    """A store that jobs or Checkpoints still name cannot go."""
    if constants.FINALIZER_IN_USE not in store.metadata.finalizers:
        return None
    name = store.metadata.name
    users = [
        f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in await kube.find(resources.STREAM_JOBS, None)
        if item["spec"]["checkpoints"]["store"] == name
    ]
    users += [
        f"Checkpoint {item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in await kube.find(resources.CHECKPOINTS, None)
        if (item.get("status") or {}).get("store") == name
        and (item.get("status") or {}).get("phase") in ("Creating", "Present")
    ]
    if users:
        message = f"still used by {len(users)} objects, first {users[0]}: delete them first"
        await _write(kube, store, "False", ("InUse", message), store.status)
        return _TROUBLE_SECONDS
    others = [each for each in store.metadata.finalizers if each != constants.FINALIZER_IN_USE]
    await _patch_finalizers(kube, store, others)
    return None


async def _patch_finalizers(kube: Kube, store: CheckpointStore, finalizers: list[str]) -> None:
    meta = store.metadata
    patch = {"metadata": {"finalizers": finalizers, "resourceVersion": meta.resource_version}}
    await kube.merge(resources.STORES, None, meta.name, patch)


async def _write(
    kube: Kube, store: CheckpointStore, ready: _Ready, said: tuple[str, str], status: CheckpointStoreStatus
) -> None:
    reason, message = said
    now, generation = clock.now(), store.metadata.generation
    conditions = store.status.conditions
    stalled: _Ready = "False" if ready == "True" else "True"
    for kind, state in ((constants.READY, ready), (constants.STALLED, stalled)):
        condition = Condition(type=kind, status=state, reason=reason, message=message, observed_generation=generation)
        conditions = set_condition(conditions, condition, now)
    new = status.model_copy(update={"conditions": conditions, "observed_generation": generation})
    if dump(new) == dump(store.status):
        return
    new = new.model_copy(update={"last_checked": _whole(now)})
    meta = {"name": store.metadata.name, "uid": store.metadata.uid, "resourceVersion": store.metadata.resource_version}
    await kube.replace_status(
        resources.STORES,
        {
            "apiVersion": constants.API_VERSION,
            "kind": "CheckpointStore",
            "metadata": meta,
            "spec": dump(store.spec),
            "status": dump(new),
        },
    )


def _whole(now: datetime) -> datetime:
    return now.replace(microsecond=0)
