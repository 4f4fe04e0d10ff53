"""The work of `penstock adopt` and `penstock rebuild`. Imported late: it needs boto3."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penstock import clock
from penstock.api.base import format_time
from penstock.api.store import CheckpointStore
from penstock.build.rebuilt import Rebuilt, plan
from penstock.cli.cluster import Cluster, connect
from penstock.cli.remote import Login, Remote
from penstock.errors import PenstockError, Refused
from penstock.inventory.mark import check_mark, read_mark, write_mark
from penstock.kube import resources
from penstock.kube.client import Manifest
from penstock.observe.store import list_job
from penstock.store.client import ObjectStore
from penstock.store.layout import job_of_directory

# ---------------------------------------------------------------- adopt


async def take_over(name: str, owner: str | None, login: Login, remote: Remote, *, yes: bool) -> str:
    """Write the mark of a store anew; what has been done, or would be, as a sentence.

    Raises:
        Refused: the mark names another cluster than the user does, or is none.
        RetryLater: somebody did not answer.
    """
    async with connect(login) as cluster:
        store = await cluster.open(await cluster.checkpoint_store(name), remote)
        mark = await read_mark(store)
        where = store.place.uri(store.place.mark())
        if mark is None:
            return f"there is no mark {where}: the operator makes it, there is nothing to adopt"
        marked = str(mark.get("cluster"))
        if marked == cluster.uid:
            return f"{where} names this cluster, {cluster.uid}, already"
        if owner is not None and owner != marked:
            raise Refused(f"{where} names cluster {marked}, not {owner}: nothing was written", "AnotherCluster")
        if owner is None or not yes:
            return (
                f"{where} names cluster {marked} (CheckpointStore {mark.get('store')}); this one is {cluster.uid}.\n"
                "When that cluster is gone for good: "
                f"penstock adopt {name} --from {marked} --yes"
            )
        adopted = {"from": marked, "time": format_time(clock.now())}
        await write_mark(store, {"cluster": cluster.uid, "store": name, "adopted": adopted})
        check_mark(store, await read_mark(store), cluster.uid)
        return f"{where} names this cluster, {cluster.uid}, now; it was that of {marked}"


# ---------------------------------------------------------------- rebuild


@dataclass(frozen=True)
class Wanted:
    """What the user wants.

    Attributes:
        namespace: whose Checkpoints.
        job: those of this StreamJob only.
        store: name of the CheckpointStore; None: the only one.
        yes: whether they are really to be made.
        pin: whether they are pinned.
    """

    namespace: str
    job: str | None
    store: str | None
    yes: bool
    pin: bool


async def make_anew(wanted: Wanted, login: Login, remote: Remote) -> dict[str, Any]:
    """Make the Checkpoints that are missing; what is printed as JSON.

    Raises:
        Refused: the store is not this cluster's, or the namespace may not use it.
        RetryLater: somebody did not answer.
    """
    async with connect(login) as cluster:
        named = await _store(cluster, wanted)
        store = await cluster.open(named, remote)
        check_mark(store, await read_mark(store), cluster.uid)
        stored = {job: (await list_job(store, wanted.namespace, job)).states for job in await _jobs(store, wanted)}
        jobs = {
            each["metadata"]["name"]: each for each in await cluster.kube.find(resources.STREAM_JOBS, wanted.namespace)
        }
        there = await cluster.kube.find(resources.CHECKPOINTS, wanted.namespace)
        found = plan(wanted.namespace, stored, pinned=wanted.pin)
        entries = [
            await _made(cluster, each, _hindrance(each, there, jobs, named.metadata.name), yes=wanted.yes)
            for each in found
        ]
    return {
        "namespace": wanted.namespace,
        "store": named.metadata.name,
        "location": store.place.uri(store.place.namespace(wanted.namespace)),
        "jobs": f"job {wanted.job}" if wanted.job else "any job",
        "checkpoints": entries,
        "missingJobs": sorted({each.job for each in found if each.manifest is not None} - jobs.keys()),
        "done": wanted.yes,
    }


async def _store(cluster: Cluster, wanted: Wanted) -> CheckpointStore:
    name = wanted.store
    if name is None:
        names = [each["metadata"]["name"] for each in await cluster.kube.find(resources.STORES, None)]
        if len(names) != 1:
            what = f"there are {len(names)} ({', '.join(names)})" if names else "there is none"
            raise Refused(f"which CheckpointStore? {what}: name it (--store)", "StoreNotNamed")
        name = names[0]
    store = await cluster.checkpoint_store(name)
    if not store.spec.allowed_namespaces.allows(wanted.namespace):
        msg = f"CheckpointStore {name} is not for namespace {wanted.namespace} (its spec.allowedNamespaces)"
        raise Refused(msg, "NotAllowed")
    return store


async def _jobs(store: ObjectStore, wanted: Wanted) -> list[str]:
    """Names of the jobs that have a directory in the store."""
    folders = await store.folders(store.place.namespace(wanted.namespace))
    names = {owner[0] for folder in folders if (owner := job_of_directory(folder)) is not None}
    return sorted(name for name in names if wanted.job in (None, name))


def _hindrance(each: Rebuilt, there: Iterable[Manifest], jobs: dict[str, Manifest], store: str) -> str:
    """Why it is not made; empty when it is."""
    location = each.state.location
    for other in there:
        if (other.get("status") or {}).get("location") == location:
            return f"Checkpoint {other['metadata']['name']} has it"
        if other["metadata"]["name"] == each.name:
            return "a Checkpoint of this name is there"
    job = jobs.get(each.job)
    uses = job["spec"]["checkpoints"]["store"] if job else store
    if uses != store:
        return f"its StreamJob uses CheckpointStore {uses}"
    return each.problem


async def _made(cluster: Cluster, each: Rebuilt, hindrance: str, *, yes: bool) -> dict[str, Any]:
    outcome, trouble = (f"no: {hindrance}" if hindrance else "would be made"), ""
    if yes and not hindrance and each.manifest is not None:
        try:
            made = await cluster.kube.create(each.manifest)
            outcome = "made" if made is not None else "no: a Checkpoint of this name is there"
        except PenstockError as error:
            trouble = str(error)
            outcome = f"NOT made: {trouble}"
    return {
        "name": each.name,
        "job": each.job,
        "source": each.source,
        "description": each.description,
        "written": format_time(each.state.modified),
        "location": each.state.location,
        "bytes": each.state.size_bytes,
        "outcome": outcome,
    } | ({"trouble": trouble} if trouble else {})
