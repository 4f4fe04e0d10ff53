"""Where Kafka sources go on: what real Flink wrote, what cannot be read, and bytes of anybody's."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.flink.metadata import Elements, Splits, read
from penstock.flink.metadata.splits import LIMIT, LONGEST, kafka_split
from tests.unit.flink.metadata import writer
from tests.unit.flink.metadata.real import REAL, Real
from tests.unit.flink.metadata.writer import BASE, DIRECTORY, Out, bytes_of, element, reader_state, split

NEVER = -(2**63)
KAFKA = [each for each in REAL if each.name.startswith("kafka")]
NAMES = st.text("abcXYZ019._-", min_size=1, max_size=249)
LONGS = st.integers(-3, 2**63 - 1)
SPLITS = st.dictionaries(st.tuples(NAMES, st.integers(0, 2**31 - 1)), LONGS, max_size=8)


def parsed(data: bytes) -> Splits:
    return read([data], DIRECTORY).splits


def inline(*elements: bytes, **more: object) -> Splits:
    return parsed(writer.one_subtask(6, reader_state(elements, **more)))  # type: ignore[arg-type]


def fetched(splits: Splits, files: Mapping[str, bytes]) -> Splits:
    for each in splits.elsewhere:
        begin, length = each.span
        splits.take_from(files[each.path][begin : begin + length], begin, each)
    return splits


# ---------------------------------------------------------------- what Flink wrote


@pytest.mark.parametrize("real", KAFKA, ids=lambda each: each.name)
def test_positions_are_where_the_job_goes_on(real: Real) -> None:
    found = read([real.data], real.directory).splits
    files = {path: base64.b64decode(text) for path, text in real.facts["contents"].items()}
    assert bool(found.elsewhere) == real.name.startswith(("kafka-files", "kafka-merged"))
    fetched(found, files)
    if real.name.startswith("kafka-compressed"):
        assert (found.positions, found.unread) == ({}, 4)
        return
    # Of a partition that was empty Flink remembers no offset yet, but "earliest".
    expected = {place: count or -2 for place, count in real.facts["positions"].items()}
    assert {f"{topic}/{number}": at for (topic, number), at in found.positions.items()} == expected
    assert found.unread == 0


def test_there_is_a_file_of_each_way_to_keep_a_state() -> None:
    assert {each.name for each in KAFKA} == {f"kafka{way}-2.3" for way in ("", "-files", "-merged", "-compressed")}


def test_other_jobs_have_none() -> None:
    others = [read([each.data], each.directory).splits for each in REAL if each not in KAFKA]
    assert [(each.positions, each.elsewhere, each.unread) for each in others] == [({}, [], 0)] * len(others)


# ---------------------------------------------------------------- of all kinds


@given(SPLITS)
def test_what_is_written_is_read(splits: dict[tuple[str, int], int]) -> None:
    elements = [element(split(topic, number, at)) for (topic, number), at in splits.items()]
    found = inline(*elements)
    assert (found.positions, found.unread) == (splits, 0)


@pytest.mark.parametrize("kind", ["file", "relative", "segment"])
@given(splits=SPLITS.filter(bool), before=st.integers(0, 500))
def test_in_a_file_it_is_said_where(kind: str, splits: dict[tuple[str, int], int], before: int) -> None:
    elements = [element(split(topic, number, at)) for (topic, number), at in splits.items()]
    state, offsets = writer.laid_out(elements)
    begin = before if kind == "segment" else 0
    found = parsed(writer.one_subtask(6, reader_state(elements, kind=kind, begin=begin)))
    path = f"{DIRECTORY}/splits" if kind == "relative" else f"{BASE}/taskowned/splits"
    assert found.elsewhere == [Elements(path, tuple(begin + each for each in offsets))]
    assert fetched(found, {path: bytes(begin) + state}).positions == splits
    assert found.unread == 0


@pytest.mark.parametrize(
    ("first", "second", "kept"), [(5, 9, 5), (9, 5, 5), (-2, 9, 9), (9, -3, 9), (-2, -3, -3), (0, 4, 0)]
)
def test_of_two_sources_the_earlier_one_counts_and_words_do_not(first: int, second: int, kept: int) -> None:
    found = inline(element(split("flights", 0, first)), element(split("flights", 0, second)))
    assert found.positions == {("flights", 0): kept}


@pytest.mark.parametrize(("stop", "wanted"), [(NEVER, True), (11, True), (10, False), (9, False), (0, False)])
def test_what_has_read_all_that_it_is_to_read_wants_nothing(stop: int, wanted: bool) -> None:  # noqa: FBT001
    assert bool(inline(element(split("flights", 0, 10, stop))).positions) is wanted


GOOD = split("flights", 1, 10)
WRONG = {
    "a later version": element(GOOD, version=1),
    "another source's": element(b"/lines/a.csv" * 4),
    "short": element(GOOD[:-1]),
    "long": element(GOOD + b"x"),
    "no letters of a topic": element(split("flügh", 1, 10)),
    "no topic": element(split("", 1, 10)),
    "no partition": element(split("flights", -1, 10)),
    "no offset": element(split("flights", 1, -4)),
    "length without end": struct.pack(">i", 0x7FFFFFFF) + element(GOOD)[4:],
    "negative length": struct.pack(">i", -1) + element(GOOD)[4:],
    "longer than any": struct.pack(">i", LONGEST) + bytes(LONGEST),
    "inner length": struct.pack(">iii", len(GOOD) + 8, 0, 7) + GOOD,
    "empty": bytes(4),
    "compressed": b"\x82SNAPPY\x00" + element(GOOD),
}


@pytest.mark.parametrize("kind", ["inline", "file"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_no_kafka_split_is_unread_and_harms_no_other(wrong: bytes, kind: str) -> None:
    elements = [element(split("delays", 0, 3)), wrong, element(split("delays", 1, 4))]
    found = inline(*elements, kind=kind)
    fetched(found, {f"{BASE}/taskowned/splits": writer.laid_out(elements)[0]})
    assert (found.positions, found.unread) == ({("delays", 0): 3, ("delays", 1): 4}, 1)


@pytest.mark.parametrize("offsets", [(-1,), (2**40,), (234, 234), (300, 234)])
@pytest.mark.parametrize("kind", ["inline", "file"])
def test_offsets_are_not_believed(offsets: tuple[int, ...], kind: str) -> None:
    found = inline(element(GOOD), kind=kind, offsets=offsets)
    fetched(found, {f"{BASE}/taskowned/splits": writer.laid_out([element(GOOD)])[0]})
    assert set(found.positions.values()) <= {10}
    assert len(found.positions) + found.unread >= 1


def test_a_number_of_splits_without_end_is_not_kept() -> None:
    count = LIMIT + 10
    found = inline(*[element(split("flights", number, 1)) for number in range(count)])
    assert (len(found.positions), found.unread) == (LIMIT, 10)
    far = inline(*[element(split("flights", number, 1)) for number in range(count)], kind="file")
    assert (len(far.elsewhere[0].offsets), far.unread) == (LIMIT, 10)


def test_a_file_that_is_shorter_than_it_should_be() -> None:
    elements = [element(split("delays", 0, 3)), element(split("delays", 1, 4))]
    found = inline(*elements, kind="file")
    fetched(found, {f"{BASE}/taskowned/splits": writer.laid_out(elements)[0][:-1]})
    assert (found.positions, found.unread) == ({("delays", 0): 3}, 1)


def test_raw_and_merged_operator_state() -> None:
    out = Out()
    out.i32(1)
    out.data += reader_state([element(GOOD)])[4:-10]  # without the numbers around it
    merged = out.data.replace(b"\x04", b"\x11", 1)
    found = parsed(writer.one_subtask(6, bytes_of(out)[:4] + merged_state(bytes(merged[4:])) + bytes(10)))
    assert found.positions == {("flights", 1): 10}


def merged_state(state: bytes) -> bytes:
    """Tag 17: the directories stand between the states' names and the bytes."""
    names, stream = state[: state.index(b"\x01\x00\x06inline")], state[state.index(b"\x01\x00\x06inline") :]
    return names + writer.utf("s3://bucket/taskowned/job_a") + writer.utf("s3://bucket/shared/job_a") + b"\0" + stream


# ---------------------------------------------------------------- anybody's bytes


@given(st.binary(max_size=400))
def test_any_bytes_are_a_split_or_none(data: bytes) -> None:
    found = kafka_split(data)
    if found is not None:
        (topic, partition), offset, stop = found
        assert data == struct.pack(">ii", 0, len(data) - 8) + split(topic, partition, offset, stop)


@given(st.lists(st.binary(max_size=60), max_size=6), st.lists(st.integers(-5, 400), max_size=6))
def test_any_state_is_read_without_an_error(elements: list[bytes], offsets: list[int]) -> None:
    for kind in ("inline", "file"):
        found = inline(*elements, kind=kind, offsets=tuple(offsets))
        fetched(found, {f"{BASE}/taskowned/splits": writer.laid_out(elements)[0]})
        assert len(found.positions) + found.unread <= max(len(offsets), 1)
