"""The mark of a store, `<prefix>/penstock.json`: which cluster's it is, by the uid of its namespace kube-system.

In another cluster's store nothing is written, and nothing there is nobody's.
"""

from __future__ import annotations

from typing import Any

from penstock.errors import Refused
from penstock.store.client import ObjectStore

ANOTHER_CLUSTER = "AnotherCluster"
"""Reason of a CheckpointStore's Ready condition when its mark is not this cluster's."""


async def read_mark(store: ObjectStore) -> dict[str, Any] | None:
    """The mark; None when there is none.

    Raises:
        Refused: what lies there is not Penstock's (`MarkUnreadable`), or the store said no.
        RetryLater: it did not answer.
    """
    key = store.place.mark()
    mark = await store.read_json(key)
    if mark is None and await store.read(key) is not None:
        msg = f"{store.place.uri(key)} is not Penstock's mark: choose another prefix, or remove that object"
        raise Refused(msg, "MarkUnreadable")
    return mark


async def take(store: ObjectStore, mark: dict[str, Any]) -> None:
    """Make a store that is nobody's that of `mark["cluster"]`; when another is first, that one's mark stays."""
    await store.create_json(store.place.mark(), mark)


async def write_mark(store: ObjectStore, mark: dict[str, Any]) -> None:
    """Make the store that of `mark["cluster"]`, whosever it was."""
    await store.write_json(store.place.mark(), mark)


def check_mark(store: ObjectStore, mark: dict[str, Any] | None, cluster: str) -> None:
    """Go on only when the mark is that of this cluster.

    Raises:
        Refused: it is another's (`AnotherCluster`), or there is none (`MarkMissing`).
    """
    where = store.place.uri(store.place.mark())
    if mark is None:
        msg = f"there is no mark {where}: whose store this is nobody knows until the operator has made it Ready"
        raise Refused(msg, "MarkMissing")
    if mark.get("cluster") != cluster:
        msg = (
            f"{where} marks this place as that of cluster {mark.get('cluster')}, this one is {cluster}: choose another "
            "prefix in a new CheckpointStore, or adopt it (penstock adopt) when that cluster is lost for good"
        )
        raise Refused(msg, ANOTHER_CLUSTER)
