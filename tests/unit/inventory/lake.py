"""A store with real sizes that may die at any call, and states in it with synthetic `_metadata` files."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.errors import RetryLater
from penstock.inventory.tombstone import Subject
from tests.unit.builders import HOME, PLACE, uid
from tests.unit.fakes import FakeStore
from tests.unit.flink.metadata import writer

VERSION = 6
TIME = "2026-01-31T12:00:00Z"
RUNS = tuple(letter * 32 for letter in "abcd")


def handle(path: str, size: int) -> bytes:
    """A stream handle of a whole file."""
    return b"\x02" + struct.pack(">q", size) + writer.utf(path)


def segment(path: str, offset: int, length: int) -> bytes:
    """A stream handle of a part of a merged file."""
    return b"\x0f" + struct.pack(">qqi", offset, length, 1) + writer.utf(path) + writer.utf("logical")


def metadata(files: Mapping[str, int], number: int = 1, segments: Iterable[tuple[str, int, int]] = ()) -> bytes:
    """A `_metadata` file of one subtask with RocksDB's incremental state: key (or URI) to size in bytes."""
    handles = [handle(_uri(path), size) for path, size in files.items()]
    handles += [segment(_uri(path), offset, length) for path, offset, length in segments]
    shared = struct.pack(">i", len(handles)) + b"".join(writer.utf(f"{n:06}.sst") + h for n, h in enumerate(handles))
    keyed = b"\x0b" + struct.pack(">q", number) + writer.utf("backend") + bytes(8) + struct.pack(">q", 1)
    keyed += b"\x00" + shared + struct.pack(">i", 0) + writer.utf("id")
    body = bytes(8) + keyed + b"\x00" + bytes(8)
    one = writer.operator_head(VERSION) + b"\x00" + struct.pack(">ii", 1, 0) + body
    return writer.whole(VERSION, one, checkpoint_id=number)


def _uri(path: str) -> str:
    return path if ":" in path else PLACE.uri(path)


def chk(number: int, run: str = RUNS[0]) -> str:
    """Key prefix of a retained checkpoint, with the slash."""
    return f"{HOME}checkpoints/{run}/chk-{number}/"


def shared(name: str, run: str = RUNS[0]) -> str:
    """Key of a shared file."""
    return f"{HOME}checkpoints/{run}/shared/{name}"


def subject(directory: str, number: int = 1) -> Subject:
    """A deletion of that directory for Checkpoint number so-and-so."""
    return Subject(HOME, directory, f"c{number}", uid(number), TIME)


def tombstone(number: int = 1) -> str:
    """Key of its tombstone."""
    return PLACE.tombstone(HOME, uid(number))


class Died(RetryLater):
    """The process was killed here."""


class Lake(FakeStore):
    """Sizes are those of the bytes. `die_in` calls later the call fails, `partly` done when that is given."""

    def __init__(self, keys: dict[str, bytes | dict[str, Any]] | None = None) -> None:
        super().__init__(keys)
        self.batches: list[list[str]] = []
        self.die_in: int | None = None
        self.partly = 0
        """How many thousandths of the failing call happen before it fails: 0 nothing, 1000 all, the answer lost."""

    def add(self, files: Mapping[str, int]) -> None:
        self.keys.update({key: bytes(size) for key, size in files.items()})

    def add_state(self, directory: str, files: Mapping[str, int], number: int = 1) -> None:
        """A state with its own `_metadata`; the files that are not there yet are made."""
        self.add({key: size for key, size in files.items() if key not in self.keys and ":" not in key})
        self.keys[f"{directory}_metadata"] = metadata(files, number)

    def size_of(self, key: str) -> int:
        found = self.keys[key]
        return len(found) if isinstance(found, bytes) else 100

    def used(self) -> int:
        """Bytes that all objects but tombstones have."""
        return sum(self.size_of(key) for key in self.keys if "/tombstones/" not in key)

    def _dies(self) -> bool:
        if self.die_in is None:
            return False
        self.die_in -= 1
        return self.die_in == 0

    def _called(self, verb: str, key: str) -> None:
        super()._called(verb, key)
        if verb in ("list", "read", "head") and self._dies():
            raise Died(f"killed at {verb} {key}")

    async def write_json(self, key: str, value: dict[str, Any]) -> None:
        dies = self._dies()
        if not dies or self.partly >= 500:
            await super().write_json(key, value)
        if dies:
            raise Died(f"killed at write {key}")

    async def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), 1000):
            batch = list(keys[start : start + 1000])
            dies = self._dies()
            # In no order that anybody may rely on.
            happened = sorted(batch, reverse=True)[: len(batch) * self.partly // 1000 if dies else len(batch)]
            self.batches.append(batch)
            await super().delete(happened)
            if dies:
                raise Died(f"killed at delete of {len(batch)} keys")
