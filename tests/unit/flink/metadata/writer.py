"""A writer of `_metadata` files, with what a reader must find in them: for kinds of handles that no real file here has.

Written from the same facts as the reader, so it proves the reader's code and not the facts; those are proven by the
real files of tests/data/metadata.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from penstock.flink.metadata import FileReference, Kind, MetadataError, Scope, Segment, read

MAGIC = 0x4960672D
MASTER_MAGIC = 0xC96B1696
BASE = "s3://bucket/prefix/00000000000000000000000000000001"
DIRECTORY = f"{BASE}/chk-7"
MANAGED = "job_00000000000000000000000000000001_op_a_0_2"


def utf(text: str) -> bytes:
    """DataOutputStream.writeUTF."""
    raw = b"".join(_character(ord(each)) for each in text)
    return struct.pack(">H", len(raw)) + raw


def _character(code: int) -> bytes:
    if code == 0:
        return b"\xc0\x80"
    if code > 0xFFFF:
        high, low = 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)
        return b"".join(chr(half).encode("utf-8", "surrogatepass") for half in (high, low))
    return chr(code).encode()


@dataclass
class Out:
    """Bytes, and what they mean."""

    data: bytearray = field(default_factory=bytearray)
    references: list[FileReference] = field(default_factory=list)
    inline: int = 0
    directories: list[str] = field(default_factory=list)

    def u8(self, value: int) -> None:
        self.data += struct.pack(">B", value)

    def i32(self, value: int) -> None:
        self.data += struct.pack(">i", value)

    def i64(self, *values: int) -> None:
        self.data += struct.pack(f">{len(values)}q", *values)

    def utf(self, text: str) -> None:
        self.data += utf(text)

    def longs(self, count: int) -> None:
        self.i32(count)
        self.i64(*range(count))

    # Streams

    def null(self) -> None:
        self.u8(0)

    def inline_state(self, size: int) -> None:
        self.u8(1)
        self.utf("inline")
        self.i32(size)
        self.data += bytes(size)
        self.inline += size

    def file(self, path: str, size: int, kind: Kind, scope: Scope) -> None:
        self.u8(2)
        self.i64(size)
        self.utf(path)
        self.references.append(FileReference(path, size, scope, kind))

    def relative(self, name: str, size: int, kind: Kind) -> None:
        self.u8(6)
        self.utf(name)
        self.i64(size)
        self.references.append(FileReference(f"{DIRECTORY}/{name}", size, Scope.EXCLUSIVE, kind, relative=True))

    def segment(self, path: str, offset: int, length: int, kind: Kind, scope: Scope, *, shared: bool) -> None:
        self.u8(15)
        self.i64(offset, length)
        self.i32(int(shared))
        self.utf(path)
        self.utf("logical-file")
        self.references.append(
            FileReference(path, None, scope, kind, relative=False, segment=Segment(offset, length, shared))
        )

    def empty_segment(self) -> None:
        self.u8(16)

    def around(self, tag: int, groups: int) -> None:
        """The beginning of key groups; a stream follows, and for tag 12 the id."""
        self.u8(tag)
        self.i32(0)
        self.longs(groups)

    def handle_id(self) -> None:
        self.utf("4a3f3ad4-2f45-4a3f-a2ca-b65b4c0c0001")

    # The rest of an operator

    def operator_state(self, tag: int, names: list[str]) -> None:
        """The beginning of operator state; a stream follows."""
        self.u8(tag)
        self.i32(len(names))
        for number, name in enumerate(names):
            self.utf(name)
            self.u8(number % 3)
            self.longs(number)
        if tag == 17:
            for path in (f"{BASE}/taskowned/{MANAGED}", f"{BASE}/shared/{MANAGED}"):
                self.utf(path)
                if path not in self.directories:
                    self.directories.append(path)
            self.u8(0)

    def range(self) -> None:
        self.i32(0)
        self.i32(64)


def head(version: int, checkpoint_id: int = 7, magic: int = MAGIC) -> bytes:
    return struct.pack(">Iiq", magic, version, checkpoint_id)


def master_state(name: str, size: int) -> bytes:
    body = struct.pack(">i", 1) + utf(name) + struct.pack(">i", size) + bytes(size)
    return struct.pack(">Ii", MASTER_MAGIC, len(body)) + body


def operator_head(
    version: int, number: int = 1, parallelism: int = 2, name: str = "Source: events", uid: str = "events"
) -> bytes:
    """Up to the coordinator's handle, which follows."""
    names = utf(name) + utf(uid) if version >= 5 else b""
    return names + number.to_bytes(16, "big") + struct.pack(">ii", parallelism, 128)


EMPTY_SUBTASK = struct.pack(">ii", 0, 0) + bytes(2) + struct.pack(">ii", 0, 0)
"""After its number: no operator state, no keyed state, no channels."""


def java_class(name: str, fields: bytes, count: int, parent: bytes = b"\x70", flags: int = 2) -> bytes:
    return b"\x72" + utf(name) + bytes(8) + bytes([flags]) + struct.pack(">H", count) + fields + b"\x78" + parent


def properties(kind: str = "CheckpointType") -> bytes:
    """A CheckpointProperties in Java's form: booleans, and an object with an enum."""
    package = "org.apache.flink.runtime.checkpoint"
    sharing = b"L" + utf("sharing") + b"\x74" + utf(f"L{package}.SnapshotType$SharingFilesStrategy;")
    enum = java_class("java.lang.Enum", b"", 0, flags=0x12)
    constant = (
        b"\x7e"
        + java_class(f"{package}.SnapshotType$SharingFilesStrategy", b"", 0, enum, flags=0x12)
        + b"\x74"
        + utf("FORWARD_BACKWARD")
    )
    text = b"L" + utf("name") + b"\x74" + utf("Ljava/lang/String;")
    type_ = b"\x73" + java_class(f"{package}.{kind}", text + sharing, 2) + b"\x74" + utf("Checkpoint") + constant
    fields = b"".join(b"Z" + utf(name) for name in ("discardCancelled", "forced"))
    fields += b"L" + utf("checkpointType") + b"\x74" + utf(f"L{package}/SnapshotType;")
    return (
        struct.pack(">I", 0xACED0005)
        + b"\x73"
        + java_class(f"{package}.CheckpointProperties", fields, 3)
        + b"\x01\x00"
        + type_
    )


NO_PROPERTIES = struct.pack(">I", 0xACED0005) + b"\x70"


def tail(version: int) -> bytes:
    return properties() if version >= 4 else b""


def whole(version: int, *operators: bytes, checkpoint_id: int = 7) -> bytes:
    """A file of these operators."""
    counts = struct.pack(">ii", 0, len(operators))
    return head(version, checkpoint_id) + counts + b"".join(operators) + tail(version)


def one_subtask(version: int, body: bytes) -> bytes:
    """A file with one operator of one subtask; `body` is what follows the subtask's number."""
    return whole(version, operator_head(version) + b"\x00" + struct.pack(">ii", 1, 0) + body)


def keyed(version: int, handle: bytes) -> bytes:
    """A file with one managed keyed handle."""
    return one_subtask(version, bytes(8) + handle + b"\x00" + bytes(8))


def split(topic: str, partition: int, offset: int, stop: int = -(2**63)) -> bytes:
    """A Kafka split, as its serializer writes it."""
    return utf(topic) + struct.pack(">iqq", partition, offset, stop)


def element(data: bytes, version: int = 0) -> bytes:
    """An element of a source reader's state: a byte array that holds a version, a length and bytes."""
    return struct.pack(">iii", len(data) + 8, version, len(data)) + data


def laid_out(elements: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """A source reader's state behind a head of 234 bytes, and where in it each element begins."""
    state, offsets = bytes(234), []
    for each in elements:
        offsets.append(len(state))
        state += each
    return state, offsets


def reader_state(
    elements: Sequence[bytes], kind: str = "inline", begin: int = 0, offsets: tuple[int, ...] | None = None
) -> bytes:
    """What follows a subtask's number, when all that it has is the state of a source's reader."""
    state, real = laid_out(elements)
    told = real if offsets is None else offsets
    out = Out()
    out.i32(1)
    out.u8(4)
    out.i32(2)
    for name, places in (("other", [1]), ("SourceReaderState", told)):
        out.utf(name)
        out.u8(0)
        out.i32(len(places))
        out.i64(*places)
    path = f"{BASE}/taskowned/splits"
    if kind == "inline":
        out.u8(1)
        out.utf("inline")
        out.i32(len(state))
        out.data += state
    elif kind == "file":
        out.file(path, len(state), Kind.OPERATOR, Scope.TASKOWNED)
    elif kind == "relative":
        out.relative("splits", len(state), Kind.OPERATOR)
    else:
        out.segment(path, begin, len(state), Kind.OPERATOR, Scope.TASKOWNED, shared=False)
    return bytes_of(out) + bytes(4) + bytes(2) + bytes(8)


def bytes_of(out: Out) -> bytes:
    return bytes(out.data)


def everything(version: int) -> bytes:
    """A file with every kind of handle that the version has."""
    out = Out()
    for tag in (4, 17):
        out.i32(1)
        out.operator_state(tag, ["a", "b"])
        if tag == 4:
            out.around(3, 1)
            out.file(f"{BASE}/taskowned/x", 10, Kind.OPERATOR, Scope.TASKOWNED)
        else:
            out.segment(f"{BASE}/taskowned/{MANAGED}/m", 10, 20, Kind.OPERATOR, Scope.TASKOWNED, shared=False)
    _changelog_of_everything(out)
    out.around(7, 2)
    out.relative("savepoint", 10, Kind.KEYED)
    for tags in ((1, 3), (2, 4)):
        out.i32(len(tags) if version == 6 else 1)
        for tag in tags if version == 6 else tags[:1]:
            _channel(out, tag, version)
    coordinator = Out()
    coordinator.inline_state(9)
    subtasks = struct.pack(">ii", 2, 0) + bytes_of(out) + struct.pack(">i", -2)
    ended = operator_head(version, number=2) + b"\x00" + struct.pack(">i", -1)
    operators = operator_head(version) + bytes_of(coordinator) + subtasks + ended
    counts = struct.pack(">i", 1) + master_state("hook", 5) + struct.pack(">i", 2)
    return head(version) + counts + operators + tail(version)


def _changelog_of_everything(out: Out) -> None:
    out.u8(14)
    out.range()
    out.i64(500)
    out.i32(5)
    out.null()
    for tag in (3, 12):
        out.around(tag, 2)
        out.file(f"{BASE}/shared/a", 60, Kind.KEYED, Scope.SHARED)
    out.handle_id()
    for tag in (5, 11):
        out.u8(tag)
        out.i64(7)
        out.utf("backend")
        out.range()
        if tag == 11:
            out.i64(1000)
        out.empty_segment()
        for _ in range(2):
            out.i32(1)
            out.utf("000012.sst")
            out.inline_state(3)
    out.handle_id()
    out.i32(3)
    out.u8(9)
    out.range()
    out.i64(0, 1)
    out.i32(1)
    out.i32(5)
    out.i32(4)
    out.data += bytes(4)
    out.handle_id()
    for tag in (10, 13):
        out.u8(tag)
        out.range()
        out.i32(1)
        out.i64(40)
        out.file("s3://bucket/changelog/dstl/u", 80, Kind.CHANGELOG, Scope.ELSEWHERE)
        out.i64(80, 80)
        out.handle_id()
    out.utf("filesystem")
    out.i64(1, 7)
    out.handle_id()


def _channel(out: Out, tag: int, version: int) -> None:
    if version == 6:
        out.u8(tag)
    out.i32(0)
    if tag < 3:
        out.i64(0)
        out.longs(1)
    out.i64(24)
    out.relative("channels", 48, Kind.CHANNEL)
    if tag > 2:
        out.i32(5)
        out.data += bytes(5)


def refusal(data: bytes) -> MetadataError:
    """The error that a file is refused with."""
    with pytest.raises(MetadataError) as caught:
        read([data], DIRECTORY)
    return caught.value
