"""What lies in the store of a job: complete states, one Checkpoint's directory, Flink's word on how a run ended."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from penstock.flink.metadata import MAGIC
from penstock.inventory import tombstone
from penstock.model import JobListing, StoredState, TargetListing
from penstock.store.client import ObjectStore, Stored
from penstock.store.layout import METADATA, NOTE, job_of_directory

_HEADER = struct.Struct(">Iiq")
"""Magic number, version, checkpoint id: how every `_metadata` file begins."""
_RETAINED = re.compile(r"checkpoints/(?P<run>[0-9a-f]{32})/chk-(?P<id>[0-9]+)/_metadata")
_SAVEPOINT = re.compile(r"savepoints/(?P<uid>[0-9a-f-]{36})/(?P<name>savepoint-[0-9a-z-]+)/_metadata")


async def list_job(store: ObjectStore, namespace: str, job: str) -> JobListing:
    """Every complete state of a namespace and job name, in the directories of all uids that ever had this name."""
    head = store.place.namespace(namespace)
    states: list[StoredState] = []
    any_directory = False
    for folder in await store.folders(head):
        owner = job_of_directory(folder)
        if owner is None or owner[0] != job:
            continue
        directory = f"{head}{folder}/"
        objects = [*await store.list(directory + "checkpoints/"), *await store.list(directory + "savepoints/")]
        any_directory = any_directory or bool(objects)
        states += await _states(store, directory, owner[1], objects)
    return JobListing(tuple(states), any_directory)


async def list_target(store: ObjectStore, directory: str, cleared: str | None = None) -> TargetListing:
    """One Checkpoint's target directory (a key prefix with the slash): what is complete, what is left over.

    `cleared` is its uid when it is being cleared: then its tombstone is read, too.
    """
    objects = await store.list(directory)
    head = directory[: directory.index("/savepoints/") + 1]
    told = await tombstone.load(store, head, cleared) if cleared else None
    found = await _states(store, head, "", objects)
    complete = max(found, key=lambda state: (state.modified, state.checkpoint_id), default=None)
    keep = store.place.key_of(complete.location) if complete else None
    partial = tuple(
        item.key
        for item in objects
        if item.key != directory + NOTE and not (keep is not None and item.key.startswith(keep + "/"))
    )
    going = {item.key for item in objects}.union(told.keys if told else ())
    return TargetListing(complete, partial, len(going), told.freed if told else None)


async def list_retained(store: ObjectStore, directory: str, cleared: str | None = None) -> TargetListing:
    """The directory of one of Flink's own checkpoints (a key prefix with the slash). What it shares is not in it.

    `cleared` is its uid when it is being cleared. Once its `_metadata` is gone, the tombstone says what is still to go:
    files in the directory that another state names stay, and do not count.
    """
    objects = await store.list(directory)
    head = directory[: directory.index("/checkpoints/") + 1]
    found = await _states(store, head, "", objects)
    told = await tombstone.load(store, head, cleared) if cleared else None
    keys = len(objects) if told is None or found else len(told.keys)
    return TargetListing(found[0] if found else None, (), keys, told.freed if told else None)


async def job_result(store: ObjectStore, ha_directory: str, run: str) -> str | None:
    """How Flink's job result store says that a run ended: FINISHED, CANCELED or FAILED; None when it says nothing."""
    for item in await store.list(ha_directory):
        folder, _, name = item.key.removeprefix(ha_directory).rpartition("/")
        if "job-result-store" not in folder or run not in name or not name.endswith(".json"):
            continue
        result = ((await store.read_json(item.key)) or {}).get("result") or {}
        return _JOB_STATES.get(str(result.get("application-status", "")).upper(), "FAILED")
    return None


_JOB_STATES = {"SUCCEEDED": "FINISHED", "CANCELED": "CANCELED", "FAILED": "FAILED"}


async def _states(store: ObjectStore, directory: str, uid: str, objects: Sequence[Stored]) -> list[StoredState]:
    sizes: dict[str, int] = {}
    for item in objects:
        folder = "/".join(item.key[len(directory) :].split("/")[:3])
        sizes[folder] = sizes.get(folder, 0) + item.size
    states = []
    for item in objects:
        inside = item.key[len(directory) :]
        location = store.place.uri(item.key.removesuffix("/" + METADATA))
        size = sizes.get("/".join(inside.split("/")[:3]), 0)
        retained, savepoint = _RETAINED.fullmatch(inside), _SAVEPOINT.fullmatch(inside)
        if retained:
            states.append(
                StoredState(location, int(retained["id"]), item.modified, False, retained["run"], uid, size)  # noqa: FBT003
            )
        elif savepoint:
            state = await _savepoint(store, directory, uid, item, savepoint["uid"])
            if state is not None:
                states.append(replace(state, location=location, size_bytes=size))
    return states


async def _savepoint(
    store: ObjectStore, directory: str, uid: str, metadata: Stored, checkpoint_uid: str
) -> StoredState | None:
    number = checkpoint_id(await store.read(metadata.key, first=_HEADER.size) or b"")
    if number is None:
        return None
    target = f"{directory}savepoints/{checkpoint_uid}/"
    note: dict[str, Any] = await store.read_json(target + NOTE) or {}
    return StoredState(
        location="",
        checkpoint_id=number,
        modified=metadata.modified,
        savepoint=True,
        run=str(note.get("run", "")),
        job_uid=uid,
        target_directory=target,
        note=note,
    )


def checkpoint_id(header: bytes) -> int | None:
    """The checkpoint id in the first 16 bytes of a `_metadata` file, or None when it is not one."""
    if len(header) < _HEADER.size:
        return None
    magic, _version, number = _HEADER.unpack_from(header)
    return int(number) if magic == MAGIC else None
