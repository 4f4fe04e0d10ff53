"""The layout of a whole `_metadata` file, versions 3 to 6. Source: Flink's MetadataV3Serializer to V6.

Version 4 adds properties at the end (Flink 1.20 writes it), 5 name and uid of operators, 6 merged channel state (2.3
writes it). What is read is what Flink 2.3 itself reads, checked against its class files. Version 7 is not released.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import BinaryIO

from penstock.flink.metadata.handles import Emit, EmitDirectory, Handles
from penstock.flink.metadata.model import FileReference, MasterState, Metadata, Operator, Properties, Summary
from penstock.flink.metadata.properties import read_properties
from penstock.flink.metadata.source import MetadataError, Source, UnknownVersionError

MAGIC = 0x4960672D
"""How every `_metadata` file begins."""
_MASTER_MAGIC = 0xC96B1696
_OLDEST, _NEWEST = 3, 6
_WITH_PROPERTIES = 4
_WITH_NAMES = 5
_ID_BYTES = 16
_KEPT_BYTES = 8 << 20
"""What a summary may hold, roughly: 20,000 operators and their names. A hostile file has no end of them."""
_OBJECT_BYTES = 256
"""What a small Python object with its fields takes, roughly."""


def read(data: BinaryIO | Iterable[bytes], directory: str) -> Metadata:
    """Read a whole file; memory grows with the number of files that it mentions, never with state inside it.

    Args:
        data: a binary stream, or the file's bytes in chunks of any size.
        directory: the checkpoint's directory in Flink's spelling (`s3://bucket/key`, `file:/directory`): what relative
            names belong to.

    Raises:
        MetadataError: this is not a whole `_metadata` file of version 3 to 6; UnknownVersionError when it is of another
            one. What the source itself raises passes.
    """
    references: list[FileReference] = []
    directories: dict[str, None] = {}
    summary = scan(data, directory, references.append, directories.setdefault)
    return Metadata(
        **{field.name: getattr(summary, field.name) for field in fields(Summary)},
        references=tuple(references),
        directories=tuple(directories),
    )


def scan(
    data: BinaryIO | Iterable[bytes],
    directory: str,
    emit: Emit,
    emit_directory: EmitDirectory = lambda _: None,
) -> Summary:
    """Read a whole file in bounded memory: each mention of a file is handed to `emit` and forgotten.

    Arguments and errors are those of `read`; `emit_directory` gets each mention of a directory that file merging
    manages. What was handed over before an error is of a file that is not whole.
    """
    return _Reader(Source(data), directory, emit, emit_directory).file()


class _Reader:
    def __init__(self, source: Source, directory: str, emit: Emit, emit_directory: EmitDirectory) -> None:
        self._source = source
        self._handles = Handles(source, directory, emit, emit_directory)
        self._kept = 0

    def file(self) -> Summary:
        """The whole file, up to its end."""
        source = self._source
        version = self._version()
        checkpoint_id = source.size("the checkpoint id")
        masters = tuple(self._master_state() for _ in range(source.count("the number of master states")))
        operators = tuple(self._operator(version) for _ in range(source.count("the number of operators")))
        properties: Properties | None = None
        if version >= _WITH_PROPERTIES:
            properties = read_properties(source)
        if not source.at_end():
            raise MetadataError(source.offset, "the end of the file", "more bytes")
        splits = self._handles.splits
        return Summary(version, checkpoint_id, source.offset, masters, operators, properties, splits)

    def _version(self) -> int:
        source = self._source
        magic = source.u32("the magic number")
        if magic != MAGIC:
            raise MetadataError(0, f"the magic number {MAGIC:#010x}", f"{magic:#010x}")
        version = source.i32("the version")
        if not _OLDEST <= version <= _NEWEST:
            raise UnknownVersionError(4, f"a version from {_OLDEST} to {_NEWEST}", version)
        return version

    def _master_state(self) -> MasterState:
        source = self._source
        begin = source.offset
        magic = source.u32("the magic number of a master state")
        if magic != _MASTER_MAGIC:
            raise MetadataError(begin, f"the magic number {_MASTER_MAGIC:#010x} of a master state", f"{magic:#010x}")
        length = source.count("the length of a master state")
        begin = source.offset
        version = source.i32("the version of a master state")
        name = self._keep(source.text("the name of a master state"))
        size = source.count("the size of a master state")
        source.skip(size, "a master state")
        if source.offset - begin != length:
            raise MetadataError(begin, f"a master state of {length} bytes", f"one of {source.offset - begin}")
        return MasterState(name, version, size)

    def _operator(self, version: int) -> Operator:
        source, handles = self._source, self._handles
        handles.inline_bytes = handles.references = 0
        name = uid = ""
        if version >= _WITH_NAMES:
            name = source.text("the name of an operator")
            uid = source.text("the uid of an operator")
        self._keep(name + uid)
        id_ = source.raw(_ID_BYTES, "the id of an operator").hex()
        begin = source.offset
        parallelism = source.count("the parallelism of an operator")
        max_parallelism = source.count("the maximum parallelism of an operator")
        if parallelism > max_parallelism:
            raise MetadataError(begin, "a parallelism of at most the maximum", f"{parallelism} of {max_parallelism}")
        coordinator_bytes = handles.coordinator()
        begin = source.offset
        subtasks = source.i32("the number of subtasks")
        if subtasks < 0 and coordinator_bytes:
            raise MetadataError(begin, "no state of the coordinator of a finished operator", "some")
        finished = sum(self._subtask(version, parallelism) for _ in range(subtasks))
        return Operator(
            id=id_,
            name=name or None,
            uid=uid or None,
            parallelism=parallelism,
            max_parallelism=max_parallelism,
            subtasks=max(subtasks, 0),
            finished_subtasks=finished,
            finished=subtasks < 0,
            inline_bytes=handles.inline_bytes,
            coordinator_bytes=coordinator_bytes,
            references=handles.references,
        )

    def _subtask(self, version: int, parallelism: int) -> bool:
        """One subtask's state; True when the subtask had finished, which has none."""
        source, handles = self._source, self._handles
        begin = source.offset
        stored = source.i32("the number of a subtask")
        number = stored if stored >= 0 else -stored - 1
        if number >= parallelism:
            raise MetadataError(begin, f"a subtask below the parallelism {parallelism}", f"subtask {number}")
        if stored < 0:
            return True
        for which in ("managed", "raw"):
            begin = source.offset
            some = source.i32(f"whether there is {which} operator state")
            if some not in (0, 1):
                raise MetadataError(begin, f"0 or 1 {which} operator states", str(some))
            if some:
                handles.operator()
        handles.keyed()  # managed
        handles.keyed()  # raw
        for _ in range(source.count("the number of input channels")):
            handles.input_channel(version)
        for _ in range(source.count("the number of result subpartitions")):
            handles.output_channel(version)
        return False

    def _keep(self, text: str) -> str:
        """Count what the summary holds: the file's own numbers are not trusted, and neither is its length."""
        self._kept += _OBJECT_BYTES + len(text)
        if self._kept > _KEPT_BYTES:
            raise MetadataError(self._source.offset, "a sensible number of operators and names", "more")
        return text
