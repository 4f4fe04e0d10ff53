"""Whether a state is whole: what was found when every file that it names was looked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Positions:
    """Where the Kafka sources of a state go on.

    Attributes:
        offsets: topic and partition to the offset that is read next. Negative: one of Flink's words (earliest, latest,
            the group's own), of a partition of which nothing was read yet.
        unread: how many splits of sources could not be read: of other kinds of sources, compressed, out of reach.
    """

    offsets: Mapping[tuple[str, int], int] = field(default_factory=dict)
    unread: int = 0


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        files: distinct files that it needs, the `_metadata` file included.
        size: bytes that these must have at least.
        missing: how many of them are not there, or shorter than that.
        names: the first few of the missing ones, each with what is wrong.
        outside: mentions of files outside of the job's directory, which are not looked at.
        unreadable: why the `_metadata` file could not be read; empty when it could. Then nothing else is known, but
            `version` when that is why.
        gone: whether there is no `_metadata` (any more): it is no state at all.
        checkpoint_id: Flink's number of it.
        written: when its `_metadata` was written.
        narrowest: name and max parallelism of the operator that can be split into the fewest parts, of those that had
            the job's own parallelism; None when there is none, or none that is meant to be split.
        positions: where its Kafka sources go on.
        stateful: id, name (empty in older files) and max parallelism of each operator that has state.
        version: of the layout of its `_metadata`; known also of one that is not read because of it.
    """

    files: int = 0
    size: int = 0
    missing: int = 0
    names: tuple[str, ...] = ()
    outside: int = 0
    unreadable: str = ""
    gone: bool = False
    checkpoint_id: int | None = None
    written: datetime | None = None
    narrowest: tuple[str, int] | None = None
    positions: Positions = field(default_factory=Positions)
    stateful: tuple[tuple[str, str, int], ...] = ()
    version: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it can be restored, as far as its files go."""
        return not (self.faulty or self.outside)

    @property
    def faulty(self) -> bool:
        """Whether something that it needs is known not to be there."""
        return bool(self.unreadable or self.missing)

    def __str__(self) -> str:
        """A sentence for a condition."""
        if self.unreadable:
            return f"its _metadata cannot be read: {self.unreadable}"
        if self.missing:
            return f"{self.missing} of {self.files} files are missing or too short: {', '.join(self.names)}"
        if self.outside:
            return f"{self.outside} of its files lie outside of the job's directory and are not looked at"
        return f"all {self.files} files are there, {self.size} bytes"


@dataclass(frozen=True)
class Verified:
    """An answer and its time; without a verification nobody knows, and `trouble` says why."""

    at: datetime
    verification: Verification | None = None
    trouble: str = ""
    request: str = ""
    """What a user had written to ask for it."""
    start: str = ""
    """The start that it was found for."""


@dataclass(frozen=True)
class Wish:
    """A state that is to be looked at.

    Attributes:
        location: URI of its directory.
        not_before: an older answer does not count.
        request: what a user has written to ask for it; an answer to anything else does not count. Empty: nobody asked.
        start: the start that waits for it; an answer that was found for anything else does not count. Empty: none does.
        anywhere: whether it may lie outside of the job's directory: an administrator has named it.
    """

    location: str
    not_before: datetime
    request: str = ""
    start: str = ""
    anywhere: bool = False
