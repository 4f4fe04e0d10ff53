"""The store's client against a real S3 server: what it gives, and how fast a deletion is."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from penstock.errors import Refused, RetryLater
from penstock.inventory import tombstone
from penstock.inventory.deletion import Progress, delete_retained, delete_savepoint
from penstock.inventory.verification import verify
from penstock.store.client import ObjectStore
from tests.unit.builders import HOME, uid
from tests.unit.inventory.lake import chk, metadata, shared, subject

Clients = Callable[..., ObjectStore]
TARGET = f"{HOME}savepoints/{uid(1)}/"


def put(store: ObjectStore, objects: Iterable[tuple[str, bytes]]) -> None:
    def one(pair: tuple[str, bytes]) -> None:
        store._s3.put_object(Bucket=store.place.bucket, Key=pair[0], Body=pair[1])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, objects))


def counted(store: ObjectStore) -> list[int]:
    """How many keys each call to delete had."""
    calls: list[int] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(len(params["Delete"]["Objects"]))

    store._s3.meta.events.register("provide-client-params.s3.DeleteObjects", note)
    return calls


async def to_the_end(work: Callable[[], Awaitable[Progress]]) -> Progress:
    """Call it again until it is done, as passes do; on a busy machine one slice may not be enough."""
    for _ in range(20):
        progress = await work()
        if progress.done:
            return progress
    pytest.fail(f"not done: {progress}")


async def keys(store: ObjectStore, prefix: str = HOME) -> list[str]:
    return [item.key for item in await store.list(prefix)]


async def test_two_thousand_keys_go_in_three_calls_and_under_five_seconds(s3: Clients, record_property: Any) -> None:
    store = s3()
    inside = f"{TARGET}savepoint-aaaaaa-000000000001/"
    files = {f"{inside}{number:05}": b"x" * 100 for number in range(1998)}
    whole = files | {f"{inside}_metadata": metadata(dict.fromkeys(files, 100)), f"{TARGET}penstock.json": b"{}"}
    put(store, whole.items())
    calls = counted(store)
    before = time.monotonic()
    progress = await to_the_end(lambda: delete_savepoint(store, subject(TARGET)))
    seconds = time.monotonic() - before
    record_property("seconds", seconds)
    print(f"2000 keys deleted in {seconds:.2f} s, calls of {calls} keys")
    assert progress.freed == sum(map(len, whole.values()))
    assert calls == [1, 1000, 999]
    assert seconds < 5
    assert await keys(store) == [store.place.tombstone(HOME, uid(1))]
    await tombstone.forget(store, HOME, uid(1))
    assert await keys(store) == []


async def test_a_retained_checkpoint_goes_and_its_neighbour_stays_whole(s3: Clients) -> None:
    store = s3()
    ours = {shared(f"{number:05}"): b"y" * 10 for number in range(1500)}
    common = {shared("common"): b"z" * 50}
    put(store, (ours | common).items())
    sizes = {key: len(data) for key, data in (ours | common).items()}
    put(store, {f"{chk(7)}_metadata": metadata(sizes), f"{chk(8)}_metadata": metadata({shared("common"): 50})}.items())
    assert (await verify(store, store.place.uri(chk(7).rstrip("/")))).whole
    calls = counted(store)
    await to_the_end(lambda: delete_retained(store, subject(chk(7)), run_ended=True))
    assert calls == [1, 1000, 500]
    assert (await verify(store, store.place.uri(chk(8).rstrip("/")))).whole
    assert await keys(store) == sorted([f"{chk(8)}_metadata", shared("common"), store.place.tombstone(HOME, uid(1))])
    await to_the_end(lambda: delete_retained(store, subject(chk(8), 2), run_ended=True))
    for number in (1, 2):
        await tombstone.forget(store, HOME, uid(number))
    assert await keys(store) == []


async def test_markers_of_directories_go_along(s3: Clients) -> None:
    store = s3()
    run = chk(7).removesuffix("chk-7/")
    markers = {f"{run}shared/": b"", f"{run}taskowned/": b"", chk(7): b""}
    put(store, (markers | {shared("a"): b"x", f"{chk(7)}_metadata": metadata({shared("a"): 1})}).items())
    assert set(markers) <= set(await keys(store))
    assert (await to_the_end(lambda: delete_retained(store, subject(chk(7)), run_ended=True))).freed > 1
    assert await keys(store) == [store.place.tombstone(HOME, uid(1))]


async def test_what_the_client_gives(s3: Clients) -> None:
    store = s3()
    put(store, {"team/a": b"12345", "team/empty": b""}.items())
    found = await store.head("team/a")
    assert found is not None
    assert (found.size, found.modified.tzinfo is not None) == (5, True)
    assert await store.head("team/none") is None
    assert await store.read("team/empty", first=16) == b""
    assert await store.read("team/a", first=2, after=1) == b"23"
    assert await store.read("team/a", first=9, after=3) == b"45"
    assert await store.read("team/a", first=9, after=5) == b""
    assert await store.read_json("team/empty") is None

    def join(chunks: Iterator[bytes]) -> bytes:
        return b"".join(chunks)

    assert await store.consume("team/a", join) == b"12345"
    assert await store.consume("team/none", join) is None
    await store.delete(["team/a", "team/none", "team/empty"])
    assert await keys(store, "team/") == []


async def test_access_denied_is_said_in_the_stores_word(s3: Clients) -> None:
    with pytest.raises(Refused) as refused:
        await delete_savepoint(s3(secret_key=secrets.token_hex(4)), subject(TARGET))
    assert refused.value.reason == "SignatureDoesNotMatch"


async def test_a_store_that_is_down_is_tried_later(s3: Clients) -> None:
    with pytest.raises(RetryLater):
        await delete_savepoint(s3(endpoint="http://127.0.0.1:9"), subject(TARGET))


async def test_of_two_that_take_a_place_in_the_same_moment_one_has_it(s3: Clients) -> None:
    """Two clusters, one prefix: both read that it is nobody's, and each read its own mark back."""
    store = s3()
    key = store.place.mark()
    await asyncio.gather(*(store.create_json(key, {"cluster": str(number)}) for number in range(8)))
    first = await store.read_json(key)
    await asyncio.gather(*(store.create_json(key, {"cluster": str(number)}) for number in range(8, 16)))
    assert await store.read_json(key) == first
