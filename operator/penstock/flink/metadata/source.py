"""Bytes in order from a stream or from chunks, as Java's DataOutputStream wrote them. Never holds more than it needs.

What is held at a time is one chunk of the caller's and at most 64 KiB before it: a length in the file decides how much
is skipped, never how much is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import partial
from typing import BinaryIO

from penstock.errors import Refused

CHUNK = 1 << 16
_U16 = struct.Struct(">H").unpack_from
_I32 = struct.Struct(">i").unpack_from
_U32 = struct.Struct(">I").unpack_from
_I64 = struct.Struct(">q").unpack_from
_FOUR_BYTE_FORM = 0xF0
"""First byte of the 4-byte form of UTF-8, which Java's own form does not have."""


class MetadataError(Refused):
    """The bytes are not a `_metadata` file that this reader knows; trying again gives the same.

    Attributes:
        offset: bytes from the beginning of the file to what was not as expected.
        expected: what should have been there, as a part of a sentence.
        found: what was there instead, likewise.
    """

    def __init__(self, offset: int, expected: str, found: str) -> None:
        super().__init__(f"byte {offset} of the _metadata file: expected {expected}, found {found}", "BadMetadata")
        self.offset = offset
        self.expected = expected
        self.found = found


class UnknownVersionError(MetadataError):
    """The file begins as a `_metadata` file does, in a version that this reader does not know.

    Attributes:
        version: that version.
    """

    def __init__(self, offset: int, expected: str, version: int) -> None:
        super().__init__(offset, expected, f"version {version}")
        self.version = version


class Source:
    """A cursor over the bytes. Every method that reads takes the name of what it reads, for the error."""

    def __init__(self, data: BinaryIO | Iterable[bytes]) -> None:
        self._chunks = _chunks(data)
        self._buffer = b""
        self._position = 0
        self._before = 0  # bytes of the file before the buffer

    @property
    def offset(self) -> int:
        """Bytes read or skipped so far."""
        return self._before + self._position

    def u8(self, what: str) -> int:
        """An unsigned byte."""
        at = self._advance(1, what)  # may put another buffer in place
        return self._buffer[at]

    def i32(self, what: str) -> int:
        """A signed int of 4 bytes."""
        at = self._advance(4, what)
        return int(_I32(self._buffer, at)[0])

    def u32(self, what: str) -> int:
        """An unsigned int of 4 bytes."""
        at = self._advance(4, what)
        return int(_U32(self._buffer, at)[0])

    def u16(self, what: str) -> int:
        """An unsigned int of 2 bytes."""
        at = self._advance(2, what)
        return int(_U16(self._buffer, at)[0])

    def i64(self, what: str) -> int:
        """A signed int of 8 bytes."""
        at = self._advance(8, what)
        return int(_I64(self._buffer, at)[0])

    def raw(self, count: int, what: str) -> bytes:
        """A few bytes: the caller's own constant, or at most what 2 bytes can count."""
        at = self._advance(count, what)
        return self._buffer[at : at + count]

    def count(self, what: str) -> int:
        """A signed int of 4 bytes that may not be negative."""
        value = self.i32(what)
        if value < 0:
            raise MetadataError(self.offset - 4, f"{what}, at least 0", str(value))
        return value

    def size(self, what: str) -> int:
        """A signed int of 8 bytes that may not be negative."""
        value = self.i64(what)
        if value < 0:
            raise MetadataError(self.offset - 8, f"{what}, at least 0", str(value))
        return value

    def text(self, what: str) -> str:
        """A string of DataOutputStream.writeUTF: 2 bytes of length, at most 65,535 bytes of Java's UTF-8."""
        begin = self.offset
        raw = self.raw(self.u16(f"the length of {what}"), what)
        if raw.isascii():
            return raw.decode("ascii")
        try:
            return _java_text(raw)
        except ValueError as error:
            raise MetadataError(begin, f"{what} in Java's form of UTF-8", "other bytes") from error

    def skip(self, count: int, what: str) -> None:
        """Pass over some bytes without keeping any."""
        rest = count - (len(self._buffer) - self._position)
        if rest <= 0:
            self._position += count
            return
        begin = self.offset
        while rest > 0:
            if not self._next_chunk():
                raise MetadataError(begin, f"{what} ({count} bytes)", f"the end of the file after {count - rest} bytes")
            rest -= len(self._buffer)
        self._position = len(self._buffer) + rest

    def at_end(self) -> bool:
        """Whether no byte is left."""
        return self._position == len(self._buffer) and not self._next_chunk()

    def _advance(self, count: int, what: str) -> int:
        """Move on by `count` bytes, which then lie in the buffer together; gives the place in the buffer."""
        at = self._position
        if at + count > len(self._buffer):
            self._gather(count, what)
            at = 0
        self._position = at + count
        return at

    def _gather(self, count: int, what: str) -> None:
        """Put what is left of the buffer before as many more chunks as `count` bytes need."""
        self._before += self._position
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        while have < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise MetadataError(self._before, f"{what} ({count} bytes)", f"the end of the file after {have} bytes")
            parts.append(chunk)
            have += len(chunk)
        self._buffer = b"".join(parts)
        self._position = 0

    def _next_chunk(self) -> bool:
        """Forget the buffer for the next chunk that is not empty; False at the end of the file."""
        for chunk in self._chunks:
            if chunk:
                self._before += len(self._buffer)
                self._buffer = chunk
                self._position = 0
                return True
        self._before += len(self._buffer)
        self._buffer = b""
        self._position = 0
        return False


def _java_text(raw: bytes) -> str:
    """Java writes NUL in two bytes, and characters beyond U+FFFF as two surrogates of 3 bytes each."""
    if max(raw) >= _FOUR_BYTE_FORM:
        raise ValueError
    text = raw.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _chunks(data: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    if hasattr(data, "read"):
        return iter(partial(data.read, CHUNK), b"")
    return iter(data)
