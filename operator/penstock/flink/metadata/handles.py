"""State handles: how a `_metadata` file says where state is. Tags and field order: Flink's MetadataV2V3SerializerBase.

A handle is read for the files that it names, for the bytes that lie in the `_metadata` file itself, and for where a
source goes on; everything else (key groups, offsets, names of states, ids of handles) is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from penstock.flink.metadata.model import FileReference, Kind, Scope, Segment
from penstock.flink.metadata.source import MetadataError, Source
from penstock.flink.metadata.splits import LIMIT, READER_STATE, Splits

_NULL = 0
_INLINE = 1
_FILE = 2
_KEY_GROUPS = 3
_OPERATOR = 4
_INCREMENTAL = 5
_RELATIVE = 6
_SAVEPOINT_KEY_GROUPS = 7
_CHANGELOG = 8
_CHANGELOG_INLINE = 9
_CHANGELOG_FILES = 10
_INCREMENTAL_V2 = 11
_KEY_GROUPS_V2 = 12
_CHANGELOG_FILES_V2 = 13
_CHANGELOG_V2 = 14
_SEGMENT = 15
_EMPTY_SEGMENT = 16
_MERGED_OPERATOR = 17

_CHANGES = frozenset({_NULL, _CHANGELOG_INLINE, _CHANGELOG_FILES, _CHANGELOG_FILES_V2})
_INPUT, _OUTPUT = (1, 3), (2, 4)
"""Tags of channel state from version 6 on: of one channel, of all channels of a subtask."""
_CHANNEL_INFO_BYTES = 8
"""Gate and channel, or partition and subpartition: two ints."""
_LONG = 8
_SHARED = 1
"""Ordinal in Flink's CheckpointedStateScope, after EXCLUSIVE."""

_ABSOLUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?/")
_DOTS = frozenset({".", ".."})
_HOLDERS = {"shared": Scope.SHARED, "taskowned": Scope.TASKOWNED}
_MANAGED = "job_"
"""How the directories begin that file merging makes in shared/ and taskowned/."""

Emit = Callable[[FileReference], None]
EmitDirectory = Callable[[str], None]


class Handles:
    """Reads handles from a source and hands on every file that they name.

    Attributes:
        inline_bytes: bytes of state inside the file so far.
        references: files handed on so far.
        splits: where sources go on, as far as that is in the file.
    """

    def __init__(self, source: Source, directory: str, emit: Emit, emit_directory: EmitDirectory) -> None:
        self._source = source
        self._directory = directory.rstrip("/")
        self._emit = emit
        self._emit_directory = emit_directory
        self.inline_bytes = 0
        self.references = 0
        self.splits = Splits()

    def coordinator(self) -> int:
        """A coordinator's state, which Flink reads only when it is inline; gives its bytes."""
        source = self._source
        begin = source.offset
        tag = source.u8("the handle of the coordinator's state")
        if tag == _NULL:
            return 0
        if tag != _INLINE:
            raise MetadataError(begin, "no or inline state of the coordinator (tag 0 or 1)", f"tag {tag}")
        return self._inline()

    def operator(self) -> None:
        """Operator state of one subtask."""
        source = self._source
        begin = source.offset
        tag = source.u8("the tag of an operator state handle")
        if tag == _NULL:
            return
        if tag not in (_OPERATOR, _MERGED_OPERATOR):
            raise MetadataError(begin, "an operator state handle (tag 0, 4 or 17)", f"tag {tag}")
        elements: list[int] = []
        for _ in range(source.count("the number of operator states")):
            name = source.text("the name of an operator state")
            source.u8("the mode of an operator state")
            if name == READER_STATE:
                self._elements(elements)
            else:
                self._longs("the offsets of an operator state")
        if tag == _MERGED_OPERATOR:
            for which in ("taskowned", "shared"):
                self._emit_directory(source.text(f"the managed directory in {which}/"))
            source.u8("whether the operator state is empty")
        self.stream(Kind.OPERATOR, elements)

    def keyed(self) -> None:
        """Keyed state of one subtask."""
        begin = self._source.offset
        tag = self._source.u8("the tag of a keyed state handle")
        if tag in (_CHANGELOG, _CHANGELOG_V2):
            self._changelog(tag)
        else:
            self._keyed(tag, begin)

    def input_channel(self, version: int) -> None:
        """In-flight records of an input channel, or from version 6 on perhaps of all of a subtask."""
        self._channel(version, _INPUT, "an input channel")

    def output_channel(self, version: int) -> None:
        """In-flight records of a result subpartition, or from version 6 on perhaps of all of a subtask."""
        self._channel(version, _OUTPUT, "a result subpartition")

    def stream(self, kind: Kind, elements: Sequence[int] = ()) -> None:
        """State as a stream of bytes: none, inline, a file or a part of one.

        Args:
            kind: what it is.
            elements: where in these bytes the splits of a source are.
        """
        source = self._source
        while True:
            begin = source.offset
            tag = source.u8("the tag of a stream handle")
            if tag != _KEY_GROUPS:
                break
            self._key_groups()  # around another handle: a loop, since the file may nest them without end
        if tag == _INLINE:
            self._inline(elements)
        elif tag == _FILE:
            size, path = source.size("the size of a file"), self._path()
            self._name(path, size, kind)
            self.splits.lie_in(path, 0, elements)
        elif tag == _RELATIVE:
            path = self._relative()
            self._name(path, source.size("the size of a file"), kind, relative=True)
            self.splits.lie_in(path, 0, elements)
        elif tag == _SEGMENT:
            path, begin = self._segment(kind)
            self.splits.lie_in(path, begin, elements)
        elif tag not in (_NULL, _EMPTY_SEGMENT):
            raise MetadataError(begin, "a stream handle (tag 0, 1, 2, 3, 6, 15 or 16)", f"tag {tag}")

    def _keyed(self, tag: int, begin: int) -> None:
        """A keyed handle that is no changelog, or a part of one."""
        source = self._source
        if tag in (_KEY_GROUPS, _KEY_GROUPS_V2, _SAVEPOINT_KEY_GROUPS):
            self._key_groups()
            self.stream(Kind.KEYED)
            if tag == _KEY_GROUPS_V2:
                source.text("the id of a handle")
        elif tag in (_INCREMENTAL, _INCREMENTAL_V2):
            self._incremental(v2=tag == _INCREMENTAL_V2)
        elif tag == _CHANGELOG_INLINE:
            self._inline_changes()
        elif tag in (_CHANGELOG_FILES, _CHANGELOG_FILES_V2):
            self._changes_in_files(v2=tag == _CHANGELOG_FILES_V2)
        elif tag != _NULL:
            raise MetadataError(begin, "a keyed state handle (tag 0, 3, 5 or 7 to 14)", f"tag {tag}")

    def _incremental(self, *, v2: bool) -> None:
        """RocksDB's files, each a handle of its own."""
        source = self._source
        source.skip(_LONG, "the checkpoint id of a handle")
        source.text("the id of a state backend")
        source.skip(8, "a range of key groups")
        if v2:
            source.skip(_LONG, "the checkpointed size")
        self.stream(Kind.KEYED)
        for which in ("shared", "private"):
            for _ in range(source.count(f"the number of {which} files")):
                source.text("the local name of a file")
                self.stream(Kind.KEYED)
        if v2:
            source.text("the id of a handle")

    def _changelog(self, tag: int) -> None:
        """What was materialized, and the changes since."""
        source = self._source
        source.skip(8, "a range of key groups")
        source.skip(_LONG, "the checkpointed size")
        for changes in (False, True):
            for _ in range(source.count("the number of handles of a changelog")):
                begin = source.offset
                inner = source.u8("the tag of a handle of a changelog")
                # Flink never puts a changelog into a changelog: refused, so that the depth has an end.
                if inner in (_CHANGELOG, _CHANGELOG_V2) or (changes and inner not in _CHANGES):
                    raise MetadataError(begin, "a handle that a changelog may hold", f"tag {inner}")
                self._keyed(inner, begin)
        source.skip(_LONG, "the id of a materialization")
        if tag == _CHANGELOG_V2:
            source.skip(_LONG, "the checkpoint id of a handle")
        source.text("the id of a handle")

    def _inline_changes(self) -> None:
        source = self._source
        source.skip(8, "a range of key groups")
        source.skip(2 * _LONG, "the sequence numbers of a changelog")
        for _ in range(source.count("the number of changes")):
            source.skip(4, "the key group of a change")
            self._inline_data("a change")
        source.text("the id of a handle")

    def _changes_in_files(self, *, v2: bool) -> None:
        source = self._source
        source.skip(8, "a range of key groups")
        for _ in range(source.count("the number of files of a changelog")):
            source.skip(_LONG, "an offset in a file of a changelog")
            self.stream(Kind.CHANGELOG)
        source.skip(2 * _LONG, "the sizes of a changelog")
        source.text("the id of a handle")
        if v2:
            source.text("the storage of a changelog")

    def _channel(self, version: int, tags: tuple[int, int], what: str) -> None:
        source = self._source
        one, merged = tags
        tag = one
        if version >= 6:  # noqa: PLR2004 - the version that brought the tag
            begin = source.offset
            tag = source.u8(f"the tag of {what}")
            if tag not in tags:
                raise MetadataError(begin, f"{what} (tag {one} or {merged})", f"tag {tag}")
        source.skip(4, f"the subtask of {what}")
        if tag == one:
            source.skip(_CHANNEL_INFO_BYTES, f"the number of {what}")
            self._longs(f"the offsets of {what}")
        source.skip(_LONG, f"the size of {what}")
        self.stream(Kind.CHANNEL)
        if tag == merged:
            source.skip(source.count(f"the length of the offsets of {what}"), f"the offsets of {what}")

    def _key_groups(self) -> None:
        self._source.skip(4, "the first key group")
        self._longs("the offsets of key groups")

    def _longs(self, what: str) -> None:
        self._source.skip(_LONG * self._source.count(f"the number of {what}"), what)

    def _elements(self, elements: list[int]) -> None:
        """Where the splits of a source are; what is beyond any sensible number of them is not kept."""
        for number in range(self._source.count("the number of splits")):
            offset = self._source.i64("the offset of a split")
            if number < LIMIT:
                elements.append(offset)
            else:
                self.splits.unread += 1

    def _inline(self, elements: Sequence[int] = ()) -> int:
        self._source.text("the name of inline state")
        return self._inline_data("inline state", elements)

    def _inline_data(self, what: str, elements: Sequence[int] = ()) -> int:
        size = self._source.count(f"the length of {what}")
        begin = self._source.offset
        self.splits.take(self._source, size, elements)
        self._source.skip(size - (self._source.offset - begin), what)
        self.inline_bytes += size
        return size

    def _segment(self, kind: Kind) -> tuple[str, int]:
        """A part of a file; gives the file and what lies before the part."""
        source = self._source
        offset = source.size("the offset of a part of a file")
        length = source.size("the length of a part of a file")
        begin = source.offset
        scope = source.i32("the scope of a part of a file")
        if scope not in (0, _SHARED):
            raise MetadataError(begin, "the scope 0 (exclusive) or 1 (shared)", str(scope))
        path = self._path()
        source.text("the id of a part of a file")
        self._name(path, None, kind, segment=Segment(offset, length, scope == _SHARED))
        return path, offset

    def _path(self) -> str:
        begin = self._source.offset
        path = self._source.text("the path of a file")
        if not _ABSOLUTE.match(path):
            raise MetadataError(begin, "an absolute path", ascii(path[:200]))
        return path

    def _relative(self) -> str:
        """The name of a file in the checkpoint's directory. Flink writes plain names; nothing may lead out of there."""
        begin = self._source.offset
        name = self._source.text("the name of a file")
        parts = name.split("/")
        if "" in parts or not _DOTS.isdisjoint(parts):
            raise MetadataError(begin, "the name of a file in the checkpoint's directory", ascii(name[:200]))
        return f"{self._directory}/{name}"

    def _name(
        self, path: str, size: int | None, kind: Kind, *, relative: bool = False, segment: Segment | None = None
    ) -> None:
        scope = Scope.EXCLUSIVE if relative else scope_of(path, self._directory)
        self.references += 1
        self._emit(FileReference(path, size, scope, kind, relative, segment))


def scope_of(path: str, directory: str) -> Scope:
    """Whose a file is, by its place: Flink puts `chk-N/`, `shared/` and `taskowned/` of a job beside each other.

    Merged files lie one level deeper, in a directory `job_…` of a subtask or TaskManager. A path with `.` or `..` in it
    is ELSEWHERE: it need not be where it seems to be.
    """
    parts = path.split("/")
    if not _DOTS.isdisjoint(parts):
        return Scope.ELSEWHERE
    if path.startswith(directory + "/"):
        return Scope.EXCLUSIVE
    holder = parts[-2]
    if holder.startswith(_MANAGED) and len(parts) > 2:  # noqa: PLR2004 - the directory above it
        holder = parts[-3]
    return _HOLDERS.get(holder, Scope.ELSEWHERE)
