"""What the world was at each effect of a run without faults: by this points are found to be the same (`folding.py`)."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.effects import Effect

Look = str | None
"""All that the next operator can find, as text: equal texts are the same world. None: it changed under the look."""


@dataclass
class Moment:
    """One effect, and the world around it."""

    effect: Effect | None
    """None: a write that only tells, and is no effect."""
    before: Look = None
    """When it arrived."""
    after: Look = None
    """When it had been carried out and was not yet answered."""
    alone: bool = True
    """Whether no other write was under way meanwhile."""
    moves: bool = True
    """Whether the world would have moved on after it, had the operator died."""
    arrived: float = 0.0
    ended: float = 0.0
    """By the monotonic clock."""


class Moments:
    """Keeps the moments of a run, in the order in which its effects arrived."""

    def __init__(self, look: Callable[[], Awaitable[Look]], moves: Callable[[], bool]) -> None:
        self._look, self._moves = look, moves
        self._under_way: list[Moment] = []
        self.all: list[Moment] = []

    @asynccontextmanager
    async def of(self, effect: Effect | None) -> AsyncIterator[None]:
        """Around the carrying out of a write."""
        moment = Moment(effect, arrived=time.monotonic())
        for each in self._under_way:
            each.alone = moment.alone = False
        self._under_way.append(moment)
        if effect is not None:
            self.all.append(moment)
        try:
            moment.before = await self._look()
            yield
            moment.moves = self._moves()
            moment.after = await self._look()
            moment.moves |= self._moves()
        finally:
            moment.ended = time.monotonic()
            self._under_way.remove(moment)


def times_of_files(folder: Path) -> list[tuple[str, int]] | None:
    """All files below a folder with the times of their last writes; None: one of them went meanwhile."""
    found = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    try:
        return sorted((str(each.relative_to(folder)), each.stat().st_mtime_ns) for each in found)
    except FileNotFoundError:
        return None
