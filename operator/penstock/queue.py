"""A work queue: each key at most once in line, never worked on twice at once, a bounded number of workers.

A key that is added while it is worked on is worked on again afterwards. A pass that fails is tried again after a pause
that doubles up to five minutes, with jitter; one that succeeds forgets its failures.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from penstock.errors import PenstockError, Stale

K = TypeVar("K", bound=Hashable)
log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LAST_PAUSE_SECONDS = 300.0
_STALE_PAUSE_SECONDS = 0.05
_LAST_STALE_PAUSE_SECONDS = 5.0


class WorkQueue(Generic[K]):
    """Calls `work(key)` for every key that was added; `work` returns when to be called again (seconds), or None."""

    def __init__(self, work: Callable[[K], Awaitable[float | None]], workers: int = 8) -> None:
        self._work = work
        self._workers = workers
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()  # in line
        self._busy: dict[K, float] = {}  # being worked on, and since when by the loop's clock
        self._again: set[K] = set()  # added while busy
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._conflicts: dict[K, int] = {}

    def add(self, key: K) -> None:
        """Have a key worked on as soon as may be."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Have a key worked on after a while, unless it comes up earlier; the earlier of two times counts."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        when = loop.time() + seconds
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(when, self.add, key)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    def overdue(self, seconds: float) -> str:
        """In words, the pass that has taken longest, when that is longer than so many seconds; else empty."""
        if not self._busy:
            return ""
        key, since = min(self._busy.items(), key=lambda item: item[1])
        took = asyncio.get_running_loop().time() - since
        return f"{key} has been worked on for {took:.0f} s" if took > seconds else ""

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._busy[key] = asyncio.get_running_loop().time()
            pause = await self._pass(key)
            del self._busy[key]
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif pause is not None:
                self.add_after(key, pause)

    async def _pass(self, key: K) -> float | None:
        try:
            pause = await self._work(key)
        except Stale as error:
            # Most often the next pass reads what is new. A conflict that stays must not take a worker for itself.
            times = self._conflicts[key] = self._conflicts.get(key, 0) + 1
            log.info("%s: read again (%s)", key, error)
            return min(_STALE_PAUSE_SECONDS * 2.0 ** min(times - 1, 20), _LAST_STALE_PAUSE_SECONDS)
        except PenstockError as error:  # expected: somebody does not answer, or says no
            pause = self._failed(key)
            log.warning("%s: %s; again in %.1f s", key, error, pause)
            return pause
        except Exception:  # the loop must outlive a bug in one job's pass; it is logged whole and tried again
            pause = self._failed(key)
            log.exception("%s: pass failed (%d in a row), again in %.1f s", key, self._failures[key], pause)
            return pause
        self._failures.pop(key, None)
        self._conflicts.pop(key, None)
        return pause

    def _failed(self, key: K) -> float:
        self._failures[key] = self._failures.get(key, 0) + 1
        return backoff(self._failures[key], random.random())  # noqa: S311 - jitter, not a secret


def backoff(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row; `jitter` is from 0 to 1 and takes off up to a quarter."""
    full = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20), LAST_PAUSE_SECONDS)
    return full * (1 - jitter / 4)
