"""What the store's listing is read as."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from penstock.errors import RetryLater
from penstock.observe.store import checkpoint_id, job_result, list_job, list_retained, list_target
from penstock.store.client import ObjectStore
from tests.unit.builders import HOME, JOB, JOB_UID, NAMESPACE, OLD_RUN, PLACE, RUN, retained, savepoint, target, uid
from tests.unit.fakes import MODIFIED, FakeStore

OTHER_UID = "33333333-3333-4333-8333-333333333333"
OTHER_HOME = f"team/{NAMESPACE}/{JOB}-{OTHER_UID}/"


def metadata(number: int = 1, magic: int = 0x4960672D) -> bytes:
    return struct.pack(">Iiq", magic, 6, number) + b"rest"


def key(uri: str) -> str:
    found = PLACE.key_of(uri)
    assert found is not None
    return found


def store(keys: dict[str, Any]) -> Any:
    made: Any = FakeStore(keys)
    assert isinstance(made, FakeStore)
    assert all(hasattr(ObjectStore, name) for name in ("list", "folders", "read", "read_json", "write_json", "delete"))
    return made


TARGET = key(target(1)) + "/"
COMPLETE = {f"{key(savepoint(1))}/_metadata": metadata(5), f"{key(savepoint(1))}/file": b"x"}
NOTE = {f"{TARGET}penstock.json": {"checkpoint": "before", "run": RUN, "uid": uid(1)}}


async def test_an_empty_store():
    found = await list_job(store({}), NAMESPACE, JOB)
    assert (found.states, found.any_directory) == ((), False)


async def test_a_retained_checkpoint():
    found = await list_job(store({f"{key(retained(7))}/_metadata": metadata(7)}), NAMESPACE, JOB)
    (state,) = found.states
    assert (state.location, state.checkpoint_id, state.run, state.savepoint) == (retained(7), 7, RUN, False)
    assert (state.job_uid, state.modified, state.size_bytes) == (JOB_UID, MODIFIED, 10)


async def test_a_savepoint_with_its_note():
    found = await list_job(store(COMPLETE | NOTE), NAMESPACE, JOB)
    (state,) = found.states
    assert (state.location, state.checkpoint_id, state.run, state.savepoint) == (savepoint(1), 5, RUN, True)
    assert (state.target_directory, state.size_bytes, state.job_uid) == (TARGET, 20, JOB_UID)
    assert state.note["checkpoint"] == "before"


async def test_a_savepoint_without_a_note_is_a_savepoint():
    (state,) = (await list_job(store(COMPLETE), NAMESPACE, JOB)).states
    assert (state.run, state.note) == ("", {})


async def test_all_uids_of_the_name_and_no_other_name():
    keys = {
        f"{key(retained(7))}/_metadata": metadata(7),
        f"{OTHER_HOME}checkpoints/{OLD_RUN}/chk-3/_metadata": metadata(3),
        f"team/{NAMESPACE}/{JOB}-two-{JOB_UID}/checkpoints/{RUN}/chk-9/_metadata": metadata(9),
        f"team/other/{JOB}-{JOB_UID}/checkpoints/{RUN}/chk-9/_metadata": metadata(9),
        f"team/{NAMESPACE}/something/checkpoints/{RUN}/chk-9/_metadata": metadata(9),
    }
    found = await list_job(store(keys), NAMESPACE, JOB)
    assert {(state.checkpoint_id, state.job_uid) for state in found.states} == {(7, JOB_UID), (3, OTHER_UID)}


PARTIAL: dict[str, dict[str, Any]] = {
    "files without _metadata": {f"{key(savepoint(1))}/file": b"x"},
    "a _metadata that is none": {f"{key(savepoint(1))}/_metadata": b"<html>"},
    "an empty _metadata": {f"{key(savepoint(1))}/_metadata": b""},
    "another magic number": {f"{key(savepoint(1))}/_metadata": metadata(1, magic=1)},
    "a _metadata at another depth": {f"{TARGET}_metadata": metadata()},
    "in a directory that Flink does not make": {f"{TARGET}mine/_metadata": metadata()},
    "shared state only": {f"{HOME}checkpoints/{RUN}/shared/x": b"x"},
}


@pytest.mark.parametrize("keys", PARTIAL.values(), ids=PARTIAL)
async def test_what_cannot_be_started_from_is_there_but_no_state(keys):
    found = await list_job(store(keys), NAMESPACE, JOB)
    assert (found.states, found.any_directory) == ((), True)


async def test_a_tombstone_or_ha_data_are_no_directory_to_ask_about():
    found = await list_job(store({f"{HOME}tombstones/x.json": {}, f"{HOME}ha/{RUN}/x": b""}), NAMESPACE, JOB)
    assert not found.any_directory


async def test_a_store_that_does_not_answer_is_not_empty():
    broken = store(COMPLETE)

    def fail(*_: str) -> None:
        raise RetryLater("time-out")

    broken.before = fail
    with pytest.raises(RetryLater):
        await list_job(broken, NAMESPACE, JOB)


# ---------------------------------------------------------------- one directory


async def test_an_empty_target():
    found = await list_target(store({}), TARGET)
    assert (found.complete, found.partial, found.keys) == (None, (), 0)


async def test_a_complete_target():
    found = await list_target(store(COMPLETE | NOTE), TARGET)
    assert found.complete is not None
    assert (found.complete.location, found.partial, found.keys) == (savepoint(1), (), 3)


async def test_leftovers_beside_a_complete_one():
    left = f"{TARGET}savepoint-bbbbbb-000000000002/file"
    found = await list_target(store(COMPLETE | NOTE | {left: b"x"}), TARGET)
    assert found.partial == (left,)
    assert found.complete is not None


async def test_a_partial_one():
    left = f"{TARGET}savepoint-bbbbbb-000000000002/file"
    found = await list_target(store(NOTE | {left: b"x"}), TARGET)
    assert (found.complete, found.partial) == (None, (left,))


async def test_a_directory_whose_name_begins_like_ours_is_another():
    alike = f"{TARGET}savepoint-aaaaaa-{1:012x}0/file"
    assert (await list_target(store(COMPLETE | {alike: b"x"}), TARGET)).partial == (alike,)


# ---------------------------------------------------------------- how a run ended

HA = f"{HOME}ha/{RUN}/"


def result(status: Any) -> dict[str, Any]:
    return {f"{HA}job-result-store/x/{RUN}.json": {"result": {"application-status": status}}}


RESULTS = {
    "finished": (result("SUCCEEDED"), "FINISHED"),
    "cancelled": (result("CANCELED"), "CANCELED"),
    "failed": (result("FAILED"), "FAILED"),
    "a word that we do not know": (result("?"), "FAILED"),
    "nothing": ({}, None),
    "another run": ({f"{HA}job-result-store/x/{OLD_RUN}.json": {"result": {}}}, None),
    "another file": ({f"{HA}completedCheckpoint-{RUN}.json": {"result": {}}}, None),
}


@pytest.mark.parametrize(("keys", "ended"), RESULTS.values(), ids=RESULTS)
async def test_how_flink_says_that_a_run_ended(keys, ended):
    assert await job_result(store(keys), HA, RUN) == ended


@pytest.mark.parametrize(
    ("data", "number"), [(metadata(93), 93), (metadata(1)[:15], None), (b"", None), (b"x" * 16, None)]
)
def test_the_number_in_the_header(data, number):
    assert checkpoint_id(data) == number


TOMBSTONE = f"{HOME}tombstones/{uid(1)}.json"
RETAINED = key(retained(7)) + "/"


def buried(directory: str, *keys: str, freed: int = 0) -> dict[str, Any]:
    content = {"version": 2, "directory": directory[len(HOME) :], "freed": freed}
    return {TOMBSTONE: content | {"keys": {each[len(HOME) :]: 10 for each in keys}}}


async def test_how_far_a_deletion_is():
    tombstone = buried(TARGET, f"{TARGET}gone", f"{TARGET}penstock.json", freed=30)
    found = await list_target(store(NOTE | tombstone), TARGET, uid(1))
    assert (found.complete, found.keys, found.freed) == (None, 2, 30)
    done = await list_target(store(buried(TARGET, freed=50)), TARGET, uid(1))
    assert (done.keys, done.freed) == (0, 50)
    assert (await list_target(store(NOTE), TARGET, uid(1))).freed is None


async def test_a_tombstone_is_read_only_for_what_is_being_cleared():
    held = store(COMPLETE | buried(TARGET))
    assert (await list_target(held, TARGET)).freed is None
    assert TOMBSTONE not in [key for _, key in held.calls]


async def test_a_retained_checkpoint_that_is_being_cleared():
    inside, elsewhere = f"{RETAINED}x", f"{HOME}checkpoints/{RUN}/shared/a"
    whole = await list_retained(store({f"{RETAINED}_metadata": metadata(7), inside: b"x"}), RETAINED, uid(1))
    assert whole.complete is not None
    assert (whole.complete.location, whole.keys, whole.freed) == (retained(7), 2, None)
    half = await list_retained(store(buried(RETAINED, elsewhere, freed=10)), RETAINED, uid(1))
    assert (half.complete, half.keys, half.freed) == (None, 1, 10)


async def test_what_a_neighbour_needs_does_not_keep_a_cleared_one():
    left = {f"{RETAINED}x": b"x"} | buried(RETAINED, freed=70)
    found = await list_retained(store(left), RETAINED, uid(1))
    assert (found.keys, found.freed) == (0, 70)
