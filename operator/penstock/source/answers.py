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
    """The time of the first record that there is; None when there is none. The end of a transaction counts as a record,
    of the time when it was committed."""


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
    def compacted(self) -> bool:
        """Whether only the newest record of each key is sure to be there."""
        return "compact" in self.cleanup_policy


@dataclass(frozen=True)
class Measured:
    """The topics that were asked for, in the order of their names, and the names that the broker does not know."""

    topics: tuple[Topic, ...]
    unknown: tuple[str, ...] = ()
    offsets: Mapping[int, Mapping[tuple[str, int], int]] = field(default_factory=dict)
    """For each time that was asked for: by topic and partition the offset of the first record of then or later."""
