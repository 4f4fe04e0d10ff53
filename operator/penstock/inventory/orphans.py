"""Finding what nobody owns in a store, and removing one of it. What Kubernetes knows is handed in by the caller.

Nothing is removable that is younger than a minimum age, or of a job of which something could not be read. Whose store
it is (its mark) the caller has looked at before: in another cluster's nothing is an orphan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from penstock.api.base import format_time
from penstock.errors import PenstockError, Refused
from penstock.inventory import tombstone
from penstock.inventory.deletion import Announced, Progress, delete_retained, delete_savepoint
from penstock.inventory.leftovers import Kind, Known, Leftover, classify, is_deletion_of, orphaned_tombstones
from penstock.inventory.references import complete_states, unnamed
from penstock.inventory.tombstone import Subject
from penstock.store.client import ObjectStore, Stored
from penstock.store.layout import job_of_directory

MINIMUM_AGE = timedelta(hours=24)


@dataclass(frozen=True)
class Orphan:
    """Something that nobody owns.

    Attributes:
        kind: what it is.
        home: key prefix of the job's directory, with the slash.
        prefix: its own key prefix, with the slash; of a tombstone the key.
        why: why it is one, as a part of a sentence.
        keys: objects that would go.
        size: their bytes.
        oldest: when the first of them was written.
        newest: when the last of them was: what its age is counted from.
        restorable: whether a job can be started from it.
        kept: why it may not be removed now; empty when it may.
    """

    kind: Kind
    home: str
    prefix: str
    why: str
    keys: int
    size: int
    oldest: datetime
    newest: datetime
    restorable: bool
    kept: str = ""

    @property
    def removable(self) -> bool:
        """Whether it may be removed; a restorable one only when somebody asks for that very one."""
        return not self.kept


@dataclass(frozen=True)
class Report:
    """What was found; `unread` says which job directories could not be looked at, each with why."""

    orphans: tuple[Orphan, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(orphan.size for orphan in self.orphans)

    @property
    def oldest(self) -> datetime | None:
        """When the first of it was written; None when there is none."""
        return min((orphan.oldest for orphan in self.orphans), default=None)


async def find(
    store: ObjectStore,
    known: Known,
    now: datetime,
    *,
    homes: Iterable[str] | None = None,
    minimum_age: timedelta = MINIMUM_AGE,
) -> Report:
    """Everything that nobody owns.

    Args:
        store: where to look.
        known: what Kubernetes knows; must be of all namespaces when `homes` is None.
        now: the time that ages are counted to.
        homes: key prefixes (with the slash) of the job directories to look at; None: all of the store.
        minimum_age: what is younger is reported and not removable.

    Raises:
        RetryLater, Refused: the store could not be listed at all. A single job's trouble is told in the report.
    """
    orphans: list[Orphan] = []
    unread: list[str] = []
    for home in await _homes(store) if homes is None else homes:
        try:
            job = await _look(store, home, known)
        except PenstockError as error:
            unread.append(f"{home}: {error}")
            continue
        try:
            free, trouble = await job.free(job.leftovers), ""
        except PenstockError as error:
            free, trouble = {item.key for item in job.listed}, str(error)
        orphans += _judged(job.home, job.leftovers, free, now - minimum_age, trouble)
    return Report(tuple(orphans), tuple(unread))


async def remove(
    store: ObjectStore,
    orphan: Orphan,
    known: Known,
    now: datetime,
    *,
    minimum_age: timedelta = MINIMUM_AGE,
    again: Callable[[], Awaitable[Known]] | None = None,
) -> Progress:
    """Remove one, after looking at everything again; call it until it is done.

    Args:
        store: where it lies; of this cluster, by its mark.
        orphan: what a report named.
        known: what Kubernetes knows, read anew just before.
        now: the time of the call.
        minimum_age: what is younger stays.
        again: what Kubernetes knows, read once more: called when a restorable one's tombstone is written and nothing of
            it has gone yet. What has come to need it meanwhile keeps it.

    Raises:
        Refused: it is none any more (`NotAnOrphan`) or may not be removed now (`NotRemovable`): nothing was removed; or
            the store said no.
        RetryLater: the store did not answer.
    """
    job = await _look(store, orphan.home, known)
    leftovers = [each for each in job.leftovers if (each.kind, each.prefix) == (orphan.kind, orphan.prefix)]
    if orphan.restorable and not leftovers:
        # An earlier call has begun: its `_metadata` is gone, and a tombstone has what is left.
        begun = store.place.tombstone(orphan.home, _uid_of(orphan.prefix))
        if any(each.prefix == begun for each in job.leftovers):
            return await job.finish(_uid_of(orphan.prefix), now)
    free = await job.free(leftovers)
    judged = _judged(job.home, leftovers, free, now - minimum_age, "")
    if not judged:
        raise Refused(f"{orphan.prefix} is no orphan any more: nothing was removed", "NotAnOrphan")
    if judged[0].kept:
        raise Refused(f"{orphan.prefix}: {judged[0].kept}: nothing was removed", "NotRemovable")
    if orphan.kind is Kind.TOMBSTONE:
        return await job.finish(_uid_of(orphan.prefix), now)
    if orphan.restorable:
        # By tombstone, and its `_metadata` first: killed in between, it is a tombstone's leftover.
        subject = Subject(job.home, orphan.prefix, "", _uid_of(orphan.prefix), format_time(now))
        return await job.delete(subject, partial(_still_nobodys, store, orphan, again) if again else None)
    # Nothing in it is whole: in whatever order it goes, nothing looks whole in between.
    items = [item for item in leftovers[0].items if item.key in free]
    await store.delete(sorted((item.key for item in items), key=lambda key: (key.endswith("/"), key)))
    return Progress(done=True, freed=sum(item.size for item in items))


@dataclass(frozen=True)
class _Job:
    """A job's directory as it is now."""

    store: ObjectStore
    home: str
    known: Known
    listed: tuple[Stored, ...]
    leftovers: tuple[Leftover, ...]

    async def free(self, leftovers: Sequence[Leftover]) -> set[str]:
        """The keys of leftovers that no state names which is not itself one of them.

        Every `_metadata` of the job must be readable; none is read when there are no leftovers.
        """
        keys = {item.key for leftover in leftovers for item in leftover.items}
        if not keys:
            return keys
        states = self._states()
        left = await unnamed(self.store, [state for state in states if state not in keys], keys)
        await unnamed(self.store, [state for state in states if state in keys], ())
        return left

    async def finish(self, uid: str, now: datetime) -> Progress:
        """Go on with a deletion to its end; of what is whole after all only the tombstone goes."""
        told = await tombstone.load(self.store, self.home, uid)
        ours = told is not None and is_deletion_of(self.home, uid, told, self.known)
        if told is None or not ours or any(state.startswith(told.directory) for state in self._states()):
            await tombstone.forget(self.store, self.home, uid)
            return Progress(done=True, freed=0)
        return await self.delete(Subject(self.home, told.directory, "", uid, format_time(now)))

    async def delete(self, subject: Subject, announced: Announced | None = None) -> Progress:
        """A slice of a deletion; with the last one the tombstone goes, since nobody waits for its figure."""
        if subject.directory.startswith(f"{self.home}savepoints/"):
            progress = await delete_savepoint(self.store, subject, announced=announced)
        else:
            progress = await delete_retained(self.store, subject, run_ended=True, live=self.known.live)
        if progress.done:
            await tombstone.forget(self.store, self.home, subject.uid)
        return progress

    def _states(self) -> tuple[str, ...]:
        return complete_states(self.home, (item.key for item in self.listed))


async def _still_nobodys(store: ObjectStore, orphan: Orphan, again: Callable[[], Awaitable[Known]]) -> None:
    """Go on only when a restorable one is still an orphan; else its tombstone goes, since nothing has begun."""
    try:
        job = await _look(store, orphan.home, await again())
        if not any((each.kind, each.prefix) == (orphan.kind, orphan.prefix) for each in job.leftovers):
            raise Refused(f"{orphan.prefix} is no orphan any more: nothing was removed", "NotAnOrphan")
    except PenstockError:
        await tombstone.forget(store, orphan.home, _uid_of(orphan.prefix))
        raise


async def _look(store: ObjectStore, home: str, known: Known) -> _Job:
    listed = await store.list(home)
    told = {uid: await tombstone.load(store, home, uid) for uid in orphaned_tombstones(home, listed, known)}
    # Off the loop: of a hundred thousand keys it takes most of a second.
    leftovers = await asyncio.to_thread(classify, store.place, home, listed, known, told)
    return _Job(store, home, known, listed, leftovers)


def _uid_of(prefix: str) -> str:
    """The uid in `savepoints/<uid>/` or `tombstones/<uid>.json`."""
    return prefix.rstrip("/").rpartition("/")[2].removesuffix(".json")


async def _homes(store: ObjectStore) -> list[str]:
    head = store.place.key()
    top = f"{head}/" if head else ""
    return [
        f"{top}{namespace}/{name}/"
        for namespace in await store.folders(top)
        for name in await store.folders(f"{top}{namespace}/")
        if job_of_directory(name) is not None
    ]


def _judged(
    home: str, leftovers: Sequence[Leftover], free: Collection[str], before: datetime, trouble: str
) -> list[Orphan]:
    """With what would really go, and whether it may."""
    found = []
    for leftover in leftovers:
        items = [item for item in leftover.items if item.key in free]
        if not items:
            continue
        newest = max(item.modified for item in items)
        kept = trouble or ("" if newest <= before else "it is too young")
        if leftover.restorable and len(items) < len(leftover.items):
            kept = kept or "another state of the job names files of it"
        size, oldest = sum(item.size for item in items), min(item.modified for item in items)
        found.append(
            Orphan(
                leftover.kind,
                home,
                leftover.prefix,
                leftover.why,
                len(items),
                size,
                oldest,
                newest,
                leftover.restorable,
                kept,
            )
        )
    return found
