"""How a state's data go: tombstone, `_metadata`, then what nobody else names; again and again until nothing is left.

Every round looks at the store anew and makes the list of what is to go from it: a deletion that was killed at any point
goes on with the next call, and one that is called again when all is gone changes nothing. Without its `_metadata` a
state cannot be restored, so what is left in between never looks whole.

A savepoint's directory is self-contained. A retained checkpoint shares files with its neighbours: what goes is what it
named (from `_metadata`, afterwards from the tombstone) and no `_metadata` of the job's directory names now.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock.errors import Refused
from penstock.inventory import tombstone
from penstock.inventory.references import complete_states, needs_of, unnamed
from penstock.inventory.tombstone import Subject, Tombstone
from penstock.store.client import ObjectStore
from penstock.store.layout import METADATA, NOTE

BUDGET_SECONDS = 4.0
"""After that no further batch is begun; the next call goes on."""
_BATCH = 1000
_ROUNDS = 5
"""Looks in one call: a store that lists what it has deleted must not keep a pass for ever."""

Ticks = Callable[[], float]
Announced = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Progress:
    """How far a deletion is.

    Attributes:
        done: whether nothing is left that is to go. The tombstone stays, with the total, until `tombstone.forget`.
        freed: bytes freed so far, earlier calls included.
    """

    done: bool
    freed: int


async def delete_savepoint(
    store: ObjectStore, subject: Subject, *, announced: Announced | None = None, ticks: Ticks = time.monotonic
) -> Progress:
    """Delete a savepoint's target directory `savepoints/<uid>/`, for about `BUDGET_SECONDS`.

    Args:
        store: where it lies.
        subject: what is to go.
        announced: called once, when the tombstone is written and before anything goes; what it raises ends the call.
        ticks: a clock in seconds.

    Raises:
        Refused: the store said no (the reason is its word, such as AccessDenied). What went before that stays gone.
        RetryLater: it did not answer; how far it came is not known, and the next call finds out.
    """
    return await _Savepoint(store, subject, ticks).proceed(announced)


async def delete_retained(
    store: ObjectStore,
    subject: Subject,
    *,
    run_ended: bool,
    live: Collection[str] = (),
    ticks: Ticks = time.monotonic,
) -> Progress:
    """Delete a retained checkpoint `checkpoints/<run>/chk-N/` of a run that has ended, for about `BUDGET_SECONDS`.

    With the last complete state of the run goes everything that is left of the run's directory, and `taskowned/` only
    then; but never a file that another state of the job names.

    Args:
        store: where it lies.
        subject: what is to go.
        run_ended: whether the run has ended and nothing of it writes any more.
        live: runs that have not ended: nothing in their directories is touched.
        ticks: a clock in seconds.

    Raises:
        Refused: the run has not ended (`RunIsLive`), a `_metadata` of the job cannot be read (`MetadataUnreadable`), or
            the store said no. Nothing goes in the first two cases.
        RetryLater: the store did not answer.
    """
    run = subject.directory[len(subject.home) :].split("/")[1]
    if not run_ended or run in live:
        raise Refused(f"run {run} has not ended: Flink owns its checkpoints, nothing was deleted", "RunIsLive")
    return await _Retained(store, subject, ticks, frozenset(live), run).proceed()


class _Deletion(ABC):
    """The rounds: what is to go is worked out, written down, and deleted."""

    def __init__(self, store: ObjectStore, subject: Subject, ticks: Ticks) -> None:
        self._store = store
        self._subject = subject
        self._ticks = ticks
        self._until = ticks() + BUDGET_SECONDS

    async def proceed(self, announced: Announced | None = None) -> Progress:
        told = await tombstone.load(self._store, self._subject.home, self._subject.uid)
        if told is not None and told.directory != self._subject.directory:
            told = None
        freed = 0
        for _ in range(_ROUNDS):
            plan = await self._plan(told)
            if told is None and not plan.keys:
                return Progress(done=True, freed=0)  # nothing is there and nothing was recorded: another call's work
            if plan != told:
                await tombstone.write(self._store, self._subject, plan)
            if not plan.keys:
                return Progress(done=True, freed=plan.freed)
            if announced is not None:
                await announced()
                announced = None
            left = await self._delete(list(plan.keys))
            freed = plan.freed + sum(plan.keys.values()) - sum(plan.keys[key] for key in left)
            if left:
                break
            told = plan  # all of it has gone: look whether anything is left, which costs no more than a listing
        return Progress(done=False, freed=freed)

    @abstractmethod
    async def _plan(self, told: Tombstone | None) -> Tombstone:
        """What is to go now, from a listing of this moment."""

    async def _delete(self, keys: Sequence[str]) -> list[str]:
        """Delete in order, as far as the time goes; gives the keys that are left."""
        first = [key for key in keys if key.endswith("/" + METADATA)]
        if first:
            # A call of its own: in which order a store goes through a call nobody says.
            await self._store.delete(first)
        rest = [key for key in keys if not key.endswith("/" + METADATA)]
        # Markers of directories after what is in them, and the note last.
        rest.sort(key=lambda key: (key == self._subject.directory + NOTE, key.endswith("/")))
        for start in range(0, len(rest), _BATCH):
            if start and self._ticks() >= self._until:
                return rest[start:]
            await self._store.delete(rest[start : start + _BATCH])
        return []

    def _tombstone(
        self,
        told: Tombstone | None,
        listed: Mapping[str, int],
        going: Iterable[str],
        counted: Collection[str] = (),
    ) -> Tombstone:
        """The list as it is now. What the last one named and what is not there any more has been freed.

        What the tombstone of another deletion counts goes all the same, but for nothing: it is freed once.
        """
        freed, own = 0, told.keys if told is not None else {}
        if told is not None:
            freed = told.freed + sum(size for key, size in own.items() if key not in listed)
        sizes = {key: 0 if key in counted and not own.get(key) else listed[key] for key in sorted(going)}
        return Tombstone(self._subject.directory, sizes, freed)


class _Savepoint(_Deletion):
    async def _plan(self, told: Tombstone | None) -> Tombstone:
        listed = {item.key: item.size for item in await self._store.list(self._subject.directory)}
        return self._tombstone(told, listed, listed)


class _Retained(_Deletion):
    def __init__(self, store: ObjectStore, subject: Subject, ticks: Ticks, live: frozenset[str], run: str) -> None:
        super().__init__(store, subject, ticks)
        self._live = live
        self._checkpoints = subject.home + "checkpoints/"
        self._run = f"{self._checkpoints}{run}/"
        self._metadata = subject.directory + METADATA

    async def _plan(self, told: Tombstone | None) -> Tombstone:
        needs = await needs_of(self._store, self._subject.home, self._metadata)
        if needs is not None:
            # It is whole: nothing has gone yet, and an older list is of another time.
            told = None
        named: Iterable[str] = needs.files if needs is not None else told.keys if told is not None else ()
        listed = await self._list(named)
        others = [key for key in complete_states(self._subject.home, listed) if key != self._metadata]
        going = self._candidates(listed, named, others)
        if going:
            # Its own `_metadata` goes whoever names it: without the rest it must not look whole.
            going = await unnamed(self._store, others, going) | (going & {self._metadata})
        # Another deletion may have stopped half-way and left what goes with the last state of the run.
        strange = any(not key.startswith(self._subject.directory) for key in going.difference(named))
        counted = await tombstone.counted_by_others(self._store, self._subject) if strange else ()
        return self._tombstone(told, listed, going, counted)

    async def _list(self, named: Iterable[str]) -> dict[str, int]:
        """Sizes of what the plan may be about: all `_metadata`, and the whole directory of each run concerned."""
        runs = {self._run_of(key) for key in named if key.startswith(self._checkpoints)} | {self._run}
        prefixes = [self._subject.home + "savepoints/"]
        for name in await self._store.folders(self._checkpoints):
            run = f"{self._checkpoints}{name}/"
            prefixes.append(run if run in runs else run + "chk-")
        return {item.key: item.size for prefix in prefixes for item in await self._store.list(prefix)}

    def _candidates(self, listed: Mapping[str, int], named: Iterable[str], others: Iterable[str]) -> set[str]:
        """What may go when no other state names it."""
        whole = {key.removesuffix(METADATA) for key in others}
        going = {key for key in named if key in listed and self._may_go(key, whole)}
        # With the last state of a run goes the rest of it; what is partial there can never be completed.
        last = not any(directory.startswith(self._run) for directory in whole)
        rest = self._run if last else self._subject.directory
        return going | {key for key in listed if key.startswith(rest)}

    def _may_go(self, key: str, whole: Collection[str]) -> bool:
        """Whether a key that a state names is one of those that go with it.

        A savepoint's files, HA data and tombstones never do, whatever a `_metadata` says; nor what lies in a live run,
        in the directory of another whole checkpoint, or in `taskowned/`.
        """
        if not key.startswith(self._checkpoints):
            return False
        run, _, inside = key[len(self._checkpoints) :].partition("/")
        folder = inside.partition("/")[0]
        if run in self._live:
            return False
        return folder == "shared" or (folder.startswith("chk-") and f"{self._checkpoints}{run}/{folder}/" not in whole)

    def _run_of(self, key: str) -> str:
        return f"{self._checkpoints}{key[len(self._checkpoints) :].partition('/')[0]}/"
