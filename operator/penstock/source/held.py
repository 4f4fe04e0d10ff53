"""What a start, or who watches a run, wants to know of its sources, and what was found. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from penstock.source.answers import Measured
from penstock.verdict import Positions


@dataclass(frozen=True)
class SourceWish:
    """Topics that are to be measured for a start, or now and then for a run.

    Attributes:
        namespace: the job's: a connection is not for every namespace.
        connection: name of the SourceConnection.
        topics: names of the topics.
        start: the start that waits for it; an answer that was found for another one does not count. Empty: none does.
        watched: the run that is watched, at a slow pace; how old its records are is measured, too. Empty: none is.
        state: URI of the state whose positions are read with it. Which one is of no matter to whether it is the same
            wish: a run's newest state is another one every few seconds.
        followed: the attempt of a run whose recovery is followed, at a fast pace; only the offsets that there are then.
        times: milliseconds since 1970; for each of them the offsets are asked for, too.
    """

    namespace: str
    connection: str
    topics: tuple[str, ...]
    start: str = ""
    watched: str = ""
    state: str = field(default="", compare=False)
    times: tuple[int, ...] = ()
    followed: str = ""


@dataclass(frozen=True)
class Held:
    """An answer: what was measured, or that nobody knows, or that the connection cannot be used."""

    wish: SourceWish
    at: datetime
    measured: Measured | None = None
    positions: Positions | None = None
    """Where the state goes on that the wish names; None: it names none, or that one is gone."""
    trouble: str = ""
    """Why nobody knows: the broker does not answer. It is asked again."""
    problem: str = ""
    """Why it cannot be asked at all: somebody must change something."""
