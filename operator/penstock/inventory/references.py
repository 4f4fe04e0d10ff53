"""Which files the complete states of a job need. Only `_metadata` names them; each is read as a stream.

A `_metadata` that cannot be read makes the whole answer `Unreadable`: what it needs is not known, so nothing that it
could need may go. Other jobs are not affected.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from penstock.errors import Refused
from penstock.flink.metadata import FileReference, MetadataError, Operator, Splits, Summary, UnknownVersionError, scan
from penstock.store.client import ObjectStore
from penstock.store.layout import METADATA, Place

_T = TypeVar("_T")
LIMIT = 250_000
"""Distinct files of one state that are held in memory at most; a state with more is Unreadable."""
_AT_ONCE = 4
_STATE = re.compile(rf"(checkpoints/[0-9a-f]{{32}}/chk-[0-9]+|savepoints/[^/]+/[^/]+)/{METADATA}")
_S3 = re.compile(r"s3[ap]?://(?P<bucket>[^/]+)/(?P<key>.*)", re.DOTALL)
_FEW = 5


class Unreadable(Refused):
    """What a state needs cannot be known; nothing of its job may be deleted until somebody has dealt with it."""

    def __init__(self, key: str, why: str, version: int | None = None) -> None:
        super().__init__(f"unreadable: {key}: {why}", "MetadataUnreadable")
        self.key = key
        self.why = why
        self.version = version
        """Of its layout, when that is why."""


@dataclass(frozen=True)
class Needs:
    """What one complete state needs.

    Attributes:
        files: key to the bytes that it must have at least, for everything in the job's directory.
        outside: how often it names something elsewhere; none of that is ever read or deleted.
        elsewhere: the first few of those, as Flink writes them.
        size: bytes of the `_metadata` file itself.
        checkpoint_id: Flink's number of it.
        version, narrowest, stateful: see `penstock.verdict.Verification`.
        splits: where its sources go on, as far as the `_metadata` file says.
    """

    files: Mapping[str, int]
    outside: int
    elsewhere: tuple[str, ...]
    size: int
    checkpoint_id: int
    narrowest: tuple[str, int] | None = None
    splits: Splits = field(default_factory=Splits)
    stateful: tuple[tuple[str, str, int], ...] = ()
    version: int | None = None


def complete_states(home: str, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys of all `_metadata` of complete states among the keys of a job's directory (with the slash)."""
    return tuple(key for key in keys if key.startswith(home) and _STATE.fullmatch(key, len(home)))


async def needs_of(store: ObjectStore, home: str, metadata: str) -> Needs | None:
    """What the state with this `_metadata` key needs; None when there is no such key.

    Raises:
        Unreadable: it is not a `_metadata` file, or names more than `LIMIT` files.
        RetryLater, Refused: the store did not answer, or did not allow it.
    """
    files: dict[str, int] = {}
    elsewhere: list[str] = []
    outside = 0

    def note(reference: FileReference) -> None:
        nonlocal outside
        key = key_of(store.place, metadata, reference.path)
        if key is None or not key.startswith(home):
            outside += 1
            if len(elsewhere) < _FEW:
                elsewhere.append(reference.path[:200])
            return
        files[key] = max(files.get(key, 0), reference.at_least)
        if len(files) > LIMIT:
            raise Unreadable(metadata, f"it names more than {LIMIT} files")

    summary = await _scan(store, metadata, note)
    if summary is None:
        return None
    operators = summary.operators
    needs = Needs(files, outside, tuple(elsewhere), summary.size, summary.checkpoint_id, splits=summary.splits)
    return replace(needs, narrowest=narrowest_of(operators), stateful=stateful_of(operators), version=summary.version)


def narrowest_of(operators: Iterable[Operator]) -> tuple[str, int] | None:
    """Name and max parallelism of the operator that limits the job's parallelism the most.

    Only those count that had the parallelism of the job: what a job runs with less on purpose it will again. A max
    parallelism of 1 is such a purpose, too.
    """
    split = [each for each in operators if each.max_parallelism > 1]
    highest = max((each.parallelism for each in split), default=0)
    own = [each for each in split if each.parallelism == highest]
    least = min(own, key=lambda each: each.max_parallelism, default=None)
    return None if least is None else (least.name or least.uid or least.id, least.max_parallelism)


def stateful_of(operators: Iterable[Operator]) -> tuple[tuple[str, str, int], ...]:
    """Id, name and max parallelism of those that a program must have a place for.

    As Flink reckons: some subtask of theirs has state, or their coordinator, which sources and some sinks have.
    """
    with_state = (each for each in operators if each.inline_bytes or each.coordinator_bytes or each.references)
    return tuple((each.id, each.name or each.uid or "", each.max_parallelism) for each in with_state)


async def all_needs(store: ObjectStore, home: str) -> dict[str, Needs]:
    """What every complete state of a job's directory needs, by the key of its `_metadata`.

    Raises:
        Unreadable: one of them is; then nothing can be said of the job.
        RetryLater, Refused: the store did not answer, or did not allow it.
    """
    listed = [*await store.list(home + "checkpoints/"), *await store.list(home + "savepoints/")]
    states = complete_states(home, (item.key for item in listed))
    found = await _each(states, partial(needs_of, store, home))
    return {state: needs for state, needs in zip(states, found, strict=True) if needs is not None}


async def unnamed(store: ObjectStore, states: Iterable[str], keys: Iterable[str]) -> set[str]:
    """Those of the keys that none of the states (keys of `_metadata`) names. A state that is gone names nothing.

    Memory grows with the keys, not with what the states name.

    Raises:
        Unreadable: one of the states is; then nothing may be deleted.
        RetryLater, Refused: the store did not answer, or did not allow it.
    """
    left = set(keys)

    async def read(metadata: str) -> None:
        def note(reference: FileReference) -> None:
            key = key_of(store.place, metadata, reference.path)
            if key is not None:
                left.discard(key)

        await _scan(store, metadata, note)

    await _each(tuple(states), read)
    return left


def key_of(place: Place, metadata: str, path: str) -> str | None:
    """The key of a file that a `_metadata` names; None when it is not in this bucket.

    Raises:
        Unreadable: `.`, `..` or nothing between two slashes: which file is meant depends on who reads it.
    """
    match = _S3.fullmatch(path)
    if match is None or match["bucket"] != place.bucket:
        return None
    if not {"", ".", ".."}.isdisjoint(match["key"].split("/")):
        raise Unreadable(metadata, f"it names {path[:200]!a}, which is no plain path")
    return match["key"]


async def _scan(store: ObjectStore, metadata: str, emit: Callable[[FileReference], None]) -> Summary | None:
    directory = store.place.uri(metadata.removesuffix("/" + METADATA))
    try:
        return await store.consume(metadata, partial(scan, directory=directory, emit=emit))
    except MetadataError as error:
        version = error.version if isinstance(error, UnknownVersionError) else None
        raise Unreadable(metadata, str(error), version) from error


async def _each(states: tuple[str, ...], work: Callable[[str], Awaitable[_T]]) -> list[_T]:
    """The work for each state, a few at once; when some fail, the first error, after all have ended."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def guarded(state: str) -> _T:
        async with gate:
            return await work(state)

    answers = await asyncio.gather(*map(guarded, states), return_exceptions=True)
    found = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    return found
