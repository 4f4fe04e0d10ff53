"""The work of `penstock orphans`: look, choose, and remove one after the other. Imported late: it needs boto3."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from penstock import clock
from penstock.api.base import format_time
from penstock.api.quantity import display_bytes
from penstock.cli.cluster import Cluster, connect
from penstock.cli.remote import Login, Remote
from penstock.errors import PenstockError, Refused
from penstock.inventory.leftovers import Kind, Known
from penstock.inventory.mark import check_mark, read_mark
from penstock.inventory.orphans import Orphan, find
from penstock.inventory.orphans import remove as remove_slice
from penstock.observe.known import read_known
from penstock.store.client import ObjectStore

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What the user wants.

    Attributes:
        store: name of the CheckpointStore.
        where: places that were named; empty: all.
        remove: whether something is to be removed, or would be.
        yes: whether it is really to be removed.
        minimum_age: what is younger stays.
    """

    store: str
    where: tuple[str, ...]
    remove: bool
    yes: bool
    minimum_age: timedelta


async def run(asked: Asked, login: Login, remote: Remote, tell: Tell) -> dict[str, Any]:
    """Look, and remove when that is wanted; what is printed as JSON.

    Raises:
        Refused: the store is not this cluster's, what Kubernetes knows cannot be read, or a place is no orphan.
        RetryLater, Stale: somebody did not answer. Nothing was removed when it raises.
    """
    async with connect(login) as cluster:
        store = await cluster.open(await cluster.checkpoint_store(asked.store), remote)
        look = partial(_known, cluster, store)
        report = await find(store, await look(), clock.now(), minimum_age=asked.minimum_age)
        chosen = _chosen(store, report.orphans, asked.where)
        going = [each for each in chosen if each.removable and (asked.where or not each.restorable)]
        entries = {each: _entry(store, each) for each in chosen}
        if asked.yes:
            stopped = ""
            for orphan in chosen if asked.where else going:
                outcome, stopped = await _remove(store, orphan, look, asked.minimum_age, stopped)
                entries[orphan].update(outcome)
                tell(_line(entries[orphan]))
            tell(_sum(entries.values()))
    size = sum(each.size for each in going)
    goes = {"count": len(going), "bytes": size, "sizeText": display_bytes(size)}
    return {
        "store": asked.store,
        "location": store.place.uri(store.place.key()),
        "count": len(chosen),
        "bytes": sum(each.size for each in chosen),
        "orphans": list(entries.values()),
        "goes": goes if asked.remove and not asked.yes else None,
        "unread": list(report.unread),
    }


async def _known(cluster: Cluster, store: ObjectStore) -> Known:
    """What is known now, for a store that is this cluster's now."""
    check_mark(store, await read_mark(store), cluster.uid)
    return await read_known(cluster.kube)


async def _remove(
    store: ObjectStore, orphan: Orphan, look: Callable[[], Awaitable[Known]], minimum_age: timedelta, stopped: str
) -> tuple[dict[str, Any], str]:
    """Remove one to its end. Whose store it is, and what is known, is read anew before each slice.

    The second value is why none of the others may be tried; it is handed in again with them.
    """
    freed, done = 0, False
    trouble = f"not tried: {stopped}" if stopped else ""
    while not done and not trouble:
        try:
            known = await look()
        except PenstockError as error:
            trouble = stopped = str(error)
            continue
        try:
            progress = await remove_slice(store, orphan, known, clock.now(), minimum_age=minimum_age, again=look)
            freed, done = max(freed, progress.freed), progress.done
        except Refused as error:
            trouble = str(error)
        except PenstockError as error:  # the store does not answer: the others would wait for it, too
            trouble = stopped = str(error)
    return {"removed": done, "freed": freed} | ({"trouble": trouble} if trouble else {}), stopped


def _chosen(store: ObjectStore, found: Sequence[Orphan], where: tuple[str, ...]) -> list[Orphan]:
    """The orphans at the places that were named; all when none was.

    Raises:
        Refused: one of the places is not that of an orphan.
    """
    if not where:
        return list(found)
    by_place = {_where(store, each): each for each in found}
    begun = {_where(store, each): each for each in map(_begun, found) if each is not None}
    chosen: dict[str, Orphan] = {}
    for text in where:
        place = _plain(store, text)
        orphan = by_place.get(place) or by_place.get(f"{place}/") or begun.get(f"{place.rstrip('/')}/")
        if orphan is None:
            raise Refused(f"{text} is no orphan of this store: nothing was removed", "NotAnOrphan")
        chosen[place] = orphan
    return list(dict.fromkeys(chosen.values()))


def _begun(orphan: Orphan) -> Orphan | None:
    """The savepoint whose removal a tombstone tells of: who names it again wants it to be gone on with."""
    if orphan.kind is not Kind.TOMBSTONE:
        return None
    uid = orphan.prefix.rpartition("/")[2].removesuffix(".json")
    place = f"{orphan.home}savepoints/{uid}/"
    return replace(orphan, kind=Kind.SAVEPOINT, prefix=place, restorable=True, kept="")


def _plain(store: ObjectStore, text: str) -> str:
    """A place as the table shows it, from that or from a URI."""
    head = store.place.uri(store.place.key())
    return text.removeprefix(head.rstrip("/") + "/") if text.startswith(head) else text


def _where(store: ObjectStore, orphan: Orphan) -> str:
    head = store.place.key()
    return orphan.prefix[len(head) + 1 :] if head else orphan.prefix


def _entry(store: ObjectStore, orphan: Orphan) -> dict[str, Any]:
    return {
        "kind": orphan.kind.value,
        "where": _where(store, orphan),
        "location": store.place.uri(orphan.prefix),
        "keys": orphan.keys,
        "bytes": orphan.size,
        "sizeText": display_bytes(orphan.size),
        "oldest": format_time(orphan.oldest),
        "newest": format_time(orphan.newest),
        "restorable": orphan.restorable,
        "why": orphan.why,
        "removable": orphan.removable,
        "kept": orphan.kept,
    }


def _line(entry: dict[str, Any]) -> str:
    if entry["removed"]:
        return f"removed {entry['where']}: {display_bytes(entry['freed'])}"
    return f"NOT removed {entry['where']}: {entry['trouble']}"


def _sum(entries: Collection[dict[str, Any]]) -> str:
    removed = [each for each in entries if each.get("removed")]
    left = len(entries) - len(removed)
    return f"removed {len(removed)}, {display_bytes(sum(each['freed'] for each in removed))}; {left} left"
