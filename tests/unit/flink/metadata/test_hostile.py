"""Bytes that are not what they say they are: a result or the one error, in bounded memory, always."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.flink.metadata import FileReference, Kind, Metadata, MetadataError, Scope, read, scan
from tests.unit.flink.metadata import writer
from tests.unit.flink.metadata.real import REAL, Real
from tests.unit.flink.metadata.writer import BASE, DIRECTORY, Out, bytes_of

MIB = 1 << 20
SYNTHETIC = [
    Real(f"synthetic-{version}", writer.everything(version), {"directory": DIRECTORY}) for version in (3, 4, 5, 6)
]
FILES = [*REAL, *SYNTHETIC]
every = pytest.mark.parametrize("real", FILES, ids=lambda each: each.name)


def outcome(data: bytes | Iterable[bytes], directory: str = DIRECTORY) -> Metadata | MetadataError:
    """What the reader says, when it says it in the memory that the data's size allows."""
    chunks = [data] if isinstance(data, bytes) else data
    tracemalloc.start()
    try:
        return read(chunks, directory)
    except MetadataError as error:
        return error
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MIB


def refusal(data: bytes, directory: str) -> MetadataError:
    """What pytest.raises would give, without what that costs at each of 200,000 places to cut a file."""
    try:
        read([data], directory)
    except MetadataError as error:
        return error
    pytest.fail(f"{len(data)} bytes were read as a whole file")


@every
def test_a_file_that_was_cut_anywhere(real: Real) -> None:
    for length in range(len(real.data)):
        error = refusal(real.data[:length], real.directory)
        assert error.offset <= length
        assert "the end of the file" in error.found


@every
def test_chunks_of_any_size_are_the_same_file(real: Real) -> None:
    whole = read([real.data], real.directory)
    for size in (1, 2, 3, 7, 64, 1000):
        chunks = [real.data[at : at + size] for at in range(0, len(real.data), size)]
        assert read(chunks, real.directory) == whole
        empty = itertools.chain.from_iterable((b"", chunk) for chunk in chunks)
        assert read(empty, real.directory) == whole


@given(st.data())
def test_bytes_that_were_changed(data: st.DataObject) -> None:
    real = data.draw(st.sampled_from(FILES))
    changed = bytearray(real.data)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(changed), real.directory)


@given(st.data())
def test_bytes_that_were_put_in_or_left_out(data: st.DataObject) -> None:
    real = data.draw(st.sampled_from(FILES))
    begin = data.draw(st.integers(0, len(real.data)))
    end = min(len(real.data), begin + data.draw(st.integers(0, 40)))
    outcome(real.data[:begin] + data.draw(st.binary(max_size=40)) + real.data[end:], real.directory)


@given(st.binary(max_size=4096))
def test_random_bytes(data: bytes) -> None:
    assert isinstance(outcome(data), MetadataError)


@given(st.sampled_from([3, 4, 5, 6]), st.lists(st.sampled_from([0, 1, 2, 255, *range(3, 18)]), max_size=400))
def test_small_bytes_after_a_good_beginning(version: int, data: list[int]) -> None:
    outcome(writer.head(version) + bytes(data))


MOST = 0x7FFFFFFF
LIES = {
    "inline state": b"\x03" + struct.pack(">ii", 0, 0) + b"\x01" + writer.utf("x") + struct.pack(">i", MOST),
    "key groups": b"\x03" + struct.pack(">ii", 0, MOST),
    "shared files": b"\x05" + bytes(8) + writer.utf("x") + bytes(8) + b"\x00" + struct.pack(">i", MOST),
    "changes": b"\x09" + bytes(24) + struct.pack(">i", MOST),
    "a change": b"\x09" + bytes(24) + struct.pack(">iii", 1, 0, MOST),
    "handles": b"\x0e" + bytes(16) + struct.pack(">i", MOST),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_length_is_not_believed(lie: bytes) -> None:
    found = outcome(writer.keyed(6, lie))
    assert isinstance(found, MetadataError)


@pytest.mark.parametrize(
    "data",
    [
        writer.head(6) + struct.pack(">i", MOST),
        writer.head(6) + struct.pack(">ii", 0, MOST),
        writer.head(6) + struct.pack(">iIi", 1, writer.MASTER_MAGIC, MOST) + bytes(4) + writer.utf("x") + b"\x7f" * 4,
        writer.whole(6, writer.operator_head(6, parallelism=128) + b"\x00" + struct.pack(">i", MOST)),
    ],
)
def test_a_count_is_not_believed(data: bytes) -> None:
    assert isinstance(outcome(data), MetadataError)


def endless(head: bytes, each: Callable[[int], bytes]) -> Iterator[bytes]:
    yield head
    for number in itertools.count():
        yield each(number)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.flink.metadata.reader._KEPT_BYTES", MIB)


def refused(data: Iterator[bytes]) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(MetadataError) as caught:
            scan(data, DIRECTORY, lambda _: None)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    return caught.value.expected


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("name", ["", "n" * 65535])
def test_operators_without_end(name: str) -> None:
    operator = writer.operator_head(6, name=name, uid=name) + b"\x00" + struct.pack(">i", -1)
    data = endless(writer.head(6) + struct.pack(">ii", 0, MOST), lambda _: operator)
    assert refused(data) == "a sensible number of operators and names"


@pytest.mark.usefixtures("little")
def test_master_states_without_end() -> None:
    data = endless(writer.head(6) + struct.pack(">i", MOST), lambda _: writer.master_state("hook", 9))
    assert refused(data) == "a sensible number of operators and names"


def test_the_limit_is_far_from_what_jobs_have() -> None:
    operator = writer.operator_head(6, name="n" * 100, uid="u" * 36) + b"\x00" + struct.pack(">i", -1)
    assert len(read([writer.whole(6, *[operator] * 10_000)], DIRECTORY).operators) == 10_000


def test_a_large_file_is_scanned_in_little_memory() -> None:
    count = 5_000

    def chunks() -> Iterator[bytes]:
        yield writer.head(6) + struct.pack(">ii", 0, 1) + writer.operator_head(6) + b"\x00" + struct.pack(">ii", 1, 0)
        yield bytes(8) + b"\x05" + bytes(8) + writer.utf("backend") + bytes(8) + b"\x00" + struct.pack(">i", count)
        for number in range(count):
            out = Out()
            out.utf("000001.sst")
            out.file(f"{BASE}/shared/{number:036}", number, Kind.KEYED, Scope.SHARED)
            yield bytes_of(out)
        yield struct.pack(">i", 1) + writer.utf("CURRENT") + b"\x01" + writer.utf("x") + struct.pack(">i", 200 * MIB)
        for _ in range(200):
            yield bytes(MIB)
        yield b"\x00" + bytes(8) + writer.properties()

    seen = 0

    def emit(_: FileReference) -> None:
        nonlocal seen
        seen += 1

    tracemalloc.start()
    try:
        summary = scan(chunks(), DIRECTORY, emit)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert seen == summary.operators[0].references == count
    assert summary.operators[0].inline_bytes == 200 * MIB
