"""What a start wants to know of its sources, and what was found. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from penstock.source.answers import Measured


@dataclass(frozen=True)
class SourceWish:
    """Topics that are to be measured for a start.

    Attributes:
        namespace: the job's: a connection is not for every namespace.
        connection: name of the SourceConnection.
        topics: names of the topics.
        start: the start that waits for it; an answer that was found for another one does not count.
        times: milliseconds since 1970; for each of them the offsets are asked for, too.
    """

    namespace: str
    connection: str
    topics: tuple[str, ...]
    start: str
    times: tuple[int, ...] = ()


@dataclass(frozen=True)
class Held:
    """An answer: what was measured, or that nobody knows, or that the connection cannot be used."""

    wish: SourceWish
    at: datetime
    measured: Measured | None = None
    trouble: str = ""
    """Why nobody knows: the broker does not answer. It is asked again."""
    problem: str = ""
    """Why it cannot be asked at all: somebody must change something."""
