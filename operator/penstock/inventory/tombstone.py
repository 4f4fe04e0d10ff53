"""The record of a deletion, in `tombstones/<checkpoint uid>.json`: written before anything goes, removed after all.

Once a `_metadata` is deleted nobody else knows what it named: the tombstone's list is how a deletion that was killed
goes on. It lies where the job may write, so that no key of it is believed without being looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.store.client import ObjectStore

_VERSION = 2
"""1 was a list of keys for people, which nothing read."""


@dataclass(frozen=True)
class Subject:
    """What is to be deleted, and for whom.

    Attributes:
        home: key prefix of the job's directory, with the slash.
        directory: key prefix of the state, with the slash: `savepoints/<uid>/` or `checkpoints/<run>/chk-N/` in it.
        checkpoint: name of the Checkpoint, for people.
        uid: its uid, which names the tombstone.
        time: when this pass was made, RFC 3339, for people.
    """

    home: str
    directory: str
    checkpoint: str
    uid: str
    time: str


@dataclass(frozen=True)
class Tombstone:
    """What is still to be deleted, and what has been freed.

    Attributes:
        directory: key prefix of the state, with the slash.
        keys: each key that is to go, to its bytes.
        freed: bytes that had been freed before this list was made.
    """

    directory: str
    keys: Mapping[str, int]
    freed: int = 0


async def load(store: ObjectStore, home: str, uid: str) -> Tombstone | None:
    """The tombstone of a deletion; None when there is none, or none that this version wrote.

    Raises:
        RetryLater, Refused: the store did not answer, or did not allow it.
    """
    return parse(home, await store.read_json(store.place.tombstone(home, uid)))


def parse(home: str, content: Mapping[str, Any] | None) -> Tombstone | None:
    """A tombstone's JSON; None when it is not one, or names something outside of the job's directory."""
    if content is None or content.get("version") != _VERSION:
        return None
    directory, keys, freed = content.get("directory"), content.get("keys"), content.get("freed")
    if not isinstance(directory, str) or not isinstance(keys, dict) or not isinstance(freed, int):
        return None
    if not all(_is_plain(key) and _is_size(size) for key, size in keys.items()) or not _is_plain(directory):
        return None
    return Tombstone(home + directory, {home + key: size for key, size in keys.items()}, freed)


async def counted_by_others(store: ObjectStore, subject: Subject) -> set[str]:
    """The keys that deletions of other states of the job have begun with and will count as freed by them.

    Raises:
        RetryLater, Refused: the store did not answer, or did not allow it.
    """
    own = store.place.tombstone(subject.home, subject.uid)
    found: set[str] = set()
    for item in await store.list(own.removesuffix(f"{subject.uid}.json")):
        other = parse(subject.home, await store.read_json(item.key)) if item.key != own else None
        found |= {key for key, size in other.keys.items() if size} if other is not None else set()
    return found


async def write(store: ObjectStore, subject: Subject, tombstone: Tombstone) -> None:
    """Write it. Keys are kept relative to the job's directory: there may be 100,000 of them."""
    head = len(subject.home)
    content = {
        "version": _VERSION,
        "checkpoint": subject.checkpoint,
        "uid": subject.uid,
        "time": subject.time,
        "directory": tombstone.directory[head:],
        "keys": {key[head:]: size for key, size in tombstone.keys.items()},
        "bytes": sum(tombstone.keys.values()),
        "freed": tombstone.freed,
    }
    await store.write_json(store.place.tombstone(subject.home, subject.uid), content)


async def forget(store: ObjectStore, home: str, uid: str) -> None:
    """Remove it: what it says has been recorded."""
    await store.delete([store.place.tombstone(home, uid)])


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_plain(key: str) -> bool:
    """Names with slashes between them; one at the end is that of a directory's marker, which some clients write."""
    return {"", ".", ".."}.isdisjoint(key.removesuffix("/").split("/"))
