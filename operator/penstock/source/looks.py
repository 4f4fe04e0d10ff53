"""What was seen of a recovery that is followed: where reading began, and the last few looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

Place = tuple[str, int]
"""A topic's name and the number of a partition."""
_KEPT = 7
"""Looks, 5 s apart."""


@dataclass(frozen=True)
class Base:
    """Where an attempt of a run began to read.

    Attributes:
        offsets: partition to the offset of the first record that it reads, as far as anybody knows.
        stops: partition to the offset of the first record that it does not read any more; only of a backfill.
    """

    offsets: Mapping[Place, int] = field(default_factory=dict)
    stops: Mapping[Place, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """One look at what there is and what was read of it.

    Attributes:
        at: when, by the operator's clock.
        ends: partition to the offset that its next record gets.
        read: partition to the offset that is read next; only of those that something was read of.
        readers: partition to the subtask that reads it.
        pending: records that the sources' clients know to be unread; None when they do not tell.
        lag_millis: how old the record read last was when it was read; None when nobody tells.
        newest_millis: time of the newest record that there is, milliseconds since 1970; None when nobody tells.
        watermark: the lowest watermark of all subtasks, milliseconds since 1970; None when there is none.
        running_millis: since when all subtasks run; None when one does not.
        trouble: why something of it is not known, in words.
    """

    at: datetime
    ends: Mapping[Place, int] = field(default_factory=dict)
    read: Mapping[Place, int] = field(default_factory=dict)
    readers: Mapping[Place, str] = field(default_factory=dict)
    pending: int | None = None
    lag_millis: int | None = None
    newest_millis: int | None = None
    watermark: int | None = None
    running_millis: int | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Followed:
    """What is known of one attempt.

    Attributes:
        attempt: which one.
        base: None as long as nobody knows where it began.
        looks: the last ones, the newest last; one without ends is of a job whose sources cannot be asked.
    """

    attempt: str = ""
    base: Base | None = None
    looks: tuple[Look, ...] = ()


class Looks:
    """What is remembered between passes, by job. It is lost with the process, and gathered anew within two looks."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Followed] = {}

    def of(self, namespace: str, job: str, attempt: str) -> Followed:
        """What is known of an attempt."""
        known = self._known.get((namespace, job))
        return known if known is not None and known.attempt == attempt else Followed(attempt)

    def keep(self, namespace: str, job: str, known: Followed, look: Look) -> Followed:
        """Remember it, with one more look."""
        self._known[namespace, job] = found = replace(known, looks=(*known.looks, look)[-_KEPT:])
        return found

    def forget(self, namespace: str, job: str) -> None:
        """Nothing is followed any more."""
        self._known.pop((namespace, job), None)
