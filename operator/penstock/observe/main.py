"""One pass's look at everything, live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from penstock import clock, names
from penstock.api import constants
from penstock.api.base import Model
from penstock.api.checkpoint import Checkpoint, Source
from penstock.api.conditions import find_condition
from penstock.api.reading import Problem, Unreadable, read
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJob
from penstock.api.validation import validate_stream_job
from penstock.decide import measuring, preflight, recovery, sources, standing
from penstock.decide.needs import Needs, foreign_names, is_being_cleared, may_delete, needs, needs_in_store
from penstock.decide.verification import wishes
from penstock.errors import PenstockError, Refused, RetryLater
from penstock.flink.answers import Checkpointing, FlinkJob, Trigger
from penstock.inventory.positions import read_positions
from penstock.kube import resources
from penstock.kube.client import Kube
from penstock.model import Foreign, JobListing, Observed, StoreView, TargetListing, Unknown
from penstock.observe import recovery as recovery_view
from penstock.observe import store as store_view
from penstock.observe.kubernetes import items_of, programs_of, revisions_of, runs_of
from penstock.source.held import Held, SourceWish
from penstock.store.client import ObjectStore
from penstock.verdict import Positions, Verified, Wish
from penstock.world import World, own_directory, place_of

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Model)
_Store = tuple[StoreView, ObjectStore | Unknown | None]
log = logging.getLogger(__name__)
_VERIFY_SECONDS = 2.0
_LOOK_SECONDS = 6.0
_LIST_SECONDS = 60.0
"""A job of many files has many pages."""


async def observe(world: World, namespace: str, name: str, fresh_run: str) -> Observed:
    """Look at a StreamJob (which may be gone) and all its Checkpoints.

    Raises:
        RetryLater: when the API server does not answer: without it nothing can be decided.
    """
    kube = world.kube
    space, stored, items = await asyncio.gather(
        kube.get(resources.NAMESPACES, None, namespace),
        kube.get(resources.STREAM_JOBS, namespace, name),
        _items(kube, namespace, name),
    )
    job, problems = _read(StreamJob, stored)
    checkpoints, unreadable = _read_checkpoints(items or [])
    going, unsure = await _kinds(kube, job, checkpoints, known=items is not None)
    owned = await items_of(kube, job.metadata) if job else {}
    runs = await runs_of(kube, job.metadata, owned) if job else ()
    revisions = await revisions_of(kube, job.metadata) if job else ()
    foreign = await _foreign(kube, namespace, foreign_names(job, checkpoints))
    others, unknown = await _others(kube, namespace, name) if may_delete(job, checkpoints) else ((), ())
    wanted = needs(job, checkpoints, runs)
    name_of_store = _store_name(job, checkpoints)
    view, client = await _store(world, name_of_store, namespace)
    elsewhere = {ckpt.status.store for ckpt in checkpoints if ckpt.status.store} - {name_of_store}
    others_of = {each: await _store(world, each, namespace) for each in sorted(elsewhere)}
    # Before the directories are listed: a savepoint that is complete when Flink is asked must be seen in the listing.
    triggers = await _triggers(world, job, checkpoints, wanted)
    flink = await _flink(world, job, wanted)
    wanted = needs_in_store(wanted, job, checkpoints, flink)
    checkpointing, listing, targets, result = await asyncio.gather(
        _checkpointing(world, job, wanted),
        _listing(client, namespace, name, wanted),
        _targets((view, client), others_of, checkpoints, wanted),
        _job_result(client, job, wanted),
    )
    seen = Observed(
        now=clock.now(),
        fresh_run=fresh_run,
        job=job,
        checkpoints=checkpoints,
        foreign=foreign,
        others=others,
        unreadable_others=unknown,
        namespace_terminating=space is None or "deletionTimestamp" in space["metadata"],
        kinds_going=going,
        kinds_unknown=unsure,
        runs=runs,
        programs=programs_of(owned),
        revisions=revisions,
        flink=flink,
        checkpointing=checkpointing,
        busy_millis=await _busy(world, job, flink),
        triggers=triggers,
        store=view,
        other_stores={each: found for each, (found, _) in others_of.items()},
        listing=listing,
        targets=targets,
        job_result=result,
        problems=problems + tuple(validate_stream_job(job) if job else ()),
        unreadable=unreadable,
    )
    verified, held, followed, fault = await asyncio.gather(
        _verified(world, client, namespace, name, (*wishes(seen), *preflight.wishes(seen))),
        _held(world, name, (*sources.wishes(seen), *measuring.wishes(seen), *preflight.source_wishes(seen))),
        recovery_view.look(world, client, namespace, name, seen),
        _fault(world, seen),
    )
    held |= _watched(world, client, namespace, name, standing.wishes(seen))
    return replace(seen, verified=verified, held=held, followed=followed, fault=fault)


async def _items(kube: Kube, namespace: str, name: str) -> list[dict[str, Any]] | None:
    """The Checkpoints of a job; None when the API server knows no such kind (any more)."""
    try:
        return await kube.find(resources.CHECKPOINTS, namespace, fields=f"spec.jobRef.name={name}")
    except Refused as error:
        if error.reason != "NotFound":
            raise
        return None


async def _kinds(
    kube: Kube, job: StreamJob | None, checkpoints: tuple[Checkpoint, ...], *, known: bool
) -> tuple[frozenset[str], str]:
    """The kinds that are being deleted with all their objects, and why that is not known.

    A CustomResourceDefinition is marked before its objects are, and admission is not asked about these.
    """
    going = set() if known else {resources.CHECKPOINTS.kind}
    asked = [resources.STREAM_JOBS] if job is not None and job.metadata.terminating else []
    # With a StreamJob its Checkpoints may be deleted, too.
    asked += [resources.CHECKPOINTS] if asked or any(ckpt.metadata.terminating for ckpt in checkpoints) else []
    try:
        for resource in asked:
            found = await kube.get(resources.CRDS, None, f"{resource.plural}.{constants.GROUP}")
            if found is None or "deletionTimestamp" in found["metadata"]:
                going.add(resource.kind)
    except Refused as error:
        return frozenset(going), f"whether the kind itself is being deleted is not known: {error}"
    return frozenset(going), ""


async def _foreign(kube: Kube, namespace: str, names: tuple[str, ...]) -> tuple[Foreign, ...]:
    """Checkpoints of other jobs; those that are not there, or cannot be read, are left out."""
    found = []
    for name in names:
        stored = await kube.get(resources.CHECKPOINTS, namespace, name)
        checkpoint, _ = read(Checkpoint, stored) if stored is not None else (None, ())
        if checkpoint is None:
            continue
        owner = await kube.get(resources.STREAM_JOBS, namespace, checkpoint.spec.job_ref.name)
        job, _ = read(StreamJob, owner) if owner is not None else (None, ())
        if job is not None or owner is None:
            found.append(Foreign(checkpoint, job))
    return tuple(found)


async def _others(kube: Kube, namespace: str, name: str) -> tuple[tuple[StreamJob, ...], tuple[str, ...]]:
    """The other StreamJobs of a namespace, and the names of those that cannot be read."""
    items = await kube.find(resources.STREAM_JOBS, namespace)
    found = {item["metadata"]["name"]: read(StreamJob, item)[0] for item in items if item["metadata"]["name"] != name}
    known = tuple(job for job in found.values() if job is not None)
    return known, tuple(other for other, job in found.items() if job is None)


def _read_checkpoints(items: list[dict[str, Any]]) -> tuple[tuple[Checkpoint, ...], tuple[Unreadable, ...]]:
    """Those that can be read, and the others: one of them must not stop the job and all the rest."""
    checkpoints: list[Checkpoint] = []
    unreadable: list[Unreadable] = []
    for item in items:
        found, problems = read(Checkpoint, item)
        _log(item, problems)
        if found is not None:
            checkpoints.append(found)
            continue
        why = "; ".join(map(str, problems))
        conditions = (item.get("status") or {}).get("conditions") or []
        told = any(each.get("reason") == constants.UNREADABLE and each.get("message") == why for each in conditions)
        meta = item["metadata"]
        unreadable.append(Unreadable(meta["namespace"], meta["name"], why, told))
    return tuple(checkpoints), tuple(unreadable)


def _read(kind: type[_M], stored: dict[str, Any] | None) -> tuple[_M | None, tuple[Problem, ...]]:
    if stored is None:
        return None, ()
    found, problems = read(kind, stored)
    _log(stored, problems)
    if found is None:
        # Not the same as gone: nothing may be decided about an object that cannot be read.
        msg = f"{stored.get('kind')} {stored['metadata']['name']} cannot be read: {'; '.join(map(str, problems))}"
        raise RetryLater(msg)
    return found, ()


def _log(stored: dict[str, Any], problems: tuple[Problem, ...]) -> None:
    meta = stored["metadata"]
    for problem in problems:
        log.warning("%s %s/%s: %s", stored.get("kind"), meta.get("namespace"), meta["name"], problem)


async def _known(work: Awaitable[_T], seconds: float = _LOOK_SECONDS) -> _T | Unknown:
    """The answer, or Unknown when the other side has none, or not in time: other jobs wait for this pass's end."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except PenstockError as error:
        return Unknown(str(error))
    except TimeoutError:
        return Unknown(f"no answer in {seconds:.0f} s")


def _store_name(job: StreamJob | None, checkpoints: tuple[Checkpoint, ...]) -> str | None:
    """The store of the job, or the one that the Checkpoints of a job that is gone name."""
    return job.spec.checkpoints.store if job else next((c.status.store for c in checkpoints if c.status.store), None)


async def _store(world: World, name: str | None, namespace: str) -> _Store:
    if name is None:
        return StoreView(problem="no store is named"), None
    stored = await world.kube.get(resources.STORES, None, name)
    found, _ = _read(CheckpointStore, stored)
    if found is None:
        return StoreView(problem=f"there is no CheckpointStore {name}"), None
    client = await _known(world.object_store(found))
    return StoreView(place_of(found), found, _store_problem(found, namespace, client)), client


def _store_problem(store: CheckpointStore, namespace: str, client: ObjectStore | Unknown) -> str:
    name = store.metadata.name
    if not store.spec.allowed_namespaces.allows(namespace):
        return f"CheckpointStore {name} is not for namespace {namespace} (its spec.allowedNamespaces)"
    if isinstance(client, Unknown):
        return f"CheckpointStore {name}: {client.reason}"
    ready = find_condition(store.status.conditions, constants.READY)
    if ready is None or ready.status != "True":
        return f"CheckpointStore {name} is not Ready: {ready.message if ready else 'not looked at yet'}"
    return ""


async def _flink(world: World, job: StreamJob | None, wanted: Needs) -> FlinkJob | Unknown | None:
    if not wanted.flink or job is None:
        return None
    return await _known(world.flink.job(_address(world, job, wanted.flink), wanted.flink))


async def _checkpointing(world: World, job: StreamJob | None, wanted: Needs) -> Checkpointing | Unknown | None:
    if not wanted.checkpointing or job is None:
        return None
    return await _known(world.flink.checkpointing(_address(world, job, wanted.flink), wanted.flink))


async def _busy(world: World, job: StreamJob | None, flink: FlinkJob | Unknown | None) -> int | Unknown | None:
    """Only when somebody wants to know: it takes a call for each vertex."""
    run = job.status.run if job is not None and measuring.asked(job) is not None else None
    if job is None or run is None or not isinstance(flink, FlinkJob) or flink.state != "RUNNING":
        return None
    return await _known(world.flink.busiest(_address(world, job, run.id), run.id))


async def _fault(world: World, seen: Observed) -> str:
    run = seen.job.status.run if seen.job is not None and recovery.wants_fault(seen) else None
    if seen.job is None or run is None:
        return ""
    said = await _known(world.flink.fault(_address(world, seen.job, run.id), run.id))
    return said if isinstance(said, str) else ""


async def _triggers(
    world: World, job: StreamJob | None, checkpoints: tuple[Checkpoint, ...], wanted: Needs
) -> dict[str, Trigger | Unknown]:
    found: dict[str, Trigger | Unknown] = {}
    for checkpoint in checkpoints:
        name, status = checkpoint.metadata.name, checkpoint.status
        if job is None or name not in wanted.triggers or not status.run or not status.trigger_id:
            continue
        address = _address(world, job, status.run)
        found[name] = await _known(world.flink.trigger(address, status.run, status.trigger_id))
    return found


async def _listing(
    client: ObjectStore | Unknown | None, namespace: str, job: str, wanted: Needs
) -> JobListing | Unknown | None:
    if not wanted.listing or client is None or isinstance(client, Unknown):
        return client if wanted.listing and isinstance(client, Unknown) else None
    return await _known(store_view.list_job(client, namespace, job), _LIST_SECONDS)


async def _targets(
    of_job: _Store, others: dict[str, _Store], checkpoints: tuple[Checkpoint, ...], wanted: Needs
) -> dict[str, TargetListing | Unknown]:
    async def look(checkpoint: Checkpoint) -> TargetListing | Unknown:
        view, client = others.get(checkpoint.status.store or "", of_job)
        if client is None or isinstance(client, Unknown):
            return client if client is not None else Unknown(view.problem)
        return await _known(_target(client, checkpoint), _LIST_SECONDS)

    asked = [checkpoint for checkpoint in checkpoints if checkpoint.metadata.name in wanted.targets]
    found = await asyncio.gather(*map(look, asked))
    return {checkpoint.metadata.name: each for checkpoint, each in zip(asked, found, strict=True)}


async def _target(client: ObjectStore, checkpoint: Checkpoint) -> TargetListing:
    """Its own directory; the tombstone too when it is being cleared, and not at each poll of a savepoint."""
    uid = checkpoint.metadata.uid if is_being_cleared(checkpoint) else None
    look = store_view.list_retained if checkpoint.spec.source is Source.RETAINED else store_view.list_target
    return await look(client, own_directory(client.place, checkpoint), uid)


async def _verified(
    world: World, client: ObjectStore | Unknown | None, namespace: str, job: str, wanted: tuple[Wish, ...]
) -> dict[str, Verified]:
    """The answers that there are by now. What a start waits for is waited for a little; the rest comes by and by."""
    if client is None or isinstance(client, Unknown):
        return {wish.location: Verified(clock.now(), trouble=client.reason) for wish in wanted} if client else {}
    # A status is not trusted: what it names elsewhere is not read.
    wanted = tuple(wish for wish in wanted if wish.anywhere or _is_of(client, wish.location, namespace, job))
    found = [world.verifier.ask(client, wish, (namespace, job)) for wish in wanted]
    urgent = [wish for wish, answer in zip(wanted, found, strict=True) if wish.start and answer is None]
    if urgent:
        await world.verifier.wait(client, urgent, _VERIFY_SECONDS)
        found = [world.verifier.ask(client, wish, (namespace, job)) for wish in wanted]
    # What a start waits for comes first: an older answer about the same place does not take its place.
    pairs = reversed([*zip(wanted, found, strict=True)])
    return {wish.location: answer for wish, answer in pairs if answer is not None}


async def _held(world: World, job: str, wanted: tuple[SourceWish, ...]) -> dict[SourceWish, Held]:
    """The answers that there are by now about sources; they are waited for a little."""
    found = [world.measurer.ask(wish, job) for wish in wanted]
    if any(answer is None for answer in found):
        await world.measurer.wait(wanted, _VERIFY_SECONDS)
        found = [world.measurer.ask(wish, job) for wish in wanted]
    return {wish: answer for wish, answer in zip(wanted, found, strict=True) if answer is not None}


def _watched(
    world: World, client: ObjectStore | Unknown | None, namespace: str, job: str, wanted: tuple[SourceWish, ...]
) -> dict[SourceWish, Held]:
    """The answers that there are about sources of a run that is watched. Nobody waits for them."""
    if client is None or isinstance(client, Unknown):
        return {}
    found = {}
    for wish in wanted:
        # A status is not trusted: what it names elsewhere is not read.
        own = bool(wish.state) and _is_of(client, wish.state, namespace, job)
        answer = world.measurer.ask(wish, job, partial(_positions, client, wish.state if own else ""))
        if answer is not None:
            found[wish] = answer
    return found


async def _positions(client: ObjectStore, state: str) -> Positions | None:
    """Where a state goes on; without one nowhere."""
    return await read_positions(client, state) if state else Positions()


def _is_of(client: ObjectStore, location: str, namespace: str, job: str) -> bool:
    key = client.place.key_of(location)
    return key is not None and client.place.directory_of(f"{key}/", namespace, job) is not None


async def _job_result(
    client: ObjectStore | Unknown | None, job: StreamJob | None, wanted: Needs
) -> str | Unknown | None:
    if not wanted.job_result or job is None or client is None:
        return None
    if isinstance(client, Unknown):
        return client
    meta = job.metadata
    directory = client.place.high_availability(meta.namespace, meta.name, meta.uid, wanted.job_result)
    return await _known(store_view.job_result(client, directory, wanted.job_result), _LIST_SECONDS)


def _address(world: World, job: StreamJob, run: str) -> str:
    return world.flink_address(names.service_host(job.metadata.name, run, job.metadata.namespace))
