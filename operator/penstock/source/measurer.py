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

Look = Callable[[SourceWish], Awaitable[Measured]]

log = logging.getLogger(__name__)
_AT_ONCE = 2
_KEPT = timedelta(minutes=1)
"""How long an answer counts. What a broker deletes meanwhile is within the time that a stop may take."""
_TROUBLE = timedelta(seconds=4)
"""How long nobody asks again after a broker did not answer."""


class Measurer:
    """A few looks at once; the last answer to each wish is remembered for a short while.

    Args:
        look: asks the broker of a wish's connection.
        done: called with a namespace and a job's name when there is an answer for that job.
    """

    def __init__(self, look: Look, done: Callable[[str, str], None]) -> None:
        self._look, self._done = look, done
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[SourceWish, asyncio.Task[None]] = {}
        self._answers: dict[SourceWish, Held] = {}

    def ask(self, wish: SourceWish, job: str) -> Held | None:
        """The answer when there is one that still counts; else it is looked for, unless that is under way already."""
        known = self._answers.get(wish)
        if known is not None and clock.now() - known.at < (_TROUBLE if known.trouble else _KEPT):
            return known
        if wish not in self._running:
            self._running[wish] = asyncio.create_task(self._measure(wish, job), name=f"{wish.connection}")
        # A broker that does not answer is known not to, until it does.
        return known if known is not None and known.trouble else None

    async def wait(self, wishes: Iterable[SourceWish], seconds: float) -> None:
        """Wait a little for answers: most brokers give one within the pass that asks."""
        tasks = [task for wish in wishes if (task := self._running.get(wish)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _measure(self, wish: SourceWish, job: str) -> None:
        try:
            async with self._gate:
                answer = await self._answer(wish)
            self._answers = {key: old for key, old in self._answers.items() if answer.at - old.at < _KEPT}
            self._answers[wish] = answer
        finally:
            del self._running[wish]
            self._done(wish.namespace, job)

    async def _answer(self, wish: SourceWish) -> Held:
        try:
            measured = await self._look(wish)
            return Held(wish, clock.now(), measured)
        except Refused as error:
            return Held(wish, clock.now(), problem=str(error))
        except PenstockError as error:
            return Held(wish, clock.now(), trouble=str(error))
        except Exception as error:  # a bug must not leave a job waiting without a word
            log.exception("SourceConnection %s: measuring failed", wish.connection)
            return Held(wish, clock.now(), trouble=f"measuring failed: {type(error).__name__}")
