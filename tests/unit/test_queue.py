"""The work queue: serial for each key, bounded over all, patient with failures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from penstock import queue
from penstock.errors import RetryLater, Stale
from penstock.queue import LAST_PAUSE_SECONDS, WorkQueue, backoff

Work = Callable[[str], Awaitable[float | None]]


@contextlib.asynccontextmanager
async def running(work: Work, workers: int = 3):
    made: WorkQueue[str] = WorkQueue(work, workers)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is plain data
            await asyncio.sleep(0.002)


async def test_a_key_is_never_worked_on_twice_at_once() -> None:
    busy: set[str] = set()
    passes = 0

    async def work(key: str) -> None:
        nonlocal passes
        assert key not in busy
        busy.add(key)
        await asyncio.sleep(0.005)
        busy.discard(key)
        passes += 1

    async with running(work, 8) as made:
        for _ in range(20):
            made.add("a")
            await asyncio.sleep(0.002)
        await until(lambda: not busy and passes > 3)


async def test_keys_wait_for_a_free_worker_only() -> None:
    busy, most = 0, 0

    async def work(_: str) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1

    async with running(work, 2) as made:
        for key in "abcdef":
            made.add(key)
        await until(lambda: most == 2)
        await asyncio.sleep(0.05)
    assert most == 2


async def test_a_key_in_line_is_in_line_once() -> None:
    done: list[str] = []

    async def work(key: str) -> None:
        done.append(key)

    async with running(work) as made:
        for _ in range(5):
            made.add("a")
        await until(lambda: bool(done))
        await asyncio.sleep(0.02)
    assert done == ["a"]


async def test_what_is_added_while_it_is_worked_on_is_worked_on_again() -> None:
    begun, go, passes = asyncio.Event(), asyncio.Event(), 0

    async def work(_: str) -> None:
        nonlocal passes
        passes += 1
        begun.set()
        await go.wait()

    async with running(work) as made:
        made.add("a")
        await begun.wait()
        made.add("a")
        made.add("a")
        go.set()
        await until(lambda: passes == 2)
        await asyncio.sleep(0.02)
    assert passes == 2


async def test_the_earlier_of_two_times_counts() -> None:
    loop, times = asyncio.get_running_loop(), []

    async def work(_: str) -> None:
        times.append(loop.time())

    async with running(work) as made:
        begun = loop.time()
        made.add_after("a", 0.03)
        made.add_after("a", 30)
        made.add_after("b", 30)
        made.add_after("b", 0.03)
        await until(lambda: len(times) == 2)
        await asyncio.sleep(0.05)
    assert len(times) == 2
    assert all(0.02 < time - begun < 2 for time in times)


async def test_adding_now_takes_the_place_of_adding_later() -> None:
    passes = 0

    async def work(_: str) -> None:
        nonlocal passes
        passes += 1

    async with running(work) as made:
        made.add_after("a", 0.03)
        made.add("a")
        await until(lambda: passes == 1)
        await asyncio.sleep(0.06)
    assert passes == 1


@pytest.mark.parametrize("pause", [0, -1, 0.01])
async def test_a_pass_says_when_the_next_one_is_wanted(pause: float) -> None:
    passes = 0

    async def work(_: str) -> float | None:
        nonlocal passes
        passes += 1
        return pause if passes < 3 else None

    async with running(work) as made:
        made.add("a")
        await until(lambda: passes == 3)
        await asyncio.sleep(0.03)
    assert passes == 3


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(queue, "_STALE_PAUSE_SECONDS", 0.005)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [RetryLater("x"), ValueError("a bug"), Stale("x")])
async def test_a_pass_that_fails_is_tried_again_and_hurts_no_other_key(error: Exception) -> None:
    done: list[str] = []

    async def work(key: str) -> None:
        done.append(key)
        if key == "bad" and done.count("bad") < 3:
            raise error

    async with running(work, 1) as made:
        made.add("bad")
        made.add("good")
        await until(lambda: done.count("bad") == 3)
    assert done.count("good") == 1


def test_pauses_double_up_to_a_cap() -> None:
    pauses = [backoff(failures, 0.0) for failures in range(1, 40)]
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_PAUSE_SECONDS


@pytest.mark.parametrize("failures", [1, 5, 50, 5000])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_jitter_takes_off_a_quarter_at_most(failures: int, jitter: float) -> None:
    whole = backoff(failures, 0.0)
    assert 0.75 * whole <= backoff(failures, jitter) <= whole <= LAST_PAUSE_SECONDS


async def test_a_conflict_that_stays_does_not_take_a_worker_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def work(_: str) -> None:
        await asyncio.sleep(0)
        raise Stale("409")

    def after(_self: WorkQueue[str], key: str, seconds: float) -> None:
        pauses.append(seconds)
        made.add(key)

    monkeypatch.setattr(WorkQueue, "add_after", after)
    async with running(work) as made:
        made.add("a")
        await until(lambda: len(pauses) > 10)
    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert pauses[10] == 5


async def test_what_is_expected_is_logged_in_a_line_and_a_bug_whole(caplog: pytest.LogCaptureFixture) -> None:
    errors = [RetryLater("the API server does not answer"), ValueError("a bug")]

    async def work(_: str) -> None:
        if errors:
            raise errors.pop(0)

    async with running(work) as made:
        made.add("a")
        await until(lambda: not errors)
        await until(lambda: len(caplog.records) > 1)
    expected, bug = caplog.records[:2]
    assert (expected.levelname, expected.exc_info) == ("WARNING", None)
    assert (bug.levelname, bug.exc_info is not None) == ("ERROR", True)
