"""Which files the states of a job need."""

from __future__ import annotations

import pytest

from penstock.errors import RetryLater
from penstock.flink.metadata import Operator
from penstock.inventory import references
from penstock.inventory.references import (
    Unreadable,
    all_needs,
    complete_states,
    key_of,
    narrowest_of,
    needs_of,
    unnamed,
)
from tests.unit.builders import HOME, PLACE, uid
from tests.unit.inventory.lake import RUNS, Lake, chk, metadata, shared

SAVEPOINT = f"{HOME}savepoints/{uid(1)}/savepoint-aaaaaa-000000000001/"
A, B, C = shared("a"), shared("b"), shared("c")


def three() -> Lake:
    lake = Lake()
    lake.add_state(chk(7), {A: 3, B: 4}, 7)
    lake.add_state(chk(8), {B: 4, C: 5}, 8)
    lake.add_state(SAVEPOINT, {f"{SAVEPOINT}x": 6}, 1)
    return lake


async def test_what_every_state_needs():
    found = await all_needs(three(), HOME)
    assert {key: dict(needs.files) for key, needs in found.items()} == {
        f"{chk(7)}_metadata": {A: 3, B: 4},
        f"{chk(8)}_metadata": {B: 4, C: 5},
        f"{SAVEPOINT}_metadata": {f"{SAVEPOINT}x": 6},
    }


def test_only_whole_states_count():
    keys = [f"{chk(7)}a", f"{chk(7)}_metadata", f"{HOME}ha/{RUNS[0]}/_metadata", f"{HOME}savepoints/{uid(1)}/_metadata"]
    assert complete_states(HOME, [*keys, "elsewhere/_metadata"]) == (f"{chk(7)}_metadata",)


async def test_a_state_that_is_gone_needs_nothing():
    assert await needs_of(three(), HOME, f"{chk(9)}_metadata") is None
    assert await unnamed(three(), [f"{chk(9)}_metadata"], {A}) == {A}


async def test_what_no_other_state_names():
    assert await unnamed(three(), [f"{chk(8)}_metadata", f"{SAVEPOINT}_metadata"], {A, B, "x"}) == {A, "x"}


async def test_merged_files_are_named_as_a_whole_and_must_reach_to_the_end_of_their_parts():
    lake = Lake({f"{chk(7)}_metadata": metadata({}, segments=[(A, 0, 10), (A, 30, 12), (A, 5, 1)])})
    needs = await needs_of(lake, HOME, f"{chk(7)}_metadata")
    assert needs is not None
    assert needs.files == {A: 42}


OUTSIDE = {
    "another job": HOME.replace("/flights-1111", "/others-1111") + "checkpoints/x",
    "the prefix": "team/x",
    "another bucket": "s3://other/" + A,
    "a file": "file:/tmp/x",
    "a longer name": HOME.rstrip("/") + "0/x",
}


@pytest.mark.parametrize("path", OUTSIDE.values(), ids=OUTSIDE)
async def test_what_lies_outside_of_the_job_is_kept_apart(path):
    lake = Lake({f"{chk(7)}_metadata": metadata({A: 3, path: 5})})
    needs = await needs_of(lake, HOME, f"{chk(7)}_metadata")
    assert needs is not None
    assert (needs.files, needs.outside) == ({A: 3}, 1)
    assert needs.elsewhere == (path if ":" in path else PLACE.uri(path),)


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3p"])
def test_every_spelling_of_s3_means_the_same_object(scheme):
    assert key_of(PLACE, "m", f"{scheme}://{PLACE.bucket}/{A}") == A


BROKEN = {
    "no metadata at all": b"nothing",
    "empty": b"",
    "cut off": metadata({A: 3})[:-3],
    "up": metadata({f"{HOME}checkpoints/../savepoints/x": 3}),
    "two slashes": metadata({f"{HOME}checkpoints//x": 3}),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
async def test_one_that_cannot_be_read_spoils_the_whole_answer(data):
    lake = three()
    lake.keys[f"{chk(9)}_metadata"] = data
    with pytest.raises(Unreadable, match=f"^unreadable: {chk(9)}_metadata: ") as told:
        await all_needs(lake, HOME)
    assert told.value.reason == "MetadataUnreadable"
    with pytest.raises(Unreadable):
        await unnamed(lake, [f"{chk(9)}_metadata"], {A})


async def test_one_that_names_too_much_is_not_held_in_memory(monkeypatch):
    monkeypatch.setattr(references, "LIMIT", 1)
    with pytest.raises(Unreadable, match="more than 1 files"):
        await needs_of(three(), HOME, f"{chk(7)}_metadata")


async def test_a_store_that_does_not_answer_is_not_an_empty_one():
    lake = three()
    lake.die_in = 4
    with pytest.raises(RetryLater):
        await all_needs(lake, HOME)


def operator(name: str, parallelism: int, most: int) -> Operator:
    return Operator(
        "0" * 32,
        name,
        None,
        parallelism,
        most,
        parallelism,
        0,
        finished=False,
        inline_bytes=0,
        coordinator_bytes=0,
        references=0,
    )


@pytest.mark.parametrize(
    ("operators", "narrowest"),
    [
        ((), None),
        ((operator("source", 2, 128), operator("sum", 2, 8)), ("sum", 8)),
        ((operator("sum", 2, 128), operator("global", 1, 4)), ("sum", 128)),
        ((operator("sum", 1, 128), operator("never split", 1, 1)), ("sum", 128)),
        ((operator("never split", 1, 1),), None),
    ],
    ids=["none", "the least", "less on purpose", "one on purpose", "nothing to split"],
)
def test_what_limits_the_parallelism(operators, narrowest):
    assert narrowest_of(operators) == narrowest
