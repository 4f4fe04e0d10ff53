"""Effects in the store: in the right order, again after a crash, and never outside of the job's directory."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.act import carry_out
from penstock.errors import Refused, RetryLater
from penstock.model import (
    DeleteCheckpointData,
    DeleteHighAvailability,
    DeleteJobData,
    DeleteKeys,
    DeleteRetainedData,
    ForgetDeletion,
    StoreView,
    WriteNote,
)
from tests.unit.builders import (
    HOME,
    JOB_UID,
    OLD_RUN,
    PLACE,
    RUN,
    checkpoint,
    job,
    retained,
    run_objects,
    savepoint,
    target,
    uid,
)
from tests.unit.fakes import FakeStore
from tests.unit.inventory.lake import Lake
from tests.unit.world import FakeWorld, seen

DIRECTORY = f"{HOME}savepoints/{uid(1)}/"
SAVEPOINT = f"{PLACE.key_of(savepoint(1))}/"
METADATA, NOTE = f"{SAVEPOINT}_metadata", f"{DIRECTORY}penstock.json"
FILES = [f"{SAVEPOINT}{each}" for each in ("0a", "1b", "ffff")]
TOMBSTONE = f"{HOME}tombstones/{uid(1)}.json"
OTHERS = [f"{HOME}savepoints/{uid(2)}/savepoint-x/_metadata", f"{PLACE.key_of(retained(7))}/_metadata"]
MINE = checkpoint(phase="Present")
DELETE = DeleteCheckpointData("before", target(1))


def full() -> FakeStore:
    return FakeStore(dict.fromkeys([METADATA, *FILES, *OTHERS], b"x") | {NOTE: {"uid": uid(1)}})


async def act(held: FakeStore, effect: Any, *checkpoints: Any, **more: Any) -> None:
    world: Any = FakeWorld(store=held)
    await carry_out(world, seen(*(checkpoints or (MINE,)), job=job(), **more), effect)


async def test_the_tombstone_comes_first_then_the_metadata_and_the_note_last():
    store = full()
    await act(store, DELETE)
    assert set(store.keys) == {*OTHERS, TOMBSTONE}
    writes = [call for call in store.calls if call[0] in ("write", "delete")]
    assert writes[:2] == [("write", TOMBSTONE), ("delete", METADATA)]
    assert writes[-2:] == [("delete", NOTE), ("write", TOMBSTONE)]
    await act(store, ForgetDeletion("before"))
    assert set(store.keys) == set(OTHERS)


async def test_the_tombstone_says_what_is_deleted_and_afterwards_what_was_freed():
    store, told = full(), {}

    def watch(verb: str, key: str) -> None:
        if verb == "delete" and key == METADATA:
            told.update(store.keys[TOMBSTONE])

    store.before = watch
    await act(store, DELETE)
    assert (told["checkpoint"], told["uid"], told["freed"]) == ("before", uid(1), 0)
    assert {HOME + key for key in told["keys"]} == {METADATA, NOTE, *FILES}
    left = store.keys[TOMBSTONE]
    assert isinstance(left, dict)
    assert (left["keys"], left["freed"]) == ({}, 50)


@pytest.mark.parametrize("position", range(1, 14))
async def test_after_a_crash_at_any_place_the_next_pass_goes_on(position):
    store, count = full(), 0

    def crash(*_: str) -> None:
        nonlocal count
        count += 1
        if count == position:
            raise RetryLater("the operator died")

    store.before = crash
    crashed = False
    try:
        await act(store, DELETE)
    except RetryLater:
        crashed = True
        if any(key in store.keys for key in FILES) and METADATA not in store.keys:
            assert TOMBSTONE in store.keys
        if METADATA in store.keys:
            assert all(key in store.keys for key in FILES)
    store.before = lambda *_: None
    await act(store, DELETE)
    assert set(store.keys) == {*OTHERS, TOMBSTONE}
    left = store.keys[TOMBSTONE]
    assert isinstance(left, dict)
    assert left["freed"] == 50
    assert crashed == (count >= position)


OUTSIDE = {
    "another bucket": f"s3://other/{DIRECTORY}",
    "another job": target(1).replace("/flights-1111", "/others-1111"),
    "another namespace": target(1).replace("/flights/", "/others/"),
    "the whole job": PLACE.uri(HOME),
    "all savepoints": PLACE.uri(f"{HOME}savepoints/"),
    "up": target(1) + "../",
    "nothing": "",
}


@pytest.mark.parametrize("place", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("effect", [DELETE, WriteNote("before"), DeleteKeys("before", target(1), (FILES[0],))])
async def test_what_is_not_ours_is_refused(place, effect):
    store = full()
    before = dict(store.keys)
    with pytest.raises(Refused) as refused:
        await act(store, effect, checkpoint(phase="Present", status={"target_directory": place}))
    assert refused.value.reason == "PlaceNotOurs"
    assert store.keys == before


@pytest.mark.parametrize("key", [*OTHERS, f"{HOME}ha/x", "elsewhere", DIRECTORY.rstrip("/")])
async def test_a_key_outside_of_the_directory_is_refused_with_all_others(key):
    store = full()
    with pytest.raises(Refused):
        await act(store, DeleteKeys("before", target(1), (FILES[0], key)))
    assert store.deleted == []


async def test_leftovers():
    store = full()
    await act(store, DeleteKeys("before", target(1), (FILES[0],)))
    assert store.deleted == [FILES[0]]


async def test_the_note():
    store = FakeStore()
    await act(store, WriteNote("before"), checkpoint(phase="Creating", description="before the fix"))
    told = store.keys[NOTE]
    assert isinstance(told, dict)
    assert (told["namespace"], told["job"], told["checkpoint"], told["uid"]) == ("flights", "flights", "before", uid(1))
    assert (told["description"], told["source"], told["run"], told["jobVersion"]) == (
        "before the fix",
        "Manual",
        RUN,
        1,
    )


async def test_the_jobs_directory_but_what_checkpoints_still_name():
    store = full()
    store.keys |= {f"{HOME}ha/{RUN}/x": b"", "team/flights/flights-two/x": b"", f"{DIRECTORY[:-1]}0/x": b""}
    await act(store, DeleteJobData(JOB_UID, (target(1),)))
    assert set(store.keys) == {METADATA, NOTE, *FILES, "team/flights/flights-two/x"}
    assert store.deleted[0].endswith("/_metadata")


async def test_another_uid_of_the_same_name_is_another_directory():
    store = full()
    await act(store, DeleteJobData("99999999-1111-4111-8111-111111111111", ()))
    assert store.deleted == []


async def test_ha_data_of_one_run_only():
    store = FakeStore({f"{HOME}ha/{RUN}/x": b"", f"{HOME}ha/{OLD_RUN}/x": b"", METADATA: b""})
    await act(store, DeleteHighAvailability(RUN))
    assert store.deleted == [f"{HOME}ha/{RUN}/x"]


@pytest.mark.parametrize("effect", [DELETE, WriteNote("before"), DeleteJobData(JOB_UID, ())])
async def test_without_a_store_it_is_tried_later(effect):
    with pytest.raises(RetryLater, match="there is none"):
        await act(FakeStore(), effect, store=StoreView(problem="there is none"))


# ---------------------------------------------------------------- retained checkpoints

CHK, NEXT = f"{HOME}checkpoints/{OLD_RUN}/chk-7/", f"{HOME}checkpoints/{OLD_RUN}/chk-8/"
SHARED = [f"{HOME}checkpoints/{OLD_RUN}/shared/{name}" for name in "ab"]
OF_FLINK = {"target_directory": None, "location": retained(7, OLD_RUN), "run": OLD_RUN}
TAKE = DeleteRetainedData("before", retained(7, OLD_RUN), run_ended=True)


def shared() -> Lake:
    lake = Lake()
    lake.add_state(CHK, dict.fromkeys(SHARED, 5), 7)
    lake.add_state(NEXT, {SHARED[1]: 5}, 8)
    return lake


def kept(**status: Any) -> Any:
    return checkpoint(phase="Present", source="Retained", origin={"run": OLD_RUN}, status=OF_FLINK | status)


async def test_a_retained_checkpoint_goes_without_what_its_neighbour_names():
    store = shared()
    await act(store, TAKE, kept())
    assert set(store.keys) == {f"{NEXT}_metadata", SHARED[1], TOMBSTONE}
    await act(store, ForgetDeletion("before"), kept())
    assert TOMBSTONE not in store.keys


LIVE: dict[str, dict[str, Any]] = {
    "Kubernetes holds something of it": {"runs": (run_objects(OLD_RUN),)},
    "decide did not say so": {"effect": DeleteRetainedData("before", retained(7, OLD_RUN), run_ended=False)},
}


@pytest.mark.parametrize("more", LIVE.values(), ids=LIVE)
async def test_while_its_run_may_write_it_is_flinks(more):
    store = shared()
    with pytest.raises(Refused) as refused:
        await act(store, more.get("effect", TAKE), kept(), **{k: v for k, v in more.items() if k != "effect"})
    assert refused.value.reason == "RunIsLive"
    assert store.deleted == []


@pytest.mark.parametrize("effect", [TAKE, ForgetDeletion("before")])
@pytest.mark.parametrize(
    "location", [retained(7, OLD_RUN).replace("/flights-1111", "/others-1111"), PLACE.uri(HOME), "s3://other/x", None]
)
async def test_a_retained_place_that_is_not_ours_is_refused(location, effect):
    store = shared()
    with pytest.raises(Refused) as refused:
        await act(store, effect, kept(location=location))
    assert refused.value.reason == "PlaceNotOurs"
    assert store.deleted == []


async def test_the_jobs_directory_goes_but_what_a_kept_retained_one_names():
    store = shared()
    store.add({f"{HOME}ha/x": 1, f"{NEXT}own": 2})
    await act(store, DeleteJobData(JOB_UID, (retained(8, OLD_RUN),)))
    assert set(store.keys) == {f"{NEXT}_metadata", f"{NEXT}own", SHARED[1]}


async def test_nothing_of_the_job_goes_when_what_is_kept_cannot_be_read():
    store = shared()
    store.keys[f"{NEXT}_metadata"] = b"broken"
    with pytest.raises(Refused) as refused:
        await act(store, DeleteJobData(JOB_UID, (retained(8, OLD_RUN),)))
    assert (refused.value.reason, store.deleted) == ("MetadataUnreadable", [])
