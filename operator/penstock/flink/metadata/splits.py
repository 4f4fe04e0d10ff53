"""Where Kafka sources go on: the splits in the state of Flink's source readers.

A source keeps them in the operator list state `SourceReaderState`; an element is `length, version, length, bytes`, all
of which must fit, since other sources keep theirs under the same name. The bytes of Kafka's are of version 0: topic
(writeUTF), partition, the offset that is read next, the offset to stop at. Source: Flink's SourceOperator,
PartitionableListState, SimpleVersionedSerialization, and the connector's KafkaPartitionSplitSerializer.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from penstock.flink.metadata.source import Source

READER_STATE = "SourceReaderState"
LIMIT = 20_000
"""So many elements of a file are looked at, and so many are remembered to lie elsewhere; the rest counts as unread."""
_LENGTH = struct.Struct(">i")
_HEAD = struct.Struct(">iiH")
"""Version, length of the bytes, length of the topic's name."""
_TAIL = struct.Struct(">iqq")
_VERSION = 0
_TOPIC = re.compile(rb"[A-Za-z0-9._-]{1,249}")
LONGEST = _LENGTH.size + _HEAD.size + 249 + _TAIL.size
"""Bytes of the largest element that can be a Kafka split, its length included."""
_LEAST_OFFSET = -3
"""Kafka's and Flink's words for offsets: -1 latest, -2 earliest, -3 the one that the group has committed."""

Place = tuple[str, int]
"""A topic's name and the number of a partition."""


@dataclass(frozen=True, slots=True)
class Elements:
    """Elements that lie in a file beside the `_metadata`."""

    path: str
    """As in FileReference."""
    offsets: tuple[int, ...]
    """Bytes of the file before each element."""

    @property
    def span(self) -> tuple[int, int]:
        """The part of the file that holds them all: bytes before it, and its length at most."""
        first = min(self.offsets)
        return first, max(self.offsets) + LONGEST - first


@dataclass(slots=True)
class Splits:
    """What was found so far; filled by the reader of a file, and by whoever fetches what lies elsewhere."""

    positions: dict[Place, int] = field(default_factory=dict)
    """The offset that is read next. Negative: one of Flink's words, of a partition of which nothing was read yet. Where
    two sources of a job read the same partition, the earlier one."""
    elsewhere: list[Elements] = field(default_factory=list)
    unread: int = 0
    """Elements that are no Kafka split as far as this can tell: another source's, a later version's, compressed."""
    _seen: int = 0

    def take(self, source: Source, size: int, offsets: Iterable[int]) -> None:
        """Read the elements at these offsets of the state that begins at the cursor, as far as they are in order."""
        position = 0
        for offset in offsets:
            if not position <= offset <= size - _LENGTH.size:
                self.unread += 1
                continue
            source.skip(offset - position, "a part of a source's state")
            length = source.i32("the length of a source's split")
            position = offset + _LENGTH.size
            if not 0 <= length <= min(LONGEST - _LENGTH.size, size - position):
                self.unread += 1
                continue
            self._add(source.raw(length, "a source's split"))
            position += length

    def take_from(self, span: bytes, begin: int, elements: Elements) -> None:
        """Read elements out of a part of their file that begins after `begin` bytes."""
        for offset in elements.offsets:
            at = offset - begin
            head = span[max(at, 0) : at + _LENGTH.size]
            length = _LENGTH.unpack(head)[0] if at >= 0 and len(head) == _LENGTH.size else -1
            data = span[at + _LENGTH.size : at + _LENGTH.size + length] if length >= 0 else b""
            self._add(data if len(data) == length else b"")

    def lie_in(self, path: str, begin: int, offsets: Sequence[int]) -> None:
        """Remember elements of a state that begins after so many bytes of a file."""
        if not offsets:
            return
        if self._count(len(offsets)) and min(offsets) >= 0:
            self.elsewhere.append(Elements(path, tuple(begin + offset for offset in offsets)))
        else:
            self.unread += len(offsets)

    def missed(self, elements: Elements) -> None:
        """These could not be fetched."""
        self.unread += len(elements.offsets)

    def _add(self, element: bytes) -> None:
        split = kafka_split(element)
        if split is None or not self._count(1):
            self.unread += 1
            return
        place, offset, stop = split
        if 0 <= stop <= offset:
            return  # it has read all that it is to read
        known = self.positions.get(place, offset)
        wanted = [each for each in (known, offset) if each >= 0]
        self.positions[place] = min(wanted or (known, offset))

    def _count(self, number: int) -> bool:
        self._seen += number
        return self._seen <= LIMIT


def kafka_split(element: bytes) -> tuple[Place, int, int] | None:
    """Topic and partition, the next offset and the one to stop at (negative: none); None when it cannot be one."""
    if len(element) < _HEAD.size:
        return None
    version, length, letters = _HEAD.unpack_from(element)
    topic = element[_HEAD.size : _HEAD.size + letters]
    fits = length == len(element) - 2 * _LENGTH.size and len(element) == _HEAD.size + letters + _TAIL.size
    if version != _VERSION or not fits or not _TOPIC.fullmatch(topic):
        return None
    partition, offset, stop = _TAIL.unpack_from(element, _HEAD.size + letters)
    if partition < 0 or offset < _LEAST_OFFSET:
        return None
    return (topic.decode("ascii"), int(partition)), int(offset), int(stop)
