"""Verifications in the background."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from penstock import clock
from penstock.errors import RetryLater
from penstock.inventory import verifier
from penstock.inventory.verifier import Verifier
from penstock.verdict import Verification, Verified, Wish

JOB = ("flights", "flights")
PLACE = "s3://checkpoints/a"
LONG_AGO = clock.now() - timedelta(days=1)


class Look:
    """Stands for `verify`: answers when it is let, counts how many are at work."""

    def __init__(self, answer: Verification | Exception) -> None:
        self.answer = answer
        self.go = asyncio.Event()
        self.asked: list[str] = []
        self.at_work = self.most = 0

    async def __call__(self, _store: Any, location: str) -> Verification:
        self.asked.append(location)
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        await self.go.wait()
        self.at_work -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


WHOLE = Verification(files=1)


class Stage:
    """A Verifier, what it asks, and whom it wakes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: Verification | Exception = WHOLE) -> None:
        self.look = Look(answer)
        monkeypatch.setattr(verifier, "verify", self.look)
        self.woken: list[tuple[str, str]] = []
        self.verifier = Verifier(lambda *job: self.woken.append(job))
        self.store: Any = object()

    def ask(self, location: str = PLACE, **more: Any) -> Verified | None:
        return self.verifier.ask(self.store, Wish(location, **({"not_before": LONG_AGO} | more)), JOB)

    async def answered(self, location: str = PLACE) -> Verified | None:
        self.look.go.set()
        await self.verifier.wait(self.store, [Wish(location, LONG_AGO)], 5)
        return self.ask(location)


async def test_the_first_question_starts_it_and_the_job_is_woken_by_the_answer(monkeypatch: pytest.MonkeyPatch):
    stage = Stage(monkeypatch)
    assert stage.ask() is None
    assert stage.ask() is None
    found = await stage.answered()
    assert found is not None
    assert (found.verification, stage.woken, stage.look.asked) == (WHOLE, [JOB], [PLACE])


async def test_an_old_answer_does_not_count(monkeypatch: pytest.MonkeyPatch):
    stage = Stage(monkeypatch)
    stage.ask()
    found = await stage.answered()
    assert found is not None
    assert stage.ask(not_before=found.at + timedelta(milliseconds=1)) is None
    await stage.answered()
    assert len(stage.look.asked) == 2


async def test_an_answer_to_another_question_does_not_count(monkeypatch: pytest.MonkeyPatch):
    stage = Stage(monkeypatch)
    stage.ask()
    await stage.answered()
    assert stage.ask(request="now") is None
    await stage.answered()
    assert (stage.ask(request="now") or Verified(LONG_AGO)).request == "now"
    assert stage.ask() is not None


async def test_an_answer_for_another_start_does_not_count(monkeypatch: pytest.MonkeyPatch):
    stage = Stage(monkeypatch)
    stage.ask()
    await stage.answered()
    assert stage.ask(start="2/run") is None
    await stage.answered()
    assert (stage.ask(start="2/run") or Verified(LONG_AGO)).start == "2/run"
    assert stage.ask(start="3/run") is None
    await stage.answered()


@pytest.mark.parametrize("error", [RetryLater("the store does not answer"), ValueError("a bug")])
async def test_trouble_is_said_and_is_never_a_fault(monkeypatch: pytest.MonkeyPatch, error: Exception):
    stage = Stage(monkeypatch, error)
    stage.ask()
    found = await stage.answered()
    assert found is not None
    assert (found.verification, stage.woken) == (None, [JOB])
    assert found.trouble in ("the store does not answer", "the verification failed: ValueError")


async def test_only_a_few_are_at_work_at_once(monkeypatch: pytest.MonkeyPatch):
    stage = Stage(monkeypatch)
    places = [f"s3://checkpoints/{number}" for number in range(9)]
    for place in places:
        stage.ask(place)
    await asyncio.sleep(0)
    stage.look.go.set()
    await stage.verifier.wait(stage.store, [Wish(place, LONG_AGO) for place in places], 5)
    assert (len(stage.look.asked), stage.look.most) == (9, 2)


async def test_the_same_place_in_another_store_is_another(monkeypatch: pytest.MonkeyPatch):
    stage = Stage(monkeypatch)
    stage.ask()
    await stage.answered()
    stage.store = object()
    assert stage.ask() is None
    assert await stage.answered() is not None


async def test_answers_are_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch):
    stage = Stage(monkeypatch)
    stage.ask()
    found = await stage.answered()
    assert found is not None
    later = found.at + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    stage.ask("s3://checkpoints/b")
    await stage.answered("s3://checkpoints/b")
    assert stage.ask() is None
    await stage.answered()


async def test_trouble_is_looked_at_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen in the code: one hiccup of the store held up a start for a minute, and a look in the background for ten."""
    stage = Stage(monkeypatch, RetryLater("time-out"))
    stage.ask()
    await stage.answered()
    found = stage.ask()
    assert found is not None
    assert found.trouble == "time-out"
    later = clock.now() + timedelta(seconds=5)
    monkeypatch.setattr(clock, "now", lambda: later)
    stage.look.answer = WHOLE
    assert stage.ask() is None
    await stage.answered()
    found = stage.ask()
    assert found is not None
    assert found.verification == WHOLE
