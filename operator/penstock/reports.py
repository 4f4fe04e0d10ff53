"""The report of what belongs to nobody any more, in the status of each CheckpointStore.

A queue of its own with one worker: it takes as long as it takes and delays neither a store's probe nor a job's pass.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from penstock import clock
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.conditions import find_condition
from penstock.api.quantity import display_bytes
from penstock.api.reading import read
from penstock.api.store import CheckpointStore, Orphans
from penstock.errors import Refused, RetryLater, Stale
from penstock.inventory.orphans import Report, find
from penstock.kube import resources
from penstock.observe.known import read_known
from penstock.queue import WorkQueue
from penstock.stores import NOT_OF_ALL, write_status
from penstock.world import World

log = logging.getLogger(__name__)
FIRST_SECONDS = 20.0
"""So long after a store was first seen: the operator's start has passed by then."""
_NOT_READY_SECONDS = 60.0
_TROUBLE_SECONDS = 300.0
_CHECKED_EVERY = timedelta(hours=6)
"""How old `checkedAt` may become while nothing changes: written at every look it would be a write for nothing."""
_SETTLED_AFTER = timedelta(hours=1)
"""What was written to later is not counted."""
_WRITES = 3


class Reports:
    """Follows the stores that are worked on, and looks at one after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._queue: WorkQueue[str] = WorkQueue(self._look, workers=1)
        self._followed: set[str] = set()
        self._limited = bool(world.settings.watch_namespaces)
        if self._limited:
            log.info("orphans in stores are %s", NOT_OF_ALL)

    def follow(self, store: str) -> None:
        """Look at a store soon, and then again and again; one that is followed already stays as it is."""
        if not self._limited and store not in self._followed:
            self._followed.add(store)
            self._queue.add_after(store, FIRST_SECONDS)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._queue.run()

    async def _look(self, store: str) -> float | None:
        pause = await report(self._world, store)
        if pause is None:
            self._followed.discard(store)
        return pause


async def report(world: World, name: str) -> float | None:
    """One look at a store; returns the seconds until the next one, None when the store is gone or going."""
    store = await _read(world, name)
    if store is None or store.metadata.terminating:
        return None
    if not _is_ready(store):
        return _NOT_READY_SECONDS
    now = clock.now()
    try:
        client = await world.object_store(store)
        found = _figures(await find(client, await read_known(world.kube), now), now)
    except Refused as error:
        log.warning("CheckpointStore %s: orphans were not looked for: %s", name, error)
        # The figures that there are stay: they are of `checkedAt`.
        found = (store.status.orphans or Orphans()).model_copy(update={"message": str(error)})
    except (RetryLater, Stale) as error:
        log.info("CheckpointStore %s: orphans are looked for later: %s", name, error)
        return _TROUBLE_SECONDS
    await _write(world, store, found)
    return _TROUBLE_SECONDS if found.message else float(world.settings.orphans_seconds)


def _figures(found: Report, now: datetime) -> Orphans:
    # What Kubernetes knows was read before the store: what was made in between has an owner that was not seen.
    found = replace(found, orphans=tuple(each for each in found.orphans if each.newest <= now - _SETTLED_AFTER))
    for why in found.unread:
        log.warning("not looked at for orphans: %s", why)
    return Orphans(
        count=len(found.orphans),
        bytes=found.size,
        size_text=display_bytes(found.size),
        oldest=found.oldest,
        checked_at=now,
        unread=len(found.unread),
    )


async def _read(world: World, name: str) -> CheckpointStore | None:
    stored = await world.kube.get(resources.STORES, None, name)
    return read(CheckpointStore, stored)[0] if stored is not None else None


def _is_ready(store: CheckpointStore) -> bool:
    ready = find_condition(store.status.conditions, constants.READY)
    return ready is not None and ready.status == "True"


async def _write(world: World, looked_at: CheckpointStore, found: Orphans) -> None:
    """Write it into the status as it is now, when it says anything new: a look may have taken minutes."""
    for _ in range(_WRITES):
        store = await _read(world, looked_at.metadata.name)
        if store is None or store.metadata.uid != looked_at.metadata.uid or not _is_ready(store):
            return
        if not _says_more(store.status.orphans, found):
            return
        try:
            await write_status(world.kube, store, store.status.model_copy(update={"orphans": found}))
        except Stale:
            continue
        return


def _says_more(old: Orphans | None, new: Orphans) -> bool:
    if old is None or dump(old) | {"checkedAt": ""} != dump(new) | {"checkedAt": ""}:
        return True
    times = (old.checked_at, new.checked_at)
    return times[0] is not None and times[1] is not None and times[1] - times[0] >= _CHECKED_EVERY
