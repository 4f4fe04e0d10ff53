"""Looks in the background whether states are whole: a large one takes longer than a pass may."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from penstock import clock
from penstock.errors import PenstockError
from penstock.inventory.verification import verify
from penstock.store.client import ObjectStore
from penstock.verdict import Verified, Wish

_Place = tuple[ObjectStore, str]
"""A store (the same client as long as its settings are) and a location in it."""

log = logging.getLogger(__name__)
_AT_ONCE = 2
_KEPT = timedelta(minutes=10)
"""How long an answer is remembered. Nothing depends on it: what is forgotten is looked at again."""

_TROUBLE = timedelta(seconds=4)
"""How long a store that did not answer is not asked again."""


class Verifier:
    """A few verifications at once; the last answer of each place is remembered for a while.

    Args:
        done: called with a namespace and a job's name when there is an answer for that job.
    """

    def __init__(self, done: Callable[[str, str], None]) -> None:
        self._done = done
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[_Place, asyncio.Task[None]] = {}
        self._answers: dict[_Place, Verified] = {}

    def ask(self, store: ObjectStore, wish: Wish, job: tuple[str, str]) -> Verified | None:
        """The answer when there is one that is new enough; else it is looked for, unless that is under way already."""
        place = (store, wish.location)
        known = self._answers.get(place)
        if known is not None and _answers(known, wish):
            return known
        if place not in self._running:
            self._running[place] = asyncio.create_task(self._look(place, wish, job), name=wish.location)
        return None

    async def wait(self, store: ObjectStore, wishes: Iterable[Wish], seconds: float) -> None:
        """Wait a little for answers: of a small state there is one within the pass that asks."""
        tasks = [task for wish in wishes if (task := self._running.get((store, wish.location))) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _look(self, place: _Place, wish: Wish, job: tuple[str, str]) -> None:
        try:
            async with self._gate:
                answer = replace(await _answer(*place), request=wish.request, start=wish.start)
            self._forget(answer.at)
            self._answers[place] = answer
        finally:
            del self._running[place]
            self._done(*job)

    def _forget(self, now: datetime) -> None:
        self._answers = {place: answer for place, answer in self._answers.items() if now - answer.at < _KEPT}


def _answers(known: Verified, wish: Wish) -> bool:
    """Whether an answer is new enough and was found for what is asked now."""
    of_this = wish.request in ("", known.request) and wish.start in ("", known.start)
    # Trouble is told, and looked at again soon: a start may wait for it.
    stands = not known.trouble or clock.now() < known.at + _TROUBLE
    return known.at >= wish.not_before and of_this and stands


async def _answer(store: ObjectStore, location: str) -> Verified:
    try:
        found = await verify(store, location)
        # The time of its end: of a state that takes long the answer would else be old when it comes.
        return Verified(clock.now(), found)
    except PenstockError as error:
        return Verified(clock.now(), trouble=str(error))
    except Exception as error:  # a bug must not leave a job waiting without a word
        log.exception("%s: the verification failed", location)
        return Verified(clock.now(), trouble=f"the verification failed: {type(error).__name__}")
