"""Is a state whole: does every file that its `_metadata` names lie there with its size?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from penstock.errors import Refused
from penstock.inventory.positions import positions_of
from penstock.inventory.references import Needs, Unreadable, needs_of
from penstock.store.client import ObjectStore
from penstock.store.layout import METADATA
from penstock.verdict import Verification

_ONE_BY_ONE = 8
"""Up to so many files of a directory are asked for one by one; a listing is up to 1000 keys a call."""
_FEW = 5


async def verify(store: ObjectStore, location: str, *, within: str | None = None) -> Verification:
    """Look whether every file is there that a state needs.

    Args:
        store: where it lies.
        location: URI of the checkpoint's or savepoint's directory.
        within: key prefix (with the slash) outside of which nothing is looked at. Without it: the job's directory, or,
            for what lies in none, the directory above the checkpoint's.

    Raises:
        Refused: the location is not in this store, or the store did not allow it.
        RetryLater: the store did not answer: nobody knows. This never counts as missing.
    """
    directory = store.place.key_of(location)
    if not directory or not {"", ".", ".."}.isdisjoint(directory.split("/")):
        raise Refused(f"{location} is not in bucket {store.place.bucket}", "PlaceNotOurs")
    root = within or store.place.home_of(f"{directory}/") or _above(directory)
    metadata = f"{directory}/{METADATA}"
    try:
        needs = await needs_of(store, root, metadata)
    except Unreadable as error:
        return Verification(unreadable=error.why, version=error.version)
    if needs is None:
        return Verification(unreadable="there is none", gone=True)
    found, head = await _compare(store, needs), await store.head(metadata)
    if head is None:
        # Flink has taken it away meanwhile, `_metadata` first or last: it is gone, not broken.
        return Verification(unreadable="it has gone meanwhile", gone=True)
    positions = await positions_of(store, metadata, needs.splits, root)
    told = replace(found, checkpoint_id=needs.checkpoint_id, written=head.modified, positions=positions)
    return replace(told, narrowest=needs.narrowest, stateful=needs.stateful, version=needs.version)


def _above(directory: str) -> str:
    """The key prefix of the directory above, with the slash; of one at the top the whole bucket."""
    parent = directory.rpartition("/")[0]
    return f"{parent}/" if parent else ""


async def _compare(store: ObjectStore, needs: Needs) -> Verification:
    missing = 0
    names: list[str] = []
    for prefix, files in sorted(_by_directory(needs.files).items()):
        sizes = await _sizes(store, prefix, files)
        for key, size in files.items():
            there = sizes.get(key)
            if there is not None and there >= size:
                continue
            missing += 1
            if len(names) < _FEW:
                names.append(f"{key} (missing)" if there is None else f"{key} ({there} of {size} bytes)")
    return Verification(
        len(needs.files) + 1, sum(needs.files.values()) + needs.size, missing, tuple(names), needs.outside
    )


def _by_directory(files: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """By key prefix to list. The directories `job_…` of merged files go together: there can be one for each subtask."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, size in files.items():
        parts = key.split("/")[:-1]
        if parts and parts[-1].startswith("job_"):
            parts.pop()
        found["/".join([*parts, ""])][key] = size
    return found


async def _sizes(store: ObjectStore, prefix: str, files: Mapping[str, int]) -> dict[str, int]:
    if len(files) > _ONE_BY_ONE:
        return {item.key: item.size for item in await store.list(prefix) if item.key in files}
    heads = [await store.head(key) for key in files]
    return {item.key: item.size for item in heads if item is not None}
