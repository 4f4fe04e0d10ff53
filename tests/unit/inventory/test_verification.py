"""Whether a state is whole."""

from __future__ import annotations

import pytest

from penstock.errors import Refused, RetryLater
from penstock.inventory.verification import verify
from tests.unit.builders import HOME, PLACE, retained, savepoint, uid
from tests.unit.flink.metadata import writer
from tests.unit.inventory.lake import RUNS, Lake, chk, metadata, shared

LOCATION = PLACE.uri(chk(7).rstrip("/"))
FEW = {shared(name): 10 for name in "abc"} | {f"{chk(7)}x": 1}
MANY = {shared(f"f{number:03}"): number for number in range(40)}


def lake(files: dict[str, int]) -> Lake:
    made = Lake()
    made.add_state(chk(7), files, 7)
    return made


@pytest.mark.parametrize("files", [FEW, MANY, {}], ids=["few", "many", "none"])
async def test_a_whole_one(files):
    store = lake(files)
    found = await verify(store, LOCATION)
    size = sum(files.values()) + store.size_of(f"{chk(7)}_metadata")
    assert (found.files, found.size, found.whole) == (len(files) + 1, size, True)
    head = await store.head(f"{chk(7)}_metadata")
    assert (found.checkpoint_id, found.written) == (7, head.modified)
    assert found.whole
    assert str(found) == f"all {len(files) + 1} files are there, {size} bytes"


@pytest.mark.parametrize("files", [FEW, MANY], ids=["few", "many"])
async def test_what_is_missing_or_short_is_counted_and_named(files):
    store = lake(files)
    gone, short = sorted(key for key in files if "/shared/" in key)[1:3]
    del store.keys[gone]
    store.keys[short] = bytes(files[short] - 1)
    found = await verify(store, LOCATION)
    assert (found.missing, found.whole) == (2, False)
    assert set(found.names) == {f"{gone} (missing)", f"{short} ({files[short] - 1} of {files[short]} bytes)"}
    assert str(found).startswith(f"2 of {len(files) + 1} files are missing or too short: ")


async def test_only_the_first_few_are_named():
    store = lake(MANY)
    for key in MANY:
        del store.keys[key]
    found = await verify(store, LOCATION)
    assert (found.missing, len(found.names)) == (40, 5)


async def test_many_files_cost_a_listing_and_not_a_call_each():
    store = lake(MANY)
    await verify(store, LOCATION)
    assert [verb for verb, _ in store.calls] == ["read", "list", "head"]


async def test_a_longer_file_is_fine_since_others_may_have_been_merged_into_it():
    store = lake(FEW)
    store.keys[shared("a")] = bytes(99)
    assert (await verify(store, LOCATION)).whole


async def test_merged_files_of_many_subtasks_cost_one_listing():
    files = {f"{HOME}checkpoints/{RUNS[0]}/shared/job_x_op_{number}/m": 3 for number in range(20)}
    store = lake(files)
    assert (await verify(store, LOCATION)).whole
    assert [verb for verb, _ in store.calls] == ["read", "list", "head"]


async def test_without_a_metadata_nothing_is_known():
    found = await verify(Lake(), LOCATION)
    assert (found.unreadable, found.whole) == ("there is none", False)


async def test_one_that_cannot_be_read():
    found = await verify(Lake({f"{chk(7)}_metadata": b"nothing"}), LOCATION)
    assert "magic number" in found.unreadable
    assert str(found).startswith("its _metadata cannot be read: byte 0")


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (writer.whole(3), 3),
        (writer.whole(6), 6),
        (writer.head(7), 7),
        (writer.head(1), 1),
        (writer.head(6), None),
        (b"nothing", None),
    ],
    ids=["the oldest", "the newest", "newer", "older", "cut off", "no such file"],
)
async def test_the_version_is_known_of_what_is_read_and_of_what_is_not_read_for_it_alone(data, version):
    found = await verify(Lake({f"{chk(7)}_metadata": data}), LOCATION)
    assert found.version == version
    assert found.whole == (version in (3, 6))


async def test_one_that_flink_takes_away_meanwhile_is_gone_and_not_broken():
    store = lake(FEW)

    def take(verb: str, _key: str) -> None:
        if verb == "head":
            for key in [*FEW, f"{chk(7)}_metadata"]:
                store.keys.pop(key, None)

    store.before = take
    assert (await verify(store, LOCATION)).unreadable == "it has gone meanwhile"


async def test_what_lies_outside_is_not_looked_at():
    other = HOME.replace("/flights-1111", "/others-1111") + "x"
    store = lake(FEW)
    store.keys |= {f"{chk(7)}_metadata": metadata({shared("a"): 10, other: 1}), other: b"x"}
    found = await verify(store, LOCATION)
    assert (found.outside, found.missing, found.whole) == (1, 0, False)
    assert not any(other in key for _, key in store.calls)


async def test_a_state_at_the_top_of_the_bucket():
    store = Lake()
    store.add_state("imported/", {"imported/x": 3}, 5)
    assert (await verify(store, PLACE.uri("imported"))).whole


async def test_a_state_outside_of_every_job_may_need_what_lies_beside_it():
    store = Lake()
    store.add_state("team/imported/chk-1/", {"team/imported/shared/a": 1, "team/elsewhere/b": 1})
    found = await verify(store, PLACE.uri("team/imported/chk-1"))
    assert (found.files, found.outside) == (2, 1)
    whole = await verify(store, PLACE.uri("team/imported/chk-1"), within="team/")
    assert (whole.files, whole.outside, whole.whole) == (3, 0, True)


@pytest.mark.parametrize("location", ["s3://other/x", "file:/x", PLACE.uri("a/../b"), PLACE.uri("a//b"), ""])
async def test_a_place_that_is_not_ours(location):
    with pytest.raises(Refused) as refused:
        await verify(Lake(), location)
    assert refused.value.reason == "PlaceNotOurs"


@pytest.mark.parametrize("call", [1, 2, 3])
async def test_no_answer_is_not_missing(call):
    store = lake(FEW)
    store.die_in = call
    with pytest.raises(RetryLater):
        await verify(store, LOCATION)


def test_the_job_directory_of_a_place():
    assert PLACE.home_of(PLACE.key_of(retained(7)) or "") == HOME
    assert PLACE.home_of(PLACE.key_of(savepoint(7)) or "") == HOME
    assert PLACE.home_of(f"team/flights/others-{uid(1)}/x") == f"team/flights/others-{uid(1)}/"
    for key in ("team/imported/chk-1/x", "other/flights/x/y", HOME.rstrip("/"), "team/penstock.json", ""):
        assert PLACE.home_of(key) is None
