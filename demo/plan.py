"""Which record belongs at which offset of which partition: arithmetic only.

Record i lies in partition i % partitions at offset i // partitions, and the end marker follows the last flight of each
partition. So the end offset of a partition says by itself what has been written there, and a feeder that was killed
needs no notes of its own to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Slot(NamedTuple):
    """One record to write. `flight` is the flight's number in the order of feeding, or None for the end marker."""

    partition: int
    offset: int
    flight: int | None


class ForeignRecordsError(Exception):
    """The topic holds something that this plan did not put there."""


@dataclass(frozen=True)
class Plan:
    """How `total` flights lie in `partitions` partitions."""

    total: int
    partitions: int

    def length(self, partition: int, count: int | None = None) -> int:
        """How many of the first `count` flights (all, when None) lie in a partition, the marker not counted."""
        count = self.total if count is None else min(count, self.total)
        return max(0, (count - partition + self.partitions - 1) // self.partitions)

    def count(self, ends: Sequence[int]) -> int:
        """How many flights the end offsets stand for, markers not counted."""
        return sum(min(end, self.length(partition)) for partition, end in enumerate(ends))

    def remaining(self, ends: Sequence[int], *, count: int | None = None, marker: bool = False) -> Iterator[Slot]:
        """What is still to be written, in order.

        Args:
            ends: The end offset of each partition.
            count: Only the first `count` flights of the plan; all when None.
            marker: Also the end markers. They are left out while flights are left out.

        Raises:
            ForeignRecordsError: The topic has another number of partitions, or more records than the plan.
        """
        if len(ends) != self.partitions:
            raise ForeignRecordsError(f"the topic has {len(ends)} partitions, not {self.partitions}")
        for partition, end in enumerate(ends):
            if end > self.length(partition) + 1:
                raise ForeignRecordsError(
                    f"partition {partition} holds {end} records, the plan {self.length(partition)} and one marker",
                )
        limit = self.total if count is None else min(count, self.total)
        for flight in range(limit):
            partition, offset = flight % self.partitions, flight // self.partitions
            if offset >= ends[partition]:
                yield Slot(partition, offset, flight)
        if marker and limit == self.total:
            for partition in range(self.partitions):
                if ends[partition] <= self.length(partition):
                    yield Slot(partition, self.length(partition), None)
