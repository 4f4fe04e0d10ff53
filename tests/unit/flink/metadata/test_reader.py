"""What the reader finds in files of the synthetic writer, and what it refuses."""

from __future__ import annotations

import io
import struct

import pytest

from penstock.flink.metadata import FileReference, Kind, Metadata, Scope, Segment, needed, read, scan
from tests.unit.flink.metadata import writer
from tests.unit.flink.metadata.writer import BASE, DIRECTORY, MANAGED, Out, bytes_of, one_subtask, refusal

VERSIONS = (3, 4, 5, 6)
SHARED = f"{BASE}/shared/a"
MERGED = f"{BASE}/shared/{MANAGED}/m"


def keyed(out: Out, version: int = 6) -> Metadata:
    return read([writer.keyed(version, bytes_of(out))], DIRECTORY)


def stream(out: Out, kind: Kind = Kind.KEYED) -> None:
    out.file(SHARED, 100, kind, Scope.SHARED)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_smallest_file(version: int) -> None:
    data = writer.whole(version, checkpoint_id=41)
    found = read(io.BytesIO(data), DIRECTORY)
    assert (found.version, found.checkpoint_id, found.size) == (version, 41, len(data))
    assert (found.operators, found.master_states, found.references, found.directories) == ((), (), (), ())
    assert found.files() == {}
    assert (found.properties is None) == (version == 3)


def test_master_states() -> None:
    states = writer.master_state("hook", 5) + writer.master_state("other", 0)
    data = writer.head(3) + struct.pack(">i", 2) + states + struct.pack(">i", 0)
    found = read([data], DIRECTORY)
    assert [(state.name, state.version, state.size) for state in found.master_states] == [
        ("hook", 1, 5),
        ("other", 1, 0),
    ]
    assert found.inline_bytes == 5


@pytest.mark.parametrize("version", VERSIONS)
def test_an_operator(version: int) -> None:
    coordinator = Out()
    coordinator.inline_state(9)
    data = writer.operator_head(version, 0xCBC357CCB763DF2852FEE8C4FC7D55F2) + bytes_of(coordinator)
    data += struct.pack(">ii", 2, 0) + writer.EMPTY_SUBTASK + struct.pack(">i", -2)
    (found,) = read([writer.whole(version, data)], DIRECTORY).operators
    assert found.id == "cbc357ccb763df2852fee8c4fc7d55f2"
    assert (found.name, found.uid) == (("Source: events", "events") if version >= 5 else (None, None))
    assert (found.parallelism, found.max_parallelism) == (2, 128)
    assert (found.subtasks, found.finished_subtasks, found.finished) == (2, 1, False)
    assert (found.inline_bytes, found.coordinator_bytes, found.references) == (9, 9, 0)


def test_a_finished_operator_without_names() -> None:
    data = writer.operator_head(6, name="", uid="") + b"\x00" + struct.pack(">i", -1)
    (found,) = read([writer.whole(6, data)], DIRECTORY).operators
    assert (found.name, found.uid, found.finished, found.subtasks) == (None, None, True, 0)


@pytest.mark.parametrize("tag", [3, 7, 12])
@pytest.mark.parametrize("nested", [0, 2, 5000])
def test_key_groups(tag: int, nested: int) -> None:
    out = Out()
    out.around(tag, 4)
    for _ in range(nested):
        out.around(3, 0)
    stream(out)
    if tag == 12:
        out.handle_id()
    assert keyed(out).references == tuple(out.references)


@pytest.mark.parametrize("tag", [5, 11])
def test_incremental(tag: int) -> None:
    out = Out()
    out.u8(tag)
    out.i64(7)
    out.utf("c56bf2e1-2f6b-4a5b-a3c8-87d3d0d0d0d0")
    out.range()
    if tag == 11:
        out.i64(1000)
    out.inline_state(30)
    out.i32(2)
    for name in ("000012.sst", "000013.sst"):
        out.utf(name)
        out.file(f"{BASE}/shared/{name}", 60, Kind.KEYED, Scope.SHARED)
    out.i32(2)
    out.utf("MANIFEST-000004")
    out.relative("manifest", 20, Kind.KEYED)
    out.utf("CURRENT")
    out.inline_state(16)
    if tag == 11:
        out.handle_id()
    found = keyed(out)
    assert found.references == tuple(out.references)
    assert found.inline_bytes == found.operators[0].inline_bytes == 46
    assert found.operators[0].references == 3


@pytest.mark.parametrize("tag", [8, 14])
def test_a_changelog(tag: int) -> None:
    out = Out()
    out.u8(tag)
    out.range()
    out.i64(500)
    out.i32(2)
    out.null()
    out.around(12, 2)
    stream(out)
    out.handle_id()
    out.i32(3)
    _inline_changes(out)
    for each in (10, 13):
        _changes_in_files(out, each)
    out.i64(1)
    if tag == 14:
        out.i64(7)
    out.handle_id()
    found = keyed(out)
    assert found.references == tuple(out.references)
    assert {reference.kind for reference in found.references} == {Kind.KEYED, Kind.CHANGELOG}
    assert {reference.scope for reference in found.references} == {Scope.SHARED, Scope.ELSEWHERE}
    assert found.inline_bytes == 7


def _inline_changes(out: Out) -> None:
    out.u8(9)
    out.range()
    out.i64(0, 2)
    out.i32(2)
    for group, size in ((-1, 3), (5, 4)):
        out.i32(group)
        out.i32(size)
        out.data += bytes(size)
        out.inline += size
    out.handle_id()


def _changes_in_files(out: Out, tag: int) -> None:
    out.u8(tag)
    out.range()
    out.i32(2)
    for offset in (0, 40):
        out.i64(offset)
        out.file("s3://bucket/changelog/dstl/u", 80, Kind.CHANGELOG, Scope.ELSEWHERE)
    out.i64(80, 80)
    out.handle_id()
    if tag == 13:
        out.utf("filesystem")


@pytest.mark.parametrize("version", VERSIONS)
def test_channels(version: int) -> None:
    out = Out()
    out.i32(0)
    out.i32(0)
    out.null()
    out.null()
    for tag in (1, 2):
        out.i32(2)
        for number in range(2):
            if version == 6:
                out.u8(tag)
            out.i32(number)
            out.i32(0)
            out.i32(1)
            out.longs(3)
            out.i64(24)
            out.relative("channels", 48, Kind.CHANNEL)
    found = read([one_subtask(version, bytes_of(out))], DIRECTORY)
    assert found.references == tuple(out.references)
    assert found.files() == {f"{DIRECTORY}/channels": 48}


def test_merged_channels() -> None:
    out = Out()
    out.i32(0)
    out.i32(0)
    out.null()
    out.null()
    for tag in (3, 4):
        out.i32(1)
        out.u8(tag)
        out.i32(0)
        out.i64(24)
        out.relative(f"channels-{tag}", 24, Kind.CHANNEL)
        out.i32(5)
        out.data += bytes(5)
    assert read([one_subtask(6, bytes_of(out))], DIRECTORY).references == tuple(out.references)


@pytest.mark.parametrize("version", VERSIONS)
def test_operator_state(version: int) -> None:
    out = Out()
    out.i32(1)
    out.operator_state(4, ["a", "b", "ü"])
    out.relative("op", 30, Kind.OPERATOR)
    out.i32(1)
    out.null()
    out.null()
    out.null()
    out.i32(0)
    out.i32(0)
    assert read([one_subtask(version, bytes_of(out))], DIRECTORY).references == tuple(out.references)


def test_merged_operator_state_names_the_managed_directories() -> None:
    out = Out()
    for _ in range(2):
        out.i32(1)
        out.operator_state(17, ["a"])
        out.segment(f"{BASE}/taskowned/{MANAGED}/m", 10, 20, Kind.OPERATOR, Scope.TASKOWNED, shared=False)
    out.null()
    out.null()
    out.i32(0)
    out.i32(0)
    found = read([one_subtask(6, bytes_of(out))], DIRECTORY)
    assert found.references == tuple(out.references)
    assert found.directories == (f"{BASE}/taskowned/{MANAGED}", f"{BASE}/shared/{MANAGED}")


def test_parts_of_a_merged_file_are_one_physical_file() -> None:
    out = Out()
    out.u8(5)
    out.i64(7)
    out.utf("backend")
    out.range()
    out.empty_segment()
    out.i32(3)
    for number, (offset, length) in enumerate(((0, 50), (400, 30), (50, 350))):
        out.utf(f"{number}.sst")
        out.segment(MERGED, offset, length, Kind.KEYED, Scope.SHARED, shared=True)
    out.i32(0)
    found = keyed(out)
    assert found.references[1] == FileReference(MERGED, None, Scope.SHARED, Kind.KEYED, segment=Segment(400, 30, True))  # noqa: FBT003
    assert found.files() == {MERGED: 430}
    assert needed(found.references[:1]) == {MERGED: 50}


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        (f"{DIRECTORY}/x", Scope.EXCLUSIVE),
        (f"{DIRECTORY}/deep/x", Scope.EXCLUSIVE),
        (f"{DIRECTORY}/../chk-8/x", Scope.ELSEWHERE),
        (f"{DIRECTORY}8/x", Scope.ELSEWHERE),
        (f"{BASE}/shared/x", Scope.SHARED),
        (f"{BASE}/shared/{MANAGED}/x", Scope.SHARED),
        (f"{BASE}/shared/other/x", Scope.ELSEWHERE),
        (f"{BASE}/shared/../x", Scope.ELSEWHERE),
        (f"{BASE}/taskowned/x", Scope.TASKOWNED),
        (f"{BASE}/taskowned/job_1_tm_2/x", Scope.TASKOWNED),
        ("s3://bucket/shared/x", Scope.SHARED),
        ("s3://shared/x", Scope.SHARED),
        ("file:/data/shared/savepoint-1/x", Scope.ELSEWHERE),
        ("/shared", Scope.ELSEWHERE),
        ("/job_1", Scope.ELSEWHERE),
        ("/", Scope.ELSEWHERE),
    ],
)
def test_scope(path: str, scope: Scope) -> None:
    out = Out()
    out.around(3, 0)
    out.file(path, 1, Kind.KEYED, scope)
    assert keyed(out).references == tuple(out.references)


@pytest.mark.parametrize("name", ["", "/x", "../x", "a/../b", "a//b", "a/", ".", "s3://other/x"])
def test_a_relative_name_stays_in_the_directory(name: str) -> None:
    out = Out()
    out.around(3, 0)
    out.relative(name, 1, Kind.KEYED)
    assert "the checkpoint's directory" in str(refusal(writer.keyed(6, bytes_of(out))))


@pytest.mark.parametrize("path", ["", "x", "a/b", "s3:x", "1s:/x", "../x"])
def test_a_path_is_absolute(path: str) -> None:
    out = Out()
    out.around(3, 0)
    out.file(path, 1, Kind.KEYED, Scope.ELSEWHERE)
    assert "an absolute path" in str(refusal(writer.keyed(6, bytes_of(out))))


def test_a_trailing_slash_of_the_directory_is_no_matter() -> None:
    out = Out()
    out.around(3, 0)
    out.relative("x", 1, Kind.KEYED)
    assert read([writer.keyed(6, bytes_of(out))], DIRECTORY + "/").references == tuple(out.references)


@pytest.mark.parametrize("name", ["plain", "\0", "ü€", "😀 x", "a" * 65535])
def test_text_in_javas_form(name: str) -> None:
    data = writer.operator_head(6, name=name) + b"\x00" + struct.pack(">i", -1)
    assert read([writer.whole(6, data)], DIRECTORY).operators[0].name == name


@pytest.mark.parametrize("raw", [b"\xf0\x9f\x98\x80", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc1\x80"])
def test_other_text_is_refused(raw: bytes) -> None:
    data = writer.head(6) + struct.pack(">iiH", 0, 1, len(raw)) + raw
    assert refusal(data).offset == 24


def test_properties() -> None:
    found = read([writer.whole(6)], DIRECTORY).properties
    assert found is not None
    assert found.size == len(writer.properties())
    assert found.names == (
        "CheckpointProperties",
        "CheckpointType",
        "SharingFilesStrategy",
        "FORWARD_BACKWARD",
    )
    assert not found.savepoint


def test_properties_of_a_savepoint_and_null() -> None:
    data = writer.head(4) + struct.pack(">ii", 0, 0)
    found = read([data + writer.properties("SavepointType")], DIRECTORY).properties
    assert found is not None
    assert found.savepoint
    assert read([data + writer.NO_PROPERTIES], DIRECTORY).properties is None


def test_scan_hands_on_each_mention_and_keeps_none() -> None:
    out = Out()
    out.around(12, 2)
    stream(out)
    out.handle_id()
    found: list[FileReference] = []
    summary = scan([writer.keyed(6, bytes_of(out))], DIRECTORY, found.append)
    assert found == out.references
    assert not hasattr(summary, "references")
    assert summary.operators[0].references == 1


def test_errors_of_the_source_pass() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError(size)

    with pytest.raises(ConnectionResetError):
        read(Broken(), DIRECTORY)  # type: ignore[arg-type]
