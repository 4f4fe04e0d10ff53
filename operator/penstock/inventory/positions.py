"""Where a state's Kafka sources go on: out of its `_metadata`, and out of the few files beside it that hold the rest.

What cannot be read, for whatever reason, is counted as unread: nothing waits for it, and nothing fails.
"""

from __future__ import annotations

import asyncio
from functools import partial

from penstock.errors import PenstockError
from penstock.flink.metadata import Elements, FileReference, MetadataError, Splits, Summary, scan
from penstock.inventory.references import key_of
from penstock.store.client import ObjectStore
from penstock.store.layout import METADATA
from penstock.verdict import Positions

_AT_ONCE = 4
_READS = 256
"""So many parts of files are fetched for a state; a subtask has one, and only where its state is not in the file."""
_LARGEST = 1 << 20
"""Bytes of a part that is fetched: 20,000 partitions, more or less."""


async def positions_of(store: ObjectStore, metadata: str, splits: Splits, home: str) -> Positions:
    """The positions that the scan of a `_metadata` (its key) has found, and those in files below `home`."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch(elements: Elements) -> tuple[Elements, bytes | None]:
        async with gate:
            return elements, await _span(store, metadata, elements, home)

    found = await asyncio.gather(*map(fetch, splits.elsewhere[:_READS]))
    for elements, span in found:
        if span is None:
            splits.missed(elements)
        else:
            splits.take_from(span, elements.span[0], elements)
    for elements in splits.elsewhere[_READS:]:
        splits.missed(elements)
    return Positions(dict(sorted(splits.positions.items())), splits.unread)


async def read_positions(store: ObjectStore, location: str) -> Positions | None:
    """The positions of a state of which nothing else is wanted; None when it is gone, or cannot be read.

    Raises:
        RetryLater, Refused: the store did not answer, or did not allow it.
    """
    directory = store.place.key_of(location)
    home = store.place.home_of(f"{directory}/") if directory else None
    if directory is None or home is None:
        return None
    metadata = f"{directory}/{METADATA}"

    try:
        summary: Summary | None = await store.consume(metadata, partial(scan, directory=location, emit=_pass_over))
    except MetadataError:
        return None
    return await positions_of(store, metadata, summary.splits, home) if summary is not None else None


def _pass_over(_: FileReference) -> None:
    """Which files it needs is not asked here."""


async def _span(store: ObjectStore, metadata: str, elements: Elements, home: str) -> bytes | None:
    begin, length = elements.span
    try:
        key = key_of(store.place, metadata, elements.path)
        if key is None or not key.startswith(home) or length > _LARGEST:
            return None
        return await store.read(key, first=length, after=begin)
    except PenstockError:
        return None
