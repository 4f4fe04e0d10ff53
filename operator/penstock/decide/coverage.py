"""Does a source still hold what a start would read? From what was measured at the broker; pure.

A broker deletes from the front of a partition only: what is gone are the offsets before the earliest one. Of their
times nothing is known but that they came before. So a gap is an upper bound ("up to so much is missing"), and one that
the topic's own settings explain says so: then what is gone is most likely older than what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from penstock.api.base import format_time
from penstock.api.duration import display_duration
from penstock.source.answers import Measured, Partition, Topic

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS = timedelta(microseconds=1)
_LAST_SECOND = datetime.max.replace(tzinfo=UTC) - timedelta(seconds=1)
_LAST_MILLIS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True)
class Gap:
    """A partition from which records have been deleted that may be as late as the wanted time."""

    topic: str
    partition: int
    wanted: datetime
    earliest: datetime | None
    """Time of the first record there is; None when every record has been deleted, or when nobody knows."""
    missing: timedelta | None
    """How much there is not, at most: from `wanted` to `earliest`; None without the latter."""
    empty: bool
    """Whether every record has been deleted."""
    within_retention: bool
    """Whether by the topic's settings everything since the wanted time is kept. Then what was deleted is older, unless
    the settings have been changed or somebody has deleted records by hand."""

    def __str__(self) -> str:
        """As a sentence."""
        where = f"topic {self.topic}, partition {self.partition}: "
        if self.earliest is None or self.missing is None:
            why = "every record has been deleted" if self.empty else "records are gone, nobody knows up to which time"
            return where + f"{why}; those since {format_time(self.wanted)} are wanted"
        late = display_duration(self.missing // timedelta(milliseconds=1))
        return where + f"there are records from {_from(self.earliest)} on, {late} after {format_time(self.wanted)}"


@dataclass(frozen=True)
class OffsetGap:
    """A partition that no longer holds the offset at which reading is to go on."""

    topic: str
    partition: int
    wanted: int
    earliest: int
    """The first offset that there is."""
    since: datetime | None = None
    """Time of the first record there is; None when every record has been deleted."""

    @property
    def missing(self) -> int:
        """How many records there are not, at most."""
        return self.earliest - self.wanted

    def __str__(self) -> str:
        """As a sentence."""
        first = f"of {_from(self.since)}" if self.since is not None else "and there is no record"
        return (
            f"topic {self.topic}, partition {self.partition}: the earliest offset is {self.earliest} ({first}), "
            f"{self.missing} after the wanted {self.wanted}"
        )


@dataclass(frozen=True)
class Vanished:
    """A partition that cannot be the one whose offset was remembered: the topic was made anew, or is another one."""

    topic: str
    partition: int
    wanted: int
    latest: int | None
    """The offset that its next record gets, which comes before the wanted one; None when there is no such partition."""

    def __str__(self) -> str:
        """As a sentence."""
        where = f"topic {self.topic}, partition {self.partition}: "
        if self.latest is None:
            return where + f"there is no such partition, of which offset {self.wanted} is wanted"
        return where + f"it ends at offset {self.latest}, before the wanted {self.wanted}: the topic was made anew"


@dataclass(frozen=True)
class Coverage:
    """What is missing of what a start would read; each tuple is in the order of topics and partitions."""

    gaps: tuple[Gap, ...] = ()
    """Of a start at a time."""
    offset_gaps: tuple[OffsetGap, ...] = ()
    """Of a start from a state."""
    vanished: tuple[Vanished, ...] = ()
    """Of a start from a state."""
    unknown: tuple[str, ...] = ()
    """Topics that the broker does not know."""
    compacted: tuple[str, ...] = ()
    """Topics of which only the newest record of each key is sure to be there, whatever the offsets say."""

    @property
    def complete(self) -> bool:
        """Whether all is there that can be told by offsets and times; of compacted topics that is not everything."""
        return not (self.gaps or self.offset_gaps or self.vanished or self.unknown)

    def problems(self) -> tuple[str, ...]:
        """What is missing, as sentences."""
        unknown = (f"topic {name}: the broker does not know it" for name in self.unknown)
        found: Iterable[object] = (*self.gaps, *self.offset_gaps, *self.vanished)
        return (*unknown, *map(str, found))

    def notes(self) -> tuple[str, ...]:
        """What is to be known beside, as sentences."""
        return tuple(
            f"topic {name} is compacted: of each key only the newest record is sure to be there"
            for name in self.compacted
        )


def from_time(measured: Measured, wanted: datetime, now: datetime) -> Coverage:
    """What is missing for a start that reads all records from `wanted` on; `now` is when it was measured. Both UTC.

    A partition that never had a record, or from which none was ever deleted, has no gap, however late its first
    record is. A first record of the very time that is wanted is early enough.
    """
    gaps = (_gap(topic, each, wanted, now) for topic in _sorted(measured) for each in _partitions(topic))
    return Coverage(
        gaps=tuple(gap for gap in gaps if gap is not None),
        unknown=tuple(sorted(measured.unknown)),
        compacted=_compacted(measured),
    )


def from_offsets(measured: Measured, wanted: Mapping[tuple[str, int], int]) -> Coverage:
    """What is missing for a start that goes on at these offsets: of a topic's partition, the next one to be read.

    A negative offset is one of Flink's words (earliest, latest, the group's own) and wants nothing that was there.
    Partitions of which no offset is wanted are new to the job and do not matter.
    """
    known = {topic.name: topic for topic in measured.topics}
    held = {(topic.name, each.number): each for topic in measured.topics for each in topic.partitions}
    gaps, vanished, unknown = [], [], set(measured.unknown)
    for (name, number), offset in sorted(wanted.items()):
        partition = held.get((name, number))
        if name not in known:
            unknown.add(name)
        elif offset < 0:
            continue
        elif partition is None:
            vanished.append(Vanished(name, number, offset, None))
        elif offset < partition.earliest:
            millis = partition.earliest_millis
            since = _time(millis) if millis is not None else None
            gaps.append(OffsetGap(name, number, offset, partition.earliest, since))
        elif offset > partition.latest:
            vanished.append(Vanished(name, number, offset, partition.latest))
    return Coverage(
        offset_gaps=tuple(gaps),
        vanished=tuple(vanished),
        unknown=tuple(sorted(unknown)),
        compacted=_compacted(measured),
    )


def _sorted(measured: Measured) -> list[Topic]:
    return sorted(measured.topics, key=lambda topic: topic.name)


def _partitions(topic: Topic) -> list[Partition]:
    return sorted(topic.partitions, key=lambda each: each.number)


def _compacted(measured: Measured) -> tuple[str, ...]:
    return tuple(topic.name for topic in _sorted(measured) if topic.compacted)


def _gap(topic: Topic, partition: Partition, wanted: datetime, now: datetime) -> Gap | None:
    if partition.earliest == 0:
        return None
    millis = partition.earliest_millis
    if millis is not None and millis * 1000 <= _micros(wanted):
        return None
    earliest = None if millis is None else _time(millis)
    missing = None if earliest is None else max(earliest - wanted, timedelta(0))
    kept = _is_kept(topic, wanted, now)
    return Gap(topic.name, partition.number, wanted, earliest, missing, partition.empty, kept)


def _is_kept(topic: Topic, wanted: datetime, now: datetime) -> bool:
    """Whether the topic's settings delete nothing of the wanted time or later."""
    if "delete" not in topic.cleanup_policy or topic.retention_bytes is not None or topic.retention_millis is None:
        # By size anything may go. Where the settings delete nothing at all, somebody else has.
        return False
    return _micros(wanted) >= _micros(now) - topic.retention_millis * 1000


def _from(time: datetime) -> str:
    """Rounded up to what a user can write: a start at this time has no gap."""
    return format_time(time if not time.microsecond else min(time, _LAST_SECOND) + timedelta(seconds=1))


def _micros(time: datetime) -> int:
    """Microseconds since 1970: a broker's times and limits are larger than what datetime can hold."""
    return (time - _EPOCH) // _MICROS


def _time(millis: int) -> datetime:
    """A broker's time; a writer's clock may have been wrong by any amount."""
    return _EPOCH + timedelta(milliseconds=min(max(millis, 0), _LAST_MILLIS))
