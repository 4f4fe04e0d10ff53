"""A story that is played again and again up to a later and later place: what comes before that place is played once.

`Toy.settle` goes by it: while a story is recorded it keeps the world before each pass, and when the story is played
again with an operator that dies at some operation, it takes the world up where that pass begins.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

_OF_THE_PLAYER = ("tape", "crash_after", "on_crash")


@dataclass(frozen=True)
class _Moment:
    """The world before a pass, or at the end; and where `settle` is with it."""

    world: Any
    quiet: int
    passed: int


class Tape:
    """One recorded story; `played` is a player of it."""

    def __init__(self) -> None:
        self._settled: list[list[_Moment]] = []
        """The moments of each call of `settle`, the last one is its end."""
        self._next: int | None = None
        """Which call comes next; None: it records."""

    def played(self) -> Tape:
        """The same story from its beginning, to be played."""
        player = Tape()
        player._settled, player._next = self._settled, 0
        return player

    def begin(self, toy: Any) -> tuple[int, int]:
        """`settle` begins: the quiet passes and the passes that it has behind it."""
        if self._next is None:
            self._settled.append([])
            return 0, 0
        moments = self._settled[self._next]
        self._next += 1
        before = [each for each in moments if each.world.operations < toy.crash_after]
        if len(before) < len(moments):
            toy.tape = None  # it dies here, and from then on nothing is as it was
        if not before:
            return 0, 0
        own = {name: toy.__dict__[name] for name in _OF_THE_PLAYER}
        toy.__dict__ = copy.deepcopy(before[-1].world).__dict__ | own
        return before[-1].quiet, before[-1].passed

    def keep(self, toy: Any, quiet: int, passed: int) -> None:
        """A pass begins, or the last one is over."""
        if self._next is None:
            self._settled[-1].append(_Moment(copy.deepcopy(toy), quiet, passed))
