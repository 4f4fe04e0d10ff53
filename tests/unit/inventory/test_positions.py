"""Positions of a state: out of its `_metadata`, and out of files beside it; what cannot be had is unread."""

from __future__ import annotations

import base64

import pytest

from penstock.errors import Refused, RetryLater
from penstock.inventory import positions
from penstock.inventory.positions import read_positions
from penstock.inventory.verification import verify
from penstock.verdict import Positions
from tests.unit.builders import HOME, PLACE
from tests.unit.flink.metadata import writer
from tests.unit.flink.metadata.real import REAL
from tests.unit.flink.metadata.writer import element, reader_state, split
from tests.unit.inventory.lake import Lake, chk

LOCATION = PLACE.uri(chk(7).rstrip("/"))
ELEMENTS = [element(split("flights", 1, 10)), element(split("delays", 0, 3))]
FOUND = Positions({("delays", 0): 3, ("flights", 1): 10})
STATE = writer.laid_out(ELEMENTS)[0]
SPLITS = f"{chk(7)}splits"


def lake(kind: str = "inline", **files: bytes) -> Lake:
    made = Lake({f"{chk(7)}_metadata": writer.one_subtask(6, reader_state(ELEMENTS, kind=kind))})
    made.keys |= {f"{chk(7)}{name}": data for name, data in files.items()}
    return made


async def test_those_in_the_metadata_cost_no_other_call():
    store = lake()
    assert await read_positions(store, LOCATION) == FOUND
    assert store.calls == [("read", f"{chk(7)}_metadata")]


async def test_those_in_a_file_beside_it_are_fetched():
    store = lake("relative", splits=STATE)
    assert await read_positions(store, LOCATION) == FOUND
    assert store.calls == [("read", f"{chk(7)}_metadata"), ("read", SPLITS)]


@pytest.mark.parametrize("kind", ["inline", "relative"])
async def test_a_verification_has_them(kind: str):
    found = await verify(lake(kind, splits=STATE), LOCATION)
    assert (found.whole, found.positions) == (True, FOUND)


async def test_what_real_flink_wrote_in_files():
    real = next(each for each in REAL if each.name == "kafka-files-2.3")
    store = Lake({f"{chk(7)}_metadata": real.data})
    for path, text in real.facts["contents"].items():
        store.keys[chk(7) + path.rpartition("/")[2]] = base64.b64decode(text)
    found = await read_positions(store, LOCATION)
    assert found is not None
    assert {f"{topic}/{number}": max(at, 0) for (topic, number), at in found.offsets.items()} == real.facts["positions"]


@pytest.mark.parametrize("error", [None, RetryLater("time-out"), Refused("no", "AccessDenied")])
async def test_a_file_that_cannot_be_had_leaves_the_rest_as_it_is(error: Exception | None):
    store = lake("relative")

    def fail(verb: str, key: str) -> None:
        if verb == "read" and key == SPLITS and error is not None:
            raise error

    store.before = fail
    assert await read_positions(store, LOCATION) == Positions({}, 2)
    assert (await verify(store, LOCATION)).positions == Positions({}, 2)


async def test_a_file_outside_of_the_jobs_directory_is_not_read():
    store = lake("file")
    store.keys["prefix/00000000000000000000000000000001/taskowned/splits"] = STATE
    assert await read_positions(store, LOCATION) == Positions({}, 2)
    assert [key for _, key in store.calls] == [f"{chk(7)}_metadata"]


async def test_a_part_that_is_larger_than_any_is_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(positions, "_LARGEST", 100)
    assert await read_positions(lake("relative", splits=STATE), LOCATION) == Positions({}, 2)


async def test_a_state_of_more_files_than_any_is_read_in_part(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(positions, "_READS", 0)
    assert await read_positions(lake("relative", splits=STATE), LOCATION) == Positions({}, 2)


async def test_what_is_gone_or_unreadable_or_elsewhere_has_none():
    assert await read_positions(Lake(), LOCATION) is None
    assert await read_positions(Lake({f"{chk(7)}_metadata": b"nothing"}), LOCATION) is None
    assert await read_positions(Lake(), PLACE.uri("imported")) is None
    assert await read_positions(Lake(), f"s3://another/{HOME}") is None


async def test_a_store_that_does_not_answer_is_an_error():
    store = lake()

    def fail(*_: str) -> None:
        raise RetryLater("time-out")

    store.before = fail
    with pytest.raises(RetryLater):
        await read_positions(store, LOCATION)
