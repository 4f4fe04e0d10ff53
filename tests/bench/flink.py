"""The fake Flink by the clock: savepoints last as long as they are told to, and answers come from caches as Flink's do.

That of `tests/crash` moves on when it is asked, so that nothing depends on time; here time is what is measured.
"""

from __future__ import annotations

import asyncio
import copy
import time
from typing import Any

from tests.crash.flink import Answer, Flink, Job, Operation, Store

_CACHE_SECONDS = 1.0
"""How old Flink's statistics of checkpoints may be, as `build/flink_config.py` sets it for the real one."""


class TimedFlink(Flink):
    """JobManagers whose savepoints take their time."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.lasts: dict[str, float] = {}
        """By run: the seconds that its savepoints last."""
        self.asked: dict[str, float] = {}
        """By run: when its savepoint was asked for, by the monotonic clock."""
        self.done: dict[str, float] = {}
        """By run: when that was complete."""
        self._timers: set[asyncio.Task[None]] = set()
        self._cache: dict[str, tuple[float, Answer]] = {}

    async def checkpoint(self, job: Job) -> None:
        """Flink completes a checkpoint by itself."""
        async with self._lock:
            await self._checkpoint(job)

    async def _run(self, job: Job) -> None:
        # A real job completes its first checkpoint an interval after it runs, not with it.
        if job.state == "INITIALIZING":
            job.state = "RUNNING"

    async def _get(self, owner: Job, job: Job | None, parts: list[str]) -> Answer:
        if job is None or parts[2:] != ["checkpoints"]:
            return await super()._get(owner, job, parts)
        since, answer = self._cache.get(job.run, (0.0, (0, {})))
        if time.monotonic() > since + _CACHE_SECONDS:
            answer = copy.deepcopy(await super()._get(owner, job, parts))
            self._cache[job.run] = (time.monotonic(), answer)
        return answer

    def _trigger(self, job: Job, run: str, body: dict[str, Any], *, stop: bool) -> Answer:
        known = set(job.operations)
        answer = super()._trigger(job, run, body, stop=stop)
        for key in job.operations.keys() - known:
            self.asked[run] = time.monotonic()
            timer = asyncio.create_task(self._lasting(job, job.operations[key]))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)
        return answer

    async def _lasting(self, job: Job, operation: Operation) -> None:
        await asyncio.sleep(self.lasts.get(job.run, 1.0))
        async with self._lock:
            await self._complete(job, operation)
            self.done[job.run] = time.monotonic()

    async def _polled(self, job: Job, operation: Operation) -> None:
        """A poll moves nothing on: the clock does."""
