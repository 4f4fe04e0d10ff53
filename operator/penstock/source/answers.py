"""What a broker says of itself and of its topics, as frozen values. Pure.

Offsets count the records of a partition from 0. Times are milliseconds since 1970, as the broker has them: by a topic's
setting the writer's clock or the broker's, and so not always in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cluster:
    """A Kafka cluster: the id that it gave itself, and how many brokers it has at present."""

    id: str
    brokers: int


@dataclass(frozen=True)
class Partition:
    """What a partition holds: the offsets from `earliest` up to, and without, `latest`."""

    number: int
    earliest: int
    """The first offset that has not been deleted; 0 when nothing ever was."""
    latest: int
    """The offset that the next record will get; 0 when there never was a record."""
    earliest_millis: int | None = None
    """The time of the first record that there is; None when there is none, or when the broker cannot say it. The end of
    a transaction counts as a record, of the time when it was committed."""

    @property
    def empty(self) -> bool:
        """Whether there is no record (any more)."""
        return self.earliest >= self.latest


@dataclass(frozen=True)
class Topic:
    """A topic with all its partitions, by number, and for how long it keeps records."""

    name: str
    partitions: tuple[Partition, ...]
    retention_millis: int | None = None
    """`retention.ms`; None: for ever."""
    retention_bytes: int | None = None
    """`retention.bytes`, for each partition; None: of any size."""
    cleanup_policy: frozenset[str] = frozenset({"delete"})
    """`cleanup.policy`: delete, compact or both."""

    @property
    def keeps_millis(self) -> int | None:
        """For how long it keeps each record, as far as time decides; None: time deletes nothing."""
        return self.retention_millis if "delete" in self.cleanup_policy else None

    @property
    def compacted(self) -> bool:
        """Whether only the newest record of each key is sure to be there."""
        return "compact" in self.cleanup_policy


@dataclass(frozen=True)
class Measured:
    """The topics that were asked for, in the order of their names, and the names that the broker does not know."""

    topics: tuple[Topic, ...]
    unknown: tuple[str, ...] = ()
    younger: Mapping[int, Mapping[tuple[str, int], int]] = field(default_factory=dict)
    """Percent of a topic's retention to the first offset of each partition whose record is younger than that; where
    there is none, the offset of the next record. Only of topics that delete by time, and only when it was asked for."""
    newest_millis: int | None = None
    """Time of the newest record of all, as the brokers have it; None when there is no record, or nobody asked."""
    offsets: Mapping[int, Mapping[tuple[str, int], int]] = field(default_factory=dict)
    """For each time that was asked for: by topic and partition the offset of the first record of then or later."""
