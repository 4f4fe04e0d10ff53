"""What the reader refuses: everything else, with the offset and what was expected there."""

from __future__ import annotations

import struct

import pytest

from penstock.errors import Refused
from tests.unit.flink.metadata import writer
from tests.unit.flink.metadata.writer import Out, bytes_of, refusal

JAVA = struct.pack(">I", 0xACED0005)


@pytest.mark.parametrize(
    ("java", "expected"),
    [
        (b"\xac\xed\x00\x04\x70", "Java-serialized properties"),
        (JAVA + b"\x75", "a Java object, string"),
        (JAVA + b"\x73\x70", "the class of a Java object"),
        (JAVA + b"\x73\x73", "a Java class"),
        (JAVA + b"\x7e\x70", "the class of a Java enum"),
        (JAVA + b"\x71" + struct.pack(">i", 0x7E0000), "a reference to an earlier Java object"),
        (JAVA + b"\x71" + struct.pack(">i", 0x7DFFFF), "a reference to an earlier Java object"),
        (JAVA + b"\x73" + writer.java_class("a", b"", 0, flags=3), "default fields"),
        (JAVA + b"\x73" + writer.java_class("a", b"X" + writer.utf("b"), 1), "the type of a Java field"),
        (JAVA + b"\x73" + writer.java_class("a", b"", 0)[:-2] + b"\x77", "the end of a Java class"),
        (JAVA + b"\x7e" + writer.java_class("a", b"", 0, flags=18) + b"\x70", "the constant of a Java enum"),
        (JAVA + b"\x73" + writer.java_class("a", b"", 0, flags=18), "the class of a Java object"),
        (JAVA + b"\x73" + b"".join(writer.java_class("a", b"", 0, b"") for _ in range(20)), "deep"),
        (
            JAVA + b"\x73" + writer.java_class("a", b"L" + writer.utf("b") + b"\x71" + struct.pack(">i", 0x7E0000), 1),
            "",
        ),
        (
            JAVA + b"\x73" + writer.java_class("a", (b"L" + writer.utf("b") + b"\x74" + writer.utf("t")) * 300, 300),
            "at most 256 Java objects",
        ),
    ],
)
def test_other_java_objects_are_refused(java: bytes, expected: str) -> None:
    error = refusal(writer.head(4) + struct.pack(">ii", 0, 0) + java)
    assert expected in error.expected


def test_java_objects_that_nest_without_end_are_refused() -> None:
    within = b"L" + writer.utf("next") + b"\x74" + writer.utf("La;")
    again = b"\x73\x71" + struct.pack(">i", 0x7E0000)
    data = JAVA + b"\x73" + writer.java_class("a", within, 1) + again * 1000
    assert "deep" in refusal(writer.head(4) + struct.pack(">ii", 0, 0) + data).expected


def ints(*values: int) -> bytes:
    return struct.pack(f">{len(values)}i", *values)


FINISHED = writer.operator_head(6) + b"\x00" + ints(-1)


@pytest.mark.parametrize(
    ("data", "offset", "expected"),
    [
        (b"", 0, "the magic number"),
        (b"PK\x03\x04 not a checkpoint", 0, "the magic number 0x4960672d"),
        (writer.head(2), 4, "a version from 3 to 6"),
        (writer.head(7), 4, "a version from 3 to 6"),
        (writer.head(-1), 4, "a version from 3 to 6"),
        (writer.head(6, -1), 8, "the checkpoint id"),
        (writer.head(6) + ints(-1), 16, "the number of master states"),
        (writer.head(6) + ints(1, 5), 20, "the magic number 0xc96b1696 of a master state"),
        (
            writer.head(6) + ints(1) + writer.master_state("a", 3).replace(ints(14), ints(15), 1),
            28,
            "a master state of 15 bytes",
        ),
        (writer.head(6) + ints(0, -1), 20, "the number of operators"),
        (writer.whole(6, FINISHED).replace(ints(2, 128), ints(129, 128)), 64, "a parallelism of at most"),
        (writer.whole(6, FINISHED).replace(ints(2, 128), ints(-1, 128)), 64, "the parallelism"),
        (writer.whole(6, writer.operator_head(6) + b"\x02"), 72, "no or inline state of the coordinator"),
        (writer.whole(6, writer.operator_head(6) + b"\x00" + ints(1, 2)), 77, "a subtask below the parallelism"),
        (writer.whole(6, writer.operator_head(6) + b"\x00" + ints(1, -3)), 77, "a subtask below the parallelism"),
        (writer.one_subtask(6, ints(2)), 81, "0 or 1 managed operator states"),
        (writer.one_subtask(6, ints(1) + b"\x05"), 85, "an operator state handle"),
        (writer.one_subtask(6, ints(0, 0) + b"\x04"), 89, "a keyed state handle"),
        (writer.one_subtask(6, ints(0, 0) + b"\x0f"), 89, "a keyed state handle"),
        (writer.one_subtask(6, ints(0, 0) + b"\x03" + ints(0, 0) + b"\x07"), 98, "a stream handle"),
        (writer.one_subtask(6, ints(0, 0) + b"\x03" + ints(0, -1)), 94, "the number of the offsets of key groups"),
        (writer.one_subtask(6, ints(0, 0) + b"\0\0" + ints(1) + b"\x02"), 95, "an input channel (tag 1 or 3)"),
        (writer.one_subtask(6, ints(0, 0) + b"\0\0" + ints(0, 1) + b"\x01"), 99, "a result subpartition (tag 2"),
        (writer.whole(6) + b"\0", None, "the end of the file"),
        (writer.whole(3) + b"\0", None, "the end of the file"),
    ],
)
def test_anything_else_is_the_one_error(data: bytes, offset: int | None, expected: str) -> None:
    error = refusal(data)
    assert error.offset == (len(data) - 1 if offset is None else offset)
    assert expected in error.expected
    assert isinstance(error, Refused)
    assert error.reason == "BadMetadata"
    assert str(error) == f"byte {error.offset} of the _metadata file: expected {error.expected}, found {error.found}"


def test_a_finished_operator_has_no_coordinator() -> None:
    coordinator = Out()
    coordinator.inline_state(1)
    data = writer.whole(6, writer.operator_head(6) + bytes_of(coordinator) + ints(-1))
    assert "no state of the coordinator" in refusal(data).expected


@pytest.mark.parametrize("scope", [-1, 2])
def test_a_scope_that_flink_does_not_have(scope: int) -> None:
    data = b"\x03" + ints(0, 0) + b"\x0f" + bytes(16) + ints(scope)
    assert "the scope 0 (exclusive) or 1 (shared)" in refusal(writer.keyed(6, data)).expected


@pytest.mark.parametrize("inner", [8, 14])
@pytest.mark.parametrize("changes", [False, True])
def test_a_changelog_holds_no_changelog(inner: int, changes: bool) -> None:  # noqa: FBT001
    out = Out()
    out.u8(14)
    out.range()
    out.i64(0)
    if changes:
        out.i32(0)
    out.i32(1)
    out.u8(inner)
    assert "a handle that a changelog may hold" in refusal(writer.keyed(6, bytes_of(out))).expected


@pytest.mark.parametrize("inner", [3, 5, 7, 11, 12])
def test_changes_are_no_materialized_state(inner: int) -> None:
    out = Out()
    out.u8(14)
    out.range()
    out.i64(0)
    out.i32(0)
    out.i32(1)
    out.u8(inner)
    assert "a handle that a changelog may hold" in refusal(writer.keyed(6, bytes_of(out))).expected
