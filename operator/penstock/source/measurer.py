"""Measures sources in the background: a broker that does not answer takes longer than a pass may."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

from penstock import clock
from penstock.errors import PenstockError, Refused
from penstock.source.answers import Measured
from penstock.source.held import Held, SourceWish
from penstock.verdict import Positions

Look = Callable[[SourceWish], Awaitable[Measured]]
Read = Callable[[], Awaitable[Positions | None]]
"""Reads where the state of a wish goes on."""

log = logging.getLogger(__name__)
_AT_ONCE = 2
_KEPT = timedelta(minutes=1)
"""How long an answer counts. What a broker deletes meanwhile is within the time that a stop may take."""
_TROUBLE = timedelta(seconds=4)
"""How long nobody asks again after a broker did not answer."""
PACE = timedelta(minutes=5)
"""How long any answer counts for a run that is watched."""
_FOLLOWED = timedelta(seconds=3)
"""How long an answer counts for a recovery that is followed, which is looked at each 5 s."""


class Measurer:
    """A few looks at once; the last answer to each wish is remembered for a short while.

    Args:
        look: asks the broker of a wish's connection.
        done: called with a namespace and a job's name when there is an answer for that job.
    """

    def __init__(self, look: Look, done: Callable[[str, str], None]) -> None:
        self._look, self._done = look, done
        self._gate = asyncio.Semaphore(_AT_ONCE)
        # Of its own: no start waits behind all the runs that are watched.
        self._slow_gate = asyncio.Semaphore(1)
        self._follow_gate = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[SourceWish, asyncio.Task[None]] = {}
        self._answers: dict[SourceWish, Held] = {}

    def ask(self, wish: SourceWish, job: str, read: Read | None = None) -> Held | None:
        """The answer when there is one that still counts; else it is looked for, unless that is under way already."""
        known = self._answers.get(wish)
        if known is not None and clock.now() - known.at < _counts(known):
            return known
        if wish not in self._running:
            self._running[wish] = asyncio.create_task(self._measure(wish, job, read), name=f"{wish.connection}")
        # A broker that does not answer is known not to, until it does.
        return known if known is not None and known.trouble else None

    async def wait(self, wishes: Iterable[SourceWish], seconds: float) -> None:
        """Wait a little for answers: most brokers give one within the pass that asks."""
        tasks = [task for wish in wishes if (task := self._running.get(wish)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _measure(self, wish: SourceWish, job: str, read: Read | None) -> None:
        try:
            async with self._gate_of(wish):
                answer = await self._answer(wish, read)
            self._answers = {key: old for key, old in self._answers.items() if answer.at - old.at < _remembered(old)}
            self._answers[wish] = answer
        finally:
            del self._running[wish]
            self._done(wish.namespace, job)

    def _gate_of(self, wish: SourceWish) -> asyncio.Semaphore:
        if wish.watched:
            return self._slow_gate
        return self._follow_gate if wish.followed else self._gate

    async def _answer(self, wish: SourceWish, read: Read | None) -> Held:
        try:
            # Before the broker: what is deleted meanwhile is then missing, and not the other way round.
            positions = await read() if read is not None else None
            measured = await self._look(wish)
            return Held(wish, clock.now(), measured, positions)
        except Refused as error:
            return Held(wish, clock.now(), problem=str(error))
        except PenstockError as error:
            return Held(wish, clock.now(), trouble=str(error))
        except Exception as error:  # a bug must not leave a job waiting without a word
            log.exception("SourceConnection %s: measuring failed", wish.connection)
            return Held(wish, clock.now(), trouble=f"measuring failed: {type(error).__name__}")


def _counts(held: Held) -> timedelta:
    gone = held.measured is not None and held.positions is None  # the state was taken away: the next one is tried soon
    if held.wish.watched and not gone:
        return PACE
    if held.wish.followed:
        return _FOLLOWED
    return _TROUBLE if held.trouble else _KEPT


def _remembered(held: Held) -> timedelta:
    return PACE if held.wish.watched else _KEPT
